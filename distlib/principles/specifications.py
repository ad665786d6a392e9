"""Abstract specifications as Models, to read beside their TLA+ originals (github.com/tlaplus/Examples, directory
``specifications``), whose actions have the same names and whose state counts the model checker TLC publishes.

A step is generated once for every way in which its action is enabled, also when the ways lead to the same state,
because that is how TLC counts "states generated".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations, permutations, product
from typing import Any, NamedTuple, TypeVar

from distlib.check.explore.model import Model, Property, always, interchangeable, sometimes
from distlib.core import require

State = TypeVar("State")
Action = tuple[Any, ...]


class SizedModel(Model[State, Action]):
    """A specification whose parameters are numbers of things, each at least 1."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            require.whole(name, value, 1)


@lru_cache(maxsize=2**16)
def replaced(items: tuple[Any, ...], index: int, item: Any) -> tuple[Any, ...]:
    """[items EXCEPT ![index] = item]. Remembered, so that equal parts of many states are one object."""
    return (*items[:index], item, *items[index + 1 :])


@lru_cache(maxsize=2**16)
def added(items: frozenset[Any], item: Any) -> frozenset[Any]:
    """items ∪ {item}. Remembered, as in ``replaced``; a shared frozenset also keeps its hash."""
    return items | {item}


# ------------------------------------------------------------ transaction commit

WORKING, PREPARED, COMMITTED, ABORTED = "working", "prepared", "committed", "aborted"


@dataclass(frozen=True)
class TCommit(SizedModel[tuple[str, ...]]):
    """What transaction commit is: TCommit.tla (Gray & Lamport 2006, §2). A state is the state of each resource manager.
    Published with 3 managers: 34 distinct, 94 generated, depth 7 (transaction_commit/manifest.json)."""

    managers: int = 3

    def initial_states(self) -> list[tuple[str, ...]]:
        return [(WORKING,) * self.managers]

    def successors(self, rm_state: tuple[str, ...]) -> Iterator[tuple[Action, tuple[str, ...]]]:
        can_commit = all(state in (PREPARED, COMMITTED) for state in rm_state)
        not_committed = COMMITTED not in rm_state
        for rm, state in enumerate(rm_state):
            if state == WORKING:
                yield ("Prepare", rm), replaced(rm_state, rm, PREPARED)
            if state == PREPARED and can_commit:
                yield ("Decide", rm, COMMITTED), replaced(rm_state, rm, COMMITTED)
            if state in (WORKING, PREPARED) and not_committed:
                yield ("Decide", rm, ABORTED), replaced(rm_state, rm, ABORTED)

    def canonical(self, rm_state: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(rm_state))

    def properties(self) -> tuple[Property, ...]:
        return always(consistent), sometimes(all_committed), sometimes(all_aborted)


def consistent(rm_state: tuple[str, ...]) -> bool:
    """TCConsistent: no resource manager has committed while another has aborted."""
    return not (COMMITTED in rm_state and ABORTED in rm_state)


def all_committed(rm_state: tuple[str, ...]) -> bool:
    """Every resource manager has committed."""
    return all(state == COMMITTED for state in rm_state)


def all_aborted(rm_state: tuple[str, ...]) -> bool:
    """Every resource manager has aborted."""
    return all(state == ABORTED for state in rm_state)


class TwoPhaseState(NamedTuple):
    """The variables of TwoPhase.tla. Messages are ("Prepared", rm), "Commit" and "Abort"; none is ever removed."""

    rm_state: tuple[str, ...]
    tm_state: str
    tm_prepared: frozenset[int]
    msgs: frozenset[Any]


