"""One tab of JupyterLab, and what a reader does in it."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from playwright.sync_api import Browser, Locator, Page, sync_playwright

from tests.browser.server import JupyterLab

log = logging.getLogger("tests.browser")

NOTEBOOK = ".jp-NotebookPanel:not(.lm-mod-hidden)"
TROUBLE = (  # a cell's own error, and those that an Output widget shows while the cell stays green
    f"{NOTEBOOK} [data-mime-type='application/vnd.jupyter.stderr'],"
    f"{NOTEBOOK} [data-mime-type='application/vnd.jupyter.error']"
)
FIGURE = f"{NOTEBOOK} .js-plotly-plot"
HARMLESS = (
    "[anywidget] Failed to initialize model.",  # too busy to start a widget within two seconds; ours draw all the same
    "undefined",  # plotly rejects the promise of a film, with nothing, when another film or its end takes its place
)

# Arrays of a figure are typed ones in the page; they come back as lists.
PLAIN = """(part) => JSON.parse(JSON.stringify(part, (key, value) => {
    if (ArrayBuffer.isView(value)) return Array.from(value);
    if (value && value._inputArray) return Array.from(value._inputArray);
    return key.startsWith('_') || typeof value === 'function' ? undefined : value;
}))"""


def find_chromium() -> str:
    """Return the path of Chromium or Chrome: the variable CHROMIUM, or what is on PATH."""
    for name in (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"):
        if name and (path := shutil.which(name)):
            return path
    raise FileNotFoundError("the browser tests need Chromium: run `sh tools/browser.sh`, or name it in CHROMIUM")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium without a screen. It can reach 127.0.0.1 and no other address."""
    flags = [
        "--no-sandbox",  # the sandbox does not run as root, and we load only our own pages
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=flags)
        try:
            yield browser
        finally:
            browser.close()


