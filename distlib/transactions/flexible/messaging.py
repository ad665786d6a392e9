"""Reliable messages (可靠消息): one local transaction, and messages that make the others follow. Nothing is taken back:
whoever consumes must succeed in the end.

Three ways to send a message if, and only if, the local transaction commits. ``Outbox`` (本地消息表): the message is a
row of a table in the same database, written in the same local transaction, and a relay sends it until it is consumed
(Pritchett, *BASE: An Acid Alternative*, ACM Queue 2008; Richardson, *Microservices Patterns*, §3.3.7).
``TransactionalMessage`` (事务消息): the broker stores a *half message* before the local transaction and delivers it
afterwards; of one that it has heard nothing about, it asks back (回查),
https://rocketmq.apache.org/docs/4.x/producer/06message5. ``BestEffort`` (最大努力通知): a bounded number
of notices at growing intervals, then the receiver must ask. In all three, a message may come twice: the consumer
remembers what it has consumed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from distlib.core import require
from distlib.core.look import Look
from distlib.core.node import NodeId, durable, setting, volatile
from distlib.transactions.bank import Operations, Work, refusal
from distlib.transactions.flexible.message import Began, Begin, Ended
from distlib.transactions.flexible.service import Service, check_work

Key = tuple[str, int]
"""A message: the transaction, and the part of its work that the message asks for."""


@dataclass(frozen=True, slots=True)
class Event:
    """Do this part of ``gid``: its first part is committed."""

    gid: str
    part: int
    operations: Operations

    look = Look("blue", place=10)


@dataclass(frozen=True, slots=True)
class Consumed:
    """The message has been consumed, and need not be sent again."""

    gid: str
    part: int

    look = Look("blue", "dot", place=10)


@dataclass(frozen=True, slots=True)
class HalfMessage:
    """Store this, and deliver it only when the local transaction has committed (半消息)."""

    gid: str
    work: Work

    look = Look("purple", place=11)


@dataclass(frozen=True, slots=True)
class HalfStored:
    """It is stored: run the local transaction."""

    gid: str
    work: Work

    look = Look("purple", "dot", place=11)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The local transaction of ``gid`` has committed, or never will."""

    gid: str
    commit: bool

    @property
    def look(self) -> Look:
        """A commit and a rollback differ in colour."""
        return Look("green" if self.commit else "vermillion", place=12)


@dataclass(frozen=True, slots=True)
class CheckBack:
    """What became of the local transaction (回查)?"""

    gid: str

    look = Look("orange", place=13)


@dataclass(frozen=True, slots=True)
class Order:
    """The receiver orders the first part of ``gid``, or asks what became of it (查询对账)."""

    gid: str
    work: Work
    again: bool = False

    look = Look("purple", place=11)


@dataclass(frozen=True, slots=True)
class Notice:
    """The result of the first part of ``gid``: done or refused."""

    gid: str
    commit: bool

    look = Look("green", place=12)


@dataclass(frozen=True, slots=True)
class NoticeHeard:
    """Thank you: no more notices."""

    gid: str

    look = Look("green", "dot", place=12)


