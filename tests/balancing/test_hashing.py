"""Hashing keys to nodes: agreement with independent implementations, minimal movement, balance, refusals."""

import bisect
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distlib.balancing.hashing import METHODS, Maglev, Ring, hash64, hash_keys, jump_steps, owners, preference_order
from distlib.balancing.policies import KeyAffinity
from distlib.sim.service.balancer import Balancer

KEYS = hash_keys(range(20_000))


def published_jump(key: int, num_buckets: int) -> int:
    """The C++ of the paper's figure 1 in Python's unbounded integers, written anew."""
    key %= 2**64
    b, j = -1, 0
    while j < num_buckets:
        b = j
        key = (key * 2862933555777941757 + 1) % 2**64
        j = int(float(b + 1) * (float(1 << 31) / float((key >> 33) + 1)))
    return b


@settings(deadline=None)  # the first call may compile
@given(st.integers(0, 2**64 - 1), st.integers(1, 2**31 - 1))
def test_jump_agrees_with_the_published_function_on_any_input(key, buckets):
    assert jump_steps(np.uint64(key), buckets) == published_jump(key, buckets)


@pytest.mark.parametrize("method", ["ring", "rendezvous", "jump"])
@pytest.mark.parametrize("nodes", [1, 2, 10, 37])
def test_a_new_node_takes_keys_from_all_and_nobody_else_moves_any(method, nodes):
    before = owners(method, range(nodes), KEYS)
    after = owners(method, range(nodes + 1), KEYS)
    moved = before != after
    assert (after[moved] == nodes).all()
    assert moved.any()


@pytest.mark.parametrize("method", METHODS)
def test_every_node_owns_something_and_every_owner_exists(method):
    placed = owners(method, range(10), KEYS)
    assert set(placed) == set(range(10))


@pytest.mark.parametrize("method", METHODS)
def test_preference_orders_are_permutations_that_begin_with_the_owner(method):
    order = preference_order(method, 7, 500)
    assert (np.sort(order, axis=1) == np.arange(7)).all()
    assert (order[:, 0] == owners(method, range(7), hash_keys(range(500)))).all()


def test_the_ring_goes_clockwise():
    ring = Ring(("a", "b", "c"), virtual_nodes=20)
    points = [int(point) for point in ring.points]
    for key in ("x", "y", "z", "a long key", "键"):
        at = bisect.bisect_left(points, hash64(key)) % len(points)
        assert ring.owners(hash_keys([key]))[0] == ring.owner_at[at]


def test_ring_shares_predict_the_keys_and_follow_weights():
    ring = Ring(range(5), virtual_nodes=200, weights=(1, 1, 1, 1, 4))
    counts = np.bincount(ring.owners(KEYS), minlength=5) / KEYS.size
    share = ring.shares()
    assert share.sum() == pytest.approx(1.0)
    assert abs(counts - share).max() < 4 * math.sqrt(0.25 / KEYS.size)  # four standard deviations
    assert share[4] == pytest.approx(0.5, abs=0.1)


def test_one_node_owns_the_whole_ring():
    assert Ring(("only",), virtual_nodes=1).shares() == pytest.approx([1.0])
    assert Ring(("only",), virtual_nodes=3).shares() == pytest.approx([1.0])


@settings(deadline=None)  # the first call may compile
@given(st.sampled_from([1.01, 1.25, 1.5, 2.0, 5.0]), st.integers(1, 12))
def test_bounded_loads_stay_under_the_bound_and_move_only_what_overflows(bound, nodes):
    ring = Ring(range(nodes), virtual_nodes=5)
    keys = KEYS[:1000]
    placed = ring.bounded(keys, bound)
    capacity = math.ceil(bound * keys.size / nodes)
    counts = np.bincount(placed, minlength=nodes)
    assert counts.max() <= capacity
    moved = placed != ring.owners(keys)
    full = counts == capacity
    assert full[ring.owners(keys)[moved]].all()  # who left its owner found it full


def test_a_bound_is_the_decimal_that_was_written():
    """1.1 · 100 / 11 is 10.000000000000002 in binary fractions, whose ceiling is 11."""
    assert np.bincount(Ring(range(11)).bounded(KEYS[:100], 1.1)).max() == 10
    balancer = Balancer(KeyAffinity("ring", bound=1.1), 11, clients=1)
    for _ in range(100):
        balancer.choose()
    assert max(balancer.in_flight) == 10


