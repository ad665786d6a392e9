"""The History lab: is it linearizable, and if not, where does every order get stuck?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as w
import pandas as pd

from distlib.check.history.linearizability import Linearizability, Verdict, check
from distlib.core.parameter import Parameters, parameter
from distlib.figures.history import history_timeline
from distlib.labs.controls import Fold
from distlib.labs.lab import Lab
from distlib.labs.markup import LabVerdict
from distlib.labs.shown import weakly
from distlib.labs.work import Progress
from distlib.principles.histories import NAMES, OWN, SHAPES, SPECIFICATIONS, history_called, specification_of, to_jsonl

AS_RECORDED = "the history's own"


@dataclass(frozen=True)
class HistoryParams(Parameters):
    """Which history, of which type."""

    history: str = parameter(NAMES[2], "history", choices=NAMES, help="recorded here, from the literature, or your own")
    specification: str = parameter(
        AS_RECORDED, "checked as a", choices=(AS_RECORDED, *SPECIFICATIONS),
        help="what one operation at a time would do",
    )  # fmt: skip
    seed: int = parameter(7, "seed", low=0, high=2**31, help="of the simulated cluster, for recorded histories")
    lines: str = ""

    @property
    def type_name(self) -> str:
        """The type that is checked."""
        return specification_of(self.history) if self.specification == AS_RECORDED else self.specification


@dataclass(frozen=True)
class HistoryView(Parameters):
    """How much of the history is shown."""

    most: int = parameter(24, "operations shown", low=4, high=200, help="around where it gets stuck, or else the first")


class HistoryLab(Lab):
    """Choose a history, or edit one as JSON lines, and see the verdict with its evidence."""

    title = "Is this history linearizable?"
    question = "Is there one order of all operations that explains every answer?"
    params = HistoryParams
    view = HistoryView
    figures = {"timeline": lambda found, most: history_timeline(**found.timeline(), most=most, width=940)}
    presets = {
        "A stale read": {"history": "a stale read"},
        "New, then old": {"history": "new, then old again"},
        "A broken leader": {"history": NAMES[2]},
        "A correct leader": {"history": NAMES[0]},
    }

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.lines = w.Textarea(
            value=self.params.lines, layout=w.Layout(width="auto", height="170px"), continuous_update=False,
            placeholder='{"process": "A", "f": "write", "argument": 1, "call": 0, "return": 2}',
        )  # fmt: skip
        self.lines.add_class("lab-lines")
        edit = self._frame.button("Edit this history", "pencil", "Put it into the box below", weakly(self.edit))
        check = self._frame.button("Check these lines", "check", "Judge what is in the box", weakly(self.check))
        buttons = w.HBox([edit, check], layout=w.Layout(margin="6px 0 0"))
        self._frame.add(Fold("Edit this history, or write your own", buttons, self.lines))

    def run(self, params: HistoryParams, progress: Progress) -> Linearizability:
        history = history_called(params.history, params.seed, params.lines)
        return check(history, SPECIFICATIONS[params.type_name](), time_limit_s=20.0)

    def edit(self) -> None:
        """Put the history that is shown into the box, one operation a line."""
        self.lines.value = to_jsonl(self.result.history)

    def check(self, lines: str | None = None) -> None:
        """Judge ``lines`` (default: what is in the box). A line that cannot be read is named in the lab."""
        if lines is not None:
            self.lines.value = lines
        kept = self.params.type_name if self.params.history != OWN else self.params.specification
        self.set(history=OWN, lines=self.lines.value, specification=kept)

    def table(self, result: Linearizability) -> pd.DataFrame:
        part = result.decisive
        about = SHAPES[self.params.history].about if self.params.history in SHAPES else ""
        rows = {
            "operations": f"{len(result.history):,}",
            "checked as": self.params.type_name,
            "configurations tried": f"{result.configurations:,}",
            "longest linearizable prefix": f"{part.prefix:,} returns" if part is not None else "0 returns",
        } | ({"what it shows": about} if about else {})
        return pd.DataFrame(rows.items(), columns=["history", "value"])

    def verdicts(self, result: Linearizability) -> Sequence[LabVerdict]:
        holds = {Verdict.LINEARIZABLE: True, Verdict.NOT_LINEARIZABLE: False}.get(result.verdict)
        lines = [line.removeprefix("- ").rstrip(":") for line in result.explain().splitlines()]
        return [("Linearizable", holds, "; ".join(lines if holds is not True else lines[:1]))]

    def data(self, result: Linearizability) -> dict[str, pd.DataFrame]:
        return {"operations": result.timeline()["operations"]}
