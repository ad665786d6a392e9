"""Money moves between two real databases, several clients at a time, and a process is killed at a chosen step.

    result = real_transactions(RealTransactionsParams(victim="coordinator", step="decided"))
    result.in_doubt     # what the databases reported after the kill, in their own words
    result.verdicts()   # money conserved, nothing in doubt, every acknowledged commit there

The coordinator, with the clients in it, is a process of its own; what it has told this one before the kill is what the
clients know. An observer reads both databases all the while, in one transaction with locks, and adds up the money.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, fields
from functools import cached_property, partial
from typing import Any

import pandas as pd

from distlib.core.codec import to_data
from distlib.core.node import NodeId
from distlib.core.parameter import Parameters, parameter
from distlib.real.child import Child, ChildError
from distlib.transactions.bank import Work, transfer
from distlib.transactions.presumptions import PresumedAbort, PresumedCommit
from distlib.transactions.real.coordinator import STEPS
from distlib.transactions.real.database import DatabaseDownError, InDoubt, LockedError
from distlib.transactions.real.flexible import AT, TCC, Outbox, Saga
from distlib.transactions.real.postgres import PostgresServer
from distlib.transactions.real.sqlite_participant import SQLiteParticipant
from distlib.transactions.two_phase import TwoPhaseCommit

DATABASES: dict[str, Any] = {"SQLite": SQLiteParticipant, "PostgreSQL": PostgresServer}
PROTOCOLS: dict[str, type] = {
    "two-phase commit": TwoPhaseCommit, "presumed abort": PresumedAbort, "presumed commit": PresumedCommit,
    "saga": Saga, "TCC": TCC, "AT": AT, "outbox": Outbox,
}  # fmt: skip
COMPARED = ("two-phase commit", "saga", "TCC", "AT", "outbox")
NAMES, COORDINATOR, NOBODY = ("A", "B"), "coordinator", "nobody"
ACCOUNTS, MONEY, CLOSED = 4, 1_000, "closed"
"""Accounts at each database, what each holds at first, and one that is not there: a transfer to it is refused."""
DOWN_S, PATIENCE_S, LOOK_S = 0.3, 15.0, 0.005


@dataclass(frozen=True)
class KillParams(Parameters):
    """Two databases, transfers between them, and who is killed when."""

    database: str = parameter("SQLite", "databases", choices=tuple(DATABASES), help="what both are")
    victim: str = parameter(
        COORDINATOR, "victim", choices=(NOBODY, COORDINATOR, *NAMES), help="who is killed (SIGKILL)"
    )
    step: str = parameter("decided", "step", choices=STEPS, help="when: sagas and the like prepare nothing")
    nth: int = parameter(10, "occurrence", low=1, high=200, help="which of all such steps, counted from 1")
    clients: int = parameter(3, "clients", low=1, high=8, help="each has one transfer under way at a time")
    transfers: int = parameter(40, "transfers", low=1, high=1000, help="of all clients together")
    refused: float = parameter(0.05, "to no account", low=0.0, high=1.0, step=0.05, help="share that must be refused")
    think_ms: float = parameter(15.0, "think time", unit="ms", low=0.0, high=200.0, step=5.0,
        help="of a client before each transfer; without any, a reader hardly ever finds all rows free")  # fmt: skip
    seed: int = parameter(1, "seed", low=0, high=2**31 - 1, help="which transfers")

    def never(self, protocol: str) -> list[str]:
        """A warning where the step does not come with ``protocol``."""
        flexible = not issubclass(PROTOCOLS[protocol], TwoPhaseCommit)
        never = flexible and self.step in ("before prepare", "prepared")
        if self.victim != NOBODY and (never or (protocol == "outbox" and "deci" in self.step)):
            return [f"the step {self.step!r} does not come in the protocol {protocol!r}: nobody will be killed"]
        return []

    @property
    def requests(self) -> list[list[tuple[int, Work]]]:
        """What each client asks, one after the other: a number that no other has, and the work."""
        rng = random.Random(self.seed)
        made: list[list[tuple[int, Work]]] = [[] for _ in range(self.clients)]
        for number in range(self.transfers):
            source, target = rng.sample(NAMES, 2)
            (debit, (at, credit)) = transfer(source, target, rng.randint(1, 9), f"x{rng.randrange(ACCOUNTS)}")
            if rng.random() < self.refused:
                credit = transfer(source, target, 1, CLOSED)[1][1]
            made[number % self.clients].append((number, (debit, (at, credit))))
        return made


@dataclass(frozen=True)
class RealTransactionsParams(KillParams):
    """The same, and how the money moves."""

    protocol: str = parameter("two-phase commit", "protocol", choices=tuple(PROTOCOLS), help="how money moves")

    def warnings(self) -> list[str]:
        """Steps that do not come with this protocol."""
        return self.never(self.protocol)


@dataclass(frozen=True)
class EveryWayParams(KillParams):
    """The same, several ways one after the other."""

    protocols: tuple[str, ...] = parameter(COMPARED, "ways", choices=tuple(PROTOCOLS), several=True, at_least=1,
        help="run one after the other")  # fmt: skip
    step: str = parameter("committed", "step", choices=STEPS, help="when: sagas and the like prepare nothing")

    def check(self) -> None:
        if len(set(self.protocols)) < len(self.protocols):
            raise ValueError(f"protocols holds a way twice: {', '.join(self.protocols)}; each is run once")

    def warnings(self) -> list[str]:
        """Steps that do not come with some of the protocols."""
        return [warning for protocol in self.protocols for warning in self.never(protocol)]

    @property
    def each(self) -> list[RealTransactionsParams]:
        """One run for each way."""
        same = {one.name: getattr(self, one.name) for one in fields(KillParams)}
        return [RealTransactionsParams(**same, protocol=protocol) for protocol in self.protocols]


@dataclass(frozen=True)
class Event:
    """What happened when (seconds since the start), and to whom: ``killed``, ``back``, ``recovered``, ``ended``."""

    at_s: float
    who: str
    what: str


@dataclass(frozen=True, eq=False)
class RealTransactions:
    """One run."""

    params: RealTransactionsParams
    events: tuple[Event, ...]
    answers: dict[int, tuple[str, bool, float]] = field(repr=False)
    """Request: transaction, whether it was committed, when the client heard."""
    counts: Counter[str]
    """Steps that came again, undone steps that had never been, operations refused."""
    listed: tuple[tuple[float, InDoubt], ...] = field(repr=False)
    """What was in doubt at each look at each database, before, during and after."""
    reported: tuple[InDoubt, ...]
    """What both databases report after the kill."""
    left: tuple[InDoubt, ...]
    """What they report at the end."""
    totals: tuple[tuple[float, int], ...] = field(repr=False)
    """When the observer read both databases while clients were at work, and how much money it saw."""
    balances: dict[NodeId, dict[str, int]]
    committed: dict[NodeId, frozenset[str]] = field(repr=False)

    @property
    def money(self) -> int:
        """How much there must be."""
        return len(NAMES) * ACCOUNTS * MONEY

    @cached_property
    def read_meanwhile(self) -> int:
        """How often the observer got through between the first answer and the last."""
        heard = [at_s for _, _, at_s in self.answers.values()]
        return sum(min(heard) < at_s < max(heard) for at_s, _ in self.totals) if heard else 0

    @cached_property
    def wrong(self) -> list[int]:
        """Sums that the observer saw and that have never been right."""
        return [total for _, total in self.totals if total != self.money]

    @property
    def acknowledged(self) -> frozenset[str]:
        """Transactions that clients were told are committed."""
        return frozenset(transaction for transaction, commit, _ in self.answers.values() if commit)

    @property
    def in_doubt(self) -> pd.DataFrame:
        """What both databases report after the kill: columns database, transaction, prepared (s since the start) and
        locked."""
        rows = [(one.database, one.transaction, one.prepared_s, ", ".join(one.locked)) for one in self.reported]
        return pd.DataFrame(rows, columns=["database", "transaction", "prepared_s", "locked"])

    @cached_property
    def locks(self) -> pd.DataFrame:
        """What prepared transactions have locked, as the databases said: columns database, account, transaction, from_s
        and to_s (when it was seen last)."""
        last = {(one.database, one.transaction): (one, at_s) for at_s, one in self.listed}
        rows = [
            (one.database, account, one.transaction, one.prepared_s, at_s)
            for one, at_s in last.values() for account in one.locked
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=["database", "account", "transaction", "from_s", "to_s"])

    @cached_property
    def down(self) -> pd.DataFrame:
        """Who was down from its death until it was back: columns who, from_s and to_s."""
        rows = []
        for died in [event for event in self.events if event.what == "killed"]:
            later = [event.at_s for event in self.events if event.who == died.who and event.at_s > died.at_s]
            rows.append((died.who, died.at_s, min(later)))
        return pd.DataFrame(rows, columns=["who", "from_s", "to_s"])

    @cached_property
    def heard(self) -> pd.DataFrame:
        """What clients were told: columns at_s, transaction and commit."""
        rows = [(at_s, transaction, commit) for transaction, commit, at_s in self.answers.values()]
        return pd.DataFrame(rows, columns=["at_s", "transaction", "commit"])

    @cached_property
    def sums(self) -> pd.DataFrame:
        """What the observer has added up: columns at_s and missing (how much less than there must be)."""
        rows = [(at_s, self.money - total) for at_s, total in self.totals]
        return pd.DataFrame(rows, columns=["at_s", "missing"])

    @property
    def longest_doubt_s(self) -> float:
        """How long a transaction was seen in doubt at most."""
        return max((at_s - one.prepared_s for at_s, one in self.listed), default=0.0)

    @property
    def summary(self) -> pd.DataFrame:
        """One row: how it went, and the anomalies."""
        commits = [commit for _, commit, _ in self.answers.values()]
        taken_back = self.acknowledged - frozenset.intersection(*self.committed.values())
        row = {
            "protocol": self.params.protocol, "database": self.params.database, "committed": sum(commits),
            "aborted": len(commits) - sum(commits), "unanswered": self.params.transfers - len(commits),
            "in doubt after the kill": len(self.reported), "longest in doubt (s)": round(self.longest_doubt_s, 3),
            "sums read": len(self.totals), "wrong sums": len(self.wrong),
            "most money missing": max([self.money - one for one in self.wrong], default=0),
            "commits taken back": len(taken_back), "steps that came again": self.counts["again"],
            "empty cancels": self.counts["empty"],
        }  # fmt: skip
        return pd.DataFrame([row])

    def verdicts(self) -> list[tuple[str, bool | None, str]]:
        """What must hold at the end, with a witness where it does not. That no sum was wrong *meanwhile* is what
        two-phase commit promises, and the flexible ways do not."""
        held = sum(sum(one.values()) for one in self.balances.values())
        here, there = (self.committed[name] for name in NAMES)
        lost, half = self.acknowledged - (here & there), here ^ there
        open_ = sorted({one.transaction for one in self.left})
        return [
            ("the sum of money is what it was", held == self.money, f"{held:,} of {self.money:,}"),
            ("no transaction is in doubt", not open_, ", ".join(open_)),
            ("each transaction is at both databases or at none", not half, ", ".join(sorted(half))),
            ("every acknowledged commit is there", not lost, ", ".join(sorted(lost))),
            (
                "no reader saw a wrong sum", not self.wrong,
                f"{len(self.wrong)} of {len(self.totals)} reads were wrong",
            ),
        ]  # fmt: skip


def real_transactions(
    params: RealTransactionsParams = RealTransactionsParams(),
    progress: Callable[[float, float], object] = lambda done, total: None,
) -> RealTransactions:
    """Start two databases, carry out the transfers, kill, recover, look. ``progress(done, total)`` may raise to stop;
    nothing is left then. Raises ``NoPostgresError`` where there is none, ``ChildError`` when something breaks."""
    with ExitStack() as stack:
        servers = stack.enter_context(databases(params.database))
        observer = stack.enter_context(_observing(servers))
        run = _Run(params, servers, progress)
        reported: tuple[InDoubt, ...] = ()
        if run.life(run.kill(), params.requests):
            reported = in_doubt(servers)
            time.sleep(DOWN_S)
            run.life(None, run.not_begun())
        observer.stop()
        balances, committed = {}, {}
        for name, server in servers.items():
            connection = server.database.connect()
            balances[name] = server.database.locked_balances(connection)
            found = connection.execute("SELECT transaction_id FROM committed").fetchall()
            committed[name] = frozenset(one for (one,) in found)
            connection.close()
        begin_s, end_s = (next(one.at_s for one in run.events if one.what == what) for what in ("recovered", "ended"))
        totals = [(at_s - run.began_s, total) for at_s, total in observer.totals]
        return RealTransactions(
            params, tuple(run.events), run.answers, run.counts, tuple(run.since_begin(observer.listed)),
            tuple(one for _, one in run.since_begin([(0.0, one) for one in reported or run.reported])),
            in_doubt(servers), tuple([one for one in totals if begin_s <= one[0] <= end_s]),
            balances, committed,
        )  # fmt: skip


def every_way(
    params: EveryWayParams = EveryWayParams(), progress: Callable[[float, float], object] = lambda done, total: None
) -> Iterator[RealTransactions]:
    """The same transfers and the same kill several ways, one after the other."""
    for number, one in enumerate(params.each):

        def tell(done: float, total: float, before: int = number) -> None:
            progress(before * total + done, len(params.each) * total)

        yield real_transactions(one, tell)


@contextmanager
def databases(product: str) -> Iterator[dict[NodeId, Any]]:
    """Two of the same kind, started at the same time."""
    accounts = {f"x{number}": MONEY for number in range(ACCOUNTS)}
    with ExitStack() as stack, ThreadPoolExecutor(len(NAMES)) as pool:
        started = [pool.submit(DATABASES[product], name, accounts, pause_s=DOWN_S) for name in NAMES]
        stack.callback(lambda: [one.result().close() for one in started if one.exception() is None])
        yield {name: one.result() for name, one in zip(NAMES, started, strict=True)}


def in_doubt(servers: Mapping[NodeId, Any]) -> tuple[InDoubt, ...]:
    """What the databases have in doubt, as they say themselves."""
    found: list[InDoubt] = []
    for server in servers.values():
        connection = server.database.connect()
        found += server.database.in_doubt(connection)
        connection.close()
    return tuple(found)


class _Run:
    """The lives of the coordinator, seen from outside."""

    def __init__(
        self, params: RealTransactionsParams, servers: Mapping[NodeId, Any], progress: Callable[[float, float], object]
    ) -> None:
        self.params, self.servers, self.progress = params, servers, progress
        self.log = servers[NAMES[0]].home / "log"  # in a directory that is removed whoever dies
        self.began_s = time.time()
        self.events: list[Event] = []
        self.answers: dict[int, tuple[str, bool, float]] = {}
        self.counts: Counter[str] = Counter()
        self.reported: tuple[InDoubt, ...] = ()
        self._killed = ""

    def kill(self) -> dict[str, Any] | None:
        """Who is to be killed when, for the coordinator's task."""
        if self.params.victim == NOBODY:
            return None
        return {"victim": self.params.victim, "step": self.params.step, "nth": self.params.nth}

    def life(self, kill: dict[str, Any] | None, requests: Sequence[Sequence[tuple[int, Work]]]) -> bool:
        """One life of the coordinator; whether it was killed."""
        protocol = PROTOCOLS[self.params.protocol]
        flexible = not issubclass(protocol, TwoPhaseCommit)
        task = {
            "name": COORDINATOR, "log": str(self.log), "room": None, "patience_s": PATIENCE_S, "kill": kill,
            "think_s": self.params.think_ms / 1e3,
            "protocol": protocol.__name__ if flexible else f"{protocol.__module__}:{protocol.__name__}",
            "databases": [to_data(one.database) for one in self.servers.values()],
            "pids": {name: one.program for name, one in self.servers.items()},
            "clients": [[(number, to_data(work)) for number, work in each] for each in requests],
        }  # fmt: skip
        module = f"distlib.transactions.real.{'flexible' if flexible else 'coordinator'}"
        with Child(module, task) as child:
            try:
                while self._heard(child.hear()):
                    pass
            except ChildError:
                if self._killed != COORDINATOR:
                    raise
                self._killed = ""
                return True
        return False

    def _heard(self, told: Mapping[str, Any]) -> bool:
        """Take in what the coordinator tells; False when that was the last."""
        match told:
            case {"answered": {"number": number, "transaction": transaction, "commit": commit}, "at_s": at_s}:
                self.answers[number] = (transaction, commit, at_s - self.began_s)
                self.progress(len(self.answers), self.params.transfers)
            case {"killed": victim, "at_s": at_s}:
                self._killed = victim
                self._event(at_s, victim, "killed")
                if victim != COORDINATOR:
                    _, back_s = self.servers[victim].wait_until_back()
                    self._event(back_s, victim, "back")
                    self.reported = in_doubt(self.servers)
            case {"tick": _}:
                self.progress(len(self.answers), self.params.transfers)
            case {"failed": kind, "says": says}:
                raise ChildError(f"{kind}: {says}")
            case {"recovered_s": at_s}:
                self._event(at_s, COORDINATOR, "recovered")
            case {"ended_s": at_s}:
                self._event(at_s, COORDINATOR, "ended")
                return False
            case _:
                self.counts.update([next(iter(told))])
        return True

    def _event(self, at_s: float, who: str, what: str) -> None:
        self.events.append(Event(at_s - self.began_s, who, what))

    def not_begun(self) -> list[list[tuple[int, Work]]]:
        """What each client has yet to ask: not what it has asked and had no answer to, for that may have been done."""
        rest = []
        for requests in self.params.requests:
            open_ = [at for at, (number, _) in enumerate(requests) if number not in self.answers]
            rest.append(requests[open_[0] + 1 :] if open_ else [])
        return rest

    def since_begin(self, listed: Sequence[tuple[float, InDoubt]]) -> Iterator[tuple[float, InDoubt]]:
        """The same with times since the start."""
        for at_s, one in listed:
            moved = InDoubt(one.database, one.transaction, one.prepared_s - self.began_s, one.locked)
            yield at_s - self.began_s, moved


