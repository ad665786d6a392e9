"""Frame: where everything of a lab stands on the screen, and what its buttons do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as w
import pandas as pd

from distlib.labs import export, markup
from distlib.labs.controls import Chips
from distlib.labs.declaration import options_of

if TYPE_CHECKING:
    from distlib.labs.lab import Lab


class Frame:
    """The widgets of one lab, and what they say. ``box`` is what a notebook displays."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._said = w.HTML()
        self._warned = w.HTML()
        self._statistics, self._verdicts = w.HTML(), w.HTML()
        self._shared, self._files = w.HTML(), w.HTML()
        self._make_progress()
        self._choice = w.ToggleButtons(options=list(lab.figures), tooltips=[f"Show {name}" for name in lab.figures])
        self._choice.observe(lambda _change: self._chosen(), "value")
        lab.controls.add_widget("figure", self._choice)
        self.buttons = self._make_buttons()
        self.box = self._laid_out()
        self._show_options()

    # --- building -------------------------------------------------------------------------------------------

    def _make_progress(self) -> None:
        self._bar = w.FloatProgress(value=0, min=0, max=1, layout=w.Layout(flex="1 1 auto"))
        self._note = w.Label()
        self.stop_button = w.Button(
            description="Stop", icon="stop", tooltip="Stop this run", layout=w.Layout(width="auto")
        )
        self.stop_button.on_click(lambda _button: self.lab.stop())
        self._progress = w.HBox([self._bar, self._note, self.stop_button], layout=w.Layout(display="none"))

    def _button(self, text: str, icon: str, tooltip: str, act: Callable[[], Any]) -> w.Button:
        button = w.Button(description=text, icon=icon, tooltip=tooltip, layout=w.Layout(width="auto"))

        def pressed(_button: Any) -> None:
            try:
                act()
            except Exception as error:  # a callback's exception would vanish in the kernel's log
                self.lab.error = error
                self._said.value = markup.message("error", _text(error), error)

        button.on_click(pressed)
        return button

    def _make_buttons(self) -> dict[str, w.Button]:
        lab = self.lab
        buttons = {}
        if lab.long:
            buttons["Run"] = self._button("Run", "play", "Run with these values", lab.start)
            buttons["Run"].button_style = "primary"
        buttons["Reset"] = self._button("Reset", "undo", "Back to the values this lab was opened with", lab.reset)
        buttons["Share"] = self._button(
            "Share", "link", "One line of Python that rebuilds this view", self._toggle_share
        )
        buttons["Export"] = self._button(
            "Export", "download", "Write the chosen kinds of files into exports/", self._export
        )
        for text, values in lab.presets.items():
            buttons[text] = self._button(text, "magic", _preset_tooltip(values), partial(lab.preset, text))
        self.kinds = Chips(export.KINDS, export.KINDS, "", "Write this kind of file when Export is pressed")
        return buttons

    def _laid_out(self) -> w.VBox:
        lab = self.lab
        above = [*lab.presets, "Run"] if lab.long else [*lab.presets]  # Run stands where its progress will
        presets = [self.buttons[text] for text in above]
        actions = [self.buttons[text] for text in ("Reset", "Share", "Export")]
        row = w.Layout(flex_flow="row wrap", align_items="center", margin="4px 0 0")
        self._view = lab.controls.grid(list(type(lab).view.specs()))
        parts = [
            w.HTML(f"{markup.STYLE}<div class='lab-title'>{escape(lab.title)}</div>"),
            lab.controls.grid(list(type(lab).params.specs())),
            w.HBox(presets, layout=row) if presets else None,
            self._warned,
            self._said,
            self._progress,
            self._choice if len(lab.figures) > 1 else None,
            self._view,
            lab.picture.box,
            w.HBox([self._statistics, self._verdicts], layout=w.Layout(grid_gap="28px", flex_flow="row wrap")),
            w.HBox([*actions, self.kinds], layout=row),
            self._shared,
            self._files,
        ]
        box = w.VBox([part for part in parts if part is not None])
        box.add_class("lab")
        return box

    # --- what it says ---------------------------------------------------------------------------------------

    def show_progress(self, done: float, total: float, note: str) -> None:
        """Show the progress of a run in the background."""
        self._progress.layout.display = "flex"
        self.stop_button.disabled = False
        self._bar.value = done / total if total else 0.0
        self._note.value = note or (f"{done:,g} of {total:,g}" if total else "running …")

    def show_stopping(self) -> None:
        """Say that the press on Stop has been heard."""
        self.stop_button.disabled = True
        self._note.value = "stopping …"

    def show_idle(self) -> None:
        """Take the progress bar away."""
        self._progress.layout.display = "none"
        self.stop_button.disabled = False

    def show_waiting_for_run(self) -> None:
        """Say that the picture is of other values than the controls', until Run is pressed."""
        self._said.value = markup.message(
            "note", "Press Run to see these values. The picture below is of earlier ones."
        )
        self._stale(True)

    def show_stopped(self, earlier: bool) -> None:
        """Say that a stopped run gave nothing back."""
        below = " The picture below is of the run before." if earlier else ""
        self._said.value = markup.message("note", f"Stopped before there was a result.{below}")
        self._stale(True)

    def show_error(self, error: BaseException) -> None:
        """Say what went wrong; the picture, if there is one, is of the run before."""
        below = "\nThe picture below is of the run before." if self.lab.picture.figure is not None else ""
        self._said.value = markup.message("error", _text(error) + below, error)
        self._stale(True)

    def show_result(
        self, table: pd.DataFrame | None, verdicts: Sequence[tuple[str, bool | None, str]], partial: bool
    ) -> None:
        """Show everything about a result but its figure."""
        lab = self.lab
        self._said.value = (
            markup.message("note", "Stopped early: this is what had been computed until then.") if partial else ""
        )
        self._warned.value = "".join(markup.message("warning", text) for text in lab.params.warnings())
        self._statistics.value = "" if table is None else markup.table(table)
        self._verdicts.value = markup.verdicts(markup.LabVerdict(*one) for one in verdicts)
        self._stale(False)
        self._files.value = ""
        if self._shared.value:
            self._shared.value = markup.share(lab.share())

    def show_files(self, files: export.Export, more: str = "") -> None:
        """Name the files that were written, and say what could not be."""
        problems = "".join(markup.message("warning", text) for text in files.trouble)
        self._files.value = problems + markup.files(files.written, more)

    # --- what its buttons do --------------------------------------------------------------------------------

    def _chosen(self) -> None:
        self._show_options()
        self.lab._redraw()

    def _show_options(self) -> None:
        names = options_of(self.lab.figures[self._choice.value])
        for name in type(self.lab).view.specs():
            self.lab.controls.box(name).layout.display = None if name in names else "none"

    def _toggle_share(self) -> None:
        self._shared.value = "" if self._shared.value else markup.share(self.lab.share())

    def _export(self) -> None:
        self.lab.wait()
        files = export.Export(self.lab, self.kinds.value, Path(export.FOLDER))
        files.write_texts()
        if not files.has_images:
            self.show_files(files)
            return
        self.show_files(files, "The images are being drawn …")
        self.buttons["Export"].disabled = True
        threading.Thread(target=self._draw_images, args=(files,), name="export", daemon=True).start()

    def _draw_images(self, files: export.Export) -> None:
        try:
            files.write_images()
            self.show_files(files)
        finally:
            self.buttons["Export"].disabled = False

    def _stale(self, stale: bool) -> None:
        for part in (self.lab.picture.box, self._statistics, self._verdicts):
            (part.add_class if stale else part.remove_class)("lab-stale")


def _text(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text if isinstance(error, (ValueError, TypeError)) else f"{type(error).__name__}: {text}"


def _preset_tooltip(values: Mapping[str, Any]) -> str:
    return "Set " + ", ".join(f"{name} = {value}" for name, value in values.items())
