"""What plotly does not check is the same figure."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import plotly.graph_objects as go
import pytest

from distlib.figures.unchecked import unchecked
from distlib.labs.declaration import options_of
from distlib.labs.lab import Lab
from tests.every_lab import every_lab


def drawn(lab: Lab, name: str) -> Any:
    draw = lab.figures[name]
    options = {option: getattr(lab.view, option) for option in options_of(draw, type(lab).view)}
    return json.loads(draw(lab.result, **options).to_json())


@pytest.mark.parametrize("lab_class", [one for one in every_lab() if not one.long], ids=lambda one: one.__name__)
def test_every_figure_of_every_lab_is_the_same_without_checks(lab_class):
    lab = lab_class()
    for name in lab.figures:
        checked = drawn(lab, name)
        with unchecked():
            assert drawn(lab, name) == checked, name


def test_mistakes_are_told_again_afterwards_and_in_other_threads():
    with unchecked():
        trace = go.Scatter(mode="no mode")
        with ThreadPoolExecutor() as threads, pytest.raises(ValueError, match="no mode"):
            threads.submit(go.Scatter, mode="no mode").result()
    assert trace.mode == "no mode"
    with pytest.raises(ValueError, match="another"):
        trace.mode = "another"
    with pytest.raises(ValueError, match="no mode"):
        go.Scatter(mode="no mode")


def test_a_lab_has_its_figures_checked_once(monkeypatch):
    lab_class = next(one for one in every_lab() if one.__name__ == "SplitChanceLab")
    mistaken: list[bool] = []

    def chart(result: Any) -> go.Figure:
        mistaken.append(True)
        return go.Figure(go.Scatter(mode="no mode" if len(mistaken) != 2 else "lines"))

    monkeypatch.setattr(lab_class, "figures", {"chart": chart})
    lab = lab_class()
    assert isinstance(lab.error, ValueError)  # the first is checked …
    lab.start()
    assert lab.wait() and lab.error is None
    lab.start()
    assert lab.wait() and lab.error is None and len(mistaken) == 3  # … and no later one
