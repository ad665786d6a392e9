"""The logs side by side: boxes, boundaries, what differs, long logs and snapshots."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from distlib.core.trace import Seen, Trace
from distlib.figures.log_view import log_view
from tests.figures.run import Entry, View, empty, trace


def logs(*views: View | None, before: View | None = None) -> Trace:
    nodes = tuple(f"S{number + 1}" for number in range(len(views)))
    states = [Seen(0.0, node, before or view) for node, view in zip(nodes, views, strict=True)]
    states += [Seen(1.0, node, view) for node, view in zip(nodes, views, strict=True)]
    return Trace(nodes, 0, 10.0, (), {}, {}, frozenset(), tuple(states), (), ())


def entries(*terms: int) -> tuple[Entry, ...]:
    return tuple(Entry(term, f"x={place}") for place, term in enumerate(terms))


def part(figure: object, name: str) -> object:
    return next(one for one in figure.data if one.name == name)  # type: ignore[attr-defined]


LEADER = View("leader", 3, 2, 1, 0, entries(1, 1, 3), (("S2", 3), ("S3", 2)), (("S2", 2), ("S3", 0)))


def test_a_box_an_entry_with_its_term_and_command() -> None:
    boxes = part(log_view(logs(LEADER), 5), "entry: term, command")
    assert list(boxes.text) == ["<b>1</b><br>x=0", "<b>1</b><br>x=1", "<b>3</b><br>x=2"]
    assert len(set(boxes.marker.color)) == 2
    assert [text.split("<br>")[-1] for text in boxes.hovertext] == [
        "committed and applied",
        "committed",
        "not known to be committed",
    ]


def test_commit_and_applied_index_are_drawn_where_they_are() -> None:
    figure = log_view(logs(LEADER), 5)
    assert part(figure, "commit index").x[0] == 2.5
    assert list(part(figure, "last applied").x) == [1.0]


def test_the_newest_leaders_next_and_match_index_stand_at_each_follower() -> None:
    old = View("leader", 2, log=entries(1, 2), next_index=(("S1", 1),), match_index=(("S1", 0),))
    figure = log_view(logs(LEADER, View("follower", 3, log=entries(1, 1)), old), 5)
    next_index, match_index = part(figure, "leader's next index"), part(figure, "leader's match index")
    assert [round(x) for x in next_index.x] == [3, 2]
    assert [round(x) for x in match_index.x] == [2, 0]
    assert "S1" in next_index.hovertext[0] and "for S2: 3" in next_index.hovertext[0]


def test_entries_that_the_leader_does_not_have_stand_out() -> None:
    """Figure 7 of the Raft paper: (f) has entries of terms that the leader never saw, (c) one entry too many."""
    leader = View("leader", 8, log=entries(1, 1, 1, 4, 4, 5, 5, 6, 6, 6))
    follower = View("follower", 7, log=entries(1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3))
    longer = View("follower", 7, log=entries(1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6))
    wrong = part(log_view(logs(leader, follower, longer), 5), "differs from the leader")
    marked = [(-int(y), round(base + 0.45)) for y, base in zip(wrong.y, wrong.base, strict=True)]
    assert marked == [*((1, index) for index in range(4, 12)), (2, 11)]
    agreeing = View("follower", 7, log=entries(1, 1, 1, 4))
    assert not part(log_view(logs(leader, agreeing), 5), "differs from the leader").x


def test_without_a_leader_the_most_up_to_date_log_is_the_measure() -> None:
    short = View("candidate", 4, log=entries(1, 3))
    long = View("candidate", 4, log=entries(1, 2, 2, 2))
    wrong = part(log_view(logs(short, long), 5), "differs from the leader")
    assert set(wrong.y) == {-1.0} and len(wrong.y) == 3


def test_a_crashed_servers_log_is_on_its_disk() -> None:
    figure = log_view(logs(None, before=LEADER), 5)
    boxes = part(figure, "entry: term, command")
    assert len(boxes.x) == 3 and set(boxes.marker.opacity) == {0.4}
    assert boxes.hovertext[0].endswith("on the disk of a crashed server")
    assert "crashed" in figure.layout.yaxis.ticktext[0] and len(part(figure, "crashed").x) == 1
    assert not part(figure, "commit index").x


def test_long_logs_show_their_last_entries() -> None:
    figure = log_view(logs(View("leader", 1, log=entries(*[1] * 100))), 5)
    assert list(figure.layout.xaxis.ticktext) == [str(index) for index in range(87, 101)]
    earlier = part(figure, "snapshot, earlier entries")
    assert list(earlier.text) == ["…"] and earlier.hovertext[0] == "1 to 86, not shown"


def test_snapshots_take_the_place_of_the_entries_they_hold() -> None:
    figure = log_view(logs(View("leader", 2, 5, 5, 4, entries(2, 2)), View("follower", 2, 0, 0, 0, entries(1, 1))), 5)
    snapshot = part(figure, "snapshot, earlier entries")
    assert list(snapshot.hovertext) == ["snapshot: index 1 to 4"]
    assert snapshot.base[0] + snapshot.x[0] == pytest.approx(4.45)
    boxes = part(figure, "entry: term, command")
    assert [round(base + 0.47) for base in boxes.base] == [5, 6, 1, 2]
    assert not part(figure, "differs from the leader").x, "what a snapshot holds cannot be compared"


@pytest.mark.parametrize("one", [empty(), empty("A", "B", end_ms=3.0), trace(), logs(View("leader", 0))])
def test_no_log_and_no_view_is_still_a_figure(one: Trace) -> None:
    assert len(log_view(one, 0).data) == 8


class Listing(NamedTuple):
    """The view of a protocol whose log holds bare commands."""

    role: str
    log: tuple[str, ...]


def test_a_log_without_terms_is_compared_by_its_commands() -> None:
    nodes, logs_of = ("A", "B"), {"A": ("x", "y"), "B": ("x", "z")}
    states = tuple(Seen(0.0, node, Listing("leader" if node == "A" else "backup", logs_of[node])) for node in nodes)
    figure = log_view(Trace(nodes, 0, 10.0, (), {}, {}, frozenset(), states, (), ()), 5)
    boxes = part(figure, "entry: term, command")
    assert list(boxes.text) == ["x", "y", "x", "z"]
    assert "index 2<br>z" in boxes.hovertext[3]
    assert list(part(figure, "differs from the leader").y) == [-1.0]


def test_a_time_outside_the_run_is_refused() -> None:
    with pytest.raises(ValueError, match="at_ms is 11; it takes a number from 0 to 10 ms"):
        log_view(logs(LEADER), 11)
