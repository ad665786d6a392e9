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
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from distlib.check.history import edn
from distlib.check.history.history import EVENT_TYPES, KNOSSOS, Event, Fault, History, Meaning, Operation, from_events

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
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        place = f"{source}:{number}"
        record = _object(line, place)
        if "fault" in record:
            _only(record, _FAULT, place)
            faults.append(Fault(str(record["fault"]), _time(record, "start", place), _time(record, "end", place)))
        elif "type" in record:
            _only(record, _EVENT, place)
            events.append(_event(record, place))
        else:
            _only(record, _OPERATION, place)
            operations.append(_operation(record, place))
        if operations and events:
            raise ValueError(f"{place}: operations and events are mixed; a line with field 'type' is an event")
    if not events:
        return _named(lambda: History(operations, faults), source)
    history = _named(lambda: from_events(events, meaning), source)
    return History(history.operations, (*history.faults, *faults))


def _named(build: Callable[[], History], source: str) -> History:
    try:
        return build()
    except ValueError as error:
        raise error if source in str(error) else ValueError(f"{source}: {error}") from error


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}: not JSON: {error.msg} at column {error.colno}") from error
    if not isinstance(record, dict):
        raise ValueError(f"{place}: a line must be an object, got {type(record).__name__}")
    return record


def _only(record: dict[str, Any], allowed: set[str], place: str) -> None:
    for name in record:
        if name not in allowed:
            near = get_close_matches(name, allowed, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(allowed))}"
            raise ValueError(f"{place}: unknown field {name!r}{hint}")


def _field(record: dict[str, Any], name: str, place: str) -> Any:
    if name not in record:
        raise ValueError(f"{place}: field {name!r} is missing")
    return record[name]


def _time(record: dict[str, Any], name: str, place: str) -> float:
    value = _field(record, name, place)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{place}: field {name!r} must be a number, got {value!r}")
    return value


def _name(record: dict[str, Any], name: str, place: str) -> str:
    value = _field(record, name, place)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{place}: field {name!r} must be a non-empty string, got {value!r}")
    return str(value)


def _process(record: dict[str, Any], place: str) -> str | int:
    value = _field(record, "process", place)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(f"{place}: field 'process' must be a number or a name, got {value!r}")
    return value


def _operation(record: dict[str, Any], place: str) -> Operation:
    returned = float("inf") if _field(record, "return", place) is None else _time(record, "return", place)
    call = _time(record, "call", place)
    process, f = _process(record, place), _name(record, "f", place)
    try:
        return Operation(process, f, record.get("argument"), record.get("result"), call, returned, record.get("key"))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{place}: {error}") from error


def _event(record: dict[str, Any], place: str) -> Event:
    kind = _name(record, "type", place)
    if kind not in EVENT_TYPES:
        raise ValueError(f"{place}: field 'type' is {kind!r}; it must be one of {', '.join(EVENT_TYPES)}")
    process, f = _process(record, place), _name(record, "f", place)
    return Event(place, process, kind, f, record.get("value"), record.get("key"))


# Jepsen's text form: anything, then ``process :type :f value``, where the logger's name ends in " - " or ": ".
_TEXT_EVENT = re.compile(r"(?:\s-|:)\s+(:?[\w-]+)\s+:(invoke|ok|fail|info)\s+:(\S+)(?:\s+(.*\S))?\s*$")


def parse_jepsen(text: str, meaning: Meaning = KNOSSOS, source: str = "text", *, independent: bool = False) -> History:
    """As ``read_jepsen``, from a string; ``source`` names it in errors."""
    start = re.match(r"(?:\s|;[^\n]*\n)*(\S?)", text)
    is_edn = start is not None and start[1] in tuple("{[(#")
    events = _edn_events(text, source) if is_edn else _text_events(text, source)
    if independent:
        events = [_unpaired(event) for event in events]
    return _named(lambda: from_events(events, meaning), source)


def _text_events(text: str, source: str) -> list[Event]:
    events = []
    for number, line in enumerate(text.splitlines(), 1):
        match = _TEXT_EVENT.search(line)
        if match is None:
            continue
        process, kind, f, rest = match.groups()
        value = next((form.value for form in edn.forms(rest or "", source, number)), None)
        events.append(
            Event(f"{source}:{number}", int(process) if process.isdigit() else process.lstrip(":"), kind, f, value)
        )
    if not events and text.strip():
        raise ValueError(
            f"{source}:1: no event found; expected lines such as 'INFO jepsen.util - 0 :invoke :write 3' or "
            "'{:process 0, :type :invoke, :f :write, :value 3}'"
        )
    return events


def _edn_events(text: str, source: str) -> list[Event]:
    forms = list(edn.forms(text, source))
    if len(forms) == 1 and isinstance(forms[0].value, list):  # the whole history in one vector: name items by number
        maps = [(f"{source}:{forms[0].line}: event {number}", form) for number, form in enumerate(forms[0].value)]
    else:
        maps = [(f"{source}:{form.line}", form.value) for form in forms]
    return [_edn_event(place, value) for place, value in maps]


def _edn_event(place: str, value: Any) -> Event:
    if not isinstance(value, dict):
        raise ValueError(f"{place}: an event must be a map such as {{:process 0, :type :invoke, ...}}, got {value!r}")
    for name in ("process", "type", "f"):
        if name not in value:
            raise ValueError(f"{place}: field :{name} is missing")
    if isinstance(value["process"], bool) or not isinstance(value["process"], (int, str)):
        raise ValueError(f"{place}: field :process must be a number or a name, got {value['process']!r}")
    return Event(place, value["process"], str(value["type"]), str(value["f"]), value.get("value"), value.get("key"))


def _unpaired(event: Event) -> Event:
    if not isinstance(event.process, int):
        return event  # the nemesis has no key
    if not isinstance(event.value, list) or len(event.value) != 2:
        raise ValueError(
            f"{event.place}: field :value must be a [key value] pair when independent=True, got {event.value!r}"
        )
    return event._replace(key=event.value[0], value=event.value[1])
