"""Files: HTML on its own, pictures through a Chromium, and what is said when there is none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from distlib.figures import export
from distlib.figures.export import NoBrowserError, find_browser, save_image, to_html
from distlib.figures.spacetime import spacetime
from distlib.figures.time_travel import time_travel
from tests.figures import run


@pytest.mark.parametrize("figure", [spacetime(run.trace()), time_travel(run.trace(), frames=3)])
def test_the_page_loads_nothing_from_anywhere(figure) -> None:  # type: ignore[no-untyped-def]
    page = to_html(figure)
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)\s*=", page)
    assert "cdn.plot.ly" not in page.split("</script>")[-2]
    assert "Plotly.newPlot" in page and len(page) > 1_000_000


def test_chinese_text_is_in_the_page_and_in_the_fonts() -> None:
    page = to_html(spacetime(run.trace()).update_layout(title_text="时空图"))
    assert '<meta charset="utf-8"' in page
    assert "时空图" in page or "\\u65f6\\u7a7a\\u56fe" in page
    assert "Noto Sans CJK SC" in page


def test_without_a_browser_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "find_browser", lambda: None)
    with pytest.raises(NoBrowserError, match=r"cannot draw a.svg.*apt-get install chromium.*BROWSER_PATH.*to_html"):
        save_image(spacetime(run.trace()), tmp_path / "a.svg")


def test_the_browser_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = tmp_path / "my-browser"
    browser.write_text("#!/bin/sh\n")
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER_PATH", str(browser))
    assert find_browser() == str(browser)


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.html", r"path is '.*a.html'; its name must end in .svg, .png"), ("nowhere/a.svg", "there is no folder")],
)
def test_a_bad_path_is_refused(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        save_image(spacetime(run.trace()), tmp_path / name)


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_pictures_are_drawn_with_the_local_browser(tmp_path: Path) -> None:
    figure = spacetime(run.trace()).update_layout(title_text="时空图")
    svg = save_image(figure, tmp_path / "a.svg").read_text(encoding="utf-8")
    assert svg.startswith("<svg") and "时空图" in svg and "leader · term 1" in svg
    assert save_image(figure, tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
