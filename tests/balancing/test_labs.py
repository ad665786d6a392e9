"""The labs of load balancing, hashing and formulas without a screen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from distlib.balancing.labs import (
    DisciplineLab,
    HashRingLab,
    LiveQueuesLab,
    LoadBalancingLab,
    LoadCurveLab,
    OutageLab,
    StaleLab,
)
from distlib.balancing.scenarios import ComparisonParams, compared_runs, theory_tails, wasted
from distlib.formulas.labs import FormulaLab
from distlib.formulas.scenarios import FORMULAS
from distlib.labs.lab import Lab
from distlib.labs.question import prediction, quiz
from distlib.sim.service.service import simulate

SMALL: dict[type[Lab], dict[str, Any]] = {
    LiveQueuesLab: {"frames": 10, "start_s": 20.0},
    LoadBalancingLab: {"requests": 2000},
    LoadCurveLab: {"requests": 1000},
    StaleLab: {"requests": 2000, "backends": 10},
    DisciplineLab: {"requests": 1000},
    OutageLab: {"runs": 2},
    HashRingLab: {"keys": 1000},
    FormulaLab: {"requests": 2000},
}


@pytest.mark.parametrize("kind", SMALL)
def test_every_picture_and_every_preset_of_every_lab(kind: type[Lab]) -> None:
    lab = kind(**SMALL[kind])
    assert lab.result is not None
    for name in lab.figures:
        lab.set(figure=name)
        assert lab.error is None and len(lab.picture.figure.data) > 0, name
    for values in lab.presets.values():
        lab.set(**{**values, **({} if "requests" in values else SMALL[kind])})
        lab.wait()
        assert lab.error is None, values
    assert lab.data(lab.result)


def test_all_policies_of_a_lab_meet_the_same_requests() -> None:
    runs = [simulate(one) for one in compared_runs(ComparisonParams(requests=2000))]
    assert len(runs) == 5
    for one in runs[1:]:
        assert np.array_equal(one.arrival_s, runs[0].arrival_s)
        assert np.array_equal(one.service_s, runs[0].service_s)


def test_by_default_a_move_simulates_a_million_requests() -> None:
    params = ComparisonParams()
    assert params.requests * len(params.policies) == 1_000_000


def test_the_verdict_tells_a_central_queue_from_random() -> None:
    lab = LoadBalancingLab(requests=5000, policies=("random", "central queue"))
    holds = {name.split(":")[0]: holds for name, holds, _ in lab.verdicts(lab.result)}
    assert holds == {"random": False, "central queue": True}


def test_an_unstable_load_says_so_in_the_lab_and_the_lab_lives_on() -> None:
    lab = LoadBalancingLab(requests=1000)
    lab.controls.load.value = 1.2
    assert lab.wait(60) and lab.error is None
    names = {name: (holds, why) for name, holds, why in lab.verdicts(lab.result)}
    assert names["random: queues stay finite"][0] is False
    lab.set(load=0.5)
    assert lab.error is None


def test_round_robin_overloads_a_slow_backend_and_least_request_does_not() -> None:
    lab = LoadBalancingLab(requests=2000, slow_speed=0.5, load=0.8)
    found = {name: holds for name, holds, _ in lab.verdicts(lab.result)}
    assert found["round robin: queues stay finite"] is False
    assert "least request: queues stay finite" not in found


def test_a_film_has_no_more_moments_than_a_figure_takes() -> None:
    lab = LiveQueuesLab(frames=10, start_s=10.0)
    lab.controls.frames.value = 500
    assert len(lab.result.waiting) == 400 and lab.error is None
    with pytest.raises(ValueError, match="from 1 to 400"):
        lab.set(frames=500)


def test_wasted_moments() -> None:
    lengths = np.array([[0, 3], [1, 2], [0, 1]])
    assert wasted(lengths, np.array([2, 1, 0])).tolist() == [True, False, False]


def test_a_herd_is_slower_than_chance() -> None:
    lab = StaleLab(requests=20_000, backends=50)
    ((name, holds, _said),) = lab.verdicts(lab.result)
    assert "oldest information" in name and holds is False


def test_a_node_can_join_and_leave_at_both_ends_of_the_range() -> None:
    """One more than the most nodes was refused, and the only one could not leave."""
    for nodes in (2, 100):
        steps = HashRingLab(nodes=nodes, keys=100).result
        assert [len(one.shares) for one in (steps.now, steps.more, steps.fewer)] == [nodes, nodes + 1, nodes - 1]


def test_too_many_points_for_a_ring_are_refused_in_words() -> None:
    lab = HashRingLab(nodes=100, virtual_nodes=100, keys=100)
    assert "at most 6,000" in str(lab.error)


def test_a_join_moves_what_the_table_says() -> None:
    lab = HashRingLab(nodes=10, virtual_nodes=100, keys=1000)
    row = lab.table(lab.result).set_index("ring")["value"]
    assert row["keys that move when a node joins"] == pytest.approx(1 / 11, rel=0.5)


@pytest.mark.parametrize("name", FORMULAS)
def test_simulation_meets_every_formula(name: str) -> None:
    """100,000 requests a point; at most two points of some twenty beyond three standard errors, none beyond six.

    The batch errors of such short runs are rough near saturation; *d choices* has 200 servers instead of infinitely
    many, a bias that no sample removes.
    """
    lab = FormulaLab(formula=name)
    assert lab.result is not None and lab.error is None
    apart = lab.table(lab.result)["standard errors apart"].abs().dropna()
    assert apart.max() < 6 and (apart > 3).sum() <= (2 if name != "d choices" else 6), apart.tolist()


def test_tails_by_theory_where_there_are_any() -> None:
    tails = theory_tails(ComparisonParams(load=0.5), 4.0)
    assert set(tails["policy"]) == {"random", "round robin", "two choices", "central queue"}
    random = tails[tails["policy"] == "random"]
    assert random["tail"].iloc[-1] == pytest.approx(np.exp(-4.0 * 0.5))
    assert theory_tails(ComparisonParams(service="pareto"), 4.0).empty


@pytest.mark.parametrize(
    "chapter", ["03_3_load_balancing", "03_3_load_balancing_in_practice", "03_6_formulas", "03_6_formulas_of_choice"]
)
def test_every_question_has_its_answer(chapter: str) -> None:
    asked = quiz(chapter)
    for number, question in enumerate(asked.questions):
        assert asked.answer(number, question.right)
    assert asked.score == len(asked.questions)


@pytest.mark.parametrize(
    ("chapter", "name"),
    [
        ("03_3_load_balancing", name)
        for name in ("random at 90 %", "round robin at its best", "the second choice", "sharing")
    ]
    + [("03_3_load_balancing_in_practice", name) for name in ("an old board", "in step", "the black hole", "mod n")]
    + [("03_6_formulas", name) for name in ("more nodes", "pasta", "one pool", "variance", "one big pool")],
)
def test_predictions_exist(chapter: str, name: str) -> None:
    assert prediction(chapter, name).questions
