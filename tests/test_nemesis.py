"""A small part of the nemesis campaign; ``python -m tests.nemesis --seeds 10000 --processes 2`` is all of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from random import Random

import pytest

from distlib.core.node import with_peers
from distlib.paxos.invariants import multi_paxos_invariants
from distlib.paxos.multi_paxos import MultiPaxos
from distlib.replication.client import Client
from tests.nemesis import CASES, Case, build, campaign, run, table

SEEDS = range(50, 110)  # the rarest events, a hole filled and a leader that refuses a vote, happen in them


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_nothing_breaks_and_everything_happens(case: Case) -> None:
    totals, problems = campaign([case], SEEDS)
    assert not problems
    assert all(name in table(totals) for name in case.counted())


def test_a_seed_repeats_exactly() -> None:
    for case in CASES[::4]:
        assert run(case, 3) == run(case, 3)


def test_what_never_happens_is_a_problem() -> None:
    """Paxos begins ballots, but nobody in it serves reads."""
    reads = replace(CASES[0], events=("ballots begun", "reads after a round"))
    _, problems = campaign([reads], range(30))
    assert problems == [("Paxos", -1, "reads after a round: none")]


class HurriesToPhase2(MultiPaxos):
    """Leads with its own promise."""

    def is_phase1_quorum(self, who: Collection[str]) -> bool:
        return True


def test_what_breaks_is_a_problem() -> None:
    def make(random: Random, names: tuple[str, ...]) -> list[HurriesToPhase2]:
        return with_peers(HurriesToPhase2, names, suspect_ms=(50, 200))

    broken = Case("Multi-Paxos, broken", make, multi_paxos_invariants, ())
    _, problems = campaign([broken], range(12))
    found = {what.split(" broken at ")[0] for _, _, what in problems}
    assert {"agreement per slot", "prefix consistency"} <= found
    assert any(isinstance(node, Client) for node in build(broken, 1).nodes.values())
