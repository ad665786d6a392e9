"""Figures of hashing: arcs and shares of a ring, keys that move, a table that fills up."""

from __future__ import annotations

import math
from itertools import pairwise

import pandas as pd
import pytest

from distlib.balancing import hashing_charts as hashing
from distlib.balancing.hashing import Ring
from distlib.balancing.hashing_scenarios import (
    MaglevParams,
    MovementParams,
    RingParams,
    key_movement,
    maglev_fill,
    ring_view,
)


def arcs(*spans: tuple[float, float, int]) -> pd.DataFrame:
    return pd.DataFrame(spans, columns=["start", "end", "node"])


def test_an_arc_that_passes_noon_is_drawn_in_one_piece() -> None:
    points = hashing.arc((0.9, 0.1), 1.0)
    assert all(math.dist(one, other) < 0.02 for one, other in pairwise(points))
    assert points[0] == (-0.5878, 0.809) and points[-1] == (0.5878, 0.809)
    assert max(y for _, y in points) == pytest.approx(1.0, abs=1e-3)


def test_a_single_point_owns_the_whole_circle() -> None:
    assert len(hashing.arc((0.3, 0.3), 1.0)) > 300


def test_the_ring_has_a_trace_a_node_and_names_each() -> None:
    view = ring_view(RingParams(nodes=4, virtual_nodes=5))
    figure = hashing.ring(view.arcs, view.shares, view.expected_deviation)
    assert [trace.name for trace in figure.data[:4]] == ["N0", "N1", "N2", "N3"]
    names = next(trace for trace in figure.data if trace.mode == "text")
    assert sorted(names.text) == ["N0", "N1", "N2", "N3"]
    bars = next(trace for trace in figure.data if trace.type == "bar")
    assert sum(bars.y) == pytest.approx(1.0)


def test_of_many_nodes_only_so_many_are_named_under_their_bars() -> None:
    view = ring_view(RingParams(nodes=40))
    axis = hashing.ring(view.arcs, view.shares, view.expected_deviation).layout.xaxis2
    assert axis.ticktext[:3] == ("N0", "N3", "N6") and axis.tickvals[:3] == (0, 3, 6)
    assert len(axis.ticktext) <= hashing.MOST_NAMES


def test_what_changes_hands_is_what_the_new_node_owns() -> None:
    before, after = (ring_view(RingParams(nodes=n, virtual_nodes=20)) for n in (5, 6))
    moved = hashing.changed_arcs(before.arcs, after.arcs)
    assert set(moved["new"]) == {5}, "a key moves to the node that joined, never between the others"
    length = ((moved["end"] - moved["start"]) % 1.0).sum()
    assert length == pytest.approx(Ring(tuple(range(6)), 20).shares()[5], abs=1e-9)
    assert f"{length:.1%}" in hashing.ring_change(before.arcs, after.arcs).data[-1].text[0]


def test_nothing_moves_between_equal_rings() -> None:
    ring = arcs((0.6, 0.2, 0), (0.2, 0.6, 1))
    assert hashing.changed_arcs(ring, ring).empty


def test_a_ring_too_fine_to_read_is_refused() -> None:
    view = ring_view(RingParams(nodes=100, virtual_nodes=100))
    with pytest.raises(ValueError, match="at most 6,000"):
        hashing.ring(view.arcs, view.shares, view.expected_deviation)
    with pytest.raises(ValueError, match="at most 6,000"):
        hashing.ring_change(view.arcs, view.arcs)


def test_needless_moves_are_apart_and_hatched() -> None:
    figure = hashing.key_movement(key_movement(MovementParams(keys=5000)))
    needed, needless, least = figure.data
    assert needless.x[0] == pytest.approx(9 / 11, abs=0.03) and needless.x[1] == 0
    assert needless.marker.pattern.shape == "/"
    assert f"{1 / 11:.1%}" in least.name and needed.y[0].strip() == "hash mod n"


def test_the_maglev_table_fills_in_turn_and_shows_it_without_a_kernel() -> None:
    claims = maglev_fill(MaglevParams(nodes=("A", "B", "C"), size=13))
    figure = hashing.maglev_table(claims)
    assert [len(trace.x) for trace in figure.data] == [5, 4, 4]
    assert len(figure.frames) == 14
    assert [sum(len(trace.x) for trace in frame.data) for frame in figure.frames] == list(range(14))
    assert "A has 5, B has 4, C has 4" in figure.layout.annotations[0].text


def test_a_table_too_large_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 100"):
        hashing.maglev_table(maglev_fill(MaglevParams(size=1009)))


@pytest.mark.parametrize("draw", [hashing.key_movement, hashing.maglev_table])
def test_a_missing_column_is_named(draw: object) -> None:
    with pytest.raises(ValueError, match="the table has no column"):
        draw(pd.DataFrame({"method": ["ring"]}))  # type: ignore[operator]
