"""The checkers of the exercises on formulas: Little's law, availability, a formula as a function, naming a model."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd

from distlib.core import require
from distlib.labs.grading import LIMIT_S, Grade, grade_apart
from distlib.paxos.theory import availability
from distlib.sim.service.params import Backends, ServiceParams
from distlib.sim.service.policy import CentralQueue
from distlib.sim.service.service import simulate
from distlib.sim.workload import Deterministic, Exponential, Poisson, Regular
from distlib.theory.queueing import mg1_response

IN_USE, HELD_S = 12.0, 0.08
UP, WANTED = 0.98, 0.9999
CASES = ((0.5, 1.0), (0.9, 0.0), (0.8, 4.0), (0.3, 10.0), (0.0, 1.0))
"""Loads and c² at which a reader's M/G/1 is asked; they tell the usual slips apart."""


def grade_throughput(per_s: float) -> Grade:
    """Exercise: requests a second through a pool of which 12 connections are in use, each held for 80 ms."""
    if isinstance(per_s, bool) or not isinstance(per_s, (int, float)) or not math.isfinite(per_s):
        return Grade(False, (f"give a number of requests a second, not {per_s!r}",))
    right = IN_USE / HELD_S
    if abs(per_s / right - 1) <= 0.01:
        return Grade(True, (f"λ = L / W = {IN_USE:g} / {HELD_S:g} s = {right:g} a second",))
    said = "L = λ W: the mean number in use is the rate times the mean time that each is held"
    if abs(per_s * 1000 / right - 1) <= 0.01:
        said = "that is a rate in requests a millisecond"
    elif abs(per_s / (IN_USE * HELD_S) - 1) <= 0.01:
        said = f"{per_s:g} is L · W; {said}"
    elif abs(per_s / (40 / HELD_S) - 1) <= 0.01:
        said = "that is the rate when all 40 connections are always in use"
    return Grade(False, (said,))


def grade_replicas(nodes: int) -> Grade:
    """Exercise: fewest nodes, each up with probability .98, so that a majority is up with at least .9999."""
    if isinstance(nodes, bool) or not isinstance(nodes, int) or not 1 <= nodes <= 100:
        return Grade(False, (f"give a whole number of nodes, from 1 to 100, not {nodes!r}",))
    found = availability(nodes, nodes // 2 + 1, UP)
    if found < WANTED:
        why = f"with {nodes} nodes a majority, {nodes // 2 + 1}, is up with probability {found:.5f}; {WANTED} is asked"
        return Grade(False, (why,))
    fewer = [n for n in range(1, nodes) if availability(n, n // 2 + 1, UP) >= WANTED]
    if fewer:
        return Grade(False, (f"{fewer[0]} nodes would do",))
    return Grade(True, (f"a majority of {nodes} is up with probability {found:.5f}",))


def grade_response(response: Callable[[float, float], float], limit_s: float = LIMIT_S) -> Grade:
    """Exercise: the mean response of M/G/1, ``response(load, cv2)`` in mean service times; ``ValueError`` where there
    is none."""
    if not callable(response) or isinstance(response, type):
        return Grade(False, (f"give a function of load and cv2, not {response!r}",))
    return grade_apart(lambda: _grade_response(response), limit_s)


def _grade_response(response: Callable[[float, float], float]) -> Grade:
    for load, cv2 in CASES:
        case, right = f"at ρ = {load:g} and c² = {cv2:g}", mg1_response(load, cv2)
        try:
            given = float(response(load, cv2))
        except Exception as error:
            return Grade(False, (f"{case} your function raised {type(error).__name__}: {error}",))
        if not math.isclose(given, right, rel_tol=1e-3):
            slip = ": that is the wait alone" if math.isclose(given, right - 1, rel_tol=1e-3) else ""
            return Grade(False, (f"{case} the mean response is {right:.4g}; yours says {given:.4g}{slip}",))
    for load in (1.0, 1.2):
        try:
            given = response(load, 1.0)
        except ValueError:
            continue
        except Exception as error:
            return Grade(False, (f"at ρ = {load:g} it raised {type(error).__name__}; a ValueError is asked",))
        return Grade(False, (f"at ρ = {load:g} there is no mean, and yours says {given!r}: raise a ValueError",))
    return Grade(True, (f"right at {len(CASES)} points, and it refuses where there is no mean",))


MODELS = ("M/M/1", "M/D/1", "D/M/1", "M/M/3")
LOGS: dict[str, tuple[str, ServiceParams]] = {
    "A": ("M/D/1", ServiceParams(arrivals=Poisson(0.8), service=Deterministic(), backends=Backends(1), seed=11)),
    "B": ("M/M/3", ServiceParams(arrivals=Poisson(2.4), service=Exponential(), backends=Backends(3), seed=12)),
    "C": ("D/M/1", ServiceParams(arrivals=Regular(0.8), service=Exponential(), backends=Backends(1), seed=13)),
}
"""A recorded service by name: its model in Kendall's notation, and the run."""


def service_log(name: str, requests: int = 2000) -> pd.DataFrame:
    """What a service wrote down: arrival_s, start_s (of the service) and departure_s of each request."""
    params = LOGS[require.choice("the log", name, LOGS)][1]
    run = simulate(ServiceParams(**{**vars(params), "policy": CentralQueue(), "requests": requests}))
    return pd.DataFrame({"arrival_s": run.arrival_s, "start_s": run.start_s, "departure_s": run.departure_s})


def grade_models(**named: Any) -> Grade:
    """Exercise: the model of each log, as in ``grade_models(A="M/M/1", B=…, C=…)``."""
    if set(named) != set(LOGS):
        return Grade(False, (f"name the model of each of {', '.join(LOGS)}, once",))
    remarks = []
    for name, given in named.items():
        right = LOGS[name][0]
        written = given.replace(" ", "").upper() if isinstance(given, str) else ""
        if written not in MODELS:
            remarks.append(f"{name}: {given!r} is none of {', '.join(MODELS)}")
            continue
        letters = zip(("how requests arrive", "how long service takes", "how many servers there are"),
                      written.split("/"), right.split("/"), strict=True)  # fmt: skip
        wrong = [what for what, mine, theirs in letters if mine != theirs]
        if wrong:
            remarks.append(f"{name}: look again at {' and '.join(wrong)}")
    if remarks:
        return Grade(False, tuple(remarks))
    return Grade(True, ("gaps tell the first letter, service times the second, how many are served at once the third",))
