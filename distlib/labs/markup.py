"""The words of a lab as HTML: style, table, verdicts and messages. Everything that comes from outside is escaped."""

from __future__ import annotations

import math
import re
import traceback
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROWS = 25
"""A table on the screen shows this many rows; the exported file has all."""

COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

STYLE = f"<style>\n{Path(__file__).with_name('lab.css').read_text(encoding='utf-8')}</style>"


LabVerdict = tuple[str, bool | None, str]
"""An invariant of a run: its name, whether it holds (None: not decided), and a witness in words."""


def table(frame: pd.DataFrame) -> str:
    """A data frame as a small table; the index is shown unless it only counts the rows."""
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    kinds = [' class="number"' if pd.api.types.is_numeric_dtype(one) else "" for one in frame.dtypes]
    names = ["" if str(name) == "index" else _heading(str(name)) for name in frame.columns]
    head = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for kind, name in zip(kinds, names, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{escape(number(cell))}</td>" for kind, cell in zip(kinds, row, strict=True))
        + "</tr>"
        for row in frame.head(ROWS).itertuples(index=False, name=None)
    )
    hidden = len(frame) - ROWS
    more = f"<div class='lab-witness'>{hidden:,} more rows in the CSV file</div>" if hidden > 0 else ""
    return f'<table class="lab-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}'


def _heading(name: str) -> str:
    """The name of a column in words: ``leader_change_ms`` is ``leader change (ms)``."""
    return re.sub(r"_(ms|s|per_s)$", r" (\1)", name).replace("_", " ")


def number(value: Any) -> str:
    """A cell as text: whole numbers with thousands separators, others with four significant digits."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return "–"
        if math.isinf(value):
            return "∞" if value > 0 else "-∞"
        if not value.is_integer() or abs(value) >= 1e15:
            return f"{value:,.1f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"
    return f"{int(value):,}"


def verdicts(found: Iterable[LabVerdict]) -> str:
    """Verdicts: what is broken, with its witness; then what is not decided; then one line for all that holds, which
    opens. Signs and words say it, so that colour says nothing of its own."""
    by_sign: dict[bool | None, list[tuple[str, str]]] = {False: [], None: [], True: []}
    for name, holds, witness in found:
        by_sign[holds if holds is None else bool(holds)].append((name, str(witness)))
    broken, undecided, kept = by_sign.values()
    items = [_verdict("false", "✗", "broken:", *one) for one in broken]
    items += [_verdict("none", "–", "not decided:", *one) for one in undecided]
    if len(kept) == 1:
        items += [_verdict("true", "✓", "holds:", *one) for one in kept]
    elif kept:
        number = COUNTS[len(kept)] if len(kept) < len(COUNTS) else f"{len(kept):,}"
        all_of_them = "both" if len(kept) == 2 else f"all {number}"
        promises = f"the other {number} promises hold" if items else f"{all_of_them} promises hold"
        inside = "".join(_verdict("true", "✓", "", *one) for one in kept)
        sign = '<span class="lab-sign" aria-hidden="true">✓</span>'
        items.append(
            f'<li class="lab-true"><details><summary>{sign}<b>{promises}</b></summary><ul>{inside}</ul></details></li>'
        )
    return f'<ul class="lab-verdicts">{"".join(items)}</ul>' if items else ""


def _verdict(kind: str, sign: str, word: str, name: str, witness: str) -> str:
    said = f' <span class="lab-witness">{escape(witness)}</span>' if witness else ""
    return (
        f'<li class="lab-{kind}"><span class="lab-sign" aria-hidden="true">{sign}</span>'
        f"{word} <b>{escape(name)}</b>{said}</li>"
    )


def message(kind: str, text: str, error: BaseException | None = None) -> str:
    """A message of kind error, warning or note; with an error, its traceback can be folded out."""
    role = "alert" if kind == "error" else "status"
    sign = {"error": "✗", "warning": "⚠", "note": ""}[kind]
    details = ""
    if error is not None:
        lines = "".join(traceback.format_exception(error))
        details = f"<details><summary>Details</summary><pre>{escape(lines)}</pre></details>"
    lines = escape(text).replace("\n", "<br>")
    return f'<div class="lab-said lab-{kind}" role="{role}">{sign} {lines}{details}</div>'


def share(line: str) -> str:
    """The line that rebuilds a view, in a box that copies."""
    copy = (
        "const box = this.parentNode.querySelector('input'); box.select();"
        "if (navigator.clipboard) navigator.clipboard.writeText(box.value); "
        "else document.execCommand('copy');"
        "this.textContent = 'Copied';"
    )
    return (
        f'<div class="lab-share"><input readonly aria-label="line of Python that rebuilds this view" '
        f'value="{escape(line, quote=True)}" onfocus="this.select()">'
        f'<button type="button" class="jp-Button" onclick="{escape(copy, quote=True)}">Copy</button></div>'
    )


def files(written: Iterable[Path], more: str = "") -> str:
    """The list of files that an export wrote, and what is still to come."""
    items = "".join(f'<li><span class="lab-file">{escape(str(path))}</span></li>' for path in written)
    files = f"Written beside this notebook:<ul>{items}</ul>" if items else ""
    return f'<div class="lab-said lab-note" role="status">{files}{escape(more)}</div>' if files or more else ""
