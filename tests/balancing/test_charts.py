"""Figures of load balancing: what they show of their tables, what they refuse, and that they live without a kernel."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from distlib.balancing import charts as balancing
from distlib.balancing import response_charts
from distlib.formulas.charts import formula_curve


def lengths(rows: list[list[int]]) -> pd.DataFrame:
    return pd.DataFrame(
        [(float(moment), backend, count) for moment, row in enumerate(rows) for backend, count in enumerate(row)],
        columns=["time_s", "backend", "requests"],
    )


def waiting(counts: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"time_s": np.arange(len(counts), dtype=float), "waiting": counts})


def said(figure: go.Figure) -> list[str]:
    return [figure.layout.annotations[0].text, *(one.layout.annotations[0].text for one in figure.frames)]


def test_live_queues_show_service_waiting_and_idle_backends() -> None:
    figure = balancing.live_queues(lengths([[3, 0], [1, 1]]), waiting([2, 0]))
    served, waits = figure.data
    assert list(served.y) == [1, 0] and list(waits.y) == [2, 0]
    assert served.text[1] == "idle", "an idle backend is named, not only left white"
    assert said(figure)[0] == "<b>2</b> waiting, <b>1</b> of 2 backends idle"


def test_live_queues_move_in_a_static_page() -> None:
    figure = balancing.live_queues(lengths([[3, 0], [1, 1]]), waiting([2, 0]))
    assert [list(frame.data[1].y) for frame in figure.frames] == [[2, 0], [0, 0]]
    assert said(figure)[2] == "<b>0</b> waiting, <b>0</b> of 2 backends idle"
    assert figure.layout.sliders and figure.layout.updatemenus
    assert "Plotly.addFrames" in figure.to_html(include_plotlyjs=False)


def test_a_central_queue_has_a_bar_of_its_own() -> None:
    figure = balancing.live_queues(lengths([[1, 1], [1, 0]]), waiting([5, 0]))
    assert list(figure.data[0].x) == ["queue", "B0", "B1"]
    assert list(figure.data[1].y) == [5, 0, 0]


def test_a_very_long_queue_is_cut_off_and_its_number_written() -> None:
    figure = balancing.live_queues(lengths([[5000]]), waiting([4999]), unstable="load is 2")
    assert figure.data[0].y[0] + figure.data[1].y[0] == balancing.MOST_ROWS
    assert figure.data[1].text[0] == "5000 ↑", "a bar that is cut says so"
    assert "unstable" in said(figure)[0]


def test_too_many_moments_are_refused() -> None:
    with pytest.raises(ValueError, match="401 moments"):
        balancing.live_queues(lengths([[1]] * 401), waiting([0] * 401))


POINTS = pd.DataFrame(
    {"policy": ["random"] * 2 + ["mine"] * 2, "load": [0.5, 0.9] * 2, "mean_s": [2.0, 10.0, 1.5, 4.0],
     "low_s": [1.9, 8.0, 1.4, 3.5], "high_s": [2.1, 12.0, 1.6, 4.5]}
)  # fmt: skip


def test_theory_runs_through_the_points_and_bands_show_confidence() -> None:
    theory = pd.DataFrame({"policy": "random", "load": [0.1, 0.5, 0.9], "theory_s": [1.11, 2.0, 10.0]})
    figure = response_charts.response_against_load(POINTS, theory)
    band, line, dots = figure.data[:3]
    assert list(band.y) == [2.1, 12.0, 8.0, 1.9] and band.fill == "toself"
    assert list(line.y) == [1.11, 2.0, 10.0] and line.line.dash == "solid"
    assert list(dots.y) == [2.0, 10.0] and dots.name == "random"
    assert figure.data[4].line.dash == "dot", "without a formula, thin dots join the signs"


def test_a_policy_looks_the_same_in_every_figure() -> None:
    alone = response_charts.policy_style("two choices")
    assert response_charts.policy_style("two choices", ["round robin", "two choices"]) == alone
    assert response_charts.policy_style("mine", ["mine"]) != response_charts.policy_style("random")


SUMMARY = pd.DataFrame(
    {"policy": ["random", "round robin"], "p50_s": [7.0, 4.0], "mean_s": [10.0, 5.7], "p95_s": [30.0, 17.0],
     "p99_s": [46.0, 26.0], "p99.9_s": [69.0, 39.0], "theory_s": [10.0, np.nan], "unstable": ["", "too slow"]}
)  # fmt: skip


def test_percentile_dots_have_a_row_a_policy_and_a_trace_a_statistic() -> None:
    figure = response_charts.percentile_dots(SUMMARY)
    named = {trace.name: trace for trace in figure.data if trace.name}
    assert list(named) == ["median", "mean", "95 %", "99 %", "99.9 %", "mean, by theory"]
    assert list(named["99 %"].x) == [46.0, 26.0]
    assert len({trace.marker.symbol for trace in named.values()}) == 6, "no colour alone tells them apart"
    assert "unstable" in named["mean"].y[1]


def test_the_tail_leaves_out_zeros_of_the_logarithm() -> None:
    ccdf = pd.DataFrame({"policy": "random", "response_s": [1.0, 2.0, 3.0], "tail": [0.5, 0.01, 0.0]})
    assert list(response_charts.response_tail(ccdf).data[0].y) == [0.5, 0.01]


def test_the_heat_map_marks_the_best_of_every_cell() -> None:
    table = pd.DataFrame(
        {"policy": ["a", "b"] * 2, "cv2": [0.0, 0.0, 4.0, 4.0], "load": 0.9, "slowdown": [1.0, 2.0, 12.0, 3.0]}
    )
    first, second = balancing.policy_heat_map(table).data
    assert [first.text[0][0], first.text[1][0]] == ["<b>1.00</b><br>★", "12"]
    assert [second.text[0][0], second.text[1][0]] == ["2.00", "<b>3.00</b><br>★"]


def test_the_herd_curve_puts_live_information_left_of_all_others() -> None:
    table = pd.DataFrame({"policy": "random", "interval_s": [0.0, 1.0, 10.0], "mean_s": [9.0, 9.0, 9.0],
                          "low_s": [8.5] * 3, "high_s": [9.5] * 3})  # fmt: skip
    figure = balancing.herd_curve(table)
    assert figure.layout.xaxis.ticktext[0] == "live"
    assert figure.data[1].x[0] < figure.data[1].x[1]


def test_shares_are_relative_to_an_even_share() -> None:
    counts = pd.DataFrame({"policy": "random", "backend": [0, 1], "requests": [30, 10]})
    assert list(balancing.backend_shares(counts).data[0].y) == [1.5, 0.5]


def test_bins_name_the_fullest() -> None:
    table = pd.DataFrame({"choices": 2, "balls": [0, 1, 2], "share": [1.0, 0.5, 0.0], "theory": [1.0, 0.5, 0.1]})
    assert balancing.fullest_bins(table).data[1].name == "2 choices, fullest bin 1"


CURVE = pd.DataFrame({"setting": [1, 1, 2, 2], "x": [0.1, 0.9] * 2, "value": [1.1, 10.0, 1.0, 5.0]})
DOTS = pd.DataFrame({"setting": [1, 2], "x": [0.9, 0.9], "value": [9.8, 5.1], "error": [0.5, 0.3]})


def test_a_formulas_slider_needs_no_kernel() -> None:
    figure = formula_curve(CURVE, DOTS, x="ρ", y="W", setting="c")
    assert [step.label for step in figure.layout.sliders[0].steps] == ["1", "2"]
    assert [list(frame.data[1].y) for frame in figure.frames] == [[9.8], [5.1]]
    assert list(figure.data[2].y) == [1.0, 5.0], "starts in the middle of its settings"
    assert list(figure.data[3].error_y.array) == [0.3]


@pytest.mark.parametrize(
    ("draw", "table"),
    [
        (balancing.backend_shares, pd.DataFrame({"policy": ["a"]})),
        (balancing.policy_heat_map, pd.DataFrame({"policy": ["a"]})),
        (balancing.herd_curve, pd.DataFrame({"policy": ["a"]})),
        (balancing.fullest_bins, pd.DataFrame({"choices": [1]})),
        (response_charts.response_against_load, POINTS.drop(columns="low_s")),
        (response_charts.percentile_dots, SUMMARY.drop(columns="p99_s")),
        (response_charts.response_tail, pd.DataFrame({"policy": ["a"]})),
    ],
)
def test_a_missing_column_is_named(draw: object, table: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="the table has no column '"):
        draw(table)  # type: ignore[operator]


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        response_charts.response_against_load(POINTS.iloc[:0])
