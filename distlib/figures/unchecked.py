"""Figures drawn once more without plotly's checks of each property, which take half of the time.

For a function whose figure plotly has checked before: the figure is the same, and a mistake would not be told. Plotly
knows such objects (``_validate``), but has no way to make them from outside.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import plotly.graph_objects as go
from plotly.basedatatypes import BasePlotlyType

ALWAYS_CHECKED = (go.Layout, go.layout.XAxis, go.layout.YAxis, go.layout.Legend)
"""What may be numbered (xaxis2, legend3): plotly takes the number to the right place only while it checks."""

_checks = ContextVar("_checks", default=True)


@contextmanager
def unchecked() -> Iterator[None]:
    """What is drawn meanwhile, in this thread, plotly takes as it is."""
    before = _checks.set(False)
    try:
        yield
    finally:
        _checks.reset(before)


def _is_checked(self: Any) -> bool:
    return self.__dict__["_validate"] and (_checks.get() or isinstance(self, ALWAYS_CHECKED))


def _set_checked(self: Any, value: bool) -> None:
    self.__dict__["_validate"] = value


BasePlotlyType._validate = property(_is_checked, _set_checked)
