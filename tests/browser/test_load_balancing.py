"""The load-balancing chapter in a real JupyterLab: run it all, move every lab, and how fast a move repaints."""

from __future__ import annotations

import logging
import statistics

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Browser

from tests.browser.page import LabPage
from tests.browser.server import JupyterLab

log = logging.getLogger("tests.browser")
SINGLE_SERVER = 3
"""Which figure of the formula chapter is that of M/M/1, counted from 0."""


def shown(lab: LabPage, server: JupyterLab, name: str, *cells: str) -> LabPage:
    notebook = new_notebook(cells=[*map(new_code_cell, cells)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, server.root / name)
    lab.open(name)
    lab.run_all()
    return lab


def test_the_chapter_runs_and_answers(lab: LabPage) -> None:
    lab.open("03_3_load_balancing.ipynb")
    lab.run_all(timeout_s=240)
    text = lab.text()
    assert "a a b a c a a a a b a c a a" in text
    assert text.count("Not yet.") == 4, "every exercise starts unsolved, and its judge says what is asked"
    lab.button("About 10").scroll_into_view_if_needed()
    lab.press("About 10")
    lab.page.get_by_text("✓ Right.", exact=False).first.wait_for()
    lab.assert_no_errors()


def test_the_chapter_in_practice_runs(lab: LabPage) -> None:
    lab.open("03_3_load_balancing_in_practice.ipynb")
    lab.run_all(timeout_s=240)
    text = lab.text()
    assert "round robin, all from the first" in text, "the herd of a hundred balancers"
    assert text.count("Not yet.") == 2
    lab.assert_no_errors()


def test_the_formulas_run_and_their_sliders_move_without_the_kernel(lab: LabPage) -> None:
    lab.open("03_6_formulas.ipynb")
    lab.run_all(timeout_s=240)
    before = lab.figure_data(SINGLE_SERVER)
    lab.figure(SINGLE_SERVER).scroll_into_view_if_needed()
    box = lab.figure(SINGLE_SERVER).locator(".slider-container .slider-rail-touch-rect").bounding_box()
    assert box is not None
    lab.page.mouse.click(box["x"] + box["width"] - 4, box["y"] + box["height"] / 2)
    after = lab.wait_for_change(before, SINGLE_SERVER)
    assert after[-2]["y"][-1] > 3 * before[-2]["y"][0], "the curve of the 99th percentile"
    lab.assert_no_errors()


def test_200_000_requests_under_five_policies_repaint_quickly(lab: LabPage, jupyterlab: JupyterLab) -> None:
    """200,000 requests under each of five policies for every move; the time is logged, never asserted."""
    cell = "from distlib.balancing.labs import LoadBalancingLab\nlab = LoadBalancingLab()\nlab"
    page = shown(lab, jupyterlab, "lab_balancing.ipynb", cell)
    for label, key in (("load ρ", "ArrowLeft"), ("backends", "ArrowRight")):
        before = page.figure_data()
        page.step_slider(label, key=key)
        assert len(page.wait_for_change(before)) == len(before), "updated in place"
        times = [page.repaint_ms(lambda one=(label, key): page.step_slider(*one)) for _ in range(9)]
        log.info("200,000 requests, %s: median %.0f ms of %d moves", label, statistics.median(times), len(times))
    page.page.locator(".widget-toggle-buttons button").filter(has_text="tail").click()
    page.wait_until_idle()
    times = [page.repaint_ms(lambda: page.step_slider("load ρ", key="ArrowRight")) for _ in range(9)]
    log.info("200,000 requests, tail: median %.0f ms of %d moves", statistics.median(times), len(times))


def test_an_unstable_load_is_explained_in_the_lab(lab: LabPage, jupyterlab: JupyterLab) -> None:
    cell = "from distlib.balancing.labs import LoadBalancingLab\nLoadBalancingLab(requests=2000)"
    page = shown(lab, jupyterlab, "lab_unstable.ipynb", cell)
    before = page.figure_data()
    page.set_slider("load ρ", 1.2)
    page.wait_for_change(before)
    page.page.get_by_text("random: queues stay finite").first.wait_for()


def test_live_queues_play(lab: LabPage, jupyterlab: JupyterLab) -> None:
    page = shown(lab, jupyterlab, "lab_live.ipynb", "from distlib.balancing.labs import LiveQueuesLab\nLiveQueuesLab()")
    before = page.figure_data()
    said = page.figure_layout()["annotations"][0]["text"]
    page.figure().locator(".updatemenu-button").first.click()
    page.page.wait_for_timeout(1500)
    page.figure().locator(".updatemenu-button").nth(1).click()
    page.wait_until_idle()
    assert page.figure_data() != before
    assert page.figure_layout()["annotations"][0]["text"] != said
    played = page.figure_data()
    page.press("Two choices")
    assert max(page.wait_for_change(played)[1]["y"]) < max(played[1]["y"])


def test_the_exported_film_plays_alone(lab: LabPage, jupyterlab: JupyterLab, browser: Browser) -> None:
    cell = "from distlib.balancing.labs import LiveQueuesLab\nlab = LiveQueuesLab(frames=20)\nprint(lab.export('html'))"
    page = shown(lab, jupyterlab, "lab_film.ipynb", cell)
    html = page.wait_for_file("exports/live*queues*.html")
    alone = browser.new_context().new_page()
    alone.goto(html.as_uri())
    alone.wait_for_function("() => document.querySelector('.js-plotly-plot')?.data?.length === 2")
    said = "() => document.querySelector('.js-plotly-plot').layout.annotations[0].text"
    before = alone.evaluate(said)
    alone.locator(".updatemenu-button").first.click()
    alone.wait_for_function(f"(before) => ({said})() !== before", arg=before)
    alone.context.close()
