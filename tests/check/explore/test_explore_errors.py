"""What the explorer answers to a broken model, a broken property or a wrong argument."""

import itertools
from dataclasses import dataclass

import pytest

from distlib.check.explore.explore import (
    BreadthFirst,
    Model,
    ModelError,
    RandomWalks,
    always,
    eventually,
    explore,
    sometimes,
)
from distlib.principles.specifications import TwoPhase


@dataclass(frozen=True)
class Counter(Model):
    """Adds 1 or 2 up to a limit; the shortest way to n takes ceil(n / 2) steps."""

    limit: int | None = 10

    def initial_states(self):
        return [0]

    def actions(self, state):
        return [step for step in (1, 2) if self.limit is None or state + step <= self.limit]

    def next_state(self, state, action):
        return state + action


SEARCHES = [BreadthFirst(), RandomWalks(seed=3)]


def broken(**methods):
    body = {"initial_states": lambda self: [0], "actions": lambda self, s: [1], "next_state": lambda self, s, a: s + a}
    return type("Broken", (Model,), {**body, **methods})()


def fail(*_):
    raise RuntimeError("boom")


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize(
    ("model", "parts"),
    [
        (broken(next_state=lambda self, s, a: None), ["action 1", "is None", "state 0"]),
        (broken(next_state=lambda self, s, a: [s]), ["action 1", "not hashable", "[0]", "state 0"]),
        (broken(next_state=fail), ["next_state(state, 1)", "RuntimeError: boom", "state 0"]),
        (broken(actions=fail), ["actions(state) raised RuntimeError: boom", "state 0"]),
        (broken(initial_states=fail), ["initial_states() raised RuntimeError: boom"]),
        (broken(initial_states=lambda self: []), ["no state"]),
        (broken(initial_states=lambda self: [[0]]), ["initial state", "not hashable"]),
        (broken(initial_states=lambda self: [None]), ["initial state is None"]),
        (broken(successors=lambda self, s: [s + 1]), ["(action, state) pairs", "not 1"]),
        (broken(fingerprint=lambda self, s: [s]), ["initial state", "fingerprint that is not hashable"]),
        (broken(fingerprint=fail), ["initial state", "no fingerprint", "boom"]),
    ],
    ids=lambda value: "" if isinstance(value, list) else None,
)
def test_a_broken_model_is_told_what_is_wrong(model, parts, search):
    if model.__class__.successors is not Model.successors and isinstance(search, RandomWalks):
        search = BreadthFirst()  # a walk takes actions() and next_state() where it can
    with pytest.raises(ModelError) as caught:
        explore(model, search=search, max_depth=20)
    for part in ["Broken", *parts]:
        assert part in str(caught.value)


@pytest.mark.parametrize("search", SEARCHES)
def test_a_state_changed_in_place_is_noticed(search):
    class Cell:
        def __init__(self):
            self.items = []

        def __repr__(self):
            return f"Cell({self.items})"

    def change(self, state, action):
        state.items.append(action)
        return state

    model = broken(initial_states=lambda self: [Cell()], next_state=change, fingerprint=lambda self, s: tuple(s.items))
    with pytest.raises(ModelError, match=r"Broken: a state was changed in place.*action 1 changes it"):
        explore(model, search=search, max_depth=20)


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize(
    ("prop", "message"),
    [
        (
            always(lambda n: n < 3 or 1 / (n - 3) > 0, "reciprocal"),
            "property 'always reciprocal' raised ZeroDivisionError.*in state 3",
        ),
        (always(lambda n: None, "forgetful"), "'always forgetful' returned None.*is a return missing"),
        (sometimes(lambda n: "yes", "wordy"), "'sometimes wordy' must return True or False, not 'yes'"),
        (sometimes(lambda n: None, "forgetful"), "'sometimes forgetful' returned None"),
    ],
)
def test_a_broken_property_is_named(prop, message, search):
    with pytest.raises(ModelError, match=message):
        explore(Counter(), prop, search=search)


def test_a_model_that_is_not_deterministic_is_noticed_on_replay():
    fresh = itertools.count()
    model = broken(next_state=lambda self, s, a: 10**6 + next(fresh))
    with pytest.raises(ModelError, match="not deterministic"):
        explore(model, always(lambda n: n < 10**6 + 5, "small"))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: explore(TwoPhase), TypeError, "not its class: write TwoPhase"),
        (lambda: explore("model"), TypeError, "needs a Model"),
        (lambda: explore(type("Empty", (Model,), {})()), TypeError, "does not define initial_states"),
        (lambda: explore(type("Half", (Model,), {"initial_states": lambda self: [0]})()), TypeError, "define actions"),
        (lambda: explore(Counter(), lambda n: True), TypeError, "wrap the predicate"),
        (lambda: explore(Counter(), search="breadth"), TypeError, r"search is 'breadth'; it takes BreadthFirst\(\) or"),
        (lambda: explore(Counter(), start=[]), ModelError, "start has no state"),
        (lambda: explore(Counter(), max_states=0), ValueError, "max_states is 0; it takes a whole number"),
        (lambda: explore(Counter(), max_depth=1.5), TypeError, r"max_depth is 1\.5; it takes a whole number"),
        (lambda: explore(Counter(), max_seconds=-1), ValueError, "max_seconds is -1; it takes a number above 0"),
        (lambda: explore(Counter(), max_bytes="1G"), TypeError, "max_bytes is '1G'; it takes a whole number"),
        (lambda: explore(Counter(), stop=3), TypeError, "stop is 3; it takes a function"),
        (lambda: explore(Counter(), on_progress=3), TypeError, "on_progress is 3; it takes a function"),
        (lambda: explore(Counter(), always(bool), always(bool)), ValueError, "same name"),
        (lambda: always(3), TypeError, "needs a function"),
        (lambda: eventually(bool, within=-1), ValueError, "within is -1; it takes a whole number of at least 0 steps"),
        (lambda: RandomWalks(max_walks=0), ValueError, "max_walks is 0; it takes a whole number"),
        (lambda: RandomWalks(seed=-1), ValueError, "seed"),
        (lambda: RandomWalks(weights=3), TypeError, "weights is 3; it takes a function"),
    ],
)
def test_a_wrong_argument_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
