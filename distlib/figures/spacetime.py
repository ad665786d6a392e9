"""The space-time diagram (Lamport 1978): one lane a node, time to the right, messages as slanted lines.

Its traces keep number and order for the same ``kinds`` and ``roles``, so that zoom and hidden traces stay; all is
drawn as traces, nothing as layout shapes. Routine messages lie on the axis y, lanes on y2 above it, and all other
messages over both (a ``zorder`` would do the same, but makes plotly's animations blink).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import plotly.graph_objects as go

from distlib.core.node import NodeId
from distlib.core.trace import Trace
from distlib.figures import lanes, theme
from distlib.figures.diagram import Diagram, diagram_of, lay_out
from distlib.figures.lane_bars import paused_bars, role_bars
from distlib.figures.looks import message_styles, role_styles
from distlib.figures.marks import fault_marks, happening_ticks, partition_bands, violation_lines
from distlib.figures.message_lines import duplicate_marks, message_lines, routine_lines, undelivered_crosses


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
    width: int = theme.WIDTH,
) -> go.Figure:
    """Draw ``trace`` from ``start_ms`` to ``end_ms`` (default: all of it).

    At most ``max_messages`` messages are drawn; when there are more, the window ends earlier and says so. With
    ``fold_routine``, heartbeats and such are thin and grey, or one tick a round where they would not fit. ``kinds`` and
    ``roles`` fix which traces exist, in which order (default: those of this run); all others share the trace *other*.
    Raises ``ValueError`` for a reversed or empty window, an unknown node, or ``max_messages`` below 1.
    """
    picture = diagram_of(
        trace, start_ms=start_ms, end_ms=end_ms, nodes=nodes, fold_routine=fold_routine, max_messages=max_messages,
        width=width,
    )  # fmt: skip
    return draw(picture, fold_routine, kinds, roles)


def draw(
    picture: Diagram, fold_routine: bool = True, kinds: Sequence[str] | None = None, roles: Sequence[str] | None = None
) -> go.Figure:
    """The space-time diagram of what ``picture`` has chosen."""
    messages = [copy[4] for copy in picture.trace.sent]
    if kinds is None and fold_routine:
        messages = [one for one in messages if not getattr(one, "routine", False)]
    parts = lanes.segments(picture.trace, picture.nodes)
    views = [seen.view for seen in picture.trace.states]
    figure = theme.figure(width=picture.width)
    figure.add_traces([
        *partition_bands(picture),
        routine_lines(picture),
        *role_bars(picture, parts, role_styles(views, [part.role for part in parts], roles)),
        paused_bars(picture),
        *message_lines(picture, message_styles(messages, kinds)),
        undelivered_crosses(picture),
        duplicate_marks(picture),
        happening_ticks(picture),
        fault_marks(picture),
        violation_lines(picture),
    ])  # fmt: skip
    lay_out(figure, picture)
    return figure
