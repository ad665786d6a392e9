"""A history as a timeline: a lane a process, a bar an operation, the linearization as a numbered path through them.

``history_timeline(**result.timeline())`` draws a ``Linearizability`` of ``distlib.check.history.linearizability``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import pandas as pd
import plotly.graph_objects as go

from distlib.core import require
from distlib.figures import theme
from distlib.figures.columns import check_columns
from distlib.figures.shapes import bars, box, cut, framed, hatch, lines, transposed, words
from distlib.figures.theme import ALARM, BLUE, CHAR, FAINT, GRID, INK, ORANGE, PAPER, SOFT

PLACED, PENDING, STUCK, LATER = "placed", "never heard of", "stuck", "not placed"


class _Fate(NamedTuple):
    """How the bars of a fate look; the hatching and the words tell them apart without colours."""

    legend: str
    fill: str
    line: str
    width: float
    hatch: str


_FATES = {
    PLACED: _Fate("placed: the number is its turn", "#d6e6f2", BLUE, 1.2, ""),
    PENDING: _Fate("never heard of", PAPER, SOFT, 1.2, "/"),
    STUCK: _Fate("fits nowhere", "#fbe3e4", ALARM, 2.6, "x"),
    LATER: _Fate("not reached", "#f4f6f8", FAINT, 1.2, ""),
}
_BAR, _LABEL = 0.34, 0.4  # height of a bar, and of a label above its middle, in lanes
_LEFT, _RIGHT, _TOP, _BOTTOM = 92, 20, 86, 46  # margins, px
_ABOVE = 12  # above the title, px
_BOLD = 1.1 * CHAR
_LANES = 290  # height of all lanes, px, as long as one lane stays between 36 and 52


class _Row(NamedTuple):
    """An operation of the data frame."""

    process: str
    label: str
    call: float
    returned: float
    order: int
    fate: str
    why: str


class _Fault(NamedTuple):
    label: str
    start: float
    end: float


class _View(NamedTuple):
    """What is shown: operations, each process's lane, faults, the time axis's ends, the width in px."""

    rows: list[_Row]
    lanes: dict[str, int]
    faults: list[_Fault]
    start: float
    end: float
    width: int

    @property
    def per_px(self) -> float:
        """Time a pixel."""
        return (self.end - self.start) / (self.width - _LEFT - _RIGHT)


def history_timeline(
    operations: pd.DataFrame,
    faults: pd.DataFrame | None = None,
    headline: str = "",
    *,
    most: int = 24,
    width: int = 900,
    time_label: str = "time",
) -> go.Figure:
    """Draw a history, the order that was found in it, and where it gets stuck.

    ``operations`` has a row an operation: process, label, call, returned (infinity: never), order (its turn from 1; 0:
    none), fate (placed, never heard of, stuck, not placed), why (text). ``faults`` has label, start, end: a shaded
    span, or a mark where both are equal. ``headline`` is ``"verdict: reason"``: the title, and the line below it. At
    ``most`` so many operations are shown, those around the stuck one or else the first; ``width`` is in px.

    Raises ``ValueError`` for a missing column, an unknown fate, ``most`` below 1 or ``width`` below 300.
    """
    check_columns(operations, *_Row._fields, name="operations", may_be_empty=True)
    rows = [_Row(*values) for values in operations[list(_Row._fields)].itertuples(index=False)]
    for row in rows:
        require.choice("fate", row.fate, _FATES)
    require.whole("most", most, 1)
    require.whole("width", width, 300, unit="px")
    shown = _around_the_stuck(sorted(rows, key=lambda row: (row.call, row.returned)), most)
    view = _View(shown, _lanes(shown), _faults(faults), *_span(shown), width)
    figure = theme.figure()
    figure.add_traces([*_fault_traces(view), *_bar_traces(view), *_path_traces(view), _label_trace(view)])
    _lay_out(figure, view, headline, len(rows) - len(shown), time_label)
    return figure


def _faults(table: pd.DataFrame | None) -> list[_Fault]:
    if table is None:
        return []
    check_columns(table, *_Fault._fields, name="faults", may_be_empty=True)
    return [_Fault(*values) for values in table[list(_Fault._fields)].itertuples(index=False)]


def _around_the_stuck(rows: list[_Row], most: int) -> list[_Row]:
    """Three quarters of what is shown leads up to the stuck operation's return, a quarter follows it."""
    stuck = next((row for row in rows if row.fate == STUCK), None)
    if stuck is None or len(rows) <= most:
        return rows[:most]
    later = [row for row in rows if row.call > stuck.returned]
    # An old operation that nobody heard of is of interest only if the order that was found makes use of it.
    told = [row for row in rows if row.call <= stuck.returned and (row.returned < math.inf or row.order)]
    told = sorted((row for row in told if row is not stuck), key=lambda row: row.returned)
    shown = [*told[len(told) - min(len(told), most - 1 - most // 4) :], stuck, *later[: most // 4]]
    return sorted(shown, key=lambda row: (row.call, row.returned))


def _span(shown: list[_Row]) -> tuple[float, float]:
    """The time from the first to the last operation, with room for what never returned."""
    if not shown:
        return 0.0, 1.0
    start = min(row.call for row in shown)
    end = max(row.call if row.returned == math.inf else row.returned for row in shown)
    margin = 0.02 * ((end - start) or 1.0)
    return start - margin, end + (3 if any(row.returned == math.inf for row in shown) else 1) * margin


def _lanes(shown: list[_Row]) -> dict[str, int]:
    """Process -> lane, downward from 0: numbers in order, then names."""
    names = {row.process for row in shown}
    processes = sorted(names, key=lambda one: (not one.isdigit(), int(one) if one.isdigit() else 0, one))
    return {process: -number for number, process in enumerate(processes)}


def _fault_traces(view: _View) -> list[go.Scatter]:
    """Spans as hatched bands, marks as dotted lines, and their names at the top edge."""
    top, bottom = 0.62, -len(view.lanes) + 0.5
    seen = [fault for fault in view.faults if fault.end >= view.start and fault.start <= view.end]
    edges = [(max(fault.start, view.start), min(fault.end, view.end)) for fault in seen]
    return [
        lines(
            [box(left, right, bottom, top) for left, right in edges if left < right],
            line={"width": 0}, fill="toself", fillcolor="rgba(230,159,0,0.07)", showlegend=False,
            fillpattern={"shape": "/", "fgcolor": "rgba(230,159,0,0.28)", "size": 12, "solidity": 0.07},
        ),
        lines(
            [[(left, bottom), (left, top)] for left, right in edges if left == right],
            line={"color": ORANGE, "width": 2, "dash": "dot"}, showlegend=False,
        ),
        words(
            [(left, top + 0.02, f"⚡ {_plain(fault.label)}") for fault, (left, _) in zip(seen, edges, strict=True)],
            textposition="top right", textfont={"color": "#8a5f00", "size": 12}, cliponaxis=False,
        ),
    ]  # fmt: skip


def _plain(text: str) -> str:
    """``text`` as plotly's markup that shows it literally."""
    return escape(text, quote=False)


def _bar_traces(view: _View) -> list[go.Bar | go.Scatter]:
    """A trace a fate, in fixed order, and the arrowheads of operations that never returned."""
    traces: list[go.Bar | go.Scatter] = []
    for fate, look in _FATES.items():
        rows = [row for row in view.rows if row.fate == fate]
        shape = ["/" if row.returned == math.inf else look.hatch for row in rows]
        found = [
            (row.call, max(min(row.returned, view.end) - row.call, 6 * view.per_px), view.lanes[row.process])
            for row in rows
        ]
        bar = bars(
            found, width=_BAR, name=look.legend, showlegend=bool(rows),
            customdata=[_hover(row) for row in rows], hovertemplate="%{customdata}<extra></extra>",
            marker=framed(look.fill, look.line, look.width, hatch(shape, look.line, 6, 0.12), cornerradius=3),
        )  # fmt: skip
        traces.append(bar)
    heads = [(view.end, view.lanes[row.process]) for row in view.rows if row.returned == math.inf]
    arrow = {"symbol": "triangle-right", "size": 11, "color": SOFT}
    return [*traces, _quiet(heads, mode="markers", marker=arrow, cliponaxis=False)]


def _quiet(points: Sequence[tuple[float, float]], **style: Any) -> go.Scatter:
    """A trace over which the mouse passes, and which no legend names."""
    x, y = transposed(points, 2)
    return go.Scatter(x=x, y=y, hoverinfo="skip", showlegend=False, **style)


def _hover(row: _Row) -> str:
    returned = "never returned" if row.returned == math.inf else f"returned at {row.returned:g}"
    turn = f"turn {row.order} in the order" if row.order else row.fate
    why = f"<br>{_plain(row.why)}" if row.why else ""
    name = f"<b>{_plain(row.label)}</b> by process {_plain(row.process)}"
    return f"{name}<br>called at {row.call:g}, {returned}<br>{turn}{why}"


def linearization_points(calls: Sequence[float], returns: Sequence[float], gap: float) -> list[float]:
    """A moment for each operation of a linearization, in order: within its bar, ``gap`` apart where there is room."""
    earliest, latest = [], []
    at = -math.inf
    for call, returned in zip(calls, returns, strict=True):
        at = max(call, min(at + gap, returned))
        earliest.append(at)
    at = math.inf
    for call, returned in zip(reversed(calls), reversed(returns), strict=True):
        at = min(returned, max(at - gap, call))
        latest.append(at)
    middle = [(early + late) / 2 for early, late in zip(earliest, reversed(latest), strict=True)]
    for i in range(1, len(middle)):
        middle[i] = max(middle[i], middle[i - 1])
    return middle


def _path_traces(view: _View) -> list[go.Scatter]:
    """The path in order, its broken end, the numbers on it, and the cross on the operation that fits nowhere."""
    rows = sorted((row for row in view.rows if row.order), key=lambda row: row.order)
    stuck = [row for row in view.rows if row.fate == STUCK]
    last = min([view.end, *(row.returned for row in stuck)])  # the order was to leave room for the stuck one
    size = 21 if rows and rows[-1].order > 99 else 18  # of a number's disc, px
    xs = linearization_points([r.call for r in rows], [min(r.returned, last) for r in rows], (size + 1) * view.per_px)
    path = [(x, view.lanes[row.process]) for x, row in zip(xs, rows, strict=True)]
    crosses = [
        (max((row.call + row.returned) / 2, row.returned - 14 * view.per_px), view.lanes[row.process]) for row in stuck
    ]
    end, numbers = [path[-1], crosses[0]] if path and crosses else [], [str(row.order) for row in rows]
    edge = {"color": PAPER, "width": 1.5}
    disc, cross = {"size": size, "color": INK, "line": edge}, {"symbol": "x", "size": 14, "color": ALARM, "line": edge}
    return [
        _quiet(path, mode="lines", line={"color": INK, "width": 1.6}),
        _quiet(end, mode="lines", line={"color": ALARM, "width": 2, "dash": "dot"}),
        _quiet(path, mode="markers+text", text=numbers, marker=disc, textfont={"color": PAPER, "size": 10}),
        _quiet(crosses, mode="markers", marker=cross, cliponaxis=False),
    ]


def _label_trace(view: _View) -> go.Scatter:
    """Each operation's words above its bar."""
    return words(
        [(row.call, view.lanes[row.process] + _LABEL, _label(row, view)) for row in view.rows],
        textposition="middle right",
        textfont={"size": 12, "shadow": f"0 0 3px {PAPER}, 0 0 3px {PAPER}, 0 0 3px {PAPER}"},
        cliponaxis=False,
    )


def _label(row: _Row, view: _View) -> str:
    """The operation's words, cut where the next label of the lane begins; those of the stuck one are whole, and what
    comes under them has none."""
    stuck, lane = row.fate == STUCK, [other for other in view.rows if other.process == row.process]
    if any(one.fate == STUCK and one.call < row.call < one.call + _stuck_px(one) * view.per_px for one in lane):
        return ""
    later = [] if stuck else [other.call for other in lane if other.call > row.call]
    room = (min(later) - row.call) / view.per_px - 8 if later else (view.end - row.call) / view.per_px + _RIGHT
    letters = int(room / (_BOLD if stuck else CHAR * 0.92))
    text = f"✗ {row.label}" if stuck else row.label
    if len(text) > letters:
        text = cut(text, letters) if letters > 3 else ""
    colour = ALARM if stuck else SOFT if row.fate == LATER else INK
    shown = f"<b>{_plain(text)}</b>" if stuck else _plain(text)
    return f'<span style="color:{colour}">{shown}</span>' if text else ""


def _stuck_px(row: _Row) -> float:
    """How wide the words of the operation that fits nowhere are."""
    return (len(row.label) + 2) * _BOLD + 8


def _lay_out(figure: go.Figure, view: _View, headline: str, hidden: int, time_label: str) -> None:
    verdict, _, reason = headline.partition(": ")
    reason = cut(reason, int((view.width - _LEFT - _RIGHT) / (CHAR * 1.02)))
    left_out = f"   ({hidden} operations before and after are not shown)" if hidden else ""
    count = max(len(view.lanes), 2)
    lane = min(max(_LANES / count, 36), 52)
    height = round(_TOP + _BOTTOM + lane * (count + 0.18))
    # The legend stands in the title's row, the faults' names in the row below the reason.
    first = {"yref": "container", "yanchor": "top", "y": 1 - _ABOVE / height}
    legend = {"orientation": "h", "x": 1, "xanchor": "right", **first}
    figure.update_layout(
        title={"text": _plain(verdict), "subtitle": {"text": _plain(reason)}, **first},
        width=view.width,
        height=height,
        margin=theme.margins(_LEFT, _RIGHT, _TOP, _BOTTOM),
        barmode="overlay",
        legend={**legend, "traceorder": "normal"},
        xaxis={"title": {"text": f"{time_label} →{left_out}"}, "range": [view.start, view.end], "showgrid": False},
        yaxis={
            "tickvals": list(view.lanes.values()), "ticktext": [f"process {_plain(process)}" for process in view.lanes],
            "range": [-count + 0.5, 0.68], "gridcolor": GRID, "ticks": "", "showline": False, "zeroline": False,
        },
    )  # fmt: skip
