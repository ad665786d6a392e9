"""The Step lab in a real JupyterLab: clicks in the panel and in the tree, and how long one takes with 500 events shown.

The medians are logged: ``pytest tests/browser/test_step.py --log-cli-level=INFO -k answers``.
"""

from __future__ import annotations

import logging
import statistics

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from tests.browser.page import LabPage
from tests.browser.server import JupyterLab

log = logging.getLogger("tests.browser")


def shown(lab: LabPage, server: JupyterLab, name: str, code: str) -> LabPage:
    notebook = new_notebook(cells=[new_code_cell(code)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, server.root / name)
    lab.open(name)
    lab.run_all()
    return lab


def opened(lab: LabPage, server: JupyterLab, steps: int, shown_steps: int, protocol: str = "Raft") -> LabPage:
    module = {"Raft": "raft.raft", "Paxos": "paxos.paxos"}[protocol]
    code = (
        f"from distlib.workbench.step.lab import StepLab\nfrom distlib.{module} import {protocol}\n"
        f"lab = StepLab({protocol}, shown={shown_steps})\n" + (f"lab.play({steps}, seed=3)\n" if steps else "") + "lab"
    )
    return shown(lab, server, f"step_{protocol}_{steps}.ipynb", code)


def press(page: LabPage, act: str, index: int = 0) -> None:
    """Press the panel's button that does ``act``."""
    page.page.locator(f'.step-panel button[data-act="{act}"]:not([disabled])').nth(index).click()


def where(page: LabPage) -> str:
    """What the panel says of the place."""
    return page.page.locator(".step-head").inner_text()


def test_clicks_deliver_crash_partition_branch_and_the_tree_can_be_clicked(
    lab: LabPage, jupyterlab: JupyterLab
) -> None:
    page = opened(lab, jupyterlab, 0, 30)
    before = page.figure_data()
    press(page, "fire")
    fired = page.wait_for_change(before)
    assert "Step 1" in where(page)
    press(page, "deliver")
    delivered = page.wait_for_change(fired)
    press(page, "link")
    partitioned = page.wait_for_change(delivered)
    assert page.page.locator(".step-partitioned").count() == 1
    press(page, "crash", 1)
    page.wait_for_change(partitioned)
    assert "restart" in page.page.locator(".step-state").inner_text()
    page.press("Back")
    page.press("Back")
    page.page.wait_for_function("() => document.querySelector('.step-head').innerText.includes('Step 2')")
    press(page, "drop")
    page.page.wait_for_function("() => document.querySelector('.step-head').innerText.includes('lose')")
    page.wait_until_idle()
    tree = next(one for one in page.figure_data() if one["name"] == "you are here")
    assert tree["y"] == [-1]
    page.press("Undo")
    page.page.wait_for_function("() => !document.querySelector('.step-head').innerText.includes('lose')")
    page.wait_until_idle()
    click_on_tree(page, 4)
    page.page.wait_for_function("() => document.querySelector('.step-head').innerText.includes('Step 4')")
    page.press("Find a violation from here")
    page.press("Stop")
    page.page.wait_for_function("() => document.querySelector('.jp-Notebook').innerText.includes('topped')")
    assert not page.page.get_by_text("Error displaying widget").count()


def click_on_tree(page: LabPage, step: int) -> None:
    """Click on the first row of the tree at ``step``."""
    page.figure().evaluate("(figure) => figure.scrollIntoView({block: 'end'})")
    place = page.figure().evaluate(
        """(figure, step) => {
            const layout = figure._fullLayout, box = figure.getBoundingClientRect();
            return [box.left + layout.xaxis._offset + layout.xaxis.l2p(step),
                    box.top + layout.yaxis3._offset + layout.yaxis3.l2p(0)];
        }""",
        step,
    )
    page.page.mouse.move(place[0] - 3, place[1] - 3)
    page.page.mouse.move(place[0], place[1])
    page.page.wait_for_timeout(300)
    page.page.mouse.click(place[0], place[1])


def segments(page: LabPage) -> int:
    """How many lines, those of messages above all, the space-time picture has; the tree below it has another axis."""
    lines = [one for one in page.figure_data() if one["type"] == "scatter" and one.get("yaxis") == "y2"]
    return sum(one["x"].count(None) for one in lines)


def test_a_click_answers_with_500_events_on_screen(lab: LabPage, jupyterlab: JupyterLab) -> None:
    page = opened(lab, jupyterlab, 500, 500)
    assert segments(page) > 350  # most of the 500 events deliver a message
    clicks = {"deliver": lambda: press(page, "deliver"), "back": lambda: page.press("Back")}
    for what, click in clicks.items():
        count = 15 if what == "deliver" else 7
        times = []
        for _ in range(count):
            if what == "deliver" and not page.page.locator('.step-panel button[data-act="deliver"]').count():
                press(page, "fire")
                page.wait_until_idle()
            times.append(page.repaint_ms(click))
        log.info("Step lab, 500 events on screen, %s: median %.0f ms of %d clicks %s", what, statistics.median(times),
                 len(times), [round(one) for one in times])  # fmt: skip
