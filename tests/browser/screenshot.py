"""Look at a notebook as a reader sees it.

``python -m tests.browser.screenshot notebooks/03_1_raft.ipynb test-results/raft`` runs all cells in a real JupyterLab
and saves test-results/raft-00.png, -01.png, ... from top to bottom. Errors are printed, and the pictures taken anyway.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from tests.browser.page import LabPage, chromium
from tests.browser.server import JupyterLab


def main() -> None:
    """Read the command line and take the pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.screenshot", description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("prefix", type=Path)
    parser.add_argument("--width", type=int, default=1500)
    parser.add_argument("--height", type=int, default=1400)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as directory:
        root, home = Path(directory, "notebooks"), Path(directory, "home")
        shutil.copytree(arguments.notebook.parent, root, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
        with JupyterLab(root, home) as server, chromium() as browser:
            page = LabPage(browser, server, arguments.width, arguments.height)
            page.open(arguments.notebook.name)
            try:
                page.run_all()
            except AssertionError as error:
                print(error)
            for file in page.screenshots(arguments.prefix):
                print(file)
            for line in [*page.broken, *page.outside]:
                print("page:", line)
            page.close()


if __name__ == "__main__":
    main()
