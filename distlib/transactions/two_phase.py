"""Two-phase commit: a transaction on several nodes is committed on all of them, or on none.

Gray, *Notes on Data Base Operating Systems* (1978); Bernstein, Hadzilacos & Goodman, *Concurrency Control and
Recovery in Database Systems* (1987), chapter 7 (below: BHG); Mohan, Lindsay & Obermarck, *Transaction Management in the
R\\* Distributed Database Management System* (1986; below: MLO), whose "basic 2P" this is: it presumes nothing and keeps
every decision until all know it. Each rule is a method of its own, so that a subclass that overrides one method is the
protocol without that rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

from distlib.core import require
from distlib.core.look import Look
from distlib.core.node import Node, NodeId, durable, setting, volatile
from distlib.replication.message import ClientReply
from distlib.transactions.bank import Add, Operations, Read, Work, applied, refusal, writes
from distlib.transactions.message import (
    Acknowledge,
    Answer,
    Begin,
    BeginCommit,
    Begun,
    Collecting,
    Decide,
    Decided,
    Ended,
    Finished,
    Inquire,
    Leaning,
    Outcome,
    Prepare,
    Prepared,
    Reads,
    Record,
    Refused,
    Told,
    Vote,
    Wrote,
)

Pairs = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Round:
    """What a coordinator keeps of a transaction: who takes part with what, the votes, the decision, who has yet to
    acknowledge it, and whom to tell."""

    work: Work
    begun_ms: float = 0.0
    client: NodeId | None = None
    serial: int | None = None
    votes: tuple[tuple[NodeId, Answer, Reads], ...] = ()
    commit: bool | None = None
    waiting: tuple[NodeId, ...] = ()

    @property
    def participants(self) -> tuple[NodeId, ...]:
        """All who take part."""
        return tuple([node for node, _ in self.work])

    @property
    def silent(self) -> tuple[NodeId, ...]:
        """Who has not voted."""
        voted = {node for node, _, _ in self.votes}
        return tuple([node for node in self.participants if node not in voted])

    def with_answer(self, *answers: Answer) -> tuple[NodeId, ...]:
        """Who voted one of ``answers``."""
        return tuple([node for node, answer, _ in self.votes if answer in answers])

    @property
    def reads(self) -> Reads:
        """What all votes together have read."""
        return tuple([pair for _, _, pairs in self.votes for pair in pairs])


@dataclass(frozen=True, slots=True)
class Branch:
    """A participant's part of a transaction that is neither committed nor aborted here. ``work``, if this node began
    it, goes to the coordinator with the vote, and with it whom the client's answer is for."""

    operations: Operations
    coordinator: NodeId
    voters: tuple[NodeId, ...] = ()
    begun_ms: float = 0.0
    prepared: bool = False
    begun: Begin | None = None
    leaning: Leaning | None = None  # of three-phase commit: towards a commit or an abort


class CommitView(NamedTuple):
    """What an observer sees of a node: what it is busy with, the transactions in doubt here, the accounts locked."""

    role: str
    coordinating: tuple[str, ...]
    in_doubt: tuple[str, ...]
    waiting: tuple[str, ...]
    locked: tuple[str, ...]

    @staticmethod
    def role_looks() -> dict[str, Look]:
        """How figures colour a node's lane."""
        return {
            "idle": Look("pale slate"), "collecting votes": Look("pale orange"), "decided": Look("pale green"),
            "waits for locks": Look("yellow"), "in doubt": Look("orange"),
        }  # fmt: skip


