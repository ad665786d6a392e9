"""Each policy by itself: what it chooses, how it is stepped through, and what it refuses."""

import math
from dataclasses import replace

import numpy as np
import pytest

from distlib.balancing.policies import (
    CompiledPolicy,
    JoinIdleQueue,
    KeyAffinity,
    LeastRequest,
    LeastResponseTime,
    Random,
    RoundRobin,
    SmoothWeightedRoundRobin,
    Subset,
    WeightedRoundRobin,
)
from distlib.sim.service.balancer import Balancer, NoBackendError
from distlib.sim.service.policy import CentralQueue, Policy
from tests.sim.service.plain import uncompiled

EVERY = [
    Random(),
    RoundRobin(),
    WeightedRoundRobin((3, 2, 1, 1)),
    SmoothWeightedRoundRobin((3, 2, 1, 0.5)),
    LeastRequest(),
    LeastRequest(2),
    LeastRequest(2, with_replacement=True),
    LeastRequest(weights=(4, 1, 1, 1)),
    LeastResponseTime(),
    LeastResponseTime(choices=0, decay_s=1.0),
    JoinIdleQueue(),
    KeyAffinity("ring"),
    KeyAffinity("rendezvous", bound=1.25),
    KeyAffinity("maglev"),
    KeyAffinity("jump"),
    KeyAffinity("modulo"),
    Subset(2, LeastRequest(2)),
]


def sequence(policy, backends, count):
    balancer = Balancer(policy, backends)
    return "".join("abcdefgh"[balancer.choose()] for _ in range(count))


@pytest.mark.parametrize("policy", EVERY, ids=lambda policy: policy.label)
def test_the_readable_source_and_the_compiled_policy_choose_alike(policy):
    compiled = Balancer(policy, 4, seed=5, clients=9)
    plain = Balancer(uncompiled(policy), 4, seed=5, clients=9)
    for step in range(200):
        chosen = compiled.choose(step * 0.5, step % 9)
        assert plain.choose(step * 0.5, step % 9) == chosen
        if step % 3:  # two of three are answered a little later, at different speeds
            response = 0.1 + chosen * 0.05
            compiled.answer(chosen, response, step * 0.5 + 0.2)
            plain.answer(chosen, response, step * 0.5 + 0.2)
    assert compiled.in_flight == plain.in_flight


@pytest.mark.parametrize("policy", EVERY, ids=lambda policy: policy.label)
def test_an_ejected_backend_gets_nothing_and_comes_back(policy):
    balancer = Balancer(policy, 4, seed=1, clients=50)
    out = balancer.available[0]
    balancer.eject(out)
    chosen = [balancer.choose(float(i), i % 50) for i in range(200)]
    assert out not in chosen
    for i, backend in enumerate(chosen):
        balancer.answer(backend, 1.0, 200.0 + i)
    balancer.readmit(out)
    assert out in [balancer.choose(400.0 + i, i % 50) for i in range(200)]


def test_round_robin_takes_turns():
    assert sequence(RoundRobin(start="first"), 3, 7) == "abcabca"


def test_weighted_round_robin_serves_in_blocks():
    assert sequence(WeightedRoundRobin((5, 1, 1), start="first"), 3, 9) == "aaaaabcaa"


def test_smooth_weights_keep_exact_shares_over_each_period():
    chosen = sequence(SmoothWeightedRoundRobin((4, 2, 1)), 3, 70)
    for start in range(0, 70, 7):
        assert sorted(chosen[start : start + 7]) == list("aaaabbc")


@pytest.mark.parametrize(
    "policy", [RoundRobin(), WeightedRoundRobin((3, 2, 1, 1)), SmoothWeightedRoundRobin((3, 2, 1, 1))]
)
def test_balancers_begin_anywhere_in_their_period_unless_all_shall_begin_at_the_first(policy):
    period = 4 if isinstance(policy, RoundRobin) else 7
    told = sequence(replace(policy, start="first"), 4, 2 * period)
    begins = []
    for number in range(700):
        balancer = Balancer(policy, 4, seed=3, number=number)
        begins.append(told.index("".join("abcd"[balancer.choose()] for _ in range(period))))
    assert set(begins) == set(range(period))
    expected = 700 / period
    assert abs(np.bincount(begins) - expected).max() < 4 * expected**0.5  # four standard deviations
    assert {Balancer(replace(policy, start="first"), 4, number=number).choose() for number in range(9)} == {0}


