"""The space-time diagram (Lamport 1978): one lane a node, time to the right, messages as slanted lines.

The figure's traces keep their number and order for the same ``kinds`` and ``roles``, so that a FigureWidget can be
updated in place (:func:`distlib.figures.inplace.update`). Everything is drawn as traces, nothing as layout shapes.
Messages lie on the axis y, lanes and marks on y2 above it, so that a message passes under the lanes between (a
``zorder`` would do the same, but makes plotly's animations blink).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from distlib.core.node import NodeId
from distlib.core.trace import CUT, DOWN, LOST, Trace, describe, kind_of
from distlib.figures import lanes, theme
from distlib.figures.lanes import Flight, Segment

HALF = 0.17
"""Half the height of a lane's bar, where two lanes are 1 apart."""
LANE_PX, BOTTOM_PX, LEFT_PX, RIGHT_PX, ROW_PX = 66, 58, 64, 24, 22
TOP, BOTTOM = 0.82, 0.5
"""Room above the first lane (for the names of partitions) and below the last, in lanes."""


class Picture(NamedTuple):
    """What is drawn: the window, the lanes, and the messages that found room."""

    trace: Trace
    nodes: tuple[NodeId, ...]
    start_ms: float
    end_ms: float
    flights: list[Flight]
    routine: list[Flight]
    total: int
    width: int
    cuts: list[tuple[float, float, frozenset[lanes.Link]]]

    def y(self, node: NodeId) -> float:
        """The height of a lane's middle."""
        return -float(self.nodes.index(node))

    def px(self, ms: float) -> float:
        """How wide a time is on the screen."""
        return ms * (self.width - LEFT_PX - RIGHT_PX) / (self.end_ms - self.start_ms)

    def shows(self, time_ms: float, node: NodeId | None = None) -> bool:
        """Whether the time, and the node if there is one, are in the picture."""
        return self.start_ms <= time_ms <= self.end_ms and (node is None or node in self.nodes)


def spacetime(
    trace: Trace,
    *,
    start_ms: float | None = None,
    end_ms: float | None = None,
    nodes: Iterable[NodeId] | None = None,
    fold_routine: bool = True,
    max_messages: int = 400,
    kinds: Sequence[str] | None = None,
    roles: Sequence[str] | None = None,
    highlight: Collection[int] = (),
    title: str = "",
    width: int = theme.WIDTH,
) -> go.Figure:
    """Draw ``trace`` from ``start_ms`` to ``end_ms`` (default: all of it).

    At most ``max_messages`` messages are drawn; when there are more, the window ends earlier and says so. With
    ``fold_routine``, heartbeats and such are thin and grey, or one tick a round where they would not fit. ``kinds`` and
    ``roles`` fix which traces exist and in which order (default: those of this run); what they leave out shares the
    trace *other*. ``highlight`` holds numbers of messages to draw bold. Raises ``ValueError`` for a reversed or empty
    window, an unknown node, or ``max_messages`` below 1.
    """
    picture = picture_of(
        trace, nodes, lanes.window(trace, start_ms, end_ms), fold_routine, max_messages, width
    )
    kinds = _kinds(trace, fold_routine) if kinds is None else tuple(kinds)
    parts = lanes.segments(trace, picture.nodes)
    roles = (
        theme.in_order({part.role for part in parts}, tuple(theme.ROLES)) if roles is None else tuple(roles)
    )
    figure = theme.figure(title=title, width=width)
    figure.add_traces(
        [
            *_partitions(picture),
            _routine(picture),
            *_messages(picture, kinds),
            _highlighted(picture, set(highlight)),
            *bars(picture, parts, roles),
            _paused(picture),
            _undelivered(picture),
            _duplicates(picture),
            _happenings(picture),
            fault_marks(picture),
            _violations(picture),
        ]
    )
    return _layout(figure, picture, bool(title))


