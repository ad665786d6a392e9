"""The lab of the formula chapter: any closed form, put to the test with as many requests as wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from distlib.formulas.charts import formula_curve
from distlib.formulas.scenarios import FormulaData, FormulaParams, formula_data
from distlib.labs.lab import Lab


def draw_formula(found: FormulaData) -> Any:
    """The formula as a curve, simulations as points, a slider over its parameter."""
    one = found.formula
    return formula_curve(found.curve, found.points, x=one.x, y=one.y, setting=one.setting, log_y=one.log_y)


class FormulaLab(Lab):
    """A closed form and simulations of it; more requests make the error bars shorter."""

    title = "A formula, put to the test"
    question = "Does the formula lie within the spread of the simulation?"
    params = FormulaParams
    scenario = staticmethod(formula_data)
    figures = {"formula and simulation": draw_formula}
    presets = {"Few requests": {"requests": 2000}, "Many requests": {"requests": 1_000_000}}

    def table(self, result: FormulaData) -> pd.DataFrame:
        return result.table()

    def verdicts(self, result: FormulaData) -> Sequence[tuple[str, bool | None, str]]:
        """How many points lie within three standard errors, and which have none to be measured by."""
        every = result.table()["standard errors apart"]
        apart = every.abs().dropna()
        inside, without = int((apart <= 3).sum()), len(every) - len(apart)
        said = f"{without} of {len(every)} points: it happened always, or never"
        return [
            ("Simulation within three standard errors", inside == len(apart), f"{inside} of {len(apart)} points"),
            *([("A standard error to measure by at every point", None, said)] if without else []),
        ]

    def data(self, result: FormulaData) -> dict[str, pd.DataFrame]:
        return {"curve": result.curve, "points": result.points}
