"""Frame: where everything of a lab stands on the screen, what it says, and the pieces of which others make frames."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape
from typing import Any

import ipywidgets as w
import pandas as pd

from distlib.labs import markup
from distlib.labs.controls import Chips, Controls, Fold
from distlib.labs.export import KINDS, Export, LabReport
from distlib.labs.markup import LabVerdict
from distlib.labs.picture import Picture


def button(text: str, icon: str, tooltip: str, act: Callable[[], Any], failed: Callable[[Exception], None]) -> w.Button:
    """A button that does ``act`` when it is pressed; ``failed`` gets what that raises."""
    made = w.Button(description=text, icon=icon, tooltip=tooltip, layout=w.Layout(width="auto"))

    def pressed(_button: Any) -> None:
        try:
            act()
        except Exception as error:  # a callback's exception would vanish in the kernel's log
            failed(error)

    made.on_click(pressed)
    return made


class ProgressBar(w.HBox):
    """How far a run is, and a Stop button; out of sight while there is none."""

    def __init__(self, stop: Callable[[], None], tooltip: str = "Stop this run") -> None:
        self.bar = w.FloatProgress(value=0, min=0, max=1, layout=w.Layout(flex="1 1 auto"))
        self.note = w.Label()
        self.stop_button = w.Button(description="Stop", icon="stop", tooltip=tooltip, layout=w.Layout(width="auto"))
        self.stop_button.on_click(lambda _button: stop())
        super().__init__([self.bar, self.note, self.stop_button], layout=w.Layout(display="none"))

    def show(self, done: float, total: float, note: str) -> None:
        """Show that ``done`` of ``total`` is finished; a ``total`` of 0 is not known."""
        self.layout.display = "flex"
        self.stop_button.disabled = False
        self.bar.value = done / total if total else 0.0
        self.note.value = note or (f"{done:,g} of {total:,g}" if total else "running …")

    def show_stopping(self) -> None:
        """Say that the press on Stop has been heard."""
        self.stop_button.disabled = True
        self.note.value = "stopping …"

    def hide(self) -> None:
        """Take the bar away."""
        self.layout.display = "none"
        self.stop_button.disabled = False


class ShareLine(w.HTML):
    """The line of Python that rebuilds a view: one press on Share shows it, the next takes it away."""

    def __init__(self, line: Callable[[], str]) -> None:
        super().__init__()
        self.value: str = ""
        self._line = line

    def toggle(self) -> None:
        """Show the line, or take it away."""
        self.value = "" if self.value else markup.share(self._line())

    def renew(self) -> None:
        """Show the line of another view, if one is shown."""
        if self.value:
            self.value = markup.share(self._line())


class Frame:
    """The widgets of one lab, and what they say. ``box`` is what a notebook displays.

    Title and ``question`` (what to look at), presets, picture; then the controls named in ``near``, and in a fold those
    in ``more``; verdicts and statistics. What the buttons do is handed in: ``run`` (None for a lab that needs no press
    on Run), ``stop``, ``reset``, ``preset`` (by name), ``share`` for its line, ``report`` for what is to be exported;
    ``failed`` hears of an error in one of them.
    """

    def __init__(
        self, title: str, question: str, controls: Controls, picture: Picture, near: Sequence[str], more: Sequence[str],
        presets: Mapping[str, Mapping[str, Any]], *, run: Callable[[], None] | None, stop: Callable[[], None],
        reset: Callable[[], None], preset: Callable[[str], None], share: Callable[[], str],
        report: Callable[[], LabReport], failed: Callable[[Exception], None],
    ) -> None:  # fmt: skip
        self.picture, self._report, self._failed = picture, report, failed
        self.said, self.warned, self.files = w.HTML(), w.HTML(), w.HTML()
        self.statistics, self.verdicts = w.HTML(), w.HTML()
        self.progress, self.shared = ProgressBar(stop), ShareLine(share)
        self.kinds = Chips(KINDS, KINDS, "", "Write this kind of file when Export is pressed")
        self.buttons: dict[str, w.Button] = {}
        above = [self.button(text, "magic", _set(values), partial(preset, text)) for text, values in presets.items()]
        if run is not None:  # Run stands where its progress will
            above.append(self.button("Run", "play", "Run with these values", run))
            above[-1].button_style = "primary"
        actions = [
            self.button("Reset", "undo", "Back to the values this lab was opened with", reset),
            self.button("Share", "link", "One line of Python that rebuilds this view", self.shared.toggle),
            self.button("Export", "download", "Write the chosen kinds of files into exports/", self._export),
        ]
        row = w.Layout(flex_flow="row wrap", align_items="center", margin="4px 0 0")
        asked = f"<div class='lab-question'>{escape(question)}</div>" if question else ""
        parts = [
            w.HTML(f"{markup.STYLE}<div class='lab-title'>{escape(title)}</div>{asked}"),
            w.HBox(above, layout=row) if above else None,
            self.warned,
            self.said,
            self.progress,
            controls.figure if len(controls.figure.options) > 1 else None,
            picture.box,
            controls.grid(near),
            Fold("More controls: " + ", ".join(controls.labels(more)), controls.grid(more)) if more else None,
            w.HBox([self.verdicts, self.statistics], layout=w.Layout(grid_gap="4px 28px", flex_flow="row wrap")),
            w.HBox([*actions, self.kinds], layout=row),
            self.shared,
            self.files,
        ]
        self.box = w.VBox([part for part in parts if part is not None])
        self.box.add_class("lab")

    def button(self, text: str, icon: str, tooltip: str, act: Callable[[], Any]) -> w.Button:
        """A button of this lab, known as ``buttons[text]``."""
        made = self.buttons[text] = button(text, icon, tooltip, act, self._failed)
        return made

    def add(self, *parts: w.Widget) -> None:
        """Put a lab's own widgets above the row of Reset, Share and Export."""
        children = list(self.box.children)
        self.box.children = (*children[:-3], *parts, *children[-3:])

    # --- what it says ---------------------------------------------------------------------------------------

    def show_note(self, text: str) -> None:
        """Say why the picture is not of the values that the controls stand on."""
        self.said.value = markup.message("note", text)
        self._mark_stale(True)

    def show_error(self, error: BaseException, stale: bool) -> None:
        """Say what went wrong; the picture, if there is one, is of the run before, unless ``stale`` is False."""
        below = "\nThe picture below is of the run before." if stale and self.picture.figure is not None else ""
        self.said.value = markup.message("error", _text(error) + below, error)
        if stale:
            self._mark_stale(True)

    def show_result(
        self, table: pd.DataFrame | None, verdicts: Sequence[LabVerdict], warnings: Sequence[str], early: bool
    ) -> None:
        """Show everything about a result but its figure."""
        stopped = "Stopped early: this is what had been computed until then."
        self.said.value = markup.message("note", stopped) if early else ""
        self.warned.value = "".join(markup.message("warning", text) for text in warnings)
        self.statistics.value = "" if table is None else markup.table(table)
        self.verdicts.value = markup.verdicts(verdicts)
        self._mark_stale(False)
        self.files.value = ""
        self.shared.renew()

    def show_files(self, files: Export, more: str = "") -> None:
        """Name the files that were written, and say what could not be."""
        problems = "".join(markup.message("warning", text) for text in files.trouble)
        self.files.value = problems + markup.files(files.written, more)

    def _export(self) -> None:
        files = Export(self._report(), self.kinds.value)
        files.write_texts()
        self.show_files(files, "The images are being drawn …" if files.images else "")
        if files.images:
            self.buttons["Export"].disabled = True
            threading.Thread(target=self._draw_images, args=(files,), name="export", daemon=True).start()

    def _draw_images(self, files: Export) -> None:
        try:
            files.write_images()
            self.show_files(files)
        finally:
            self.buttons["Export"].disabled = False

    def _mark_stale(self, stale: bool) -> None:
        for part in (self.picture.box, self.statistics, self.verdicts):
            (part.add_class if stale else part.remove_class)("lab-stale")


def _text(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text if isinstance(error, (ValueError, TypeError)) else f"{type(error).__name__}: {text}"


def _set(values: Mapping[str, Any]) -> str:
    return "The defaults, with " + ", ".join(f"{name} = {value}" for name, value in values.items())
