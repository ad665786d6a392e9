"""What the clients of a run asked and were told, as a history that a checker judges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from distlib.check.history.history import History, Operation
from distlib.core.trace import Happened
from distlib.replication.message import Invoked, Returned
from distlib.replication.state_machine import CompareAndSet, Put


def calls(outputs: Iterable[Happened]) -> Iterator[tuple[Happened, Happened | None]]:
    """What clients asked, in that order, each with the answer it had, if any."""
    known = list(outputs)
    done = {(one.event.client, one.event.serial): one for one in known if isinstance(one.event, Returned)}
    for one in known:
        if isinstance(one.event, Invoked):
            yield one, done.get((one.event.client, one.event.serial))


def history_of(outputs: Iterable[Happened]) -> History:
    """The clients' operations on keys, times in ms; those that never came back are pending. What has no key (a change
    of the membership) is none."""
    operations = []
    for one, answer in calls(outputs):
        if hasattr(one.event.command, "key"):
            f, argument = _operation(one.event.command)
            ended = {} if answer is None else {"returned": answer.time_ms, "result": answer.event.result}
            key = one.event.command.key
            operations.append(Operation(one.event.client, f, argument, call=one.time_ms, key=key, **ended))
    return History(tuple(operations))


def _operation(command: Any) -> tuple[str, Any]:
    match command:
        case Put(value=value):
            return "write", value
        case CompareAndSet(old=old, new=new):
            return "cas", (old, new)
    return "read", None
