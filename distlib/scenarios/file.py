"""Scenario files: parameters, seed and faults of one situation as JSON, so that a run can be kept, shared
and rebuilt.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from distlib.core.codec import from_data, to_data
from distlib.core.parameter import Parameters

FORMAT = "distlib scenario 1"
ROOM = "distlib.scenarios"


def to_text(params: Parameters) -> str:
    """The scenario as JSON text."""
    cls = type(params)
    if not cls.__module__.startswith(f"{ROOM}."):
        raise ValueError(
            f"{cls.__name__} is defined in {cls.__module__}; only classes of {ROOM} can be rebuilt"
        )
    name = f"{cls.__module__.removeprefix(ROOM + '.')}.{cls.__name__}"
    values = {key: value for key, value in to_data(params).items() if key != "type"}
    return json.dumps(
        {"format": FORMAT, "scenario": name, "parameters": values}, indent=2, ensure_ascii=False
    )


def from_text(text: str, where: str = "scenario") -> Parameters:
    """The parameters that :func:`to_text` wrote. Raises ``ValueError`` naming the field that is wrong,
    and why.
    """
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is not JSON: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else type(data).__name__
        raise ValueError(f"{where}.format is {found!r}; it takes {FORMAT!r}")
    params = from_data(
        _class_named(data.get("scenario"), where), data.get("parameters"), f"{where}.parameters"
    )
    assert isinstance(params, Parameters)
    return params


def save(params: Parameters, path: str | Path) -> Path:
    """Write the scenario to ``path``; returns the path."""
    path = Path(path)
    path.write_text(to_text(params) + "\n", encoding="utf-8")
    return path


def load(path: str | Path) -> Parameters:
    """Read a scenario file. Raises ``FileNotFoundError``, or ``ValueError`` naming the file and the field."""
    path = Path(path)
    return from_text(path.read_text(encoding="utf-8"), path.name)


def _class_named(name: Any, where: str) -> type[Parameters]:
    problem = f"{where}.scenario is {name!r}; it takes a parameter class such as 'raft.ElectionParams'"
    if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(problem)
    module, _, cls_name = name.rpartition(".")
    try:
        cls = getattr(import_module(f"{ROOM}.{module}") if module else None, cls_name)
    except (ImportError, AttributeError) as error:
        raise ValueError(problem) from error
    if not (isinstance(cls, type) and issubclass(cls, Parameters)):
        raise ValueError(problem)
    return cls
