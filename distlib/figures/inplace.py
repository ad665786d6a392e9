"""Show a new figure in a FigureWidget: in place where the traces are the same, at half the cost of a replacement."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

CLEARED = ("text", "hovertext", "customdata")
"""Arrays that would stay behind when a new trace lacks them."""


def update(widget: go.FigureWidget, new: go.Figure) -> bool:
    """Show ``new`` in ``widget``; True if it was done in place, False if the whole figure was replaced.

    In place means: same number of traces, same types in the same order. Only what differs is sent to the browser,
    in one message. Works for a plain ``go.Figure`` as well, so that labs run without a screen.
    Raises ``ValueError`` for a figure with frames, as widgets cannot play them.
    """
    if new.frames:
        raise ValueError(
            f"the new figure has {len(new.frames)} frames, and a FigureWidget shows none; display the figure itself "
            "in a cell of its own, or write it with save_html()"
        )
    if _shape(widget) != _shape(new):
        widget.update(new.to_dict(), overwrite=True)
        return False
    with widget.batch_update():
        for old_trace, new_trace in zip(widget.data, new.data, strict=True):
            changes = _changes(old_trace.to_plotly_json(), new_trace.to_plotly_json())
            if changes:
                old_trace.update(changes)
        changes = _changes(widget.layout.to_plotly_json(), new.layout.to_plotly_json())
        changes.pop("template", None)
        if changes:
            widget.layout.update(changes)
    return True


def _shape(figure: go.Figure) -> list[str]:
    return [trace.type for trace in figure.data]


def _changes(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """What must be set to turn ``old`` into ``new``: changed values, and None for arrays that are gone."""
    gone = {name: None for name in CLEARED if name in old and name not in new}
    changed: dict[str, Any] = {}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            deeper = _changes(before, value)
            if deeper:
                changed[name] = deeper
        elif not _same(before, value):
            changed[name] = value
    return {**changed, **gone}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return list(one) == list(other)
    try:
        return bool(one == other)
    except ValueError:  # arrays of numbers
        return False