@dataclass
class Outbox(Service):
    """One node, which may be producer of some messages and consumer of others. The first part of the work is the
    producer's own; each other part is a message to its node."""

    # producer
    local: dict[str, bool] = durable(dict)  # its local transactions, and whether they have committed
    table: dict[Key, tuple[NodeId, Operations]] = durable(dict)  # the message table: what is not known to be consumed

    # consumer
    inbox: dict[Key, Operations] = durable(dict)  # what has been consumed

    def held(self) -> tuple[str, ...]:
        return tuple([f"{gid}.{part} to send" for gid, part in self.table])

    def open_here(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(gid for gid, _ in self.table))

    # --- producer -------------------------------------------------------------------------------------------

    def on_begin(self, sender: NodeId, message: Begin) -> None:
        """The producer's local transaction; another node passes the request on."""
        check_work(message)
        if self.id != self.initiator(message.work):
            self.send(self.initiator(message.work), message)
        elif not self.is_known(message.gid):
            self.output(Began(message.gid))
            self.initiate(message.gid, message.work)

    def initiator(self, work: Work) -> NodeId:
        """Who begins: the producer."""
        return work[0][0]

    def is_known(self, gid: str) -> bool:
        """Whether the request has been here before."""
        return gid in self.local

    def initiate(self, gid: str, work: Work) -> None:
        """Run the local transaction, with the messages in it; then send them."""
        self.run_locally(gid, work)
        self.recover(gid)

    def run_locally(self, gid: str, work: Work) -> None:
        """The local transaction: the producer's part, and the record that it was done, or refused for good."""
        commit = not refusal(self.balances, work[0][1])
        self.local[gid] = commit
        if commit:
            self.change(gid, work[0][1])
        else:
            self.output(Ended(gid, False))
        if self.is_to_be_sent(commit):
            self.write_messages(gid, work)

    def is_to_be_sent(self, commit: bool) -> bool:
        """A message goes out if, and only if, its local transaction has committed."""
        return commit

    def write_messages(self, gid: str, work: Work) -> None:
        """Insert the messages into the table, in the local transaction that they tell of."""
        for part, (node, operations) in enumerate(work[1:], 1):
            self.table[gid, part] = (node, operations)

    def recover(self, gid: str) -> None:
        """The relay: send what the table holds, until it is consumed."""
        for (name, part), (node, operations) in tuple(self.table.items()):
            if name == gid:
                self.send_after_sync(node, Event(gid, part, operations))
                self.wait(gid)

    def on_retry_timeout(self, gid: str) -> None:
        """Send again what has not been confirmed."""
        self.recover(gid)

    def on_consumed(self, sender: NodeId, message: Consumed) -> None:
        """The row can go."""
        if self.table.pop((message.gid, message.part), None) and message.gid not in self.open_here():
            self.output(Ended(message.gid, True))

    # --- consumer -------------------------------------------------------------------------------------------

    def on_event(self, sender: NodeId, message: Event) -> None:
        """Consume in one local transaction with the record of it. What cannot be done now comes again."""
        key = (message.gid, message.part)
        if not self.is_consumed(key):
            if refusal(self.balances, message.operations):
                return
            self.inbox[key] = message.operations
            self.change(message.gid, message.operations)
        self.send_after_sync(sender, Consumed(*key))

    def is_consumed(self, key: Key) -> bool:
        """A message may come twice and takes effect once (幂等消费)."""
        return key in self.inbox


@dataclass(frozen=True, slots=True)
class Half:
    """A message in the broker's store: from whom, and what became of its local transaction (None: not known)."""

    producer: NodeId
    work: Work
    commit: bool | None = None


@dataclass
class TransactionalMessage(Outbox):
    """With a broker between: it stores the message first, and delivers it when it knows of the commit. It asks back
    every ``check_ms``. (RocketMQ asks 15 times by default, then discards the message; here, it goes on asking.)"""

    broker: NodeId = setting("S3")
    check_ms: float = setting(80.0)

    sending: dict[str, Work] = volatile(dict)  # producer: half messages that are not known to be stored
    halves: dict[str, Half] = durable(dict)  # broker

    def __post_init__(self) -> None:
        super().__post_init__()
        require.above("check_ms", self.check_ms, unit="ms")

    def open_here(self) -> tuple[str, ...]:
        undecided = [gid for gid, half in self.halves.items() if half.commit is None]
        return tuple(dict.fromkeys((*super().open_here(), *undecided, *self.sending)))

    # --- producer -------------------------------------------------------------------------------------------

    def is_known(self, gid: str) -> bool:
        return gid in self.local or gid in self.sending

    def initiate(self, gid: str, work: Work) -> None:
        """First the half message; the local transaction waits until it is stored."""
        self.sending[gid] = work
        self.recover(gid)

    def recover(self, gid: str) -> None:
        """Go on with what is open: send the half message, ask back, or deliver."""
        if gid in self.sending:
            self.send_after_sync(self.broker, HalfMessage(gid, self.sending[gid]))
            self.wait(gid)
        if gid in self.halves and self.halves[gid].commit is None:
            self.set_timer("check", self.check_ms, key=gid)
        super().recover(gid)

    def on_half_stored(self, sender: NodeId, message: HalfStored) -> None:
        """Run the local transaction, unless it was run, or ruled out, before; tell the broker how it went."""
        self.sending.pop(message.gid, None)
        if message.gid not in self.local:
            self.run_locally(message.gid, message.work)
        self.send_after_sync(sender, Verdict(message.gid, self.local[message.gid]))

    def write_messages(self, gid: str, work: Work) -> None:
        """The broker has them."""

    def on_check_back(self, sender: NodeId, message: CheckBack) -> None:
        """Look into the database. A transaction that is not there, and that nobody is about to run, is ruled out."""
        gid = message.gid
        if gid not in self.local and gid not in self.sending:
            self.rule_out(gid)
            self.send_after_sync(sender, Verdict(gid, False))
        elif gid in self.local:
            self.send_after_sync(sender, Verdict(gid, self.local[gid]))

    def rule_out(self, gid: str) -> None:
        """Who says that it did not commit sees to it that it never will (DTM: the check-back inserts the barrier's row;
        RocketMQ leaves that to the application)."""
        self.local[gid] = False
        self.output(Ended(gid, False))

    # --- broker ---------------------------------------------------------------------------------------------

    def on_half_message(self, sender: NodeId, message: HalfMessage) -> None:
        """Store it; it is not to be delivered yet."""
        self.halves.setdefault(message.gid, Half(sender, message.work))
        self.send_after_sync(sender, HalfStored(message.gid, message.work))
        self.recover(message.gid)

    def on_verdict(self, sender: NodeId, message: Verdict) -> None:
        """Deliver it, or drop it."""
        self.settle(message.gid, message.commit)

    def settle(self, gid: str, commit: bool) -> None:
        """The first word on a half message is the last."""
        if self.halves[gid].commit is None:
            self.halves[gid] = replace(self.halves[gid], commit=commit)
            self.cancel_timer("check", gid)
            if commit:
                super().write_messages(gid, self.halves[gid].work)
                super().recover(gid)

    def on_check_timeout(self, gid: str) -> None:
        """No word: the producer, or its message, is lost. Ask back."""
        if self.halves[gid].commit is None:
            self.send(self.halves[gid].producer, CheckBack(gid))
            self.recover(gid)


