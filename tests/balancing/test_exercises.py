"""The judge of policies: whom it lets pass, and what it says of code that is wrong."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from distlib.balancing import reader_policy
from distlib.balancing.exercises import CONTESTS, grade_capacity, judge_here, judge_policy
from distlib.balancing.policies import LeastRequest
from distlib.balancing.reader_policy import PolicyError
from distlib.labs.grading import grade_apart
from distlib.sim.service.policy import Policy


def two(seen: Any, now: float, client: int) -> int:
    a = seen.draw(seen.backends)
    b = (a + 1 + seen.draw(seen.backends - 1)) % seen.backends
    return a if seen.in_flight[a] <= seen.in_flight[b] else b


class TakeTurns(Policy):
    def choose(self, seen: Any, now: float, client: int) -> int:
        n, start = seen.backends, seen.memory.get("next", 0)
        best = min(range(start, start + n), key=lambda b: seen.in_flight[b % n]) % n
        seen.memory["next"] = best + 1
        return best


def random(seen: Any, now: float, client: int) -> int:
    return seen.draw(seen.backends)


@pytest.mark.parametrize(
    ("policy", "contest"), [(two, "two choices"), (TakeTurns, "alike or not"), (TakeTurns(), "open")]
)
def test_good_answers_pass_and_are_ranked(policy: Any, contest: str) -> None:
    judgement = judge_policy(policy, contest)
    assert judgement and "✓ Passed." in str(judgement)
    table = judgement.table
    assert "→ your policy" in table.index and len(table) == len(CONTESTS[contest].field) + 1
    assert list(table.columns) == list(CONTESTS[contest].workloads)
    assert "→ your policy" in judgement._repr_html_()


@pytest.mark.parametrize("contest", CONTESTS)
def test_random_passes_nothing(contest: str) -> None:
    judgement = judge_policy(random, contest)
    assert not judgement and "not yet" in str(judgement) and len(judgement.table)


def test_the_same_policy_gets_the_same_numbers_again() -> None:
    assert judge_policy(two, "two choices").table.equals(judge_policy(two, "two choices").table)


def test_random_of_the_reader_is_random_of_the_library() -> None:
    """The same draws in the same order: the judge changes nothing about a policy."""
    table = judge_policy(random, "two choices").table
    assert table.loc["→ your policy"].tolist() == table.loc["random"].tolist()


def raises(seen: Any, now: float, client: int) -> int:
    return 1 // 0


class SelfCall(Policy):
    def choose(self, seen: Any, now: float, client: int) -> int:
        return self.choose(seen, now, client)


class Nothing:
    pass


class NeedsArguments:
    def __init__(self, weights: Any) -> None:
        self.weights = weights

    def choose(self, seen: Any, now: float, client: int) -> int:
        return 0


class TwoArguments(Policy):
    def choose(self, seen: Any) -> int:  # type: ignore[override]
        return 0


def answers(value: Any) -> Callable[..., Any]:
    def choose(seen: Any, now: float, client: int) -> Any:
        return value

    return choose


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (answers(None), "choose returned None; is a `return` missing"),
        (answers(2.0), "choose returned 2.0, a float; it returns the number of a backend, a whole number from 0 to 9"),
        (answers(True), "choose returned True, a bool"),
        (answers("B1"), "choose returned 'B1', a str"),
        (answers(10), "choose returned 10; there are backends 0 to 9"),
        (answers(-1), "choose returned -1; there are backends 0 to 9"),
        (raises, "choose raised ZeroDivisionError in line"),
        (SelfCall, "choose calls itself without end"),
        (Nothing, "Nothing has no method choose(self, seen, now, client)"),
        (NeedsArguments, "NeedsArguments() failed: TypeError"),
        (TwoArguments, "choose takes (seen: 'Any') -> 'int'; write choose(self, seen, now, client)"),
        (LeastRequest(2), "LeastRequest has no choose of its own"),
        (Policy, "Policy has no choose of its own"),
        (7, "give the class of a policy, with a method choose(self, seen, now, client), not 7"),
        (lambda seen, now, client: min(seen.in_flight), "may look at 2 for one request"),
        (lambda seen, now, client: len(str(seen.in_flight)) % 10, "may look at 2 for one request"),
        (lambda seen, now, client: seen.queue[0], "`seen` has no 'queue'; it has available, in_flight"),
    ],
)
def test_what_is_wrong_is_said(policy: Any, words: str) -> None:
    judgement = judge_policy(policy, "two choices")
    assert not judgement and words in str(judgement), str(judgement)


def loops(seen: Any, now: float, client: int) -> int:
    while True:
        try:
            now += 1.0
        except Exception:
            continue


def slow(seen: Any, now: float, client: int) -> int:
    time.sleep(0.01)
    return 0


@pytest.fixture
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_policy, "CHOICE_LIMIT_S", 0.2)
    monkeypatch.setattr(reader_policy, "RUN_LIMIT_S", 0.4)


@pytest.mark.usefixtures("short_limits")
@pytest.mark.parametrize(("policy", "words"), [(loops, "is there an endless loop?"), (slow, "make choose faster")])
def test_a_policy_that_does_not_end_is_ended(policy: Any, words: str) -> None:
    judgement = judge_policy(policy, "two choices")
    assert not judgement and words in str(judgement)


def test_a_policy_that_ends_the_process_ends_its_own() -> None:
    judgement = judge_policy(lambda seen, now, client: os._exit(3), "two choices")
    assert not judgement and "the process ended (exit code 3)" in str(judgement)


def test_an_unknown_contest_is_named() -> None:
    with pytest.raises(ValueError, match="contest is 'tennis'; choose one of 'two choices'"):
        judge_policy(two, "tennis")


def test_what_may_be_chosen() -> None:
    with pytest.raises(PolicyError, match="which is not available"):
        reader_policy.check_choice(1, 3, [0, 2])


SPEED = (4, 4, 1, 1, 1, 1, 1, 1, 1, 1)


def shortest_work(seen: Any, now: float, client: int) -> int:
    return min(range(seen.backends), key=lambda b: ((seen.in_flight[b] + 1) / SPEED[b], seen.draw(1000)))


def without_tie_break(seen: Any, now: float, client: int) -> int:
    return min(range(seen.backends), key=lambda b: (seen.in_flight[b] + 1) / SPEED[b])


def slow_ones_first_at_a_tie(seen: Any, now: float, client: int) -> int:
    return min(reversed(range(seen.backends)), key=lambda b: (seen.in_flight[b] + 1) / SPEED[b])


def least_request(seen: Any, now: float, client: int) -> int:
    return min(range(seen.backends), key=lambda b: (seen.in_flight[b], seen.draw(1000)))


def forgets_itself(seen: Any, now: float, client: int) -> int:
    return min(range(seen.backends), key=lambda b: (seen.in_flight[b] / SPEED[b], seen.draw(1000)))


def fast_ones_only(seen: Any, now: float, client: int) -> int:
    return min((0, 1), key=lambda b: seen.in_flight[b])


def by_weight_alone(seen: Any, now: float, client: int) -> int:
    ticket = seen.draw(16)
    return ticket // 4 if ticket < 8 else ticket - 6


@pytest.mark.parametrize("policy", [shortest_work, without_tie_break, slow_ones_first_at_a_tie])
def test_the_time_until_it_would_be_done_is_the_answer_whatever_happens_at_a_tie(policy: Any) -> None:
    judgement = judge_policy(policy, "fast and slow")
    assert judgement, str(judgement)


@pytest.mark.parametrize("policy", [random, least_request, forgets_itself, fast_ones_only, by_weight_alone])
def test_other_rules_are_not_as_good_with_fast_and_slow_backends(policy: Any) -> None:
    assert "not yet" in str(judge_policy(policy, "fast and slow"))


def round_robin(seen: Any, now: float, client: int) -> int:
    seen.memory["next"] = (seen.memory.get("next", 0) + 1) % seen.backends
    return int(seen.memory["next"])


def the_fuller_one(seen: Any, now: float, client: int) -> int:
    a = seen.draw(seen.backends)
    b = (a + 1 + seen.draw(seen.backends - 1)) % seen.backends
    return a if seen.in_flight[a] >= seen.in_flight[b] else b


def the_same_two(seen: Any, now: float, client: int) -> int:
    return min((0, 1), key=lambda b: seen.in_flight[b])


def goes_by_the_balancer(seen: Any, now: float, client: int) -> int:
    """Looks at all backends by way of the object behind ``draw``."""
    loads = seen.draw.__self__.in_flight
    return int(min(range(seen.backends), key=lambda b: loads[b]))


def goes_behind_the_counter(seen: Any, now: float, client: int) -> int:
    loads = seen.in_flight._values
    return int(min(range(seen.backends), key=lambda b: loads[b]))


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (round_robin, "not yet"),
        (the_fuller_one, "not yet"),
        (the_same_two, "not yet"),
        (goes_by_the_balancer, "AttributeError"),
        (goes_behind_the_counter, "AttributeError"),
    ],
)
def test_two_choices_are_two(policy: Any, words: str) -> None:
    judgement = judge_policy(policy, "two choices")
    assert not judgement and words in str(judgement), str(judgement)


# --- alike or not


def turns_from_anywhere(seen: Any, now: float, client: int) -> int:
    """Starts its scan one further each time, whomever it chose."""
    n, start = seen.backends, seen.memory.get("start", 0)
    seen.memory["start"] = start + 1
    return min(range(start, start + n), key=lambda b: seen.in_flight[b % n]) % n


def longest_unused(seen: Any, now: float, client: int) -> int:
    order = seen.memory.setdefault("order", list(range(seen.backends)))
    best = min(order, key=lambda b: seen.in_flight[b])
    order.append(order.pop(order.index(best)))
    return int(best)


def fewest_so_far(seen: Any, now: float, client: int) -> int:
    given = seen.memory.setdefault("given", [0] * seen.backends)
    best = min(range(seen.backends), key=lambda b: (seen.in_flight[b], given[b]))
    given[best] += 1
    return best


def first_at_a_tie(seen: Any, now: float, client: int) -> int:
    return min(range(seen.backends), key=lambda b: seen.in_flight[b])


def by_client_at_a_tie(seen: Any, now: float, client: int) -> int:
    return min(range(seen.backends), key=lambda b: (seen.in_flight[b], (b - client) % seen.backends))


def round_robin_past_the_busy(seen: Any, now: float, client: int) -> int:
    """Takes turns, but passes those over that have two requests already."""
    n, at = seen.backends, seen.memory.get("at", 0)
    at = next((b % n for b in range(at, at + n) if seen.in_flight[b % n] < 2), at)
    seen.memory["at"] = (at + 1) % n
    return int(at)


@pytest.mark.parametrize("policy", [turns_from_anywhere, longest_unused, fewest_so_far])
def test_whoever_takes_turns_at_a_tie_is_as_good_as_both(policy: Any) -> None:
    judgement = judge_policy(policy, "alike or not")
    assert judgement, str(judgement)


@pytest.mark.parametrize(
    ("policy", "worse_on"),
    [
        (least_request, "constant, ρ = .9"),
        (first_at_a_tie, "constant, ρ = .8"),
        (by_client_at_a_tie, "constant, ρ = .8"),
        (two, "constant, ρ = .9"),
        (round_robin, "few giants, ρ = .8"),
        (round_robin_past_the_busy, "few giants, ρ = .8"),
    ],
)
def test_others_are_worse_on_one_kind_of_work_at_least(policy: Any, worse_on: str) -> None:
    """That kind alone is run: it is enough not to pass."""
    contest = CONTESTS["alike or not"]
    alone = replace(contest, workloads={worse_on: contest.workloads[worse_on]})
    judgement = grade_apart(lambda: judge_here(policy, alone))
    assert not judgement and judgement.remarks[0].startswith(worse_on), str(judgement)
    assert "not yet" in judgement.remarks[0]


# --- sticky


def bounded(factor: float) -> Callable[..., int]:
    """Hashing with bounded loads: the next one where the client's home holds ``factor`` times the mean."""

    def choose(seen: Any, now: float, client: int) -> int:
        n, home = seen.backends, client * 7919 % seen.backends
        limit = math.ceil(factor * (sum(seen.in_flight) + 1) / n)
        return next((b % n for b in range(home, home + n) if seen.in_flight[b % n] < limit), home)

    return choose


