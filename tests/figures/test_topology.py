"""The cluster as a graph: places, roles, messages on their way, partitioned links."""

from __future__ import annotations

import pytest

from distlib.core.fault import OneWay
from distlib.core.trace import Happened
from distlib.figures.topology import topology
from tests.figures import run


def test_nodes_are_coloured_and_labelled_by_role() -> None:
    figure = topology(run.trace(), 35)
    by_role = {one.name: one for one in figure.data if one.legend == "legend2"}
    assert list(by_role["leader"].text) == ["<b>S1</b>"]
    assert list(by_role["follower"].text) == ["<b>S2</b>", "<b>S3</b>"]
    assert list(figure.data[-1].text) == ["leader · term 1", "follower · term 1", "follower · term 0"]
    assert "leader · term 1" in by_role["leader"].hovertext[0]


def test_a_crashed_node_is_hollow_and_says_so() -> None:
    figure = topology(run.trace(), 70)
    crashed = next(one for one in figure.data if one.name == "crashed")
    assert crashed.marker.color == "#ffffff" and list(crashed.text) == ["<b>S1</b>"]


def test_messages_stand_at_their_share_of_the_way() -> None:
    early, late = (topology(run.trace(), at) for at in (12, 18))
    heads = []
    for figure in (early, late):
        track = next(one for one in figure.data if one.name == "RequestVote")
        heads.append([(x, y) for x, y, size in zip(track.x, track.y, track.marker.size, strict=True) if size])
    assert [len(one) for one in heads] == [2, 2]
    assert heads[0] != heads[1]
    later = next(one for one in topology(run.trace(), 50, kinds=("Vote",)).data if one.name == "Vote")
    assert not any(later.marker.size)


def test_a_lost_message_vanishes_midway_with_a_cross() -> None:
    figure = topology(run.trace(), 25)
    lost = next(one for one in figure.data if one.name == "lost")
    assert "lost" in lost.hovertext[0] and len(lost.x) == 1


def test_cut_links_are_dashed_and_crossed() -> None:
    whole, broken, crosses = topology(run.trace(), 45).data[:3]
    assert broken.line.dash == "dash" and len(crosses.x) == 2
    assert sum(x is None for x in whole.x) == 1
    assert set(crosses.hovertext) == {"S1 ⇹ S3 partitioned", "S2 ⇹ S3 partitioned"}
    one_way = run.trace(faults=(Happened(0.0, None, OneWay(0.0, ("S1",), ("S2",), 10.0)),))
    assert list(topology(one_way, 5).data[2].hovertext) == ["S1 ↛ S2 partitioned, one way"]


def test_traces_keep_their_number_and_order() -> None:
    fixed = {"kinds": ("Vote", "RequestVote"), "roles": ("leader", "follower")}
    shapes = [
        [one.name for one in topology(each, 0, **fixed).data] for each in (run.trace(), run.empty("A"), run.long(9))
    ]
    assert shapes[0] == shapes[1] == shapes[2]


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_any_number_of_nodes_has_places_of_its_own(count: int) -> None:
    figure = topology(run.empty(*"ABCDEFGHI"[:count], end_ms=1.0), 0.5)
    discs = next(one for one in figure.data if one.name == "up")
    assert len(set(zip(discs.x, discs.y, strict=True))) == count


@pytest.mark.parametrize("at", [101, -1, float("nan")])
def test_a_time_outside_the_run_is_refused(at: float) -> None:
    with pytest.raises(ValueError, match=f"at_ms is {at}; it takes a number from 0 to 100 ms"):
        topology(run.trace(), at)
