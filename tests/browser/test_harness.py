"""The harness itself, and what every lab stands on: widgets, plotly and formulas, without a CDN."""

from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests.browser.page import LabPage
from tests.browser.server import JupyterLab

WIDGETS = """
import ipywidgets as w, plotly.graph_objects as go, numpy as np
x = np.arange(50)
figure = go.FigureWidget(go.Scatter(x=x, y=x * 1.0), layout={"title": "选举 election", "width": 700})
seed = w.IntSlider(0, 0, 9, description="seed", continuous_update=False)
span = w.IntRangeSlider(value=(150, 300), max=500, description="timeout", continuous_update=False)
lift = w.IntText(0, description="lift")
down = w.Checkbox(description="upside down")
kind = w.Dropdown(options=["line", "square"], description="kind")
save = w.Button(description="Export")
def draw(_):
    with figure.batch_update():
        shape = x * 1.0 if kind.value == "line" else x * x * 1.0
        figure.data[0].y = (-shape if down.value else shape) + seed.value + span.value[0] + lift.value
for control in (seed, span, kind, lift, down):
    control.observe(draw, "value")
save.on_click(lambda _: figure.write_html("export.html"))
draw(None)
w.VBox([seed, span, lift, down, kind, save, figure])
"""
OUTPUT = """
import ipywidgets as w
out, press = w.Output(), w.Button(description="Fail")
@press.on_click
@out.capture()
def fail(_):
    1 / 0
w.VBox([press, out])
"""


def write(server: JupyterLab, name: str, *cells: str) -> str:
    notebook = new_notebook(
        cells=[new_markdown_cell("# 一致性 $P = \\sum_k \\binom{s}{k}$"), *map(new_code_cell, cells)]
    )
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, server.root / name)
    return name


def test_a_slider_changes_a_figure_and_a_button_writes_a_file(lab: LabPage, jupyterlab: JupyterLab) -> None:
    lab.open(write(jupyterlab, "harness_widgets.ipynb", WIDGETS))
    lab.run_all()
    first = lab.figure_data()
    assert first[0]["y"][:2] == [150, 151]

    lab.set_slider("seed", 5)
    second = lab.wait_for_change(first)
    assert second[0]["y"][:2] == [155, 156]
    lab.step_slider("seed")
    third = lab.wait_for_change(second)
    assert third[0]["y"][:2] == [156, 157]
    lab.set_slider("timeout", "200 - 300")
    fourth = lab.wait_for_change(third)
    assert fourth[0]["y"][:2] == [206, 207]
    lab.drag_slider("timeout", -0.2)
    assert lab.slider_text("timeout") == "0 – 300"
    fifth = lab.wait_for_change(fourth)
    assert fifth[0]["y"][:2] == [6, 7]
    lab.choose("kind", "square")
    sixth = lab.wait_for_change(fifth)
    assert sixth[0]["y"][:3] == [6, 7, 10]
    lab.type_text("lift", 100)
    seventh = lab.wait_for_change(sixth)
    assert seventh[0]["y"][:3] == [106, 107, 110]
    lab.tick("upside down")
    assert lab.wait_for_change(seventh)[0]["y"][:3] == [106, 105, 102]

    assert lab.repaint_ms(lambda: lab.step_slider("seed", "ArrowLeft")) > 0
    lab.press("Export")
    assert "plotly" in lab.wait_for_file("export.html").read_text(encoding="utf-8")
    assert lab.page.locator(".jp-RenderedMarkdown mjx-container").count() == 1
    assert lab.figure_layout()["title"]["text"] == "选举 election"


def test_a_plain_figure_is_drawn_without_another_address(lab: LabPage, jupyterlab: JupyterLab) -> None:
    lab.open(
        write(jupyterlab, "harness_figure.ipynb", "import plotly.graph_objects as go\ngo.Figure(go.Bar(y=[1, 2]))")
    )
    lab.run_all()
    assert lab.figure_data()[0]["y"] == [1, 2]


def test_an_error_inside_an_output_widget_is_seen(lab: LabPage, jupyterlab: JupyterLab) -> None:
    lab.open(write(jupyterlab, "harness_error.ipynb", OUTPUT))
    lab.run_all()
    lab.press("Fail")
    lab.page.get_by_text("ZeroDivisionError").first.wait_for()
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        lab.assert_no_errors()


def test_a_failing_cell_is_seen(lab: LabPage, jupyterlab: JupyterLab) -> None:
    lab.open(write(jupyterlab, "harness_cell.ipynb", "missing_name"))
    with pytest.raises(AssertionError, match="NameError"):
        lab.run_all()


def test_another_address_is_noticed_and_out_of_reach(lab: LabPage, jupyterlab: JupyterLab) -> None:
    lab.open(write(jupyterlab, "harness_outside.ipynb", "1"))
    reply = lab.page.evaluate("() => fetch('http://elsewhere.example/').then(() => 'answered', () => 'refused')")
    assert reply == "refused"
    assert lab.outside == ["http://elsewhere.example/"]
    lab.outside.clear()