def home_unless_much_fuller(seen: Any, now: float, client: int) -> int:
    home, emptiest = client % seen.backends, min(range(seen.backends), key=lambda b: seen.in_flight[b])
    return home if seen.in_flight[home] <= seen.in_flight[emptiest] + 2 else emptiest


def remembers_homes(seen: Any, now: float, client: int) -> int:
    """Gives each client that comes for the first time the emptiest backend as its home."""
    emptiest = min(range(seen.backends), key=lambda b: seen.in_flight[b])
    home = seen.memory.setdefault(client, emptiest)
    return home if seen.in_flight[home] < 1.5 * (sum(seen.in_flight) + 1) / seen.backends else emptiest


def stubborn(seen: Any, now: float, client: int) -> int:
    return client % seen.backends


def sticks_by_chance(seen: Any, now: float, client: int) -> int:
    return client % seen.backends if seen.draw(10) < 8 else least_request(seen, now, client)


def always_the_same(seen: Any, now: float, client: int) -> int:
    return 0


STICKY_RIGHT = [bounded(1.5), home_unless_much_fuller, remembers_homes]
STICKY_WRONG = [stubborn, sticks_by_chance, always_the_same, least_request, bounded(1.0), bounded(4.0)]


@pytest.mark.parametrize("policy", STICKY_RIGHT)
def test_who_sticks_and_gives_way_passes(policy: Any) -> None:
    judgement = judge_policy(policy, "sticky")
    assert judgement, str(judgement)


