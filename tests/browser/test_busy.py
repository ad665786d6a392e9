"""The Raft chapter on a busy machine in a browser four times slower; ``python -m tests.browser.busy`` does more."""

from __future__ import annotations

from playwright.sync_api import Browser

from tests.browser.busy import busy_cores, run_busy
from tests.browser.server import JupyterLab


def test_the_raft_chapter_runs_to_its_end_and_no_figure_is_empty(browser: Browser, jupyterlab: JupyterLab) -> None:
    with busy_cores():
        assert "none empty" in run_busy(browser, jupyterlab, "03_1_raft.ipynb", slower=4)
