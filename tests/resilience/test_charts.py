"""Pictures of fault tolerance: what is drawn is what was found."""

import numpy as np
import pandas as pd
import pytest

from distlib.resilience import charts
from distlib.resilience.occ import OccParams, backoff_study
from distlib.resilience.scenarios import (
    OUTAGE_S,
    AttemptsParams,
    BreakerParams,
    TiersParams,
    attempts_one_by_one,
    breaker_at_work,
    three_tiers,
)
from distlib.resilience.storm import StormParams, storm
from distlib.resilience.tail import TailParams, tail_at_scale


def traces(figure):
    return {one.name: one for one in figure.data if one.name}


def test_every_attempt_is_a_bar_from_its_sending_to_its_end():
    run = attempts_one_by_one(AttemptsParams(hedge_ms=150.0))
    drawn = traces(charts.attempts_timeline(run.attempts, run.calls, 2000.0))
    assert sum(len(drawn[name].x) for name in charts.OUTCOMES) == len(run.attempts)
    late = run.attempts[run.attempts["outcome"] == "timed out"]
    assert list(drawn["timed out"].base) == list(late["sent_ms"])
    assert np.allclose(np.array(drawn["timed out"].x), 300.0)
    assert len(drawn[charts.WASTED].x) == (run.attempts["done_ms"] > run.attempts["ended_ms"] + 1e-6).sum() > 0
    assert not drawn["deadline"].showlegend  # beyond the right edge


def test_the_strip_shows_one_state_at_a_time():
    run = breaker_at_work(BreakerParams())
    drawn = traces(charts.breaker_strip(run.course, 0.5, OUTAGE_S))
    together = sum(np.array(drawn[state].y) for state in charts.STATE_LOOKS)
    assert (together == 1.0).all() and np.array(drawn["open"].y).sum() == (run.course["breaker"] == "open").sum()
    assert list(drawn["sent"].y) == list(run.course["sent"] / 0.5)


def test_a_storm_and_its_regions():
    run = storm(StormParams(duration_s=60.0))
    drawn = traces(charts.storm_course(run.course, 300.0, (20.0, 30.0)))
    assert list(drawn["goodput: answered in time"].y) == list(run.course["goodput_per_s"])
    points = pd.DataFrame(
        {"load": [0.2, 1.2], "offered_per_s": [60.0, 360.0], "alone_per_s": [60.0, 0.0], "after_per_s": [60.0, 0.0]}
    )
    drawn = traces(charts.goodput_by_load(points, 300.0, (0.5, 1.0)))
    assert drawn["vulnerable"].x[:2] == (150.0, 300.0)


def test_the_bands_of_three_tiers_are_1_4_16_64():
    link = charts.tiers_sankey(three_tiers(TiersParams()).flows).data[0].link
    width = np.zeros(3)
    np.add.at(width, np.array(link.source), np.array(link.value))
    assert width == pytest.approx([4, 16, 64])


def test_no_call_is_lost_in_the_slices():
    study = backoff_study(OccParams(clients=20, repetitions=2))
    end = max(one.max() for one in study.writes_ms.values()) + 1
    figure = charts.writes_over_time(study.writes_ms, end)
    assert {one.name: sum(one.y) for one in figure.data} == {name: len(one) for name, one in study.writes_ms.items()}
    drawn = traces(charts.time_against_calls(study.summary, {"none": (1.0, 2.0)}))
    assert drawn["full"].x[0] == study.summary.set_index("strategy")["calls"]["full"]
    with pytest.raises(ValueError, match="at least one backoff"):
        charts.writes_over_time({}, 10.0)


def test_the_tail_says_what_the_hedge_costs():
    study = tail_at_scale(TailParams())
    drawn = traces(charts.hedged_tail(study.ccdf, 10.0, study.extra, (1800.0, 78.6)))
    assert "hedge sent; 2.0% more requests" in drawn and drawn["p99.9"].text == ("1,800 ms", "78.6 ms")


@pytest.mark.parametrize("draw", [
    lambda empty: charts.attempts_timeline(empty, empty, 1.0), lambda empty: charts.breaker_strip(empty, 0.5, (0, 1)),
    lambda empty: charts.storm_course(empty, 1.0, (0, 1)), lambda empty: charts.goodput_by_load(empty, 1.0, (0, 1)),
    charts.tiers_sankey, charts.time_against_calls, lambda empty: charts.hedged_tail(empty, 1.0, 0.1, (1, 1)),
])  # fmt: skip
def test_a_table_without_its_columns_is_refused(draw):
    with pytest.raises(ValueError, match="has no column"):
        draw(pd.DataFrame({"nothing": [1]}))
