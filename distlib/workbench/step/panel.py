"""The panel of the Step lab: what may happen next, and what the cluster is like, as one widget with one trait.

One message to the browser a click, however many events are pending: a widget for each would take longer than the step.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from distlib.core.trace import describe, kind_of
from distlib.figures import lanes
from distlib.figures.looks import role_style
from distlib.workbench.step.cluster import StepCluster, concerned
from distlib.workbench.step.tree import State

HERE = Path(__file__).parent
ROWS = 80
"""So many messages are listed; those behind them come up as the first are delivered."""
LONG = 110
HIDDEN = ("role", "servers", "base_index")
"""Fields of a view that the panel shows in another way, or that never change."""


class Panel(anywidget.AnyWidget):
    """Draws ``content_of`` a state; calls ``pressed(act, id)`` for each button."""

    _esm = (HERE / "panel.js").read_text(encoding="utf-8")
    _css = (HERE / "panel.css").read_text(encoding="utf-8")
    content = traitlets.Dict().tag(sync=True)

    def __init__(self, content: dict[str, Any], pressed: Callable[[str, str], None]) -> None:
        super().__init__(content=content)
        self.on_msg(lambda _widget, data, _buffers: pressed(str(data.get("act")), str(data.get("id"))))


def content_of(cluster: StepCluster, state: State) -> dict[str, Any]:
    """What the panel shows of ``state``."""
    moment, broken = state.moment, state.broken
    ended = f"{broken.invariant} is broken: this branch ends here. Go back, undo, or choose another." if broken else ""
    messages = [
        {
            "id": str(copy.number),
            "link": f"{copy.sender} → {copy.receiver}",
            "kind": kind_of(copy.message),
            "rest": _words(copy.message),
            "held": moment.holds_up(copy.sender, copy.receiver),
            "fresh": copy.sent_at == state.depth and state.depth > 0,
        }
        for copy in state.flying[:ROWS]
    ]
    timers = [
        {"id": f"{one.node}|{number}", "link": one.node, "kind": f"{one.name} timeout",
         "rest": "" if one.key is None else str(one.key), "title": "let this timer fire"}
        for number, one in enumerate(cluster.timers(moment))
    ]  # fmt: skip
    requests = [
        {"id": str(number), "link": f"→ {one.node}", "kind": "", "rest": _asked(one.message), "title": str(one)}
        for number, one in enumerate(cluster.requests(moment))
    ]
    return {
        "where": f"Step {state.depth}", "last": "" if state.parent is None else f"after: {state.text}",
        "state": state.number, "flying": len(state.flying), "more": max(0, len(state.flying) - ROWS),
        "messages": messages, "timers": timers, "requests": requests, "nodes": _nodes(cluster, state),
        "links": _links(cluster, state), "verdicts": verdicts_of(cluster, state),
        "ended": ended,
    }  # fmt: skip


def verdicts_of(cluster: StepCluster, state: State) -> list[dict[str, Any]]:
    """Each invariant in ``state``: name, whether it holds, witness."""
    before = state.parent or state
    found = cluster.truths(before.moment.world, state.moment.world, concerned(state.step))
    return [{"name": name, "holds": holds, "witness": witness} for name, holds, witness in found]


def _nodes(cluster: StepCluster, state: State) -> list[dict[str, Any]]:
    moved = concerned(state.step) or getattr(state.step, "node", None)
    before = state.parent or state
    rows = []
    for local, earlier in zip(state.moment.world.nodes, before.moment.world.nodes, strict=True):
        up = local.id not in state.moment.down
        fields = fields_of(local.node, durable=not up)
        old = dict(fields_of(earlier.node, durable=not up))
        view = local.node.view() if up else None
        role = lanes.role_of(view)
        style = role_style(role, view)
        rows.append({
            "name": local.id, "up": up, "role": role, "fill": style.fill, "ink": style.text, "moved": local.id == moved,
            "fields": [(name, value, old.get(name) != value) for name, value in fields],
        })  # fmt: skip
    return rows


def fields_of(node: Any, *, durable: bool = False) -> list[tuple[str, str]]:
    """What a node shows, as pairs of a name and words; what is empty is left out. ``durable``: only what is on disk."""
    view = node.view()
    if durable:
        pairs = [(name, getattr(node, name)) for name in node.durable_names()]
    elif view is None:
        pairs = [(name, getattr(node, name)) for name in node.state_names()]
    else:
        pairs = [(name, getattr(view, name)) for name in view._fields if name not in HIDDEN]
    return [(name.replace("_", " "), _value(value)) for name, value in pairs if value not in (None, (), "", [], {})]


def _value(value: Any) -> str:
    words = str(value) if "__str__" in type(value).__dict__ else describe(value)
    return words if len(words) <= LONG else f"{words[: LONG - 1]}…"


def _asked(message: Any) -> str:
    """What a client wants, in short: the command or the value, where there is one."""
    wanted = getattr(message, "command", getattr(message, "value", None))
    return describe(message) if wanted is None else str(wanted)


def _words(message: Any) -> str:
    return describe(message).removeprefix(kind_of(message)).strip()


def _links(cluster: StepCluster, state: State) -> list[dict[str, Any]]:
    down = state.moment.partitioned
    pairs = [(one, other) for i, one in enumerate(cluster.ids) for other in cluster.ids[i + 1 :]]
    return [
        {"id": f"{one}|{other}", "text": f"{one}–{other}", "partitioned": bool({(one, other), (other, one)} & down)}
        for one, other in pairs
    ]
