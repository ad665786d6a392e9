"""Export: what a lab shows, as files that need no kernel. Their names tell the lab, figure and parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from distlib.figures.export import NoBrowserError, save_image, to_html
from distlib.labs import markup, scenario_file

if TYPE_CHECKING:
    from distlib.labs.lab import Lab

KINDS = ("html", "svg", "png", "csv", "json")
IMAGES = ("svg", "png")
FOLDER = "exports"
NO_BROWSER = (
    "SVG and PNG need Chromium or Chrome, and none was found on this machine. The camera above the "
    "figure saves an SVG straight from your browser, and the HTML file holds the whole figure."
)


class Export:
    """One export of a lab, as it stands now, into ``folder``.

    ``written`` and ``trouble`` tell what there is and what could not be written. Texts take no time; images
    start a browser and take seconds, so that they can be left to a thread. Raises ``ValueError`` for an
    unknown kind, for none, or when there is no picture yet.
    """

    def __init__(self, lab: Lab, kinds: Iterable[str], folder: Path) -> None:
        self.kinds = tuple(dict.fromkeys(kinds))
        for kind in self.kinds:
            if kind not in KINDS:
                raise ValueError(f"cannot export {kind!r}; choose from {', '.join(KINDS)}")
        if not self.kinds:
            raise ValueError(f"choose at least one kind of file to export: {', '.join(KINDS)}")
        if lab.picture.figure is None:
            raise ValueError("there is no picture to export yet")
        folder.mkdir(parents=True, exist_ok=True)
        self.lab = lab
        self.figure = lab.picture.figure
        self.folder = folder
        self.stem = _unused(folder, _stem(lab))
        self.written: list[Path] = []
        self.trouble: list[str] = []

    @property
    def has_images(self) -> bool:
        """Whether ``write_images`` has anything to do."""
        return any(kind in IMAGES for kind in self.kinds)

    def write_texts(self) -> None:
        """Write the HTML page, the tables and the scenario."""
        if "html" in self.kinds:
            self._write("html", page(self.lab))
        if "csv" in self.kinds:
            for name, frame in self.lab.data(self.lab.result).items():
                path = self.folder / f"{self.stem}_table-{re.sub(r'[^0-9A-Za-z]+', '-', name)}.csv"
                frame.to_csv(path, index=not isinstance(frame.index, pd.RangeIndex), encoding="utf-8-sig")
                self.written.append(path)
        if "json" in self.kinds:
            self._write("json", scenario_file.text(self.lab))

    def write_images(self) -> None:
        """Draw the images; without a browser, say so once."""
        for kind in self.kinds:
            if kind not in IMAGES:
                continue
            try:
                self.written.append(save_image(self.figure, self.folder / f"{self.stem}.{kind}"))
            except NoBrowserError:
                self.trouble.append(NO_BROWSER)
                return
            except Exception as error:  # whatever the browser died of; the other files are there
                self.trouble.append(f"{kind.upper()} could not be drawn: {type(error).__name__}: {error}")

    def _write(self, kind: str, text: str) -> None:
        path = self.folder / f"{self.stem}.{kind}"
        path.write_text(text, encoding="utf-8")
        self.written.append(path)


def page(lab: Lab) -> str:
    """Everything that the lab shows as one page of HTML: figure, statistics, verdicts and how to rebuild it."""
    table = lab.table(lab.result)
    parts = [
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(lab.title)}</title>',
        markup.STYLE,
        '</head><body><div class="lab">',
        f'<h1 class="lab-title">{escape(lab.title)}</h1>',
        to_html(lab.picture.figure, full_page=False),
        "" if table is None else markup.table(table),
        markup.verdicts(markup.LabVerdict(*one) for one in lab.verdicts(lab.result)),
        f'<p class="lab-witness">Rebuild it with <code class="lab-file">{escape(lab.share())}</code></p>',
        "</div></body></html>\n",
    ]
    return "\n".join(parts)


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
