"""Closed forms of hashing keys to nodes: how even the shares are, and how many keys move."""

from __future__ import annotations

import math
from typing import Any

from scipy.stats import beta


def check_nodes(nodes: int, name: str = "nodes") -> None:
    """``ValueError`` unless there is at least one node."""
    if nodes < 1 or nodes != int(nodes):
        raise ValueError(f"{name} is {nodes!r}; it takes a whole number of at least 1")


def ring_share(nodes: int, virtual_nodes: int = 1) -> Any:
    """Distribution of one node's share of a hash ring: Beta(v, (n − 1)v), as a frozen ``scipy.stats`` distribution.

    nv points at random cut the circle into arcs that are jointly Dirichlet(1, ..., 1); a node owns v of them. At
    least two nodes (one node owns everything).
    """
    check_nodes(virtual_nodes, "virtual_nodes")
    if nodes < 2:
        raise ValueError(f"nodes is {nodes!r}; the share of a ring varies only with at least 2 nodes")
    return beta(virtual_nodes, (nodes - 1) * virtual_nodes)


def ring_share_deviation(nodes: int, virtual_nodes: int = 1) -> float:
    """Standard deviation of a share over its mean: √((n − 1)/(nv + 1)) (Lamping & Veach 2014, table 1)."""
    check_nodes(nodes)
    check_nodes(virtual_nodes, "virtual_nodes")
    return math.sqrt((nodes - 1) / (nodes * virtual_nodes + 1))


def moved_consistent(before: int, after: int) -> float:
    """Least share of keys that must move between ``before`` and ``after`` equal nodes: |after − before| / larger.

    What a ring, rendezvous and jump hashing reach: 1/(n + 1) when one node joins n, all of it to the new one.
    """
    check_nodes(before, "before")
    check_nodes(after, "after")
    return abs(after - before) / max(before, after)


def moved_modulo(before: int, after: int) -> float:
    """Share of keys that move under ``hash mod n``: 1 − min/lcm; n/(n + 1) when one node joins n."""
    check_nodes(before, "before")
    check_nodes(after, "after")
    return 1.0 - min(before, after) / math.lcm(before, after)


def maglev_entries(nodes: int, size: int = 65537) -> tuple[int, int]:
    """Fewest and most table entries of a node: ⌊M/N⌋ and ⌈M/N⌉, as nodes take turns (Eisenbud et al. 2016, §3.4)."""
    check_nodes(nodes)
    check_nodes(size, "size")
    return size // nodes, -(-size // nodes)


def bounded_capacity(keys: int, nodes: int, bound: float) -> int:
    """Most keys on one node with bounded loads: ⌈c · m/n⌉ for a bound c above 1 (Mirrokni et al., SODA 2018)."""
    check_nodes(nodes)
    if not bound > 1:
        raise ValueError(f"bound is {bound!r}; it takes a number above 1")
    return math.ceil(bound * keys / nodes)
