"""Colours, fonts, line styles and the plotly template: the one place for how the course looks. The hues are those of
Okabe & Ito (2008), which people with any colour vision tell apart. A colour never stands alone: lanes carry words,
message kinds differ in dash too, faults have signs, and what is not alive is hatched."""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

INK, SOFT, FAINT, GRID, PAPER = "#1f2933", "#52606d", "#b3bcc5", "#e6eaee", "#ffffff"
ORANGE, SKY, GREEN, YELLOW = "#e69f00", "#56b4e9", "#009e73", "#f0e442"
BLUE, VERMILLION, PURPLE = "#0072b2", "#d55e00", "#a9568a"
ALARM = "#c1121f"
"""A broken invariant, and nothing else."""

PALETTE = {
    "orange": ORANGE, "sky": SKY, "green": GREEN, "yellow": YELLOW, "blue": BLUE, "vermillion": VERMILLION,
    "purple": PURPLE, "slate": SOFT, "mist": "#8fa6ba", "pale slate": "#cfd8e0", "pale orange": "#f7e3ab",
    "pale green": "#bfe3d5",
}  # fmt: skip
"""The colours that messages and roles may declare, by name; see ``distlib.core.look``."""

FONT = (
    'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "PingFang SC", '
    '"Microsoft YaHei", "Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Micro Hei", sans-serif'
)
"""Fonts that machines have; the Chinese ones follow the Latin ones, so each sign finds its own."""
MONO = 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", "Noto Sans Mono CJK SC", monospace'

WIDTH, CHAR = 960, 6.7
"""A figure's width and a small letter's, both in pixels: what fits into a notebook's column and into a label."""

ROUTINE = "#c3ccd5"

CRASHED, UP, OTHER = "crashed", "up", "other"
"""The role of a node that is down, of one that shows none; and the trace of what has none of its own."""


class LineStyle(NamedTuple):
    """How the lines of a kind of message, or a curve, look."""

    colour: str
    dash: str = "solid"

    def line(self, width: float) -> dict[str, Any]:
        """A line of this style, ``width`` pixels wide."""
        return {"color": self.colour, "dash": self.dash, "width": width}


SERIES = tuple(
    LineStyle(colour, dash) for dash in ("solid", "dot", "dash") for colour in (BLUE, VERMILLION, GREEN, PURPLE, ORANGE)
)
"""The curves of a chart, in order: policies, cluster sizes, timeouts, messages that declare no look."""

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross")
"""The sign of each curve of a chart, in order."""


def series_style(number: int) -> LineStyle:
    """The style of curve ``number`` (from 0) of a chart."""
    return SERIES[number % len(SERIES)]


_AXIS = {
    "gridcolor": GRID, "linecolor": FAINT, "zeroline": False, "ticks": "outside", "tickcolor": FAINT, "ticklen": 4,
    "title": {"font": {"size": 13, "color": SOFT}, "standoff": 8}, "tickfont": {"color": SOFT, "size": 12},
}  # fmt: skip

TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": FONT, "size": 12, "color": INK},
        "title": {
            "font": {"size": 17, "color": INK}, "subtitle": {"font": {"size": 13, "color": SOFT}},
            "x": 0, "xref": "paper", "xanchor": "left", "y": 0.98, "yref": "container", "yanchor": "top",
        },
        "paper_bgcolor": PAPER, "plot_bgcolor": PAPER,
        "colorway": [BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, INK],
        "margin": {"l": 64, "r": 24, "t": 64, "b": 56, "pad": 0},
        "width": WIDTH,
        "hovermode": "closest", "hoverdistance": 30,
        "hoverlabel": {
            "bgcolor": PAPER, "bordercolor": FAINT, "align": "left", "namelength": -1,
            "font": {"family": FONT, "size": 12, "color": INK},
        },
        "legend": {
            "orientation": "h", "x": 0, "xanchor": "left", "y": 1.0, "yanchor": "bottom",
            "font": {"size": 12, "color": INK}, "bgcolor": "rgba(255,255,255,0)", "tracegroupgap": 0,
        },
        "xaxis": _AXIS, "yaxis": _AXIS,
        "bargap": 0,
        "dragmode": "pan",
        "modebar": {
            "orientation": "h", "bgcolor": "rgba(255,255,255,0.7)", "color": FAINT, "activecolor": SOFT,
            "remove": ["select2d", "lasso2d", "autoScale2d"],
        },
    }
)  # fmt: skip

