"""The chapter's situations: right columns, sensible orders, clear refusals, small defaults."""

import tracemalloc

import numpy as np
import pytest

from distlib.balancing.hashing_scenarios import (
    MaglevParams,
    MovementParams,
    RingParams,
    key_movement,
    maglev_fill,
    ring_view,
)
from distlib.balancing.scenarios import (
    FIVE,
    POLICIES,
    SERVICES,
    TYPICAL,
    BinsParams,
    ComparisonParams,
    HeatMapParams,
    LiveQueuesParams,
    LoadCurveParams,
    StaleParams,
    SupermarketParams,
    fullest_bin,
    heat_map,
    live_queues,
    load_curve,
    policy_comparison,
    service_times,
    stale_information,
    supermarket_table,
    theory_curve,
)


def test_comparison_ranks_the_five():
    comparison = policy_comparison()
    mean = comparison.summary.set_index("policy").mean_s
    assert list(mean.index) == list(FIVE)
    assert list(mean.sort_values().index) == ["central queue", "least request", "two choices", "round robin", "random"]
    assert set(comparison.ccdf.policy) == set(FIVE)
    assert (comparison.counts.groupby("policy").requests.sum() == 200_000).all()


@pytest.mark.parametrize("seed", [1, TYPICAL])
def test_the_comparison_agrees_with_theory(seed):
    """Within two standard errors, which are small: 200,000 requests a policy. The default seed was chosen for that."""
    table = policy_comparison(ComparisonParams(seed=seed)).summary.set_index("policy")
    exact = table.loc[["random", "round robin", "central queue"]]
    assert (abs(exact.mean_s - exact.theory_s) < 2 * exact.standard_error_s).all()
    assert (exact.standard_error_s < 0.06 * exact.theory_s).all()


@pytest.mark.parametrize(
    ("scenario", "params", "more"),
    [
        (policy_comparison, ComparisonParams, {"policies": tuple(POLICIES), "load": 0.5}),
        (load_curve, LoadCurveParams, {"policies": ("random", "two choices"), "loads": (0.5,)}),
        (stale_information, StaleParams, {"policies": ("random", "two choices"), "intervals_s": (1.0,)}),
        (heat_map, HeatMapParams, {"cv2s": (1.0,), "loads": (0.5,)}),
        (live_queues, LiveQueuesParams, {"backends": 100, "load": 2.0, "start_s": 1000.0, "frame_s": 5.0}),
    ],
)
def test_the_longest_run_of_a_lab_fits_into_half_a_gigabyte(scenario, params, more):
    name = "requests" if "requests" in params.specs() else "frames"
    tracemalloc.start()
    scenario(params(**{name: params.specs()[name].high}, **more))
    peak_mb = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    assert peak_mb < 500


@pytest.mark.parametrize("wrong", [0.5, "0.5", None, [0.5], ("half",)])
def test_a_series_of_another_type_is_named(wrong):
    for name, params in (("loads", LoadCurveParams), ("cv2s", HeatMapParams), ("intervals_s", StaleParams),
                         ("choices", SupermarketParams), ("choices", BinsParams), ("weights", RingParams)):  # fmt: skip
        with pytest.raises(TypeError, match=rf"{name}(\[0\])? is .*; it takes a (tuple|number|whole number)"):
            params(**{name: wrong})


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_and_every_policy(service):
    params = ComparisonParams(load=0.5, service=service, policies=tuple(POLICIES), requests=2000)
    assert (policy_comparison(params).summary.mean_s > 0.5).all()


def test_an_unstable_comparison_is_labelled():
    labelled = policy_comparison(ComparisonParams(load=1.1, requests=2000)).summary
    assert labelled.unstable.str.contains("grows for ever").all()
    slow = policy_comparison(ComparisonParams(load=0.9, slow_speed=0.5, requests=2000)).summary.set_index("policy")
    assert "busiest backend" in slow.unstable["round robin"] and not slow.unstable["central queue"]


def test_where_queues_grow_for_ever_there_is_no_mean_but_a_reason():
    """Key affinity gives the busiest of ten backends more than its share; the whole curve was refused."""
    table = load_curve(LoadCurveParams(loads=(0.5, 0.95), policies=("random", "key affinity"), requests=2000))
    (lost,) = table[table.mean_s.isna()].itertuples()
    assert (lost.policy, lost.load) == ("key affinity", 0.95) and "busiest backend" in lost.unstable
    stale = stale_information(StaleParams(intervals_s=(0.0,), policies=("key affinity",), requests=1000))
    assert stale.mean_s.isna().all() and stale.unstable.str.contains("grows for ever").all()


