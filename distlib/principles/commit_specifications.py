"""Specifications of atomic commitment as Models, beside those of ``specifications.py``: what a simple broadcast leaves
blocked, what a reliable one does not; a backup coordinator; Paxos Commit.

Their TLA+ originals (github.com/tlaplus/Examples, ``specifications/acp`` and ``…/transaction_commit``) have actions of
the same names; as there, a step is generated once for every way in which its action is enabled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from math import prod
from typing import Any, NamedTuple

from distlib.check.explore.model import Property, always, sometimes
from distlib.principles.specifications import ABORTED, COMMITTED, PREPARED, WORKING, Action, SizedModel, added, replaced

YES, NO = "yes", "no"
UNDECIDED, COMMIT, ABORT = "undecided", "commit", "abort"
WAITING, NOT_SENT = "waiting", "notsent"

# ------------------------------------------------------------ Babaoğlu & Toueg


class Participant(NamedTuple):
    """A participant of ACP_SB.tla; ``forward`` (of ACP_NB) is what it has passed on to each, itself included."""

    vote: str
    alive: bool = True
    decision: str = UNDECIDED
    faulty: bool = False
    vote_sent: bool = False
    forward: tuple[str, ...] = ()


class Coordinator(NamedTuple):
    """The coordinator of ACP_SB.tla."""

    request: tuple[bool, ...]
    vote: tuple[str, ...]
    broadcast: tuple[str, ...]
    decision: str = UNDECIDED
    alive: bool = True
    faulty: bool = False


class CommitmentState(NamedTuple):
    """The variables of ACP_SB.tla and ACP_NB.tla."""

    participant: tuple[Participant, ...]
    coordinator: Coordinator

    def with_participant(self, i: int, **changes: Any) -> CommitmentState:
        """[participant EXCEPT ![i] = …]"""
        return self._replace(participant=replaced(self.participant, i, self.participant[i]._replace(**changes)))

    def with_coordinator(self, **changes: Any) -> CommitmentState:
        """[coordinator EXCEPT …]"""
        return self._replace(coordinator=self.coordinator._replace(**changes))


Step = tuple[Action, CommitmentState]


@dataclass(frozen=True)
class SimpleBroadcast(SizedModel[CommitmentState]):
    """Atomic commitment with a simple broadcast, which is two-phase commit: ACP_SB.tla (Babaoğlu & Toueg 1993). A crash
    in the middle of the broadcast leaves participants blocked. Published with 3 participants: 54,944 distinct, 218,352
    generated, depth 21 (acp/manifest.json)."""

    participants: int = 3

    def initial_states(self) -> Iterator[CommitmentState]:
        n = self.participants
        coordinator = Coordinator((False,) * n, (WAITING,) * n, (NOT_SENT,) * n)
        for votes in product((YES, NO), repeat=n):
            yield CommitmentState(tuple([Participant(vote, forward=self.nothing()) for vote in votes]), coordinator)

    def nothing(self) -> tuple[str, ...]:
        """What a participant has passed on at first."""
        return ()

    def successors(self, state: CommitmentState) -> Iterator[Step]:
        for i in range(self.participants):
            if state.participant[i].alive:
                yield ("parDie", i), state.with_participant(i, alive=False, faulty=True)
                yield from self.par_prog(state, i)
        yield from self.coord_prog(state)

    def par_prog(self, state: CommitmentState, i: int) -> Iterator[Step]:
        """parProg(i): what a participant that is alive may do."""
        me, coordinator = state.participant[i], state.coordinator
        yield from self.vote_or_abort(state, i)
        if me.decision == UNDECIDED and coordinator.broadcast[i] != NOT_SENT:
            yield ("decide", i), state.with_participant(i, decision=coordinator.broadcast[i])

    def vote_or_abort(self, state: CommitmentState, i: int) -> Iterator[Step]:
        """sendVote(i), abortOnVote(i), abortOnTimeoutRequest(i)."""
        me, coordinator = state.participant[i], state.coordinator
        if coordinator.request[i]:
            yield ("sendVote", i), state.with_participant(i, vote_sent=True)
        if me.decision == UNDECIDED:
            if me.vote_sent and me.vote == NO:
                yield ("abortOnVote", i), state.with_participant(i, decision=ABORT)
            if not coordinator.alive and not coordinator.request[i]:
                yield ("abortOnTimeoutRequest", i), state.with_participant(i, decision=ABORT)

    def coord_prog(self, state: CommitmentState) -> Iterator[Step]:
        """coordProgN: the coordinator dies, decides, asks, hears, broadcasts."""
        me = state.coordinator
        if not me.alive:
            return
        yield ("coordDie",), state.with_coordinator(alive=False, faulty=True)
        if me.decision == UNDECIDED and WAITING not in me.vote:
            for _ in range(me.vote.count(NO)):
                yield ("makeDecision",), state.with_coordinator(decision=ABORT)
            if NO not in me.vote:
                yield ("makeDecision",), state.with_coordinator(decision=COMMIT)
        for i, other in enumerate(state.participant):
            if not me.request[i]:
                yield ("request", i), state.with_coordinator(request=replaced(me.request, i, True))
            if me.decision == UNDECIDED and all(me.request) and me.vote[i] == WAITING:
                if other.vote_sent:
                    yield ("getVote", i), state.with_coordinator(vote=replaced(me.vote, i, other.vote))
                elif not other.alive:
                    yield ("detectFault", i), state.with_coordinator(decision=ABORT)
            if me.decision != UNDECIDED and me.broadcast[i] == NOT_SENT:
                yield ("coordBroadcast", i), state.with_coordinator(broadcast=replaced(me.broadcast, i, me.decision))

    def does_not_block(self, state: CommitmentState) -> bool:
        """AC5: every participant that is not faulty decides in the end. Nothing is ever taken back, so that is to say
        that where nothing is left to do but to die, all have decided."""
        if all(one.decision != UNDECIDED or one.faulty for one in state.participant):
            return True
        return any(after != state and "Die" not in action[0] for action, after in self.successors(state))

    def properties(self) -> tuple[Property, ...]:
        return (always(ac1, "AC1"), always(ac2, "AC2"), always(ac3, "AC3_1"))


@dataclass(frozen=True)
class NonBlocking(SimpleBroadcast):
    """The same with a reliable broadcast: each participant passes the decision on to all before it decides: ACP_NB.tla.
    Published with 2 participants: 4,284 distinct, 23,988 generated, depth 19 (acp/manifest.json)."""

    participants: int = 2

    def nothing(self) -> tuple[str, ...]:
        return (NOT_SENT,) * self.participants

    def successors(self, state: CommitmentState) -> Iterator[Step]:
        for i, j in product(range(self.participants), repeat=2):  # parProgNNB chooses both, also where j is not used
            if state.participant[i].alive:
                yield ("parDie", i), state.with_participant(i, alive=False, faulty=True)
                yield from self.vote_or_abort(state, i)
                yield from self.abort_on_timeout(state, i)
                yield from self.broadcast(state, i, j)
        yield from self.coord_prog(state)

    def broadcast(self, state: CommitmentState, i: int, j: int) -> Iterator[Step]:
        """forward(i, j), preDecideOnForward(i, j), preDecide(i), decideNB(i)."""
        me, other = state.participant[i], state.participant[j]
        own, sent = me.forward[i], state.coordinator.broadcast[i]
        if i != j and own != NOT_SENT and me.forward[j] == NOT_SENT:
            yield ("forward", i, j), state.with_participant(i, forward=replaced(me.forward, j, own))
        if i != j and own == NOT_SENT and other.forward[i] != NOT_SENT:
            heard = replaced(me.forward, i, other.forward[i])
            yield ("preDecideOnForward", i, j), state.with_participant(i, forward=heard)
        if own == NOT_SENT and sent != NOT_SENT:
            yield ("preDecide", i), state.with_participant(i, forward=replaced(me.forward, i, sent))
        if NOT_SENT not in me.forward:
            yield ("decideNB", i), state.with_participant(i, decision=own)

    def abort_on_timeout(self, state: CommitmentState, i: int) -> Iterator[Step]:
        """abortOnTimeout(i): the coordinator is dead, and nobody who is alive can hear of a decision any more."""
        everybody = state.participant
        unheard = all(not one.alive or sent == NOT_SENT
                      for one, sent in zip(everybody, state.coordinator.broadcast, strict=True))  # fmt: skip
        silent = all(
            one.alive or not other.alive or one.forward[k] == NOT_SENT
            for one in everybody for k, other in enumerate(everybody)
        )  # fmt: skip
        if everybody[i].decision == UNDECIDED and not state.coordinator.alive and unheard and silent:
            yield ("abortOnTimeout", i), state.with_participant(i, decision=ABORT)

    def properties(self) -> tuple[Property, ...]:
        return (*super().properties(), always(self.does_not_block, "AC5"))


@dataclass(frozen=True)
class WronglyForwarded(NonBlocking):
    """ACP_NB_WRONG_TLC.tla: a participant decides first, and passes the decision on afterwards. It violates AC1."""

    def broadcast(self, state: CommitmentState, i: int, j: int) -> Iterator[Step]:
        """decide(i), forward(i, j), decideOnForward(i, j)."""
        me, other = state.participant[i], state.participant[j]
        if me.decision == UNDECIDED and state.coordinator.broadcast[i] != NOT_SENT:
            yield ("decide", i), state.with_participant(i, decision=state.coordinator.broadcast[i])
        if i != j and me.forward[j] == NOT_SENT:  # the original asks for a decision that is not *notsent*: always true
            yield ("forward", i, j), state.with_participant(i, forward=replaced(me.forward, j, me.decision))
        if i != j and me.decision == UNDECIDED and other.forward[i] != NOT_SENT:
            yield ("decideOnForward", i, j), state.with_participant(i, decision=other.forward[i])


def ac1(state: CommitmentState) -> bool:
    """No two participants decide differently."""
    return not {COMMIT, ABORT} <= {one.decision for one in state.participant}


def ac2(state: CommitmentState) -> bool:
    """Commit only if all vote yes."""
    decided = any(one.decision == COMMIT for one in state.participant)
    return not decided or all(one.vote == YES for one in state.participant)


def ac3(state: CommitmentState) -> bool:
    """Abort only if somebody votes no, or is faulty."""
    decided = any(one.decision == ABORT for one in state.participant)
    return not decided or state.coordinator.faulty or any(one.vote == NO or one.faulty for one in state.participant)


# ------------------------------------------------------------ a backup of the transaction manager

FAILED, HIDDEN, INIT, DONE = "failed", "hidden", "init", "Done"


class BackupState(NamedTuple):
    """The variables of 2PCwithBTM.tla: managers, transaction manager, and the program counters of all."""

    rm_state: tuple[str, ...]
    tm_state: str
    rm_pc: tuple[str, ...]
    tm_pc: str
    btm_pc: str


@dataclass(frozen=True)
class TwoPhaseWithBackup(SizedModel[BackupState]):
    """Two-phase commit whose transaction manager may fail, with a backup that takes over: 2PCwithBTM.tla (M. Demirbas),
    where one manager may fail as well. Published with 3 managers: 1,245 distinct, 5,841 generated, depth 15
    (transaction_commit/manifest.json)."""

    managers: int = 3

    def initial_states(self) -> list[BackupState]:
        return [BackupState((WORKING,) * self.managers, INIT, ("RS",) * self.managers, "TS", "BTS")]

    def successors(self, state: BackupState) -> Iterator[tuple[Action, BackupState]]:
        yield from self.transaction_manager(state)
        yield from self.backup(state)
        for rm in range(self.managers):
            if state.rm_pc[rm] == "RS":
                yield from self.manager(state, rm)
        if {*state.rm_pc, state.tm_pc, state.btm_pc} == {DONE}:
            yield ("Terminating",), state

    def manager(self, state: BackupState, rm: int) -> Iterator[tuple[Action, BackupState]]:
        """RS(rm): prepare, decide or fail, while working or prepared."""
        mine = state.rm_state[rm]
        if mine not in (WORKING, PREPARED):
            yield ("RS", rm), state._replace(rm_pc=replaced(state.rm_pc, rm, DONE))
            return
        if mine == WORKING:
            yield ("Prepare", rm), self.with_state(state, rm, PREPARED)
        if state.tm_state == COMMIT:
            yield ("Decide", rm, COMMITTED), self.with_state(state, rm, COMMITTED)
        for _ in range((mine == WORKING) + (state.tm_state == ABORT)):
            yield ("Decide", rm, ABORTED), self.with_state(state, rm, ABORTED)
        yield ("Fail", rm), state if FAILED in state.rm_state else self.with_state(state, rm, FAILED)

    def with_state(self, state: BackupState, rm: int, new: str) -> BackupState:
        """[rmState EXCEPT ![rm] = new]"""
        return state._replace(rm_state=replaced(state.rm_state, rm, new))

    def can(self, state: BackupState) -> Iterator[str]:
        """canCommit, canAbort: in as many ways as they hold. For canCommit, each manager is prepared, *or* some other
        one has committed, which TLC goes through manager by manager."""
        committed = state.rm_state.count(COMMITTED)
        for _ in range(prod((one == PREPARED) + committed for one in state.rm_state)):
            yield COMMIT
        for _ in range(0 if committed else state.rm_state.count(ABORTED) + state.rm_state.count(FAILED)):
            yield ABORT

    def transaction_manager(self, state: BackupState) -> Iterator[tuple[Action, BackupState]]:
        """TS, TC, F1, TA, F2: decide, say so, and hide."""
        if state.tm_pc == "TS":
            for decision in self.can(state):
                yield ("TS", decision), state._replace(tm_pc=decision)
        elif state.tm_pc in (COMMIT, ABORT):
            yield (
                ("T", state.tm_pc),
                state._replace(tm_state=state.tm_pc, tm_pc="F1" if state.tm_pc == COMMIT else "F2"),
            )
        elif state.tm_pc != DONE:
            yield (state.tm_pc,), state._replace(tm_state=HIDDEN, tm_pc=DONE)

    def backup(self, state: BackupState) -> Iterator[tuple[Action, BackupState]]:
        """BTS, BTC, BTA: decide where the manager is hidden."""
        if state.btm_pc == "BTS" and state.tm_state == HIDDEN:
            for decision in self.can(state):
                yield ("BTS", decision), state._replace(btm_pc=decision)
        elif state.btm_pc in (COMMIT, ABORT):
            yield ("BT", state.btm_pc), state._replace(tm_state=state.btm_pc, btm_pc=DONE)

    def properties(self) -> tuple[Property, ...]:
        return (always(lambda state: not {ABORTED, COMMITTED} <= set(state.rm_state), "Consistency"),)


# ------------------------------------------------------------ Paxos Commit


class PaxosCommitState(NamedTuple):
    """The variables of PaxosCommit.tla: managers; of each instance and acceptor (mbal, bal, val); the messages."""

    rm_state: tuple[str, ...]
    acceptors: tuple[tuple[tuple[int, int, str], ...], ...]
    msgs: frozenset[tuple[Any, ...]]


@dataclass(frozen=True)
class PaxosCommitSpecification(SizedModel[PaxosCommitState]):
    """Paxos Commit: PaxosCommit.tla (Gray & Lamport 2006, §4). Published with 2 managers, 3 acceptors, ballots 0 and 1:
    1,321,761 distinct, 16,959,159 generated, depth 28 (transaction_commit/manifest.json)."""

    managers: int = 2
    acceptors: int = 3
    ballots: int = 2

    def initial_states(self) -> list[PaxosCommitState]:
        instance = ((0, -1, "none"),) * self.acceptors
        return [PaxosCommitState((WORKING,) * self.managers, (instance,) * self.managers, frozenset())]

    @property
    def majorities(self) -> tuple[tuple[int, ...], ...]:
        """The smallest ones."""
        return tuple(combinations(range(self.acceptors), self.acceptors // 2 + 1))

    def successors(self, state: PaxosCommitState) -> Iterator[tuple[Action, PaxosCommitState]]:
        for rm in range(self.managers):
            yield from self.manager(state, rm)
        for bal, rm in product(range(1, self.ballots), range(self.managers)):
            yield ("Phase1a", bal, rm), state._replace(msgs=added(state.msgs, ("1a", rm, bal)))
            yield from self.phase2a(state, bal, rm)
        yield from self.decide(state)
        for acc in range(self.acceptors):
            yield from self.acceptor(state, acc)

    def manager(self, state: PaxosCommitState, rm: int) -> Iterator[tuple[Action, PaxosCommitState]]:
        """RMPrepare, RMChooseToAbort, RMRcvCommitMsg, RMRcvAbortMsg."""
        rm_state, msgs = state.rm_state, state.msgs
        if rm_state[rm] == WORKING:
            for name, value in (("RMPrepare", PREPARED), ("RMChooseToAbort", ABORTED)):
                sent = added(msgs, ("2a", rm, 0, value))
                yield (name, rm), PaxosCommitState(replaced(rm_state, rm, value), state.acceptors, sent)
        for message, value in (("Commit", COMMITTED), ("Abort", ABORTED)):
            if (message,) in msgs:
                yield (f"RMRcv{message}Msg", rm), state._replace(rm_state=replaced(rm_state, rm, value))

    def phase2a(self, state: PaxosCommitState, bal: int, rm: int) -> Iterator[tuple[Action, PaxosCommitState]]:
        """A leader proposes the value of the highest vote in a majority's promises, else *aborted*."""
        msgs = state.msgs
        if any(one[0] == "2a" and one[1:3] == (rm, bal) for one in msgs):
            return
        promises = {one[5]: (one[3], one[4]) for one in msgs if one[0] == "1b" and one[1:3] == (rm, bal)}
        for majority in self.majorities:
            if all(acc in promises for acc in majority):
                highest, value = max(promises[acc] for acc in majority)
                proposal = ("2a", rm, bal, ABORTED if highest < 0 else value)
                yield ("Phase2a", bal, rm), state._replace(msgs=added(msgs, proposal))

    def decide(self, state: PaxosCommitState) -> Iterator[tuple[Action, PaxosCommitState]]:
        """Commit when all instances have chosen *prepared*, abort when one has chosen *aborted*."""
        for _ in range(prod(self.ways_chosen(state, rm, PREPARED) for rm in range(self.managers))):
            yield ("Decide", COMMIT), state._replace(msgs=added(state.msgs, ("Commit",)))
        for _ in range(sum(self.ways_chosen(state, rm, ABORTED) for rm in range(self.managers))):
            yield ("Decide", ABORT), state._replace(msgs=added(state.msgs, ("Abort",)))

    def ways_chosen(self, state: PaxosCommitState, rm: int, value: str) -> int:
        """How many majorities have accepted ``value`` in the instance of ``rm`` at one ballot."""
        return sum(
            all(("2b", acc, rm, bal, value) in state.msgs for acc in majority)
            for bal in range(self.ballots) for majority in self.majorities
        )  # fmt: skip

    def acceptor(self, state: PaxosCommitState, acc: int) -> Iterator[tuple[Action, PaxosCommitState]]:
        """Phase1b and Phase2b, for each message that enables them."""
        for message in state.msgs:
            if message[0] == "1a":
                _, rm, bal = message
                mbal, last, value = state.acceptors[rm][acc]
                if mbal < bal:
                    promise = ("1b", rm, bal, last, value, acc)
                    yield ("Phase1b", acc, message), self.with_vote(state, rm, acc, (bal, last, value), promise)
            elif message[0] == "2a":
                _, rm, bal, value = message
                if state.acceptors[rm][acc][0] <= bal:
                    vote = ("2b", acc, rm, bal, value)
                    yield ("Phase2b", acc, message), self.with_vote(state, rm, acc, (bal, bal, value), vote)

    def with_vote(
        self, state: PaxosCommitState, rm: int, acc: int, now: tuple[int, int, str], message: tuple[Any, ...]
    ) -> PaxosCommitState:
        """[aState EXCEPT ![rm][acc] = now], and the message sent."""
        instance = replaced(state.acceptors[rm], acc, now)
        return PaxosCommitState(state.rm_state, replaced(state.acceptors, rm, instance), added(state.msgs, message))

    def properties(self) -> tuple[Property, ...]:
        return (
            always(lambda state: not {ABORTED, COMMITTED} <= set(state.rm_state), "TCConsistent"),
            sometimes(lambda state: set(state.rm_state) == {COMMITTED}, "all committed"),
            sometimes(lambda state: set(state.rm_state) == {ABORTED}, "all aborted"),
        )
