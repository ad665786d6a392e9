"""Parameters: one frozen class a situation; name, unit, range and help text stated once, on the field.

A scenario takes an instance, the lab makes its sliders from the class, and a scenario file stores the values.

    @dataclass(frozen=True)
    class ElectionParams(Parameters):
        servers: int = parameter(5, "servers", low=1, high=9, help="size of the cluster")
        timeout_ms: tuple[float, float] = parameter((150, 300), "timeout", unit="ms", low=1, high=5000)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

KEY = "parameter"


@dataclass(frozen=True)
class Spec:
    """What a parameter means: everything that a slider, a help text and a check of its value need.

    ``low`` and ``high`` bound the value itself, both ends of a range, or every item of a tuple of numbers.
    ``scale`` is ``"log"`` where a slider should move by factors. ``choices`` lists the allowed values (or,
    with ``several=True``, the values from which a tuple is picked). ``only_with`` names another parameter and the value
    of it that gives this one a meaning: without it, no control is shown.
    """

    label: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    step: float | None = None
    scale: str = "linear"
    choices: tuple[Any, ...] | None = None
    several: bool = False
    at_least: int = 0
    only_with: tuple[str, Any] | None = None
    help: str = ""


def parameter(
    default: Any,
    label: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    scale: str = "linear",
    choices: Sequence[Any] | None = None,
    several: bool = False,
    at_least: int = 0,
    only_with: tuple[str, Any] | None = None,
    help: str = "",
) -> Any:
    """A dataclass field with its ``Spec``; see there for the meaning of each argument."""
    spec = Spec(
        label, unit, low, high, step, scale, None if choices is None else tuple(choices),
        several, at_least, only_with, help,
    )  # fmt: skip
    return field(default=default, metadata={KEY: spec})


def spec_of(item: Field[Any]) -> Spec | None:
    """The ``Spec`` of a dataclass field, or None for a plain one."""
    return item.metadata.get(KEY)


def is_whole(item: Field[Any]) -> bool:
    """Whether the parameter is declared to take whole numbers only."""
    return item.type in (int, "int")


@dataclass(frozen=True)
class Parameters:
    """Base of every parameter class: checks each value against its ``Spec`` when it is made.

    Raises ``TypeError`` for a value of the wrong type and ``ValueError`` for one out of range, naming the
    parameter, the value and what is allowed. Subclasses add rules that span several fields in ``check`` and
    remarks on allowed but unwise values in ``warnings``.
    """

    def __post_init__(self) -> None:
        for item in fields(self):
            spec = spec_of(item)
            if spec is not None:
                _check(type(self).__name__, item, spec, getattr(self, item.name))
        self.check()

    def check(self) -> None:
        """Rules across fields; raise ``ValueError`` with a message for a person. The default has none."""

    def warnings(self) -> list[str]:
        """Remarks on values that are allowed but will surprise. The default has none."""
        return []

    @classmethod
    def specs(cls) -> dict[str, Spec]:
        """Field name to ``Spec``, in the order of declaration."""
        return {item.name: spec for item in fields(cls) if (spec := spec_of(item)) is not None}

    def changes(self) -> dict[str, Any]:
        """The fields whose value differs from the default, for a short line that rebuilds this instance."""
        return {
            item.name: value
            for item in fields(self)
            if (value := getattr(self, item.name)) != item.default or item.default is MISSING
        }

    def call(self) -> str:
        """This instance as Python source: class name and changed fields only."""
        changes = ", ".join(f"{name}={value!r}" for name, value in self.changes().items())
        return f"{type(self).__name__}({changes})"


def _check(owner: str, item: Field[Any], spec: Spec, value: Any) -> None:
    name = f"{owner}.{item.name}"
    default = item.default
    if spec.several:
        _check_several(name, spec, value)
    elif spec.choices is not None:
        if value not in spec.choices:
            raise ValueError(f"{name} is {value!r}; choose one of {', '.join(map(repr, spec.choices))}")
    elif isinstance(default, bool):
        if not isinstance(value, bool):
            raise TypeError(f"{name} is {value!r}; it takes True or False")
    elif isinstance(default, tuple):
        _check_range(name, spec, value)
    elif isinstance(default, str):
        if not isinstance(value, str):
            raise TypeError(f"{name} is {value!r}; it takes a string")
    else:
        _check_number(name, spec, value, whole=is_whole(item))


def _check_number(name: str, spec: Spec, value: Any, *, whole: bool) -> None:
    kind = "a whole number" if whole else "a number"
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise TypeError(f"{name} is {value!r}; it takes {kind}{_allowed(spec)}")
    if not math.isfinite(value) or not _within(spec, value):
        raise ValueError(f"{name} is {value!r}; it takes {kind}{_allowed(spec)}")


def _check_range(name: str, spec: Spec, value: Any) -> None:
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError(f"{name} is {value!r}; it takes a pair (low, high){_allowed(spec)}")
    for end in value:
        _check_number(name, spec, end, whole=False)
    if value[0] > value[1]:
        raise ValueError(f"{name} is reversed: {value!r}; write the smaller end first, {(value[1], value[0])!r}")


def _check_several(name: str, spec: Spec, value: Any) -> None:
    if not isinstance(value, tuple):
        raise TypeError(f"{name} is {value!r}; it takes a tuple of names")
    unknown = [one for one in value if one not in (spec.choices or ())]
    if unknown:
        raise ValueError(f"{name} holds {unknown[0]!r}; choose from {', '.join(map(repr, spec.choices or ()))}")
    if len(value) < spec.at_least:
        raise ValueError(f"{name} has {len(value)} values; it takes at least {spec.at_least}")


def _within(spec: Spec, value: float) -> bool:
    return (spec.low is None or value >= spec.low) and (spec.high is None or value <= spec.high)


def _allowed(spec: Spec) -> str:
    unit = f" {spec.unit}" if spec.unit else ""
    if spec.low is not None and spec.high is not None:
        return f" from {spec.low:g} to {spec.high:g}{unit}"
    if spec.low is not None:
        return f" of at least {spec.low:g}{unit}"
    if spec.high is not None:
        return f" of at most {spec.high:g}{unit}"
    return f" ({spec.unit})" if spec.unit else ""
