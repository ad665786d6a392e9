"""Every control of every lab: no position is refused, presets and files give back what they should, Stop is heard."""

from __future__ import annotations

import os
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import ipywidgets as w
import pytest

from distlib.labs import scenario_file
from distlib.labs.controls import Controls
from distlib.labs.declaration import values_of
from distlib.labs.lab import Lab
from distlib.labs.work import Progress
from distlib.sim.cluster import EVENTS_A_TURN
from tests.every_control import SAMPLES, corners, counted, driven, lab_classes, move, stand

LOOKS_A_TURN = 100_000_000
"""Backends looked at between two moments at which Stop is heard: most of a second."""

AT_ONCE = {"HashRingLab", "MuseumLab", "QuorumLab"}
"""Labs whose runs take too little to be asked whether they are still wanted."""

every_lab = pytest.mark.parametrize("lab_class", lab_classes(), ids=lambda one: one.__name__)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def at_rest(lab_class: type[Lab]) -> Any:
    """Labs of this class do not run meanwhile: what counts is what their controls stand on."""
    return patch.object(lab_class, "start", lambda lab: None)


@every_lab
def test_no_position_of_any_control_is_refused_or_too_much(lab_class: type[Lab]) -> None:
    """At every position there is a result, at a bounded cost, and a missing number is
    explained. Before, 1,000 frames, a ring's most nodes, a heal after the end were refused, others crashed."""
    with at_rest(lab_class) if lab_class.long else nullcontext():
        wrong = [f"{what}: {found}" for what, found, _ in driven(lab_class, draws=0, samples=False) if found]
    assert not wrong


@every_lab
def test_a_preset_after_any_other_is_as_if_it_had_been_pressed_first(lab_class: type[Lab]) -> None:
    with at_rest(lab_class):
        lab = lab_class()
        defaults = {**values_of(lab_class.params(), lab_class.view()), "figure": next(iter(lab_class.figures))}
        for first in lab_class.presets:
            for then, values in lab_class.presets.items():
                lab.preset(first)
                lab.preset(then)
                assert lab._standing() == {**defaults, **values}, f"{then} after {first}"


@every_lab
def test_every_end_comes_back_from_a_file_and_from_a_share_line(lab_class: type[Lab]) -> None:
    with at_rest(lab_class):
        lab = lab_class()
        start = lab.controls.values()
        for name, moves in corners(lab, draws=0):
            stand(lab, start)
            for control, which in moves:
                move(lab, control, which)
            standing = lab._standing()
            lab.params = lab_class.params(**{one: standing[one] for one in lab_class.params.specs()})
            again = eval(lab.share(), {lab_class.__name__: lab_class})
            assert again._standing() == standing, name
            Path("f.json").write_text(scenario_file.text(lab_class, lab.params, lab.view, lab.figure), encoding="utf-8")
            assert Lab.load("f.json")._standing() == standing, name


@every_lab
def test_stop_is_heard_whatever_the_controls_stand_on(lab_class: type[Lab]) -> None:
    """All at their high ends, samples too. Between two moments at which Stop is heard lies a bounded piece of work."""
    if lab_class.long:
        pytest.skip("in other processes: tests of their own")
    with at_rest(lab_class):
        lab = lab_class()
    for name in lab_class.params.specs():
        with at_rest(lab_class):
            move(lab, name, -1)
    costs: list[tuple[int, int]] = []
    check = Progress.check

    def press_stop(progress: Progress) -> None:
        costs.append((cost.events, cost.looks))
        if len(costs) == 3:
            progress.stop()  # what ``lab.stop`` does, which may not know yet of a run that has begun just now
        check(progress)

    with counted() as cost, patch.object(Progress, "check", press_stop):
        lab.start()
        lab.wait()
    if lab_class.__name__ in AT_ONCE:
        assert lab.error is None
        return
    said = lab._frame.said.value
    assert "Stopped" in said or len(costs) < 3, said
    costs.append((cost.events, cost.looks))
    steps = [(now[0] - before[0], now[1] - before[1]) for before, now in pairwise(costs)]
    at_once = 2 * (os.cpu_count() or 1)  # ``in_threads`` asks when one has ended, and the next has begun by then
    assert all(events <= EVENTS_A_TURN and looks <= LOOKS_A_TURN * at_once for events, looks in steps), steps


@every_lab
def test_a_default_is_not_squeezed_into_the_end_of_its_track(lab_class: type[Lab]) -> None:
    """A hand on the slider moves about a pixel in three hundred: there must be room on both sides, or none at all."""
    controls = Controls(list(lab_class.figures))
    for params in (lab_class.params, lab_class.view):
        controls.add(params, lambda: None)
    for name in lab_class.params.specs():
        widget = getattr(controls, name)
        if not isinstance(widget, (w.IntSlider, w.FloatSlider, w.FloatRangeSlider)):
            continue
        ends = widget.value if isinstance(widget.value, tuple) else (widget.value,)
        for value in ends:
            place = (value - widget.min) / (widget.max - widget.min)
            assert place in (0, 1) or 0.02 <= place <= 0.98, f"{name} is {value} of {widget.min} to {widget.max}"


def test_samples_are_parameters_of_labs() -> None:
    known = {name for one in lab_classes() for name in one.params.specs()}
    assert set(SAMPLES) <= known
