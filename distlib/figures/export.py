"""Figures as files: HTML that needs nothing but a browser, and SVG, PNG or PDF through a local Chromium.

Kaleido finds the browser by the variable ``BROWSER_PATH``, else on PATH (chrome, chromium, google-chrome, ...), and
runs it without its sandbox, so it works as root too. It would fetch MathJax from a CDN; here it must not.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import plotly.graph_objects as go

FORMATS = ("svg", "png", "pdf", "jpg", "jpeg", "webp")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


class NoBrowserError(RuntimeError):
    """A picture was asked for, and no Chromium or Chrome is there to draw it."""


def find_browser() -> str | None:
    """The path of Chromium or Chrome, by BROWSER_PATH, CHROMIUM or else PATH; None if there is none."""
    for name in (os.environ.get("BROWSER_PATH"), os.environ.get("CHROMIUM"), *BROWSERS):
        if name and (path := shutil.which(name)):
            return path
    from choreographer.browsers.chromium import Chromium

    found = Chromium.find_browser(skip_local=False)  # where Windows and macOS keep it, or kaleido's own download
    return str(found) if found else None


def to_html(figure: go.Figure, *, full_page: bool = True) -> str:
    """The figure as HTML with plotly.js inside: opens from a file, with no server, kernel or network."""
    off = dict.fromkeys(("displaylogo", "responsive", "scrollZoom", "showSendToCloud"), False)
    parts = {"include_plotlyjs": True, "include_mathjax": False, "full_html": full_page, "auto_play": False}
    return str(figure.to_html(**parts, config={**off, "topojsonURL": ""}))


def save_image(figure: go.Figure, path: str | Path) -> Path:
    """Draw the figure into ``path``, in the format of its ending (svg, png, pdf, ...), and return it; a png has two
    pixels for one of the figure's. Raises ``ValueError`` for another ending and ``NoBrowserError`` when there is no
    Chromium; HTML can be written all the same."""
    target = Path(path)
    if target.suffix[1:].lower() not in FORMATS:
        raise ValueError(f"path is {str(path)!r}; its name must end in {', '.join('.' + one for one in FORMATS)}")
    if not target.parent.is_dir():
        raise ValueError(f"path is {str(path)!r}; there is no folder {str(target.parent)!r}")
    browser = find_browser()
    if browser is None:
        raise NoBrowserError(
            f"cannot draw {target.name}: that needs Chromium or Chrome, and none was found. Install one (Debian, "
            "Ubuntu: `sudo apt-get install chromium`; conda and others: `plotly_get_chrome`) or name it in "
            "BROWSER_PATH. HTML (to_html) needs none, and the camera button of the figure in the notebook saves an SVG."
        )
    import kaleido

    how = {"opts": {"format": target.suffix[1:].lower(), "scale": 2.0}, "kopts": {"mathjax": False, "path": browser}}
    kaleido.write_fig_sync(figure.to_plotly_json(), path=str(target), **how)
    return target
