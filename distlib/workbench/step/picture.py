"""The picture of the Step lab: a branch and the tree, in a window of steps that moves now and then."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from math import ceil
from typing import Any

from distlib.figures.branches import CLICKABLE, InFlight, Scene, TreeNode, step_diagram
from distlib.figures.unchecked import unchecked
from distlib.labs.picture import Picture
from distlib.workbench.step.cluster import ClusterState, Tree, text_of

SHOWN = (30, 60, 150, 500)
"""How many steps a window may show."""
AHEAD = 1.12
"""The window is longer than what it shows, so that it need not move with each click."""


def scene_of(tree: Tree, state: ClusterState, window: tuple[float, float]) -> Scene:
    """What there is to draw of ``tree``, with the branch that leads to ``state``."""
    states = [
        TreeNode(one.number, None if one.parent is None else one.parent.number, one.depth, one.text, bool(one.broken))
        for one in tree
    ]
    in_flight = [
        InFlight(copy.sender, copy.receiver, copy.sent_at, text_of(copy.delivery),
                 bool(state.holds_up(copy.sender, copy.receiver)))
        for copy in state.in_flight
    ]  # fmt: skip
    return Scene(tree.trace(state, window[1]), states, [one.number for one in state.path()], in_flight, window)


class StepPicture(Picture):
    """Shows a state of a tree; ``clicked(number)`` is called with the number of a state that is clicked in the tree."""

    def __init__(self, clicked: Callable[[int], None]) -> None:
        super().__init__(self._hear)
        self.clicked = clicked
        self.shown = SHOWN[1]
        self._window, self._window_of = (0.0, 0.0), 0

    def window(self, now: int) -> tuple[float, float]:
        """The steps to show, with room for some to come."""
        low = max(0, now - self.shown)
        return float(low), float(ceil(low + self.shown * AHEAD))

    def show_state(self, tree: Tree, here: ClusterState) -> None:
        """Show ``here``."""
        low, high = self._window
        if not (low <= here.depth <= high - 1 and self._window_of == self.shown):
            self._window, self._window_of = self.window(here.depth), self.shown
        with nullcontext() if self.figure is None else unchecked():
            self.show(step_diagram(scene_of(tree, here, self._window)))

    def _hear(self, event: str, points: list[dict[str, Any]]) -> None:
        for point in points:
            name, number = self.figure.data[point["curve"]].name, point["customdata"]
            if event == "click" and name in CLICKABLE and number is not None:
                self.clicked(int(number))
                return