@dataclass
class BestEffort(Outbox):
    """The receiver orders, the notifier does its part and tells the result ``notices`` times at most, after
    ``notify_ms``, then twice, four times, … that. A receiver that has heard nothing asks every ``ask_ms``."""

    notify_ms: float = setting(15.0)
    notices: int = setting(4)
    ask_ms: float = setting(300.0)

    expected: dict[str, Work] = durable(dict)  # receiver: what it has ordered and not heard of
    told: dict[str, int] = volatile(dict)  # notifier: how often it has told a result

    def __post_init__(self) -> None:
        super().__post_init__()
        require.above("notify_ms", self.notify_ms, unit="ms")
        require.whole("notices", self.notices, 1)
        require.above("ask_ms", self.ask_ms, unit="ms")

    def open_here(self) -> tuple[str, ...]:
        return tuple(self.expected)

    def initiator(self, work: Work) -> NodeId:
        """The receiver orders; the order itself is what it can ask about later."""
        if len(work) != 2:
            raise ValueError(f"a best-effort notification has {len(work)} parts; it takes two: notifier and receiver")
        return work[1][0]

    def is_known(self, gid: str) -> bool:
        return gid in self.expected or (gid, 1) in self.inbox

    def initiate(self, gid: str, work: Work) -> None:
        self.expected[gid] = work
        self.send_after_sync(work[0][0], Order(gid, work))
        self.plan_to_ask(gid)

    def recover(self, gid: str) -> None:
        """After a crash, notices may have been missed: ask."""
        self.on_ask_timeout(gid)

    def plan_to_ask(self, gid: str) -> None:
        """Whoever waits for a notice must ask in the end: nobody promises that one comes."""
        self.set_timer("ask", self.ask_ms, key=gid)

    def on_ask_timeout(self, gid: str) -> None:
        """Nothing was heard: ask what became of it (对账)."""
        if gid in self.expected:
            self.send_after_sync(self.expected[gid][0][0], Order(gid, self.expected[gid], again=True))
            self.plan_to_ask(gid)

    def on_order(self, sender: NodeId, message: Order) -> None:
        """Do the first part, once, then begin to tell the result; an answer to a question is one notice."""
        if message.gid not in self.local:
            self.run_locally(message.gid, message.work)
        if not message.again:
            self.told[message.gid] = 0
            self.set_timer("notify", self.notify_ms, key=(message.gid, sender))
        self.send_after_sync(sender, Notice(message.gid, self.local[message.gid]))

    def write_messages(self, gid: str, work: Work) -> None:
        """There is no table: a crash ends the notices."""

    def on_notify_timeout(self, key: tuple[str, NodeId]) -> None:
        """Not heard yet: tell again, after a longer time each, up to the last."""
        gid, receiver = key
        if gid in self.told:
            self.told[gid] += 1
            self.send(receiver, Notice(gid, self.local[gid]))
            if self.told[gid] < self.notices - 1:
                self.set_timer("notify", self.notify_ms * 2 ** self.told[gid], key=key)

    def on_notice_heard(self, sender: NodeId, message: NoticeHeard) -> None:
        """No more notices."""
        self.told.pop(message.gid, None)
        self.cancel_timer("notify", (message.gid, sender))

    def on_notice(self, sender: NodeId, message: Notice) -> None:
        """The result: do the own part, once. What cannot be done now will be asked for again."""
        gid, work = message.gid, self.expected.get(message.gid)
        if work is not None:
            if message.commit and refusal(self.balances, work[1][1]):
                return
            if message.commit:
                self.inbox[gid, 1] = work[1][1]
                self.change(gid, work[1][1])
                self.output(Ended(gid, True))
            del self.expected[gid]
        self.send_after_sync(sender, NoticeHeard(gid))
