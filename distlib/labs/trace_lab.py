"""The base of labs on one run of a cluster: its pictures, the verdict of its invariants, its tables.

A protocol's lab says its parameters, its scenario, its invariants and its statistics::

    class ElectionLab(TraceLab):
        title = "Electing a leader"
        params = ElectionParams
        scenario = staticmethod(election)             # the parameters in, a Trace out
        invariants = staticmethod(raft_invariants)

``kinds`` and ``roles`` of a picture (see ``figures.spacetime``) keep its traces the same from run to run, and with them
the reader's zoom; a lab gives them with ``functools.partial``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd

from distlib.core.invariant import Invariant
from distlib.core.parameter import Parameters, parameter
from distlib.core.trace import Trace
from distlib.figures.log_view import log_view
from distlib.figures.roles import role_timeline
from distlib.figures.spacetime import spacetime
from distlib.figures.topology import topology
from distlib.labs.lab import Lab
from distlib.labs.markup import LabVerdict

HALVES = {"first half": (0, 2), "second half": (1, 2)}
THIRDS = {"first third": (0, 3), "second third": (1, 3), "last third": (2, 3)}
PARTS = {"whole run": (0, 1), **HALVES, **THIRDS}
"""The number, from 0, of a part of a run, and into how many it is cut."""

Names = Sequence[str] | None


@dataclass(frozen=True)
class WindowView(Parameters):
    """What part of a run is shown."""

    window: str = parameter(
        "whole run", "show", choices=("whole run", *THIRDS), help="fewer messages are easier to read"
    )


@dataclass(frozen=True)
class TraceView(WindowView):
    """What part of a run to look at, and how; for protocols with a log."""

    window: str = parameter("whole run", "show", choices=("whole run", *HALVES))
    moment: float = parameter(
        0.5, "moment", low=0, high=1, step=0.01, help="for the logs and the map: as a fraction of the run"
    )
    fold_heartbeats: bool = parameter(True, "fold heartbeats", help="draw them thin and grey")


def _times(trace: Trace, window: str) -> tuple[float, float]:
    number, parts = PARTS[window]
    part_ms = trace.end_ms / parts
    return number * part_ms, trace.end_ms if number + 1 == parts else (number + 1) * part_ms


def draw_spacetime(
    trace: Trace, window: str, fold_heartbeats: bool = True, kinds: Names = None, roles: Names = None
) -> Any:
    """The run as a space-time diagram."""
    start, end = _times(trace, window)
    return spacetime(trace, start_ms=start, end_ms=end, fold_routine=fold_heartbeats, kinds=kinds, roles=roles)


def draw_roles(trace: Trace, window: str, roles: Names = None) -> Any:
    """Who was what, when."""
    start, end = _times(trace, window)
    return role_timeline(trace, start_ms=start, end_ms=end, roles=roles)


def draw_logs(trace: Trace, moment: float) -> Any:
    """The logs at one moment."""
    return log_view(trace, moment * trace.end_ms)


def draw_map(trace: Trace, moment: float, kinds: Names = None, roles: Names = None) -> Any:
    """The cluster at one moment, messages on their way."""
    return topology(trace, moment * trace.end_ms, kinds=kinds, roles=roles)


class TraceLab(Lab, base=True):
    """A run of a cluster: who sent what to whom and who was what, with the invariants as they were checked live."""

    view = WindowView
    figures: ClassVar[Mapping[str, Callable[..., Any]]] = {"space-time": draw_spacetime, "roles": draw_roles}
    invariants: ClassVar[Callable[[], Sequence[Invariant]]]

    def __init_subclass__(cls, base: bool = False) -> None:
        super().__init_subclass__(base)
        if not base and not hasattr(cls, "invariants"):
            raise TypeError(f"{cls.__name__} has no `invariants`, a function that makes those of its run")

    def trace_of(self, result: Any) -> Trace:
        """The trace in what ``run`` gave back, for a lab whose run gives more."""
        trace: Trace = result
        return trace

    def verdicts(self, result: Any) -> Sequence[LabVerdict]:
        broken = {one.invariant: str(one) for one in self.trace_of(result).violations}
        return [(one.name, one.name not in broken, broken.get(one.name, "")) for one in type(self).invariants()]

    def data(self, result: Any) -> dict[str, pd.DataFrame]:
        trace = self.trace_of(result)
        return {
            "messages": trace.messages.drop(columns="message"),
            "states": trace.views,
            "faults": trace.fault_table.drop(columns="event"),
            "outputs": trace.output_table.drop(columns="event"),
            **super().data(result),
        }
