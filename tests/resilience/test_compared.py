"""Our policies beside the Python libraries: the same failures, equal settings, every decision compared."""

import random
from unittest import mock

import pytest
import stamina
import tenacity

from distlib.resilience import compared
from distlib.resilience.around import Caller, GaveUpError
from distlib.resilience.backoff import Backoff
from distlib.resilience.breaker import CircuitBreaker
from distlib.resilience.budget import RetryBudget
from distlib.resilience.hedge import Hedge
from distlib.resilience.limits import Bulkhead, RateLimit
from distlib.resilience.outlier import OutlierDetection
from distlib.resilience.retry import Retry
from distlib.resilience.timeout import Timeout

WAITS = {
    "constant": tenacity.wait_fixed(0.1),
    "exponential": tenacity.wait_exponential(multiplier=0.1, max=3),
    "full": tenacity.wait_random_exponential(multiplier=0.1, max=3),
}


class World:
    """A function that fails at first and takes a while, on a clock of its own, and what was waited in between."""

    def __init__(self, fails, seed):
        self.rng, self.fails = random.Random(seed), fails
        self.now, self.slept, self.tries = 0.0, [], 0

    def function(self, *_attempt):
        self.tries += 1
        self.now += 0.25 * self.tries
        if self.tries <= self.fails:
            raise ConnectionError
        return "answer"

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    def decisions(self, call, gave_up):
        """What ``call`` does with the function: waits, attempts, and how it ends."""
        try:
            ended = call()
        except gave_up:
            ended = "gave up"
        return [round(one, 9) for one in self.slept], self.tries, ended


def ours(kind, attempts, fails, seed=5, deadline_s=None, backoff=None):
    """The decisions of our caller."""
    world = World(fails, seed)
    retry = Retry(attempts, deadline_s, backoff or Backoff(kind, base_s=0.1, cap_s=3.0))
    caller = Caller(retry, clock=lambda: world.now, sleep=world.sleep, random=world.rng.random)
    return world.decisions(lambda: caller.call(world.function), GaveUpError)


def theirs(kind, attempts, fails, seed=5, deadline_s=None):
    """The decisions of tenacity, from the same random numbers."""
    world, stop = World(fails, seed), tenacity.stop_after_attempt(attempts)
    if deadline_s is not None:
        stop = stop | tenacity.stop_before_delay(deadline_s)
    with (
        mock.patch("tenacity.wait.random.uniform", lambda low, high: low + world.rng.random() * (high - low)),
        mock.patch("tenacity.time.monotonic", lambda: world.now),
    ):
        retrying = tenacity.Retrying(stop=stop, wait=WAITS[kind], sleep=world.sleep)
        return world.decisions(lambda: retrying(world.function), tenacity.RetryError)


@pytest.mark.parametrize("kind", WAITS)
@pytest.mark.parametrize(("attempts", "fails"), [(1, 0), (1, 1), (3, 2), (3, 3), (10, 9), (10, 20)])
def test_tenacity_waits_and_stops_alike(kind, attempts, fails):
    mine = ours(kind, attempts, fails)
    assert mine == theirs(kind, attempts, fails) and mine[1] == min(fails + 1, attempts)


@pytest.mark.parametrize("kind", WAITS)
def test_tenacity_stops_before_the_deadline_alike(kind):
    said = [ours(kind, 100, fails, fails, 0.7 * fails) for fails in range(1, 12)]
    assert said == [theirs(kind, 100, fails, fails, 0.7 * fails) for fails in range(1, 12)]
    assert {ended for _, _, ended in said} == {"answer", "gave up"}


def stamina_decisions(fails, **settings):
    """The decisions of stamina without jitter."""
    world = World(fails, 0)
    caller = stamina.RetryingCaller(**settings, wait_initial=0.1, wait_max=5.0, wait_jitter=0.0)
    with mock.patch("time.sleep", world.sleep), mock.patch("tenacity.time.monotonic", lambda: world.now):
        return world.decisions(lambda: caller(ConnectionError, world.function), ConnectionError)


@pytest.mark.parametrize("fails", [0, 1, 5, 11, 12])
def test_stamina_waits_and_stops_alike(fails):
    backoff = Backoff("exponential", base_s=0.1, cap_s=5.0)
    mine = ours("", 12, fails, backoff=backoff)
    assert mine == stamina_decisions(fails, attempts=12, timeout=None) and mine[1] == min(fails + 1, 12)


def test_the_deadline_of_stamina_may_be_passed_by_its_last_wait():
    """The difference that the table states. The third attempt fails at 1.8 s, and the fourth would begin at 2.2 s."""
    backoff = Backoff("exponential", base_s=0.1, cap_s=5.0)
    assert ours("", 12, 20, deadline_s=2.0, backoff=backoff)[1] == 3
    assert stamina_decisions(20, attempts=12, timeout=2.0)[1] == 4
    for deadline_s in (1.5, 3.0):  # no wait passes these, and they agree
        mine = ours("", 12, 20, deadline_s=deadline_s, backoff=backoff)
        assert mine == stamina_decisions(20, attempts=12, timeout=deadline_s)


def test_every_row_that_claims_a_test_names_a_library_that_is_compared():
    tested = {one.library for one in compared.ROWS if one.tested}
    assert tested == {"tenacity", "stamina", "pybreaker", "limits"}
    assert len(compared.table()) == len(compared.ROWS)


NAMES = {one.__name__: one for one in (
    Backoff, Bulkhead, CircuitBreaker, Hedge, OutlierDetection, RateLimit, Retry, RetryBudget, Timeout
)}  # fmt: skip


@pytest.mark.parametrize("row", compared.ROWS, ids=lambda row: f"{row.policy}-{row.library}")
def test_what_a_row_says_of_ours_can_be_written_down(row):
    assert type(eval(row.ours, NAMES)) in NAMES.values()


@pytest.mark.parametrize("row", [one for one in compared.ROWS if one.library == "tenacity"], ids=lambda row: row.policy)
def test_what_a_row_says_of_tenacity_can_be_written_down(row):
    assert callable(eval(row.theirs, dict(vars(tenacity))))