def test_theory_goes_through_the_simulated_points():
    table = load_curve(LoadCurveParams(loads=(0.5, 0.8), requests=200_000)).dropna()
    exact = table[table.policy != "two choices"]
    wide = (exact.high_s - exact.low_s) / 1.96 * 3 / 2  # three standard errors
    assert (abs(exact.mean_s - exact.theory_s) < wide).all()
    two = table[table.policy == "two choices"]
    assert (two.mean_s > two.theory_s).all()  # the limit of many servers
    curve = theory_curve("random", 10)
    assert np.interp(0.5, curve.load, curve.theory_s) == pytest.approx(2.0, rel=1e-3)


def test_heat_map_flips_the_ranking():
    table = heat_map(HeatMapParams(cv2s=(0.0, 10.0), loads=(0.8,), requests=50_000)).set_index(["policy", "cv2"])
    assert table.slowdown["round robin", 0.0] == pytest.approx(1.0)
    assert table.slowdown["round robin", 0.0] < table.slowdown["least request", 0.0]
    assert table.slowdown["round robin", 10.0] > 3 * table.slowdown["least request", 10.0]


def test_live_queues_have_a_frame_for_every_time():
    film = live_queues(LiveQueuesParams(frames=20))
    assert len(film.lengths) == 200
    assert (film.lengths.requests >= 0).all()
    assert film.unstable == ""
    assert "grows for ever" in live_queues(LiveQueuesParams(load=1.5, frames=5)).unstable


def test_supermarket_table_has_all_cells():
    table = supermarket_table(SupermarketParams(loads=(0.5, 0.9), requests=20_000))
    assert table[["choices", "load"]].to_numpy().tolist() == [[d, x] for d in (1, 2, 3, 5) for x in (0.5, 0.9)]
    assert (table.simulated_s / table.limit_s < 1.3).all()


def test_fullest_bin_follows_theory():
    table = fullest_bin(BinsParams(bins=100_000))
    common = table[table.theory > 1e-3]
    assert common.share.to_numpy() == pytest.approx(common.theory.to_numpy(), rel=0.2)


def test_ring_view_is_a_whole_circle():
    view = ring_view(RingParams(nodes=7, virtual_nodes=5))
    assert len(view.arcs) == 35
    assert ((view.arcs.end - view.arcs.start) % 1.0).sum() == pytest.approx(1.0)
    assert view.shares["share"].sum() == pytest.approx(1.0)
    assert ring_view(RingParams(bound=1.25)).shares["keys"].max() <= 2500


@pytest.mark.parametrize("change", ["join", "leave"])
def test_key_movement(change):
    table = key_movement(MovementParams(change=change)).set_index("method")
    assert (table.needless[["ring", "rendezvous", "jump"]] == 0).all()
    assert 0 < table.needless["maglev"] < 0.02 < table.needless["modulo"]


def test_maglev_fill_takes_turns():
    table = maglev_fill()
    assert table.node.tolist() == (["A", "B", "C"] * 5)[:13]
    assert sorted(table.slot) == list(range(13))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LoadCurveParams(loads=()), "loads is empty"),
        (lambda: LoadCurveParams(loads=(0.5, 1.0)), "loads holds 1.0"),
        (lambda: HeatMapParams(cv2s=(-1.0,)), "cv2s holds -1.0"),
        (lambda: StaleParams(intervals_s=(-1.0,)), "intervals_s holds -1.0"),
        (lambda: ComparisonParams(backends=0), "backends is 0"),
        (lambda: ComparisonParams(policies=("best",)), "holds 'best'"),
        (lambda: service_times("gamma"), "service is 'gamma'"),
        (lambda: RingParams(bound=0.5), "choose one of 0.0, 1.05"),
        (lambda: maglev_fill(MaglevParams(size=12)), "prime"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_the_board_is_nothing_to_who_does_not_look_at_it():
    """Simulated once, and the same at every age; who looks gets another answer each time."""
    table = stale_information(StaleParams(requests=2000, backends=10, policies=("random", "two choices")))
    means = table.pivot(index="interval_s", columns="policy", values="mean_s")
    assert means["random"].nunique() == 1 and means["two choices"].nunique() == len(StaleParams().intervals_s)