def test_random_is_even():
    balancer = Balancer(Random(), 5, seed=3)
    counts = np.bincount([balancer.choose() for _ in range(20_000)], minlength=5)
    assert abs(counts - 4000).max() < 4 * (20_000 * 0.2 * 0.8) ** 0.5  # four standard deviations


def test_least_request_takes_the_emptiest_and_draws_among_equals():
    balancer = Balancer(LeastRequest(), 4, seed=2)
    assert sorted(balancer.choose() for _ in range(4)) == [0, 1, 2, 3]
    balancer.answer(2, 0.1, 0.1)
    assert balancer.choose(0.2) == 2
    firsts = {Balancer(LeastRequest(), 4, seed=seed).choose() for seed in range(40)}
    assert firsts == {0, 1, 2, 3}


def test_least_request_heeds_weights():
    balancer = Balancer(LeastRequest(weights=(3, 1)), 2)
    chosen = [balancer.choose() for _ in range(40)]
    assert chosen.count(0) == 30


def test_two_choices_without_replacement_never_take_the_fuller_of_two():
    balancer = Balancer(LeastRequest(2), 2)
    for _ in range(50):
        balancer.choose()
    assert abs(balancer.in_flight[0] - balancer.in_flight[1]) <= 1


def test_two_choices_with_replacement_may_draw_the_same_backend_twice():
    def gap_after_three(seed):
        balancer = Balancer(LeastRequest(2, with_replacement=True), 2, seed=seed)
        for _ in range(3):
            balancer.choose()
        return abs(balancer.in_flight[0] - balancer.in_flight[1])

    assert max(map(gap_after_three, range(60))) == 3  # impossible without replacement


def test_join_idle_queue_prefers_the_idle():
    balancer = Balancer(JoinIdleQueue(), 4, seed=1)
    assert sorted(balancer.choose() for _ in range(4)) == [0, 1, 2, 3]
    balancer.answer(3, 1.0, 1.0)
    assert balancer.choose(1.0) == 3


def test_least_response_time_avoids_the_slow_and_forgives_with_time():
    policy = LeastResponseTime(choices=0, decay_s=5.0)
    balancer = Balancer(policy, 2, seed=1)
    for _ in range(2):
        balancer.choose(0.0)
    balancer.answer(0, 4.0, 4.0)
    balancer.answer(1, 0.1, 4.0)
    assert [balancer.choose(4.0) for _ in range(5)] == [1] * 5  # 0.1 · (k + 1) stays below 4 · 1
    for _ in range(5):
        balancer.answer(1, 0.1, 4.0)
    assert balancer.known.latency[0, 0] == pytest.approx(4.0)
    balancer.choose(60.0)
    assert balancer.known.latency[0, 0] == pytest.approx(4.0 * np.exp(-56.0 / 5.0))


def test_key_affinity_is_faithful_and_bounded():
    free, bounded = (
        Balancer(KeyAffinity("ring"), 5, clients=1),
        Balancer(KeyAffinity("ring", bound=1.25), 5, clients=1),
    )
    for _ in range(100):
        free.choose(client=0)
        bounded.choose(client=0)
    assert sorted(free.in_flight) == [0, 0, 0, 0, 100]
    assert max(bounded.in_flight) <= 25  # ⌈1.25 · 100 / 5⌉


def test_subsets_share_backends_evenly_among_balancers():
    policy = Subset(3)
    users = np.zeros(12, int)
    for me in range(8):
        members = policy.members(me, 12)
        assert len(set(members)) == 3
        users[members] += 1
    assert (users == 2).all()


def test_a_policy_of_ones_own():
    class Fullest(Policy):
        def choose(self, seen, now, client):
            return max(seen.available, key=lambda backend: seen.in_flight[backend])

    balancer = Balancer(Fullest(), 3)
    assert [balancer.choose() for _ in range(4)] == [0, 0, 0, 0]