def picture_of(
    trace: Trace,
    nodes: Iterable[NodeId] | None,
    window: tuple[float, float],
    fold_routine: bool,
    max_messages: int,
    width: int,
) -> Picture:
    """Choose what fits: all messages of the window, or its first ``max_messages``."""
    if isinstance(max_messages, bool) or not isinstance(max_messages, int) or max_messages < 1:
        raise ValueError(f"max_messages is {max_messages!r}; it takes a whole number of at least 1")
    chosen, (start, end) = lanes.chosen_nodes(trace, nodes), window
    found = lanes.flights(trace, start, end, chosen)
    telling = [one for one in found if not (fold_routine and one.routine)]
    if len(telling) > max_messages:
        end = max(telling[max_messages].start_ms, math.nextafter(start, math.inf))
        telling = telling[:max_messages]
    routine = [one for one in found if fold_routine and one.routine and one.start_ms <= end]
    cuts = [
        (span.start_ms, span.end_ms, lanes.cut_by(span.event, trace.nodes))
        for span in lanes.spans(trace)
        if span.kind in lanes.CUTS
    ]
    return Picture(trace, chosen, start, end, telling, routine, len(found), width, cuts)


def _kinds(trace: Trace, fold_routine: bool) -> tuple[str, ...]:
    messages = (copy[4] for copy in trace.sent)
    found = {kind_of(one) for one in messages if not (fold_routine and getattr(one, "routine", False))}
    return theme.in_order(found, tuple(theme.KINDS))


# --- messages ---------------------------------------------------------------------------------------


def message_path(picture: Picture, flight: Flight) -> list[tuple[float, float]]:
    """The points of a message's line, from bar edge to bar edge, with one in each gap so that hovering finds it."""
    to = picture.y(flight.receiver)
    if flight.sender not in picture.nodes:
        return [(flight.start_ms, to + HALF + 0.26), (flight.end_ms, to + HALF)]
    if flight.sender == flight.receiver:
        return [(flight.start_ms, to + HALF), ((flight.start_ms + flight.end_ms) / 2, to + HALF + 0.2),
                (flight.end_ms, to + HALF)]  # fmt: skip
    origin = picture.y(flight.sender)
    down = 1.0 if to < origin else -1.0
    first, last = origin - down * HALF, to + down * HALF
    gaps = [origin - down * (step + 0.5) for step in range(round(abs(to - origin)))]
    stop = first + (last - first) * flight.reached
    if flight.fate == CUT:
        stop = gaps[_wall(picture, flight)]
    elif flight.fate == LOST:
        stop = min(gaps, key=lambda y: abs(y - stop))  # between two lanes, where it is seen
    heights = [first, *(y for y in gaps if (y - stop) * down > 0), stop]
    slope = (flight.arrive_ms - flight.start_ms) / (last - first)
    return [(flight.start_ms + (y - first) * slope, y) for y in heights]


def _wall(picture: Picture, flight: Flight) -> int:
    """The gap, counted from the sender, in which a partition stops the message: before the first lane it cannot reach."""
    cut: set[lanes.Link] = set()
    for start_ms, end_ms, links in picture.cuts:
        if start_ms <= flight.arrive_ms and flight.start_ms < end_ms:
            cut |= links
    here, there = picture.nodes.index(flight.sender), picture.nodes.index(flight.receiver)
    way = range(here, there, 1 if here < there else -1)
    on_the_way = [picture.nodes[number + way.step] for number in way]
    return next((gap for gap, node in enumerate(on_the_way) if (flight.sender, node) in cut), 0)


def _lines(picture: Picture, flights: Iterable[Flight]) -> dict[str, list[Any]]:
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for flight in flights:
        said = lanes.flight_text(flight)
        for time_ms, height in message_path(picture, flight):
            x.append(round(time_ms, 3))
            y.append(round(height, 3))
            text.append(said)
        x.append(None)
        y.append(None)
        text.append("")
    return {"x": x, "y": y, "hovertext": text}


def _messages(picture: Picture, kinds: Sequence[str]) -> list[go.Scatter]:
    by_kind: dict[str, list[Flight]] = {kind: [] for kind in (*kinds, theme.OTHER)}
    for flight in picture.flights:
        by_kind[flight.kind if flight.kind in by_kind else theme.OTHER].append(flight)
    styles = theme.kind_styles((*kinds, theme.OTHER))
    return [
        go.Scatter(
            **_lines(picture, flights), mode="lines", name=kind, hoverinfo="text", showlegend=bool(flights),
            line={"color": styles[kind].colour, "dash": styles[kind].dash, "width": 1.6},
        )
        for kind, flights in by_kind.items()
    ]  # fmt: skip


def _highlighted(picture: Picture, numbers: Collection[int]) -> go.Scatter:
    chosen = [one for one in (*picture.flights, *picture.routine) if one.number in numbers]
    return go.Scatter(**_lines(picture, chosen), mode="lines", name="highlighted", hoverinfo="text",
                      showlegend=bool(chosen), line={"color": theme.INK, "width": 4})  # fmt: skip


