"""How fast the explorer is, against a bare breadth-first loop over the same successor function.

    python -m benchmarks.explore          # from the root of the repository, about half a minute

The bare loop keeps a set of states and nothing else: no parents, no properties, no bounds, no progress.
Each row is the best of three runs, bare and explorer in turn, so that both see the same machine.
"""

from __future__ import annotations

from time import process_time
from typing import Any

from distlib.check.explore.explore import Model, Result, explore
from distlib.principles.specifications import PaxosSpecification, TwoPhase, Voting
from tests.papers.ring import EWD840

ROUNDS = 3
MODELS: tuple[Model[Any, Any], ...] = (
    TwoPhase(5), TwoPhase(7), PaxosSpecification(3, 2, 2), Voting(3, 2, 3), EWD840(5)
)  # fmt: skip


def bare_loop(model: Model[Any, Any]) -> int:
    """Breadth-first search at its barest; returns the number of states generated."""
    level = list(model.initial_states())
    seen = set(level)
    generated = len(level)
    while level:
        following = []
        for state in level:
            for _, successor in model.successors(state):
                generated += 1
                if successor not in seen:
                    seen.add(successor)
                    following.append(successor)
        level = following
    return generated


def against_the_bare_loop(model: Model[Any, Any]) -> tuple[Result, float, float]:
    """The result, and the best generated states a second of the bare loop and of the explorer (processor time)."""
    bare = searched = 0.0
    for _ in range(ROUNDS):
        start = process_time()
        generated = bare_loop(model)
        bare = max(bare, generated / (process_time() - start))
        start = process_time()
        result = explore(model)
        searched = max(searched, result.generated / (process_time() - start))
    return result, bare, searched


def main() -> None:
    columns = f"{'distinct':>9} {'generated':>10} {'bare/s':>9} {'ours/s':>9} {'ratio':>6} {'B/state':>8}"
    print(f"{'model':52} {columns}")
    for model in MODELS:
        result, bare, searched = against_the_bare_loop(model)
        print(
            f"{model!r:52} {result.distinct:9,} {result.generated:10,} {bare:9,.0f} {searched:9,.0f}"
            f" {searched / bare:6.2f} {result.bytes_per_state:8,.0f}"
        )


if __name__ == "__main__":
    main()
