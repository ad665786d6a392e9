"""Picture: the one FigureWidget of a lab, brought up to date in place wherever that is possible."""

from __future__ import annotations

from typing import Any

import ipywidgets as w
import numpy as np
import plotly.graph_objects as go

from distlib.figures import theme
from distlib.figures.player import PLAYER_PX

Content = tuple[list[dict[str, Any]], dict[str, Any]]
"""Traces and layout as plain data."""

MISSING = object()


class Picture:
    """Shows one plotly figure after another in the same widget.

    A new figure with the same traces (number, order, types) and the same entries in the layout changes only the
    properties that differ, in one ``batch_update``: nothing flickers, and the reader's zoom and hidden traces stay. Any
    other figure replaces the whole. ``FigureWidget`` knows no frames: a figure's frames are played by a slider of our
    own, and its sliders and menus, which would drive them, are left to the exported file.
    """

    def __init__(self) -> None:
        self.figure: go.Figure | None = None
        self._shown: Content = ([], {})
        self._frames: list[tuple[dict[int, dict[str, Any]], dict[str, Any]]] = []
        layout = w.Layout(flex="1 1 auto")
        self.moment = w.IntSlider(0, 0, 1, description="moment", continuous_update=True, readout=False, layout=layout)
        self._play = w.Play(value=0, min=0, max=1, interval=400, layout=w.Layout(width="auto"))
        w.jslink((self._play, "value"), (self.moment, "value"))
        self._name = w.Label()
        self.player = w.HBox([self._play, self.moment, self._name])
        self.player.layout.display = "none"
        self.moment.observe(lambda _change: self._show_frame(), "value")
        self.box = w.VBox()
        self.box.add_class("lab-picture")
        self.renew()

    def show(self, figure: go.Figure) -> bool:
        """Show ``figure``; True if the picture was changed in place, False if it was replaced."""
        new = _content(figure)
        in_place = self.figure is not None and _alike(self._shown, new)
        if in_place:
            self._change(new)
        elif self.figure is None:  # the browser may be about to open the empty widget, and would miss an update
            self._shown = new
            self.renew()
        else:
            self._shown = new
            self.widget.update({"data": new[0], "layout": new[1]}, overwrite=True)
        self.figure = figure
        self._take_frames(figure)
        return in_place

    def renew(self) -> None:
        """A new widget with what is shown: a view that opens later would mix it with what was shown before."""
        self.widget = go.FigureWidget({"data": self._shown[0], "layout": self._shown[1]})
        self.widget._config = {"displaylogo": False, "responsive": True, "toImageButtonOptions": {"format": "svg"}}
        self.box.children = (self.widget, self.player)

    def _change(self, new: Content) -> None:
        with self.widget.batch_update():
            for target, *values in zip(self.widget.data, self._shown[0], new[0], strict=True):
                assign(target, *values)
            assign(self.widget.layout, self._shown[1], new[1])
        self._shown = new

    def _take_frames(self, figure: go.Figure) -> None:
        self._frames = [_frame(frame) for frame in figure.frames]
        self._base = self._shown
        self.player.layout.display = "flex" if self._frames else "none"
        if self._frames:
            self._names, start = _steps(figure)
            last = len(self._frames) - 1
            self._play.max = self.moment.max = max(1, last)
            self.moment.value = min(start, last)
            self._show_frame()

    def _show_frame(self) -> None:
        if self._frames:
            number = min(self.moment.value, len(self._frames) - 1)
            of_traces, of_layout = self._frames[number]
            traces = [_merged(trace, of_traces.get(index, {})) for index, trace in enumerate(self._base[0])]
            self._change((traces, _merged(self._base[1], of_layout)))
            self._name.value = self._names[number]


def _content(figure: go.Figure) -> Content:
    """Traces and layout; without what drives frames, and the room that ``add_player`` made for it."""
    layout = figure.layout.to_plotly_json()
    layout.setdefault("width", theme.WIDTH)  # a FigureWidget does not fit itself to its column
    if figure.frames and layout.pop("sliders", None):
        layout.pop("updatemenus", None)
        layout["height"] -= PLAYER_PX
        layout["margin"] = {**layout["margin"], "b": layout["margin"]["b"] - PLAYER_PX}
    return [trace.to_plotly_json() for trace in figure.data], layout


def _alike(one: Content, other: Content) -> bool:
    """Whether ``other`` can take the place of ``one`` property by property."""
    if [trace.get("type") for trace in one[0]] != [trace.get("type") for trace in other[0]]:
        return False
    if one[1].keys() != other[1].keys():
        return False
    lists = [name for name, value in one[1].items() if isinstance(value, (list, tuple))]
    return all(len(one[1][name]) == len(other[1][name]) for name in lists)


def assign(target: Any, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Set the properties of a trace or layout that differ between ``old``, as shown, and ``new``."""
    for name in old.keys() - new.keys() - {"uid", "type"}:
        target[name] = None
    for name, value in new.items():
        if name != "type" and not _same(old.get(name, MISSING), value):
            target[name] = value


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        if not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray)) or one.dtype != other.dtype:
            return False
        return one.shape == other.shape and bool(((one == other) | ((one != one) & (other != other))).all())
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and bool(one == other)


def _frame(frame: Any) -> tuple[dict[int, dict[str, Any]], dict[str, Any]]:
    """What a frame changes: traces by number, and the layout."""
    data = frame.data or ()
    numbers = range(len(data)) if frame.traces is None else frame.traces
    changes = {int(number): trace.to_plotly_json() for number, trace in zip(numbers, data, strict=True)}
    return changes, frame.layout.to_plotly_json() if frame.layout else {}


def _steps(figure: go.Figure) -> tuple[list[str], int]:
    """What the figure's own slider calls its frames, and which one it starts at."""
    if not figure.layout.sliders:
        return [str(frame.name) for frame in figure.frames], 0
    slider = figure.layout.sliders[0]
    prefix, suffix = slider.currentvalue.prefix or "", slider.currentvalue.suffix or ""
    return [f"{prefix}{step.label}{suffix}" for step in slider.steps], int(slider.active or 0)


def _merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in change.items():
        inner = base.get(name)
        merged[name] = _merged(inner, value) if isinstance(value, dict) and isinstance(inner, dict) else value
    return merged
