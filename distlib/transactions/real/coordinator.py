"""The simulator's coordinator, before real databases.

The node is the class of ``two_phase.py`` without a change: it is told of requests, votes and timers, and asks for
messages, which are carried out here on connections with the DB-API's two-phase methods. What it calls durable is on
disk (``log.py``) before any message leaves. Databases know nothing of coordinators; so it is this driver that asks
them, after a start and after each loss of a connection, what they have in doubt, and inquires for them.

Run as ``python -m distlib.transactions.real.coordinator``, a process of its own that can be killed at any step.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from distlib.core.codec import from_data, library_class
from distlib.core.node import CancelTimer, Effect, NodeId, Output, Send, SetTimer
from distlib.real.child import Tell, run_child
from distlib.real.keeper import KILL
from distlib.replication.message import ClientReply
from distlib.transactions.bank import Work
from distlib.transactions.message import Acknowledge, Answer, Begin, Decide, Inquire, Outcome, Prepare, Refused, Vote
from distlib.transactions.real.database import (
    LOCK_TIMEOUT_S,
    Database,
    DatabaseDownError,
    InDoubt,
    LockedError,
    NotPreparedError,
    RefusedError,
    carry_out,
)
from distlib.transactions.real.log import Log
from distlib.transactions.real.postgres import Postgres
from distlib.transactions.real.sqlite_participant import SQLite
from distlib.transactions.two_phase import TwoPhaseCommit

STEPS = (
    "before prepare", "worked", "prepared", "before the decision", "decided", "before commit", "committed",
)  # fmt: skip
"""Where a process can be killed: a database is asked; it has done the operations, and not prepared; it has prepared,
and the vote is not counted; all votes are in; the decision is on disk, and nobody knows; it goes to a database; it is
carried out there, and not acknowledged."""
VOTE_MS, RESEND_MS, DOWN_AGAIN_S, LOCKED_AGAIN_S = 2_000.0, 200.0, 0.05, 0.003
CLIENT, TICK_S = "client", 0.2
T = TypeVar("T")
Step = Callable[[str, NodeId], None]


class LostError(RuntimeError):
    """A database has ended a prepared transaction otherwise than decided: somebody else did it, by hand perhaps."""


@dataclass(frozen=True)
class Kill:
    """SIGKILL to ``victim`` (a database's name, or the coordinator's) when ``step`` comes for the ``nth`` time, at the
    database ``at`` (empty: at any)."""

    victim: NodeId
    step: str
    nth: int = 1
    at: NodeId = ""


class Databases:
    """Connections to the databases, and what a coordinator's messages mean there. Called from several threads."""

    def __init__(self, databases: Sequence[Database], step: Step = lambda step, at: None) -> None:
        self.by_name = {one.name: one for one in databases}
        self.step = step
        self._idle: dict[NodeId, list[Any]] = {one.name: [] for one in databases}
        self._holding: dict[tuple[NodeId, str], Any] = {}
        self._refused: set[tuple[NodeId, str]] = set()

    def carry_out(self, to: NodeId, message: Prepare | Decide) -> Vote | Acknowledge | Refused | None:
        """What ``to`` answers, if anything. Raises ``DatabaseDownError`` when it is not known what became of it."""
        if isinstance(message, Prepare):
            return self.prepare(self.by_name[to], message)
        return self.decide(self.by_name[to], message)

    def prepare(self, database: Database, message: Prepare) -> Vote | Refused:
        """The first phase: ``tpc_begin``, the operations, ``tpc_prepare``."""

        def work(connection: Any) -> Vote:
            connection.tpc_begin(connection.xid(1, message.transaction, database.name))
            found = carry_out(connection, message.transaction, message.operations)
            self.step("worked", database.name)
            connection.tpc_prepare()
            self._holding[database.name, message.transaction] = connection
            return Vote(message.transaction, Answer.YES, tuple([(f"{database.name}.{one}", is_) for one, is_ in found]))

        end_s = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                return self.use(database, work, keep=False)
            except RefusedError as error:
                if not isinstance(error, LockedError) or time.monotonic() > end_s:
                    self._refused.add((database.name, message.transaction))
                    return Refused(message.transaction, str(error))
            time.sleep(LOCKED_AGAIN_S)

    def decide(self, database: Database, message: Decide) -> Acknowledge | None:
        """The second phase: ``tpc_commit`` or ``tpc_rollback``, once or many times."""
        mine = self._holding.pop((database.name, message.transaction), None)

        def work(connection: Any) -> None:
            named = () if mine is not None else (connection.xid(1, message.transaction, database.name),)
            (connection.tpc_commit if message.commit else connection.tpc_rollback)(*named)

        try:
            if (database.name, message.transaction) not in self._refused:
                self.use(database, work, mine)
        except NotPreparedError:
            if message.acknowledge:  # else it is the answer to an inquiry, and too late: somebody knew it earlier
                self.use(database, lambda connection: _check_ended(database, connection, message))
        self._refused.discard((database.name, message.transaction))
        return Acknowledge(message.transaction) if message.acknowledge else None

    def in_doubt(self, database: Database) -> tuple[InDoubt, ...]:
        """What the database reports; ``NoTwoPhaseError`` if it cannot prepare at all."""

        def work(connection: Any) -> tuple[InDoubt, ...]:
            database.check_two_phase(connection)
            return database.in_doubt(connection)

        return self.use(database, work)

    def use(self, database: Database, work: Callable[[Any], T], connection: Any = None, keep: bool = True) -> T:
        """Do ``work`` on ``connection`` or an idle one; after an error it is closed, for who knows what it still
        holds: a rollback after a failed ``tpc_prepare`` would end another transaction of that id."""
        idle = self._idle[database.name]
        if connection is None:
            connection = idle.pop() if idle else database.connect()
        try:
            result = work(connection)
        except Exception as error:
            meant = database.read(error, connection)
            connection.close()
            if isinstance(meant, DatabaseDownError):
                self._forget(database.name)
            raise meant from error
        if keep:
            idle.append(connection)
        return result

    def _forget(self, name: NodeId) -> None:
        """The process behind these connections is gone."""
        while self._idle[name]:
            self._idle[name].pop().close()

    def close(self) -> None:
        """Close all connections."""
        for connection in (*self._holding.values(), *(one for idle in self._idle.values() for one in idle)):
            connection.close()