@dataclass
class TwoPhaseCommit(Node):
    """One node, which may be coordinator of some transactions and participant in the same or others.

    It holds the accounts ``initial`` at first. A transaction is known by who began it, in which of its lives, and a
    count. ``coordinator`` coordinates what clients ask of this node (None: the node itself). Participants in doubt ask
    the coordinator every ``inquire_ms`` and, if ``cooperative``, each other (BHG §7.4, the cooperative termination
    protocol). ``read_only_votes`` lets those out who have only read (MLO §3): they free their locks with their vote. In
    R*, all work is done by then; here it comes with the request to prepare, and another participant may still wait for
    its locks. So a transaction may then read two moments at two nodes; atomicity is not touched. The coordinator waits
    ``vote_ms`` for votes, and repeats its decision every ``resend_ms``. Times are milliseconds; None is no such timer.
    """

    initial: Pairs = setting((("x", 10),))
    coordinator: NodeId | None = setting(None)
    cooperative: bool = setting(True)
    read_only_votes: bool = setting(False)
    vote_ms: float | None = setting(60.0)
    resend_ms: float | None = setting(40.0)
    inquire_ms: float | None = setting(50.0)

    ENDS: ClassVar[Mapping[type, tuple[type, ...]]] = {
        Prepared: (Finished,), Finished: (Finished,), Decided: (Ended,), Ended: (Ended,), Collecting: (Ended, Decided)
    }  # fmt: skip
    """Which records end what another one speaks of."""

    # the disk
    lives: int = durable(0)  # how often it has started
    log: tuple[Record, ...] = durable(())  # of transactions that are not over
    disk: Pairs = durable(())  # the balances as all finished transactions have left them
    ended: frozenset[tuple[str, bool]] = durable(frozenset())  # those, and whether they were committed

    # memory
    tail: tuple[Record, ...] = volatile(())  # records written and not forced: a crash loses them
    count: int = volatile(0)  # of transactions begun in this life
    heard: dict[tuple[NodeId | None, int | None], bool] = volatile(dict)  # clients' requests for which it began them
    rounds: dict[str, Round] = volatile(dict)  # coordinator: transactions that it has not forgotten
    branches: dict[str, Branch] = volatile(dict)  # participant: those under way here
    queue: tuple[str, ...] = volatile(())  # of them, those that wait for locks, in order of their coming
    balances: dict[str, int] = volatile(dict)
    outcomes: frozenset[tuple[str, bool]] = volatile(frozenset())  # ``ended``, and what is only in the tail
    told: tuple[str, bool] | None = volatile(None)  # the last that a client was told

    def __post_init__(self) -> None:
        super().__post_init__()
        for account, balance in self.initial:
            require.whole(f"initial[{account!r}]", balance, 0)
        for name in ("vote_ms", "resend_ms", "inquire_ms"):
            if (time_ms := getattr(self, name)) is not None:
                require.above(name, time_ms, unit="ms")

    # --- a client's request -------------------------------------------------------------------------------

    def on_begin(self, sender: NodeId, message: Begin) -> None:
        """Begin a transaction: as its coordinator, or as the participant that asks another to coordinate it."""
        check_work(message.work)
        if self.is_repeated(message):
            return
        if message.client is not None and message.serial is not None:
            self.heard[message.client, message.serial] = True
        self.count += 1
        transaction = f"{self.id}.{self.lives}.{self.count}"
        if self.coordinator in (None, self.id):
            self.begin(transaction, Round(message.work, self.now_ms, message.client, message.serial))
            return
        if self.id not in dict(message.work):
            raise ValueError(f"{self.id} is asked for work in which it has no part, and {self.coordinator} coordinates")
        self.admit(transaction, Branch(
            dict(message.work)[self.id], self.coordinator, self.voters(message.work), self.now_ms, begun=message
        ))  # fmt: skip

    def is_repeated(self, message: Begin) -> bool:
        """Whether this node has begun the request's transaction already in this life: a message that came twice. It
        may come late, and after those that its client sent later."""
        return (message.client, message.serial) in self.heard

    def on_begin_commit(self, sender: NodeId, message: BeginCommit) -> None:
        """A participant that is prepared hands its transaction over; its vote counts as asked for."""
        if self.knows(message.transaction):
            commit = (message.transaction, True) in self.outcomes
            self.send_after_sync(sender, Decide(message.transaction, commit, False))
        if self.knows(message.transaction) or message.transaction in self.rounds:
            return
        vote = (sender, Answer.YES, message.reads)
        self.begin(
            message.transaction, Round(message.work, message.begun_ms, message.client, message.serial, votes=(vote,))
        )

    # --- coordinator: the first phase ---------------------------------------------------------------------

    def begin(self, transaction: str, one: Round) -> None:
        """Ask all who have not voted to prepare."""
        self.rounds[transaction] = one
        self.output(Begun(transaction))
        self.log_begin(transaction, one)
        for node, request in self.requests(transaction, one):
            if node in one.silent:
                self.send_after_sync(node, request)
        self.start_timer("vote", self.vote_ms, transaction)
        self.decide_if_ready(transaction)

    def requests(self, transaction: str, one: Round) -> Iterator[tuple[NodeId, Prepare]]:
        """What each participant is asked to do."""
        for node, operations in one.work:
            yield node, Prepare(transaction, operations, self.voters(one.work), one.begun_ms)

    def voters(self, work: Work) -> tuple[NodeId, ...]:
        """Who may be in doubt later. Who is let out with its vote, knows nothing any more, and must not be asked."""
        return voters_of(work) if self.read_only_votes else tuple([node for node, _ in work])

    def log_begin(self, transaction: str, one: Round) -> None:
        """Basic 2P writes nothing before it asks for votes (MLO §2)."""

    def on_vote(self, sender: NodeId, message: Vote) -> None:
        """A participant's vote; a no decides at once."""
        one = self.rounds.get(message.transaction)
        if one is None or not self.is_awaited(one, sender, message):
            return
        self.rounds[message.transaction] = replace(one, votes=self.counted(one, sender, message))
        self.decide_if_ready(message.transaction)

    def is_awaited(self, one: Round, sender: NodeId, message: Vote) -> bool:
        """Only before the decision do votes count, and only those of participants."""
        return one.commit is None and sender in one.participants

    def counted(self, one: Round, sender: NodeId, message: Vote) -> tuple[tuple[NodeId, Answer, Reads], ...]:
        """The votes with this one: each participant has one."""
        if sender not in one.silent:
            return one.votes
        return tuple(sorted((*one.votes, (sender, message.answer, message.reads)), key=lambda vote: vote[0]))

    def decide_if_ready(self, transaction: str) -> None:
        """Abort when somebody has voted no, commit when the votes allow it."""
        one = self.rounds[transaction]
        if one.with_answer(Answer.NO):
            self.decide(transaction, False)
        elif self.may_commit(one):
            self.on_all_yes(transaction)

    def may_commit(self, one: Round) -> bool:
        """Only when *all* have voted yes, or have only read (BHG §7.3, AC3; MLO §2)."""
        return len(one.with_answer(Answer.YES, Answer.READ)) == len(one.participants)

    def on_all_yes(self, transaction: str) -> None:
        """Everybody is prepared: that is the decision."""
        self.decide(transaction, True)

    def on_vote_timeout(self, transaction: str) -> None:
        """Whoever has not voted may have aborted: so does everybody (BHG §7.4)."""
        if transaction in self.rounds and self.rounds[transaction].commit is None:
            self.decide(transaction, False)

    # --- coordinator: the second phase ----------------------------------------------------------------------

    def decide(self, transaction: str, commit: bool) -> None:
        """The decision: on disk first, then to the client and to those who wait for it."""
        one, receivers = self.rounds[transaction], self.receivers(self.rounds[transaction], commit)
        self.cancel_timer("vote", transaction)
        self.log_decision(transaction, commit, receivers)
        self.remember(transaction, commit)
        self.tell(transaction, one, commit)
        asked = self.needs_acknowledgement(commit)
        self.rounds[transaction] = replace(one, commit=commit, waiting=receivers if asked else ())
        self.announce(transaction, receivers)
        if not self.rounds[transaction].waiting:
            self.drop_records(transaction, receivers)
            self.forget(transaction)

    def drop_records(self, transaction: str, receivers: tuple[NodeId, ...]) -> None:
        """Of a transaction that may be forgotten; but what is on disk stays until a decision that somebody has to be
        told of is there, too: else a crash would leave a presumption in its place."""
        if not receivers or not any(self.is_coordinators(one, transaction) for one in self.tail):
            self.log = tuple([one for one in self.log if not self.is_coordinators(one, transaction)])
        self.tail = tuple([one for one in self.tail if not self.is_coordinators(one, transaction)])

    def remember(self, transaction: str, commit: bool) -> None:
        """Who began it elsewhere may ask to commit it once more, when it is long forgotten."""
        if transaction not in self.branches and not transaction.startswith(f"{self.id}."):
            self.outcomes |= {(transaction, commit)}
            if commit:
                self.ended |= {(transaction, commit)}

    @staticmethod
    def is_coordinators(record: Record, transaction: str) -> bool:
        """Whether the coordinator wrote ``record`` for ``transaction``."""
        return isinstance(record, (Collecting, Decided)) and record.transaction == transaction

    def receivers(self, one: Round, commit: bool) -> tuple[NodeId, ...]:
        """Who must hear of the decision: all but those who have aborted already, or have only read."""
        done = one.with_answer(Answer.NO, Answer.READ)
        return tuple([node for node in one.participants if node not in done])

    def log_decision(self, transaction: str, commit: bool, receivers: tuple[NodeId, ...]) -> None:
        """MLO §2: either decision is forced to disk before anybody hears of it."""
        self.force(Decided(transaction, commit, receivers))

    def needs_acknowledgement(self, commit: bool) -> bool:
        """MLO §2: either decision is kept until all have acknowledged it."""
        return True

    def tell(self, transaction: str, one: Round, commit: bool) -> None:
        """The client hears of it as soon as the decision is on disk."""
        self.told = (transaction, commit)
        self.output(Told(transaction, commit))
        if one.client is not None:
            outcome = Outcome(transaction, commit, one.reads if commit else ())
            self.send_after_sync(one.client, ClientReply(one.serial, True, outcome))

    def announce(self, transaction: str, receivers: Iterable[NodeId]) -> None:
        """Send the decision, and again while acknowledgements are missing."""
        one = self.rounds[transaction]
        assert one.commit is not None
        for node in receivers:
            self.send_after_sync(node, Decide(transaction, one.commit, bool(one.waiting)))
        if one.waiting:
            self.start_timer("resend", self.resend_ms, transaction)

    def on_resend_timeout(self, transaction: str) -> None:
        """Somebody has not acknowledged: tell those again."""
        if transaction in self.rounds:
            self.announce(transaction, self.rounds[transaction].waiting)

    def on_acknowledge(self, sender: NodeId, message: Acknowledge) -> None:
        """When all have, the transaction may be forgotten (MLO §2)."""
        one = self.rounds.get(message.transaction)
        if one is None or sender not in one.waiting:
            return
        one = replace(one, waiting=tuple([node for node in one.waiting if node != sender]))
        self.rounds[message.transaction] = one
        if not one.waiting:
            self.write(Ended(message.transaction))
            self.forget(message.transaction)

    def forget(self, transaction: str) -> None:
        """Nobody will ask for this transaction any more, or what ``presumed`` says will be right."""
        del self.rounds[transaction]
        self.cancel_timer("resend", transaction)

    # --- participant: the first phase ------------------------------------------------------------------------

    def on_prepare(self, sender: NodeId, message: Prepare) -> None:
        """Vote, once the locks are to be had. What was aborted here before stays so; a yes is given again."""
        branch = self.branches.get(message.transaction)
        if self.knows(message.transaction):
            answer = Answer.YES if (message.transaction, True) in self.outcomes else Answer.NO
            self.send_after_sync(sender, Vote(message.transaction, answer))
        elif branch is None:
            self.admit(message.transaction, Branch(message.operations, sender, message.voters, message.begun_ms))
        elif branch.prepared:
            self.send_vote(message.transaction, Answer.YES)

    def admit(self, transaction: str, branch: Branch) -> None:
        """Lock what the operations need, all at once, or wait for it in line."""
        self.branches[transaction] = branch
        self.queue = (*self.queue, transaction)
        if blockers := self.blockers(transaction):
            self.on_blocked(transaction, blockers)
        else:
            self.vote(transaction)

    def blockers(self, transaction: str) -> list[str]:
        """Who holds a lock that ``transaction`` needs, or waits in front of it for one."""
        earlier = self.queue[: self.queue.index(transaction)]
        return [
            other for other, branch in self.branches.items()
            if (other in earlier or (other not in self.queue and self.holds_locks(branch)))
            and in_conflict(self.branches[transaction].operations, branch.operations)
        ]  # fmt: skip

    def holds_locks(self, branch: Branch) -> bool:
        """Strict two-phase locking: a participant holds its locks until it knows the decision (BHG, chapter 3)."""
        return True

    def on_blocked(self, transaction: str, blockers: list[str]) -> None:
        """Wait: the coordinator's patience ends a deadlock (``deadlocks.py`` has better ways)."""

    def vote(self, transaction: str) -> None:
        """All locks are held: do the operations if they can be done, and say so."""
        branch = self.branches[transaction]
        self.queue = tuple([one for one in self.queue if one != transaction])
        if reason := self.reason_to_refuse(branch):
            self.output(Refused(transaction, reason))
            self.log_refusal(transaction)
            self.send_vote(transaction, Answer.NO)
            self.let_go(transaction)
        elif self.may_leave(transaction, branch):
            self.send_vote(transaction, Answer.READ)
            self.let_go(transaction)
        else:
            self.prepare(transaction)
            self.send_vote(transaction, Answer.YES)

    def may_leave(self, transaction: str, branch: Branch) -> bool:
        """MLO §3: who has only read need not know how it ends; who began it sends its request with the vote."""
        return self.read_only_votes and not writes(branch.operations) and branch.begun is None

    def reason_to_refuse(self, branch: Branch) -> str:
        """Why the operations cannot be done here; who votes yes must be able to commit, whatever happens (BHG §7.3)."""
        return refusal(self.balances, branch.operations)

    def prepare(self, transaction: str) -> None:
        """From now on the decision is the coordinator's: that is on disk before the vote leaves (MLO §2)."""
        branch = self.branches[transaction]
        self.force(Prepared(transaction, branch.operations, branch.coordinator, branch.voters))
        self.branches[transaction] = replace(branch, prepared=True)
        self.start_timer("inquire", self.inquire_ms, transaction)

    def send_vote(self, transaction: str, answer: Answer) -> None:
        """To the coordinator; the yes of who began the transaction is the request to commit."""
        branch = self.branches[transaction]
        reads = self.reads_for(transaction) if answer is not Answer.NO else ()
        if branch.begun is None:
            self.send_after_sync(branch.coordinator, Vote(transaction, answer, reads))
        elif answer is Answer.NO:
            self.tell(transaction, Round((), client=branch.begun.client, serial=branch.begun.serial), False)
        else:
            work, client, serial = branch.begun.work, branch.begun.client, branch.begun.serial
            request = BeginCommit(transaction, work, branch.begun_ms, client, serial, reads)
            self.send_after_sync(branch.coordinator, request)

    def reads_for(self, transaction: str) -> Reads:
        """What goes with the vote: what this node has read."""
        return self.reads(self.branches[transaction].operations)

    def reads(self, operations: Operations) -> Reads:
        """The balances that the operations ask for, as they are in this transaction's place."""
        found = []
        for at, one in enumerate(operations):
            if isinstance(one, Read):
                found.append((f"{self.id}.{one.account}", applied(self.balances, operations[:at])[one.account]))
        return tuple(found)

    def log_refusal(self, transaction: str) -> None:
        """MLO §2: a participant that aborts by itself forces that to disk, too, before it votes no."""
        self.finish(transaction, False, forced=True)

    # --- participant: the second phase ------------------------------------------------------------------------

    def on_decide(self, sender: NodeId, message: Decide) -> None:
        """Carry out the decision and say so; a repeated one is acknowledged again."""
        if not self.knows(message.transaction):
            self.log_outcome(message.transaction, message.commit)
            self.let_go(message.transaction)
        if message.acknowledge:
            self.send_after_sync(sender, Acknowledge(message.transaction))

    def knows(self, transaction: str) -> bool:
        """Whether the transaction is over here."""
        return (transaction, True) in self.outcomes or (transaction, False) in self.outcomes

    def log_outcome(self, transaction: str, commit: bool) -> None:
        """MLO §2: either decision is on disk before it is acknowledged."""
        self.finish(transaction, commit, forced=True)

    def finish(self, transaction: str, commit: bool, *, forced: bool) -> None:
        """The branch ends: write that down, and make a commit's operations visible."""
        branch = self.branches.get(transaction)
        if commit and branch is not None:
            self.balances = applied(self.balances, branch.operations)
        self.outcomes |= {(transaction, commit)}
        (self.force if forced else self.write)(Finished(transaction, commit))

    def let_go(self, transaction: str) -> None:
        """Free the locks, and let those vote who have waited for them."""
        if self.branches.pop(transaction, None) is None:
            return
        self.queue = tuple([one for one in self.queue if one != transaction])
        self.cancel_timer("inquire", transaction)
        for other in self.queue:
            if other in self.queue and not self.blockers(other):
                self.vote(other)

    # --- in doubt ------------------------------------------------------------------------------------------------

    def on_inquire_timeout(self, transaction: str) -> None:
        """Prepared, and no decision yet: it can neither commit nor abort, only ask (BHG §7.4)."""
        branch = self.branches.get(transaction)
        if branch is None:
            return
        for node in self.whom_to_ask(branch):
            self.send(node, Inquire(transaction, branch.coordinator))
        self.start_timer("inquire", self.inquire_ms, transaction)

    def whom_to_ask(self, branch: Branch) -> tuple[NodeId, ...]:
        """The coordinator and, in cooperative termination, all other voters: one may know, or not have voted yet."""
        others = [node for node in branch.voters if node != self.id] if self.cooperative else []
        return tuple(dict.fromkeys((branch.coordinator, *others)))

    def on_inquire(self, sender: NodeId, message: Inquire) -> None:
        """Tell the decision, if this node knows it, or can make it."""
        if (decision := self.decision(message)) is not None:
            self.send_after_sync(sender, Decide(message.transaction, decision, False))

    def decision(self, message: Inquire) -> bool | None:
        """Commit, abort, or None: not known here, or not made yet."""
        transaction = message.transaction
        if (transaction, True) in self.outcomes:
            return True
        if transaction in self.rounds:
            return self.rounds[transaction].commit
        if (transaction, False) in self.outcomes:
            return self.abort_for_good(transaction)
        mine = message.coordinator == self.id
        if not mine and transaction in self.branches and self.branches[transaction].prepared:
            return None
        if mine and transaction.startswith(f"{self.id}."):
            return self.presumed(transaction)
        return self.abort_for_good(transaction)  # who began it elsewhere may ask to commit it yet

    def abort_for_good(self, transaction: str) -> bool:
        """BHG §7.4: who has not voted yes may abort by itself; before another one relies on it, that is on disk."""
        if (transaction, False) not in self.ended:
            self.finish(transaction, False, forced=True)
            if transaction in self.branches:
                self.send_vote(transaction, Answer.NO)
            self.let_go(transaction)
        return False

    def presumed(self, transaction: str) -> bool:
        """The coordinator's answer for a transaction of which it has no record. With basic 2P that is one without a
        decision, for which it must not wait any more: abort."""
        return False

    # --- the log, and a crash ------------------------------------------------------------------------------------

    def write(self, record: Record) -> None:
        """Write to the log in memory; it gets to disk with the next forced record."""
        self.tail = (*self.tail, record)
        self.output(Wrote(record, False))

    def force(self, record: Record) -> None:
        """Write to the log, and wait until it is on disk: nothing that speaks of it may leave before."""
        self.output(Wrote(record, True))
        records: tuple[Record, ...] = (*self.log, *self.tail, record)
        self.tail = ()
        finished: list[Finished] = [one for one in records if isinstance(one, Finished)]
        committed = {one.transaction for one in finished if one.commit}
        for one in records:
            if isinstance(one, Prepared) and one.transaction in committed:
                self.disk = tuple(sorted(applied(dict(self.disk), one.operations).items()))
        self.ended |= {(one.transaction, one.commit) for one in finished}
        self.log = tuple([one for one in records if not self.is_over(one, records)])

    def is_over(self, record: Record, records: tuple[Record, ...]) -> bool:
        """Whether a record of the log tells nothing any more, as later ones end what it speaks of."""
        ends = self.ENDS[type(record)]
        return any(type(one) in ends and one.transaction == record.transaction for one in records)

    def start(self) -> None:
        """After a crash: prepared branches are in doubt and locked as before, decisions are sent again (MLO §2)."""
        self.lives += 1
        if self.lives == 1:
            self.disk = tuple(sorted(self.initial))
        self.balances, self.outcomes = dict(self.disk), self.ended
        for record in self.log:
            self.recover(record)

    def recover(self, record: Record) -> None:
        """What a record of the log means after a crash."""
        match record:
            case Prepared(transaction, operations, coordinator, voters):
                self.branches[transaction] = Branch(operations, coordinator, voters, prepared=True)
                self.start_timer("inquire", self.inquire_ms, transaction)
            case Decided(transaction, commit, receivers):
                self.rounds[transaction] = Round((), commit=commit, waiting=receivers)
                self.announce(transaction, receivers)

    def start_timer(self, name: str, time_ms: float | None, transaction: str) -> None:
        """(Re)start a transaction's timer, unless it is switched off."""
        if time_ms is not None:
            self.set_timer(name, time_ms, key=transaction)

    def open_here(self) -> list[str]:
        """The transactions that have not ended at this node."""
        return sorted({*self.branches, *self.rounds})

    def view(self) -> CommitView:
        in_doubt = tuple(sorted(one for one, branch in self.branches.items() if branch.prepared))
        held = [branch.operations for one, branch in self.branches.items() if one not in self.queue]
        commits = [one.commit for one in self.rounds.values()]
        role = "in doubt" if in_doubt else "waits for locks" if self.queue else "idle"
        if commits and role != "waits for locks":
            role = "collecting votes" if None in commits else "decided" if not in_doubt else role
        locked = tuple(sorted({one.account for operations in held for one in operations}))
        return CommitView(role, tuple(sorted(self.rounds)), in_doubt, self.queue, locked)


