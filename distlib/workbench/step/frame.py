"""The widgets around the Step lab's panel and picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from typing import Any

import ipywidgets as w

from distlib.labs import markup
from distlib.labs.frame import ProgressBar, ShareLine, button
from distlib.workbench.step.cluster import MOST_STEPS, ClusterState
from distlib.workbench.step.panel import Panel
from distlib.workbench.step.picture import SHOWN

QUESTION = (
    "You are the network, the clock and the fate: can you break one of the promises at the right? "
    "Begin with the blue button, and deliver what it sends."
)
ROW = {"flex_flow": "row wrap", "align_items": "center", "margin": "4px 0 0", "grid_gap": "2px 4px"}


class StepFrame:
    """What a notebook displays of a Step lab (``box``), and what it says.

    ``press(name, *arguments)`` calls the lab's method of this name, and shows what goes wrong; ``share()`` is the line
    that leads to the lab's state; ``picture`` is the widget of the diagram, which shows ``shown`` steps.
    """

    def __init__(
        self, title: str, press: Callable[..., Any], share: Callable[[], str], picture: w.Widget, shown: int
    ) -> None:
        self.title, self._press = title, press
        self._said, self._files = w.HTML(), w.HTML()
        self._shared = ShareLine(share)
        self._button = partial(button, failed=self.say_error)
        self.progress = ProgressBar(partial(press, "stop"), "Stop the search")
        self.panel: Panel | None = None
        self._place = w.VBox([])
        self._ends: Sequence[ClusterState] = ()
        self._quiet = False
        parts = [
            w.HTML(
                f"{markup.STYLE}<div class='lab-title'>{escape(title)}</div><div class='lab-question'>{QUESTION}</div>"
            ),
            self._moves(shown), self._said, self._place, self.progress, picture, self._random(), self._search(),
            self._papers(), self._shared, self._files,
        ]  # fmt: skip
        self.box = w.VBox(parts)
        self.box.add_class("lab")

    # --- building -------------------------------------------------------------------------------------------

    def _number(self, text: str, value: int, low: int, high: int, tooltip: str, width: int = 62) -> Any:
        box = w.BoundedIntText(value=value, min=low, max=high, tooltip=tooltip, layout=w.Layout(width=f"{width}px"))
        return box, w.HBox([w.Label(text), box], layout=w.Layout(align_items="center", margin="0 6px 0 4px"))

    def _moves(self, shown: int) -> w.HBox:
        self._branch = w.Dropdown(options=[("the only branch", 0)], tooltip="Go to the end of a branch",
                                  layout=w.Layout(width="230px"))  # fmt: skip
        self._branch.observe(lambda _change: self._chosen(), "value")
        zoom = w.Dropdown(options=[(f"show {one} steps", one) for one in SHOWN], value=shown,
                          layout=w.Layout(width="130px"))  # fmt: skip
        zoom.observe(lambda change: self._press("zoom", change["new"]), "value")
        moves = (
            ("Back", "step-backward", "One step back on this branch; nothing is lost"),
            ("Forward", "step-forward", "One step on along the branch tried last"),
            ("Undo", "undo", "Take back what was done last, out of the tree too"),
        )
        buttons = [self._button(*move, partial(self._press, move[0].lower())) for move in moves]
        return w.HBox([*buttons, self._branch, zoom], layout=w.Layout(**ROW))

    def _random(self) -> w.HBox:
        count, count_box = self._number("steps", 20, 1, MOST_STEPS, "How many random steps")
        seed, seed_box = self._number("seed", 7, 0, 2**31, "The same seed goes the same way", 84)
        faults = w.Checkbox(value=False, description="with losses, copies and crashes", indent=False,
                            layout=w.Layout(width="auto"))  # fmt: skip
        play = self._button("Play on", "play", "Go on at random from here",
                              lambda: self._press("play", count.value, seed.value, faults=faults.value))  # fmt: skip
        return w.HBox([play, count_box, seed_box, faults], layout=w.Layout(**ROW))

    def _search(self) -> w.HBox:
        timeouts, timeouts_box = self._number("timeouts ≤", 3, 0, 50, "How often timers may fire in the search")
        crashes, crashes_box = self._number("crashes ≤", 1, 0, 9, "How often nodes may crash in the search")
        seconds, seconds_box = self._number("seconds", 20, 1, 600, "Half breadth-first, half random walks")

        def find() -> None:
            self._press("find", timeouts=timeouts.value, crashes=crashes.value, seconds=float(seconds.value))

        text = "Find a violation from here"
        search = self._button(text, "search", "Explore from this state, in the background", find)
        return w.HBox([search, timeouts_box, crashes_box, seconds_box], layout=w.Layout(**ROW))

    def _papers(self) -> w.HBox:
        return w.HBox([
            self._button("Reset", "refresh", "Start again with an empty tree", lambda: self._press("reset")),
            self._button("Share", "link", "One line of Python that leads here", self._shared.toggle),
            self._button("Export", "download", "Diagram as HTML and the tree as JSON, into exports/", self._export),
        ], layout=w.Layout(**ROW))  # fmt: skip

    # --- what it says ---------------------------------------------------------------------------------------

    def say(self, kind: str, text: str) -> None:
        """Show a message; an empty text takes the last one away."""
        said = markup.message(kind, text) if text else ""
        if self._said.value != said:
            self._said.value = said

    def say_error(self, error: BaseException) -> None:
        """Show an error with its traceback."""
        self._said.value = markup.message("error", f"{type(error).__name__}: {error}", error)

    def show(self, content: dict[str, Any], ends: Sequence[ClusterState], state: ClusterState) -> None:
        """Show ``state`` in the panel, and name the branches by their ``ends``."""
        if self.panel is None:
            self.panel = Panel(content, lambda act, key: self._press("press_panel", act, key))
            self._place.children = (self.panel,)
        else:
            self.panel.content = content
        options = [(_branch_name(number, end), number - 1) for number, end in enumerate(ends, 1)]
        options = options if len(ends) > 1 else [("the only branch", 0)]
        place = next((place for place, end in enumerate(ends) if end is state), None)
        self._quiet, self._ends = True, ends
        try:
            if tuple(options) != tuple(self._branch.options):
                self._branch.options = options
            if place is not None and self._branch.value != place:
                self._branch.value = place
        finally:
            self._quiet = False
        self._shared.renew()
        self._files.value = ""

    def _chosen(self) -> None:
        if not self._quiet and self._branch.value is not None:
            self._press("go", self._ends[self._branch.value].number)

    def _export(self) -> None:
        written = self._press("export")
        if written:
            self._files.value = markup.files(written)


def _branch_name(number: int, end: ClusterState) -> str:
    return f"branch {number}" + (f": ✗ {end.broken.invariant}" if end.broken is not None else "")
