"""The course's data files, in ``data/`` of the repository; a wheel holds them inside the package. See
``data/README.md``."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
DATA = PACKAGE / "data" if (PACKAGE / "data").is_dir() else PACKAGE.parent / "data"


def data_file(name: str) -> Path:
    """The file ``data/<name>``. Raises ``FileNotFoundError`` when it is not there."""
    path = DATA / name
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing, although the course ships it: install the course again, with `pip install -e .` in a "
            "clone of its repository"
        )
    return path
