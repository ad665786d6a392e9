"""Values as people give them, checked: what is wrong is named, with what would be right.

Each function returns the value, or raises ``TypeError`` for one of another kind and ``ValueError`` for one out of
range. The message is always ``<name> is <value>; it takes <what would be right>``.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import Field
from typing import Any
from weakref import WeakSet

_DECORATED: WeakSet[type] = WeakSet()  # classes that dataclass_fields has found right


def whole(name: str, value: Any, low: float | None = None, high: float | None = None, unit: str = "") -> int:
    """A whole number from ``low`` to ``high`` (None: no end)."""
    return _number(name, value, "a whole number", (int,), low, high, unit)


def number(name: str, value: Any, low: float | None = None, high: float | None = None, unit: str = "") -> float:
    """A finite number from ``low`` to ``high`` (None: no end)."""
    return _number(name, value, "a number", (int, float), low, high, unit)


def above(name: str, value: Any, low: float = 0.0, unit: str = "", most: float = math.inf) -> float:
    """A finite number greater than ``low``, at most ``most``."""
    wanted = f"a number above {low:g}{unit and f' {unit}'}"
    wanted += f", {most:,.0f} at most" if most < math.inf else ""
    _check_type(name, value, (int, float), wanted)
    if not (_is_finite(value) and low < value <= most):
        raise ValueError(f"{name} is {value!r}; it takes {wanted}")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; it takes True or False")
    return value


def text(name: str, value: Any) -> str:
    """A string."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}; it takes a string")
    return value


def choice(name: str, value: Any, choices: Collection[Any]) -> Any:
    """One of ``choices``."""
    if value not in tuple(choices):  # a set or mapping would ask for a hash
        raise ValueError(f"{name} is {value!r}; choose one of {', '.join(map(repr, choices))}")
    return value


def pair(name: str, value: Any, low: float | None = None, high: float | None = None, unit: str = "") -> Any:
    """Two finite numbers (low end, high end) in order, both from ``low`` to ``high``."""
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError(f"{name} is {value!r}; it takes a pair (low, high){_range(low, high, unit)}")
    for end in value:
        number(name, end, low, high, unit)
    if value[0] > value[1]:
        raise ValueError(f"{name} is reversed: {value!r}; write the smaller end first, {(value[1], value[0])!r}")
    return value


def instance(name: str, value: Any, wanted_class: type | tuple[type, ...], wanted: str) -> Any:
    """An instance of ``wanted_class``, which the message calls ``wanted``; a class is none."""
    if not isinstance(value, wanted_class) or isinstance(value, type):
        raise TypeError(f"{name} is {value!r}; it takes {wanted}")
    return value


def names(name: str, value: Any, own: str | None = None) -> tuple[str, ...]:
    """A tuple of names, at least one and none twice; with ``own``, the others' names: any number, without ``own``."""
    if not isinstance(value, tuple) or not all(isinstance(one, str) and one for one in value):
        raise TypeError(f"{name} is {value!r}; it takes a tuple of names such as ('S1', 'S2')")
    if own is None and not value:
        raise ValueError(f"{name} is empty; it takes the name of at least one node")
    if own in value:
        raise ValueError(f"{name} names {own} itself; it takes the others only")
    twice = sorted({one for one in value if value.count(one) > 1})
    if twice:
        raise ValueError(f"{name} names {twice[0]} twice: {value!r}")
    return value


def dataclass_fields(cls: type) -> None:
    """Raises ``TypeError`` when ``cls``, or a class that it derives from, declares fields without ``@dataclass``, which
    would then be shared by all instances, and no fields."""
    if cls in _DECORATED:
        return
    for one in cls.__mro__:
        declared = [name for name, hint in vars(one).get("__annotations__", {}).items() if "ClassVar" not in str(hint)]
        declared += [name for name, value in vars(one).items() if isinstance(value, Field) and name not in declared]
        if declared and "__dataclass_fields__" not in vars(one):
            raise TypeError(
                f"{one.__name__} declares the field {declared[0]} without @dataclass; write @dataclass above the class"
            )
    _DECORATED.add(cls)


def _number(
    name: str, value: Any, words: str, types: tuple[type, ...], low: float | None, high: float | None, unit: str
) -> Any:
    right_type = isinstance(value, types) and not isinstance(value, bool)
    finite = right_type and (types == (int,) or _is_finite(value))
    if finite and (low is None or value >= low) and (high is None or value <= high):
        return value
    wrong = ValueError if right_type else TypeError
    raise wrong(f"{name} is {value!r}; it takes {words}{_range(low, high, unit)}")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond the floats
        return False


def _check_type(name: str, value: Any, types: tuple[type, ...], wanted: str) -> None:
    if isinstance(value, bool) or not isinstance(value, types):
        raise TypeError(f"{name} is {value!r}; it takes {wanted}")


def _range(low: float | None, high: float | None, unit: str) -> str:
    ends = [f"{end:,}" if isinstance(end, int) else f"{end:g}" for end in (low, high) if end is not None]
    unit = f" {unit}" if unit else ""
    if len(ends) == 2:
        return f" from {ends[0]} to {ends[1]}{unit}"
    if ends:
        return f" of at {'least' if high is None else 'most'} {ends[0]}{unit}"
    return f" ({unit.strip()})" if unit else ""
