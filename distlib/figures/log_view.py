"""Every server's log side by side, as in the Raft paper's figures 6 and 7: terms, commands, commit and match index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from distlib.core.node import NodeId
from distlib.core.trace import Trace, describe
from distlib.figures import lanes, theme
from distlib.figures.player import add_player
from distlib.figures.time_travel import Views

ROW_PX, LEFT_PX, RIGHT_PX, BOTTOM_PX = 72, 148, 24, 56
BOX = 0.29
"""Half a box's height, where two servers are 1 apart."""


class Row(NamedTuple):
    """One server's log at an instant; ``entries`` are (index, term, command as text), those after the snapshot.

    ``view`` is None while the server is down; its log is on disk, and shown as it was last seen.
    """

    node: NodeId
    y: float
    view: Any
    entries: tuple[tuple[int, int, str], ...]
    snapshot: int

    @property
    def last(self) -> int:
        """The index of the last entry."""
        return self.snapshot + len(self.entries)


class Logs(NamedTuple):
    """All logs at an instant, and the indices that are shown."""

    rows: tuple[Row, ...]
    first: int
    last: int
    width: int

    @property
    def column_px(self) -> float:
        """The width of an index."""
        return (self.width - LEFT_PX - RIGHT_PX) / (self.last - self.first + 2)


def log_view(
    trace: Trace,
    at_ms: float,
    *,
    nodes: Iterable[NodeId] | None = None,
    last: int = 14,
    title: str = "",
    width: int = theme.WIDTH,
) -> go.Figure:
    """Each server's log at ``at_ms``: a box an entry, with its term and command; at most the ``last`` indices.

    A green bar ends what the server knows to be committed, a dot stands under the last entry applied. Entries that
    differ from the newest leader's log (or, without one, the most up-to-date log) have a red frame. Triangles show
    the leader's next and match index for each follower. Raises ``ValueError`` for a time outside the run, an
    unknown node, or ``last`` outside 2 to 60.
    """
    theme.check_time("at_ms", at_ms, 0.0, max(trace.end_ms, 0.0))
    logs = _logs(Views(trace), lanes.chosen_nodes(trace, nodes), at_ms, _check_last(last), width)
    figure = theme.figure(title=title, width=width)
    figure.add_traces(
        [go.Scatter(**part) if part.pop("type") == "scatter" else go.Bar(**part) for part in _parts(logs)]
    )
    return _layout(figure, logs, bool(title))


def log_animation(
    trace: Trace,
    *,
    start_ms: float | None = None,
    end_ms: float | None = None,
    frames: int = 60,
    nodes: Iterable[NodeId] | None = None,
    last: int = 14,
    title: str = "",
    width: int = theme.WIDTH,
) -> go.Figure:
    """``log_view`` at each change of a log or an index in the window, thinned to ``frames``, with a slider.

    Raises ``ValueError`` as ``log_view``, and for a reversed window or ``frames`` outside 2 to 400.
    """
    start, end = lanes.window(trace, start_ms, end_ms)
    if isinstance(frames, bool) or not isinstance(frames, int) or not 2 <= frames <= 400:
        raise ValueError(f"frames is {frames!r}; it takes a whole number from 2 to 400")
    chosen, views, last = lanes.chosen_nodes(trace, nodes), Views(trace), _check_last(last)
    times = _changes(trace, chosen, start, end, frames)
    figure = log_view(trace, times[0], nodes=chosen, last=last, title=title, width=width)
    steps = []
    for time_ms in times:
        logs = _logs(views, chosen, time_ms, last, width)
        steps.append(go.Frame(data=_parts(logs), layout=_axes(logs)))
    figure.update_traces(showlegend=True, selector={"meta": "legend"})
    return add_player(figure, steps, times, below_px=46, redraw=True)


def _check_last(last: int) -> int:
    if isinstance(last, bool) or not isinstance(last, int) or not 2 <= last <= 60:
        raise ValueError(f"last is {last!r}; it takes a whole number of entries from 2 to 60")
    return last


