"""Scenario files: a lab's class, parameters and view as JSON, and back, with an error that names the
field.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from distlib.core import codec


def text(lab: Any) -> str:
    """The lab's class, parameters, view and chosen figure as JSON."""
    data = {
        "lab": type(lab).__name__,
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
        raise ValueError(
            f"{path.name} holds {type(data).__name__}; it takes an object with lab, params, view, figure"
        )
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
        raise ValueError(
            f"{path.name}: figure is {figure!r}; {kind.__name__} has {', '.join(map(repr, kind.figures))}"
        )
    values = {item.name: getattr(one, item.name) for one in (params, view) for item in fields(one)}
    return kind, {**values, "figure": figure}


def _class_named(name: Any, base: type, where: str) -> Any:
    import distlib.labs

    known = {one.__name__: one for one in _family(base)}
    if name in known:
        return known[name]
    if isinstance(name, str) and name in dir(distlib.labs):
        found = getattr(distlib.labs, name)
        if isinstance(found, type) and issubclass(found, base):
            return found
    raise ValueError(
        f"{where}: lab is {name!r}; {base.__name__}.load reads one of {', '.join(sorted(known))}"
    )


def _family(base: type) -> list[type]:
    children: list[type] = base.__subclasses__()
    return [base, *(one for child in children for one in _family(child))]
