"""Say at once that the wrong ``distlib`` is installed.

PyPI has an unrelated package of our import name (packaging tools such as virtualenv, tox, nox and pre-commit
depend on it). Where both are installed, the directory that comes first on ``sys.path`` wins, and a learner
meets ``No module named 'distlib.labs'`` instead of the reason. Two checks name it:

* ``install`` puts a finder in front of Python's own, which looks at the ``distlib`` that would be imported.
  The distribution ships this file a second time, as the module ``distributed_systems_course_guard``, and a
  ``.pth`` line beside it that calls ``install`` whenever the interpreter starts.
* ``refuse_stranger_in`` is called by our own package when it is imported. It finds the other package where
  this import happens to work (in the repository's root) and the next one would not (in ``notebooks/``).

This file must stay importable alone: no import from ``distlib``, and nothing slow, as it runs at every start
of the interpreter (hence ``os`` instead of ``pathlib``).
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # ``typing`` itself would take longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

OURS = "distributed-systems-course"
"""The name of our distribution. It stands in our package's ``__init__.py``, and tells it from any other."""


class CourseFinder:
    """A meta path finder that finds nothing itself: it refuses a ``distlib`` that is not the course's."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return None for every name, so that Python's own finders go on; called by the import system.

        Raises ``ImportError`` when ``distlib`` would be imported from a file that is not the course's.
        """
        if name != "distlib":
            return None
        for finder in sys.meta_path:
            if finder is cls or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.origin is not None and not _is_ours(spec.origin):
                    raise ImportError(_message(spec.origin), name=name, path=spec.origin)
                return None
        return None


def install() -> None:
    """Put the finder in front of all others; calling it again changes nothing."""
    if not any(getattr(finder, "__name__", "") == "CourseFinder" for finder in sys.meta_path):
        sys.meta_path.insert(0, CourseFinder)


def refuse_stranger_in(directories: Iterable[str]) -> None:
    """Check that PyPI's ``distlib`` is not installed in this environment.

    Only ``site-packages`` and ``dist-packages`` directories below ``sys.prefix`` are looked at: those of the
    environment itself, which come before an editable install of the course.

    ``directories`` is usually ``sys.path``. Raises ``ImportError`` when one of them holds the metadata of a
    distribution named ``distlib``.
    """
    for directory in directories:
        if not directory.startswith(sys.prefix) or not directory.endswith(("site-packages", "dist-packages")):
            continue
        try:
            names = os.listdir(directory)
        except OSError:  # a directory on sys.path need not exist
            continue
        for name in names:
            if name.startswith("distlib-") and name.endswith((".dist-info", ".egg-info")):
                found = os.path.join(directory, name)
                raise ImportError(_message(found), name="distlib", path=found)


def _is_ours(path: str) -> bool:
    try:
        with open(path, encoding="utf-8") as source:
            return OURS in source.read()
    except (OSError, UnicodeDecodeError):
        return False


def _message(found: str) -> str:
    python = sys.executable or "python"
    return (
        "the wrong `distlib`: not the library of the distributed systems course.\n"
        f"  Found:       {found}\n"
        "  What it is:  most likely PyPI's unrelated package `distlib` (low-level packaging functions),\n"
        "               which virtualenv, tox, nox and pre-commit install; or a file of yours of that name.\n"
        "  What to do:  take it out of this environment and install the course again, in its directory:\n"
        f"                 {python} -m pip uninstall -y distlib\n"
        f"                 {python} -m pip install -e .\n"
        "               Run the tools that need it from an environment of their own (pipx does that).\n"
        "               Or start afresh: `make clean lab` builds an environment that holds only the course."
    )
