"""All labs of the library."""

from __future__ import annotations

import importlib
from pathlib import Path

import distlib
from distlib.labs.lab import Lab

PACKAGE = Path(distlib.__file__).parent


def _found(lab_class: type[Lab]) -> list[type[Lab]]:
    return [lab_class, *(one for child in lab_class.__subclasses__() for one in _found(child))]


def _runs(lab_class: type[Lab]) -> bool:
    return hasattr(lab_class, "title") and (hasattr(lab_class, "scenario") or lab_class.run is not Lab.run)


def every_lab() -> list[type[Lab]]:
    """The lab classes of all ``labs.py``, by name."""
    for path in PACKAGE.glob("**/labs.py"):
        importlib.import_module(".".join(["distlib", *path.relative_to(PACKAGE).with_suffix("").parts]))
    mine = [one for one in _found(Lab) if one.__module__.endswith(".labs") and _runs(one)]
    return sorted(set(mine), key=lambda one: one.__name__)
