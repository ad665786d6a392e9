"""The duel: a run of Paxos in which nothing is chosen, although nothing is lost and every message arrives soon."""

from __future__ import annotations

from distlib.check.cluster.replay import replay, trace_of
from distlib.core.trace import IN_FLIGHT
from distlib.principles.duel import duel, longest_wait, repeats, undecided

ROUNDS, ROUND_STEPS = 6, 13


def test_nothing_is_chosen_although_every_message_arrives_soon() -> None:
    """Fischer, Lynch & Paterson 1985: a safe deterministic protocol has such runs, without loss and without a crash."""
    model, found = duel(ROUNDS)
    worlds = replay(model, found.path)
    assert all(map(undecided, worlds))
    run = trace_of(model, found.path)
    assert longest_wait(run) <= ROUND_STEPS
    under_way = [run.fates.get(number) for number in run.messages["number"]]
    assert set(under_way) == {None, IN_FLIGHT}, "nothing is lost"
    assert under_way.count(IN_FLIGHT) == 3, "all but the last requests have arrived"
    ballots = [world.node("S1").ballot.round for world in worlds] + [world.node("S2").ballot.round for world in worlds]
    assert set(range(1, ROUNDS + 1)) <= set(ballots), "both begin ballot after ballot"


def test_two_rounds_lead_back_to_where_they_began() -> None:
    """But for the ballots, which are two rounds higher: so the run has no end."""
    _, found = duel(ROUNDS)
    ends = [leg.path[-1].state for leg in found.stages[2::3]]
    assert len(ends) == ROUNDS
    assert [repeats(ends[1], end, number) for number, end in enumerate(ends[2:], 1)] == [False, True, False, True]
    assert not repeats(ends[1], ends[3], 1), "the ballots are compared"
    assert len(found.stages[6].path) + len(found.stages[7].path) + len(found.stages[8].path) - 3 == ROUND_STEPS