@dataclass(frozen=True)
class TwoPhase(SizedModel[TwoPhaseState]):
    """Two-phase commit with a transaction manager: TwoPhase.tla (Gray & Lamport 2006, §3). It implements ``TCommit``.
    Published with 3 managers: 288 distinct, 1,146 generated, depth 11 (transaction_commit/manifest.json)."""

    managers: int = 3

    def initial_states(self) -> list[TwoPhaseState]:
        return [TwoPhaseState((WORKING,) * self.managers, "init", frozenset(), frozenset())]

    def successors(self, state: TwoPhaseState) -> Iterator[tuple[Action, TwoPhaseState]]:
        rm_state, tm_state, tm_prepared, msgs = state
        if tm_state == "init":
            if len(tm_prepared) == self.managers:
                yield ("TMCommit",), TwoPhaseState(rm_state, COMMITTED, tm_prepared, added(msgs, "Commit"))
            yield ("TMAbort",), TwoPhaseState(rm_state, ABORTED, tm_prepared, added(msgs, "Abort"))
        for rm in range(self.managers):
            if tm_state == "init" and ("Prepared", rm) in msgs:
                yield ("TMRcvPrepared", rm), TwoPhaseState(rm_state, tm_state, added(tm_prepared, rm), msgs)
            if rm_state[rm] == WORKING:
                sent = added(msgs, ("Prepared", rm))
                yield ("RMPrepare", rm), TwoPhaseState(replaced(rm_state, rm, PREPARED), tm_state, tm_prepared, sent)
                aborted = replaced(rm_state, rm, ABORTED)
                yield ("RMChooseToAbort", rm), TwoPhaseState(aborted, tm_state, tm_prepared, msgs)
            if "Commit" in msgs:
                committed = replaced(rm_state, rm, COMMITTED)
                yield ("RMRcvCommitMsg", rm), TwoPhaseState(committed, tm_state, tm_prepared, msgs)
            if "Abort" in msgs:
                aborted = replaced(rm_state, rm, ABORTED)
                yield ("RMRcvAbortMsg", rm), TwoPhaseState(aborted, tm_state, tm_prepared, msgs)

    def canonical(self, state: TwoPhaseState) -> tuple[Any, ...]:
        rms = range(self.managers)
        sent, received = ((("Prepared", rm) in state.msgs for rm in rms), (rm in state.tm_prepared for rm in rms))
        return state.tm_state, interchangeable(state.rm_state, received, sent)

    def properties(self) -> tuple[Property, ...]:
        return (
            always(lambda state: consistent(state.rm_state), "consistent"),
            sometimes(lambda state: all_committed(state.rm_state), "all committed"),
            sometimes(lambda state: all_aborted(state.rm_state), "all aborted"),
        )


# ------------------------------------------------------------ consensus


@dataclass(frozen=True)
class Consensus(SizedModel[frozenset[int]]):
    """What consensus is: Consensus.tla (Lamport). A state is the set of chosen values: empty, then one value for ever.
    Published with 3 values: 4 distinct, 4 generated, depth 2 (PaxosHowToWinATuringAward/manifest.json)."""

    values: int = 3

    def initial_states(self) -> list[frozenset[int]]:
        return [frozenset()]

    def successors(self, chosen: frozenset[int]) -> Iterator[tuple[Action, frozenset[int]]]:
        if not chosen:
            for value in range(self.values):
                yield ("Next", value), frozenset({value})

    def canonical(self, chosen: frozenset[int]) -> int:
        return len(chosen)

    def properties(self) -> tuple[Property, ...]:
        return always(lambda chosen: len(chosen) <= 1, "at most one value chosen"), sometimes(bool, "a value chosen")


