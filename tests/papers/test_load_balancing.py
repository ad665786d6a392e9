"""Published numbers of load balancing and hashing: one test a sentence or table row, cited in its docstring.

Simulations use fixed seeds; where theory is exact the result must lie within three standard errors (batch means, 40
batches) and within the stated percentage.
"""

import math

import numpy as np
import pytest

from distlib.balancing import theory as choices
from distlib.balancing.balls import balls_into_bins
from distlib.balancing.hashing import Maglev, Ring, hash_keys, jump_steps, owners
from distlib.balancing.hashing_scenarios import MovementParams, key_movement
from distlib.balancing.policies import LeastRequest, Random, RoundRobin, SmoothWeightedRoundRobin
from distlib.balancing.scenarios import StaleParams, stale_information
from distlib.sim.service.balancer import Balancer
from distlib.sim.service.params import Backends, ServiceParams
from distlib.sim.service.policy import CentralQueue
from distlib.sim.service.service import simulate
from distlib.sim.workload import Deterministic, Hyperexponential, Poisson
from distlib.theory import queueing


def run(policy, load, backends, requests, **more):
    return simulate(
        ServiceParams(
            policy=policy, arrivals=Poisson(load * backends), backends=Backends(backends), requests=requests, **more
        )
    )


def check(result, expected, tolerance):
    """Within three standard errors, and within ``tolerance`` (a share)."""
    assert abs(result.mean_s - expected) < 3 * result.response.standard_error
    assert result.mean_s == pytest.approx(expected, rel=tolerance)


def test_closed_form_values():
    """Kleinrock, Queueing Systems I (1975): M/M/1, E_n/M/1, D/M/1, M/M/c, M/G/1, as tabled in the reference."""
    assert queueing.mm1_response(0.9) == pytest.approx(10)
    assert queueing.mm1_response_quantile(0.99, 0.9) == pytest.approx(46.0517, abs=1e-4)
    assert queueing.round_robin_response(10, 0.5) == pytest.approx(1.3246, abs=5e-5)
    assert queueing.round_robin_response(10, 0.9) == pytest.approx(5.6603, abs=5e-5)
    assert 1 / (1 - queueing.gim1_sigma(lambda s: math.exp(-s / 0.9), 0.9)) == pytest.approx(5.1787, abs=5e-5)  # D/M/1
    assert queueing.erlang_c(10, 0.9) == pytest.approx(0.66873, abs=5e-6)
    assert queueing.mmc_wait(10, 0.9) == pytest.approx(0.66873, abs=5e-6)
    assert queueing.mmc_response(2, 0.9) == pytest.approx(5.26316, abs=5e-6)
    assert queueing.mg1_response(0.9, 0) == pytest.approx(5.5)
    assert queueing.mg1_response(0.9, 4) == pytest.approx(23.5)
    assert queueing.erlang_b(10, 8) == pytest.approx(0.12166, abs=5e-6)
    assert queueing.erlang_b(10, 10) == pytest.approx(0.21458, abs=5e-6)
    assert queueing.mm1k_blocking(0.9, 10) == pytest.approx(0.05081, abs=5e-6)


def test_shorter_of_two_queues():
    """Join the shortest queue, n = 2, ρ = .9: 5.474913 by the exact Markov chain."""
    assert choices.shorter_of_two_response(0.9) == pytest.approx(5.474913, abs=1e-6)
    check(run(LeastRequest(), 0.9, 2, 10_000_000), 5.474913, 0.03)


@pytest.mark.parametrize(("load", "tolerance"), [(0.5, 0.02), (0.9, 0.03)])
@pytest.mark.parametrize(
    ("policy", "backends", "expected"),
    [
        (Random(), 1, queueing.mm1_response),
        (CentralQueue(), 10, lambda load: queueing.mmc_response(10, load)),
        (RoundRobin(), 10, lambda load: queueing.round_robin_response(10, load)),
    ],
    ids=["M/M/1", "M/M/10", "E_10/M/1"],
)
def test_twenty_million_requests(policy, backends, expected, load, tolerance):
    """Kleinrock I: W of M/M/1, M/M/10 and E_10/M/1, with 20 million requests each."""
    check(run(policy, load, backends, 20_000_000), expected(load), tolerance)


