"""The course's data files, in ``data/`` of the repository; see ``data/README.md``."""

from __future__ import annotations

from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "data"


def data_file(name: str) -> Path:
    """The file ``data/<name>``. Raises ``FileNotFoundError`` when it is not there."""
    path = DATA / name
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing. It is part of the repository (folder data/), not of the installed package: "
            "work in a clone and install it with `pip install -e .`"
        )
    return path
