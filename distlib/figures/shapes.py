"""The few shapes that figures are made of, each of them one trace: broken lines, signs, words, lying bars."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import plotly.graph_objects as go

Path = Sequence[tuple[Any, Any]]


def plain(text: Any, width: int = 88) -> str:
    """``text`` for a label that understands markup: markup escaped, long lines broken."""
    return "<br>".join(html.escape(line, quote=False) for line in textwrap.wrap(str(text), width) or [""])


def cut(text: str, letters: int) -> str:
    """``text``, with an ellipsis for what is beyond so many letters."""
    return text if len(text) <= letters else f"{text[: max(1, letters - 1)]}…"


def lines(paths: Sequence[Path], said: Sequence[str] | None = None, **style: Any) -> go.Scatter:
    """``paths`` as lines with gaps between them; ``said`` is the hover text of each (None: the mouse passes over)."""
    hover: dict[str, Any] = {"hoverinfo": "skip"}
    if said is not None:
        words = [text for path, text in zip(paths, said, strict=True) for text in (*[text] * len(path), "")]
        hover = {"hoverinfo": "text", "hovertext": words}
    x = [value for path in paths for value in (*(x for x, _ in path), None)]
    y = [value for path in paths for value in (*(y for _, y in path), None)]
    return go.Scatter(x=x, y=y, mode="lines", **hover, **style)


def signs(points: Iterable[tuple[Any, Any, str]], **style: Any) -> go.Scatter:
    """A marker at (x, y) with a hover text for each of ``points``."""
    found = list(points)
    return go.Scatter(
        x=[x for x, _, _ in found], y=[y for _, y, _ in found], hovertext=[said for _, _, said in found],
        mode="markers", hoverinfo="text", **style,
    )  # fmt: skip


def words(points: Iterable[tuple[Any, Any, str]], **style: Any) -> go.Scatter:
    """A text at (x, y) for each of ``points``; the mouse passes over."""
    found = list(points)
    return go.Scatter(
        x=[x for x, _, _ in found], y=[y for _, y, _ in found], text=[text for _, _, text in found],
        mode="text", hoverinfo="skip", showlegend=False, **style,
    )  # fmt: skip


def bars(starts: Sequence[float], lengths: Sequence[float], y: Sequence[float], **style: Any) -> go.Bar:
    """Lying bars: where each starts, how long it is, at which height; ``text`` stands on them as it is."""
    if "text" in style:
        style = {"textposition": "inside", "textangle": 0, "constraintext": "none", **style}
    return go.Bar(orientation="h", base=starts, x=lengths, y=y, **style)


def hatch(shape: str | list[str], colour: str, size: int, solidity: float) -> dict[str, Any]:
    """The hatching of a bar, over its colour."""
    return {"shape": shape, "fgcolor": colour, "size": size, "solidity": solidity, "fillmode": "overlay"}
