"""A run of Paxos in which nothing is ever chosen: the schedule that Fischer, Lynch and Paterson (JACM 1985) promise.

Two proposers take turns. All acceptors promise the one's ballot just before the other's requests to accept arrive, and
so refuse them. Nothing is lost, links keep their order, and every message arrives within a dozen steps. The search is
led through a round in three legs; ``repeats`` shows that two rounds lead back to where they began, but for the numbers
of the ballots, so the run has no end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.replay import STEP_MS
from distlib.check.cluster.world import World
from distlib.check.explore.explore import Result, Stage, explore_staged
from distlib.core.trace import Trace
from distlib.paxos.message import NO_BALLOT, Accept, Ballot, Promise
from distlib.paxos.paxos import Paxos
from distlib.paxos.searches import A, B, paxos_model

PROPOSERS = ("S1", "S2")


def undecided(world: World) -> bool:
    """No acceptor has accepted anything: no value is chosen, nor could one be learnt."""
    return all(node.accepted_value is None for node in world.all_nodes().values())


def all_promised(ballot: Ballot) -> Callable[[World], bool]:
    """A goal: every acceptor has promised ``ballot``, and nothing was accepted."""

    def goal(world: World) -> bool:
        return undecided(world) and all(node.promised == ballot for node in world.all_nodes().values())

    return goal


def only_under_way(ballot: Ballot, kind: type[Promise] | type[Accept]) -> Callable[[World], bool]:
    """A goal: nothing is under way but three messages of one ``kind`` and ``ballot``, and nothing was accepted."""

    def goal(world: World) -> bool:
        messages = [one.message for one in world.messages()]
        fitting = [one for one in messages if isinstance(one, kind) and one.ballot == ballot]
        return len(fitting) == len(messages) == 3 and undecided(world)

    return goal


def duel(rounds: int) -> tuple[ClusterModel, Result]:
    """The model, and the staged search for so many rounds: in each, the other proposer begins a ballot, gets three
    promises, and asks for acceptances, which are under way when the round ends."""
    stages: list[Stage] = []
    for number in range(1, rounds + 1):
        ballot = Ballot(number, PROPOSERS[(number - 1) % 2])
        begins: dict[str, Any] = {"timeouts": {f"{ballot.proposer}.backoff": 1}}
        if number <= len(PROPOSERS):
            begins = {"requests": [(A, B)[number - 1]]}
        for options, goal in (
            (begins, all_promised(ballot)),
            ({}, only_under_way(ballot, Promise)),  # what the rival asked is refused
            ({}, only_under_way(ballot, Accept)),
        ):
            model = paxos_model(Paxos, learners=("S3",), fifo=True, **options)
            stages.append(Stage(model, goal, model.carry if stages else None))
    return model, explore_staged(stages)


def longest_wait(trace: Trace) -> int:
    """For how many steps a message was under way at the most, those included that still are at the end."""
    arrived = trace.messages["delivered_ms"].fillna(trace.end_ms)
    return round((arrived - trace.messages["sent_ms"]).max() / STEP_MS)


def repeats(world: World, later: World, rounds: int) -> bool:
    """Whether ``later`` is ``world`` with every ballot so many ``rounds`` higher.

    The protocol compares ballots and knows no lowest one in use, so what could follow ``world`` can follow ``later``.
    The count of failures is left out: it only stretches pauses, and there is no clock here.
    """
    return _raised(_content(world), rounds) == _content(later)


def _content(world: World) -> Any:
    """States of nodes, their timers, and messages."""
    kept = [place for place, name in enumerate(Paxos.state_names()) if name != "failures"]
    nodes = [
        (name, tuple(state[at] for at in kept), timers) for name, state, timers in (one.value for one in world.nodes)
    ]
    return tuple(nodes), tuple(one.value for one in world.network)


def _raised(value: Any, rounds: int) -> Any:
    """``value`` with every ballot in it so many rounds higher."""
    if isinstance(value, Ballot):
        return value if value == NO_BALLOT else replace(value, round=value.round + rounds)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: _raised(getattr(value, one.name), rounds) for one in fields(value)})
    if isinstance(value, tuple):
        parts = [_raised(one, rounds) for one in value]
        return type(value)._make(parts) if hasattr(value, "_make") else tuple(parts)
    return value
