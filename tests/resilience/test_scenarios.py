"""Situations: attempts one by one, a breaker at work, three tiers, retry storms and their remedies."""

import math

import pytest

from distlib.resilience.scenarios import (
    WHERE,
    AttemptsParams,
    BreakerParams,
    TiersParams,
    attempts_one_by_one,
    breaker_at_work,
    three_tiers,
    tiers_by_theory,
)
from distlib.resilience.storm import REMEDIES, GoodputParams, StormParams, goodput_curve, storm

SAVES = {
    "newest first",
    "bounded queue",
    "random shedding",
    "adaptive LIFO",
    "concurrency limit",
    "cancelling",
    "circuit breaker",
}


def test_calls_are_told_attempt_by_attempt():
    run = attempts_one_by_one(AttemptsParams())
    assert len(run.calls) == 14 and run.calls["attempts"].sum() == len(run.attempts)
    assert run.attempts.groupby("call").size().max() <= 3
    again = run.attempts[run.attempts["number"] > 1]
    assert len(again) > 3 and (again["sent_ms"] > 0).all()
    late = run.attempts[run.attempts["outcome"] == "timed out"]
    assert len(late) and (late["ended_ms"] - late["sent_ms"]).round(6).eq(300.0).all()
    assert (late["done_ms"] > late["ended_ms"]).any()  # the server went on


def test_nothing_goes_wrong_without_errors_and_a_long_timeout():
    run = attempts_one_by_one(AttemptsParams(errors=0.0, timeout_ms=5000.0, deadline_ms=20_000.0))
    assert set(run.calls["outcome"]) == {"ok"} and (run.calls["attempts"] == 1).all()


def test_a_breaker_opens_in_the_outage_and_closes_after_it():
    run = breaker_at_work(BreakerParams())
    assert run.share("closed", 0, 20) > 0.9 and run.share("open", 22, 50) > 0.7 and run.share("closed", 60, 80) > 0.9
    outage = run.course[run.course["time_s"].between(25, 49)]
    assert outage["rejected"].sum() > 3 * outage["sent"].sum()


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("failing", [0.5, 1.0])
def test_three_tiers_multiply_as_the_formula_says(where, failing):
    params = TiersParams(where=where, failing=failing, rate_per_s=100.0)
    run = three_tiers(params)
    assert run.at_the_bottom == pytest.approx(tiers_by_theory(params), rel=0.03)
    assert (run.success == 0.0) == (failing == 1.0)


@pytest.mark.parametrize("remedy", REMEDIES)
def test_which_remedies_end_a_storm(remedy):
    run = storm(StormParams(remedy=remedy))
    if remedy in SAVES:
        assert run.recovery_s <= 10 and run.goodput_per_s > 0.95 * 280
    else:
        assert math.isinf(run.recovery_s) and run.goodput_per_s < 0.7 * 280


def test_the_fluid_model_speaks_where_it_knows_the_situation():
    assert storm(StormParams(rate_per_s=140.0)).theory_s == pytest.approx(118)
    assert math.isnan(storm(StormParams(backoff="full")).theory_s)
    with pytest.raises(ValueError, match="more than the outage's end, 80 s"):
        StormParams(outage_s=60.0, duration_s=70.0)


def test_goodput_has_a_stable_a_vulnerable_and_an_overloaded_region():
    curve = goodput_curve(GoodputParams())
    low, high = curve.vulnerable
    assert (low, high) == (0.5, 1.0)
    for load, offered, alone, after in curve.points.itertuples(index=False):
        if load < 0.46:
            assert alone == pytest.approx(offered, rel=0.25) and after == pytest.approx(offered, rel=0.2)
        elif 0.5 <= load < 0.96:
            assert alone > 0.8 * offered and after < 0.1 * offered
        elif load > 1.02:
            assert max(alone, after) < 0.1 * offered


def test_progress_may_stop_a_curve():
    class Enough(Exception):
        pass

    def progress(done, total):
        raise Enough

    with pytest.raises(Enough):
        goodput_curve(GoodputParams(), progress)