NAMES = ("d", "a", 7, "c", 2**64 - 1, -1, "b", 3)


@pytest.mark.parametrize("method", METHODS)
def test_the_set_of_nodes_fixes_the_placement_and_their_order_does_not(method):
    found = {tuple(NAMES[at] for at in owners(method, NAMES, KEYS))}
    for order in (NAMES[::-1], NAMES[3:] + NAMES[:3], tuple(sorted(NAMES, key=str))):
        found.add(tuple(order[at] for at in owners(method, order, KEYS)))
    assert len(found) == 1
    assert set(found.pop()) == set(NAMES)


def test_a_bounded_ring_and_a_small_maglev_table_do_not_depend_on_the_order_of_names_either():
    placed = {tuple(order[at] for at in Ring(order, 3).bounded(KEYS[:500], 1.1)) for order in (NAMES, NAMES[::-1])}
    assert len(placed) == 1
    filled = {tuple(order[at] for at in Maglev(order, 13).table) for order in (NAMES, NAMES[::-1])}
    assert len(filled) == 1


def test_too_many_points_and_places_are_refused():
    with pytest.raises(ValueError, match=r"make 100,000,001 points; 10,000,000 are the most"):
        Ring(range(101), 1, weights=(1e6,) * 100 + (1.0,))
    with pytest.raises(ValueError, match=r"1,000,000 keys times 10,000 nodes.*50,000,000 are the most"):
        preference_order("ring", 10_000, 1_000_000)
    for weight in (0.0, math.inf, math.nan, 1e308, 1e-308):
        with pytest.raises(ValueError, match=r"weight of node 1 is .*; it takes a number from 1e-06 to 1e\+06"):
            Ring(range(2), weights=(1.0, weight))


def test_rendezvous_is_even():
    share = np.bincount(owners("rendezvous", ("a", "b", "c"), KEYS), minlength=3) / KEYS.size
    assert abs(share - 1 / 3).max() < 4 * math.sqrt(0.25 / KEYS.size)


@settings(deadline=None)  # the first call may compile
@given(st.integers(1, 40), st.sampled_from([41, 101, 1009]))
def test_maglev_tables_are_as_even_as_can_be(nodes, size):
    table = Maglev(tuple(range(nodes)), size)
    assert set(np.bincount(table.table, minlength=nodes)) <= {size // nodes, -(-size // nodes)}
    assert sorted(table.claims) == list(range(size))


def test_maglev_table_by_the_papers_pseudocode():
    table = Maglev(("x", "y", "z"), 7)
    offsets, skips = table.offsets, table.skips
    entry, following, filled = [-1] * 7, [0, 0, 0], 0
    while filled < 7:
        for node in range(3):
            slot = (offsets[node] + following[node] * skips[node]) % 7
            while entry[slot] >= 0:
                following[node] += 1
                slot = (offsets[node] + following[node] * skips[node]) % 7
            entry[slot] = node
            following[node] += 1
            filled += 1
            if filled == 7:
                break
    assert table.table.tolist() == entry


def test_hashes_are_the_same_in_every_process():
    assert hash_keys([0, 1, 2]).tolist() == hash_keys(range(3)).tolist()
    assert len({hash64(-1), hash64(2**64 - 1), hash64("-1"), hash64(2**64)}) == 4  # names of four nodes


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Ring(()), "nodes is empty"),
        (lambda: Ring(("a", "a")), "'a' twice"),
        (lambda: Ring(("a", "b"), 0), "virtual_nodes is 0"),
        (lambda: Ring(("a", "b"), weights=(1, 0)), "weight of node 'b' is 0"),
        (lambda: Ring(("a", "b"), weights=(1,)), "weights has 1 values for 2 nodes"),
        (lambda: Ring(("a", "b")).bounded(KEYS, 1.0), "takes a number above 1"),
        (lambda: Maglev(("a",), 8), "takes a prime number"),
        (lambda: Maglev(tuple(range(10)), 7), "larger than their number"),
        (lambda: Maglev((), 7), "nodes is empty"),
        (lambda: owners("sha", range(3), KEYS), "choose one of 'modulo'"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_key_is_a_number_or_a_string():
    with pytest.raises(TypeError, match="whole number or a string"):
        hash64(1.5)
