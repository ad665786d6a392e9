"""The inductive argument, by enumeration: an invariant that holds at the start and that no step can break.

A search shows that nothing bad is *reachable*. Induction asks more: if no step out of **any** state that satisfies the
invariant, reachable or not, leads out of the invariant, it holds for ever, however long the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations, product
from typing import Any

from distlib.principles.specifications import BallotVote, Voting, VotingState

Invariant = Callable[[VotingState], bool]


@dataclass(frozen=True)
class Induction:
    """What ``induction`` found: ``holding`` of all ``states`` satisfy the invariant, ``steps`` lead out of them, both
    counted up to ``escape``: a state that satisfies it, a step, and the state after it, which does not."""

    names: tuple[str, ...]
    starts: bool
    states: int
    holding: int
    steps: int
    escape: tuple[VotingState, Any, VotingState] | None

    @property
    def inductive(self) -> bool:
        """Whether it holds at the start and every step preserves it."""
        return self.starts and self.escape is None

    def __str__(self) -> str:
        what = " and ".join(self.names)
        if not self.starts:
            return f"{what}: does not even hold at the start"
        if self.escape is None:
            return (
                f"{what}: {self.holding:,} of all {self.states:,} states satisfy it, and all {self.steps:,} steps "
                "out of them stay inside. It is inductive."
            )
        before, action, after = self.escape
        return (
            f"{what}: not inductive. State {self.holding:,} of those that satisfy it has a step that leads out.\n"
            f"  before  {shown(before)}\n  step    {told(action)}\n  after   {shown(after)}"
        )

    __repr__ = __str__


def induction(model: Voting, *invariants: Invariant) -> Induction:
    """Whether the conjunction of ``invariants`` is inductive in ``model``: every state is tried (two ballots of three
    acceptors and two values have 110,592). Raises ``ValueError`` without an invariant, and above a million states."""
    if not invariants:
        raise ValueError("induction needs at least one invariant, a function of a state")
    states = ((model.ballots + 1) * 2 ** (model.ballots * model.values)) ** model.acceptors
    if states > 1_000_000:
        raise ValueError(f"{model!r} has {states:,} states; induction by enumeration takes a million at most")

    def holds(state: VotingState) -> bool:
        return all(one(state) for one in invariants)

    names = tuple(one.__name__.replace("_", " ") for one in invariants)
    starts = all(holds(state) for state in model.initial_states())
    holding = steps = 0
    for state in every_state(model):
        if not holds(state):
            continue
        holding += 1
        for action, after in model.successors(state):
            steps += 1
            if not holds(after):
                return Induction(names, starts, states, holding, steps, (state, action, after))
    return Induction(names, starts, states, holding, steps, None)


def every_state(model: Voting) -> Iterator[VotingState]:
    """Every value of the model's variables, reachable or not, those with fewer votes first."""
    votes = [BallotVote(b, v) for b, v in product(range(model.ballots), range(model.values))]
    subsets = [frozenset(some) for size in range(len(votes) + 1) for some in combinations(votes, size)]
    casts = sorted(product(subsets, repeat=model.acceptors), key=lambda cast: sum(map(len, cast)))
    for cast in casts:
        for max_bal in product(range(-1, model.ballots), repeat=model.acceptors):
            yield VotingState(cast, max_bal)


# ------------------------------------------------------------ Lamport's invariant of Voting


def agreement(state: VotingState) -> bool:
    """At most one value is chosen: what we want."""
    return len(_of(state).chosen(state)) <= 1


def votes_are_safe(state: VotingState) -> bool:
    """VotesSafe: whoever voted for a value in a ballot did so when no other could be chosen below."""
    return all(safe_at(state, vote.ballot, vote.value) for votes in state.votes for vote in votes)


def safe_at(state: VotingState, ballot: int, value: int) -> bool:
    """SafeAt: in each lower ballot, some quorum has only votes for ``value``, or will never vote there."""
    return all(
        any(all(value_or_never(state, a, lower, value) for a in quorum) for quorum in _of(state).quorums)
        for lower in range(ballot)
    )


def value_or_never(state: VotingState, a: int, ballot: int, value: int) -> bool:
    """Acceptor ``a`` voted for ``value`` in ``ballot``, or did not vote there and never will."""
    if BallotVote(ballot, value) in state.votes[a]:
        return True
    return state.max_bal[a] > ballot and all(vote.ballot != ballot for vote in state.votes[a])


_voting = cache(Voting)


def _of(state: VotingState) -> Voting:
    """A model of as many acceptors, for its quorums; values and ballots up to three are looked at."""
    return _voting(len(state.votes), 3, 3)


# ------------------------------------------------------------ in words


def shown(state: VotingState) -> str:
    """A state in a line: each acceptor's votes (value@ballot), and the ballot that it has reached."""
    words = []
    for a, (votes, reached) in enumerate(zip(state.votes, state.max_bal, strict=True), 1):
        voted = ", ".join(f"{_value(v)}@{b}" for b, v in sorted(votes)) or "nothing"
        words.append(f"A{a} voted {voted}, is at {reached if reached >= 0 else '–'}")
    return "; ".join(words)


def told(action: Any) -> str:
    """A step in words."""
    if action[0] == "VoteFor":
        return f"A{action[1] + 1} votes {_value(action[3])}@{action[2]}"
    return f"A{action[1] + 1} goes to ballot {action[2]}"


def _value(value: int) -> str:
    return "xyzuvw"[value]
