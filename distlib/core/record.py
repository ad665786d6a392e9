"""Rules and states of policies as records: one class says the fields, for plain Python and for compiled code.

    @dataclass
    class BucketState:
        level: float = 0.0
        recent: list[float] = cells(10)

A ``plain`` function takes the object itself; a compiled one takes ``records[i]``, where ``records =
in_records(objects)``, and finds the same names in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

SCALARS = {int: np.int64, float: np.float64, bool: np.bool_}
CELLS = "cells"


def cells(size: int) -> Any:
    """A dataclass field with so many zeros, which a record holds in itself."""
    return field(default_factory=lambda: [0.0] * size, metadata={CELLS: size})


@cache
def record_dtype(cls: type) -> np.dtype[Any]:
    """The record of a named tuple or dataclass of numbers, flags, ``cells``, and others of such classes."""
    items: list[Any] = []
    for name, hint in get_type_hints(cls).items():
        if hint in SCALARS:
            items.append((name, SCALARS[hint]))
        elif get_origin(hint) is list:
            size = cls.__dataclass_fields__[name].metadata[CELLS]  # type: ignore[attr-defined]
            items.append((name, SCALARS[get_args(hint)[0]], (size,)))
        else:
            items.append((name, record_dtype(hint)))
    return np.dtype(items, align=True)


def in_records(objects: Sequence[Any]) -> NDArray[Any]:
    """These objects, all of one class, as an array of records."""
    kind: Any = type(objects[0])
    records = np.zeros(len(objects), record_dtype(kind))
    for place, one in enumerate(objects):
        fill(records[place], one)
    return records


def fill(record: Any, one: Any) -> None:
    """Write an object into its record."""
    for name in record.dtype.names:
        value = getattr(one, name)
        if record.dtype[name].names is None:
            record[name] = value
        else:
            fill(record[name], value)
