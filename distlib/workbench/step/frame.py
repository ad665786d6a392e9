"""The widgets around the Step lab's panel and picture."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as w

from distlib.labs import markup
from distlib.workbench.step.panel import Panel
from distlib.workbench.step.picture import SHOWN
from distlib.workbench.step.tree import State

if TYPE_CHECKING:
    from distlib.workbench.step.lab import StepLab

ROW = {"flex_flow": "row wrap", "align_items": "center", "margin": "4px 0 0", "grid_gap": "2px 4px"}


class StepFrame:
    """What a notebook displays of a Step lab (``box``), and what it says."""

    def __init__(self, lab: StepLab, title: str) -> None:
        self.lab, self.title = lab, title
        self._said, self._shared = w.HTML(), w.HTML()
        self.panel: Panel | None = None
        self._place = w.VBox([])
        self._ends: list[State] = []
        self._make_progress()
        self.buttons: dict[str, w.Button] = {}
        parts = [
            w.HTML(f"{markup.STYLE}<div class='lab-title'>{escape(title)}</div>"),
            self._moves(), self._said, self._place, self._random(), self._search(), self._progress,
            lab.picture.box, self._papers(), self._shared,
        ]  # fmt: skip
        self.box = w.VBox(parts)
        self.box.add_class("lab")

    # --- building -------------------------------------------------------------------------------------------

    def _button(self, text: str, icon: str, tooltip: str, act: Callable[[], Any]) -> w.Button:
        button = w.Button(description=text, icon=icon, tooltip=tooltip, layout=w.Layout(width="auto"))
        button.on_click(lambda _button: self.lab._pressed(act))
        self.buttons[text] = button
        return button

    def _number(self, text: str, value: float, low: float, high: float, tooltip: str, width: int = 62) -> Any:
        kind = w.BoundedIntText if isinstance(value, int) else w.BoundedFloatText
        box = kind(value=value, min=low, max=high, tooltip=tooltip, layout=w.Layout(width=f"{width}px"))
        return box, w.HBox([w.Label(text), box], layout=w.Layout(align_items="center", margin="0 6px 0 4px"))

    def _moves(self) -> w.HBox:
        lab = self.lab
        self._branch = w.Dropdown(options=[("the only branch", 0)], tooltip="Go to the end of a branch",
                                  layout=w.Layout(width="230px"))  # fmt: skip
        self._branch.observe(lambda _change: self._chosen(), "value")
        self._quiet = False
        self.shown = w.Dropdown(options=[(f"show {one} steps", one) for one in SHOWN], value=lab.picture.shown,
                                layout=w.Layout(width="130px"))  # fmt: skip
        self.shown.observe(lambda change: lab._pressed(partial(self._zoom, change["new"])), "value")
        return w.HBox([
            self._button("Back", "step-backward", "One step back on this branch; nothing is lost", lab.back),
            self._button("Forward", "step-forward", "One step on along the branch tried last", lab.forward),
            self._button("Undo", "undo", "Take back what was done last, out of the tree too", lab.undo),
            self._branch, self.shown,
        ], layout=w.Layout(**ROW))  # fmt: skip

    def _random(self) -> w.HBox:
        self.count, count = self._number("steps", 20, 1, 5000, "How many random steps")
        self.seed, seed = self._number("seed", 7, 0, 2**31, "The same seed goes the same way", 84)
        self.faults = w.Checkbox(value=False, description="with losses, copies and crashes", indent=False,
                                 layout=w.Layout(width="auto"))  # fmt: skip
        button = self._button("Play on", "play", "Go on at random from here", self._play)
        return w.HBox([button, count, seed, self.faults], layout=w.Layout(**ROW))

    def _search(self) -> w.HBox:
        self.timeouts, timeouts = self._number("timeouts ≤", 3, 0, 50, "How often timers may fire in the search")
        self.crashes, crashes = self._number("crashes ≤", 1, 0, 9, "How often nodes may crash in the search")
        self.seconds, seconds = self._number("seconds", 20, 1, 600, "Half breadth-first, half random walks")
        text = "Find a violation from here"
        return w.HBox([self._button(text, "search", "Explore from this state, in the background", self._find), timeouts,
                       crashes, seconds], layout=w.Layout(**ROW))  # fmt: skip

    def _papers(self) -> w.HBox:
        lab = self.lab
        return w.HBox([
            self._button("Reset", "refresh", "Start again with an empty tree", lab.reset),
            self._button("Share", "link", "One line of Python that leads here", self._share),
            self._button("Export", "download", "Diagram as HTML and the tree as JSON, into exports/", self._export),
        ], layout=w.Layout(**ROW))  # fmt: skip

    def _make_progress(self) -> None:
        self._bar = w.FloatProgress(value=0, min=0, max=1, layout=w.Layout(flex="1 1 auto"))
        self._note = w.Label()
        stop = w.Button(description="Stop", icon="stop", tooltip="Stop the search", layout=w.Layout(width="auto"))
        stop.on_click(lambda _button: self.lab.stop())
        self._progress = w.HBox([self._bar, self._note, stop], layout=w.Layout(display="none"))

    # --- what it says ---------------------------------------------------------------------------------------

    def say(self, kind: str, text: str) -> None:
        """Show a message; an empty text takes the last one away."""
        said = markup.message(kind, text) if text else ""
        if self._said.value != said:
            self._said.value = said

    def say_error(self, error: BaseException) -> None:
        """Show an error with its traceback."""
        self._said.value = markup.message("error", f"{type(error).__name__}: {error}", error)

    def show_progress(self, done: float, total: float, note: str) -> None:
        """Show how far a search is."""
        self._progress.layout.display = "flex"
        self._bar.value, self._note.value = (done / total if total else 0.0), note

    def show_idle(self) -> None:
        """Take the progress bar away."""
        self._progress.layout.display = "none"

    def show(self, content: dict[str, Any]) -> None:
        """Show a state in the panel, and name the branches."""
        if self.panel is None:
            self.panel = Panel(content, self._pressed)
            self._place.children = (self.panel,)
        else:
            self.panel.content = content
        self._name_branches()
        if self._shared.value:
            self._shared.value = markup.share(self.lab.share())

    def _name_branches(self) -> None:
        ends = self.lab.tree.ends()
        options = [(_branch_name(number, end), number - 1) for number, end in enumerate(ends, 1)]
        options = options if len(ends) > 1 else [("the only branch", 0)]
        on = self.lab.state
        here = next((place for place, end in enumerate(ends) if end is on), None)
        self._quiet, self._ends = True, ends
        try:
            if tuple(options) != tuple(self._branch.options):
                self._branch.options = options
            if here is not None and self._branch.value != here:
                self._branch.value = here
        finally:
            self._quiet = False

    # --- what its buttons do --------------------------------------------------------------------------------

    def _pressed(self, act: str, name: str) -> None:
        lab = self.lab
        acts: dict[str, Callable[[], Any]] = {
            "deliver": lambda: lab.deliver(int(name)), "drop": lambda: lab.drop(int(name)),
            "duplicate": lambda: lab.duplicate(int(name)), "request": lambda: lab.request(int(name)),
            "fire": lambda: lab.take(lab.timers[int(name.split("|")[1])]), "crash": lambda: lab.crash(name),
            "restart": lambda: lab.restart(name), "link": lambda: self._switch(*name.split("|")),
        }  # fmt: skip
        if act in acts:
            lab._pressed(acts[act])

    def _switch(self, one: str, other: str) -> None:
        apart = {(one, other), (other, one)} & self.lab.state.moment.partitioned
        (self.lab.heal if apart else self.lab.partition)(one, other)

    def _chosen(self) -> None:
        if not self._quiet and self._branch.value is not None:
            self.lab._pressed(lambda: self.lab.go(self._ends[self._branch.value].number))

    def _zoom(self, shown: int) -> None:
        self.lab.picture.shown = shown
        self.lab.go(self.lab.state.number)

    def _play(self) -> None:
        self.lab.play(self.count.value, self.seed.value, faults=self.faults.value)

    def _find(self) -> None:
        self.lab.find(timeouts=self.timeouts.value, crashes=self.crashes.value, seconds=float(self.seconds.value))

    def _share(self) -> None:
        self._shared.value = "" if self._shared.value else markup.share(self.lab.share())

    def _export(self) -> None:
        self._shared.value = markup.files(self.lab.export())


def _branch_name(number: int, end: State) -> str:
    return f"branch {number}" + (f": ✗ {end.broken.invariant}" if end.broken is not None else "")