def _routine(picture: Picture) -> go.Scatter:
    """Heartbeats: thin lines while they are few, else one tick on the sender's lane for each round."""
    flights, room = picture.routine, 400
    only = sorted({flight.kind for flight in flights} - {flight.kind for flight in picture.flights})
    name = ", ".join([*only, f"routine ×{len(flights):,}"])
    line = {"color": theme.ROUTINE.colour, "width": 1}
    if len(flights) <= room:
        return go.Scatter(**_lines(picture, flights), mode="lines", name=name, hoverinfo="text",
                          showlegend=bool(flights), line=line)  # fmt: skip
    rounds: dict[tuple[NodeId, float, str], list[NodeId]] = {}
    for flight in flights:
        if flight.sender in picture.nodes:
            rounds.setdefault((flight.sender, flight.start_ms, flight.kind), []).append(flight.receiver)
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for (sender, sent_ms, kind), receivers in rounds.items():
        foot = picture.y(sender) - HALF
        said = f"<b>{lanes.plain(kind)}</b>  {lanes.plain(sender)} → {lanes.plain(' '.join(receivers))}<br>sent {sent_ms:,.2f} ms"
        x += [sent_ms, sent_ms, None]
        y += [foot, foot - 0.12, None]
        text += [said, said, ""]
    return go.Scatter(x=x, y=y, hovertext=text, mode="lines", name=f"{name}, a tick a round", hoverinfo="text",
                      showlegend=True, line=line)  # fmt: skip


def _undelivered(picture: Picture) -> go.Scatter:
    lost = [one for one in (*picture.flights, *picture.routine) if one.fate in (LOST, CUT, DOWN)]
    if len(lost) > 2 * len(picture.flights):
        lost = [one for one in lost if not one.routine]
    ends = [message_path(picture, flight)[-1] for flight in lost]
    return go.Scatter(
        x=[round(x, 3) for x, _ in ends], y=[round(y, 3) for _, y in ends], mode="markers", name="not delivered",
        hovertext=[lanes.flight_text(flight) for flight in lost], hoverinfo="text", showlegend=bool(lost), yaxis="y2", legend="legend2",
        marker={"symbol": "x-thin", "size": 8, "color": theme.INK, "line": {"width": 1.8, "color": theme.INK}},
    )  # fmt: skip


def _duplicates(picture: Picture) -> go.Scatter:
    again = [one for one in picture.flights if one.duplicate]
    middles = [
        [sum(part) / 2 for part in zip(*(message_path(picture, one)[i] for i in (0, -1)), strict=True)]
        for one in again
    ]
    return go.Scatter(
        x=[round(x, 3) for x, _ in middles], y=[round(y, 3) for _, y in middles], mode="markers", name="duplicate",
        hovertext=[lanes.flight_text(flight) for flight in again], hoverinfo="text", showlegend=bool(again), yaxis="y2", legend="legend2",
        marker={"symbol": "diamond", "size": 8, "color": theme.PAPER, "line": {"width": 1.5, "color": theme.INK}},
    )  # fmt: skip


# --- lanes ------------------------------------------------------------------------------------------


def initial(role: str) -> str:
    """The letter that stands for a role where its name finds no room."""
    return "✕" if role == theme.CRASHED else role[:1].upper()


def fitting(part: Segment, room_px: float) -> str:
    """The longest label of a segment that fits: ``leader · term 3``, ``leader 3``, ``L3``, or none."""
    term = "" if part.term is None else part.term
    if part.role == theme.CRASHED:
        return next((one for one in ("\u2003\u2003crashed", "") if len(one) * theme.CHAR + 24 <= room_px), "")
    for label in (part.label, f"{part.role} {term}".strip(), f"{initial(part.role)}{term}"):
        if len(label) * theme.CHAR + 8 <= room_px:
            return label
    return ""


def bars(
    picture: Picture, parts: list[Segment], roles: Sequence[str], half: float = HALF
) -> list[go.Bar]:
    """One trace for each role: the time that nodes spend in it, labelled with role and term."""
    by_role: dict[str, list[Segment]] = {role: [] for role in (*roles, theme.OTHER)}
    for part in parts:
        start, end = max(part.start_ms, picture.start_ms), min(part.end_ms, picture.end_ms)
        if start < end:
            by_role[part.role if part.role in by_role else theme.OTHER].append(part)
    return [_bar(picture, role, found, half) for role, found in by_role.items()]


