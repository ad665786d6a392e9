"""Parameters: one frozen class a situation; name, unit, range and help text stated once, on the field.

A scenario takes an instance, the lab makes its sliders from the class, and a scenario file stores the values.

    @dataclass(frozen=True)
    class ElectionParams(Parameters):
        servers: int = parameter(5, "servers", low=1, high=9, help="size of the cluster")
        timeout_ms: tuple[float, float] = parameter((150, 300), "timeout", unit="ms", low=1, high=5000)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from distlib.core import require

KEY = "parameter"


@dataclass(frozen=True)
class Spec:
    """What a parameter means: everything that a slider, a help text and a check of its value need.

    ``low`` and ``high`` bound the value itself, both ends of a range, or every item of a tuple of numbers.
    ``scale`` is ``"log"`` where a slider should move by factors. ``choices`` lists the allowed values (or,
    with ``several=True``, the values from which a tuple is picked). ``only_with`` names another parameter and the value
    of it that gives this one a meaning: without it, no control is shown. ``floor`` and ``ceiling`` name another
    parameter, or a property of the class, that the control of this one never passes; where a value beyond has no
    meaning at all, ``Parameters.check`` refuses it.
    """

    label: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    floor: str = ""
    ceiling: str = ""
    step: float | None = None
    scale: str = "linear"
    choices: tuple[Any, ...] | None = None
    several: bool = False
    at_least: int = 0
    only_with: tuple[str, Any] | None = None
    help: str = ""


def parameter(default: Any, label: str, **spec: Any) -> Any:
    """A dataclass field with its ``Spec``: all arguments but the default are those of ``Spec``."""
    return field(default=default, metadata={KEY: Spec(label, **spec)})


def spec_of(item: Field[Any]) -> Spec | None:
    """The ``Spec`` of a dataclass field, or None for a plain one."""
    return item.metadata.get(KEY)


def is_whole(item: Field[Any]) -> bool:
    """Whether the parameter is declared to take whole numbers only."""
    return item.type in (int, "int")


@dataclass(frozen=True)
class Parameters:
    """Base of every parameter class: checks each value against its ``Spec`` when it is made, and one without a ``Spec``
    against its type. Subclasses add rules across fields in ``check``, remarks on values that will surprise in
    ``warnings``. Raises ``TypeError`` for a value of the wrong type, ``ValueError`` for one out of range, naming the
    parameter, the value and what is allowed."""

    def __post_init__(self) -> None:
        cls: Any = type(self)
        require.dataclass_fields(cls)
        for item in fields(self):
            spec, value = spec_of(item), getattr(self, item.name)
            if spec is not None:
                _check(cls.__name__, item, spec, value)
            else:
                _check_type(f"{cls.__name__}.{item.name}", _hints(cls).get(item.name), value)
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

    @classmethod
    def ends(cls, values: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
        """Low and high end of every number that has a ``floor`` or ``ceiling``, while the others stand on ``values``,
        which need not go together."""
        standing: Any = object.__new__(cls)
        standing.__dict__.update(values)
        found = {}
        for name, spec in cls.specs().items():
            if spec.floor or spec.ceiling:
                lowest: Any = spec.low
                highest: Any = spec.high
                high = max(lowest, min(highest, getattr(standing, spec.ceiling) if spec.ceiling else highest))
                low = max(lowest, getattr(standing, spec.floor) if spec.floor else lowest)
                found[name] = (min(low, high), high)
        return found

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
        require.choice(name, value, spec.choices)
    elif isinstance(default, bool):
        require.flag(name, value)
    elif isinstance(default, str):
        require.text(name, value)
    else:
        check = require.pair if isinstance(default, tuple) else require.whole if is_whole(item) else require.number
        check(name, value, spec.low, spec.high, spec.unit)


@cache
def _hints(cls: type) -> dict[str, Any]:
    try:
        return get_type_hints(cls)
    except NameError:  # a class inside a function, whose names cannot be looked up
        return {}


def _check_type(name: str, hint: Any, value: Any) -> None:
    """``TypeError`` unless ``value`` is of the type ``hint``: a class, several joined by ``|``, or many of such in a
    tuple; other hints are not checked."""
    origin, inner = get_origin(hint), get_args(hint)
    classes = inner if origin in (Union, UnionType) else (hint,)
    if origin is tuple and inner[1:] == (Ellipsis,):
        for number, one in enumerate(require.instance(name, value, tuple, "a tuple")):
            if type(one) is not inner[0]:  # recorded times come by the million
                _check_type(f"{name}[{number}]", inner[0], one)
    elif hint in (int, float):
        (require.whole if hint is int else require.number)(name, value)
    elif all(isinstance(one, type) and one is not Any for one in classes):
        words = [f"{'an' if one.__name__[0] in 'AEIOUaeiou' else 'a'} {one.__name__}" for one in classes]
        require.instance(name, value, classes, " or ".join(words).replace("a NoneType", "None"))


def _check_several(name: str, spec: Spec, value: Any) -> None:
    require.instance(name, value, tuple, "a tuple of names")
    unknown = [one for one in value if one not in (spec.choices or ())]
    if unknown:
        raise ValueError(f"{name} holds {unknown[0]!r}; choose from {', '.join(map(repr, spec.choices or ()))}")
    if len(value) < spec.at_least:
        raise ValueError(f"{name} has {len(value)} values; it takes at least {spec.at_least}")