@pytest.mark.parametrize(("d", "load", "limit"), [(2, 0.9, 2.6141), (3, 0.9, 2.0279), (2, 0.99, 5.4320)])
def test_supermarket_limit(d, load, limit):
    """Mitzenmacher, The power of two choices (IEEE TPDS 2001): predicted mean time for n → ∞."""
    assert choices.supermarket_response(load, d) == pytest.approx(limit, abs=5e-5)


def test_two_choices_with_a_hundred_servers():
    """Mitzenmacher 2001, table 1: n = 100, d = 2, λ = .9 takes about 2.65, above the limit of 2.6141."""
    result = run(LeastRequest(2), 0.9, 100, 5_000_000)
    assert result.mean_s == pytest.approx(2.65, rel=0.015)


TABLE = {  # column "prediction" of Mitzenmacher's table 1, computed from T = Σ λ^((dⁱ − d)/(d − 1))
    1: {0.5: 2.0, 0.7: 3.3333, 0.8: 5.0, 0.9: 10.0, 0.95: 20.0, 0.99: 100.0},
    2: {0.5: 1.2657, 0.7: 1.6145, 0.8: 1.9474, 0.9: 2.6141, 0.95: 3.3830, 0.99: 5.4320},
    3: {0.5: 1.1252, 0.7: 1.3568, 0.8: 1.5809, 0.9: 2.0279, 0.95: 2.5351, 0.99: 3.8578},
    5: {0.5: 1.0313, 0.7: 1.1681, 0.8: 1.3289, 0.9: 1.6329, 0.95: 1.9888, 0.99: 2.9017},
}


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_the_table_of_d_choices(d):
    """Mitzenmacher 2001, table 1: every λ and d; n = 100 lies above the limit, by more the higher λ and d are.

    1 million requests a cell (λ = .99 left to the larger test below, whose warm-up is longer).
    """
    excess = []
    for load in (0.5, 0.7, 0.8, 0.9, 0.95):
        assert choices.supermarket_response(load, d) == pytest.approx(TABLE[d][load], abs=6e-5)
        result = run(LeastRequest(d), load, 100, 1_000_000)
        error = 3 * result.response.standard_error
        if d == 1:
            assert abs(result.mean_s - TABLE[d][load]) < error
        else:
            assert result.mean_s > TABLE[d][load] - error
            assert result.mean_s < TABLE[d][load] * 1.06 + error
        excess.append(result.mean_s / TABLE[d][load] - 1)
    if d > 1:
        assert excess[-1] > excess[0]


@pytest.mark.parametrize(("d", "most"), [(2, 0.13), (3, 0.19), (5, 0.26)])
def test_the_table_at_99_percent(d, most):
    """Mitzenmacher 2001, table 1, λ = .99: at n = 100 the limit is far too low, more so for more choices."""
    result = run(LeastRequest(d), 0.99, 100, 5_000_000)
    limit = TABLE[d][0.99]
    assert choices.supermarket_response(0.99, d) == pytest.approx(limit, abs=6e-5)
    assert limit * 1.04 < result.mean_s < limit * (1 + most)


def test_tail_of_the_supermarket():
    """Mitzenmacher 2001, §3: shares s_k = λ^((2^k − 1)) of queues with at least k requests (d = 2)."""
    result = run(LeastRequest(2), 0.8, 500, 1_000_000)
    times = np.linspace(result.arrival_s[-1] * 0.2, result.arrival_s[-1], 400)
    lengths = result.queue_lengths(times)
    for k in (1, 2, 3):
        seen = (lengths >= k).mean(axis=1)
        assert seen.mean() == pytest.approx(choices.supermarket_tail(k, 0.8, 2), rel=0.05)


