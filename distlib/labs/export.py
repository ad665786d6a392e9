"""Export: what a lab shows, as files that need no kernel. Their names tell the lab, figure and parameters."""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from distlib.figures.export import NoBrowserError, save_image, to_html
from distlib.labs import markup
from distlib.labs.markup import LabVerdict

KINDS = ("html", "svg", "png", "csv", "json")
IMAGES = ("svg", "png")
FOLDER = "exports"
NO_BROWSER = (
    "SVG and PNG need Chromium or Chrome, and none was found on this machine. The camera above the "
    "figure saves an SVG straight from your browser, and the HTML file holds the whole figure."
)


@dataclass(frozen=True, eq=False)
class LabReport:
    """What a lab shows at one moment, as plain data: all that its files hold. ``stem`` begins their names; ``share`` is
    the line of Python that rebuilds the view, ``scenario`` the same as JSON. ``data`` are the frames of the CSV files
    by name, ``steps`` what a reader did, in words."""

    title: str
    stem: str
    share: str
    scenario: str
    figure: go.Figure
    table: pd.DataFrame | None = None
    verdicts: Sequence[LabVerdict] = ()
    data: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    steps: Sequence[str] = ()

    def page(self) -> str:
        """Everything as one page of HTML that stands alone."""
        head = f'<head><meta charset="utf-8"><title>{escape(self.title)}</title></head>'
        body = self.part(to_html(self.figure, full_page=False))
        return f'<!DOCTYPE html><html lang="en">{head}<body>{body}</body></html>\n'

    def part(self, figure: str) -> str:
        """Everything as a part of a page; ``figure`` is the figure's HTML."""
        steps = "".join(f"<li>{escape(step)}</li>" for step in self.steps)
        parts = [
            f'{markup.STYLE}<div class="lab"><div class="lab-title" role="heading">{escape(self.title)}</div>',
            figure,
            "" if self.table is None else markup.table(self.table),
            markup.verdicts(self.verdicts),
            steps and f'<ol class="lab-witness">{steps}</ol>',
            f'<p class="lab-witness">Rebuild it with <code class="lab-file">{escape(self.share)}</code></p></div>',
        ]
        return "\n".join(parts)


class Export:
    """One export of a report into the folder ``exports``, under names that no file there has.

    ``written`` and ``trouble`` tell what there is and what could not be written. Texts take no time; images start a
    browser, so that they can be left to a thread. Raises ``ValueError`` for an unknown kind, or for none.
    """

    def __init__(self, report: LabReport, kinds: Iterable[str]) -> None:
        self.kinds = tuple(dict.fromkeys(kinds))
        for kind in self.kinds:
            if kind not in KINDS:
                raise ValueError(f"cannot export {kind!r}; choose from {', '.join(KINDS)}")
        if not self.kinds:
            raise ValueError(f"choose at least one kind of file to export: {', '.join(KINDS)}")
        self.report = report
        self.images = [kind for kind in self.kinds if kind in IMAGES]
        self.written: list[Path] = []
        self.trouble: list[str] = []
        self._stem = _unused_stem(_safe(report.stem))

    def write_texts(self) -> None:
        """Write the HTML page, the tables and the scenario."""
        if "html" in self.kinds:
            self._write(".html", self.report.page())
        if "csv" in self.kinds:
            used: set[str] = set()
            for name, frame in self.report.data.items():
                text = frame.to_csv(index=not isinstance(frame.index, pd.RangeIndex), lineterminator="\n")
                self._write(f"_table-{_unused(_safe(name), used)}.csv", text, "utf-8-sig")
        if "json" in self.kinds:
            self._write(".json", self.report.scenario)

    def write_images(self) -> None:
        """Draw the images; without a browser, say so once."""
        for kind in self.images:
            try:
                self.written.append(save_image(self.report.figure, Path(f"{self._stem}.{kind}")))
            except NoBrowserError:
                self.trouble.append(NO_BROWSER)
                return
            except Exception as error:  # whatever the browser died of; the other files are there
                self.trouble.append(f"{kind.upper()} could not be drawn: {type(error).__name__}: {error}")

    def _write(self, ending: str, text: str, encoding: str = "utf-8") -> None:
        path = Path(self._stem + ending)
        path.write_text(text, encoding=encoding)
        self.written.append(path)


_TAKEN: set[str] = set()
"""Stems that this process has given away: an image is drawn later, and until then no file shows that it will come."""
_LOCK = threading.Lock()


def _safe(name: str) -> str:
    """``name`` as a part of a file's name on any machine: letters of all languages stay, and 120 bytes at the most."""
    kept = re.sub(r"[^\w=.+-]+", "-", unicodedata.normalize("NFC", name)).encode()[:120].decode(errors="ignore")
    return kept.strip("-_.") or "unnamed"


def _unused(name: str, used: set[str]) -> str:
    """``name``, with a number behind it if it is ``used``, where letters that differ in case alone are the same."""
    number, candidate = 1, name
    while candidate.casefold() in used:
        number += 1
        candidate = f"{name}_{number}"
    used.add(candidate.casefold())
    return candidate


def _unused_stem(name: str) -> str:
    """``exports/name``, with a number behind it if files of that name are there, or will be."""
    folder = Path(FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    with _LOCK:
        here = f"{folder.resolve()}/".casefold()
        taken = {one.removeprefix(here) for one in _TAKEN if one.startswith(here)}
        taken |= {re.split(r"_table-|\.[a-z]+$", path.name)[0].casefold() for path in folder.iterdir()}
        stem = _unused(name, taken)
        _TAKEN.add(here + stem.casefold())
    return f"{FOLDER}/{stem}"
