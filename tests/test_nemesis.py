"""A small part of the nemesis run; the README names the command for all of it."""

from __future__ import annotations

from tests.nemesis import KINDS, run


def test_forty_seeds_break_nothing_and_much_happens_in_them() -> None:
    seeds = range(40)
    assert len(seeds) % len(KINDS) == 0  # every variant equally often
    happened = {}
    for seed in seeds:
        _, counts, problems = run(seed)
        assert not problems, f"seed {seed}: {problems}"
        happened[seed] = counts
    total = sum(happened.values(), start=type(happened[0])())
    for name in (
        "leaders elected",
        "terms begun",
        "entries committed",
        "snapshots taken",
        "snapshots installed",
        "configurations committed",
        "crashes survived",
        "pauses",
        "partitions",
        "clock drifts",
        "seeds with message loss",
        "messages duplicated",
        "operations returned",
        "histories linearizable",
    ):
        assert total[name] > 0, name
    assert total["histories too hard to decide"] == 0


def test_a_seed_repeats_exactly() -> None:
    assert run(3) == run(3)
