"""Figures that move: frames, sliders and play buttons that need no kernel."""

from __future__ import annotations

import pytest

from distlib.core.trace import Trace
from distlib.figures.player import clock, moments
from distlib.figures.time_travel import time_travel
from tests.figures import run


def test_a_slider_step_and_a_frame_stand_for_each_instant() -> None:
    figure = time_travel(run.trace(), frames=11)
    steps = figure.layout.sliders[0].steps
    assert [step.args[0][0] for step in steps] == [frame.name for frame in figure.frames]
    assert 2 <= len(steps) <= 11
    assert (steps[0].label, steps[-1].label) == ("0", "100")
    assert [button.method for button in figure.layout.updatemenus[0].buttons] == ["animate", "animate"]


def test_frames_name_traces_that_exist_with_their_type() -> None:
    figure = time_travel(run.trace(), frames=5)
    for frame in figure.frames:
        numbers = range(len(figure.data)) if frame.traces is None else frame.traces
        assert [part.type for part in frame.data] == [figure.data[number].type for number in numbers]


@pytest.mark.parametrize("one", [run.empty(end_ms=10.0), run.empty(), run.empty("A", "B", end_ms=1.0)])
def test_a_run_without_events_can_be_played(one: Trace) -> None:
    assert time_travel(one, frames=3).frames


@pytest.mark.parametrize("frames", [1, 401, 2.0, True])
def test_a_number_of_frames_that_cannot_be_is_refused(frames: object) -> None:
    with pytest.raises((TypeError, ValueError), match=r"frames is .*; it takes a whole number from 2 to 400"):
        time_travel(run.trace(), frames=frames)


def test_a_reversed_window_is_refused() -> None:
    with pytest.raises(ValueError, match="is empty"):
        time_travel(run.trace(), start_ms=60, end_ms=20)


def test_every_frame_of_time_travel_keeps_the_bars_and_never_empties_a_trace() -> None:
    figure = time_travel(run.trace(), frames=7)
    bars = {number for number, part in enumerate(figure.data) if part.type == "bar"}
    for frame in figure.frames:
        assert bars <= set(frame.traces)
        for number, part in zip(frame.traces, frame.data, strict=True):
            assert number in bars or part.x is None or len(part.x)


def test_the_cursor_shows_what_is_in_flight_and_what_each_node_knows() -> None:
    figure = time_travel(run.trace(), frames=11)
    first = next(number for number, part in enumerate(figure.data) if part.name == "now")
    frame = figure.frames[5]
    cursor, _line, dots, now = frame.data[:4]
    assert frame.traces[0] == first
    assert cursor.x[0] == 50
    assert dots.x[0] is None, "nothing is under way at 50 ms"
    assert "leader · term 1" in now.text[0] and "committed 2 of 0" in now.text[0]
    at_ten = figure.frames[1].data[2]
    assert len(at_ten.x) == 2 and "RequestVote" in at_ten.hovertext[0]
    assert "crashed" in figure.frames[7].data[3].text[0]


def test_moments_are_even_and_end_at_the_end() -> None:
    assert moments(0, 100, 5) == [0, 25, 50, 75, 100]
    assert moments(0.0, 0.001, 3) == [0.0, 0.0005, 0.001]
    assert [clock(one) for one in (0, 1234.5, 0.126, 1e7)] == ["0", "1,234.5", "0.13", "10,000,000"]