def _bar(picture: Picture, role: str, parts: list[Segment], half: float) -> go.Bar:
    style = theme.role_style(role)
    starts = [max(part.start_ms, picture.start_ms) for part in parts]
    lengths = [min(part.end_ms, picture.end_ms) - start for part, start in zip(parts, starts, strict=True)]
    named = any(part.label != part.role for part in parts)
    return go.Bar(
        orientation="h", base=starts, x=lengths, y=[picture.y(part.node) for part in parts], width=2 * half,
        text=[fitting(part, picture.px(length)) for part, length in zip(parts, lengths, strict=True)],
        hovertext=[f"<b>{lanes.plain(part.node)}</b>  {lanes.plain(part.label)}<br>{part.start_ms:,.2f} to {part.end_ms:,.2f} ms"
                   for part in parts],
        hoverinfo="text", textposition="inside", insidetextanchor="start", textangle=0, constraintext="none",
        textfont={"color": style.text, "size": 12}, insidetextfont={"color": style.text}, cliponaxis=True, yaxis="y2",
        name=f"{role} ({initial(role)})" if named else role, showlegend=bool(parts), legend="legend2",
        marker={"color": style.fill, "line": {"width": 0.8, "color": theme.PAPER if not style.hatch else theme.FAINT},
                "pattern": {"shape": style.hatch, "fgcolor": theme.FAINT, "size": 6, "solidity": 0.25, "fillmode": "overlay"}},
    )  # fmt: skip


def _paused(picture: Picture) -> go.Bar:
    found = [
        span for span in lanes.spans(picture.trace) if span.kind == "Pause" and span.node in picture.nodes
    ]
    found = [span for span in found if span.start_ms < picture.end_ms and span.end_ms > picture.start_ms]
    starts = [max(span.start_ms, picture.start_ms) for span in found]
    return go.Bar(
        orientation="h", base=starts, width=2 * HALF, y=[picture.y(span.node or "") for span in found], yaxis="y2",
        x=[min(span.end_ms, picture.end_ms) - start for span, start in zip(found, starts, strict=True)],
        text=["paused" if picture.px(min(span.end_ms, picture.end_ms) - start) > 58 else "‖"
              for span, start in zip(found, starts, strict=True)],
        textposition="inside", insidetextanchor="middle", textangle=0, constraintext="none", textfont={"color": theme.INK},
        hovertext=[f"<b>{span.node}</b> paused<br>{span.start_ms:,.2f} to {span.end_ms:,.2f} ms" for span in found],
        hoverinfo="text", name="paused", showlegend=bool(found), legend="legend2",
        marker={"color": "rgba(255,255,255,0.72)", "line": {"width": 1, "color": theme.SOFT},
                "pattern": {"shape": "|", "fgcolor": theme.FAINT, "size": 6, "solidity": 0.2, "fillmode": "overlay"}},
    )  # fmt: skip


# --- what happened ----------------------------------------------------------------------------------


def _happenings(picture: Picture) -> go.Scatter:
    """Outputs and advances of the commit index: ticks under the lane, one a node and instant."""
    said: dict[tuple[float, NodeId], list[str]] = {}
    for time_ms, node, before, after in commits(picture.trace):
        if picture.shows(time_ms, node):
            said.setdefault((time_ms, node), []).append(f"commit index {before} → {after}")
    for out in picture.trace.outputs:
        if out.node is not None and picture.shows(out.time_ms, out.node):
            said.setdefault((out.time_ms, out.node), []).append(lanes.plain(describe(out.event)))
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for (time_ms, node), lines in sorted(said.items()):
        more = [f"… and {len(lines) - 8} more"] if len(lines) > 8 else []
        label = "<br>".join([f"<b>{lanes.plain(node)}</b>  {time_ms:,.2f} ms", *lines[:8], *more])
        x += [round(time_ms, 3), round(time_ms, 3), None]
        y += [picture.y(node) - HALF - 0.02, picture.y(node) - HALF - 0.16, None]
        text += [label, label, ""]
    return go.Scatter(x=x, y=y, hovertext=text, hoverinfo="text", mode="lines", name="commit, output", yaxis="y2",
                      showlegend=bool(said), legend="legend2", line={"color": theme.GREEN, "width": 3.5})  # fmt: skip


