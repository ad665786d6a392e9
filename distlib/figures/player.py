"""Play button and slider for figures that move: plotly frames, so that they work in a static page too."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from distlib.figures import theme

STEP_MS = 120
"""How long a frame stands when the play button runs."""
PLAYER_PX = 74
"""Height of the row with button and slider."""


def moments(start_ms: float, end_ms: float, frames: int) -> list[float]:
    """``frames`` instants, evenly from ``start_ms`` to ``end_ms``. Raises ``ValueError`` for fewer than 2 or more
    than 400."""
    if isinstance(frames, bool) or not isinstance(frames, int) or not 2 <= frames <= 400:
        raise ValueError(f"frames is {frames!r}; it takes a whole number from 2 to 400")
    step = (end_ms - start_ms) / (frames - 1)
    digits = max(0, 1 - math.floor(math.log10(step))) if step > 0 else 0
    return [min(end_ms, round(start_ms + number * step, digits)) for number in range(frames)]


def clock(time_ms: float) -> str:
    """A time as the slider shows it: up to two decimals, none where they are 0."""
    return f"{time_ms:,.2f}".rstrip("0").rstrip(".")


def add_player(
    figure: go.Figure,
    frames: Sequence[go.Frame],
    times_ms: Sequence[float],
    *,
    active: int = 0,
    below_px: float = 40,
    redraw: bool = False,
) -> go.Figure:
    """Give ``figure`` its ``frames``, one for each of ``times_ms``, with a play button and a slider under the axes.

    ``below_px`` is what the axis below needs (its title); the figure grows by the row. ``redraw`` is for frames
    that change bars or the layout; without it, each trace of a frame must have a point, or the old ones stay.
    """
    named = [frame.update(name=str(number)) for number, frame in enumerate(frames)]
    labels = [clock(time_ms) for time_ms in times_ms]
    figure.frames = named
    still = {"mode": "immediate", "frame": {"duration": 0, "redraw": redraw}, "transition": {"duration": 0}}
    run = {
        "mode": "immediate",
        "frame": {"duration": STEP_MS, "redraw": redraw},
        "transition": {"duration": 0},
        "fromcurrent": True,
    }
    margin = figure.layout.margin
    bottom = (margin.b or 0) + PLAYER_PX
    height = figure.layout.height + PLAYER_PX
    axes_px = height - bottom - (margin.t or 0)
    y = -below_px / axes_px
    figure.update_layout(
        height=height,
        margin_b=bottom,
        sliders=[
            {
                "active": active,
                "x": 0.15,
                "xanchor": "left",
                "len": 0.85,
                "y": y,
                "yanchor": "top",
                "pad": {"t": 8, "b": 0},
                "currentvalue": {
                    "prefix": "at ",
                    "suffix": " ms",
                    "font": {"size": 13, "color": theme.INK},
                    "offset": 4,
                },
                "ticklen": 0,
                "minorticklen": 0,
                "font": {"color": "rgba(0,0,0,0)", "size": 1},
                "bgcolor": theme.GRID,
                "bordercolor": theme.FAINT,
                "borderwidth": 1,
                "activebgcolor": theme.SKY,
                "steps": [
                    {"label": label, "method": "animate", "args": [[frame.name], still]}
                    for label, frame in zip(labels, named, strict=True)
                ],
            }
        ],
        updatemenus=[
            {
                "type": "buttons",
                "direction": "left",
                "x": 0,
                "xanchor": "left",
                "y": y,
                "yanchor": "top",
                "showactive": False,
                "pad": {"t": 18, "r": 0},
                "bgcolor": theme.PAPER,
                "bordercolor": theme.FAINT,
                "font": {"size": 14, "color": theme.INK},
                "buttons": [
                    {"label": "▶", "method": "animate", "args": [None, run]},
                    {"label": "❚❚", "method": "animate", "args": [[None], still]},
                ],
            }
        ],
    )
    return figure
