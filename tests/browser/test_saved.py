"""A saved notebook as a page, in Chromium: its pictures are drawn without a kernel or another address."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser

from tests.labs.test_static import CELLS, ran_and_saved


def test_the_pictures_of_a_saved_notebook_are_drawn(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "saved.html"
    file.write_text(ran_and_saved(*CELLS), encoding="utf-8")
    page = browser.new_context().new_page()
    page.goto(file.as_uri(), wait_until="commit")  # nbconvert's own page asks for scripts of other addresses
    drawn = "() => [...document.querySelectorAll('.js-plotly-plot')].filter((one) => one.querySelector('.trace'))"
    page.wait_for_function(f"() => ({drawn})().length === 2", timeout=120_000)
    assert page.evaluate(f"({drawn})()[0].data.length") == 3
    page.context.close()
