"""Chapter 03.3, hashing a key to a node: shares of a ring, keys that move, the filling of a Maglev table."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from distlib.balancing import theory
from distlib.balancing.hashing import METHODS, Key, Maglev, Ring, hash_keys, owners
from distlib.core.parameter import Parameters, parameter

MOST_POINTS = 6000
"""Virtual nodes of all nodes together in a picture of a ring that one can still read."""


@dataclass(frozen=True)
class RingParams(Parameters):
    """A consistent hash ring."""

    nodes: int = parameter(5, "nodes", low=2, high=100, help="backends on the ring")
    virtual_nodes: int = parameter(10, "virtual nodes", low=1, high=1000, scale="log", ceiling="drawable",
        help="points a node of weight 1")  # fmt: skip
    keys: int = parameter(10_000, "keys", low=1, high=1_000_000, scale="log", help="placed to count loads")
    bound: float = parameter(0.0, "load bound", choices=(0.0, 1.05, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0),
        help="most keys a node over the mean; 0 for no bound")  # fmt: skip
    weights: tuple[float, ...] = field(default=(), metadata={"help": "one a node; empty: all alike"})
    seed: int = parameter(0, "seed", low=0, high=2**31 - 1, help="another seed, another ring")

    @property
    def drawable(self) -> int:
        """Virtual nodes that a picture of the ring holds, even after one more node has joined."""
        return MOST_POINTS // (self.nodes + 1)


@dataclass(frozen=True, eq=False)
class RingView:
    """A ring to draw. ``arcs`` has the columns start, end (turns of the circle, 0 to 1), node; an arc that passes 0 has
    start > end. ``shares`` has node, share (of the circle), keys. Deviations are relative to the mean share."""

    arcs: pd.DataFrame
    shares: pd.DataFrame
    deviation: float
    expected_deviation: float


def ring_view(params: RingParams = RingParams(), joined: int = 0) -> RingView:
    """Virtual nodes, arcs, shares and loads of one ring, after so many more nodes of weight 1 have ``joined``; if that
    is negative, so many of the last ones have left."""
    nodes = params.nodes + joined
    weights = (params.weights + (1.0,) * nodes)[:nodes] if params.weights else ()
    ring = Ring(range(nodes), params.virtual_nodes, weights, params.seed)
    hashes = hash_keys(range(params.keys))
    placed = ring.bounded(hashes, params.bound) if params.bound else ring.owners(hashes)
    end = ring.points.astype(np.float64) / 2.0**64
    arcs = pd.DataFrame({"start": np.roll(end, 1), "end": end, "node": ring.owner_at})
    share, keys = ring.shares(), np.bincount(placed, minlength=nodes)
    shares = pd.DataFrame({"node": range(nodes), "share": share, "keys": keys})
    expected = theory.ring_share_deviation(nodes, params.virtual_nodes)
    return RingView(arcs, shares, float(share.std() * nodes), expected)


@dataclass(frozen=True)
class MovementParams(Parameters):
    """One node joins, or one leaves."""

    nodes: int = parameter(10, "nodes before", low=2, high=200, help="backends before the change")
    change: str = parameter("join", "change", choices=("join", "leave"), help="a new last node, or the last one gone")
    methods: tuple[str, ...] = parameter(METHODS, "methods", choices=METHODS, several=True, at_least=1,
        help="how to hash")  # fmt: skip
    virtual_nodes: int = parameter(100, "virtual nodes", low=1, high=1000, scale="log",
        help="points a node on the ring")  # fmt: skip
    keys: int = parameter(50_000, "keys", low=100, high=5_000_000, scale="log", help="keys looked at")


def key_movement(params: MovementParams = MovementParams()) -> pd.DataFrame:
    """Columns method, moved, needless (moved between nodes that were there before and after), and least (the share that
    must move): shares of all keys."""
    after = params.nodes + (1 if params.change == "join" else -1)
    hashes = hash_keys(range(params.keys))
    rows = []
    for method in params.methods:
        old = owners(method, range(params.nodes), hashes, virtual_nodes=params.virtual_nodes)
        new = owners(method, range(after), hashes, virtual_nodes=params.virtual_nodes)
        changed = params.nodes if params.change == "join" else after  # the node that came or went
        moved = old != new
        needless = moved & (old != changed) & (new != changed)
        rows.append({"method": method, "moved": moved.mean(), "needless": needless.mean()})
    return pd.DataFrame(rows).assign(least=theory.moved_consistent(params.nodes, after))


@dataclass(frozen=True)
class MaglevParams(Parameters):
    """Filling a Maglev lookup table."""

    nodes: tuple[Key, ...] = field(default=("A", "B", "C"), metadata={"help": "names of the backends"})
    size: int = parameter(13, "table size", low=2, high=655_373,
        help="a prime number; the paper's small table has 65537")  # fmt: skip
    seed: int = parameter(0, "seed", low=0, high=2**31 - 1, help="another seed, other preferences")


def maglev_fill(params: MaglevParams = MaglevParams()) -> pd.DataFrame:
    """Columns turn, node, slot: who claimed which slot, in order. Raises ``ValueError`` for a size that is not
    prime."""
    table = Maglev(params.nodes, params.size, params.seed)
    names = [table.nodes[index] for index in table.table[table.claims]]
    return pd.DataFrame({"turn": range(params.size), "node": names, "slot": table.claims})
