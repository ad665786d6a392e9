"""The role timeline and its row of leaderless time."""

from __future__ import annotations

import pytest

from distlib.core.trace import Seen
from distlib.figures import lanes
from distlib.figures.roles import leaderless, role_timeline
from tests.figures import run


def test_the_time_without_a_leader_is_marked_and_measured() -> None:
    row = role_timeline(run.trace()).data[0]
    assert [(start, start + length) for start, length in zip(row.base, row.x, strict=True)] == [(0, 30), (60, 100)]
    assert list(row.text) == ["no leader for 30 ms", "no leader for 40 ms"]


def test_two_leaders_at_once_leave_no_gap() -> None:
    both = (Seen(0.0, "S1", run.View("leader", 1)), Seen(40.0, "S2", run.View("leader", 2)), Seen(60.0, "S1", None))
    parts = lanes.segments(run.trace(states=both), ("S1", "S2"))
    assert leaderless(parts, 100.0) == []


def test_a_protocol_without_leaders_has_no_such_row() -> None:
    figure = role_timeline(run.empty("A", "B", end_ms=9.0))
    assert list(figure.layout.yaxis.ticktext) == ["<b>A</b>", "<b>B</b>"]
    assert not figure.data[0].x


def test_nodes_that_show_nothing_are_up_or_crashed() -> None:
    parts = lanes.segments(run.trace(states=()), ("S1", "S2"))
    assert [(part.node, part.start_ms, part.end_ms, part.role) for part in parts] == [
        ("S1", 0.0, 60.0, "up"),
        ("S1", 60.0, 80.0, "crashed"),
        ("S1", 80.0, 100.0, "up"),
        ("S2", 0.0, 100.0, "up"),
    ]


def test_ballots_label_a_lane_where_there_are_no_terms() -> None:
    from typing import NamedTuple

    class PaxosView(NamedTuple):
        role: str
        ballot: int

    part = lanes.segments(run.trace(states=(Seen(0.0, "S1", PaxosView("proposer", 4)),)), ("S1",))[0]
    assert part.label == "proposer · ballot 4"


def test_windows_clip_the_lanes() -> None:
    figure = role_timeline(run.trace(), start_ms=40, end_ms=70)
    leader = next(one for one in figure.data if one.name == "leader (L)")
    assert (leader.base[0], leader.x[0]) == (40, 20)
    with pytest.raises(ValueError, match="is empty"):
        role_timeline(run.trace(), start_ms=70, end_ms=40)
