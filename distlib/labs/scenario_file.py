"""Scenario files: a lab's class, parameters and view as JSON, and back, with an error that names the field."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distlib.core import codec, require
from distlib.core.parameter import Parameters
from distlib.labs.declaration import values_of


@dataclass(frozen=True)
class Scenario:
    """The fields of a file: the lab's ``module:Class``, and the fields of its parameters and view."""

    lab: Any
    params: Any
    view: Any = field(default_factory=dict)
    figure: Any = None


def text(lab: type, params: Parameters, view: Parameters, figure: str) -> str:
    """A lab's class, parameters, view and chosen figure as JSON."""
    name = f"{lab.__module__}:{lab.__name__}"
    data = {"lab": name, "params": codec.to_data(params), "view": codec.to_data(view), "figure": figure}
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def read(path: Path, base: type) -> tuple[Any, dict[str, Any]]:
    """The lab class that the file names (``base`` or a subclass) and its keyword arguments. Raises ``ValueError``
    naming the file and the field that is wrong, ``FileNotFoundError`` if there is none."""
    data = codec.parse(path.read_bytes(), path.name, "an object with the fields of Scenario")
    scenario: Scenario = codec.from_data(Scenario, data, path.name)
    lab_class = _class_named(scenario.lab, base, path.name)
    params = codec.from_data(lab_class.params, scenario.params, f"{path.name}: params")
    view = codec.from_data(lab_class.view, scenario.view, f"{path.name}: view")
    figure = next(iter(lab_class.figures)) if scenario.figure is None else scenario.figure
    require.choice(f"{path.name}: figure", figure, lab_class.figures)
    return lab_class, {**values_of(params, view), "figure": figure}


def _class_named(name: Any, base: type, where: str) -> Any:
    """The lab that ``module:Class`` names; a class of the library is imported, one of a notebook has to be there."""
    module, _, of_module = str(name).rpartition(":")
    known = {one.__name__: one for one in _family(base) if hasattr(one, "params")}  # a base of labs shows nothing
    if module.startswith("distlib."):
        with suppress(ValueError):
            found = codec.library_class(name, base, where, "")
            if hasattr(found, "params"):
                return found
    elif of_module in known:
        return known[of_module]
    raise ValueError(f"{where}: lab is {name!r}; {base.__name__}.load reads one of {', '.join(sorted(known))}")


def _family(base: type) -> list[type]:
    children: list[type] = base.__subclasses__()
    return [base, *(one for child in children for one in _family(child))]
