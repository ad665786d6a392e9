"""Fixtures: one JupyterLab and one Chromium for all browser tests, a fresh tab and kernel for each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.page import LabPage, chromium
from tests.browser.server import REPOSITORY, JupyterLab

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the browser tests together on one worker: they share a server and a browser."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("browser")
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Leave a picture of the page when a test fails."""
    report = yield
    page = getattr(item, "funcargs", {}).get("lab")
    if report.when == "call" and report.failed and isinstance(page, LabPage):
        page.screenshot(REPOSITORY / "test-results" / f"{item.name}.png")
    return report


@pytest.fixture(scope="session")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterLab]:
    """A JupyterLab that serves a copy of ``notebooks/``."""
    root = tmp_path_factory.mktemp("course") / "notebooks"
    if (REPOSITORY / "notebooks").is_dir():
        shutil.copytree(REPOSITORY / "notebooks", root, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "exports"))
    root.mkdir(exist_ok=True)
    with JupyterLab(root, tmp_path_factory.mktemp("jupyter")) as server:
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A Chromium that reaches only 127.0.0.1."""
    with chromium() as running:
        yield running


@pytest.fixture
def lab(browser: Browser, jupyterlab: JupyterLab) -> Iterator[LabPage]:
    """A tab of JupyterLab; see the docstring of ``tests.browser``."""
    page = LabPage(browser, jupyterlab)
    yield page
    page.close()
    assert not page.outside, f"the page asked for other addresses: {sorted(set(page.outside))}"
    assert not page.broken, f"the page's scripts failed: {page.broken}"