def commits(trace: Trace) -> list[tuple[float, NodeId, int, int]]:
    """(time_ms, node, before, after) of each advance of a ``commit_index``."""
    known: dict[NodeId, int] = {}
    found = []
    for seen in trace.states:
        now = getattr(seen.view, "commit_index", None)
        if now is not None:
            before = known.get(seen.node, 0)
            if now > before:
                found.append((seen.time_ms, seen.node, before, now))
            known[seen.node] = now
    return found


def fault_marks(picture: Picture) -> go.Scatter:
    """Crashes and restarts as signs on the lane; slow nodes, slow links and drifting clocks in words above it."""
    marks: list[tuple[float, float, str, str]] = []
    for span in lanes.spans(picture.trace):
        if span.node in picture.nodes and span.kind == "Crash":
            y, node = picture.y(span.node or ""), lanes.plain(span.node)
            marks.append((span.start_ms, y, "✕", f"<b>{node}</b> crashes at {span.start_ms:,.2f} ms"))
            if span.end_ms < picture.trace.end_ms:
                marks.append((span.end_ms, y, "↻", f"<b>{node}</b> restarts at {span.end_ms:,.2f} ms"))
    for fault in picture.trace.faults:
        node, sign = fault.node or getattr(fault.event, "sender", None), _sign(fault.event)
        if sign and node in picture.nodes:
            text = f"{lanes.plain(describe(fault.event))}<br>{fault.time_ms:,.2f} ms"
            marks.append((fault.time_ms, picture.y(node or "") + HALF + 0.13, sign, text))
    marks = [mark for mark in marks if picture.shows(mark[0])]
    return go.Scatter(
        x=[mark[0] for mark in marks], y=[mark[1] for mark in marks], text=[f"<b>{mark[2]}</b>" for mark in marks],
        hovertext=[mark[3] for mark in marks], hoverinfo="text", mode="text", name="fault", showlegend=False, yaxis="y2",
        textposition=["middle left" if mark[2] == "↻" else "middle right" for mark in marks],
        textfont={"color": theme.VERMILLION, "size": [17 if len(mark[2]) == 1 else 12 for mark in marks]},
    )  # fmt: skip


def _sign(event: Any) -> str:
    kind = type(event).__name__
    if kind == "SlowNode":
        return f"slow +{event.extra_ms:g} ms"
    if kind == "SlowLink":
        return f"slow → {event.receiver} +{event.extra_ms:g} ms"
    return f"clock ×{event.rate:g}" if kind == "Drift" else ""


def _violations(picture: Picture) -> go.Scatter:
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    hover: list[str] = []
    found = [one for one in picture.trace.violations if picture.shows(one.time_ms)]
    for one in found:
        foot = 0.1 - BOTTOM - len(picture.nodes) + 1
        heights = [foot, *(picture.y(node) - 0.5 for node in reversed(picture.nodes[:-1])), TOP - 0.05]
        said = f"<b>{lanes.plain(one.invariant)} is broken</b> at {one.time_ms:,.2f} ms<br>{lanes.plain(one.witness)}"
        x += [one.time_ms] * len(heights) + [None]
        y += [*heights, None]
        text += [f"<b>✗ {lanes.plain(one.invariant)}</b>"] + [""] * len(heights)
        hover += [said] * len(heights) + [""]
    late = (
        bool(found) and picture.px(max(one.time_ms for one in found) - picture.start_ms) > picture.width - 320
    )
    return go.Scatter(
        x=x, y=y, text=text, hovertext=hover, hoverinfo="text", mode="lines+text", name="invariant broken", yaxis="y2",
        textposition="middle left" if late else "middle right", textfont={"color": theme.ALARM, "size": 13},
        line={"color": theme.ALARM, "width": 2.5}, showlegend=bool(found), legend="legend2",
    )  # fmt: skip


# --- partitions -------------------------------------------------------------------------------------


