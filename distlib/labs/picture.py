"""Picture: the figure of a lab on the screen, drawn by ``figure.js``, a small view of our own around Plotly.react."""

from __future__ import annotations

import gzip
from base64 import b64encode
from collections.abc import Callable
from functools import cache
from pathlib import Path
from string import Template
from typing import Any
from uuid import uuid4

import anywidget
import ipywidgets as w
import plotly.graph_objects as go
import traitlets
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from distlib.figures import theme

STATIC = Template(Path(__file__).with_name("static.html").read_text(encoding="utf-8"))
CONFIG = {"displaylogo": False, "toImageButtonOptions": {"format": "svg"}}

Heard = Callable[[str, list[dict[str, Any]]], None]
"""Called with ``click`` or ``selected``, and the points: each its ``curve`` and ``point`` by number, and its
``customdata``."""


class FigureState(w.Widget):
    """The figure as JSON: data, layout, frames, config. A plain model of ipywidgets, since anywidget's own hears of no
    change any more if the browser was too busy to start it within two seconds."""

    figure = traitlets.Unicode("{}").tag(sync=True)


class FigureView(anywidget.AnyWidget):
    """Draws the figure of a ``FigureState``."""

    _esm = Path(__file__).with_name("figure.js").read_text(encoding="utf-8")
    state = traitlets.Instance(FigureState).tag(sync=True, **w.widget_serialization)


class Picture:
    """Shows one plotly figure after another in ``box``. Zoom and hidden traces stay while ``name`` and the types of the
    traces do. ``heard`` is told of clicks and selections."""

    sent = False
    """Whether this kernel has sent plotly.js to the page; one that opens later asks."""

    def __init__(self, heard: Heard = lambda event, points: None) -> None:
        self.figure: Any = None
        self._heard = heard
        self.state = FigureState()
        self.state.on_msg(self._told)
        view = FigureView(state=self.state)
        self.box = w.VBox([view])
        self.box.add_class("lab-picture")
        if not Picture.sent:
            Picture.sent = True
            self._send_plotly(view)

    def show(self, figure: go.Figure, name: str = "") -> None:
        """Show ``figure``."""
        self.figure = figure
        content = figure.to_dict()
        layout = content["layout"]
        layout["uirevision"] = f"{name}: {' '.join(trace.type for trace in figure.data)}"
        layout.setdefault("width", theme.WIDTH)
        self.state.figure = to_json_plotly({"frames": [], **content, "config": CONFIG})

    def html(self, with_plotly: bool) -> str:
        """The figure for a page without a kernel, in which one figure has to bring plotly.js along."""
        height = self.figure.layout.height or 450
        source = f'<script type="text/plain" id="plotly-of-labs">{_packed()}</script>' if with_plotly else ""
        figure = self.state.figure.replace("</", "<\\/")
        return STATIC.substitute(place=f"lab-{uuid4().hex}", height=height, source=source, figure=figure)

    def _told(self, _widget: Any, content: dict[str, Any], _buffers: Any) -> None:
        if content.get("ask") == "plotly":
            self._send_plotly(self.state)
        else:
            self._heard(content["event"], content["points"])

    @staticmethod
    def _send_plotly(widget: w.Widget) -> None:
        widget.send({"plotly": True}, buffers=[_plotly()])


@cache
def _plotly() -> bytes:
    return get_plotlyjs().encode()


@cache
def _packed() -> str:
    return b64encode(gzip.compress(_plotly(), 3)).decode()
