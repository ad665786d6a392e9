"""Hashing a key to a node: modulo, consistent hash ring, bounded loads, rendezvous, jump and Maglev.

Keys and nodes are whole numbers or strings. Every placement here is a function of the key's 64-bit hash and of the
set of nodes alone, so that two balancers agree without talking to each other.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from distlib.core import require
from distlib.core.draw import bits, compiled, compiled_allocating, uniform
from distlib.core.exact import rounded_up
from distlib.sim.service.policy import WEIGHTS

Key = int | str
Hashes = NDArray[np.uint64]
METHODS = ("modulo", "ring", "rendezvous", "jump", "maglev")
MASK = 2**64 - 1
MOST_POINTS, MOST_PLACES = 10_000_000, 50_000_000  # of a ring, of all preference orders together
JUMP_MULTIPLIER, JUMP_ONE, JUMP_SHIFT = np.uint64(2862933555777941757), np.uint64(1), np.uint64(33)


def hash64(key: Key, seed: int = 0) -> int:
    """64-bit hash of a whole number or a string, the same in every process (Python's own ``hash`` is not)."""
    if isinstance(key, bool) or not isinstance(key, (int, str)):
        raise TypeError(f"key is {key!r}; it takes a whole number or a string")
    if isinstance(key, int) and 0 <= key <= MASK:
        return int(bits(np.uint64(seed & MASK), np.uint64(key)))
    person = b"" if isinstance(key, str) else b"number"  # -1 is neither 2**64 - 1 nor "-1"
    salt = (seed & MASK).to_bytes(8, "big")
    digest = hashlib.blake2b(str(key).encode(), digest_size=8, salt=salt, person=person)
    return int.from_bytes(digest.digest(), "big")


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
    twice = next((node for node, times in Counter(nodes).items() if times > 1), None)
    if twice is not None:
        raise ValueError(f"nodes holds {twice!r} twice; each node has a name of its own")
    return nodes


def by_name(nodes: Sequence[Key]) -> NDArray[np.int64]:
    """Indices of the nodes in order of their names, numbers first: an order that the set of nodes fixes."""
    return np.array(sorted(range(len(nodes)), key=lambda at: (isinstance(nodes[at], str), nodes[at])), np.int64)


class Ring:
    """Consistent hashing (Karger et al., STOC 1997): a key belongs to the next virtual node clockwise.

    A node of weight w has w times as many virtual nodes as one of weight 1, which is what all have when no weights are
    given. ``points`` are the virtual nodes' positions in order, as fractions of 2**64; ``owner_at[i]`` is the index in
    ``nodes`` of the owner of ``points[i]``.
    """

    def __init__(
        self, nodes: Sequence[Key], virtual_nodes: int = 100, weights: Sequence[float] = (), seed: int = 0
    ) -> None:
        self.nodes = check_nodes(nodes)
        require.whole("virtual_nodes", virtual_nodes, 1)
        if weights and len(weights) != len(self.nodes):
            raise ValueError(f"weights has {len(weights)} values for {len(self.nodes)} nodes; give one a node")
        for node, weight in zip(self.nodes, weights, strict=False):
            require.number(f"weight of node {node!r}", weight, *WEIGHTS)
        wanted = np.array(weights or (1.0,) * len(self.nodes)) * virtual_nodes
        if wanted.sum() > MOST_POINTS:
            raise ValueError(
                f"weights times virtual_nodes make {wanted.sum():,.0f} points; {MOST_POINTS:,} are the most"
            )
        named = by_name(self.nodes)
        counts = np.maximum(1, np.rint(wanted)).astype(np.int64)[named]
        seeds = hash_keys(self.nodes, seed)[named]
        points = np.concatenate([hash_range(one, 0, count) for one, count in zip(seeds, counts, strict=True)])
        order = np.argsort(points, kind="stable")
        self.points = points[order]
        self.owner_at = np.repeat(named.astype(np.int32), counts)[order]

    def owners(self, hashes: Hashes) -> NDArray[np.int32]:
        """Index in ``nodes`` of the owner of each hash."""
        return self.owner_at[np.searchsorted(self.points, hashes) % self.points.size]

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
        """Place keys in the given order, each on the first node clockwise that is not full. A node is full at
        ⌈``bound`` · keys / nodes⌉ keys (Mirrokni, Thorup & Zadimoghaddam, SODA 2018). A key that occurs twice counts
        twice, and may go to two nodes."""
        capacity = rounded_up(require.above("bound", bound, 1), hashes.size, len(self.nodes))
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


@compiled_allocating
def rendezvous_owners(seeds: Hashes, hashes: Hashes) -> NDArray[np.int32]:
    """The highest bidder for every key; the first of several."""
    out = np.empty(hashes.size, np.int32)
    for i in range(hashes.size):
        highest = -1.0
        for j in range(seeds.size):
            bid = uniform(seeds[j], hashes[i])
            if bid > highest:
                highest, out[i] = bid, j
    return out


@compiled_allocating
def rendezvous_bids(seeds: Hashes, hashes: Hashes) -> NDArray[np.float64]:
    """Every node's bid for every key, shape (hashes, nodes): a number from 0 to 1 that node and key give together. The
    highest bid wins (*highest random weight*, Thaler & Ravishankar 1998)."""
    out = np.empty((hashes.size, seeds.size))
    for i in range(hashes.size):
        for j in range(seeds.size):
            out[i, j] = uniform(seeds[j], hashes[i])
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


def is_prime(number: int) -> bool:
    """By trial division."""
    return number > 1 and all(number % divisor for divisor in range(2, math.isqrt(number) + 1))


class Maglev:
    """Google's lookup table (Eisenbud et al., NSDI 2016, §3.4): nodes take turns to claim slots of a prime-sized table.

    Each node goes through the slots in an order of its own, ``(offset + j · skip) mod size``. ``table[slot]`` is the
    index in ``nodes`` of the slot's owner; ``claims`` lists the slots in the order in which they were claimed, in turn
    by the nodes in order of their names, so that all who know the same nodes fill the same table.
    """

    def __init__(self, nodes: Sequence[Key], size: int = 65537, seed: int = 0) -> None:
        self.nodes = check_nodes(nodes)
        if not is_prime(size):
            raise ValueError(f"size is {size}; it takes a prime number, so that every skip reaches every slot")
        if size < len(self.nodes):
            raise ValueError(f"size is {size} for {len(self.nodes)} nodes; it takes a table larger than their number")
        self.offsets = (hash_keys(self.nodes, seed) % np.uint64(size)).astype(np.int64)
        self.skips = (hash_keys(self.nodes, seed + 1) % np.uint64(max(size - 1, 1)) + np.uint64(1)).astype(np.int64)
        named = by_name(self.nodes)
        table, self.claims = fill_maglev(self.offsets[named], self.skips[named], size)
        self.table = named.astype(np.int32)[table]

    def owners(self, hashes: Hashes) -> NDArray[np.int32]:
        """Index in ``nodes`` of the owner of each hash."""
        return self.table[hashes % np.uint64(self.table.size)]


@compiled_allocating
def fill_maglev(
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


def owners(method: str, nodes: Sequence[Key], hashes: Hashes, *, virtual_nodes: int = 100) -> NDArray[np.int32]:
    """Index in ``nodes`` of the owner of each hash, by one of ``METHODS``. The order of ``nodes`` makes no difference:
    methods that know numbers only take the nodes in order of their names."""
    nodes = check_nodes(nodes)
    named = by_name(nodes).astype(np.int32)
    if require.choice("method", method, METHODS) == "modulo":  # even, but nearly all keys move with their number
        return named[hashes % np.uint64(len(nodes))]
    if method == "ring":
        return Ring(nodes, virtual_nodes).owners(hashes)
    if method == "rendezvous":
        return named[rendezvous_owners(hash_keys(nodes)[named], hashes)]
    if method == "jump":
        return named[jump_owners(hashes, len(nodes))]
    return Maglev(nodes).owners(hashes)


@lru_cache(maxsize=16)
def preference_order(method: str, nodes: int, keys: int, virtual_nodes: int = 100) -> NDArray[np.int32]:
    """For keys 0 to ``keys`` − 1 all nodes in the order in which the key would use them, shape (keys, nodes). Ring and
    rendezvous define the whole order; the others define the owner only, and go on to the next number."""
    if nodes * keys > MOST_PLACES:
        raise ValueError(
            f"{keys:,} keys times {nodes:,} nodes, an order of all nodes a key; {MOST_PLACES:,} are the most"
        )
    hashes = hash_keys(range(keys))
    if method == "ring":
        return Ring(range(nodes), virtual_nodes).orders(hashes)
    if method == "rendezvous":
        return np.argsort(-rendezvous_bids(hash_keys(range(nodes)), hashes), axis=1, kind="stable").astype(np.int32)
    first = owners(method, range(nodes), hashes)
    return ((first[:, None] + np.arange(nodes, dtype=np.int32)) % nodes).astype(np.int32)