@dataclass(frozen=True)
class BallotModel(SizedModel[State]):
    """Acceptors vote for values in numbered ballots; what a quorum has voted for in one ballot is chosen."""

    acceptors: int = 3
    values: int = 2
    ballots: int = 2

    @cached_property
    def quorums(self) -> tuple[tuple[int, ...], ...]:
        """The smallest majorities: any two of them have an acceptor in common."""
        return tuple(combinations(range(self.acceptors), self.acceptors // 2 + 1))

    def chosen(self, state: State) -> frozenset[int]:
        """The values for which some quorum has voted in one ballot."""
        raise NotImplementedError

    def properties(self) -> tuple[Property, ...]:
        return (
            always(lambda state: len(self.chosen(state)) <= 1, "at most one value chosen"),
            sometimes(lambda state: len(self.chosen(state)) == 1, "a value chosen"),
        )


class BallotVote(NamedTuple):
    """A vote for *value* in *ballot*."""

    ballot: int
    value: int


class VotingState(NamedTuple):
    """The variables of Voting.tla: each acceptor's votes, and the ballot below which it will not vote any more."""

    votes: tuple[frozenset[BallotVote], ...]
    max_bal: tuple[int, ...]


@dataclass(frozen=True)
class Voting(BallotModel[VotingState]):
    """Paxos before there were messages: Voting.tla (Lamport). Why a vote is allowed, with the whole state in view.

    Published: 3 acceptors, 2 values, 3 ballots: 6,752 distinct, 41,017 generated, depth 16
    (PaxosHowToWinATuringAward/manifest.json); with 2 ballots and symmetry 77, 451, 11 (Paxos/manifest.json).
    """

    def initial_states(self) -> list[VotingState]:
        return [VotingState((frozenset(),) * self.acceptors, (-1,) * self.acceptors)]

    def successors(self, state: VotingState) -> Iterator[tuple[Action, VotingState]]:
        votes, max_bal = state
        for a, b in product(range(self.acceptors), range(self.ballots)):
            if b > max_bal[a]:
                yield ("IncreaseMaxBal", a, b), VotingState(votes, replaced(max_bal, a, b))
            for v in range(self.values):
                if max_bal[a] <= b and self.may_vote(votes, a, b, v):
                    for quorum in self.quorums:
                        for _ in range(self.shows_safe_at(state, quorum, b, v)):
                            mine = added(votes[a], BallotVote(b, v))
                            yield ("VoteFor", a, b, v), VotingState(replaced(votes, a, mine), replaced(max_bal, a, b))

    def may_vote(self, votes: tuple[frozenset[BallotVote], ...], a: int, b: int, v: int) -> bool:
        """Acceptor *a* has not voted in ballot *b*, and nobody else has voted for another value in it."""
        return all(vote.ballot != b for vote in votes[a]) and all(
            vote.value == v for c, theirs in enumerate(votes) if c != a for vote in theirs if vote.ballot == b
        )

    def shows_safe_at(self, state: VotingState, quorum: tuple[int, ...], b: int, v: int) -> int:
        """ShowsSafeAt(Q, b, v): in how many ways the quorum shows that no value but *v* can be chosen below ballot *b*.
        One if nobody in it has voted below b; else one for each of its votes for *v* in its last ballot before b."""
        if any(state.max_bal[a] < b for a in quorum):
            return 0
        earlier = [vote for a in quorum for vote in state.votes[a] if vote.ballot < b]
        return earlier.count(BallotVote(max(earlier).ballot, v)) if earlier else 1

    def chosen(self, state: VotingState) -> frozenset[int]:
        return frozenset(
            v
            for b, v in product(range(self.ballots), range(self.values))
            if any(all(BallotVote(b, v) in state.votes[a] for a in quorum) for quorum in self.quorums)
        )

    def canonical(self, state: VotingState) -> Any:
        """Acceptors are sorted; of the renamings of the values the least is taken."""
        return min(
            interchangeable(state.max_bal, (tuple(sorted((b, name[v]) for b, v in votes)) for votes in state.votes))
            for name in permutations(range(self.values))
        )


class PaxosState(NamedTuple):
    """The variables of Paxos.tla, a tuple entry an acceptor; no vote is ballot -1 and value -1.

    Messages are ("1a", bal), ("1b", acc, bal, mbal, mval), ("2a", bal, val) and ("2b", acc, bal, val); a
    message once sent stays in the set, so it may be received late, many times or never.
    """

    max_bal: tuple[int, ...]
    max_v_bal: tuple[int, ...]
    max_val: tuple[int, ...]
    msgs: frozenset[tuple[Any, ...]]


@dataclass(frozen=True)
class PaxosSpecification(BallotModel[PaxosState]):
    """Single-decree Paxos over a set of messages: Paxos.tla (Lamport). Proposers and learners need no state.

    Published: 3 acceptors, 2 values, 2 ballots: 3,921 distinct, 23,563 generated, depth 17 (MCPaxosTiny in
    PaxosHowToWinATuringAward/manifest.json); with one of each but 2 ballots 25, 82, 9 (Paxos/manifest.json).
    """

    def initial_states(self) -> list[PaxosState]:
        none = (-1,) * self.acceptors
        return [PaxosState(none, none, none, frozenset())]

    def successors(self, state: PaxosState) -> Iterator[tuple[Action, PaxosState]]:
        max_bal, max_v_bal, max_val, msgs = state
        for b in range(self.ballots):
            yield ("Phase1a", b), PaxosState(max_bal, max_v_bal, max_val, added(msgs, ("1a", b)))
            yield from self.phase2a(state, b)
        for a, b in product(range(self.acceptors), range(self.ballots)):
            if ("1a", b) in msgs and b > max_bal[a]:
                promise = ("1b", a, b, max_v_bal[a], max_val[a])
                yield ("Phase1b", a, b), PaxosState(replaced(max_bal, a, b), max_v_bal, max_val, added(msgs, promise))
            for v in range(self.values):
                if ("2a", b, v) in msgs and b >= max_bal[a]:
                    vote = replaced(max_bal, a, b), replaced(max_v_bal, a, b), replaced(max_val, a, v)
                    yield ("Phase2b", a, b, v), PaxosState(*vote, added(msgs, ("2b", a, b, v)))

    def phase2a(self, state: PaxosState, b: int) -> Iterator[tuple[Action, PaxosState]]:
        """The leader of ballot *b* proposes the value of the highest vote in a quorum's promises, else any value."""
        if any(("2a", b, v) in state.msgs for v in range(self.values)):
            return
        promises = {
            acc: (mbal, mval) for _, acc, _, mbal, mval in (m for m in state.msgs if m[0] == "1b" and m[2] == b)
        }
        for v, quorum in product(range(self.values), self.quorums):
            if all(a in promises for a in quorum):
                voted = [promises[a] for a in quorum if promises[a][0] >= 0]
                for _ in range(voted.count((max(voted)[0], v)) if voted else 1):
                    yield ("Phase2a", b, v), state._replace(msgs=added(state.msgs, ("2a", b, v)))

    def chosen(self, state: PaxosState) -> frozenset[int]:
        return frozenset(
            v
            for b, v in product(range(self.ballots), range(self.values))
            if any(all(("2b", a, b, v) in state.msgs for a in quorum) for quorum in self.quorums)
        )
