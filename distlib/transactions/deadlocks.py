"""Transactions that wait for each other's locks on different nodes: prevent such circles, or find them.

A transaction's locks at one node are taken all at once, so a circle always leads through several nodes. Whoever gives
way, its coordinator decides: a participant that has voted yes cannot abort by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from distlib.core import require
from distlib.core.node import NodeId, setting, volatile
from distlib.transactions.message import Answer, Probe, Refused, Waiter, Wound
from distlib.transactions.two_phase import TwoPhaseCommit


@dataclass
class GivesWay(TwoPhaseCommit):
    """A transaction that is not decided yet aborts when somebody with a better right waits for it."""

    def on_wound(self, sender: NodeId, message: Wound) -> None:
        """Abort, unless it is too late for that: then it is over soon, and lets go."""
        one = self.rounds.get(message.transaction)
        if one is not None and one.commit is None:
            self.decide(message.transaction, False)

    def waiter(self, transaction: str) -> Waiter:
        """A transaction that is under way here, as others need to know it."""
        branch = self.branches[transaction]
        return Waiter(branch.begun_ms, transaction, branch.coordinator)


@dataclass
class RefusesToWait(TwoPhaseCommit):
    """Aguilera et al., *Sinfonia* (2007): whose locks are not free at once, votes no. Nobody waits, and so nobody
    in a circle; much is done in vain."""

    def on_blocked(self, transaction: str, blockers: list[str]) -> None:
        self.output(Refused(transaction, f"{', '.join(blockers)} in the way"))
        self.log_refusal(transaction)
        self.send_vote(transaction, Answer.NO)
        self.let_go(transaction)


@dataclass
class WoundWait(GivesWay):
    """Rosenkrantz, Stearns & Lewis, *System Level Concurrency Control for Distributed Database Systems* (1978):
    the older transaction wounds the younger one that is in its way, the younger waits for the older. Nobody waits for a
    younger one for long, so there is no circle."""

    def on_blocked(self, transaction: str, blockers: list[str]) -> None:
        for one in map(self.waiter, blockers):
            if self.waiter(transaction).older_than(one):
                self.send(one.coordinator, Wound(one.transaction))


@dataclass
class DetectsDeadlocks(GivesWay):
    """Chandy, Misra & Haas, *Distributed Deadlock Detection* (1983): probes run along the edges of who waits for whom;
    one that comes back to where it began has found a circle, whose youngest transaction gives way. Who still waits
    after ``probe_ms`` (None: never) searches anew: a probe may have been lost, or may have come by an edge of a
    transaction that has given way meanwhile, and then the youngest that it has met is none of the circle."""

    probe_ms: float | None = setting(30.0)

    searches: int = volatile(0)  # begun at this node, in this life
    passed: frozenset[tuple[str, str]] = volatile(frozenset())  # which searches were passed on, and at whom

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.probe_ms is not None:
            require.above("probe_ms", self.probe_ms, unit="ms")

    def on_blocked(self, transaction: str, blockers: list[str]) -> None:
        self.searches += 1
        search = f"{self.id}.{self.lives}.{self.searches}"
        self.pass_on(search, (self.waiter(transaction),), blockers)
        self.start_timer("probe", self.probe_ms, transaction)

    def on_probe_timeout(self, transaction: str) -> None:
        """Still waiting: search anew (a node may initiate any number of probe computations, each with its own
        number)."""
        if transaction in self.queue:
            self.on_blocked(transaction, self.blockers(transaction))

    def pass_on(self, search: str, chain: tuple[Waiter, ...], blockers: list[str]) -> None:
        """Follow every edge from the last of ``chain``: at the blocker's coordinator one knows where that waits."""
        for one in map(self.waiter, blockers):
            if one.transaction == chain[0].transaction:
                youngest = max(chain, key=lambda waiter: (waiter.begun_ms, waiter.transaction))
                self.send(youngest.coordinator, Wound(youngest.transaction))
            elif one not in chain:
                self.send(one.coordinator, Probe(search, (*chain, one)))

    def on_probe(self, sender: NodeId, message: Probe) -> None:
        """At its coordinator, one knows who has not voted and may be waiting; such a participant knows for whom. Of all
        ways of one search to a transaction, one is enough (*dependent*, in the paper)."""
        last = message.chain[-1].transaction
        if message.handed_down:
            if last in self.queue:
                self.pass_on(message.search, message.chain, self.blockers(last))
        elif last in self.rounds and (message.search, last) not in self.passed:
            self.passed |= {(message.search, last)}
            for node in self.undecided(last):
                self.send(node, replace(message, handed_down=True))

    def undecided(self, transaction: str) -> Iterator[NodeId]:
        """Who has yet to vote on it."""
        one = self.rounds[transaction]
        yield from one.silent if one.commit is None else ()

    def forget(self, transaction: str) -> None:
        """Nor are searches passed on at it any more."""
        super().forget(transaction)
        self.passed = frozenset([one for one in self.passed if one[1] != transaction])
