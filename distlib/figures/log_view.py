"""Every node's log side by side, as in figures 6 and 7 of the Raft paper: terms, commands, commit and match index.

It reads what a view has of ``log`` (entries with ``term`` and ``command``, or bare commands), ``snapshot_index`` (the
log begins after it), ``commit_index``, ``last_applied``, and a leader's ``next_index`` and ``match_index``, which are
pairs (node, index).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import plotly.graph_objects as go

from distlib.core import require
from distlib.core.look import term_of
from distlib.core.node import NodeId
from distlib.core.trace import Trace, describe
from distlib.figures import lanes, theme
from distlib.figures.shapes import bars, cut, framed, hatch, labelled_bars, lines, plain, signs, words

ROW_PX, LEFT_PX, RIGHT_PX, BOTTOM_PX = 72, 148, 24, 56
BOX = 0.29
"""Half a box's height, where two logs are 1 apart."""
SHOWN = 14
"""So many indices are shown, the last ones."""
TERMS = ("#9fc6e8", "#f5c879", "#a5d9c4", "#e3b6d1", "#f3a782", "#d7dde2", "#efe58f")
"""Fills of the boxes, by term; the term's number stands in each box too."""


@dataclass(frozen=True)
class Entry:
    """An entry of a log: its index, its term (None where the protocol has none), its command as text."""

    index: int
    term: int | None
    command: str

    @property
    def content(self) -> Any:
        """What two logs that agree have in common at an index."""
        return self.command if self.term is None else self.term


class Row(NamedTuple):
    """One node's log at an instant: the entries after the snapshot. ``view`` is None while the node is down; its log is
    on disk, and shown as it was last seen."""

    node: NodeId
    y: float
    view: Any
    entries: tuple[Entry, ...]
    snapshot: int

    @property
    def last(self) -> int:
        """The index of the last entry."""
        return self.snapshot + len(self.entries)

    @property
    def last_term(self) -> int:
        """The term of the last entry, 0 if it has none."""
        return (self.entries[-1].term or 0) if self.entries else 0


class Logs(NamedTuple):
    """All logs at an instant, and the indices that are shown."""

    rows: tuple[Row, ...]
    first: int
    last: int

    @property
    def column_px(self) -> float:
        """The width of an index."""
        return (theme.WIDTH - LEFT_PX - RIGHT_PX) / (self.last - self.first + 2)


def log_view(trace: Trace, at_ms: float) -> go.Figure:
    """Each node's log at ``at_ms``: a box an entry, with its term and command; at most the last 14 indices.

    A green bar ends what the node knows to be committed, a dot stands under the last entry applied. Entries that
    differ from the newest leader's log (or, without one, the most up-to-date log) have a red frame. Triangles show
    the leader's next and match index for each follower. Raises ``ValueError`` for a time outside the run.
    """
    require.number("at_ms", at_ms, 0, max(trace.end_ms, 0.0), unit="ms")
    logs = _logs(trace, at_ms)
    figure = theme.figure()
    figure.add_traces([
        _boxes(logs), _conflicts(logs), _snapshots(logs), _commit(logs), _applied(logs), *_indices(logs), _down(logs),
    ])  # fmt: skip
    _lay_out(figure, logs)
    return figure


def _logs(trace: Trace, at_ms: float) -> Logs:
    views, disks = lanes.shown_at(trace, at_ms), lanes.shown_at(trace, at_ms, down=False)
    rows = []
    for number, node in enumerate(trace.nodes):
        disk = disks.get(node)
        snapshot = int(getattr(disk, "snapshot_index", 0) or 0)
        entries = tuple(
            Entry(index, getattr(entry, "term", None), command_text(getattr(entry, "command", entry)))
            for index, entry in enumerate(getattr(disk, "log", None) or (), start=snapshot + 1)
        )
        rows.append(Row(node, -float(number), views.get(node), entries, snapshot))
    end = max((row.last for row in rows), default=0)
    first = max(1, end - SHOWN + 1)
    return Logs(tuple(rows), first, max(end, first + 7))


def command_text(command: Any) -> str:
    """A command as it stands in a box: by its own ``str`` if it has one, else as ``describe`` tells it."""
    return str(command) if "__str__" in type(command).__dict__ or isinstance(command, str) else describe(command)


