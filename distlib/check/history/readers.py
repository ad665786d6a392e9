"""Readers of recorded histories: JSON lines, and the logs that Jepsen writes.

JSON lines
    One object a line; blank lines are skipped. A file holds one of the two kinds, and faults:

    an operation  {"process": 0, "f": "cas", "argument": [3, 4], "result": true, "key": "x",
                   "call": 1, "return": 2}, on one line
                  ``argument``, ``result``, ``key`` may be left out. ``return`` may not; null: never came back
    an event      {"process": 0, "type": "invoke", "f": "write", "value": 3, "key": "x"}
                  ``type`` is invoke, ok, fail or info; the order of the lines is the order of the events
    a fault       {"fault": "partition", "start": 3, "end": 9}
                  times as in operations; among events: their numbers, counted from 0

Jepsen logs
    Either EDN, ``{:process 0, :type :invoke, :f :write, :value 3}``, one map after another or all in one
    vector; or text, ``INFO  jepsen.util - 0 :invoke :write 3``, whose other lines are skipped.
    The order of events is the order of lines (``:time`` is not used: it is not always monotonic).

What ``fail`` and a nil read mean differs between writers of logs: say it with a ``Meaning``.
"""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from math import inf
from pathlib import Path
from typing import Any

from distlib.check.history import edn
from distlib.check.history.history import KNOSSOS, Event, Fault, History, Meaning, Operation, from_events
from distlib.core import require

_OPERATION = {"process", "f", "argument", "result", "call", "return", "key"}
_EVENT = {"process", "type", "f", "value", "key", "time", "index", "error"}
_FAULT = {"fault", "start", "end"}


def read_jsonl(path: str | Path, meaning: Meaning = KNOSSOS) -> History:
    """The history in a file of JSON lines (format: top of this module). ``meaning`` matters for events only.

    Raises ``ValueError`` naming file, line and field.
    """
    return parse_jsonl(Path(path).read_text(encoding="utf-8"), meaning, str(path))


def read_jepsen(path: str | Path, meaning: Meaning = KNOSSOS, *, independent: bool = False) -> History:
    """The history in a Jepsen log (formats: top of this module).

    ``independent``: every value is a ``[key value]`` pair, as ``jepsen.independent`` writes it.
    Raises ``ValueError`` naming file, line and field.
    """
    return parse_jepsen(Path(path).read_text(encoding="utf-8"), meaning, str(path), independent=independent)


def parse_jsonl(text: str, meaning: Meaning = KNOSSOS, source: str = "text") -> History:
    """As ``read_jsonl``, from a string; ``source`` names it in errors."""
    operations: list[Operation] = []
    events: list[Event] = []
    faults: list[Fault] = []
    with _Reading(source) as reading:
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            reading.place = f"{source}:{number}"
            record = _object(line)
            if "fault" in record:
                _only(record, _FAULT)
                faults.append(Fault(str(record["fault"]), _time(record, "start"), _time(record, "end")))
            elif "type" in record:
                _only(record, _EVENT)
                events.append(_event(record, reading.place))
            else:
                _only(record, _OPERATION)
                operations.append(_operation(record))
            if operations and events:
                raise ValueError("operations and events are mixed; a line with field 'type' is an event")
        reading.place = source
        history = from_events(events, meaning)
        return History((*history.operations, *operations), (*history.faults, *faults))


