"""What a ``ClusterModel`` is given, checked: nodes, requests, links, budgets. Each error names the parameter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from distlib.core import require
from distlib.core.fault import Link
from distlib.core.node import Node, NodeId, check_view


def made_nodes(make_nodes: Callable[[], Iterable[Node]]) -> dict[NodeId, Node]:
    """The nodes by their ids. Raises TypeError or ValueError when ``make_nodes`` makes no cluster."""
    if not callable(make_nodes):
        raise TypeError(f"make_nodes is {make_nodes!r}; it takes a function without arguments that returns the nodes")
    wanted = "a node (distlib.core.node.Node)"
    nodes = [require.instance("what make_nodes() returned", node, Node, wanted) for node in make_nodes()]
    made = {node.id: node for node in nodes}
    for node in nodes:
        check_view(node)
    if not nodes or len(made) < len(nodes):
        raise ValueError(f"make_nodes() returned the nodes {[node.id for node in nodes]}; "
                         "a cluster takes at least one, each with an id of its own")  # fmt: skip
    return made


def check_timers(timeouts: Mapping[str, int], made: Mapping[NodeId, Node]) -> None:
    """Raises ValueError for a budget of a timer that no node has, and that would never be spent."""
    for key in timeouts:
        name = key.rpartition(".")[2]
        if name in ("*", *made) or any(
            hasattr(node, f"on_{name}_timeout") or type(node).timeout is not Node.timeout for node in made.values()
        ):
            continue
        classes = ", ".join(dict.fromkeys(type(node).__name__ for node in made.values()))
        raise ValueError(f"timeouts names {key!r}, but no class of {classes} has a method on_{name}_timeout")


def check_requests(
    requests: Sequence[tuple[NodeId | None, Any]], ids: tuple[NodeId, ...]
) -> dict[tuple[NodeId | None, Any], int]:
    """How often each request comes. Raises ValueError for what is no pair of a node (or None) and a message."""
    for number, pair in enumerate(requests):
        if not (isinstance(pair, tuple) and len(pair) == 2 and (pair[0] is None or pair[0] in ids)):
            raise ValueError(f"requests[{number}] is {pair!r}; it takes a pair (node, message), where node is "
                             f"None for any, or one of {', '.join(ids)}")  # fmt: skip
        if pair[0] is not None and (None, pair[1]) in requests:
            raise ValueError(f"requests[{number}] asks {pair[0]} for what another one may ask of any node")
    return Counter(requests)


def check_links(links: Iterable[Link], ids: tuple[NodeId, ...]) -> frozenset[Link]:
    """The links that are partitioned. Raises ValueError for what is no pair of nodes."""
    partitioned = frozenset(links)
    for link in partitioned:
        if not (isinstance(link, tuple) and len(link) == 2 and set(link) <= set(ids)):
            raise ValueError(f"partitioned holds {link!r}; it takes pairs (sender, receiver) of {', '.join(ids)}")
    return partitioned


def budget_of(name: str, given: int | Mapping[str, int], allowed: Iterable[str] | None) -> dict[str, int]:
    """A budget as a mapping; a number counts for all (``"*"``). Raises TypeError or ValueError, naming the
    parameter."""
    if isinstance(given, int):
        given = {"*": given}
    require.instance(name, given, Mapping, "a whole number, or a mapping to whole numbers")
    for key, count in given.items():
        require.whole(name if key == "*" else f"{name}[{key!r}]", count, 0)
        if allowed is not None and key != "*" and key not in allowed:
            raise ValueError(f"{name} names {key!r}; it takes {', '.join(allowed)}")
    return dict(given)