def _partitions(picture: Picture) -> list[go.Scatter]:
    """Bands for the time that a cut lasts, walls between lanes it separates, and its groups by name."""
    cuts = [
        span for span in lanes.spans(picture.trace)
        if span.kind in lanes.CUTS and span.start_ms < picture.end_ms and span.end_ms > picture.start_ms
    ]  # fmt: skip
    band: tuple[list[Any], list[Any]] = ([], [])
    wall: tuple[list[Any], list[Any]] = ([], [])
    label: list[tuple[float, float, str]] = []
    low, free_from = 0.02 - BOTTOM - len(picture.nodes) + 1, [-math.inf, -math.inf]
    for span in cuts:
        start, end = max(span.start_ms, picture.start_ms), min(span.end_ms, picture.end_ms)
        band[0].extend([start, end, end, start, start, None])
        band[1].extend([low, low, TOP - 0.04, TOP - 0.04, low, None])
        for y in _walls(picture, span.event):
            wall[0].extend([start, end, None])
            wall[1].extend([y, y, None])
        text = f"{'partition' if span.kind == 'Partition' else 'cut'}: {lanes.partition_text(span.event)}"
        row = 0 if free_from[0] <= start else 1
        ms_a_px = 1 / picture.px(1.0)
        free_from[row] = start + (len(text) * theme.CHAR + 10) * ms_a_px
        label.append((start + 4 * ms_a_px, TOP - 0.16 - 0.22 * row, lanes.plain(text)))
    return [
        go.Scatter(x=band[0], y=band[1], mode="lines", fill="toself", fillcolor="rgba(169,86,138,0.10)", line={"width": 0},
                   hoverinfo="skip", name="partition", showlegend=False),
        go.Scatter(x=wall[0], y=wall[1], mode="lines", line={"color": theme.PURPLE, "width": 2, "dash": "dash"},
                   hoverinfo="skip", name="partition", showlegend=False),
        go.Scatter(x=[one[0] for one in label], y=[one[1] for one in label], text=[one[2] for one in label], mode="text",
                   textposition="middle right", textfont={"color": theme.PURPLE, "size": 12}, hoverinfo="skip",
                   name="partition", showlegend=False, yaxis="y2"),
    ]  # fmt: skip


def _walls(picture: Picture, event: Any) -> list[float]:
    """Heights of the walls; none where the groups are not neighbours, as a wall would tell less than the truth."""
    if not hasattr(event, "groups"):
        return []
    group_of = {node: number for number, group in enumerate(event.groups) for node in group}
    order = [group_of.get(node, node) for node in picture.nodes]
    edges = [number for number in range(1, len(order)) if order[number] != order[number - 1]]
    return [0.5 - number for number in edges] if len(edges) + 1 == len(set(order)) else []


# --- layout -----------------------------------------------------------------------------------------


def _layout(figure: go.Figure, picture: Picture, titled: bool) -> go.Figure:
    rows = theme.legend_rows(figure, "legend", picture.width - LEFT_PX - RIGHT_PX)
    below = theme.legend_rows(figure, "legend2", picture.width - LEFT_PX - RIGHT_PX)
    lanes_px = LANE_PX * (len(picture.nodes) - 1 + TOP + BOTTOM)
    top_px = (34 if titled else 10) + ROW_PX * (rows + below)
    figure.update_layout(
        height=round(top_px + lanes_px + BOTTOM_PX),
        margin={"t": top_px, "b": BOTTOM_PX, "l": LEFT_PX, "r": RIGHT_PX},
        barmode="overlay",
        uniformtext={"minsize": 10, "mode": "hide"},
        legend={"y": 1 + (ROW_PX * below + 2) / lanes_px},
        legend2={"orientation": "h", "x": 0, "xanchor": "left", "y": 1 + 2 / lanes_px, "yanchor": "bottom"},
        hovermode="closest",
    )
    figure.update_xaxes(
        range=[picture.start_ms, picture.end_ms], title_text=_time_title(picture), tickformat=","
    )
    figure.update_yaxes(
        range=[1 - len(picture.nodes) - BOTTOM, TOP], tickvals=[picture.y(node) for node in picture.nodes],
        ticktext=[f"<b>{lanes.plain(node)}</b>" for node in picture.nodes], tickfont={"size": 13, "color": theme.INK},
        fixedrange=True, showgrid=False, ticks="", showline=False,
    )  # fmt: skip
    figure.update_layout(
        yaxis2={
            "overlaying": "y",
            "range": [1 - len(picture.nodes) - BOTTOM, TOP],
            "visible": False,
            "fixedrange": True,
        }
    )
    return figure


def _time_title(picture: Picture) -> str:
    drawn = len(picture.flights) + len(picture.routine)
    if drawn == picture.total:
        return "virtual time (ms)"
    window = f"window {picture.start_ms:,.0f}–{picture.end_ms:,.0f} ms"
    return f"virtual time (ms) · <b>showing {drawn:,} of {picture.total:,} messages: {window}</b>"