class _Observer:
    """Asks both databases what is in doubt, and adds up the money under read locks, until it is stopped."""

    def __init__(self, servers: Mapping[NodeId, Any]) -> None:
        self.databases = [one.database for one in servers.values()]
        self.listed: list[tuple[float, InDoubt]] = []
        self.totals: list[tuple[float, int]] = []
        self._connections: dict[NodeId, Any] = {}
        self._stopped = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more. Raises what has ended the looking before."""
        self._stopped.set()
        self._thread.join()
        for connection in self._connections.values():
            connection.close()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        try:
            while not self._stopped.wait(LOOK_S):
                for database in self.databases:
                    self._try(database, partial(self._list, database))
                self._add_up()
        except Exception as error:
            self._error = error

    def _try(self, database: Any, look: Callable[[], Any]) -> bool:
        """Whether it could be looked at: a database may be down, or a row locked."""
        try:
            if database.name not in self._connections:
                self._connections[database.name] = database.connect()
            look()
            return True
        except Exception as error:
            connection = self._connections.get(database.name)
            meant = error if connection is None else database.read(error, connection)
            if isinstance(meant, DatabaseDownError) and connection is not None:
                del self._connections[database.name]
                connection.close()
            if not isinstance(meant, (DatabaseDownError, LockedError)):
                raise
            return False

    def _list(self, database: Any) -> None:
        found = database.in_doubt(self._connections[database.name])
        self.listed += [(time.time(), one) for one in found]

    def _add_up(self) -> None:
        """One transaction at both databases, with locks held at the one until the other is read."""
        total, seen = 0, 0
        for database in self.databases:

            def look(database: Any = database) -> None:
                nonlocal total
                connection = self._connections[database.name]
                total += sum(database.locked_balances(connection).values())
                aside = connection.execute("SELECT COALESCE(SUM(amount), 0) FROM reserved").fetchone()
                total += int(aside[0])

            seen += self._try(database, look)
        for connection in self._connections.values():
            with suppress(Exception):
                connection.rollback()
        if seen == len(self.databases):
            self.totals.append((time.time(), total))


@contextmanager
def _observing(servers: Mapping[NodeId, Any]) -> Iterator[_Observer]:
    observer = _Observer(servers)
    try:
        yield observer
    finally:
        observer.stop()