class _Reading:
    """Where a reader is: an error that is raised inside begins with the place."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __enter__(self) -> _Reading:
        return self

    def __exit__(self, error_class: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, (TypeError, ValueError)) and not str(error).startswith(f"{self.place}:"):
            raise ValueError(f"{self.place}: {error}") from error


def _object(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from error
    if not isinstance(record, dict):
        raise ValueError(f"a line must be an object, got {type(record).__name__}")
    return record


def _only(record: dict[str, Any], allowed: set[str]) -> None:
    for name in record:
        if name not in allowed:
            near = get_close_matches(name, allowed, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(allowed))}"
            raise ValueError(f"unknown field {name!r}; {hint}")


def _field(record: dict[str, Any], name: str) -> Any:
    if name not in record:
        raise ValueError(f"field {name!r} is missing")
    return record[name]


def _time(record: dict[str, Any], name: str) -> float:
    return require.number(f"field {name!r}", _field(record, name))


def _process_and_f(record: dict[str, Any]) -> tuple[str | int, str]:
    process, f = _field(record, "process"), _field(record, "f")
    if isinstance(process, bool) or not isinstance(process, (int, str)):
        raise TypeError(f"field 'process' is {process!r}; it takes a number or a name")
    if not (isinstance(f, str) and f):
        raise TypeError(f"field 'f' is {f!r}; it takes the operation's name")
    return process, f


def _operation(record: dict[str, Any]) -> Operation:
    process, f = _process_and_f(record)
    returned = inf if _field(record, "return") in (None, inf) else _time(record, "return")
    call = _time(record, "call")
    return Operation(process, f, record.get("argument"), record.get("result"), call, returned, record.get("key"))


def _event(record: dict[str, Any], place: str) -> Event:
    process, f = _process_and_f(record)
    return Event(place, process, str(_field(record, "type")), f, record.get("value"), record.get("key"))


# Jepsen's text form: anything, then ``process :type :f value``, where the logger's name ends in " - " or ": ".
_TEXT_EVENT = re.compile(r"(?:\s-|:)\s+(:?[\w-]+)\s+:(invoke|ok|fail|info)\s+:(\S+)(?:\s+(.*\S))?\s*$")


def parse_jepsen(text: str, meaning: Meaning = KNOSSOS, source: str = "text", *, independent: bool = False) -> History:
    """As ``read_jepsen``, from a string; ``source`` names it in errors."""
    start = re.match(r"(?:\s|;[^\n]*\n)*(\S?)", text)
    is_edn = start is not None and start[1] in tuple("{[(#")
    events = _edn_events(text, source) if is_edn else _text_events(text, source)
    if independent:
        events = [_unpaired(event) for event in events]
    with _Reading(source):
        return from_events(events, meaning)


def _text_events(text: str, source: str) -> list[Event]:
    events = []
    for number, line in enumerate(text.splitlines(), 1):
        match = _TEXT_EVENT.search(line)
        if match is None:
            continue
        name, event_type, f, rest = match.groups()
        _, value = next(edn.forms(rest or "", source, number), (number, None))
        process = int(name) if name.isdigit() else name.lstrip(":")
        events.append(Event(f"{source}:{number}", process, event_type, f, value))
    if not events and text.strip():
        raise ValueError(
            f"{source}:1: no event found; expected lines such as 'INFO jepsen.util - 0 :invoke :write 3' or "
            "'{:process 0, :type :invoke, :f :write, :value 3}'"
        )
    return events


def _edn_events(text: str, source: str) -> list[Event]:
    places = [(f"{source}:{line}", form) for line, form in edn.forms(text, source)]
    if len(places) == 1 and isinstance(places[0][1], list):  # the whole history in one vector: name items by number
        ((place, whole),) = places
        places = [(f"{place}: event {number}", item) for number, item in enumerate(whole)]
    events = []
    with _Reading(source) as reading:
        for reading.place, record in places:
            if not isinstance(record, dict):
                raise ValueError(f"an event must be a map such as {{:process 0, :type :invoke, ...}}, got {record!r}")
            events.append(_event(record, reading.place))
    return events


def _unpaired(event: Event) -> Event:
    if not isinstance(event.process, int):
        return event  # the nemesis has no key
    if not isinstance(event.value, list) or len(event.value) != 2:
        raise ValueError(
            f"{event.place}: field :value must be a [key value] pair when independent=True, got {event.value!r}"
        )
    return event._replace(key=event.value[0], value=event.value[1])
