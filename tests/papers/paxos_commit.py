"""The public model of Paxos Commit with 2 managers, whole: `python -m tests.papers.paxos_commit`, some minutes."""

from __future__ import annotations

from distlib.check.explore.explore import explore
from distlib.principles.commit_specifications import PaxosCommitSpecification

PUBLISHED = (1_321_761, 16_959_159, 28)


def main() -> None:
    """Say the counts, and whether they are those of transaction_commit/manifest.json."""
    result = explore(PaxosCommitSpecification(managers=2), max_bytes=12 * 2**30)
    found = (result.distinct, result.generated, result.depth)
    print(result)
    if found != PUBLISHED:
        raise SystemExit(f"{found}, and {PUBLISHED} are published")


if __name__ == "__main__":
    main()
