"""Every button and control of the Step lab, in an order drawn by a seed: whatever is pressed, the lab stays whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import ipywidgets as w
import pytest

from distlib.check.subject import Subject
from distlib.workbench.step.lab import StepLab
from distlib.workbench.subjects import SUBJECTS

CLICKS = 75
SEARCH = "Find a violation from here"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def inside(box: w.Box) -> Iterator[w.Widget]:
    for one in box.children:
        yield one
        if isinstance(one, w.Box):
            yield from inside(one)


def on_panel(lab: StepLab) -> list[tuple[str, str]]:
    """What the panel offers, as it would send it: message by message, node by node, link by link."""
    content = lab._frame.panel.content
    pressed = [(act, one["id"]) for one in content["messages"] for act in ("deliver", "drop", "duplicate")]
    pressed += [("fire", one["id"]) for one in content["timers"]]
    pressed += [("request", one["id"]) for one in content["requests"]]
    pressed += [("crash" if one["up"] else "restart", one["name"]) for one in content["nodes"]]
    return pressed + [("link", one["id"]) for one in content["links"]]


def press(lab: StepLab, random: Random) -> str:
    """Press or move something; what."""
    if random.random() < 0.6:
        act, key = random.choice(on_panel(lab))
        lab._frame._press("press_panel", act, key)
        return f"{act} {key}"
    widgets: list[Any] = [one for one in inside(lab._frame.box) if hasattr(one, "click") or hasattr(one, "options")]
    widgets += [one for one in inside(lab._frame.box) if isinstance(one, (w.BoundedIntText, w.Checkbox))]
    match random.choice(widgets):
        case w.Button() as button:
            button.click()
            if button.description == SEARCH:
                lab.stop()
                lab.wait()
            return str(button.description)
        case w.Dropdown() as menu:
            menu.value = random.choice([one[1] for one in menu.options])
            return f"menu {menu.label}"
        case w.Checkbox() as box:
            box.value = not box.value
            return f"{box.description} {box.value}"
        case number:
            number.value = random.choice((number.min, number.max))
            return f"{number.tooltip} {number.value}"


def check(lab: StepLab) -> None:
    assert lab.error is None
    assert "lab-error" not in lab._frame._said.value
    assert lab.tree.states[lab.state.number] is lab.state
    assert lab._frame.panel.content["state"] == lab.state.number
    assert lab.picture.figure is not None
    assert lab.state.broken is None, "a correct protocol is accused"


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda one: one.name)
def test_any_buttons_in_any_order_leave_the_lab_whole(subject: Subject) -> None:
    """Before, Play on took up to 5,000 steps, and nothing is heard meanwhile: 2,000 took five seconds of one core."""
    random, lab = Random(7), StepLab(subject.correct[0])
    pressed = []
    for _ in range(CLICKS):
        pressed.append(press(lab, random))
        try:
            check(lab)
        except AssertionError as error:
            raise AssertionError(f"{error} after {pressed}") from error
    (file,) = lab.export("json")
    again = StepLab.load(file)
    assert again.steps == lab.steps
    assert len(again.tree) == len(lab.tree)
