"""A tree of branches under a space-time diagram, on the same axis of steps: going back and choosing differently.

``step_diagram`` draws a ``Scene``: the space-time diagram of one branch, in which step k happens at time k,
with what belongs to stepping by hand: what is in flight, a veil over what has not happened yet, and the
tree of all branches below.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any, NamedTuple

import plotly.graph_objects as go

from distlib.core.node import NodeId
from distlib.core.trace import Trace
from distlib.figures import lanes, theme
from distlib.figures.diagram import HALF, Diagram, diagram_of, lay_out
from distlib.figures.lane_bars import role_bars
from distlib.figures.looks import RoleStyle, message_styles, role_styles
from distlib.figures.marks import fault_marks, happening_ticks, partition_bands, violation_lines
from distlib.figures.message_lines import duplicate_marks, message_lines, undelivered_crosses
from distlib.figures.shapes import cut, lines, plain, transposed

TREE_PX, GAP_PX = 104, 26
"""Height of the tree, and of the gap above it."""
CLICKABLE = ("branches", "this branch", "fork or end", "broken here")
"""Names of the traces whose ``customdata`` are numbers of states."""
MOST = 2000
"""More messages than a window of steps can hold."""
_TIME = re.compile(r"(after )?([\d,]+)\.\d\d ms")


class TreeNode(NamedTuple):
    """A state in the tree: its number, its parent's (None at the root), its depth, words, and whether it is broken."""

    number: int
    parent: int | None
    depth: int
    label: str
    broken: bool = False


class InFlight(NamedTuple):
    """A message in flight: who sent it, to whom, at which step, what it says, and whether it is held up."""

    sender: NodeId
    receiver: NodeId
    sent_at: int
    label: str
    held: bool = False


def rows_of(nodes: Sequence[TreeNode]) -> dict[int, int]:
    """The row of each state, from 0 at the top: a first child keeps its parent's row, others take the first free one.
    In ``nodes``, parents come before their children. No two branches overlap in a row."""
    children: dict[int | None, list[TreeNode]] = {}
    for node in nodes:
        children.setdefault(node.parent, []).append(node)
    ends: dict[int, int] = {}  # of the chain of first children that begins with a state: its last depth
    for node in reversed(nodes):
        first = children.get(node.number)
        ends[node.number] = ends[first[0].number] if first else node.depth
    rows: dict[int, int] = {}
    taken: list[list[tuple[int, int]]] = []
    for node in nodes:
        siblings = children[node.parent]
        if node.parent is not None and node is siblings[0]:
            rows[node.number] = rows[node.parent]
            continue
        span, row = (node.depth - 1, ends[node.number]), 0 if node.parent is None else rows[node.parent] + 1
        while row < len(taken) and any(span[0] <= high and low <= span[1] for low, high in taken[row]):
            row += 1
        while len(taken) <= row:
            taken.append([])
        taken[row].append(span)
        rows[node.number] = row
    return rows


@dataclass(frozen=True)
class Scene:
    """What ``step_diagram`` draws: the ``trace`` of the current branch in steps, lasting until the window's end; all
    states of the tree, parents before children; the numbers of those on the branch, from the root on; what is in
    flight; the first and last step shown."""

    trace: Trace
    nodes: Sequence[TreeNode]
    here: Sequence[int]
    in_flight: Sequence[InFlight]
    window: tuple[float, float]

    @cached_property
    def known(self) -> dict[int, TreeNode]:
        """The states by number."""
        return {node.number: node for node in self.nodes}

    @cached_property
    def rows(self) -> dict[int, int]:
        """See ``rows_of``."""
        return rows_of(self.nodes)

    @cached_property
    def now(self) -> int:
        """The current step."""
        return self.known[self.here[-1]].depth

    @cached_property
    def picture(self) -> Diagram:
        """What the space-time diagram shows."""
        start, end = self.window
        return diagram_of(self.trace, start_ms=start, end_ms=end, fold_routine=False, max_messages=MOST)

    @cached_property
    def roles(self) -> dict[str, RoleStyle]:
        """The roles in the trace, and how they look."""
        views = [seen.view for seen in self.trace.states]
        return role_styles(views, map(lanes.role_of, views))


def step_diagram(scene: Scene) -> go.Figure:
    """The whole figure. Raises ``ValueError`` when the branch names a state that is not in the tree, or is empty."""
    missing = [number for number in scene.here if number not in scene.known]
    if missing or not scene.here:
        raise ValueError(f"here names the states {missing or 'of no path'}; the tree has {len(scene.nodes)} states")
    picture = scene.picture
    figure = theme.figure()
    figure.add_traces([
        *role_bars(picture, lanes.segments(scene.trace, picture.nodes), scene.roles),
        *message_lines(picture, message_styles(copy[4] for copy in scene.trace.sent)),
        undelivered_crosses(picture), duplicate_marks(picture), happening_ticks(picture), *_tree(scene), _veil(scene),
        *partition_bands(picture), fault_marks(picture), violation_lines(picture), _in_flight(scene), _position(scene),
    ])  # fmt: skip
    _say_steps(figure.data)
    lay_out(figure, picture)
    _make_room(figure, scene.window, max(scene.rows.values()))
    return figure


def _say_steps(traces: Sequence[Any]) -> None:
    """Say *step 3* instead of *3.00 ms* in every hover text."""
    for trace in traces:
        if trace.hovertext is not None and any(" ms" in text for text in trace.hovertext):
            trace.hovertext = [_in_steps(text) for text in trace.hovertext]


def _in_steps(text: str) -> str:
    if " ms" not in text:
        return text
    return _TIME.sub(lambda found: f"after {found[2]} steps" if found[1] else f"step {found[2]}", text)


