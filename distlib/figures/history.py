"""A history as a timeline: a lane a process, a bar an operation, and the linearization as a numbered path through them.

What :meth:`distlib.check.linearizability.Linearizability.timeline` returns goes in:

    history_timeline(**result.timeline())
"""

from __future__ import annotations

import math
from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go

from distlib.figures.theme import ALARM, BLUE, CHAR, FAINT, GRID, INK, ORANGE, PAPER, SOFT, TEMPLATE

PLACED, PENDING, STUCK, LATER = "placed", "never heard of", "stuck", "not placed"


class _Look(NamedTuple):
    """How the bars of a fate look; the hatching and the words tell them apart without colours."""

    legend: str
    fill: str
    line: str
    width: float
    hatch: str


_LOOKS = {
    PLACED: _Look("placed: the number is its turn", "#d6e6f2", BLUE, 1.2, ""),
    PENDING: _Look("never heard of", PAPER, SOFT, 1.2, "/"),
    STUCK: _Look("fits nowhere", "#fbe3e4", ALARM, 2.6, "x"),
    LATER: _Look("not reached", "#f4f6f8", FAINT, 1.2, ""),
}
_BAR, _LABEL = 0.34, 0.4  # height of a bar, and of a label above its middle, in lanes
_LEFT, _RIGHT, _TOP, _BOTTOM = 92, 20, 78, 46  # margins, px
_LANES = 290  # height of all lanes, px, as long as a lane stays between 36 and 52


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

    operations
        One row an operation: ``process``, ``label``, ``call``, ``returned`` (infinity: never), ``order`` (its turn from 1;
        0: none), ``fate`` (placed, never heard of, stuck, not placed), ``why`` (text for the stuck one).
    faults
        ``label``, ``start``, ``end``: a shaded span, or a mark where both are equal.
    headline
        ``"verdict: reason"``; the verdict becomes the title and the reason stands below it.
    most
        At most so many operations are shown: those around the stuck one, or else the first ones.

    Raises ``ValueError`` for a missing column, an unknown fate, or ``most`` below 1.
    """
    _require(operations, ("process", "label", "call", "returned", "order", "fate", "why"), "operations")
    faults = faults if faults is not None else pd.DataFrame(columns=["label", "start", "end"])
    _require(faults, ("label", "start", "end"), "faults")
    unknown = set(operations.fate) - set(_LOOKS)
    if unknown:
        raise ValueError(
            f"operations: fate must be one of {', '.join(_LOOKS)}; got {', '.join(sorted(map(str, unknown)))}"
        )
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most!r}")
    shown, (start, end) = _window(operations, most)
    lanes = _lanes(shown)
    view = _View(shown.assign(lane=[lanes[p] for p in shown.process]), faults, start, end, width)
    traces = [*_fault_traces(view, len(lanes)), *_bar_traces(view), *_path_traces(view), _label_trace(view)]
    figure = go.Figure(traces, layout={"template": TEMPLATE})
    _lay_out(figure, view, lanes, headline, len(operations) - len(shown), time_label)
    return figure


class _View(NamedTuple):
    """What is shown: operations with their lanes, faults, the ends of the time axis, and the figure's width in px."""

    operations: pd.DataFrame
    faults: pd.DataFrame
    start: float
    end: float
    width: int

    @property
    def per_px(self) -> float:
        """Time a pixel."""
        return (self.end - self.start) / (self.width - _LEFT - _RIGHT)


def _require(frame: pd.DataFrame, columns: tuple[str, ...], name: str) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(f"{name} lacks the column {', '.join(missing)}; it needs {', '.join(columns)}")


