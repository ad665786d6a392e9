"""The base of all labs in a real JupyterLab: moves, errors, Stop, Export and the time to repaint."""

from __future__ import annotations

import logging
import statistics

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Browser

from tests.browser.page import LabPage
from tests.browser.server import JupyterLab

log = logging.getLogger("tests.browser")


@pytest.fixture
def toy(lab: LabPage, jupyterlab: JupyterLab) -> LabPage:
    """A notebook that shows the toy lab."""
    page = shown(lab, jupyterlab, "lab_toy.ipynb", "from tests.labs.toy import ToyLab\nlab = ToyLab()\nlab")
    page.unfold()
    return page


def shown(lab: LabPage, server: JupyterLab, name: str, *cells: str) -> LabPage:
    notebook = new_notebook(cells=[*map(new_code_cell, cells)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, server.root / name)
    lab.open(name)
    lab.run_all()
    return lab


def test_every_kind_of_move_changes_the_picture_and_is_logged(toy: LabPage) -> None:
    before = toy.figure_data()
    toy.set_slider("walkers", 2)
    two = toy.wait_for_change(before)
    assert len(two) == 2
    toy.page.locator(".widget-text input[type=number]").first.fill("9")
    toy.page.keyboard.press("Enter")
    reseeded = toy.wait_for_change(two)
    toy.press("another")
    diced = toy.wait_for_change(reseeded)
    toy.set_slider("steps shown", 50)
    short = toy.wait_for_change(diced)
    assert len(short[0]["y"]) == 50
    toy.page.locator(".widget-toggle-buttons button").filter(has_text="ends").click()
    assert [trace["type"] for trace in toy.wait_for_change(short)] == ["bar"]
    toy.press("Reset")
    toy.page.wait_for_timeout(500)
    toy.wait_until_idle()
    assert [trace["y"] for trace in toy.figure_data()] == [trace["y"] for trace in before]

    moves = {"run and repaint": "pause between steps (ms)", "repaint only": "steps shown"}
    for what, label in moves.items():
        times = [toy.repaint_ms(lambda label=label: toy.step_slider(label)) for _ in range(7)]
        log.info("toy lab, %s: median %.0f ms of %d moves", what, statistics.median(times), len(times))
    assert not toy.page.get_by_text("Error displaying widget").count()


def test_rapid_moves_run_a_few_times_and_end_at_the_last(lab: LabPage, jupyterlab: JupyterLab) -> None:
    slow = (
        "import time\nfrom tests.labs.toy import ToyLab, walk\n"
        "class SlowLab(ToyLab):\n"
        "    def run(self, params, progress):\n"
        "        print(params.walkers, file=open('slow_runs.txt', 'a'))\n"
        "        time.sleep(0.4)\n        return walk(params)\n"
        "SlowLab(walkers=1)"
    )
    page = shown(lab, jupyterlab, "lab_slow.ipynb", slow)
    page.step_slider("walkers", times=6)
    page.page.wait_for_function("() => document.querySelector('.js-plotly-plot').data.length === 7")
    page.wait_until_idle()
    runs = [int(line) for line in (jupyterlab.root / "slow_runs.txt").read_text().split()]
    log.info("six rapid moves of a slow lab: ran on %s", runs)
    assert runs[0] == 1
    assert runs[-1] == 7
    assert len(runs) < 7


def test_a_failing_run_says_so_and_the_lab_lives_on(toy: LabPage) -> None:
    before = toy.figure_data()
    toy.set_slider("walkers", 8)
    error = toy.page.locator(".lab-error")
    error.filter(has_text="ToyParams.walkers is 8; eight is one too many").wait_for()
    toy.page.locator(".lab-picture.lab-stale").wait_for()
    error.locator("summary").click()
    assert "ValueError" in error.locator("pre").inner_text()
    toy.set_slider("walkers", 2)
    assert len(toy.wait_for_change(before)) == 2
    assert toy.page.locator(".lab-picture.lab-stale").count() == 0
    toy.page.get_by_label("crash", exact=True).check()
    error.filter(has_text="RuntimeError: walker <3> fell at 12 ms").wait_for()


def test_stop_is_heard_during_a_long_run_and_keeps_what_it_has(lab: LabPage, jupyterlab: JupyterLab) -> None:
    cell = "from tests.labs.toy import StudyLab\nlab = StudyLab(trials=1000)\nlab"
    page = shown(lab, jupyterlab, "lab_study.ipynb", cell)
    page.page.get_by_text("trial 1", exact=False).first.wait_for()
    page.press("Stop")
    page.page.get_by_text("Stopped early").first.wait_for()
    page.page.wait_for_function("() => document.querySelector('.js-plotly-plot')?.data?.length === 1")
    assert 0 < len(page.figure_data()[0]["y"]) < 1000


def test_export_writes_files_that_open_alone(toy: LabPage, browser: Browser) -> None:
    toy.press("Share")
    box = toy.page.locator(".lab-share input")
    box.wait_for()
    assert box.input_value() == "ToyLab()"
    toy.press("Export")
    html = toy.wait_for_file("exports/toy_walks.html")
    for name in ("toy_walks.json", "toy_walks_table-statistics.csv", "toy_walks.svg", "toy_walks.png"):
        toy.wait_for_file(f"exports/{name}", timeout_s=120)
    toy.page.get_by_text("exports/toy_walks.png").wait_for()
    alone = browser.new_context().new_page()
    asked: list[str] = []
    alone.on("request", lambda request: asked.append(request.url))
    alone.goto(html.as_uri())
    alone.wait_for_function("() => document.querySelector('.js-plotly-plot')?.data?.length === 3")
    assert alone.locator("table.lab-table").count() == 1
    assert "broken: Stays above -5" in alone.locator("ul.lab-verdicts").inner_text()
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked), asked
    alone.context.close()
