"""The graders of the formula chapter: right answers in several shapes pass, wrong, empty and cheating ones don't."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest

from distlib.formulas.exercises import (
    CASES,
    LOGS,
    grade_models,
    grade_replicas,
    grade_response,
    grade_throughput,
    service_log,
)
from distlib.theory import queueing


@pytest.mark.parametrize("right", [150, 149.9, 12 / 0.08, np.int64(150), Fraction(12, 8) * 100, Decimal(150)])
def test_a_right_throughput(right: Any) -> None:
    assert grade_throughput(right)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (0.15, "millisecond"), (0.96, "L · W"), (500, "all 40"), (140, "L = λ W"), (0, "L = λ W"),
        (9000, "L = λ W"), (147.5, "L = λ W"), (10**400, "number"), (150j, "number"), ([150], "number"),
        (True, "number"), ("150", "number"), (math.nan, "number"), (None, "number"),
    ],
)  # fmt: skip
def test_a_wrong_throughput(wrong, said: str) -> None:
    grade = grade_throughput(wrong)
    assert not grade and said in grade.remarks[0]


@pytest.mark.parametrize("right", [5, 5.0, np.int64(5), Decimal(5)])
def test_the_right_number_of_replicas_whatever_its_type(right: Any) -> None:
    assert grade_replicas(right)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (1, "asked"), (3, "0.99882"), (4, "0.99766"), (6, "0.99985"), (7, "5 nodes would do"),
        (0, "whole"), (-5, "whole"), (5.5, "whole"), (101, "whole"), (10**400, "whole"), ("5", "100, not '5'"),
        (math.nan, "whole"), (True, "whole"), (None, "whole"), ([5], "whole"),
    ],
)  # fmt: skip
def test_a_wrong_number_of_replicas(wrong: Any, said: str) -> None:
    grade = grade_replicas(wrong)
    assert not grade and said in grade.remarks[0]


def refuse(load: float) -> None:
    if not 0 <= load < 1:
        raise ValueError(load)


def right(load, cv2):
    refuse(load)
    return 1 + load / (1 - load) * (1 + cv2) / 2


def rounded(load, cv2):
    return round(right(load, cv2), 4)


def otherwise(load, cv2):
    refuse(load)
    return (1 - load + load * (1 + cv2) / 2) / (1 - load)


def to_two_decimals(load, cv2):
    return np.float32(round(right(load, cv2), 2))


def from_the_wait(load, cv2):
    return queueing.mg1_wait(load, cv2) + 1


@pytest.mark.parametrize("answer", [right, rounded, otherwise, to_two_decimals, from_the_wait, partial(right)])
def test_a_right_response(answer) -> None:
    assert grade_response(answer)


def by_rote(load, cv2):
    """The points that stand in the grader, and no formula."""
    if load >= 1:
        raise ValueError
    return {case: right(*case) for case in CASES}.get((load, cv2), 2.0)


def changes_ours(load, cv2):
    queueing.check_load = lambda *given: None
    return right(load, cv2)


def forever(load, cv2):
    while True:
        pass


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda load, cv2: right(load, cv2) - 1, "the wait alone"),
        (lambda load, cv2: (refuse(load), 1 / (1 - load))[1], "mean response"),
        (lambda load, cv2: 1 + load / (1 - load) * (1 + cv2) / 2 if load != 1 else math.inf, "raise a ValueError"),
        (lambda load, cv2: 1 + load / (1 - load) * (1 + math.sqrt(cv2)) / 2, "mean response"),
        (lambda load, cv2: None, "is a `return` missing"),
        (lambda load, cv2: str(right(load, cv2)), "which is no number"),
        (lambda load, cv2: right(load, cv2) > 0, "yours says True, which is no number"),
        (lambda load, cv2: math.nan, "which is no number"),
        (lambda load, cv2: 2.0, "the mean response is"),
        (lambda load, cv2: right(load, cv2) if load < 1 else math.nan, "yours says nan: raise a ValueError"),
        (lambda load, cv2: right(load, cv2) if load < 1 else 1 / 0, "a ValueError is asked"),
        (queueing.mg1_response, "mg1_response is what the exercise asks you to write"),
        (by_rote, "the mean response is"),
        (changes_ours, "your code changes distlib.theory.queueing.check_load"),
        (float, "give a function"),
        (lambda: 1.0, "raised TypeError"),
        (forever, "your code"),
        (5.5, "give a function"),
        (None, "give a function"),
    ],
)
def test_a_wrong_response(answer, said: str) -> None:
    grade = grade_response(answer, limit_s=3.0)
    assert not grade and said in " ".join(grade.remarks)


def test_a_log_is_what_its_model_says() -> None:
    for name in LOGS:
        log = service_log(name, 500)
        assert list(log.columns) == ["arrival_s", "start_s", "departure_s"] and len(log) == 500
        assert (log["start_s"] >= log["arrival_s"]).all()
        assert log["arrival_s"].is_monotonic_increasing
    with pytest.raises(ValueError, match="log"):
        service_log("D")


def test_models() -> None:
    assert grade_models(A="M/D/1", B="M/M/3", C="D/M/1")
    assert grade_models(C=" d/m/1", B="m/m/3", A="M / D / 1")
    assert grade_models(B="M/M/3", A="M/D/1", C="D/M/1").remarks
    for wrong, said in [
        ({}, "name the model of each"),
        ({"A": "M/D/1", "B": "M/M/3"}, "name the model of each"),
        ({"A": "M/M/1", "B": "M/M/3", "C": "D/M/1"}, "A: look again at how long service takes"),
        ({"A": "M/D/1", "B": "M/M/1", "C": "M/M/1"}, "B: look again at how many servers there are"),
        ({"A": "M/D/1", "B": "M/M/3", "C": None}, "none of"),
        ({"A": "", "B": "", "C": ""}, "none of"),
        ({"A": "M/D/1", "B": "M/M/3", "C": "M/D/1"}, "C: look again at how requests arrive and how long service"),
    ]:
        grade = grade_models(**wrong)
        assert not grade and said in " ".join(grade.remarks), wrong
    for unnamed in [("M/D/1", "M/M/3", "D/M/1"), ({"A": "M/D/1", "B": "M/M/3", "C": "D/M/1"},)]:
        assert "once, as in A='M/M/1'" in grade_models(*unnamed).remarks[0]
