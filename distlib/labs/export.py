"""Export: what a lab shows, as files that need no kernel. Their names tell the lab, the figure and the parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distlib.labs import scenario_file

if TYPE_CHECKING:
    from distlib.labs.lab import Lab

KINDS = ("html", "svg", "png", "csv", "json")
FOLDER = "exports"
NO_CHROMIUM = (
    "SVG and PNG need Chromium or Chrome, and none was found. The camera above the figure saves an SVG "
    "straight from the browser; the HTML file is complete."
)


def write(lab: Lab, kinds: Iterable[str], folder: Path) -> tuple[list[Path], list[str]]:
    """Write files of the given kinds into ``folder``; return their paths, and what could not be written and why.

    Raises ``ValueError`` for an unknown kind, or when the lab has no picture yet.
    """
    wanted = list(dict.fromkeys(kinds))
    for kind in wanted:
        if kind not in KINDS:
            raise ValueError(f"cannot export {kind!r}; choose from {', '.join(KINDS)}")
    if lab.picture.figure is None:
        raise ValueError("there is no picture to export yet")
    folder.mkdir(parents=True, exist_ok=True)
    stem = _unused(folder, _stem(lab))
    written: list[Path] = []
    trouble: list[str] = []
    for kind in wanted:
        path = folder / f"{stem}.{kind}"
        if kind in ("svg", "png"):
            reason = _image(lab.picture.figure, path)
            if reason:
                trouble.append(reason)
            else:
                written.append(path)
        elif kind == "csv":
            written += _tables(lab, folder, stem)
        else:
            path.write_text(_page(lab) if kind == "html" else scenario_file.text(lab), encoding="utf-8")
            written.append(path)
    return written, list(dict.fromkeys(trouble))


def _stem(lab: Lab) -> str:
    name = re.sub(r"Lab$", "", type(lab).__name__)
    words = [re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower(), lab.figure]
    words += [f"{name}={value}" for name, value in lab.changes().items() if name != "figure"]
    stem = re.sub(r"[^\w=.+-]+", "-", "_".join(words))
    return stem[:80].strip("-_.")


def _unused(folder: Path, stem: str) -> str:
    present = [path.name for path in folder.iterdir()]
    number, candidate = 1, stem
    while any(name.startswith((f"{candidate}.", f"{candidate}_table-")) for name in present):
        number += 1
        candidate = f"{stem}_{number}"
    return candidate


def _tables(lab: Lab, folder: Path, stem: str) -> list[Path]:
    import pandas as pd

    paths = []
    for name, frame in lab.data(lab.result).items():
        path = folder / f"{stem}_table-{re.sub(r'[^0-9A-Za-z]+', '-', name)}.csv"
        frame.to_csv(path, index=not isinstance(frame.index, pd.RangeIndex), encoding="utf-8-sig")
        paths.append(path)
    return paths


def _page(lab: Lab) -> str:
    figure: Any = lab.picture.figure
    return str(figure.to_html(include_plotlyjs=True, full_html=True))


def _image(figure: Any, path: Path) -> str:
    """Write an image; return why that was impossible, '' if it was not."""
    try:
        figure.write_image(path)
    except Exception as error:
        if "chrome" in f"{type(error).__name__} {error}".lower():
            return NO_CHROMIUM
        return f"{path.suffix[1:].upper()} could not be written: {error}"
    return ""
