"""Small clusters that commit transactions, for tests; and what was said in them, in lines that people read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distlib.core.node import Node, NodeId
from distlib.core.trace import Trace, kind_of
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Constant
from distlib.sim.network import Network
from distlib.transactions.bank import Work, transfer
from distlib.transactions.invariants import commit_invariants
from distlib.transactions.message import Begin, Told, Vote
from distlib.transactions.two_phase import TwoPhaseCommit, cluster

THREE = ("S1", "S2", "S3")
FOUR = (*THREE, "S4")
TX = "S1.1.1"
TWO = transfer("S2", "S3")


def bank(
    cls: type[Any] = TwoPhaseCommit,
    names: Sequence[NodeId] = THREE,
    work: Work | None = TWO,
    *,
    at: NodeId = "S1",
    faults: Sequence[Any] = (),
    network: Network | None = None,
    seed: int = 1,
    **settings: Any,
) -> Cluster:
    """Nodes under all invariants, of which ``at`` is asked for ``work`` at 0 ms; every message takes 10 ms."""
    made = Cluster(
        cluster(cls, names, **settings), network or Network(Constant(10)), seed=seed, faults=faults,
        invariants=commit_invariants(),
    )  # fmt: skip
    if work is not None:
        made.post(0.0, at, Begin(work))
    return made


def flow(trace: Trace) -> list[str]:
    """The messages between nodes, in order of delivery: ``20 S2 → S1 Vote yes``."""
    lines = []
    for due_ms, number, sender, receiver, message, _ in sorted(trace.sent, key=lambda one: one[:2]):
        if sender in trace.nodes:
            answer = f" {message.answer.value}" if isinstance(message, Vote) else ""
            fate = f" ({trace.fates[number]})" if number in trace.fates else ""
            lines.append(f"{due_ms:g} {sender} → {receiver} {kind_of(message)}{answer}{fate}")
    return lines


def decisions(running: Cluster, transaction: str = TX) -> dict[NodeId, bool | None]:
    """What each node carried out, True for a commit; None: nothing."""
    found = {}
    for name, node in running.nodes.items():
        known = [commit for one, commit in getattr(node, "outcomes", ()) if one == transaction]
        found[name] = known[0] if known else None
    return found


def told(trace: Trace) -> list[tuple[NodeId | None, float, bool]]:
    """Who told its client what, when."""
    return [(one.node, one.time_ms, one.event.commit) for one in trace.outputs_of(Told)]


def money(running: Cluster) -> int:
    """All balances together."""
    return sum(sum(getattr(node, "balances", {}).values()) for node in running.nodes.values())


def busy(running: Cluster) -> list[str]:
    """Nodes that have a transaction which is not over."""
    return [name for name, node in running.nodes.items() if getattr(node, "open_here", tuple)()]


def started(cls: type[Any] = TwoPhaseCommit, name: NodeId = "S1", **settings: Any) -> Any:
    """One node, started."""
    node = cls(name, **settings)
    node.start()
    node.take_effects()
    return node


def sent(node: Node) -> list[tuple[NodeId, Any]]:
    """What ``node`` wants sent since the last look."""
    return [(one.to, one.message) for one in node.take_effects() if hasattr(one, "to")]