def test_ranking_flips_with_service_variance():
    """With constant service round robin equals M/D/c and beats join-shortest-queue; with c² = 4…10 it is several
    times worse (queueing theory: GI/G/1 against a shared choice)."""
    requests = 1_000_000
    constant = {"service": Deterministic()}
    turn = run(RoundRobin(), 0.9, 10, requests, **constant)
    central = run(CentralQueue(), 0.9, 10, requests, **constant)
    assert np.allclose(turn.departure_s, central.departure_s, rtol=1e-12, atol=0)
    check(turn, queueing.mdc_response(10, 0.9), 0.03)
    assert turn.mean_s < run(LeastRequest(), 0.9, 10, requests, **constant).mean_s
    for cv2 in (4.0, 10.0):
        varied = {"service": Hyperexponential(variability=cv2)}
        ratio = (
            run(RoundRobin(), 0.9, 10, requests, **varied).mean_s
            / run(LeastRequest(), 0.9, 10, requests, **varied).mean_s
        )
        assert ratio > 3


@pytest.mark.parametrize("cv2", [0.0, 4.0])
def test_pollaczek_khinchine(cv2):
    """M/G/1 at ρ = .9: W = 5.5 for constant service, 23.5 for c² = 4."""
    service = Deterministic() if cv2 == 0 else Hyperexponential(variability=cv2)
    check(run(Random(), 0.9, 1, 10_000_000, service=service), queueing.mg1_response(0.9, cv2), 0.03)


def test_herd_behaviour():
    """Mitzenmacher, How useful is old information? (IEEE TPDS 2000): with stale loads "least loaded" of all gets worse
    than two random choices, and at last worse than random."""
    table = stale_information(StaleParams(intervals_s=(0.0, 10.0), requests=200_000))
    mean = table.set_index(["policy", "interval_s"]).mean_s
    assert mean["least request", 0.0] < mean["two choices", 0.0] < mean["random", 0.0]
    assert mean["two choices", 10.0] < mean["random", 10.0] < mean["least request", 10.0]


def test_smooth_weighted_round_robin():
    """nginx, commit "Upstream: smooth weighted round-robin balancing" (2012): weights 5, 1, 1 give a a b a c a a."""
    balancer = Balancer(SmoothWeightedRoundRobin((5, 1, 1), start="first"), 3)
    assert " ".join("abc"[balancer.choose()] for _ in range(7)) == "a a b a c a a"


@pytest.mark.parametrize(("d", "published"), [(1, 9), (2, 4), (3, 3)])
def test_balls_into_bins(d, published):
    """Azar, Broder, Karlin & Upfal (SIAM J. Comput. 1999): mean maximum load for n = m = 10⁶ about 9, 4 and 3."""
    highest = [balls_into_bins(10**6, d, seed=seed).max() for seed in range(12)]
    assert np.mean(highest) == pytest.approx(published, abs=0.5)
    some_bin_has_so_many = -np.expm1(-(10**6) * choices.bins_with_at_least(1.0, d)[1:])  # Poisson over the bins
    assert np.mean(highest) == pytest.approx(some_bin_has_so_many.sum(), abs=3 * 0.7 / math.sqrt(12))


@pytest.mark.parametrize(("virtual", "published"), [(1, 0.998), (10, 0.315), (100, 0.0997), (1000, 0.0316)])
def test_ring_share_deviation(virtual, published):
    """Lamping & Veach 2014, table 1: relative standard deviation of a ring share, 1000 nodes."""
    assert choices.ring_share_deviation(1000, virtual) == pytest.approx(published, rel=0.005)
    rings = 20 if virtual <= 10 else 3
    seen = [Ring(range(1000), virtual, seed=seed).shares().std() * 1000 for seed in range(rings)]
    # The deviation of 1000 shares has a relative error of about 1/√2000 (√2 times that for one exponential arc).
    error = (1 / math.sqrt(2000) if virtual > 1 else math.sqrt(8 / 4 / 1000)) / math.sqrt(rings)
    assert np.mean(seen) == pytest.approx(choices.ring_share_deviation(1000, virtual), rel=4 * error)