def _changes(trace: Trace, nodes: Sequence[NodeId], start: float, end: float, frames: int) -> list[float]:
    """When any log, index or role changed, at most ``frames`` instants, the window's two ends among them."""
    seen: dict[NodeId, Any] = {}
    times = {start, end}
    for one in trace.states:
        now = (
            lanes.role_of(one.view),
            *(
                getattr(one.view, name, None)
                for name in ("log", "commit_index", "last_applied", "snapshot_index", "next_index", "match_index")
            ),
        )
        if one.node in nodes and seen.get(one.node) != now:
            seen[one.node] = now
            if start <= one.time_ms <= end:
                times.add(one.time_ms)
    ordered = sorted(times)
    if len(ordered) > frames:
        ordered = [ordered[round(number * (len(ordered) - 1) / (frames - 1))] for number in range(frames)]
    return ordered


def _logs(views: Views, nodes: Sequence[NodeId], at_ms: float, last: int, width: int) -> Logs:
    rows = []
    for number, node in enumerate(nodes):
        view, disk = views.at(node, at_ms), views.alive(node, at_ms)
        snapshot = int(getattr(disk, "snapshot_index", 0) or 0)
        entries = tuple(
            (snapshot + place, int(entry.term), command_text(entry.command))
            for place, entry in enumerate(getattr(disk, "log", ()) or (), start=1)
        )
        rows.append(Row(node, -float(number), view, entries, snapshot))
    end = max((row.last for row in rows), default=0)
    first = max(1, end - last + 1)
    return Logs(tuple(rows), first, max(end, first + min(last, 8) - 1), width)


def command_text(command: Any) -> str:
    """A command as it stands in a box: by its own ``str`` if it has one, else as ``describe`` tells it."""
    return str(command) if "__str__" in type(command).__dict__ or isinstance(command, str) else describe(command)


def _leader(logs: Logs) -> Row | None:
    leaders = [row for row in logs.rows if lanes.role_of(row.view) == "leader"]
    return max(leaders, key=lambda row: lanes.term_of(row.view), default=None)


def _reference(logs: Logs) -> Row | None:
    """The log to compare with: the newest leader's, else the most up-to-date one (§5.4.1)."""
    full = [row for row in logs.rows if row.entries]
    return _leader(logs) or max(full, key=lambda row: (row.entries[-1][1], row.last), default=None)


def conflicting(logs: Logs) -> set[tuple[NodeId, int]]:
    """(node, index) of each entry whose term differs from the reference's, and of what follows it there."""
    reference = _reference(logs)
    if reference is None:
        return set()
    terms = {index: term for index, term, _ in reference.entries}
    leads = lanes.role_of(reference.view) == "leader"
    newest = lanes.term_of(reference.view) if leads else reference.entries[-1][1]
    found = set()
    for row in logs.rows:
        wrong = [
            index for index, term, _ in row.entries if index > reference.snapshot and terms.get(index, term) != term
        ]
        longer = [index for index, term, _ in row.entries if index > reference.last and term < newest]
        start = min([*wrong, *longer], default=None)
        found |= {(row.node, index) for index, _, _ in row.entries if start is not None and index >= start}
    return found


# --- traces: always the same ones, in the same order -------------------------------------------------


def _parts(logs: Logs) -> list[dict[str, Any]]:
    return [
        _boxes(logs),
        _conflicts(logs),
        _snapshots(logs),
        _commit(logs),
        _applied(logs),
        *_indices(logs),
        _down(logs),
    ]


def _shown(logs: Logs) -> list[tuple[Row, int, int, str]]:
    return [
        (row, index, term, command)
        for row in logs.rows
        for index, term, command in row.entries
        if logs.first <= index <= logs.last
    ]


def _boxes(logs: Logs) -> dict[str, Any]:
    shown, letters = _shown(logs), max(1, int((logs.column_px - 6) / theme.CHAR))
    return {
        "type": "bar",
        "orientation": "h",
        "base": [index - 0.47 for _, index, _, _ in shown],
        "x": [0.94] * len(shown),
        "y": [row.y for row, _, _, _ in shown],
        "width": 2 * BOX,
        "name": "entry: term, command",
        "showlegend": False,
        "text": [f"<b>{term}</b><br>{lanes.plain(_cut(command, letters))}" for _, _, term, command in shown],
        "hovertext": [
            f"<b>{lanes.plain(row.node)}</b>  index {index}, term {term}<br>"
            f"{lanes.plain(command)}<br>{_state(row, index)}"
            for row, index, term, command in shown
        ],
        "hoverinfo": "text",
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "constraintext": "none",
        "textfont": {"color": theme.INK, "size": 12},
        "insidetextfont": {"color": theme.INK},
        "marker": {
            "color": [theme.term_fill(term) for _, _, term, _ in shown],
            "opacity": [1.0 if row.view is not None else 0.4 for row, _, _, _ in shown],
            "line": {"width": 1, "color": theme.PAPER},
        },
    }


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: max(1, letters - 1)] + "…"


