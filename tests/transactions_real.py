"""SIGKILL to two-phase commit between real databases: ``python -m tests.transactions_real --sqlite 200 --postgres 9``.

Each run starts two databases and a coordinator with three clients, and kills one of the three at a step that its seed
makes up; then everything recovers. At the end the sum of money is what it was, nothing is in doubt, each transaction is
at both databases or at none, every acknowledged commit is there, and no reader with locks has ever seen a wrong sum.

A run in which nobody is killed proves nothing and does not count. Kinds of victims and steps that never came, and kills
that left nobody in doubt, are counted; a count that stays at zero is a failure. Exits with 1 if there was one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from itertools import count

from distlib.core.seeds import Seeds
from distlib.transactions.real.coordinator import STEPS
from distlib.transactions.real.experiment import NAMES, RealTransactions, RealTransactionsParams, real_transactions

PROTOCOLS = ("two-phase commit", "two-phase commit", "presumed abort", "presumed commit")
TRANSFERS = 18


def plan(database: str, seed: int) -> RealTransactionsParams:
    """Who is killed when."""
    random = Seeds(seed).stream("plan", database)
    step = STEPS[seed % len(STEPS)]  # each comes, however short the campaign
    comes = TRANSFERS if "deci" in step else 2 * TRANSFERS
    return RealTransactionsParams(
        database=database, protocol=random.choice(PROTOCOLS), victim=random.choice(("coordinator", *NAMES)), step=step,
        nth=random.randint(1, comes * 2 // 3), clients=3, transfers=TRANSFERS, seed=seed,
    )  # fmt: skip


def tally(result: RealTransactions) -> Counter[str]:
    """What happened in one run."""
    params = result.params
    kind = "coordinator" if params.victim == "coordinator" else "participant"
    found = Counter({f"{kind} killed": 1, f"killed {params.step}": 1, params.protocol: 1})
    killed_s = next(event.at_s for event in result.events if event.what == "killed")
    earlier = {one.database for one in result.reported if one.prepared_s < killed_s}
    if kind == "coordinator":
        found["left some in doubt"] = bool(earlier)
    else:
        found["came back in doubt"] = params.victim in earlier
    found["commits acknowledged"] = len(result.acknowledged)
    found["sums read"] = result.read_meanwhile
    return found


def campaign(database: str, kills: int, first: int = 0, progress: bool = False) -> tuple[Counter[str], list[str]]:
    """As many runs as it takes for so many kills: what happened, and what broke."""
    happened: Counter[str] = Counter()
    problems: list[str] = []
    for seed in count(first):
        if happened["kills"] == kills:
            break
        params = plan(database, seed)
        result = real_transactions(params)
        if not any(event.what == "killed" for event in result.events):
            happened["runs without a kill"] += 1
            assert happened["runs without a kill"] < kills, f"{params.call()}: kills do not come"
            continue
        happened["kills"] += 1
        happened.update(tally(result))
        broken = [f"{claim}: {witness}" for claim, holds, witness in result.verdicts() if not holds]
        problems += [f"{params.call()}: {one}" for one in broken]
        if progress:
            line = f"\r{database}: {happened['kills']}/{kills} kills, {len(problems)} problems   "
            print(line, end="", file=sys.stderr, flush=True)
    wanted = ["coordinator killed", "participant killed", "left some in doubt", "commits acknowledged", "sums read"]
    if kills >= 2 * len(STEPS):
        wanted += ["came back in doubt", *[f"killed {step}" for step in STEPS]]
    problems += [f"{database}: {one}: none" for one in wanted if not happened[one]]
    return happened, problems


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.transactions_real", description=__doc__)
    parser.add_argument("--sqlite", type=int, default=20, help="how many kills on SQLite (default 20)")
    parser.add_argument("--postgres", type=int, default=5, help="how many on PostgreSQL (default 5)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    options = parser.parse_args()
    failed = 0
    for database, kills in (("SQLite", options.sqlite), ("PostgreSQL", options.postgres)):
        if kills:
            began = time.monotonic()
            happened, problems = campaign(database, kills, options.first, progress=True)
            print(f"\n{database}: {kills} kills in {time.monotonic() - began:,.0f} s, {len(problems)} problems")
            print("\n".join([f"{count:>8,}  {name}" for name, count in sorted(happened.items())] + problems))
            failed += len(problems)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
