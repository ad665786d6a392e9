"""Every lab in a real JupyterLab: how fast a move of its main control repaints, and how it looks.

``python -m tests.browser.labs`` prints, for each lab, the median time from a move of its first slider (or menu) to the
repainted figure, and the slowest; ``--only ThroughputLab`` takes one. ``--look FOLDER`` saves pictures instead: each
lab at 1,500 and 1,280 pixels, light and dark.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Browser
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from distlib.labs.controls import label_of
from distlib.labs.lab import Lab
from tests.browser.page import LabPage, chromium
from tests.browser.server import JupyterLab
from tests.every_lab import every_lab

THEMES = ("JupyterLab Light", "JupyterLab Dark")
STEP = ("StepLab", "from distlib.workbench.step.lab import StepLab\nfrom distlib.raft.raft import Raft\nStepLab(Raft)")
PLAYED = "\nlab = StepLab(Raft)\nlab.play(60, seed=3)\nlab"


def opened(browser: Browser, server: JupyterLab, name: str, code: str, width: int = 1500) -> LabPage:
    """A notebook with this one cell, run."""
    notebook = new_notebook(cells=[new_code_cell(code)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, server.root / f"{name}.ipynb")
    page = LabPage(browser, server, width=width)
    page.open(f"{name}.ipynb")
    page.run_all(timeout_s=300)
    return page


def _main_move(lab: type[Lab], page: LabPage) -> tuple[str, Callable[[int], None]] | None:
    """The control that stands first, and a function that moves it to and fro."""
    specs = lab.params.specs()
    for name in lab.near or specs:
        label = label_of(specs[name])
        if page.control(label).locator(".noUi-handle").count():
            return label, partial(_step, page, label)
        if page.control(label).locator("select").count():
            return label, partial(_choose, page, label, [str(one) for one in specs[name].choices or ()])
    return None


def _step(page: LabPage, label: str, turn: int) -> None:
    page.step_slider(label, "ArrowLeft" if turn % 2 else "ArrowRight")


def _choose(page: LabPage, label: str, choices: list[str], turn: int) -> None:
    page.choose(label, choices[(turn + 1) % max(1, len(choices) - 1)])  # the History lab's last one needs lines first


def measure(browser: Browser, server: JupyterLab, lab: type[Lab], moves: int) -> str:
    """A row of the table."""
    if lab.long:
        return f"{lab.__name__:20} runs on a press of Run"
    page = opened(browser, server, lab.__name__, f"from {lab.__module__} import {lab.__name__}\n{lab.__name__}()")
    try:
        found = _main_move(lab, page)
        if found is None:
            return f"{lab.__name__:20} has no slider"
        label, move = found
        return row(page, lab.__name__, label, move, moves)
    finally:
        page.close()


def measure_step(browser: Browser, server: JupyterLab, moves: int) -> str:
    """The row of the Step lab: to and fro between two states, with sixty steps on screen."""
    page = opened(browser, server, STEP[0], STEP[1].rsplit("\n", 1)[0] + PLAYED)

    def click(turn: int) -> None:
        page.page.locator("button", has_text="Back" if turn % 2 == 0 else "Forward").first.click()

    try:
        return row(page, STEP[0], "Back and Forward", click, moves)
    finally:
        page.close()


def row(page: LabPage, name: str, label: str, move: Callable[[int], None], moves: int) -> str:
    """The median of so many moves, after two that are not counted."""
    try:
        times = [page.repaint_ms(partial(move, turn), timeout_s=30) for turn in range(moves + 2)][2:]
    except PlaywrightTimeout:
        return f"{name:20} {label:32} a move did not repaint within 30 s"
    return f"{name:20} {label:32} {statistics.median(times):6.0f} ms  (at most {max(times):.0f})"


def look(browser: Browser, server: JupyterLab, name: str, code: str, folder: Path) -> None:
    """Save four pictures of a lab."""
    for width in (1500, 1280):
        page = opened(browser, server, name, code, width)
        page.figure().wait_for(timeout=300_000)
        for theme in THEMES:
            page.page.evaluate("(theme) => jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
            page.page.wait_for_timeout(1500)
            page.screenshot(folder / f"{name}-{width}-{theme.split()[1].lower()}.png")
        page.page.evaluate("(theme) => jupyterapp.commands.execute('apputils:change-theme', {theme})", THEMES[0])
        page.close()


def main() -> None:
    """Read the command line; measure, or take pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.labs", description=__doc__)
    parser.add_argument("--only", nargs="*", help="names of labs (default: all)")
    parser.add_argument("--moves", type=int, default=9)
    parser.add_argument("--look", type=Path)
    chosen = parser.parse_args()
    labs = [one for one in every_lab() if not chosen.only or one.__name__ in chosen.only]
    with tempfile.TemporaryDirectory() as directory:
        root, home = Path(directory, "notebooks"), Path(directory, "home")
        root.mkdir()
        with JupyterLab(root, home) as server, chromium() as browser:
            for lab in labs:
                if chosen.look is None:
                    print(measure(browser, server, lab, chosen.moves), flush=True)
                else:
                    code = f"from {lab.__module__} import {lab.__name__}\n{lab.__name__}()"
                    look(browser, server, lab.__name__, code, chosen.look)
            if not chosen.only or STEP[0] in chosen.only:
                if chosen.look is None:
                    print(measure_step(browser, server, chosen.moves), flush=True)
                else:
                    look(browser, server, *STEP, chosen.look)


if __name__ == "__main__":
    main()