def _veil(scene: Scene) -> go.Scatter:
    """What has not happened yet is pale."""
    low, high, left, right = 0.5 - len(scene.trace.nodes), 0.5, scene.now + 0.3, scene.window[1] + 1
    return go.Scatter(
        x=[left, right, right, left, left], y=[low, low, high, high, low],
        mode="lines", fill="toself", fillcolor="rgba(255,255,255,0.75)", line={"width": 0}, yaxis="y2",
        hoverinfo="skip", name="not yet", showlegend=False,
    )  # fmt: skip


def _in_flight(scene: Scene) -> go.Scatter:
    """Short dotted lines that leave the sender's lane towards the receiver: what is in flight."""
    paths, said = [], []
    nodes, (low, high) = scene.trace.nodes, scene.window
    for one in scene.in_flight:
        if one.sender not in nodes or one.sent_at < low:
            continue
        origin, to = scene.picture.y(one.sender), scene.picture.y(one.receiver)
        down = 1.0 if to < origin else -1.0
        first = origin - down * HALF
        reach = 0.2 + 0.06 * min(abs(to - origin), 3)
        paths.append([(one.sent_at, first), (one.sent_at + (high - low) / 70, round(first - down * reach, 3))])
        held = " (held up)" if one.held else ""
        said.append(f"<b>in flight</b>{held}  {plain(one.label)}<br>sent step {one.sent_at}")
    line = {"color": theme.SOFT, "width": 1.8, "dash": "dot"}
    return lines(paths, said, name="in flight", showlegend=True, legend="legend2", line=line)


def _points(chosen: Sequence[TreeNode | None], rows: dict[int, int], **options: Any) -> go.Scatter:
    places = [
        (one.depth, -rows[one.number], one.number, _said(one)) if one else (None, None, None, "") for one in chosen
    ]
    x, y, numbers, said = transposed(places, 4)
    shown = {"customdata": numbers, "hovertext": said, "hoverinfo": "text", "yaxis": "y3", "showlegend": False}
    return go.Scatter(x=x, y=y, **shown, **options)


def _position(scene: Scene) -> go.Scatter:
    """Where we are in the tree."""
    here = [scene.known[scene.here[-1]]]
    marker = {"size": 15, "color": theme.BLUE, "line": {"width": 2, "color": theme.PAPER}}
    return _points(here, scene.rows, mode="markers", name="you are here", marker=marker)


def _tree(scene: Scene) -> list[go.Scatter]:
    """The tree: edges to its states, our branch, forks and ends, broken states."""
    low, high = scene.window
    known, rows = scene.known, scene.rows
    shown = [node for node in scene.nodes if low - 1 <= node.depth <= high]
    children = Counter(node.parent for node in scene.nodes)
    inside = {node.number for node in shown}
    mine = [known[number] for number in scene.here if number in inside]
    if mine and mine[0].parent in known:
        mine.insert(0, known[mine[0].parent])
    broken = [node for node in shown if node.broken]
    knots = [node for node in shown if children[node.number] != 1 and not node.broken]
    return [
        _points(_chains(shown, known), rows, mode="lines", name=CLICKABLE[0],
                line={"color": theme.FAINT, "width": 2.5}),
        _points(mine, rows, mode="lines", name=CLICKABLE[1], line={"color": theme.BLUE, "width": 4}),
        _points(knots, rows, mode="markers", name=CLICKABLE[2],
                marker={"size": 9, "color": theme.PAPER, "line": {"width": 2, "color": theme.SOFT}}),
        _points(broken, rows, mode="text", name=CLICKABLE[3], text=["<b>✗</b>"] * len(broken),
                textfont={"size": 17, "color": theme.ALARM}),
    ]  # fmt: skip


def _chains(shown: Sequence[TreeNode], known: dict[int, TreeNode]) -> list[TreeNode | None]:
    """All edges as chains of states with gaps between; each edge once."""
    following: dict[int | None, list[TreeNode]] = {}
    for node in shown:
        following.setdefault(node.parent, []).append(node)
    inside = {node.number for node in shown}
    found: list[TreeNode | None] = []
    for node in shown:
        siblings = following[node.parent]
        if node.parent in inside and node is siblings[0]:
            continue  # the chain that its parent is on goes on through it
        if node.parent is not None:
            found.append(known[node.parent])
        one: TreeNode | None = node
        while one is not None:
            found.append(one)
            one = next(iter(following.get(one.number, ())), None)
        found.append(None)
    return found


def _said(node: TreeNode) -> str:
    return f"<b>step {node.depth}</b>  {escape(cut(node.label, 90), quote=False)}<br>click to go there"


def _make_room(figure: go.Figure, window: tuple[float, float], deepest: int) -> None:
    """Make room for the tree below the lanes; all that stands in fractions of the height moves with it."""
    layout = figure.layout
    old = layout.height - layout.margin.t - layout.margin.b
    new = old + TREE_PX + GAP_PX
    lanes_from = (TREE_PX + GAP_PX) / new
    for legend in (layout.legend, layout.legend2):
        legend.y = 1 + (legend.y - 1) * old / new
    layout.height += TREE_PX + GAP_PX
    layout.yaxis.domain = layout.yaxis2.domain = [lanes_from, 1]
    room = max(deepest, 1)
    layout.yaxis3 = {
        **theme.ROWS, "domain": [0, TREE_PX / new], "range": [-room - 0.5, 0.5], "zeroline": False, "anchor": "x",
        "tickvals": [-room / 2], "ticktext": ["<b>branches</b>"], "tickangle": -90,
        "tickfont": {"size": 11, "color": theme.SOFT},
    }  # fmt: skip
    layout.xaxis.update(anchor="y3", range=list(window), tickformat=",d", title_text="step")