@pytest.mark.parametrize("policy", STICKY_WRONG)
def test_who_is_stubborn_or_does_not_stick_does_not(policy: Any) -> None:
    """On one workload: it is enough not to pass."""
    contest, hotter = CONTESTS["sticky"], "hotter still, ρ = .6"
    alone = replace(contest, workloads={hotter: contest.workloads[hotter]})
    judgement = grade_apart(lambda: judge_here(policy, alone))
    assert not judgement and "not yet" in str(judgement), str(judgement)


# --- open


def best_of_three(seen: Any, now: float, client: int) -> int:
    return min((seen.draw(seen.backends) for _ in range(3)), key=lambda b: seen.in_flight[b])


def its_turn_or_another(seen: Any, now: float, client: int) -> int:
    """Two choices, of which one goes round."""
    n, turn = seen.backends, seen.memory.get("turn", 0)
    seen.memory["turn"] = (turn + 1) % n
    other = (turn + 1 + seen.draw(n - 1)) % n
    return int(turn if seen.in_flight[turn] <= seen.in_flight[other] else other)


def two_the_other_way_round(seen: Any, now: float, client: int) -> int:
    """Two choices with other draws: as good, but for chance."""
    b = seen.draw(seen.backends)
    a = (b + 1 + seen.draw(seen.backends - 1)) % seen.backends
    return int(a if seen.in_flight[a] <= seen.in_flight[b] else b)


