"""A lab that is small enough to see through: drops of a random walk, with every kind of control and of failure."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd
import plotly.graph_objects as go

from distlib.core.parameter import Parameters, parameter
from distlib.labs.lab import Lab
from distlib.labs.markup import LabVerdict
from distlib.labs.work import Progress, Stopped

REGIONS = ("eu-west-1", "us-east-1", "ap-northeast-1")


@dataclass(frozen=True)
class ToyParams(Parameters):
    walkers: int = parameter(3, "walkers", low=1, high=9, help="how many walk at the same time")
    pause_ms: tuple[float, float] = parameter((150, 300), "pause between steps", unit="ms", low=1, high=1000)
    loss: float = parameter(0.01, "loss", low=0, high=1, step=0.01)
    rate_per_s: float = parameter(100.0, "rate", unit="per s", low=1, high=10_000, scale="log")
    trials: int = parameter(100, "trials", low=10, high=10_000, scale="log")
    network: str = parameter("local", "network", choices=("local", "wide area"))
    regions: tuple[str, ...] = parameter(REGIONS[:2], "regions", choices=REGIONS, several=True, at_least=1)
    crash: bool = parameter(False, "crash", help="the run fails")
    seed: int = parameter(7, "seed", low=0, high=2**31, help="of all randomness")
    faults: tuple[str, ...] = ()

    def check(self) -> None:
        if self.walkers == 8:
            raise ValueError("ToyParams.walkers is 8; eight is one too many for this toy")

    def warnings(self) -> list[str]:
        return ["more than half of the steps get lost"] if self.loss > 0.5 else []


@dataclass(frozen=True)
class ToyView(Parameters):
    steps: int = parameter(100, "steps shown", low=10, high=400)


class Walks(NamedTuple):
    params: ToyParams
    paths: list[list[float]]


def walk(params: ToyParams) -> Walks:
    draw = random.Random(params.seed)
    size = sum(params.pause_ms) / 450  # who pauses longer steps farther
    paths = []
    for _ in range(params.walkers):
        path = [0.0]
        for _ in range(400):
            path.append(path[-1] + size * draw.gauss(0, 1))
        paths.append(path)
    return Walks(params, paths)


def lines(walks: Walks, steps: int) -> go.Figure:
    figure = go.Figure(layout={"height": 330, "margin": {"l": 50, "r": 20, "t": 20, "b": 40}})
    for number, path in enumerate(walks.paths):
        figure.add_scatter(y=path[:steps], mode="lines", name=f"walker {number + 1}")
    return figure


def ends(walks: Walks) -> go.Figure:
    return go.Figure(go.Bar(y=[path[-1] for path in walks.paths]), layout={"height": 330})


class ToyLab(Lab):
    title = "Random walks <of a toy>"
    params = ToyParams
    view = ToyView
    figures = {"walks": lines, "ends": ends}
    presets = {"One walker": {"walkers": 1, "seed": 1}}
    runs = 0

    def run(self, params: ToyParams, progress: Progress) -> Walks:
        type(self).runs += 1
        if params.crash:
            raise RuntimeError("walker <3> fell at 12 ms")
        return walk(params)

    def table(self, result: Walks) -> pd.DataFrame:
        rows = [(f"walker {number + 1}", path[-1]) for number, path in enumerate(result.paths)]
        return pd.DataFrame(rows, columns=["who", "end & place"])

    def verdicts(self, result: Walks) -> list[LabVerdict]:
        worst = min(min(path) for path in result.paths)
        return [("Starts at 0", True, ""), ("Stays above -5", worst > -5, f"lowest <{worst:.1f}>")]


@dataclass(frozen=True)
class StudyParams(Parameters):
    trials: int = parameter(5, "trials", low=1, high=1000)
    keeps: bool = parameter(True, "keeps what it has")


class StudyLab(Lab):
    """Runs until the test (or a press on Stop) lets it end."""

    title = "A long study"
    params = StudyParams
    figures = {"trials": lambda result: go.Figure(go.Scatter(y=result))}
    patience_s = 0.05
    gate: Any = threading.Event()
    pace_s = 0.03

    def run(self, params: StudyParams, progress: Progress) -> list[int]:
        done: list[int] = []
        try:
            for trial in range(params.trials):
                progress(trial, params.trials, f"trial {trial}")
                self.gate.wait(self.pace_s if params.trials > 50 else 0)
                done.append(trial)
        except Stopped:
            if not params.keeps:
                raise
        return done