class LabPage:
    """A tab of JupyterLab with at most one notebook open.

    Attributes:
        page: Playwright's page, for everything that has no method here.
        outside: Addresses other than the server's that the page asked for; the fixture fails on any.
        broken: Errors that the page's scripts raised, but for the harmless ones; the fixture fails on any.
    """

    def __init__(self, browser: Browser, server: JupyterLab, width: int = 1500, height: int = 1000) -> None:
        self.server = server
        self.path = ""
        self.outside: list[str] = []
        self.broken: list[str] = []
        self._context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True)
        self._context.on("request", lambda request: self._note(request.url))
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(30_000)
        self.page.on("websocket", lambda socket: self._note(socket.url))
        self.page.on("pageerror", lambda error: self._note_error(str(error)))

    # --- the notebook ---------------------------------------------------------------------------------------

    def open(self, path: str) -> None:
        """Open a notebook, named relative to the served directory, and wait for its kernel."""
        self.path = path
        self.page.goto(f"{self.server.url}lab/tree/{quote(path)}?reset&token={self.server.token}")
        self.page.wait_for_function(
            """() => {
                const panel = window.jupyterapp?.shell?.currentWidget;
                const kernel = panel?.sessionContext?.session?.kernel;
                return kernel?.status === 'idle' && panel.content.widgets.length > 0;
            }""",
            timeout=90_000,
        )
        self.page.evaluate("() => { if (jupyterapp.shell.leftCollapsed === false) jupyterapp.shell.collapseLeft(); }")

    def run_all(self, timeout_s: float = 120) -> None:
        """Run every cell, wait for all of them and their widgets, and fail if one shows an error."""
        started = time.monotonic()
        self.page.evaluate(
            """() => {
                window.ranAll = undefined;
                jupyterapp.commands.execute('notebook:run-all-cells').then(
                    () => { window.ranAll = 'done'; }, (error) => { window.ranAll = String(error); });
            }"""
        )
        self.page.wait_for_function("() => window.ranAll !== undefined", timeout=timeout_s * 1000)
        self.wait_until_idle(timeout_s)
        log.info("%s: all cells ran in %.1f s", self.path, time.monotonic() - started)
        self.assert_no_errors()

    def wait_until_idle(self, timeout_s: float = 60) -> None:
        """Wait until the kernel has been idle, and the figures drawn and quiet, for 300 ms."""
        self._watch_figures()
        self.page.wait_for_function(
            """() => {
                window.watchFigures();
                const now = performance.now();
                const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
                if (kernel.status !== 'idle') window.lastBusy = now;
                return now - Math.max(window.lastBusy ?? (window.lastBusy = now), window.lastPlot ?? 0) > 300;
            }""",
            timeout=timeout_s * 1000,
            polling=50,
        )

    def assert_no_errors(self) -> None:
        """Fail if any output, one inside a widget included, shows an error or a line on stderr."""
        troubles = self.page.locator(TROUBLE).all_inner_texts()
        assert not troubles, f"{self.path} shows {len(troubles)} errors:\n" + "\n".join(troubles)
        broken = self.page.get_by_text("Error displaying widget").all_inner_texts()
        assert not broken, f"{self.path}: {broken[0]}"

    def text(self) -> str:
        """Return the visible text of the notebook, outputs and widgets included."""
        return self.page.locator(f"{NOTEBOOK} .jp-Notebook").inner_text()

    # --- widgets --------------------------------------------------------------------------------------------

    def control(self, label: str, index: int = 0) -> Locator:
        """Return the visible control with this description; ``index`` counts those of the same name."""
        named = self.page.locator(".widget-label, .widget-label-basic").get_by_text(label, exact=True)
        controls = self.page.locator(f"{NOTEBOOK} .widget-inline-hbox").filter(visible=True)
        return controls.filter(has=named).nth(index)

    def set_slider(self, label: str, value: object, index: int = 0) -> None:
        """Type a value into a slider's number and press Enter; a range slider takes ``"150 - 300"``."""
        readout = self.control(label, index).locator(".widget-readout")
        readout.click()
        readout.press("ControlOrMeta+a")
        self.page.keyboard.type(str(value))
        self.page.keyboard.press("Enter")

    def step_slider(self, label: str, key: str = "ArrowRight", times: int = 1, handle: int = 0, index: int = 0) -> None:
        """Press a key on a slider's handle, as a reader without a mouse does."""
        self.control(label, index).locator(".noUi-handle").nth(handle).focus()
        for _ in range(times):
            self.page.keyboard.press(key)

    def drag_slider(self, label: str, fraction: float, handle: int = 0, index: int = 0) -> None:
        """Drag a slider's handle to about this fraction of its track; below 0 and above 1 are the ends."""
        control = self.control(label, index)
        control.scroll_into_view_if_needed()
        track = control.locator(".noUi-base").bounding_box()
        grip = control.locator(".noUi-handle").nth(handle).bounding_box()
        assert track is not None and grip is not None, f"the slider {label!r} is not visible"
        mouse = self.page.mouse
        mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
        mouse.down()
        mouse.move(track["x"] + fraction * track["width"], grip["y"] + grip["height"] / 2, steps=5)
        mouse.up()

    def slider_text(self, label: str, index: int = 0) -> str:
        """Return what a slider's readout shows."""
        return self.control(label, index).locator(".widget-readout").inner_text()

    def type_text(self, label: str, text: object, index: int = 0) -> None:
        """Fill the text or number box whose description is ``label``, and press Enter."""
        box = self.control(label, index).locator("input, textarea")
        box.fill(str(text))
        box.press("Enter")

    def choose(self, label: str, option: str, index: int = 0) -> None:
        """Choose an option of the dropdown whose description is ``label``."""
        self.control(label, index).locator("select").select_option(label=option)

    def tick(self, label: str, index: int = 0) -> None:
        """Turn the checkbox with this text on or off."""
        self.control(label, index).locator("input[type=checkbox]").click()

    def unfold(self) -> None:
        """Open what labs have folded away."""
        for line in self.page.locator(f"{NOTEBOOK} button.lab-fold:not(.mod-active)").filter(visible=True).all():
            line.click()
        self.page.wait_for_timeout(200)

    def button(self, text: str, index: int = 0) -> Locator:
        """Return the visible widget button with this text."""
        buttons = self.page.locator(f"{NOTEBOOK} button.widget-button").filter(visible=True)
        return buttons.filter(has_text=text).nth(index)

    def press(self, text: str, index: int = 0) -> None:
        """Press the widget button with this text."""
        self.button(text, index).click()

    # --- figures --------------------------------------------------------------------------------------------

    def figure(self, index: int = 0) -> Locator:
        """Return the n-th plotly figure of the notebook, in reading order."""
        return self.page.locator(FIGURE).nth(index)

    def figure_data(self, index: int = 0) -> list[dict[str, Any]]:
        """Return the traces of a figure as the browser holds them; arrays are lists."""
        return self._part_of_figure("data", index)  # type: ignore[no-any-return]

    def figure_layout(self, index: int = 0) -> dict[str, Any]:
        """Return the layout of a figure as the browser holds it."""
        return self._part_of_figure("layout", index)  # type: ignore[no-any-return]

    def wait_for_change(
        self, before: list[dict[str, Any]], index: int = 0, timeout_s: float = 20
    ) -> list[dict[str, Any]]:
        """Wait until a figure's data differ from ``before`` and the page is quiet; return the new data."""
        deadline = time.monotonic() + timeout_s
        while self.figure_data(index) == before:
            assert time.monotonic() < deadline, f"figure {index} did not change within {timeout_s} s"
            self.page.wait_for_timeout(50)
        self.wait_until_idle()
        return self.figure_data(index)

    def repaint_ms(self, move: Callable[[], None], index: int = 0, timeout_s: float = 20) -> float:
        """Move something, wait for figure ``index`` to be drawn again, and return the time between, in ms.

        The clock starts at the last key or pointer event that reaches the page, and stops at the frame after
        the figure's last ``plotly_afterplot``: the way to the kernel, the run and the way back are all in it.
        """
        self._watch_figures()
        self.page.evaluate("() => { window.lastInput = undefined; window.drawn = {}; }")
        move()
        self.page.wait_for_function(
            "(index) => window.drawn[index] > window.lastInput", arg=index, timeout=timeout_s * 1000, polling=100
        )
        self.wait_until_idle(timeout_s)
        taken = float(self.page.evaluate("(index) => window.drawn[index] - window.lastInput", index))
        log.info("%s: figure %d repainted in %.0f ms", self.path, index, taken)
        return taken

    # --- files and pictures ---------------------------------------------------------------------------------

    def wait_for_file(self, pattern: str, timeout_s: float = 30) -> Path:
        """Wait for a non-empty file that matches ``pattern``, relative to the notebook's directory."""
        directory = (self.server.root / self.path).parent
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for file in sorted(directory.glob(pattern)):
                if file.stat().st_size:
                    return file
            self.page.wait_for_timeout(100)
        present = sorted(str(file.relative_to(directory)) for file in directory.rglob("*") if file.is_file())
        raise AssertionError(f"no {pattern} beside {self.path} within {timeout_s} s; there are {present}")

    def screenshot(self, file: Path | str) -> None:
        """Save a picture of what is in the window."""
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=file)

    def screenshots(self, prefix: Path | str) -> list[Path]:
        """Save the whole notebook as a series of pictures, from top to bottom; return their paths."""
        scroller = self.page.locator(f"{NOTEBOOK} .jp-WindowedPanel-outer").first
        height, view = scroller.evaluate("(box) => [box.scrollHeight, box.clientHeight]")
        files = []
        for number, top in enumerate(range(0, max(1, height - 40), view - 40)):
            scroller.evaluate("(box, top) => { box.scrollTop = top; }", top)
            self.page.wait_for_timeout(300)
            file = Path(f"{prefix}-{number:02d}.png")
            file.parent.mkdir(parents=True, exist_ok=True)
            scroller.screenshot(path=file)
            files.append(file)
        return files

    # --- the end --------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Shut the notebook's kernel down and close the tab."""
        if not self.page.is_closed():
            self.page.evaluate(
                """async () => {
                    window.onbeforeunload = null;
                    await window.jupyterapp?.serviceManager?.sessions?.shutdownAll();
                }"""
            )
        self._context.close()

    def _note(self, url: str) -> None:
        if urlsplit(url).scheme in ("http", "https", "ws", "wss") and urlsplit(url).hostname != "127.0.0.1":
            self.outside.append(url)

    def _note_error(self, error: str) -> None:
        if error not in HARMLESS:
            self.broken.append(error)

    def _part_of_figure(self, part: str, index: int) -> Any:
        text = self.figure(index).evaluate(f"(figure) => JSON.stringify(({PLAIN})(figure.{part}))")
        return json.loads(text)

    def _watch_figures(self) -> None:
        """Let every figure note when it was drawn, and the page when the reader last did something."""
        self.page.evaluate(
            """(selector) => {
                if (!window.drawn) {
                    window.drawn = {};
                    const note = () => { window.lastInput = performance.now(); };
                    for (const kind of ['keydown', 'pointerdown', 'pointerup', 'change'])
                        document.addEventListener(kind, note, true);
                    window.watchFigures = () => document.querySelectorAll(selector).forEach((figure, index) => {
                        if (figure.watched || !figure.on) return;
                        figure.watched = true;
                        window.lastPlot = performance.now();
                        figure.on('plotly_afterplot', () => {
                            window.lastPlot = performance.now();
                            requestAnimationFrame(() => { window.drawn[index] = performance.now(); });
                        });
                    });
                }
                window.watchFigures();
            }""",
            FIGURE,
        )