def _state(row: Row, index: int) -> str:
    if row.view is None:
        return "on the disk of a crashed server"
    if index <= (getattr(row.view, "last_applied", 0) or 0):
        return "committed and applied"
    return "committed" if index <= (getattr(row.view, "commit_index", 0) or 0) else "not known to be committed"


def _conflicts(logs: Logs) -> dict[str, Any]:
    wrong = conflicting(logs)
    shown = [(row, index) for row, index, _, _ in _shown(logs) if (row.node, index) in wrong]
    return {
        "type": "bar",
        "orientation": "h",
        "base": [index - 0.45 for _, index in shown],
        "x": [0.9] * len(shown),
        "y": [row.y for row, _ in shown],
        "width": 2 * BOX - 0.03,
        "name": "differs from the leader",
        "hoverinfo": "skip",
        "showlegend": bool(shown),
        "meta": "legend",
        "marker": {
            "color": "rgba(255,255,255,0)",
            "line": {"width": 3, "color": theme.ALARM},
            "pattern": {"shape": "/", "fgcolor": theme.ALARM, "fillmode": "overlay", "size": 9, "solidity": 0.1},
        },
    }


def _snapshots(logs: Logs) -> dict[str, Any]:
    """What stands left of the entries shown: a snapshot, or more log than fits."""
    bars = []
    for row in logs.rows:
        left = logs.first - 0.95
        if row.snapshot >= logs.first:
            said = (
                f"snapshot up to {row.snapshot}"
                if (row.snapshot - logs.first) * logs.column_px > 80
                else f"≤ {row.snapshot}"
            )
            bars.append((row.y, left, row.snapshot + 0.45, said, f"snapshot: index 1 to {row.snapshot}"))
        elif logs.first > 1 and row.last:
            said = f"1 to {min(logs.first - 1, row.last)}, not shown" + (
                f"; snapshot up to {row.snapshot}" if row.snapshot else ""
            )
            bars.append((row.y, left, logs.first - 0.53, "…", said))
    return {
        "type": "bar",
        "orientation": "h",
        "base": [bar[1] for bar in bars],
        "x": [bar[2] - bar[1] for bar in bars],
        "y": [bar[0] for bar in bars],
        "width": 2 * BOX,
        "text": [bar[3] for bar in bars],
        "textangle": 0,
        "hovertext": [bar[4] for bar in bars],
        "hoverinfo": "text",
        "name": "snapshot, earlier entries",
        "showlegend": bool(bars),
        "meta": "legend",
        "textposition": "inside",
        "insidetextanchor": "middle",
        "constraintext": "none",
        "textfont": {"color": theme.SOFT, "size": 12},
        "marker": {
            "color": "#eef1f4",
            "line": {"width": 1, "color": theme.FAINT},
            "pattern": {"shape": ".", "fgcolor": theme.FAINT, "fillmode": "overlay", "size": 7, "solidity": 0.1},
        },
    }


def _commit(logs: Logs) -> dict[str, Any]:
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for row in logs.rows:
        commit = getattr(row.view, "commit_index", None)
        if commit is not None and logs.first - 1 <= commit <= logs.last:
            x += [commit + 0.5, commit + 0.5, None]
            y += [row.y - BOX - 0.07, row.y + BOX + 0.07, None]
            text += [f"<b>{lanes.plain(row.node)}</b>  commit index {commit}"] * 2 + [""]
    return {
        "type": "scatter",
        "x": x,
        "y": y,
        "hovertext": text,
        "hoverinfo": "text",
        "mode": "lines",
        "name": "commit index",
        "line": {"color": theme.GREEN, "width": 5},
        "showlegend": True,
    }


