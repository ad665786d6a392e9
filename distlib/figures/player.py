"""Play button and slider for figures that move: plotly frames, so that they work in a static page too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from distlib.core import require
from distlib.figures import theme

STEP_MS = 120
"""How long a frame stands when the play button runs."""
PLAYER_PX = 74
"""Height of the row with button and slider."""


def moments(start_ms: float, end_ms: float, frames: int) -> list[float]:
    """``frames`` instants, 2 to 400 (else ``ValueError``), evenly from ``start_ms`` to ``end_ms``."""
    require.whole("frames", frames, 2, 400)
    step = (end_ms - start_ms) / (frames - 1)
    digits = max(0, 1 - math.floor(math.log10(step))) if step > 0 else 0
    return [min(end_ms, round(start_ms + number * step, digits)) for number in range(frames)]


def clock(time_ms: float) -> str:
    """A time as the slider shows it: up to two decimals, none where they are 0."""
    return f"{time_ms:,.2f}".rstrip("0").rstrip(".")


def at_once(redraw: bool = False, stand_ms: int = 0) -> dict[str, Any]:
    """How plotly goes to a frame: without a transition; ``stand_ms`` until the next one."""
    return {
        "mode": "immediate", "frame": {"duration": stand_ms, "redraw": redraw}, "transition": {"duration": 0}
    }  # fmt: skip


def slider(names: Sequence[str], labels: Sequence[str], *, redraw: bool = False, **style: Any) -> dict[str, Any]:
    """A slider whose steps go to the frames of these ``names``."""
    steps = [
        {"label": label, "method": "animate", "args": [[name], at_once(redraw)]}
        for name, label in zip(names, labels, strict=True)
    ]
    colours = {"bgcolor": theme.GRID, "bordercolor": theme.FAINT, "activebgcolor": theme.SKY}
    return {"steps": steps, "yanchor": "top", **colours, **style}


def add_player(
    figure: go.Figure, frames: Sequence[dict[str, Any]], times_ms: Sequence[float], *, active: int = 0,
    below_px: float = 40, redraw: bool = False,
) -> go.Figure:  # fmt: skip
    """Give ``figure`` its ``frames`` (what ``go.Frame`` takes, as dicts: plotly checks them once less), one for each of
    ``times_ms``, with a play button and a slider under the axes.
    ``below_px`` is what the axis below needs (its title); the figure grows by the row. ``redraw`` is for frames that
    change bars or the layout; without it, each trace of a frame must have a point, or the old ones stay."""
    figure.frames = [{**frame, "name": str(number)} for number, frame in enumerate(frames)]
    margin = figure.layout.margin
    bottom, height = (margin.b or 0) + PLAYER_PX, figure.layout.height + PLAYER_PX
    y = -below_px / (height - bottom - (margin.t or 0))
    play = {"label": "▶", "method": "animate", "args": [None, at_once(redraw, STEP_MS) | {"fromcurrent": True}]}
    stop = {"label": "❚❚", "method": "animate", "args": [[None], at_once(redraw)]}
    row = slider(
        [frame.name for frame in figure.frames], [clock(time_ms) for time_ms in times_ms], redraw=redraw,
        active=active, x=0.15, xanchor="left", len=0.85, y=y, pad={"t": 8, "b": 0}, ticklen=0, minorticklen=0,
        currentvalue={"prefix": "at ", "suffix": " ms", "font": {"size": 13, "color": theme.INK}, "offset": 4},
        font={"color": "rgba(0,0,0,0)", "size": 1}, borderwidth=1,
    )  # fmt: skip
    buttons = {
        "type": "buttons", "buttons": [play, stop], "direction": "left", "showactive": False, "pad": {"t": 18, "r": 0},
        "x": 0, "xanchor": "left", "y": y, "yanchor": "top", "bgcolor": theme.PAPER, "bordercolor": theme.FAINT,
        "font": {"size": 14, "color": theme.INK},
    }  # fmt: skip
    return figure.update_layout(height=height, margin_b=bottom, sliders=[row], updatemenus=[buttons])
