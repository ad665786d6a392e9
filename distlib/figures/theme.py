"""Colours, fonts, line styles and the plotly template: the one place for how the course looks.

The hues are those of Okabe & Ito (2008), which people with any colour vision tell apart. A colour never stands
alone: lanes carry words, message kinds differ in dash too, faults have signs, and what is not alive is hatched.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import plotly.graph_objects as go

INK, SOFT, FAINT, GRID, PAPER = "#1f2933", "#52606d", "#b3bcc5", "#e6eaee", "#ffffff"
ORANGE, SKY, GREEN, YELLOW = "#e69f00", "#56b4e9", "#009e73", "#f0e442"
BLUE, VERMILLION, PURPLE = "#0072b2", "#d55e00", "#a9568a"
ALARM = "#c1121f"
"""A broken invariant, and nothing else."""

FONT = (
    'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "PingFang SC", '
    '"Microsoft YaHei", "Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Micro Hei", sans-serif'
)
"""Fonts that machines have; the Chinese ones follow the Latin ones, so each sign finds its own."""
MONO = 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", "Noto Sans Mono CJK SC", monospace'

WIDTH, CHAR = 960, 6.7
"""A figure's width and a small letter's, both in pixels: what fits into a notebook's column and into a label."""


class RoleStyle(NamedTuple):
    """How a lane in this role looks: the colour of the bar, of the text on it, and the hatching ('' for none)."""

    fill: str
    text: str = INK
    hatch: str = ""


class KindStyle(NamedTuple):
    """How messages of a kind look."""

    colour: str
    dash: str = "solid"


CRASHED, PAUSED, UP, OTHER = "crashed", "paused", "up", "other"

ROLES = {
    "follower": RoleStyle("#cfd8e0"),
    "pre-candidate": RoleStyle("#f7e3ab"),
    "candidate": RoleStyle(ORANGE),
    "leader": RoleStyle(BLUE, "#ffffff"),
    "acceptor": RoleStyle("#cfd8e0"),
    "proposer": RoleStyle(ORANGE),
    "learner": RoleStyle("#bfe3d5"),
    "participant": RoleStyle("#cfd8e0"),
    "coordinator": RoleStyle(BLUE, "#ffffff"),
    "client": RoleStyle("#e7d5e1"),
    UP: RoleStyle("#dde3e8"),
    CRASHED: RoleStyle("#ffffff", SOFT, "/"),
    PAUSED: RoleStyle("#ffffff", SOFT, "|"),
}

# The hue says what a message is for, the dash whether it asks (solid) or answers (dotted).
KINDS = {
    "RequestPreVote": KindStyle(ORANGE, "dash"),
    "PreVoteReply": KindStyle(ORANGE, "dot"),
    "RequestVote": KindStyle(VERMILLION),
    "Vote": KindStyle(VERMILLION, "dot"),
    "AppendEntries": KindStyle(BLUE),
    "AppendReply": KindStyle(SKY, "dot"),
    "InstallSnapshot": KindStyle(PURPLE),
    "SnapshotReply": KindStyle(PURPLE, "dot"),
    "ClientRequest": KindStyle(SOFT),
    "ClientReply": KindStyle(SOFT, "dot"),
    "Prepare": KindStyle(VERMILLION),
    "Promise": KindStyle(VERMILLION, "dot"),
    "Accept": KindStyle(BLUE),
    "Accepted": KindStyle(SKY, "dot"),
    "Propose": KindStyle(SOFT),
    "Nack": KindStyle(PURPLE, "dot"),
    "Query": KindStyle("#8fa6ba", "dash"),
    "Learned": KindStyle(GREEN, "dot"),
    "Decision": KindStyle(GREEN),
    "ReadRequest": KindStyle(GREEN, "dash"),
    "Heartbeat": KindStyle("#8fa6ba"),
}

RAFT_KINDS = (
    "RequestPreVote", "PreVoteReply", "RequestVote", "Vote", "AppendEntries", "AppendReply", "InstallSnapshot",
    "SnapshotReply", "ClientRequest", "ReadRequest", "ClientReply",
)  # fmt: skip
RAFT_ROLES = ("follower", "pre-candidate", "candidate", "leader", "client", CRASHED)
"""All that a Raft run can show: given as ``kinds`` and ``roles``, any two runs have the same traces."""

ROUTINE = KindStyle("#c3ccd5")

_CYCLE = [(colour, dash) for dash in ("solid", "dot", "dash") for colour in (BLUE, VERMILLION, GREEN, PURPLE, ORANGE)]

