"""The picture of the Step lab: of one click, only what is younger than some steps goes to the browser."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

from distlib.figures.branches import CLICKABLE, EXTRA, InFlight, Scene, TreeNode, in_steps, recent_traces, step_diagram
from distlib.labs.picture import Picture, assign
from distlib.workbench.step.cluster import ClusterState, Tree, text_of

SHOWN = (30, 60, 150, 500)
"""How many steps a window may show."""
BACK = 8
"""So many steps back are drawn anew with each click, so that going back is as quick as going on."""
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
        super().__init__()
        self.clicked = clicked
        self.shown = SHOWN[1]
        self._window, self._window_of = (0.0, 0.0), 0
        self._drawn: tuple[Any, ...] = ()  # what the traces that stay were drawn from
        self._since, self._past_traces = -1.0, 0
        self._traces_of: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        self._recent: list[dict[str, Any]] = []

    def window(self, now: int) -> tuple[float, float]:
        """The steps to show, with room for some to come."""
        low = max(0, now - self.shown)
        return float(low), float(ceil(low + self.shown * AHEAD))

    def show_state(self, tree: Tree, here: ClusterState) -> bool:
        """Show ``here``; True if only the latest steps had to be drawn."""
        low, high = self._window
        inside = low <= here.depth <= high - 1 and self._window_of == self.shown
        if not inside:
            self._window, self._window_of = self.window(here.depth), self.shown
        scene = scene_of(tree, here, self._window)
        known = set(scene.kinds) <= set(self._traces_of[0]) and set(scene.roles) <= set(self._traces_of[1])
        if inside and known and here.depth >= self._since and self._past(scene, self._since) == self._drawn:
            self._update(scene)
            return True
        self._since = float(here.depth - BACK)
        self._drawn, self._traces_of = self._past(scene, self._since), (scene.kinds, scene.roles)
        figure = step_diagram(scene, self._since)
        self.show(figure)
        self._past_traces = (len(figure.data) - EXTRA) // 2
        self._recent = [trace.to_plotly_json() for trace in figure.data[self._past_traces :]]
        self._listen()
        return False

    @staticmethod
    def _past(scene: Scene, since: float) -> tuple[Any, ...]:
        """All that the traces which stay depend on."""
        old = [(node.number, scene.rows[node.number]) for node in scene.nodes if node.depth <= since]
        return (tuple(scene.here[: max(0, int(since) + 1)]), tuple(old), max(scene.rows.values()))

    def _update(self, scene: Scene) -> None:
        new = recent_traces(scene, self._since, *self._traces_of)
        in_steps(new)
        traces = [trace.to_plotly_json() for trace in new]
        past = self._shown[0][: self._past_traces]
        for old, now in zip(past, traces, strict=False):
            now["showlegend"] = bool(now["showlegend"] and not old["showlegend"])
        with self.widget.batch_update():
            for target, old, now in zip(self.widget.data[self._past_traces :], self._recent, traces, strict=True):
                assign(target, old, now)
        self._recent, self._shown = traces, (past + traces, self._shown[1])

    def renew(self) -> None:
        """As for any picture; the new widget hears clicks, too."""
        super().renew()
        self._listen()

    def _listen(self) -> None:
        """Each new trace of the tree hears clicks."""
        for trace in self.widget.data:
            if trace.name in CLICKABLE:
                trace.on_click(self._on_click)

    def _on_click(self, trace: Any, points: Any, _state: Any) -> None:
        if points.point_inds:
            number = trace.customdata[points.point_inds[0]]
            if number is not None:
                self.clicked(int(number))