def _check_ended(database: Database, connection: Any, message: Decide) -> None:
    query = "SELECT 1 FROM committed WHERE transaction_id = %s"
    committed = connection.execute(query, (message.transaction,)).fetchone() is not None
    connection.rollback()
    if committed != message.commit:
        has = "committed" if committed else "neither prepared nor committed"
        raise LostError(
            f"{database.name} has {message.transaction} {has}, and the decision is {message.kind.lower()}: it was "
            "ended there without its coordinator"
        )


class Coordinator:
    """Runs ``node`` with a ``log`` before ``databases``, in one event loop; the databases' work is done in threads.

    A database that stays down for ``patience_s`` ends it, with nothing lost: what is decided stands in the log."""

    def __init__(
        self, node: TwoPhaseCommit, log: Log, databases: Sequence[Database], tell: Tell, step: Step, patience_s: float
    ) -> None:
        self.node, self.log, self.tell, self.step, self.patience_s = node, log, tell, step, patience_s
        self.databases = Databases(databases, step)
        self._timers: dict[tuple[str, Any], asyncio.TimerHandle] = {}
        self._last: dict[str, asyncio.Task[None]] = {}  # of each transaction: its jobs come one after the other
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asking: dict[int, asyncio.Future[None]] = {}
        self._looking: set[NodeId] = set()  # databases that have yet to say what they have in doubt

    async def run(self, clients: Iterable[Sequence[tuple[int, Work]]], think_s: float) -> None:
        """Recover, carry out what each client asks, one request (a number, and its work) after the other with
        ``think_s`` before each, and end when everybody knows every decision."""
        for name in self.databases.by_name:
            self._look(name)
        self._event(self.node.start)
        await self._unless_failed(self._quiet())
        self.tell({"recovered_s": time.time()})
        await self._unless_failed(asyncio.gather(*[self._client(requests, think_s) for requests in clients]))
        await self._unless_failed(self._quiet())
        self.tell({"ended_s": time.time()})

    async def _client(self, requests: Sequence[tuple[int, Work]], think_s: float) -> None:
        for number, work in requests:
            await asyncio.sleep(think_s)
            answer = self._asking[number] = asyncio.get_running_loop().create_future()
            self._event(partial(self.node.receive, CLIENT, Begin(work, CLIENT, number)))
            await answer

    async def _quiet(self) -> None:
        """Until nothing is open."""
        while self.node.rounds or self._looking or self._tasks:
            await asyncio.sleep(0.005)

    async def _unless_failed(self, work: Awaitable[Any]) -> None:
        doing = asyncio.ensure_future(work)
        try:
            await asyncio.wait((doing, self._failure), return_when=asyncio.FIRST_COMPLETED)
            for one in (self._failure, doing):
                if one.done():
                    one.result()
        finally:
            doing.cancel()

    # --- events of the node, and what it wants done -----------------------------------------------------------

    def _event(self, event: Callable[[], None]) -> None:
        self.node.now_ms = time.monotonic() * 1e3
        event()
        effects = self.node.take_effects()
        due = self.log.is_due()
        decides = due and any(isinstance(one, Send) and isinstance(one.message, Decide) for one in effects)
        if decides:
            self.step("before the decision", "")
        if due:
            self.log.save()
        if decides:
            self.step("decided", "")
        jobs: dict[str, list[Send]] = {}
        for one in effects:
            if isinstance(one, Send) and one.to in self.databases.by_name:
                jobs.setdefault(one.message.transaction, []).append(one)
            else:
                self._perform(one)
        for transaction, messages in jobs.items():
            self._last[transaction] = self._spawn(self._deliver(transaction, messages, self._last.get(transaction)))

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Send(_, ClientReply(int() as number, _, Outcome(transaction, commit))):
                told = {"number": number, "transaction": transaction, "commit": commit}
                self.tell({"answered": told, "at_s": time.time()})
                if number in self._asking:
                    self._asking.pop(number).set_result(None)
            case SetTimer(name, key, low_ms, _):
                self._perform(CancelTimer(name, key))
                loop = asyncio.get_running_loop()
                self._timers[name, key] = loop.call_later(low_ms / 1e3, self._fire, name, key)
            case CancelTimer(name, key):
                if (timer := self._timers.pop((name, key), None)) is not None:
                    timer.cancel()
            case Output():
                pass
            case _:
                raise ValueError(f"{self.node.id} sends {effect}, and there is no such database")

    def _fire(self, name: str, key: Any) -> None:
        self._timers.pop((name, key), None)
        try:
            self._event(partial(self.node.timeout, name, key))
        except Exception as error:
            self._fail(error)

    async def _deliver(self, transaction: str, messages: Iterable[Send], before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait((before,))
        for to, message, _ in messages:
            first = isinstance(message, Prepare)
            self.step("before prepare" if first else "before commit", to)
            try:
                answer = await asyncio.to_thread(self.databases.carry_out, to, message)
            except DatabaseDownError:
                self._look(to)
                continue
            self.step("prepared" if first else "committed", to)
            if isinstance(answer, Refused):
                self.tell({"refused": answer.reason, "transaction": transaction, "by": to})
                answer = Vote(transaction, Answer.NO)
            if answer is not None:
                self._event(partial(self.node.receive, to, answer))
        if self._last.get(transaction) is asyncio.current_task():
            del self._last[transaction]

    # --- what databases have in doubt -------------------------------------------------------------------------

    def _look(self, name: NodeId) -> None:
        if name not in self._looking:
            self._looking.add(name)
            self._spawn(self._inquire_for(name))

    async def _inquire_for(self, name: NodeId) -> None:
        """As soon as the database is up: for all it has in doubt of this coordinator's, ask the node."""
        database, end_s = self.databases.by_name[name], time.monotonic() + self.patience_s
        while True:
            try:
                found = await asyncio.to_thread(self.databases.in_doubt, database)
                break
            except DatabaseDownError:
                if time.monotonic() > end_s:
                    raise
                await asyncio.sleep(DOWN_AGAIN_S)
        mine = [one for one in found if one.transaction.split(".")[0] == self.node.id]
        self.tell({"in_doubt": [one.transaction for one in mine], "by": name, "at_s": time.time()})
        self._looking.discard(name)
        for one in mine:
            self._event(partial(self.node.receive, name, Inquire(one.transaction, self.node.id)))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self._failure.done():
            self._failure.set_exception(error)

    def close(self) -> None:
        """Stop all timers and close all connections."""
        for timer in self._timers.values():
            timer.cancel()
        self.databases.close()


# --- the process ----------------------------------------------------------------------------------------------


class Executioner:
    """Counts the steps, and kills at the right one, having said so."""

    def __init__(self, kill: Kill | None, own: NodeId, pids: Mapping[NodeId, int], tell: Tell) -> None:
        self.kill, self.pids, self.tell = kill, {**pids, own: os.getpid()}, tell
        self.seen = count(1)  # one step, for several threads

    def __call__(self, step: str, at: NodeId) -> None:
        kill = self.kill
        if kill is None or step != kill.step or kill.at not in ("", at):
            return
        if next(self.seen) == kill.nth:
            self.tell({"killed": kill.victim, "step": step, "at": at, "at_s": time.time()})
            os.kill(self.pids[kill.victim], KILL)


async def ticking(tell: Tell) -> None:
    """Say now and then that we are there, so that whoever listens can stop listening."""
    while True:
        await asyncio.sleep(TICK_S)
        tell({"tick": time.time()})


def databases_of(task: Mapping[str, Any]) -> list[Database]:
    """The databases that a task names."""
    return [from_data(SQLite | Postgres, one) for one in task["databases"]]


async def work(task: Mapping[str, Any], tell: Tell) -> None:
    """Coordinate what ``task`` asks for, and tell what happens."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(len(task["clients"]) + 4))
    try:
        node_class = library_class(task["protocol"], TwoPhaseCommit, "protocol", "take one of its own")
        node = node_class(task["name"], initial=(), vote_ms=VOTE_MS, resend_ms=RESEND_MS)
        step = Executioner(None if task["kill"] is None else Kill(**task["kill"]), node.id, task["pids"], tell)
        clients = [[(number, from_data(Work, one)) for number, one in requests] for requests in task["clients"]]
        with Log(Path(task["log"]), node, task["room"]) as log:
            coordinator = Coordinator(node, log, databases_of(task), tell, step, task["patience_s"])
            tick = asyncio.ensure_future(ticking(tell))
            try:
                await coordinator.run(clients, task["think_s"])
            finally:
                tick.cancel()
                coordinator.close()
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        with suppress(BrokenPipeError):
            tell({"failed": type(error).__name__, "says": str(error)})


if __name__ == "__main__":
    run_child(work)
