"""The panel of the Step lab: what may happen next, and what the cluster is like, as one widget with one trait: one
message to the browser a click, however many events are pending."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from distlib.check.cluster.world import Deliver
from distlib.core.fault import Link
from distlib.core.node import NodeId
from distlib.core.trace import describe, kind_of
from distlib.figures import lanes
from distlib.figures.looks import role_style
from distlib.workbench.step.cluster import ClusterState, Tree

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


def content_of(tree: Tree, state: ClusterState) -> dict[str, Any]:
    """What the panel shows of ``state``."""
    broken = state.broken
    ended = f"{broken.invariant} is broken: this branch ends here. Go back, undo, or choose another." if broken else ""
    messages = [
        {
            "id": str(copy.number),
            "link": f"{copy.sender} → {copy.receiver}",
            "kind": kind_of(copy.message),
            "rest": describe(copy.message).removeprefix(kind_of(copy.message)).strip(),
            "held": state.holds_up(copy.sender, copy.receiver),
            "fresh": copy.sent_at == state.depth and state.depth > 0,
        }
        for copy in state.in_flight[:ROWS]
    ]
    timers: list[dict[str, Any]] = [
        {"id": str(number), "link": one.node, "kind": f"{one.name} timeout",
         "rest": "" if one.key is None else str(one.key), "title": "let this timer fire"}
        for number, one in enumerate(tree.timers(state))
    ]  # fmt: skip
    requests: list[dict[str, Any]] = [
        {"id": str(number), "link": f"→ {one.node}", "kind": "", "rest": _asked(one.message), "title": str(one)}
        for number, one in enumerate(tree.requests(state))
    ]
    for one in (timers or requests)[:1]:
        one["first"] = state.parent is None  # something to begin with
    return {
        "where": f"Step {state.depth}", "last": "" if state.parent is None else f"after: {state.text}",
        "state": state.number, "in_flight": len(state.in_flight), "more": max(0, len(state.in_flight) - ROWS),
        "messages": messages, "timers": timers, "requests": requests, "nodes": _nodes(state),
        "links": _links(tree.ids, state.partitioned), "ended": ended,
        "verdicts": [
            {"name": name, "holds": holds, "witness": witness} for name, holds, witness in tree.verdicts(state)
        ],
    }  # fmt: skip


def _nodes(state: ClusterState) -> list[dict[str, Any]]:
    step = state.step
    moved = step.receiver if isinstance(step, Deliver) else getattr(step, "node", None)
    before = state.parent or state
    rows = []
    for local, earlier in zip(state.world.nodes, before.world.nodes, strict=True):
        up = local.id not in state.down
        fields = fields_of(local.node, durable=not up)
        old = dict(fields_of(earlier.node, durable=not up))
        view = local.view if up else None
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


def _links(ids: tuple[NodeId, ...], partitioned: frozenset[Link]) -> list[dict[str, Any]]:
    return [
        {"id": f"{one}|{other}", "text": f"{one}–{other}",
         "partitioned": bool({(one, other), (other, one)} & partitioned)}
        for one, other in combinations(ids, 2)
    ]  # fmt: skip
