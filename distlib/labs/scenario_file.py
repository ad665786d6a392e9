"""Scenario files: a lab's class, parameters and view as JSON, and back, with an error that names the field."""

from __future__ import annotations

import json
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

from distlib.core import codec


def text(lab: Any) -> str:
    """The lab's class, parameters, view and chosen figure as JSON."""
    data = {
        "lab": f"{type(lab).__module__}:{type(lab).__name__}",
        "params": codec.to_data(lab.params),
        "view": codec.to_data(lab.view),
        "figure": lab.figure,
    }
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def read(path: Path, base: type) -> tuple[Any, dict[str, Any]]:
    """The lab class and its keyword arguments. ``base`` is the class asked for; the file may name one of its
    subclasses.

    Raises ``ValueError`` naming the file and the field that is wrong, ``FileNotFoundError`` if there is none.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise ValueError(f"{path.name} holds {type(data).__name__}; it takes an object with lab, params, view, figure")
    for name in data:
        if name not in ("lab", "params", "view", "figure"):
            raise ValueError(f"{path.name} has an unknown field {name!r}; it has lab, params, view, figure")
    for name in ("lab", "params"):
        if name not in data:
            raise ValueError(f"{path.name} lacks the field {name!r}")
    kind = _class_named(data["lab"], base, path.name)
    params = codec.from_data(kind.params, data["params"], f"{path.name}: params")
    view = codec.from_data(kind.view, data.get("view", {}), f"{path.name}: view")
    figure = data.get("figure", next(iter(kind.figures)))
    if figure not in kind.figures:
        raise ValueError(f"{path.name}: figure is {figure!r}; {kind.__name__} has {', '.join(map(repr, kind.figures))}")
    values = {item.name: getattr(one, item.name) for one in (params, view) for item in fields(one)}
    return kind, {**values, "figure": figure}


def _class_named(name: Any, base: type, where: str) -> Any:
    """The lab that ``module:Class`` names; a class of the library is imported, one of a notebook has to be there."""
    module, _, of_module = str(name).rpartition(":")
    known = {one.__name__: one for one in _family(base)}
    if module.startswith("distlib."):
        try:
            found = getattr(import_module(module), of_module, None)
        except ModuleNotFoundError:
            found = None
        if isinstance(found, type) and issubclass(found, base):
            return found
    elif of_module in known:
        return known[of_module]
    raise ValueError(f"{where}: lab is {name!r}; {base.__name__}.load reads one of {', '.join(sorted(known))}")


def _family(base: type) -> list[type]:
    children: list[type] = base.__subclasses__()
    return [base, *(one for child in children for one in _family(child))]