def _window(operations: pd.DataFrame, most: int) -> tuple[pd.DataFrame, tuple[float, float]]:
    """The operations to show, and the time from the first to the last of them."""
    ordered = operations.sort_values(["call", "returned"], kind="stable")
    stuck = ordered[ordered.fate == STUCK]
    if len(ordered) > most and len(stuck):
        # Three quarters lead up to the stuck operation's return; the others are of use only if they are near.
        moment = stuck.returned.iloc[0]
        earlier, later = ordered[ordered.call <= moment], ordered[ordered.call > moment]
        near = earlier[(earlier.returned < math.inf) | (earlier.order > 0)].sort_values(
            "returned", kind="stable"
        )
        near = pd.concat([near[near.fate != STUCK].tail(most - 1 - most // 4), stuck])
        ordered = pd.concat([near, later.head(most // 4)]).sort_values(["call", "returned"], kind="stable")
        ordered = ordered[ordered.call >= near.call[near.returned < math.inf].min()]
    else:
        ordered = ordered.head(most)
    if ordered.empty:
        return ordered, (0.0, 1.0)
    ends = ordered.returned[ordered.returned < math.inf]
    start, end = (
        float(ordered.call.min()),
        float(max(ordered.call.max(), ends.max() if len(ends) else -math.inf)),
    )
    margin = 0.02 * ((end - start) or 1.0)
    reach = 3 * margin if (ordered.returned == math.inf).any() else margin
    return ordered, (start - margin, end + reach)


def _lanes(shown: pd.DataFrame) -> dict[object, int]:
    """Process -> lane from the top: numbers in order, then names."""

    def rank(process: object) -> tuple[bool, float, str]:
        text = str(process)
        return (not text.isdigit(), float(text) if text.isdigit() else 0.0, text)

    return {process: -number for number, process in enumerate(sorted(set(shown.process), key=rank))}


def _fault_traces(view: _View, lanes: int) -> list[go.Scatter]:
    """Spans as hatched bands, marks as dotted lines, and their names at the top edge."""
    top, bottom = 0.62, -lanes + 0.5
    seen = view.faults[(view.faults.end >= view.start) & (view.faults.start <= view.end)]
    xs: list[float | None] = []
    ys: list[float | None] = []
    marks: list[float | None] = []
    at, names = [], []
    for fault in seen.itertuples():
        left, right = max(fault.start, view.start), min(fault.end, view.end)
        if left < right:
            xs += [left, right, right, left, left, None]
            ys += [bottom, bottom, top, top, bottom, None]
        else:
            marks += [left, left, None]
        at.append(left)
        names.append(f"⚡ {fault.label}")
    return [
        go.Scatter(
            x=xs, y=ys, mode="lines", fill="toself", line={"width": 0}, fillcolor="rgba(230,159,0,0.07)",
            fillpattern={"shape": "/", "fgcolor": "rgba(230,159,0,0.28)", "size": 12, "solidity": 0.07},
            hoverinfo="skip", showlegend=False,
        ),
        go.Scatter(
            x=marks, y=[bottom, top, None] * (len(marks) // 3), mode="lines",
            line={"color": ORANGE, "width": 2, "dash": "dot"}, hoverinfo="skip", showlegend=False,
        ),
        go.Scatter(
            x=at, y=[top + 0.02] * len(at), text=names, mode="text", textposition="top right", cliponaxis=False,
            textfont={"color": "#8a5f00", "size": 12}, hoverinfo="skip", showlegend=False,
        ),
    ]  # fmt: skip


def _bar_traces(view: _View) -> list[go.Bar | go.Scatter]:
    """A trace a fate, in fixed order, and the arrowheads of operations that never returned."""
    traces: list[go.Bar | go.Scatter] = []
    thinnest = 6 * view.per_px
    for fate, look in _LOOKS.items():
        rows = view.operations[view.operations.fate == fate]
        length = (rows.returned.clip(upper=view.end) - rows.call).clip(lower=thinnest)
        pending = rows.returned == math.inf
        traces.append(
            go.Bar(
                orientation="h", base=rows.call, x=length, y=rows.lane, width=_BAR, name=look.legend,
                marker={
                    "color": look.fill, "line": {"color": look.line, "width": look.width}, "cornerradius": 3,
                    "pattern": {"shape": ["/" if p else look.hatch for p in pending], "fgcolor": look.line, "size": 6,
                                "solidity": 0.12, "fillmode": "overlay"},
                },
                customdata=[_hover(row) for row in rows.itertuples()], hovertemplate="%{customdata}<extra></extra>",
                showlegend=bool(len(rows)),
            )
        )  # fmt: skip
    open_ended = view.operations[view.operations.returned == math.inf]
    traces.append(
        go.Scatter(
            x=[view.end] * len(open_ended), y=open_ended.lane, mode="markers", hoverinfo="skip", showlegend=False,
            marker={"symbol": "triangle-right", "size": 11, "color": SOFT}, cliponaxis=False,
        )
    )  # fmt: skip
    return traces


def _hover(row: object) -> str:
    returned = "never returned" if row.returned == math.inf else f"returned at {row.returned:g}"
    turn = f"turn {row.order} in the order" if row.order else row.fate
    why = f"<br>{row.why}" if row.why else ""
    return f"<b>{row.label}</b> by process {row.process}<br>called at {row.call:g}, {returned}<br>{turn}{why}"


def moments(calls: list[float], returns: list[float], gap: float) -> list[float]:
    """A moment for each operation of a linearization, in order: within its bar, and ``gap`` apart where there is room."""
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
    rows = view.operations[view.operations.order > 0].sort_values("order")
    stuck = view.operations[view.operations.fate == STUCK]
    last = (
        min(stuck.returned.min(), view.end) if len(stuck) else view.end
    )  # the order was to leave room for the stuck one
    turn = 21 if len(rows) and rows.order.max() > 99 else 18  # width of a number, px
    xs = moments(
        list(rows.call), [min(returned, last) for returned in rows.returned], (turn + 1) * view.per_px
    )
    ys = list(rows.lane)
    cross = [max((c + r) / 2, r - 14 * view.per_px) for c, r in zip(stuck.call, stuck.returned, strict=True)]
    broken = bool(xs) and bool(cross)
    return [
        go.Scatter(x=xs, y=ys, mode="lines", line={"color": INK, "width": 1.6}, hoverinfo="skip", showlegend=False),
        go.Scatter(
            x=[xs[-1], cross[0]] if broken else [], y=[ys[-1], stuck.lane.iloc[0]] if broken else [], mode="lines",
            line={"color": ALARM, "width": 2, "dash": "dot"}, hoverinfo="skip", showlegend=False,
        ),
        go.Scatter(
            x=xs, y=ys, mode="markers+text", text=[str(number) for number in rows.order], hoverinfo="skip",
            marker={"size": turn, "color": INK, "line": {"color": PAPER, "width": 1.5}},
            textfont={"color": PAPER, "size": 10}, showlegend=False,
        ),
        go.Scatter(
            x=cross, y=stuck.lane, mode="markers", hoverinfo="skip", showlegend=False,
            marker={"symbol": "x", "size": 14, "color": ALARM, "line": {"color": PAPER, "width": 1.5}},
        ),
    ]  # fmt: skip


def _label_trace(view: _View) -> go.Scatter:
    """Each operation's words above its bar, cut where the next label of the lane begins."""
    texts = []
    for row in view.operations.itertuples():
        later = view.operations.call[(view.operations.lane == row.lane) & (view.operations.call > row.call)]
        room = ((later.min() if len(later) else view.end) - row.call) / view.per_px - (
            8 if len(later) else -_RIGHT
        )
        stuck = row.fate == STUCK
        letters = max(int(room / (CHAR * (1.1 if stuck else 0.92))), 0)
        text = f"✗ {row.label}" if stuck else row.label
        text = text if len(text) <= letters else f"{text[: letters - 1]}…" if letters > 3 else ""
        colour = ALARM if stuck else SOFT if row.fate == LATER else INK
        text = text.replace("&", "&amp;").replace("<", "&lt;")
        texts.append(
            f'<span style="color:{colour}">{f"<b>{text}</b>" if stuck else text}</span>' if text else ""
        )
    return go.Scatter(
        x=view.operations.call, y=view.operations.lane + _LABEL, text=texts, mode="text", textposition="middle right",
        textfont={"size": 12, "shadow": f"0 0 3px {PAPER}, 0 0 3px {PAPER}, 0 0 3px {PAPER}"}, hoverinfo="skip",
        showlegend=False, cliponaxis=False,
    )  # fmt: skip


def _lay_out(
    figure: go.Figure, view: _View, lanes: dict[object, int], headline: str, hidden: int, time_label: str
) -> None:
    verdict, _, reason = headline.partition(": ")
    left_out = f"   ({hidden} operations before and after are not shown)" if hidden else ""
    letters = int((view.width - _LEFT - _RIGHT) / (CHAR * 1.02))
    reason = reason if len(reason) <= letters else f"{reason[: letters - 1]}…"
    lane = min(max(_LANES / max(len(lanes), 2), 36), 52)
    # The legend stands in the title's row, the faults' names in the row below the reason.
    figure.update_layout(
        title={"text": verdict, "subtitle": {"text": reason.replace("&", "&amp;").replace("<", "&lt;")}},
        width=view.width,
        height=round(_TOP + _BOTTOM + lane * (max(len(lanes), 2) + 0.18)),
        margin={"l": _LEFT, "r": _RIGHT, "t": _TOP, "b": _BOTTOM},
        barmode="overlay",
        legend={
            "orientation": "h",
            "x": 1,
            "xanchor": "right",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "traceorder": "normal",
        },
        xaxis={
            "title": {"text": f"{time_label} →{left_out}"},
            "range": [view.start, view.end],
            "showgrid": False,
        },
        yaxis={
            "tickvals": list(lanes.values()),
            "ticktext": [f"process {process}" for process in lanes],
            "range": [-max(len(lanes), 2) + 0.5, 0.68],
            "gridcolor": GRID,
            "ticks": "",
            "showline": False,
            "zeroline": False,
        },
    )
