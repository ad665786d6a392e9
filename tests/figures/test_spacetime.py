"""The space-time diagram: what it draws, where it stops, and that its traces keep their places."""

from __future__ import annotations

import plotly.graph_objects as go
import pytest

from distlib.core.fault import Bridge, Heal, OneWay, Partition, Pause
from distlib.core.trace import Happened, Trace
from distlib.figures import lanes, theme
from distlib.figures.spacetime import spacetime
from tests.figures import run


def named(figure: go.Figure, name: str) -> go.Scatter | go.Bar:
    return next(one for one in figure.data if one.name.split(" (")[0] == name)


def lines(part: go.Scatter) -> list[list[tuple[float, float]]]:
    """The drawn lines of a trace, split at its gaps."""
    found: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(part.x, part.y, strict=True):
        if x is None:
            found.append([])
        else:
            found[-1].append((x, y))
    return [one for one in found if one]


def drawn(figure: go.Figure, names: tuple[str, ...]) -> int:
    return sum(len(lines(named(figure, name))) for name in names)


def test_every_message_of_the_window_is_one_line() -> None:
    figure = spacetime(run.trace())
    assert drawn(figure, ("RequestVote", "Vote", "Heartbeat, routine ×2")) == len(run.trace().sent)


def test_a_line_runs_from_the_senders_lane_when_sent_to_the_receivers_when_delivered() -> None:
    first = lines(named(spacetime(run.trace()), "RequestVote"))[0]
    assert (first[0][0], first[-1][0]) == (10, 20)
    assert 0 > first[0][1] > first[-1][1] > -1


def test_a_lost_message_ends_between_lanes_and_one_cut_off_ends_at_the_wall() -> None:
    figure = spacetime(run.trace())
    crosses = named(figure, "not delivered")
    said = dict(zip(crosses.hovertext, crosses.y, strict=True))
    lost = next(y for text, y in said.items() if "lost" in text)
    cut = next(y for text, y in said.items() if "partitioned" in text)
    down = next(y for text, y in said.items() if "receiver down" in text)
    assert lost in (-0.5, -1.5)
    assert cut == -1.5, "the partition runs between S2 and S3"
    assert -0.5 < down < 0, "it reached the lane of the crashed S1"
    assert len(said) == 3


def test_hovering_shows_the_whole_message_escaped() -> None:
    text = named(spacetime(run.trace()), "RequestVote").hovertext[0]
    for part in ("RequestVote", "S1 → S2", "term=1", "&lt;b&gt;bold&lt;/b&gt; &amp; more", "sent 10.00 ms", "20.00 ms"):
        assert part in text
    duplicate = named(spacetime(run.trace()), "duplicate").hovertext
    assert len(duplicate) == 1 and "duplicate" in duplicate[0]


def test_lanes_are_labelled_with_role_and_term_as_far_as_they_have_room() -> None:
    figure = spacetime(run.trace())
    leader = named(figure, "leader")
    assert list(leader.text) == ["\u2003leader · term 1"]  # clear of the votes that made it a leader
    assert (leader.base[0], leader.x[0]) == (30, 30)
    assert named(figure, "crashed").base[0] == 60
    assert [text.strip() for text in named(figure, "crashed").text] == ["crashed"]
    narrow = spacetime(run.trace(), width=320)
    assert list(named(narrow, "leader").text) == ["leader 1"]
    assert list(named(narrow, "candidate").text) == ["C1"]


def test_commits_and_outputs_of_one_instant_are_one_tick_that_tells_all() -> None:
    ticks = named(spacetime(run.trace()), "commit, output")
    assert len(lines(ticks)) == 1
    assert "commit index 0 → 2" in ticks.hovertext[0] and "Applied index=2" in ticks.hovertext[0]


def test_a_broken_invariant_is_a_red_line_with_its_witness() -> None:
    line = named(spacetime(run.trace(violations=(run.BROKEN,))), "invariant broken")
    assert line.line.color == theme.ALARM
    assert {one for one in line.x if one is not None} == {70.0}
    assert "S1 and S2 differ at index 3" in line.hovertext[0] and "Log Matching" in line.text[0]


