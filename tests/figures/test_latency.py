"""Distributions and percentiles."""

from __future__ import annotations

import math

import numpy as np
import pytest

from distlib.figures.latency import latency_cdf, quantile


def test_quantiles_are_of_nearest_rank() -> None:
    ordered = np.arange(1.0, 101.0)
    assert [quantile(ordered, one) for one in (1, 50, 90, 99, 99.9)] == [1, 50, 90, 99, 100]
    assert quantile(np.array([7.0]), 50) == 7


def test_curves_rise_to_one_and_carry_their_percentiles() -> None:
    figure = latency_cdf({"a": range(1, 101)})
    curve = next(one for one in figure.data if one.name == "a")
    assert curve.y[-1] == 1 and list(curve.x) == sorted(curve.x) and curve.line.shape == "hv"
    marks = next(one for one in figure.data if one.name.startswith("<b>a</b>"))
    assert list(marks.x) == [50, 90, 99] and "p50 50 ms · p90 90 ms · p99 99 ms" in marks.name


def test_a_million_samples_travel_as_a_few_hundred_points_with_the_tail_kept() -> None:
    values = np.random.default_rng(7).exponential(size=1_000_000)
    curve = latency_cdf({"a": values}).data[1]
    assert len(curve.x) <= 400
    assert curve.x[-1] == pytest.approx(values.max(), abs=1e-6)
    assert sum(share > 0.99 for share in curve.y) > 50


def test_what_never_came_counts_as_slowest() -> None:
    figure = latency_cdf({"a": [1.0, 2.0, math.nan, math.inf]})
    curve = next(one for one in figure.data if one.name == "a")
    assert curve.y[-1] == 0.5
    assert any("p99 never" in one.name for one in figure.data)


def test_same_names_keep_traces_and_order() -> None:
    one, other = latency_cdf({"a": [1], "b": [2]}), latency_cdf({"a": [3, 4], "b": [math.nan]})
    assert [part.type for part in one.data] == [part.type for part in other.data]
    assert len(one.data) == len(other.data) == 5


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ({}, "samples is {}"),
        ([1, 2], r"samples is \[1, 2\]; it takes names with latencies"),
        ({"a": []}, r"samples\['a'\] is empty"),
        ({"a": [-1]}, r"samples\['a'\] holds -1; it takes values of at least 0"),
    ],
)
def test_impossible_requests_are_refused(samples, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        latency_cdf(samples)


def test_a_log_scale_takes_no_zero() -> None:
    with pytest.raises(ValueError, match="holds 0; it takes values above 0 on a log scale"):
        latency_cdf({"a": [0, 1]}, log_x=True)
    assert latency_cdf({"a": [1, 10]}, log_x=True).layout.xaxis.type == "log"
