"""Hashing a key to a node: modulo, consistent hash ring, bounded loads, rendezvous, jump and Maglev.

Keys and nodes are whole numbers or strings. Every placement here is a function of the key's 64-bit hash and of the
set of nodes alone, so that two balancers agree without talking to each other.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from distlib.core.draw import bits, compiled, compiled_allocating, uniform

Key = int | str
Hashes = NDArray[np.uint64]
METHODS = ("modulo", "ring", "rendezvous", "jump", "maglev")
MASK = 2**64 - 1
JUMP_MULTIPLIER, JUMP_ONE, JUMP_SHIFT = np.uint64(2862933555777941757), np.uint64(1), np.uint64(33)


def hash64(key: Key, seed: int = 0) -> int:
    """64-bit hash of a whole number or a string, the same in every process (Python's own ``hash`` is not)."""
    if isinstance(key, int) and not isinstance(key, bool):
        return int(bits(np.uint64(seed & MASK), np.uint64(key & MASK)))
    if isinstance(key, str):
        digest = hashlib.blake2b(key.encode(), digest_size=8, salt=(seed & MASK).to_bytes(8, "big"))
        return int.from_bytes(digest.digest(), "big")
    raise TypeError(f"key is {key!r}; it takes a whole number or a string")


def hash_keys(keys: Iterable[Key], seed: int = 0) -> Hashes:
    """Hashes of many keys as one array."""
    if isinstance(keys, range) and keys.start >= 0 and keys.step == 1:
        return hash_range(np.uint64(seed & MASK), keys.start, len(keys))
    return np.array([hash64(key, seed) for key in keys], np.uint64)


@compiled_allocating
def hash_range(seed: np.uint64, start: int, count: int) -> Hashes:
    """Hashes of the keys ``start``, ``start`` + 1, ..."""
    out = np.empty(count, np.uint64)
    for i in range(count):
        out[i] = bits(seed, np.uint64(start + i))
    return out


def check_nodes(nodes: Sequence[Key]) -> tuple[Key, ...]:
    """The nodes as a tuple; ``ValueError`` when there are none or two have the same name."""
    nodes = tuple(nodes)
    if not nodes:
        raise ValueError("nodes is empty; a key needs at least one node to go to")
    twice = next((node for i, node in enumerate(nodes) if node in nodes[:i]), None) if len(nodes) < 50 else None
    if twice is not None or len(set(nodes)) < len(nodes):
        raise ValueError(
            f"nodes holds {twice if twice is not None else 'a name'!r} twice; each node has a name of its own"
        )
    return nodes


def check_node_weights(nodes: tuple[Key, ...], weights: Sequence[float]) -> NDArray[np.float64]:
    """One positive weight a node (1 when none are given); else ``ValueError``."""
    if not weights:
        return np.ones(len(nodes))
    if len(weights) != len(nodes):
        raise ValueError(f"weights has {len(weights)} values for {len(nodes)} nodes; give one a node")
    for node, weight in zip(nodes, weights, strict=True):
        if not (math.isfinite(weight) and weight > 0):
            raise ValueError(
                f"weight of node {node!r} is {weight!r}; it takes a positive number (leave a node out instead)"
            )
    return np.array(weights, np.float64)


def modulo(key_hash: int, nodes: int) -> int:
    """``hash mod n``: even, but nearly all keys move when n changes."""
    if nodes < 1:
        raise ValueError(f"nodes is {nodes}; it takes a whole number of at least 1")
    return (key_hash & MASK) % nodes


@dataclass(frozen=True)
class Ring:
    """Consistent hashing (Karger et al., STOC 1997): a key belongs to the next virtual node clockwise.

    A node of weight w has w times as many virtual nodes as one of weight 1. ``points`` are the virtual nodes'
    positions in order, as fractions of 2**64; ``owner_at[i]`` is the index in ``nodes`` of the owner of ``points[i]``.
    """

    nodes: tuple[Key, ...]
    virtual_nodes: int = 100
    weights: tuple[float, ...] = ()
    seed: int = 0
    points: Hashes = field(init=False, repr=False, compare=False)
    owner_at: NDArray[np.int32] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        nodes = check_nodes(self.nodes)
        weights = check_node_weights(nodes, self.weights)
        if self.virtual_nodes < 1:
            raise ValueError(f"virtual_nodes is {self.virtual_nodes}; it takes a whole number of at least 1")
        counts = np.maximum(1, np.rint(weights * self.virtual_nodes)).astype(np.int64)
        points = np.concatenate(
            [
                hash_range(np.uint64(hash64(node, self.seed)), 0, count)
                for node, count in zip(nodes, counts, strict=True)
            ]
        )
        owners = np.repeat(np.arange(len(nodes), dtype=np.int32), counts)
        order = np.argsort(points, kind="stable")
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "points", points[order])
        object.__setattr__(self, "owner_at", owners[order])

    def owners(self, hashes: Hashes) -> NDArray[np.int32]:
        """Index in ``nodes`` of the owner of each hash."""
        return self.owner_at[np.searchsorted(self.points, hashes) % self.points.size]

    def owner(self, key: Key) -> Key:
        """The node that owns ``key``."""
        return self.nodes[self.owners(hash_keys([key]))[0]]

    def shares(self) -> NDArray[np.float64]:
        """Fraction of the circle that each node owns; sums to 1."""
        arcs = np.diff(self.points, prepend=self.points[-1:]).astype(np.float64) / 2.0**64  # wraps modulo 2**64
        if self.points.size == 1:
            arcs = np.ones(1)
        return np.bincount(self.owner_at, weights=arcs, minlength=len(self.nodes)).astype(np.float64)

    def orders(self, hashes: Hashes) -> NDArray[np.int32]:
        """For each hash all nodes in clockwise order of first appearance, shape (hashes, nodes)."""
        start = np.searchsorted(self.points, hashes) % self.points.size
        return clockwise_orders(self.owner_at, start, len(self.nodes))

    def bounded(self, hashes: Hashes, bound: float) -> NDArray[np.int32]:
        """Place keys in the given order, each on the first node clockwise that is not full.

        A node is full at ⌈``bound`` · keys / nodes⌉ keys (Mirrokni, Thorup & Zadimoghaddam, SODA 2018).
        """
        if not bound > 1:
            raise ValueError(f"bound is {bound!r}; it takes a number above 1 (1.25: at most 25 % above the mean)")
        capacity = math.ceil(bound * hashes.size / len(self.nodes))
        start = np.searchsorted(self.points, hashes) % self.points.size
        return fill_bounded(self.owner_at, start, len(self.nodes), capacity)


