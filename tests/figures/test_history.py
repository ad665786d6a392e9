"""The timeline of a history: bars, path, the stuck operation, faults, windows and errors. It takes data frames only."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from distlib.figures.history import history_timeline, linearization_points

COLUMNS = ["process", "label", "call", "returned", "order", "fate", "why"]
STUCK = [
    ("1", "write 1", 0.0, 3.0, 1, "placed", ""),
    ("2", "write 2", 1.0, math.inf, 2, "placed", ""),
    ("3", "read → 9", 4.0, 6.0, 0, "stuck", "it answered 9, and should have answered 2"),
    ("1", "write 3", 7.0, math.inf, 0, "never heard of", ""),
    ("3", "read → 2", 8.0, 9.0, 0, "not placed", ""),
]
FAULTS = pd.DataFrame(
    [("partition", 2.0, 5.0), ("crash", 6.5, 6.5), ("elsewhere", 90.0, 95.0)], columns=["label", "start", "end"]
)


def frame(rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


def texts(figure) -> str:
    return " | ".join(str(text) for trace in figure.data for text in (trace.text if trace.text is not None else ()))


def bars(figure) -> dict[str, list[float]]:
    return {trace.name: list(trace.base) for trace in figure.data if trace.type == "bar"}


def test_every_operation_is_a_bar_of_its_fate():
    figure = history_timeline(frame(STUCK), FAULTS, "Not linearizable: no moment fits")
    assert bars(figure) == {
        "placed: the number is its turn": [0.0, 1.0],
        "never heard of": [7.0],
        "fits nowhere": [4.0],
        "not reached": [8.0],
    }
    assert figure.layout.title.text == "Not linearizable" and figure.layout.title.subtitle.text == "no moment fits"
    assert list(figure.layout.yaxis.ticktext) == ["process 1", "process 2", "process 3"]


def test_colour_never_stands_alone():
    """The stuck bar has a hatching, a cross and a sign in its label; a pending bar has a hatching and an arrowhead."""
    figure = history_timeline(frame(STUCK))
    hatches = {trace.name: list(trace.marker.pattern.shape) for trace in figure.data if trace.type == "bar"}
    assert hatches["fits nowhere"] == ["x"] and hatches["never heard of"] == ["/"]
    assert hatches["placed: the number is its turn"] == ["", "/"]
    assert "✗ read → 9" in texts(figure)
    symbols = {
        trace.marker.symbol: len(trace.x) for trace in figure.data if trace.type == "scatter" and trace.marker.symbol
    }
    assert symbols == {"triangle-right": 2, "x": 1}


def test_the_path_is_numbered_in_order_and_within_the_bars():
    figure = history_timeline(frame(STUCK))
    (numbers,) = [trace for trace in figure.data if trace.type == "scatter" and trace.mode == "markers+text"]
    assert list(numbers.text) == ["1", "2"] and list(numbers.y) == [0, -1]
    assert 0 <= numbers.x[0] <= 3 and numbers.x[0] <= numbers.x[1] <= 6


def test_faults_are_drawn_where_they_are_seen():
    figure = history_timeline(frame(STUCK), FAULTS)
    assert "⚡ partition" in texts(figure) and "⚡ crash" in texts(figure) and "elsewhere" not in texts(figure)
    span, marks = figure.data[0], figure.data[1]
    assert (min(span.x[:5]), max(span.x[:5])) == (2.0, 5.0) and list(marks.x[:2]) == [6.5, 6.5]


def test_hover_tells_the_times_and_the_reason():
    (stuck,) = [trace for trace in history_timeline(frame(STUCK)).data if trace.name == "fits nowhere"]
    assert "called at 4, returned at 6" in stuck.customdata[0] and "should have answered 2" in stuck.customdata[0]


def test_traces_keep_number_and_order_between_updates():
    kinds = [
        [(trace.type, trace.name) for trace in history_timeline(frame(rows)).data] for rows in (STUCK, STUCK[:1], [])
    ]
    assert kinds[0] == kinds[1] == kinds[2]


def test_a_long_history_is_cut_around_the_stuck_operation():
    rows = [(str(i % 4), f"write {i}", float(i), i + 3.5, i + 1, "placed", "") for i in range(500)]
    rows += [("9", "read → ?", 502.0, 504.0, 0, "stuck", "no")]
    rows += [(str(i % 4), f"write {i}", float(i), i + 3.5, 0, "not placed", "") for i in range(505, 900)]
    figure = history_timeline(frame(rows), most=20)
    found = bars(figure)
    assert found["fits nowhere"] == [502.0] and sum(map(len, found.values())) == 20
    assert min(found["placed: the number is its turn"]) > 480 and max(found["not reached"]) < 515
    assert "876 operations before and after are not shown" in figure.layout.xaxis.title.text


def test_a_long_linearizable_history_shows_its_start():
    rows = [(str(i % 4), f"write {i}", float(i), i + 3.5, i + 1, "placed", "") for i in range(100)]
    assert max(bars(history_timeline(frame(rows), most=10))["placed: the number is its turn"]) == 9.0


def test_nothing_and_a_single_moment_can_be_drawn():
    assert history_timeline(frame([]), headline="Linearizable: nothing happened").layout.title.text == "Linearizable"
    figure = history_timeline(frame([("a", "write 1", 5.0, 5.0, 1, "placed", "")]))
    low, high = figure.layout.xaxis.range
    assert low < 5.0 < high


def test_markup_in_values_is_shown_as_text():
    figure = history_timeline(frame([("1", "write <b>&", 0.0, 9.0, 1, "placed", "")]), headline="No: <i> & so on")
    assert "write &lt;b&gt;&amp;" in texts(figure) and figure.layout.title.subtitle.text == "&lt;i&gt; &amp; so on"


def test_long_labels_are_cut_where_the_next_begins():
    rows = [("1", "append a-very-long-value", float(i), i + 0.5, i + 1, "placed", "") for i in range(8)]
    assert "…" in texts(history_timeline(frame(rows)))


def test_the_stuck_operation_keeps_its_words_and_what_begins_under_them_has_none():
    rows = [("1", "write 1", 0.0, 1.0, 1, "placed", ""), ("1", "read → nil", 2.0, 2.1, 0, "stuck", "")]
    rows += [("1", "write 7", 3.0, 3.1, 0, "not placed", ""), ("1", "write 8", 90.0, 100.0, 0, "not placed", "")]
    shown = texts(history_timeline(frame(rows)))
    assert "✗ read → nil" in shown and "write 8" in shown
    assert "write 7" not in shown


@pytest.mark.parametrize(
    ("calls", "returns", "gap", "expected"),
    [
        ([0, 0], [10, 10], 2, [4, 6]),
        ([0, 4], [1, 5], 2, [0.5, 4.5]),
        ([3, 3, 3], [3, 3, 3], 2, [3, 3, 3]),
        ([], [], 1, []),
    ],
)
def test_linearization_points_stay_in_their_bars_and_in_order(calls, returns, gap, expected):
    assert linearization_points(calls, returns, gap) == expected


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match="operations has no column 'order'; it has process, label"):
        history_timeline(frame(STUCK).drop(columns=["order", "why"]))
    with pytest.raises(ValueError, match="faults has no column 'end'"):
        history_timeline(frame(STUCK), FAULTS.drop(columns="end"))
    with pytest.raises(ValueError, match="fate is 'lost'; choose one of 'placed', 'never heard of'"):
        history_timeline(frame([("1", "write 1", 0.0, 1.0, 1, "lost", "")]))
    with pytest.raises(ValueError, match="most is 0; it takes a whole number of at least 1"):
        history_timeline(frame(STUCK), most=0)