TERMS = ("#9fc6e8", "#f5c879", "#a5d9c4", "#e3b6d1", "#f3a782", "#d7dde2", "#efe58f")
"""Fills of the boxes of a log, by term; the term's number stands in each box too."""

SERIES = tuple(_CYCLE)
"""Colour and dash of the curves of a chart, in order: for policies, cluster sizes, timeouts."""


def role_style(role: str) -> RoleStyle:
    """The style of ``role``; roles that nobody named here look alike, and are told apart by their label."""
    return ROLES.get(role, ROLES[UP])


def kind_styles(kinds: Iterable[str]) -> dict[str, KindStyle]:
    """A style for each message kind: the named ones as in ``KINDS``, others in turn, by their order in ``kinds``."""
    styles: dict[str, KindStyle] = {}
    unnamed = 0
    for kind in kinds:
        if kind in KINDS:
            styles[kind] = KINDS[kind]
        else:
            styles[kind] = KindStyle(*_CYCLE[unnamed % len(_CYCLE)])
            unnamed += 1
    return styles


def in_order(found: Iterable[str], known: Sequence[str]) -> tuple[str, ...]:
    """``found`` without repeats: first those in ``known``, in its order, then the others by name."""
    seen = set(found)
    return (*(one for one in known if one in seen), *sorted(seen.difference(known)))


def series_style(number: int) -> KindStyle:
    """The style of curve ``number`` (from 0) of a chart."""
    return KindStyle(*SERIES[number % len(SERIES)])


def term_fill(term: int) -> str:
    """The fill of a log entry of ``term``."""
    return TERMS[(int(term) - 1) % len(TERMS)]


def _axis(**changes: object) -> dict[str, object]:
    return {
        "gridcolor": GRID,
        "linecolor": FAINT,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": FAINT,
        "ticklen": 4,
        "title": {"font": {"size": 13, "color": SOFT}, "standoff": 8},
        "tickfont": {"color": SOFT, "size": 12},
        **changes,
    }


TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": FONT, "size": 12, "color": INK},
        "title": {
            "font": {"size": 17, "color": INK},
            "x": 0,
            "xref": "paper",
            "xanchor": "left",
            "y": 0.98,
            "yref": "container",
            "yanchor": "top",
            "subtitle": {"font": {"size": 13, "color": SOFT}},
        },
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "colorway": [BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, INK],
        "margin": {"l": 64, "r": 24, "t": 64, "b": 56, "pad": 0},
        "width": WIDTH,
        "hovermode": "closest",
        "hoverdistance": 30,
        "hoverlabel": {
            "bgcolor": "#ffffff",
            "bordercolor": FAINT,
            "align": "left",
            "font": {"family": FONT, "size": 12, "color": INK},
            "namelength": -1,
        },
        "legend": {
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1.0,
            "yanchor": "bottom",
            "font": {"size": 12, "color": INK},
            "bgcolor": "rgba(255,255,255,0)",
            "tracegroupgap": 0,
        },
        "xaxis": _axis(),
        "yaxis": _axis(),
        "bargap": 0,
        "dragmode": "pan",
        "modebar": {
            "orientation": "h",
            "bgcolor": "rgba(255,255,255,0.7)",
            "color": FAINT,
            "activecolor": SOFT,
            "remove": ["select2d", "lasso2d", "autoScale2d"],
        },
    }
)


def figure(*, title: str = "", subtitle: str = "", height: int = 420, width: int = WIDTH) -> go.Figure:
    """An empty figure in the course's look; ``height`` and ``width`` in pixels."""
    empty = go.Figure(layout={"template": TEMPLATE, "height": height, "width": width})
    if title:
        empty.update_layout(title_text=title, title_subtitle_text=subtitle)
    return empty


def legend_rows(figure: go.Figure, legend: str, room_px: float) -> int:
    """How many rows a horizontal legend takes in ``room_px``: one while all fits, else equal columns as plotly
    makes them."""
    widths = [len(one.name) * 6.3 + 45 for one in figure.data if one.showlegend and (one.legend or "legend") == legend]
    if sum(widths) <= room_px:
        return 1 if widths else 0
    return math.ceil(len(widths) / max(1, int(room_px // max(widths))))


def check_time(name: str, value: float | None, low: float, high: float) -> float | None:
    """``value``, if it is None or a time in [low, high]; else ``ValueError`` that names it."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"{name} is {value!r}; it takes a time from {low:g} to {high:g} ms")
    return float(value)
