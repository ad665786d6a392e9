"""Chapter 03.3, what a few random choices buy: the supermarket model's table, and balls into bins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from distlib.balancing import theory as choice_theory
from distlib.balancing.balls import balls_into_bins
from distlib.balancing.policies import LeastRequest
from distlib.balancing.scenarios import check_loads, service_params
from distlib.core.parameter import Parameters, parameter
from distlib.sim.service.params import Backends
from distlib.sim.service.service import simulate
from distlib.sim.workload import Exponential


@dataclass(frozen=True)
class SupermarketParams(Parameters):
    """The table of d choices: λ × d, simulated with a finite number of servers beside the limit."""

    loads: tuple[float, ...] = field(default=(0.5, 0.7, 0.8, 0.9, 0.95, 0.99), metadata={"help": "λ per server"})
    choices: tuple[int, ...] = field(default=(1, 2, 3, 5), metadata={"help": "d"})
    servers: int = parameter(100, "servers", low=2, high=10_000, scale="log", help="the published table has 100")
    requests: int = parameter(200_000, "requests", low=1000, high=100_000_000, scale="log", help="per cell")
    seed: int = parameter(1, "seed", low=0, high=2**31 - 1, help="same seed, same arrivals and service times")

    def check(self) -> None:
        """Loads within the stable range."""
        check_loads(self.loads)


def supermarket_table(params: SupermarketParams = SupermarketParams()) -> pd.DataFrame:
    """Columns choices, load, simulated_s, standard_error_s, limit_s (n → ∞) and excess (simulated over limit − 1).

    The layout of Mitzenmacher (IEEE TPDS 2001), table 1: distinct servers, exponential service of mean 1. His column
    "prediction" is ``limit_s``.
    """
    rows = []
    for d, load in cells(params):
        run = service_params(
            LeastRequest(d), load, Backends(params.servers), Exponential(), params.requests, params.seed
        )
        result = simulate(run)
        limit = choice_theory.supermarket_response(load, d)
        rows.append(
            {
                "choices": d,
                "load": load,
                "simulated_s": result.mean_s,
                "standard_error_s": result.response.standard_error,
                "limit_s": limit,
                "excess": result.mean_s / limit - 1.0,
            }
        )
    return pd.DataFrame(rows)


def cells(params: SupermarketParams) -> Iterator[tuple[int, float]]:
    """(d, λ), row by row."""
    return ((d, load) for d in params.choices for load in params.loads)


@dataclass(frozen=True)
class BinsParams(Parameters):
    """Balls into bins."""

    bins: int = parameter(100_000, "bins", low=1000, high=10_000_000, scale="log", help="and as many balls")
    choices: tuple[int, ...] = field(default=(1, 2, 3), metadata={"help": "d"})
    seed: int = parameter(1, "seed", low=0, high=2**31 - 1, help="same seed, same throws")


def fullest_bin(params: BinsParams = BinsParams()) -> pd.DataFrame:
    """Columns choices, balls (in a bin), share (of bins with at least so many), theory."""
    rows = []
    for d in params.choices:
        load = balls_into_bins(params.bins, d, seed=params.seed)
        at_least = np.bincount(load)[::-1].cumsum()[::-1] / params.bins
        expected = choice_theory.bins_with_at_least(1.0, d)
        rows += [{"choices": d, "balls": k, "share": share, "theory": expected[k]} for k, share in enumerate(at_least)]
    return pd.DataFrame(rows)
