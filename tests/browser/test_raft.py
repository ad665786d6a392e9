"""The Raft chapter in a real JupyterLab: run it all, move sliders, export, answer; and how fast the labs repaint."""

from __future__ import annotations

import logging
import statistics
from pathlib import Path

import pytest

from tests.browser.page import LabPage

log = logging.getLogger("tests.browser")

MOVES = {
    "servers": 0,
    "heartbeat (ms)": 0,
    "mean one-way latency (ms)": 0,
    "message loss": 0,
    "leader crashes at (ms)": 0,
}


def test_the_chapter_runs_moves_and_exports(lab: LabPage) -> None:
    lab.open("03_1_raft.ipynb")
    lab.run_all(timeout_s=240)
    lab.page.get_by_text("Raft: electing a leader, and the next one").scroll_into_view_if_needed()
    lab.page.get_by_text("They all stand, nobody wins", exact=False).first.click()
    lab.page.get_by_text("✓ Right.", exact=False).first.wait_for()
    lab.assert_no_errors()


@pytest.mark.parametrize("name", ["election"])
def test_sliders_repaint_and_export_writes_files(lab: LabPage, name: str) -> None:
    lab.open("00_start_here.ipynb")
    lab.run_all(timeout_s=120)
    lab.unfold()
    before = lab.figure_data(0)
    lab.set_slider("servers", 5)
    lab.wait_for_change(before, index=0)
    times = []
    for label in MOVES:
        some = [lab.repaint_ms(lambda label=label: lab.step_slider(label)) for _ in range(4)]
        log.info("election lab, %s: median %.0f ms of %d moves", label, statistics.median(some), len(some))
        times += some
    log.info("election lab, all sliders: median %.0f ms of %d moves", statistics.median(times), len(times))
    lab.press("Export")
    for ending in ("html", "svg", "png", "json"):
        found = lab.wait_for_file(f"exports/raft-election*.{ending}", timeout_s=120)
        assert Path(found).stat().st_size > 500
    assert Path(lab.wait_for_file("exports/raft-election*messages*.csv")).read_text().count("\n") > 20
    lab.assert_no_errors()


def test_the_chapter_in_depth_runs_and_answers(lab: LabPage) -> None:
    lab.open("03_1_raft_in_depth.ipynb")
    lab.run_all(timeout_s=240)
    lab.page.get_by_text("The value from before the partition", exact=False).first.click()
    lab.page.get_by_text("✓ Right.", exact=False).first.wait_for()
    lab.assert_no_errors()


def test_the_map_opens_a_chapter(lab: LabPage) -> None:
    lab.open("00_start_here.ipynb")
    lab.run_all(timeout_s=120)
    lab.page.locator("a.chapter").filter(has_text="Raft").first.click()
    lab.page.get_by_role("heading", name="The problem: one log on many machines").wait_for(timeout=30_000)