def test_a_policy_of_ones_own_that_answers_nonsense_is_told():
    class Wrong(Policy):
        def choose(self, seen, now, client):
            return 7

    with pytest.raises(ValueError, match=r"Wrong.choose returned 7; choose one of \[0, 1\]"):
        Balancer(Wrong(), 2).choose()
    with pytest.raises(NotImplementedError, match="needs a method choose"):
        Balancer(Policy(), 2).choose()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Balancer(Random(), 0), "backends is 0; a balancer needs at least one"),
        (lambda: WeightedRoundRobin((1, 0)), r"weights\[1\] is 0; it takes a number from 1e-06 to 1e\+06"),
        (lambda: SmoothWeightedRoundRobin((0, 0)), r"weights\[0\] is 0"),
        (lambda: LeastRequest(weights=(1, -2)), r"weights\[1\] is -2"),
        (lambda: WeightedRoundRobin((1.5, 1)), "takes a whole number"),
        (lambda: Balancer(WeightedRoundRobin((1, 2)), 3), "weights has 2 values for 3 backends"),
        (lambda: LeastRequest(-1), "LeastRequest.choices is -1"),
        (lambda: LeastResponseTime(decay_s=0), "LeastResponseTime.decay_s is 0"),
        (lambda: KeyAffinity("md5"), "choose one of 'modulo'"),
        (lambda: KeyAffinity(bound=0.9), "takes a number above 1"),
        (lambda: Subset(5).members(0, 3), "there are only 3 backends"),
        (lambda: Subset(5, CentralQueue()), "takes a policy that chooses"),
        (lambda: Balancer(CentralQueue(), 3), "makes no choice"),
        (lambda: Balancer(Random(), 3).answer(0, 1.0, 1.0), "no request in flight"),
        (lambda: Balancer(Random(), 3).eject(3), "from 0 to 2"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


HOSTILE = (0.0, -1.0, math.inf, -math.inf, math.nan, 1e308, 1e-308, 5e-324, "1", None, True)


@pytest.mark.parametrize("weight", HOSTILE)
def test_hostile_weights_are_refused_by_every_policy_that_has_some(weight):
    for build in (WeightedRoundRobin, SmoothWeightedRoundRobin, lambda weights: LeastRequest(weights=weights)):
        with pytest.raises((ValueError, TypeError), match=r"weights\[1\] is .*; it takes a number"):
            build((1, weight))


@pytest.mark.parametrize("policy", EVERY, ids=lambda policy: policy.label)
def test_a_policy_at_the_ends_of_its_weights_and_after_hostile_answers_chooses_a_backend(policy):
    if getattr(policy, "weights", ()):
        policy = replace(policy, weights=(1e6, 1, 1, 1e-6 if not isinstance(policy, WeightedRoundRobin) else 1))
    balancer = Balancer(policy, 4, clients=3)
    for step in range(60):
        backend = balancer.choose(float(step), step % 3)
        assert 0 <= backend < 4
        for wrong in (math.nan, math.inf, -1.0):
            with pytest.raises(ValueError, match=r"response_s is .*; it takes a number of at least 0"):
                balancer.answer(backend, wrong, float(step))
        with pytest.raises(ValueError, match="now is nan"):
            balancer.answer(backend, 1.0, math.nan)
        balancer.answer(backend, (0.0, 1e300, 1e-300)[step % 3], float(step))


def test_a_client_without_a_preference_is_named():
    with pytest.raises(ValueError, match="client is 3; it takes a whole number from 0 to 2"):
        Balancer(KeyAffinity(), 4, clients=3).choose(client=3)


def test_all_backends_ejected():
    balancer = Balancer(Random(), 2)
    balancer.eject(0)
    balancer.eject(1)
    with pytest.raises(NoBackendError, match="all 2 backends are ejected; take one back"):
        balancer.choose()


def test_a_policy_without_a_branch_is_refused():
    with pytest.raises(TypeError, match=r"Mine.code is 8, and choose\(\) has branches for 0 to 7"):
        type("Mine", (CompiledPolicy,), {"code": 8})