def test_adding_a_node_moves_its_share_only():
    """Karger et al. (STOC 1997): a new node takes 1/(n + 1) of the keys, nobody else gets any."""
    table = key_movement(MovementParams(nodes=10, keys=200_000, virtual_nodes=1000)).set_index("method")
    for method in ("ring", "rendezvous", "jump"):
        assert table.needless[method] == 0
    assert table.moved["ring"] == pytest.approx(1 / 11, abs=0.01)  # its own share deviates by 3 %
    assert table.moved["modulo"] == pytest.approx(choices.moved_modulo(10, 11), abs=0.005)


def test_jump_moves_one_in_eleven_to_the_new_bucket():
    """Lamping & Veach 2014: 10 → 11 buckets moves 1/11, all of it to the new one."""
    keys = hash_keys(range(200_000))
    before, after = owners("jump", range(10), keys), owners("jump", range(11), keys)
    moved = before != after
    assert moved.mean() == pytest.approx(1 / 11, abs=4 * math.sqrt(1 / 11 * 10 / 11 / keys.size))
    assert (after[moved] == 10).all()


@pytest.mark.parametrize(
    ("key", "buckets", "bucket"), [(0, 1, 0), (1, 1, 0), (42, 57, 43), (0xDEAD10CC, 666, 361), (256, 1024, 520)]
)
def test_jump_vectors(key, buckets, bucket):
    """Lamping & Veach 2014, figure 1: values that other implementations test against."""
    assert jump_steps(np.uint64(key), buckets) == bucket


@pytest.mark.parametrize("nodes", [3, 10, 100, 1000])
def test_maglev_entries(nodes):
    """Eisenbud et al. (NSDI 2016), §3.4: with M = 65537 every backend has ⌊M/N⌋ or ⌈M/N⌉ entries."""
    entries = np.bincount(Maglev(range(nodes), 65537).table, minlength=nodes)
    assert set(entries) <= {65537 // nodes, 65537 // nodes + 1}
    assert entries.sum() == 65537


@pytest.mark.parametrize("bound", [1.1, 1.25, 2.0])
def test_bounded_loads(bound):
    """Mirrokni, Thorup & Zadimoghaddam (SODA 2018): no node exceeds ⌈c · m/n⌉."""
    ring = Ring(range(100), virtual_nodes=1)
    keys = hash_keys(range(10_000))
    free = np.bincount(ring.owners(keys), minlength=100)
    bounded = np.bincount(ring.bounded(keys, bound), minlength=100)
    capacity = math.ceil(bound * 10_000 / 100)
    assert free.max() > 200 >= capacity >= bounded.max()
    assert bounded.sum() == 10_000


def test_processor_sharing_forgets_the_distribution():
    """Kleinrock II (1976), §4.4: M/G/1 with processor sharing has W = E[S]/(1 − ρ) whatever the distribution."""
    for service in (Deterministic(), Hyperexponential(variability=4.0)):
        result = simulate(
            ServiceParams(
                policy=Random(),
                arrivals=Poisson(0.8),
                service=service,
                backends=Backends(1, discipline="sharing"),
                requests=3_000_000,
            )
        )
        check(result, queueing.mg1_sharing_response(0.8), 0.03)


def test_loss_and_delay_formulas():
    """Erlang (1917), M/M/1/K: rejected shares .12166 (c = 10, a = 8) and .05081 (K = 10, ρ = .9), 3 M requests."""
    loss = ServiceParams(arrivals=Poisson(8.0), backends=Backends(1, servers=10, queue_limit=0), requests=3_000_000)
    assert simulate(loss).rejected / 3_000_000 == pytest.approx(0.12166, rel=0.01)
    room = ServiceParams(arrivals=Poisson(0.9), backends=Backends(1, queue_limit=9), requests=3_000_000)
    assert simulate(room).rejected / 3_000_000 == pytest.approx(0.05081, rel=0.02)
