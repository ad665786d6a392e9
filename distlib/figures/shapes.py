"""The few shapes that figures are made of, each of them one trace: broken lines, signs, words, lying bars."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import plotly.graph_objects as go

from distlib.figures.theme import CHAR

Path = Sequence[tuple[Any, Any]]


def transposed(rows: Iterable[Iterable[Any]], count: int) -> list[list[Any]]:
    """Rows of ``count`` values each as columns, of which there are as many when there is no row."""
    return list(map(list, zip(*rows, strict=True))) or [[] for _ in range(count)]


def plain(text: Any, width: int = 88) -> str:
    """``text`` for a label that understands markup: markup escaped, long lines broken."""
    return _broken(str(text), width)


@lru_cache(maxsize=10_000)  # a figure that is drawn anew says nearly the same: names, kinds and fields of messages
def _broken(text: str, width: int) -> str:
    return "<br>".join(html.escape(line, quote=False) for line in textwrap.wrap(text, width) or [""])


def cut(text: str, letters: int) -> str:
    """``text``, with an ellipsis for what is beyond so many letters."""
    return text if len(text) <= letters else f"{text[: max(1, letters - 1)]}…"


def box(left: float, right: float, low: float, high: float) -> Path:
    """The path round a rectangle."""
    return [(left, low), (right, low), (right, high), (left, high), (left, low)]


def longest(texts: Iterable[str], room_px: float) -> str:
    """The first of ``texts``, the longest first, for which there is room; '' if there is none."""
    return next((text for text in texts if len(text) * CHAR <= room_px), "")


def lines(paths: Sequence[Path], said: Sequence[str] | None = None, **style: Any) -> go.Scatter:
    """``paths`` as lines with gaps between them; ``said`` is the hover text of each (None: the mouse passes over)."""
    hover: dict[str, Any] = {"hoverinfo": "skip"}
    if said is not None:
        texts = [text for path, text in zip(paths, said, strict=True) for text in (*[text] * len(path), "")]
        hover = {"hoverinfo": "text", "hovertext": texts}
    x = [value for path in paths for value in (*(x for x, _ in path), None)]
    y = [value for path in paths for value in (*(y for _, y in path), None)]
    return go.Scatter(x=x, y=y, mode="lines", **{**hover, **style})


def signs(points: Iterable[tuple[Any, Any, str]], **style: Any) -> go.Scatter:
    """A marker at (x, y) with a hover text for each of ``points``."""
    x, y, said = transposed(points, 3)
    return go.Scatter(x=x, y=y, hovertext=said, mode="markers", hoverinfo="text", **style)


def words(points: Iterable[tuple[Any, Any, str]], **style: Any) -> go.Scatter:
    """A text at (x, y) for each of ``points``; the mouse passes over, unless ``style`` says otherwise."""
    x, y, text = transposed(points, 3)
    return go.Scatter(x=x, y=y, text=text, mode="text", **{"hoverinfo": "skip", "showlegend": False, **style})


def bars(found: Iterable[tuple[float, float, float]], **style: Any) -> go.Bar:
    """Lying bars: where each starts, how long it is, at which height."""
    starts, lengths, heights = transposed(found, 3)
    return go.Bar(orientation="h", base=starts, x=lengths, y=heights, **style)


def labelled_bars(found: Sequence[tuple[float, float, float, str, str]], **style: Any) -> go.Bar:
    """Lying bars, each with the words that stand on it as they are, and its hover text."""
    text, said = transposed((one[3:] for one in found), 2)
    labels = {"textposition": "inside", "textangle": 0, "constraintext": "none", "insidetextanchor": "middle"}
    shown = {**labels, "hoverinfo": "text", "showlegend": bool(found), **style}
    return bars((one[:3] for one in found), text=text, hovertext=said, **shown)


def framed(colour: Any, line: str, width: float, pattern: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """The colour, frame and hatching of a bar, as its ``marker``."""
    hatched = {} if pattern is None else {"pattern": pattern}
    return {"color": colour, "line": {"color": line, "width": width}, **hatched, **more}


def hatch(shape: str | list[str], colour: str, size: int, solidity: float) -> dict[str, Any]:
    """The hatching of a bar, over its colour."""
    return {"shape": shape, "fgcolor": colour, "size": size, "solidity": solidity, "fillmode": "overlay"}
