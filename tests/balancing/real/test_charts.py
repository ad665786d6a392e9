"""The figure of measured beside simulated percentiles, from made-up numbers."""

from __future__ import annotations

import pandas as pd
import pytest

from distlib.balancing.real.charts import measured_percentiles, requests_by_backend

PERCENTS = (50.0, 99.0)


def frames(policies: int = 2) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    names = [f"policy {number}" for number in range(policies)]
    rows = [
        (name, source, percent, percent + shift, float("nan") if source == "simulated" else percent)
        for name in names
        for shift, source in enumerate(("simulated", "own proxy", "nginx", "another"))
        for percent in PERCENTS
    ]
    percentiles = pd.DataFrame(rows, columns=["policy", "source", "percent", "response_ms", "since_sent_ms"])
    chance = pd.DataFrame([(name, percent, percent / 2, percent * 2) for name in names for percent in PERCENTS])
    chance.columns = ["policy", "percent", "low_ms", "high_ms"]
    counts = pd.DataFrame([(name, source, backend, 10 * backend) for name in names
                           for source in ("simulated", "own proxy") for backend in range(3)])  # fmt: skip
    counts.columns = ["policy", "source", "backend", "requests"]
    return percentiles, chance, counts


def test_one_panel_a_policy_with_line_band_and_dots() -> None:
    percentiles, chance, _ = frames()
    figure = measured_percentiles(percentiles, chance)
    assert [one.text for one in figure.layout.annotations] == ["<b>policy 0</b>", "<b>policy 1</b>"]
    names = [one.name for one in figure.data]
    assert names[:5] == names[5:]
    assert names[1] == "simulated, the same requests" and names[2] == "measured: own proxy"
    assert list(figure.data[1].y) == [50, 99] and list(figure.data[2].y) == [51, 100]
    assert [one.showlegend for one in figure.data] == [True] * 5 + [False] * 5
    assert len({one.marker.symbol for one in figure.data[2:5]}) == 3  # told apart without colour


def test_coordinated_omission_adds_open_signs() -> None:
    percentiles, chance, _ = frames(1)
    figure = measured_percentiles(percentiles, chance, coordinated_omission=True)
    added = [one for one in figure.data if "counted from the sending" in one.name]
    assert len(added) == 3
    assert all(one.marker.symbol.endswith("-open") and list(one.y) == [50, 99] for one in added)


def test_many_policies_take_several_rows() -> None:
    percentiles, chance, _ = frames(6)
    figure = measured_percentiles(percentiles, chance)
    assert figure.layout.height > measured_percentiles(*frames(1)[:2]).layout.height
    assert len(figure.layout.annotations) == 6


def test_requests_stand_side_by_side() -> None:
    figure = requests_by_backend(frames()[2])
    assert [one.name for one in figure.data] == ["simulated", "own proxy"] * 2
    assert list(figure.data[0].y) == [0, 10, 20]
    assert figure.data[0].marker.pattern.shape != figure.data[1].marker.pattern.shape


def test_nothing_measured_is_said() -> None:
    percentiles, chance, counts = frames()
    with pytest.raises(ValueError, match="percentiles is empty"):
        measured_percentiles(percentiles.iloc[:0], chance)
    with pytest.raises(ValueError, match="counts is empty"):
        requests_by_backend(counts.iloc[:0])