def _leader(logs: Logs) -> Row | None:
    leaders = [row for row in logs.rows if lanes.role_of(row.view) == "leader"]
    return max(leaders, key=lambda row: term_of(row.view), default=None)


def conflicting(logs: Logs) -> set[tuple[NodeId, int]]:
    """(node, index) of each entry that differs from the newest leader's (without a leader: from the most up-to-date
    log's, Raft §5.4.1), and of what follows it there."""
    leader, full = _leader(logs), [row for row in logs.rows if row.entries]
    reference = leader or max(full, key=lambda row: (row.last_term, row.last), default=None)
    if reference is None:
        return set()
    newest = term_of(leader.view) if leader else reference.last_term
    right = {entry.index: entry.content for entry in reference.entries}
    found = set()
    for row in logs.rows:
        wrong = [
            entry.index
            for entry in row.entries
            if (entry.index > reference.snapshot and right.get(entry.index, entry.content) != entry.content)
            or (entry.index > reference.last and entry.term is not None and entry.term < newest)
        ]
        found |= {(row.node, entry.index) for entry in row.entries if wrong and entry.index >= min(wrong)}
    return found


# --- traces: always the same ones, in the same order -------------------------------------------------


def _shown(logs: Logs) -> list[tuple[Row, Entry]]:
    return [(row, one) for row in logs.rows for one in row.entries if logs.first <= one.index <= logs.last]


def _boxes(logs: Logs) -> go.Bar:
    shown, letters = _shown(logs), max(1, int((logs.column_px - 6) / theme.CHAR))
    colours = [TERMS[((one.term or 6) - 1) % len(TERMS)] for _, one in shown]
    opacity = [1.0 if row.view is not None else 0.4 for row, _ in shown]
    return labelled_bars(
        [(one.index - 0.47, 0.94, row.y, _box_text(one, letters), _hover(row, one)) for row, one in shown],
        width=2 * BOX, name="entry: term, command", showlegend=False, textfont={"color": theme.INK, "size": 12},
        insidetextfont={"color": theme.INK}, marker=framed(colours, theme.PAPER, 1, opacity=opacity),
    )  # fmt: skip


def _box_text(one: Entry, letters: int) -> str:
    command = plain(cut(one.command, letters))
    return command if one.term is None else f"<b>{one.term}</b><br>{command}"


def _hover(row: Row, one: Entry) -> str:
    where = f"<b>{plain(row.node)}</b>  index {one.index}" + ("" if one.term is None else f", term {one.term}")
    return f"{where}<br>{plain(one.command)}<br>{_state(row, one.index)}"


def _state(row: Row, index: int) -> str:
    if row.view is None:
        return "on the disk of a crashed server"
    if index <= (getattr(row.view, "last_applied", 0) or 0):
        return "committed and applied"
    return "committed" if index <= (getattr(row.view, "commit_index", 0) or 0) else "not known to be committed"


def _conflicts(logs: Logs) -> go.Bar:
    wrong = conflicting(logs)
    shown = [(one.index - 0.45, 0.9, row.y) for row, one in _shown(logs) if (row.node, one.index) in wrong]
    return bars(
        shown, width=2 * BOX - 0.03, name="differs from the leader", hoverinfo="skip", showlegend=bool(shown),
        marker=framed("rgba(255,255,255,0)", theme.ALARM, 3, hatch("/", theme.ALARM, 9, 0.1)),
    )  # fmt: skip


def _snapshots(logs: Logs) -> go.Bar:
    """What stands left of the entries shown: a snapshot, or more log than fits."""
    found, left = [], logs.first - 0.95
    for row in logs.rows:
        if row.snapshot >= logs.first:
            wide = (row.snapshot - logs.first) * logs.column_px > 80
            label = f"snapshot up to {row.snapshot}" if wide else f"≤ {row.snapshot}"
            said = f"snapshot: index 1 to {row.snapshot}"
            found.append((left, row.snapshot + 0.45 - left, row.y, label, said))
        elif logs.first > 1 and row.last:
            covered = f"; snapshot up to {row.snapshot}" if row.snapshot else ""
            said = f"1 to {min(logs.first - 1, row.last)}, not shown{covered}"
            found.append((left, logs.first - 0.53 - left, row.y, "…", said))
    return labelled_bars(
        found, width=2 * BOX, textfont={"color": theme.SOFT, "size": 12}, name="snapshot, earlier entries",
        marker=framed("#eef1f4", theme.FAINT, 1, hatch(".", theme.FAINT, 7, 0.1)),
    )  # fmt: skip