def _applied(logs: Logs) -> dict[str, Any]:
    found = [(row, int(getattr(row.view, "last_applied", 0) or 0)) for row in logs.rows]
    found = [(row, index) for row, index in found if logs.first <= index <= logs.last]
    return _marks(
        [(float(index), row.y - BOX - 0.1, f"<b>{row.node}</b>  last applied {index}") for row, index in found],
        "last applied",
        "circle",
        theme.GREEN,
        theme.GREEN,
    )


def _indices(logs: Logs) -> list[dict[str, Any]]:
    leader, height = _leader(logs), {row.node: row.y for row in logs.rows}
    marks: dict[str, list[tuple[float, float, str]]] = {"next_index": [], "match_index": []}
    for name, found in marks.items():
        for node, index in getattr(leader.view, name, ()) if leader is not None else ():
            if node in height and leader is not None and logs.first - 1 <= index <= logs.last + 1:
                side = 0.27 if name == "next_index" else -0.27
                said = f"<b>{lanes.plain(leader.node)}</b>'s {name.replace('_', ' ')} for {lanes.plain(node)}: {index}"
                found.append((index + side, height[node] + BOX + 0.1, said))
    return [
        _marks(marks["match_index"], "leader's match index", "triangle-down", theme.BLUE, theme.BLUE),
        _marks(marks["next_index"], "leader's next index", "triangle-down", theme.PAPER, theme.BLUE),
    ]


def _marks(found: list[tuple[float, float, str]], name: str, symbol: str, fill: str, line: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": [one[0] for one in found],
        "y": [one[1] for one in found],
        "mode": "markers",
        "name": name,
        "hovertext": [one[2] for one in found],
        "hoverinfo": "text",
        "showlegend": bool(found),
        "meta": "legend",
        "marker": {"symbol": symbol, "size": 10, "color": fill, "line": {"color": line, "width": 1.6}},
    }


def _down(logs: Logs) -> dict[str, Any]:
    rows = [row for row in logs.rows if row.view is None]
    return {
        "type": "scatter",
        "x": [max(row.last, logs.first - 1) + 0.8 for row in rows],
        "y": [row.y for row in rows],
        "mode": "text",
        "text": ["<b>✕</b>"] * len(rows),
        "textposition": "middle center",
        "name": "crashed",
        "textfont": {"color": theme.VERMILLION, "size": 18},
        "hoverinfo": "skip",
        "showlegend": False,
    }


# --- layout -----------------------------------------------------------------------------------------


def _axes(logs: Logs) -> dict[str, Any]:
    step = max(1, round(34 / logs.column_px))
    ticks = [index for index in range(logs.first, logs.last + 1) if (index - logs.first) % step == 0]
    names = [f"<b>{lanes.plain(row.node)}</b>  {lanes.plain(lanes.label_of(row.view))}" for row in logs.rows]
    return {
        "xaxis": {"range": [logs.first - 1, logs.last + 1], "tickvals": ticks, "ticktext": [str(one) for one in ticks]},
        "yaxis": {"tickvals": [row.y for row in logs.rows], "ticktext": names},
    }


def _layout(figure: go.Figure, logs: Logs, titled: bool) -> go.Figure:
    rows = max(1, theme.legend_rows(figure, "legend", logs.width - LEFT_PX - RIGHT_PX))
    top_px = (36 if titled else 10) + 24 * rows
    figure.update_layout(
        _axes(logs),
        height=round(top_px + ROW_PX * len(logs.rows) + BOTTOM_PX),
        barmode="overlay",
        margin={"l": LEFT_PX, "r": RIGHT_PX, "t": top_px, "b": BOTTOM_PX},
        dragmode=False,
        legend={"y": 1 + 2 / (ROW_PX * len(logs.rows))},
    )
    figure.update_xaxes(title_text="log index", showgrid=False, ticks="", fixedrange=True, tickfont={"size": 13})
    figure.update_yaxes(
        range=[0.42 - len(logs.rows), 0.58],
        showgrid=False,
        ticks="",
        showline=False,
        fixedrange=True,
        tickfont={"size": 13, "color": theme.INK},
    )
    return figure
