"""The checkers of the exercises on formulas: Little's law, availability, a formula as a function, naming a model."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

import pandas as pd

from distlib.core import require
from distlib.labs.grading import LIMIT_S, Grade, grade_apart, hidden, number_in, shown
from distlib.paxos.theory import availability
from distlib.sim.service.params import Backends, ServiceParams
from distlib.sim.service.policy import CentralQueue
from distlib.sim.service.service import simulate
from distlib.sim.workload import Deterministic, Exponential, Poisson, Regular
from distlib.theory import queueing
from distlib.theory.queueing import mg1_response

IN_USE, HELD_S = 12.0, 0.08
UP, WANTED = 0.98, 0.9999
CASES = ((0.5, 1.0), (0.9, 0.0), (0.8, 4.0), (0.3, 10.0), (0.0, 1.0))
"""Loads and c² at which a reader's M/G/1 is asked; they tell the usual slips apart."""
MORE_CASES = 20
"""Then at so many that nobody knows before."""


def grade_throughput(answer: Any) -> Grade:
    """Exercise: requests a second through a pool of which 12 connections are in use, each held for 80 ms."""
    per_s = number_in(answer)
    if per_s is None:
        return Grade(False, (f"give a number of requests a second, not {shown(answer)}",))
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


def grade_replicas(answer: Any) -> Grade:
    """Exercise: fewest nodes, each up with probability .98, so that a majority is up with at least .9999."""
    given = number_in(answer)
    if given is None or not given.is_integer() or not 1 <= given <= 100:
        return Grade(False, (f"give a whole number of nodes, from 1 to 100, not {shown(answer)}",))
    nodes = int(given)
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
        return Grade(False, (f"give a function of load and cv2, not {shown(response)}",))
    chance = Random()
    points = [*CASES, *[(chance.uniform(0.0, 0.95), chance.uniform(0.0, 10.0)) for _ in range(MORE_CASES)]]
    cases = [(load, cv2, mg1_response(load, cv2)) for load, cv2 in points]

    def graded() -> Grade:
        with hidden(queueing, "mg1_response"):
            wrong = next(filter(None, (_wrong_at(response, *case) for case in cases)), "") or _not_refused(response)
        return Grade(not wrong, (wrong or f"right at {len(cases)} points, and it refuses where there is no mean",))

    return grade_apart(graded, limit_s)


def _wrong_at(response: Callable[[float, float], Any], load: float, cv2: float, right: float) -> str:
    """What is wrong with the reader's answer at one point, in words; two decimals are enough."""
    case = f"at ρ = {load:.3g} and c² = {cv2:.3g}"
    try:
        answer = response(load, cv2)
    except Exception as error:
        return f"{case} your function raised {type(error).__name__}: {error}"
    given = number_in(answer)
    said = f"{case} the mean response is {right:.4g}; yours says {shown(answer) if given is None else f'{given:.4g}'}"
    if given is None:
        return said + (": is a `return` missing on some path?" if answer is None else ", which is no number")
    if math.isclose(given, right, rel_tol=1e-3, abs_tol=0.0051):
        return ""
    return said + (": that is the wait alone" if math.isclose(given, right - 1, rel_tol=1e-3) else "")


def _not_refused(response: Callable[[float, float], Any]) -> str:
    """What the reader's function does instead of a ``ValueError`` where there is no mean; empty if it does that."""
    for load in (1.0, 1.2):
        try:
            given = response(load, 1.0)
        except ValueError:
            continue
        except Exception as error:
            return f"at ρ = {load:g} it raised {type(error).__name__}; a ValueError is asked"
        return f"at ρ = {load:g} there is no mean, and yours says {shown(given)}: raise a ValueError"
    return ""


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


def grade_models(*unnamed: Any, **named: Any) -> Grade:
    """Exercise: the model of each log, as in ``grade_models(A="M/M/1", B=…, C=…)``."""
    if unnamed or set(named) != set(LOGS):
        return Grade(False, (f"name the model of each of {', '.join(LOGS)}, once, as in A={MODELS[0]!r}",))
    remarks = []
    for name, given in named.items():
        right = LOGS[name][0]
        written = given.replace(" ", "").upper() if isinstance(given, str) else ""
        if written not in MODELS:
            remarks.append(f"{name}: {shown(given)} is none of {', '.join(MODELS)}")
            continue
        letters = zip(("how requests arrive", "how long service takes", "how many servers there are"),
                      written.split("/"), right.split("/"), strict=True)  # fmt: skip
        wrong = [what for what, mine, theirs in letters if mine != theirs]
        if wrong:
            remarks.append(f"{name}: look again at {' and '.join(wrong)}")
    if remarks:
        return Grade(False, tuple(remarks))
    return Grade(True, ("gaps tell the first letter, service times the second, how many are served at once the third",))