def _commit(logs: Logs) -> go.Scatter:
    known: list[tuple[Row, Any]] = [(row, getattr(row.view, "commit_index", None)) for row in logs.rows]
    known = [(row, index) for row, index in known if index is not None and logs.first - 1 <= index <= logs.last]
    paths = [[(index + 0.5, row.y - BOX - 0.07), (index + 0.5, row.y + BOX + 0.07)] for row, index in known]
    said = [f"<b>{plain(row.node)}</b>  commit index {index}" for row, index in known]
    return lines(paths, said, name="commit index", line={"color": theme.GREEN, "width": 5}, showlegend=True)


def _applied(logs: Logs) -> go.Scatter:
    known = [(row, int(getattr(row.view, "last_applied", 0) or 0)) for row in logs.rows]
    points = [
        (float(index), row.y - BOX - 0.1, f"<b>{row.node}</b>  last applied {index}")
        for row, index in known
        if logs.first <= index <= logs.last
    ]
    return _marks(points, "last applied", "circle", theme.GREEN, theme.GREEN)


def _indices(logs: Logs) -> list[go.Scatter]:
    """What the leader knows of the others: left of an index who matches up to it, right whose next entry it is."""
    leader, height = _leader(logs), {row.node: row.y for row in logs.rows}
    drawn = []
    for field, side, fill in (("match_index", -0.27, theme.BLUE), ("next_index", 0.27, theme.PAPER)):
        name, points = field.replace("_", " "), []
        for node, index in getattr(leader.view, field, ()) if leader is not None else ():
            if leader is not None and node in height and logs.first - 1 <= index <= logs.last + 1:
                said = f"<b>{plain(leader.node)}</b>'s {name} for {plain(node)}: {index}"
                points.append((index + side, height[node] + BOX + 0.1, said))
        drawn.append(_marks(points, f"leader's {name}", "triangle-down", fill, theme.BLUE))
    return drawn


def _marks(points: list[tuple[float, float, str]], name: str, symbol: str, fill: str, line: str) -> go.Scatter:
    marker = {"symbol": symbol, "size": 10, "color": fill, "line": {"color": line, "width": 1.6}}
    return signs(points, name=name, showlegend=bool(points), marker=marker)


def _down(logs: Logs) -> go.Scatter:
    down = [row for row in logs.rows if row.view is None]
    crosses = [(max(row.last, logs.first - 1) + 0.8, row.y, "<b>✕</b>") for row in down]
    font = {"color": theme.VERMILLION, "size": 18}
    return words(crosses, textposition="middle center", name="crashed", textfont=font)


def _lay_out(figure: go.Figure, logs: Logs) -> None:
    step = max(1, round(34 / logs.column_px))
    ticks = list(range(logs.first, logs.last + 1, step))
    names = [f"<b>{plain(row.node)}</b>  {plain(lanes.label_of(row.view))}" for row in logs.rows]
    top_px = 10 + 24 * max(1, theme.legend_rows(figure, "legend", theme.WIDTH - LEFT_PX - RIGHT_PX))
    logs_px = ROW_PX * len(logs.rows)
    figure.update_layout(
        height=round(top_px + logs_px + BOTTOM_PX), barmode="overlay",
        margin={"l": LEFT_PX, "r": RIGHT_PX, "t": top_px, "b": BOTTOM_PX}, dragmode=False,
        legend={"y": 1 + 2 / logs_px},
    )  # fmt: skip
    figure.update_xaxes(
        range=[logs.first - 1, logs.last + 1], tickvals=ticks, ticktext=[str(one) for one in ticks],
        title_text="log index", showgrid=False, ticks="", fixedrange=True, tickfont={"size": 13},
    )  # fmt: skip
    figure.update_yaxes(
        **theme.ROWS, range=[0.42 - len(logs.rows), 0.58], tickvals=[row.y for row in logs.rows], ticktext=names
    )
