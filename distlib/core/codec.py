"""Dataclasses to JSON and back; a bad file gets an error that names the field.

Reading is guided by type hints. Where those leave open what a field holds (``Any``), values can name their classes
themselves: ``to_data(value, name)`` writes names that ``from_data(..., find)`` looks up again.
"""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from importlib import import_module
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

TYPE = "type"
"""Key that names the class where a field may hold one of several."""

Find = Callable[[Any], type]


def parse(text: str | bytes, where: str, wanted: str = "an object") -> dict[str, Any]:
    """The JSON object that ``text`` holds. Raises ``ValueError``, naming ``where`` and what is ``wanted``, for none."""
    try:
        data = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"{where} is nested too deeply; it takes {wanted}") from error
    except ValueError as error:
        raise ValueError(f"{where} is not JSON: {error}") from error
    found: dict[str, Any] = _expect(isinstance(data, dict), data, data, where, wanted)
    return found


def to_data(value: Any, name: Callable[[type], str] | None = None) -> Any:
    """``value`` (dataclass, tuple, mapping, enum or JSON atom) as plain JSON data; dataclasses tell their class's name.

    With ``name``, which tells the full name of a class, ``value`` can be read without any hint, and so it may hold
    only what comes back as it was: no lists, mappings or enums. Raises ``TypeError`` for what cannot be written.
    """
    if is_dataclass(value) and not isinstance(value, type):
        held = {item.name: to_data(getattr(value, item.name), name) for item in fields(value) if item.init}
        return {TYPE: type(value).__name__ if name is None else name(type(value)), **held}
    if type(value) is tuple or (name is None and isinstance(value, (tuple, list))):
        return [to_data(item, name) for item in value]
    if name is None and isinstance(value, Enum):
        return value.value
    if name is None and isinstance(value, dict):
        return {str(key): to_data(item) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{value!r} cannot be written to JSON")


def from_data(hint: Any, data: Any, where: str = "file", find: Find | None = None) -> Any:
    """The value of type ``hint`` that ``data`` stands for. ``find`` is for values that name their classes themselves:
    the class of that name, or a ``ValueError``. Raises ``ValueError`` naming the place, as in
    ``file.faults[2].node``."""
    origin = get_origin(hint)
    if hint is Any:
        return data if find is None else _named(data, where, find)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(hint), data, where)
    if origin is Literal:
        return _expect(data in get_args(hint), data, data, where, " or ".join(map(repr, get_args(hint))))
    if isinstance(hint, type) and is_dataclass(hint):
        return _record(hint, data, where, find)
    if origin is tuple:
        return _tuple(get_args(hint), data, where)
    if isinstance(hint, type) and issubclass(hint, Enum):
        allowed = [member.value for member in hint]
        return _expect(data in allowed, hint, data, where, f"one of {allowed}")(data)
    if hint is None or hint is type(None):
        return _expect(data is None, None, data, where, "null")
    if hint is float:
        small = isinstance(data, int) and not isinstance(data, bool) and abs(data) <= sys.float_info.max
        number = isinstance(data, float) or small
        return float(_expect(number, data, data, where, "a number"))
    if hint is int:
        return _expect(isinstance(data, int) and not isinstance(data, bool), data, data, where, "a whole number")
    if hint in (bool, str):
        return _expect(isinstance(data, hint), data, data, where, "true or false" if hint is bool else "a string")
    raise TypeError(f"{where}: cannot read a {hint!r} from JSON")


def _expect(right: bool, value: Any, data: Any, where: str, wanted: str) -> Any:
    if not right:
        raise ValueError(f"{where} is {_short(data)}; it takes {wanted}")
    return value


def _short(data: Any) -> str:
    try:
        text = repr(data)
    except RecursionError:
        return "nested too deeply"
    return text if len(text) <= 200 else f"{text[:200]} …"


def library_class(name: Any, base: type, where: str, advice: str) -> Any:
    """The class of the library that is called ``name`` (``module:Class``), derived from ``base``: from a file, so that
    nothing else can be named. Raises ``ValueError``, with ``advice`` for a class that is not the library's own."""
    module, _, attribute = str(name).partition(":")
    if module.split(".")[0] != "distlib" or not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise ValueError(f"{where} names {name!r}, which is no class of the library: {advice}")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{where} names {name!r}, which there is not in this edition of the library") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ValueError(f"{where} names {name!r} where a {base.__name__} is due")
    return found


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _named(data: Any, where: str, find: Find) -> Any:
    if isinstance(data, list):
        return tuple(_named(item, f"{where}[{number}]", find) for number, item in enumerate(data))
    return _record(find(data.get(TYPE)), data, where, find) if isinstance(data, dict) else data


def _record(cls: type, data: Any, where: str, find: Find | None = None) -> Any:
    _expect(isinstance(data, dict), data, data, where, f"an object with the fields of {cls.__name__}")
    if find is None:
        named = data.get(TYPE, cls.__name__)
        _expect(named == cls.__name__, data, named, f"{where}.{TYPE}", repr(cls.__name__))
    known = {item.name: item for item in fields(cls) if item.init}
    for name in data:
        if name not in known and name != TYPE:
            raise ValueError(f"{where} has an unknown field {name!r}; {cls.__name__} has {', '.join(known)}")
    for name, item in known.items():
        if name not in data and item.default is MISSING and item.default_factory is MISSING:
            raise ValueError(f"{where} lacks the field {name!r} of {cls.__name__}")
    hints = _hints(cls) if find is None else dict.fromkeys(known, Any)
    values = {name: from_data(hints[name], data[name], f"{where}.{name}", find) for name in known if name in data}
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error


def _tuple(items: tuple[Any, ...], data: Any, where: str) -> tuple[Any, ...]:
    _expect(isinstance(data, list), data, data, where, "a list")
    if len(items) == 2 and items[1] is Ellipsis:
        return tuple(from_data(items[0], item, f"{where}[{number}]") for number, item in enumerate(data))
    _expect(len(data) == len(items), data, data, where, f"a list of {len(items)}")
    return tuple(
        from_data(hint, item, f"{where}[{number}]") for number, (hint, item) in enumerate(zip(items, data, strict=True))
    )


def _one_of(hints: tuple[Any, ...], data: Any, where: str) -> Any:
    records = {hint.__name__: hint for hint in hints if isinstance(hint, type) and is_dataclass(hint)}
    if records and isinstance(data, dict):
        name = data.get(TYPE)
        if name not in records:
            raise ValueError(f"{where}.{TYPE} is {name!r}; it takes one of {', '.join(records)}")
        return _record(records[name], data, where)
    for hint in hints:
        try:
            return from_data(hint, data, where)
        except ValueError:
            continue
    wanted = ", ".join(getattr(hint, "__name__", str(hint)) for hint in hints)
    raise ValueError(f"{where} is {data!r}; it takes {wanted}")