def test_partitions_are_bands_with_their_groups_by_name() -> None:
    figure = spacetime(run.trace())
    band, wall, label = (one for one in figure.data if one.name == "partition")
    assert (band.x[0], band.x[1]) == (40, 50)
    assert {y for y in wall.y if y is not None} == {-1.5}
    assert list(label.text) == ["partition: S1 S2 ┃ S3"]
    calm = spacetime(run.trace(faults=()))
    assert calm.layout.yaxis.range[1] < label.y[0] < figure.layout.yaxis.range[1], "room for its name, and only then"


def test_walls_are_left_out_where_groups_are_no_neighbours() -> None:
    mixed = Partition(40.0, (("S1", "S3"), ("S2",)), 10.0)
    figure = spacetime(run.trace(faults=(Happened(40.0, None, mixed),)))
    assert not [one for one in figure.data if one.name == "partition"][1].x


def test_routine_messages_turn_into_ticks_when_they_are_too_many() -> None:
    beats = tuple(run.sent(n, float(n // 2), n // 2 + 1.0, "A", "BC"[n % 2], run.Beat()) for n in range(1000))
    crowded = Trace(("A", "B", "C"), 0, 600.0, beats, {}, {}, frozenset(), (), (), ())
    routine = next(one for one in spacetime(crowded).data if "routine" in one.name)
    assert "1,000" in routine.name
    assert len(lines(routine)) == 500, "one tick for each round of two messages"
    assert "A → B C" in routine.hovertext[0]


def test_unfolded_heartbeats_are_messages_as_any_other() -> None:
    figure = spacetime(run.trace(), fold_routine=False)
    assert len(lines(named(figure, "Heartbeat"))) == 2


def test_a_crowded_run_is_cut_to_a_window_that_says_so() -> None:
    figure = spacetime(run.long(3120), max_messages=400)
    assert len(lines(named(figure, "Vote"))) == 400
    assert "showing 400 of 3,120 messages: window 0–400 ms" in figure.layout.xaxis.title.text
    assert tuple(figure.layout.xaxis.range) == (0, 400)
    assert spacetime(run.long(300)).layout.xaxis.title.text == "virtual time (ms)"


def test_a_window_draws_the_messages_under_way_in_it() -> None:
    figure = spacetime(run.long(1000), start_ms=500, end_ms=510)
    under_way = [copy for copy in run.long(1000).sent if copy[5] <= 510 and copy[0] >= 500]
    assert len(lines(named(figure, "Vote"))) == len(under_way) == 13


def test_traces_keep_their_number_and_order_for_the_same_kinds_and_roles() -> None:
    kinds, roles = ("RequestVote", "Vote", "AppendEntries"), ("follower", "candidate", "leader", "crashed")
    runs = (run.trace(), run.empty("S1", "S2", end_ms=10), run.long(100), run.trace(violations=(run.BROKEN,)))
    shapes = [
        [(one.type, one.name.split(",")[0].split(" ×")[0]) for one in spacetime(each, kinds=kinds, roles=roles).data]
        for each in runs
    ]
    assert {len(shape) for shape in shapes} == {len(shapes[0])}
    assert {tuple(kind for kind, _ in shape) for shape in shapes} == {tuple(kind for kind, _ in shapes[0])}
    fixed = [name for kind, name in shapes[0] if kind == "scatter" and name in (*kinds, "other")]
    assert fixed[:4] == [*kinds, "other"]


def test_kinds_and_roles_that_are_left_out_share_the_trace_other() -> None:
    figure = spacetime(run.trace(), kinds=("Vote",), roles=("follower",))
    others = {one.type: one for one in figure.data if one.name == "other"}
    assert len(lines(others["scatter"])) == 3
    assert len(others["bar"].x) == 3, "candidate, leader and crashed"


def test_a_message_lies_over_the_lanes_that_it_passes_and_a_heartbeat_under_them() -> None:
    names = [(one.type, one.name.split(",")[0]) for one in spacetime(run.trace()).data]
    bars = [number for number, (kind, _) in enumerate(names) if kind == "bar"]
    assert names.index(("scatter", "Vote")) > max(bars) > names.index(("scatter", "Heartbeat"))
    figure = spacetime(run.trace())
    assert (named(figure, "Vote").yaxis, named(figure, "follower").yaxis) == ("y2", "y2")


@pytest.mark.parametrize("one", [run.empty(), run.empty("S1", end_ms=5.0), run.empty(*"ABCDEFGHI", end_ms=1e6)])
def test_nothing_to_draw_is_still_a_figure(one: Trace) -> None:
    figure = spacetime(one)
    assert figure.to_dict()["layout"]["height"] > 100
    assert len(figure.layout.yaxis.ticktext) == len(one.nodes)


def test_messages_from_outside_and_to_oneself_are_hooks_above_the_lane() -> None:
    copies = (run.sent(1, 5, 5, "outside", "S1", run.Vote(1)), run.sent(2, 6, 8, "S1", "S1", run.Vote(1)))
    both = lines(named(spacetime(run.trace(sent=copies, fates={}, duplicates=frozenset())), "Vote"))
    assert [line[0][0] for line in both] == [5, 6]
    assert all(y > 0 for line in both for _, y in line)


def test_hidden_nodes_take_their_messages_with_them() -> None:
    figure = spacetime(run.trace(), nodes=("S1", "S2"))
    assert len(lines(named(figure, "RequestVote"))) == 1
    assert list(figure.layout.yaxis.ticktext) == ["<b>S1</b>", "<b>S2</b>"]


def test_paused_nodes_are_hatched() -> None:
    figure = spacetime(run.trace(faults=(Happened(20.0, "S2", Pause(20.0, "S2", 30.0)),)))
    paused = named(figure, "paused")
    assert (paused.base[0], paused.x[0]) == (20, 30) and paused.marker.pattern.shape


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start_ms": 50, "end_ms": 20}, "start_ms=50 to end_ms=20 is empty"),
        ({"start_ms": 100}, "is empty; the run lasts from 0 to 100 ms"),
        ({"start_ms": -1}, "start_ms is -1"),
        ({"end_ms": float("nan")}, "end_ms is nan"),
        ({"start_ms": True}, "start_ms is True"),
        ({"end_ms": "9"}, "end_ms is '9'"),
        ({"nodes": ("S1", "S9")}, r"nodes is \('S1', 'S9'\); choose one or more of S1, S2, S3"),
        ({"nodes": ()}, "choose one or more"),
        ({"max_messages": 0}, "max_messages is 0; it takes a whole number of at least 1"),
        ({"max_messages": 2.5}, "max_messages is 2.5"),
    ],
)
def test_impossible_requests_are_refused_by_name(options: dict[str, object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        spacetime(run.trace(), **options)


def test_cut_links_know_partitions_one_way_cuts_bridges_and_healing() -> None:
    happened = Happened
    halves = Partition(0.0, (("S1",), ("S2",)))
    apart = run.trace(faults=(happened(0.0, None, halves), happened(50.0, None, Heal(50.0))))
    assert len(lanes.partitioned_at(apart, 10)) == 6, "S3, in no group, is alone"
    assert not lanes.partitioned_at(apart, 50)
    one_way = run.trace(faults=(happened(0.0, None, OneWay(0.0, ("S1",), ("S2", "S3"), 10.0)),))
    assert lanes.partitioned_at(one_way, 5) == {("S1", "S2"), ("S1", "S3")}
    bridge = run.trace(faults=(happened(0.0, None, Bridge(0.0, ("S1",), "S2", ("S3",))),))
    assert lanes.partitioned_at(bridge, 5) == {("S1", "S3"), ("S3", "S1")}
    assert [lanes.partition_text(one.event) for one in (*apart.faults[:1], *one_way.faults, *bridge.faults)] == [
        "S1 ┃ S2",
        "S1 ↛ S2 S3",
        "S1 ┃ S3, both reach S2",
    ]