ROWS = {
    "fixedrange": True, "showgrid": False, "showline": False, "ticks": "", "ticklabelstandoff": 6,
    "tickfont": {"size": 13, "color": INK},
}  # fmt: skip
"""A vertical axis that only names rows: the lanes of a cluster, its logs."""


def figure(
    *, height: int = 420, width: int = WIDTH, margin: tuple[int, int, int, int] | None = None, **layout: Any
) -> go.Figure:
    """An empty figure in the course's look; sizes in pixels, ``margin`` as (left, right, top, bottom)."""
    if margin is not None:
        layout["margin"] = margins(*margin)
    return go.Figure(layout={"template": TEMPLATE, "height": height, "width": width, **layout})


def margins(left: float, right: float, top: float, bottom: float) -> dict[str, float]:
    """What plotly calls l, r, t and b, in pixels."""
    return {"l": left, "r": right, "t": top, "b": bottom}


def panels(rows: int, cols: int, *, height: int, width: int = WIDTH, **options: Any) -> go.Figure:
    """An empty figure of several panels; ``options`` as ``plotly.subplots.make_subplots`` takes them."""
    empty = go.Figure(layout={"template": _panels_template(), "height": height, "width": width})
    return make_subplots(rows=rows, cols=cols, figure=empty, **options)


@cache  # merging takes plotly a fifth of a second
def _panels_template() -> go.layout.Template:
    """Our template over plotly's own, which lets axes widen the margins; without what we never draw, for plotly copies
    a template each time."""
    merged = go.Figure().update_layout(go.Layout(template=TEMPLATE)).layout.template
    never = ("coloraxis", "geo", "mapbox", "polar", "scene", "ternary")
    layout = {name: value for name, value in merged.layout.to_plotly_json().items() if name not in never}
    data = {name: merged.data.to_plotly_json()[name] for name in ("bar", "heatmap", "scatter")}
    return go.layout.Template(layout=layout, data=data)


def log_axis(low: float, high: float) -> dict[str, Any]:
    """A logarithmic axis from ``low`` to ``high``."""
    return {"type": "log", "range": [float(np.log10(low)), float(np.log10(high))]}


def decades(first: int, end: int) -> list[float]:
    """1, 2 and 5 times each power of ten: ticks of a logarithmic axis."""
    return [part * 10.0**power for power in range(first, end) for part in (1, 2, 5)]


def translucent(colour: str, opacity: float) -> str:
    """``#rrggbb`` as an rgba colour."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def legend_above(y: float) -> dict[str, Any]:
    """A second legend in a row at the height ``y`` (1 is the upper edge of the axes)."""
    return {"orientation": "h", "x": 0, "xanchor": "left", "y": y, "yanchor": "bottom"}


def legend_beside(**changes: Any) -> dict[str, Any]:
    """A legend right of the axes, one entry below the other."""
    return {"orientation": "v", "x": 1.02, "y": 1, "yanchor": "top", **changes}


def legend_rows(figure: go.Figure, legend: str, room_px: float) -> int:
    """How many rows a horizontal legend takes in ``room_px``: one while all fits, else equal columns, as in plotly."""
    widths = [len(one.name) * 6.3 + 45 for one in figure.data if one.showlegend and (one.legend or "legend") == legend]
    if sum(widths) <= room_px:
        return 1 if widths else 0
    return math.ceil(len(widths) / max(1, int(room_px // max(widths))))
