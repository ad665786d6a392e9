"""Every control of every lab at both of its ends, without a screen: ``python -m tests.every_control`` (minutes).

A lab is *driven*: each control goes to each end, or each choice, while the others stand at their defaults; then all at
their low ends, all at their high ends, and some corners drawn by a seed. After every move the lab has to show a result:
no message, no exception, and no NaN in its table that no verdict and no warning tells of. What a run costs is counted,
not timed: events of clusters, requests of services. The command drives with the samples that the sliders offer, and
prints the time and the memory of every run; the tests (``tests/labs/test_every_control.py``) with the smallest.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from random import Random
from typing import Any
from unittest.mock import patch

import ipywidgets as w
import pandas as pd

import distlib
from distlib.labs.controls import Chips
from distlib.labs.lab import Lab
from distlib.labs.picture import Picture
from distlib.sim.cluster import Cluster
from distlib.sim.service import service

SAMPLES = ("requests", "runs", "trials", "elections", "operations", "keys", "duration_s")
"""Parameters that say how much is simulated: the tests leave them at their low ends."""

MOST_EVENTS, MOST_REQUESTS = 3_000_000, 100_000_000
"""What one run may cost at any position of its controls: some fifteen seconds on one core."""

NO_SUCH_HISTORY = ("there are no lines of your own yet", " knows ")
"""What the History lab may answer: nobody has written a line, or a register's history is asked as a queue's."""

Corner = dict[str, Any]


def lab_classes() -> list[type[Lab]]:
    """Every lab of the library that can be opened, in order of their names."""
    for module in pkgutil.walk_packages(distlib.__path__, "distlib."):
        if module.name.endswith(".labs"):
            importlib.import_module(module.name)

    def family(base: type[Lab]) -> Iterator[type[Lab]]:
        for child in base.__subclasses__():
            yield child
            yield from family(child)

    stated = {one for one in family(Lab) if one.__module__.startswith("distlib.") and hasattr(one, "params")}
    runs = (one for one in stated if hasattr(one, "scenario") or one.run is not Lab.run)
    return sorted(runs, key=lambda one: one.__name__)


def small(lab_class: type[Lab]) -> dict[str, Any]:
    """The least samples of a lab."""
    return {name: spec.low for name, spec in lab_class.params.specs().items() if name in SAMPLES}


def places(widget: Any) -> list[Any]:
    """The values at which a control has to be seen: both ends of a slider, each choice."""
    match widget:
        case w.FloatLogSlider():
            return [10.0**widget.min, 10.0**widget.max]
        case w.FloatRangeSlider():
            return [(widget.min, widget.min), (widget.min, widget.max), (widget.max, widget.max)]
        case w.Dropdown() if all(isinstance(value, (int, float)) for _, value in widget.options):
            return [widget.options[0][1], widget.options[-1][1]]
        case w.Dropdown() | w.ToggleButtons():
            return [widget.options[n][1] if isinstance(widget.options[n], tuple) else widget.options[n]
                    for n in range(len(widget.options))]  # fmt: skip
        case w.Checkbox():
            return [False, True]
        case Chips():
            return [widget._choices[:1], widget._choices]
    return [widget.min, widget.max]


def move(lab: Lab, name: str, which: int) -> None:
    """Put a control to its place number ``which`` (−1: the last), as that is where the others stand now."""
    widget = getattr(lab.controls, name)
    widget.value = places(widget)[which]


def stand(lab: Lab, values: Corner) -> None:
    """Put all controls to these values, without a run."""
    params = type(lab).params(**{name: value for name, value in values.items() if name in type(lab).params.specs()})
    lab.controls.give(params, type(lab).view(), figure=next(iter(lab.figures)))


@dataclass
class Cost:
    """What a run has cost."""

    events: int = 0
    requests: int = 0
    looks: int = 0
    """Backends that the policies look at for all requests, if each looks at all of them."""


@contextmanager
def counted() -> Iterator[Cost]:
    """Count events and requests of everything that runs meanwhile, and refuse to go on beyond ``MOST_…``."""
    cost, run, start_state = Cost(), Cluster.run, service.start_state

    def count_events(cluster: Cluster, *args: Any, **options: Any) -> Any:
        before = cluster.events
        try:
            return run(cluster, *args, **options)
        finally:
            cost.events += cluster.events - before
            assert cost.events <= MOST_EVENTS, f"{cost.events:,} events in one run"

    def count_requests(params: Any, machine: Any, **options: Any) -> Any:
        cost.requests += params.requests
        cost.looks += params.requests * len(machine)
        assert cost.requests <= MOST_REQUESTS, f"{cost.requests:,} requests in one run"
        return start_state(params, machine, **options)

    with (
        patch.object(Cluster, "run", count_events),
        patch.object(service, "start_state", count_requests),
        patch.object(
            Picture, "show", lambda picture, figure, name="": setattr(picture, "figure", figure)
        ),  # drawn, not shown
        patch("distlib.labs.lab.unchecked", nullcontext),
    ):
        yield cost


def gaps(table: pd.DataFrame | None) -> set[str]:
    """The columns of a table in which numbers are missing."""
    return set() if table is None else {str(name) for name in table if table[name].isna().any()}


def trouble(lab: Lab, known_gaps: set[str]) -> str:
    """Run on what the controls stand on; what is wrong then, or an empty string."""
    lab.start()
    lab.wait()
    if lab.error is not None:
        said = f"{type(lab.error).__name__}: {lab.error}"
        return "" if type(lab).__name__ == "HistoryLab" and any(words in said for words in NO_SUCH_HISTORY) else said
    result = lab.result
    told = any(not holds for _, holds, _ in lab.verdicts(result)) or lab.params.warnings()
    missing = gaps(lab.table(result)) - known_gaps
    return f"numbers are missing in {missing}, and nothing says why" if missing and not told else ""


def corners(lab: Lab, draws: int, seed: int = 7) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """What to move where: name of a corner, and the moves from the defaults that lead to it."""
    names = [name for name in lab.controls if name != "figure" and name in type(lab).params.specs()]
    for name in names:
        for which in range(len(places(getattr(lab.controls, name)))):
            yield f"{name} at place {which}", [(name, which)]
    yield "all low", [(name, 0) for name in names]
    yield "all high", [(name, -1) for name in names]
    random = Random(seed)
    for number in range(draws):
        drawn = [(name, random.randrange(len(places(getattr(lab.controls, name))))) for name in names]
        random.shuffle(drawn)
        yield f"corner {number}", drawn


def driven(lab_class: type[Lab], draws: int, samples: bool) -> Iterator[tuple[str, str, Cost]]:
    """Drive a lab: what was done, what was wrong (empty: nothing), and what it cost. A ``long`` lab is driven without a
    run: its parameters must go together."""
    lab = lab_class(**({} if samples else small(lab_class)))
    lab.wait()
    known_gaps = gaps(lab.table(lab.result)) if lab.error is None and lab.result is not None else set()
    start, lab.long = lab.params, True  # moves wait for us to run  # type: ignore[misc]
    for name, moves in corners(lab, draws):
        stand(lab, {one: getattr(start, one) for one in lab_class.params.specs()})
        for control, which in moves:
            if samples or control not in SAMPLES:
                move(lab, control, which)
        with counted() as cost:
            try:
                if lab_class.long:
                    values = lab.controls.values()
                    lab_class.params(**{one: values[one] for one in lab_class.params.specs()})
                    found = ""
                else:
                    found = trouble(lab, known_gaps)
            except Exception as error:
                found = f"{type(error).__name__}: {error}"
        yield f"{name} {moves if 'corner' in name else ''}", found, cost


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labs", nargs="*", help="names of labs; none: all")
    parser.add_argument("--draws", type=int, default=20, help="corners drawn at random")
    parser.add_argument("--small", action="store_true", help="the least samples, as the tests do")
    options = parser.parse_args(arguments)
    wrong = 0
    for lab_class in lab_classes():
        if options.labs and lab_class.__name__ not in options.labs:
            continue
        began = time.perf_counter()
        for what, found, cost in driven(lab_class, options.draws, not options.small):
            wrong += bool(found)
            took, began = time.perf_counter() - began, time.perf_counter()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{lab_class.__name__:20} {took:6.2f} s {peak:6,.0f} MiB {cost.events:9,} events "
                  f"{cost.requests:11,} requests  {what} {'WRONG: ' + found if found else ''}", flush=True)  # fmt: skip
    print(f"{wrong} positions are wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
