"""Chapters on a busy machine: every core computes something else, and the browser's processor is slowed down.

``python -m tests.browser.busy --runs 10`` runs every chapter ten times, says how long *Run All* took, and ends with 1
if one did not end or left a figure empty. ``--chapters 03_1_raft`` takes some, ``--slower 1`` leaves the browser its
speed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Error

from tests.browser.page import NOTEBOOK, LabPage, chromium
from tests.browser.server import REPOSITORY, JupyterLab

DRAWN = ":is(.trace, .hm, .table)"  # in a cell that returns a figure, the place is the plot itself


@contextmanager
def busy_cores() -> Iterator[None]:
    """A process a core that does nothing but compute."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for one in others:
            one.kill()
            one.wait()


def empty_figures(page: LabPage) -> list[str]:
    """What stands where a picture of a lab, or a figure, is not drawn; waits up to a minute for the last."""
    places = page.page.locator(f"{NOTEBOOK} :is(.lab-picture, .jp-RenderedPlotly)")
    deadline = time.monotonic() + 60
    while True:
        empty = [one.inner_html()[:200] for one in places.all() if not one.locator(DRAWN).count()]
        if not empty or time.monotonic() > deadline:
            return empty
        page.page.wait_for_timeout(500)


def run_busy(browser: Browser, server: JupyterLab, notebook: str, slower: float, timeout_s: float = 900) -> str:
    """Run all of a notebook; how long it took and how many figures it has. Raises ``AssertionError`` for an error in an
    output or an empty figure."""
    page = LabPage(browser, server)
    try:
        page.page.context.new_cdp_session(page.page).send("Emulation.setCPUThrottlingRate", {"rate": slower})
        page.page.set_default_timeout(timeout_s * 1000)
        page.open(notebook)
        started = time.monotonic()
        page.run_all(timeout_s=timeout_s)
        taken = time.monotonic() - started
        empty = empty_figures(page)
        assert not empty, f"{notebook}: {len(empty)} figures are empty: {empty[0]}"
        count = page.page.locator(f"{NOTEBOOK} .js-plotly-plot").count()
        assert not page.broken, page.broken
        return f"{taken:.0f} s, {count} figures, none empty"
    finally:
        page.close()


def main() -> int:
    """Read the command line, run, and count what failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.busy", description=__doc__)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--chapters", nargs="*", help="names without .ipynb (default: all)")
    parser.add_argument("--slower", type=float, default=4.0, help="how many times slower the browser is")
    chosen = parser.parse_args()
    names = chosen.chapters or sorted(path.stem for path in (REPOSITORY / "notebooks").glob("*.ipynb"))
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        root, home = Path(directory, "notebooks"), Path(directory, "home")
        shutil.copytree(REPOSITORY / "notebooks", root, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "exports"))
        with JupyterLab(root, home) as server, chromium() as browser, busy_cores():
            for name in names:
                for number in range(1, chosen.runs + 1):
                    try:
                        said = run_busy(browser, server, f"{name}.ipynb", chosen.slower)
                    except (AssertionError, Error) as error:
                        failed, said = failed + 1, f"FAILED: {error}"
                    print(f"{name}, run {number}: {said}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