@compiled_allocating
def clockwise_orders(owner_at: NDArray[np.int32], start: NDArray[np.int64], nodes: int) -> NDArray[np.int32]:
    """All nodes in order of their first virtual node from each start on."""
    orders = np.empty((start.size, nodes), np.int32)
    for row in range(start.size):
        met = np.zeros(nodes, np.bool_)
        found, at = 0, start[row]
        while found < nodes:
            owner = owner_at[at]
            if not met[owner]:
                met[owner] = True
                orders[row, found] = owner
                found += 1
            at = (at + 1) % owner_at.size
    return orders


@compiled_allocating
def fill_bounded(owner_at: NDArray[np.int32], start: NDArray[np.int64], nodes: int, capacity: int) -> NDArray[np.int32]:
    """First owner clockwise with room, one key after the other."""
    load = np.zeros(nodes, np.int64)
    placed = np.empty(start.size, np.int32)
    for i in range(start.size):
        at = start[i]
        while load[owner_at[at]] >= capacity:
            at = (at + 1) % owner_at.size
        placed[i] = owner_at[at]
        load[placed[i]] += 1
    return placed


@dataclass(frozen=True)
class Rendezvous:
    """Highest random weight (Thaler & Ravishankar 1998): every node bids for the key, the highest bid wins.

    With u = hash(node, key) uniform on (0, 1), a node of weight w bids −w / ln u, which makes its share exactly
    proportional to w (Schindelhauer & Schomaker, SPAA 2005, logarithmic method).
    """

    nodes: tuple[Key, ...]
    weights: tuple[float, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", check_nodes(self.nodes))
        check_node_weights(self.nodes, self.weights)

    def bids(self, hashes: Hashes) -> NDArray[np.float64]:
        """Every node's bid for every key, shape (hashes, nodes)."""
        seeds = hash_keys(self.nodes, self.seed)
        return node_bids(seeds, check_node_weights(self.nodes, self.weights), hashes)

    def owners(self, hashes: Hashes) -> NDArray[np.int32]:
        """Index in ``nodes`` of the highest bidder for each hash."""
        return self.bids(hashes).argmax(axis=1).astype(np.int32)

    def owner(self, key: Key) -> Key:
        """The node that owns ``key``."""
        return self.nodes[self.owners(hash_keys([key]))[0]]

    def orders(self, hashes: Hashes) -> NDArray[np.int32]:
        """For each hash all nodes from the highest bid down, shape (hashes, nodes)."""
        return np.argsort(-self.bids(hashes), axis=1, kind="stable").astype(np.int32)


@compiled_allocating
def node_bids(seeds: Hashes, weights: NDArray[np.float64], hashes: Hashes) -> NDArray[np.float64]:
    """−w / ln u for every key and node."""
    out = np.empty((hashes.size, seeds.size))
    for i in range(hashes.size):
        for j in range(seeds.size):
            out[i, j] = -weights[j] / math.log(uniform(seeds[j], hashes[i]))
    return out


@compiled
def jump_steps(key: np.uint64, buckets: int) -> int:
    """Lamping & Veach (2014), figure 1: jump from one bucket count at which the key moves to the next."""
    b, j = -1, 0
    while j < buckets:
        b = j
        key = key * JUMP_MULTIPLIER + JUMP_ONE
        j = int((b + 1) * (np.float64(2147483648.0) / np.float64((key >> JUMP_SHIFT) + JUMP_ONE)))
    return b


@compiled_allocating
def jump_owners(hashes: Hashes, buckets: int) -> NDArray[np.int32]:
    """Bucket of each hash."""
    out = np.empty(hashes.size, np.int32)
    for i in range(hashes.size):
        out[i] = jump_steps(hashes[i], buckets)
    return out


def jump(key_hash: int, buckets: int) -> int:
    """Jump consistent hash: the bucket, 0 to ``buckets`` − 1, of a 64-bit key (taken modulo 2**64).

    Needs no table and moves the least possible number of keys, but only the last bucket can go away. Raises
    ``ValueError`` for a number of buckets that does not fit the published function's ``int32_t``.
    """
    if not 1 <= buckets < 2**31:
        raise ValueError(f"buckets is {buckets}; it takes a whole number from 1 to 2**31 - 1")
    return int(jump_steps(np.uint64(key_hash & MASK), buckets))


def is_prime(number: int) -> bool:
    """By trial division."""
    return number > 1 and all(number % divisor for divisor in range(2, math.isqrt(number) + 1))


@dataclass(frozen=True)
class Maglev:
    """Google's lookup table (Eisenbud et al., NSDI 2016, §3.4): nodes take turns to claim slots of a prime-sized table.

    Each node goes through the slots in an order of its own, ``(offset + j · skip) mod size``. ``table[slot]`` is the
    index in ``nodes`` of the slot's owner; ``claims`` lists the slots in the order in which they were claimed, node
    0 first, then node 1 and so on, in turn.
    """

    nodes: tuple[Key, ...]
    size: int = 65537
    seed: int = 0
    table: NDArray[np.int32] = field(init=False, repr=False, compare=False)
    claims: NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        nodes = check_nodes(self.nodes)
        if not is_prime(self.size):
            raise ValueError(f"size is {self.size}; it takes a prime number, so that every skip reaches every slot")
        if self.size < len(nodes):
            raise ValueError(f"size is {self.size} for {len(nodes)} nodes; it takes a table larger than their number")
        offsets, skips = self.orders_of_slots(nodes)
        table, claims = maglev_fill(offsets, skips, self.size)
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "table", table)
        object.__setattr__(self, "claims", claims)

    def orders_of_slots(self, nodes: tuple[Key, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Every node's (offset, skip) from two hashes of its name."""
        offsets = hash_keys(nodes, self.seed) % np.uint64(self.size)
        skips = hash_keys(nodes, self.seed + 1) % np.uint64(max(self.size - 1, 1)) + np.uint64(1)
        return offsets.astype(np.int64), skips.astype(np.int64)

    def owners(self, hashes: Hashes) -> NDArray[np.int32]:
        """Index in ``nodes`` of the owner of each hash."""
        return self.table[hashes % np.uint64(self.size)]

    def owner(self, key: Key) -> Key:
        """The node that owns ``key``."""
        return self.nodes[self.owners(hash_keys([key]))[0]]

    def entries(self) -> NDArray[np.int64]:
        """Slots of each node: ⌊size/nodes⌋ or ⌈size/nodes⌉."""
        return np.bincount(self.table, minlength=len(self.nodes))


@compiled_allocating
def maglev_fill(
    offsets: NDArray[np.int64], skips: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Pseudocode 1 of the Maglev paper."""
    table = np.full(size, -1, np.int32)
    claims = np.empty(size, np.int64)
    slot = offsets.copy()
    filled = 0
    while True:
        for node in range(offsets.size):
            while table[slot[node]] >= 0:
                slot[node] = (slot[node] + skips[node]) % size
            table[slot[node]] = node
            claims[filled] = slot[node]
            filled += 1
            if filled == size:
                return table, claims


def owners(
    method: str, nodes: Sequence[Key], hashes: Hashes, *, virtual_nodes: int = 100, table_size: int = 65537
) -> NDArray[np.int32]:
    """Index in ``nodes`` of the owner of each hash, by one of ``METHODS``."""
    nodes = check_nodes(nodes)
    if method == "modulo":
        return (hashes % np.uint64(len(nodes))).astype(np.int32)
    if method == "ring":
        return Ring(nodes, virtual_nodes).owners(hashes)
    if method == "rendezvous":
        return Rendezvous(nodes).owners(hashes)
    if method == "jump":
        return jump_owners(hashes, len(nodes))
    if method == "maglev":
        return Maglev(nodes, table_size).owners(hashes)
    raise ValueError(f"method is {method!r}; choose one of {', '.join(map(repr, METHODS))}")


@lru_cache(maxsize=16)
def preference_order(method: str, nodes: int, keys: int, virtual_nodes: int = 100) -> NDArray[np.int32]:
    """For keys 0 to ``keys`` − 1 all nodes in the order in which the key would use them, shape (keys, nodes).

    Ring and rendezvous define the whole order; the others define the owner only, and go on to the next number.
    """
    hashes = hash_keys(range(keys))
    if method == "ring":
        return Ring(tuple(range(nodes)), virtual_nodes).orders(hashes)
    if method == "rendezvous":
        return Rendezvous(tuple(range(nodes))).orders(hashes)
    first = owners(method, range(nodes), hashes, virtual_nodes=virtual_nodes)
    return ((first[:, None] + np.arange(nodes, dtype=np.int32)) % nodes).astype(np.int32)