def voters_of(work: Work) -> tuple[NodeId, ...]:
    """Those that change something."""
    return tuple([node for node, operations in work if writes(operations)])


def in_conflict(one: Operations, other: Operations) -> bool:
    """Whether two branches need the same account, and one of them changes it."""
    return any(
        mine.account == theirs.account and (isinstance(mine, Add) or isinstance(theirs, Add))
        for mine in one for theirs in other
    )  # fmt: skip


def check_work(work: Any) -> None:
    """Raises ``TypeError`` or ``ValueError`` for what is no work: naming what is wrong and what would be right."""
    wanted = "pairs of a node and its operations, such as (('S1', (Add('x', -1),)), ('S2', (Add('x', 1),)))"
    if not isinstance(work, tuple) or not all(isinstance(one, tuple) and len(one) == 2 for one in work):
        raise TypeError(f"work is {work!r}; it takes {wanted}")
    require.names("the nodes of work", tuple([node for node, _ in work]))
    for node, operations in work:
        if not isinstance(operations, tuple) or not all(isinstance(one, (Add, Read)) for one in operations):
            raise TypeError(f"work[{node!r}] is {operations!r}; it takes a tuple of Add(…) and Read(…)")


def cluster(node_class: type[Any], names: Iterable[NodeId], **settings: Any) -> list[Any]:
    """A node of ``node_class`` for each name, not yet started."""
    return [node_class(name, **settings) for name in names]


def records_of(node: TwoPhaseCommit) -> Iterator[Record]:
    """What is in the log of ``node``, on disk and in memory."""
    yield from (*node.log, *node.tail)