def two_that_may_be_one(seen: Any, now: float, client: int) -> int:
    return min(seen.draw(seen.backends), seen.draw(seen.backends), key=lambda b: seen.in_flight[b])


def neighbours(seen: Any, now: float, client: int) -> int:
    a = seen.draw(seen.backends)
    return int(min(a, (a + 1) % seen.backends, key=lambda b: seen.in_flight[b]))


@pytest.mark.parametrize("policy", [least_request, best_of_three, its_turn_or_another])
def test_who_is_clearly_better_than_two_choices_wins(policy: Any) -> None:
    judgement = judge_policy(policy, "open")
    assert judgement, str(judgement)


@pytest.mark.parametrize(
    "policy", [two, two_the_other_way_round, two_that_may_be_one, neighbours, round_robin, the_same_two]
)
def test_two_choices_by_another_name_and_worse_do_not_win(policy: Any) -> None:
    judgement = judge_policy(policy, "open")
    assert not judgement and "at most 0.95 is asked: not yet" in str(judgement), str(judgement)


@pytest.mark.parametrize("policy", [two_the_other_way_round, its_turn_or_another])
def test_any_two_different_ones_are_two_choices(policy: Any) -> None:
    judgement = judge_policy(policy, "two choices")
    assert judgement, str(judgement)


@pytest.mark.parametrize("policy", [two_that_may_be_one, neighbours])
def test_two_that_are_not_both_chosen_are_not(policy: Any) -> None:
    judgement = judge_policy(policy, "two choices")
    assert not judgement and "few giants" in str([one for one in judgement.remarks if "not yet" in one])


# --- how many?


@pytest.mark.parametrize("backends", [23, 23.0, np.int32(23), Fraction(23)])
def test_the_right_capacity_passes_whatever_its_type(backends: Any) -> None:
    assert grade_capacity(backends)


@pytest.mark.parametrize(
    ("backends", "words"),
    [
        (22, "250 ms are asked"),
        (24, "23 backends would do"),
        (20, "unstable"),
        (-3, "unstable"),
        (10**20, "would do"),
        (22.5, "whole number"),
        ("23", "whole number"),
        (None, "whole number"),
        (True, "whole number"),
    ],
)
def test_a_wrong_capacity_hears_why(backends: Any, words: str) -> None:
    grade = grade_capacity(backends)
    assert not grade and words in str(grade)
