"""The explorer: what it finds, what it says about its bounds, and what it answers to a broken model."""

import gc
import itertools
import os
import subprocess
import sys
import threading
import tracemalloc
from dataclasses import dataclass, field

import pytest

from distlib.check.explore.bound import Memory
from distlib.check.explore.explore import (
    Bounds,
    BreadthFirst,
    Model,
    ModelError,
    RandomWalks,
    Stage,
    always,
    eventually,
    explore,
    explore_staged,
    interchangeable,
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


@dataclass(frozen=True)
class Below(Counter):
    """Claims to stay below a number."""

    below: int = 10

    def properties(self):
        return (always(lambda n: n < self.below, "below"),)


class Graph(Model):
    """A graph written out: state -> {action: state}."""

    def __init__(self, edges, start=("a",)):
        self.edges, self.start = edges, start

    def initial_states(self):
        return self.start

    def successors(self, state):
        yield from self.edges.get(state, {}).items()


def assert_real(model, path):
    """The path is a run of the model."""
    assert path[0].action is None
    assert path[0].state in tuple(model.initial_states())
    for before, step in itertools.pairwise(path):
        assert (step.action, step.state) in tuple(model.successors(before.state))


SEARCHES = [BreadthFirst(), RandomWalks(seed=3)]


# ------------------------------------------------------------ what is found


@pytest.mark.parametrize("search", SEARCHES)
def test_a_violation_comes_with_a_path_that_can_be_replayed(search):
    result = explore(Counter(), always(lambda n: n != 7, "never seven"), search=search)
    assert result.verdict == "violated"
    assert result.violation.property.name == "never seven"
    assert result.stopped_by == "the counterexample"
    assert not result.exhausted
    assert_real(Counter(), result.path)
    assert result.path[-1].state == 7


def test_breadth_first_finds_a_shortest_path():
    result = explore(Counter(40), sometimes(lambda n: n == 31, "31"))
    assert result.verdict == "holds"
    assert len(result.path) == 1 + 16
    assert_real(Counter(40), result.path)


def test_the_witness_of_a_property_is_kept():
    result = explore(Counter(), always(lambda n: n < 5 or f"{n} is too many"))
    assert result.violation.explanation == "5 is too many"
    assert "5 is too many" in str(result)


def test_an_unreachable_sometimes_is_violated_only_when_the_space_was_exhausted():
    impossible = sometimes(lambda n: n > 10, "beyond the limit")
    assert explore(Counter(), impossible).verdict == "violated"
    assert explore(Counter(), impossible, max_states=5).verdict == "unknown"
    assert explore(Counter(), impossible, search=RandomWalks()).verdict == "unknown"


def test_a_violated_initial_state_is_a_path_of_one():
    for search in SEARCHES:
        result = explore(Counter(), always(lambda n: n > 0, "positive"), search=search)
        assert [step.state for step in result.path] == [0]
        assert result.depth == 1


def test_until_ends_the_search_and_gives_the_path():
    for search in SEARCHES:
        result = explore(Counter(30), always(lambda n: n >= 0, "counts"), until=lambda n: n == 9, search=search)
        assert result.stopped_by == "the goal"
        assert result.path[-1].state == 9
        assert result.findings[0].verdict == "unknown"


def test_start_replaces_the_initial_states():
    assert explore(Counter(), start=[8]).distinct == 3


def test_a_model_may_give_successors_alone():
    model = Graph({"a": {"go": "b"}})
    assert list(model.actions("a")) == ["go"]
    assert model.next_state("a", "go") == "b"
    with pytest.raises(ValueError, match="does not allow action 'fly' in state 'a'"):
        model.next_state("a", "fly")


@dataclass
class Box:
    items: list = field(default_factory=list)


class Boxes(Model):
    """States are mutable objects, told apart by a fingerprint."""

    def initial_states(self):
        return [Box()]

    def actions(self, state):
        return [0, 1] if len(state.items) < 4 else []

    def next_state(self, state, action):
        return Box([*state.items, action])

    def fingerprint(self, state):
        return tuple(sorted(state.items))


@pytest.mark.parametrize("search", SEARCHES)
def test_states_may_be_objects_with_a_fingerprint(search):
    assert explore(Boxes(), search=search).distinct == 1 + 2 + 3 + 4 + 5


# -------------------------------------------------------------- liveness


def test_eventually_holds_with_the_longest_way_there():
    finding = explore(Counter(), eventually(lambda n: n >= 9, name="nine")).findings[0]
    assert finding.verdict == "holds"
    assert "at most 9 steps" in finding.explanation


@pytest.mark.parametrize("search", [BreadthFirst(), RandomWalks(seed=1)])
def test_eventually_is_violated_where_the_system_stops(search):
    result = explore(Counter(), eventually(lambda n: n == 9, name="nine"), search=search)
    assert result.verdict == "violated"
    assert result.path[-1].state == 10
    assert_real(Counter(), result.path)


@pytest.mark.parametrize("search", [BreadthFirst(), RandomWalks(seed=1)])
def test_eventually_is_violated_by_a_loop(search):
    model = Graph({"a": {"in": "b"}, "b": {"round": "c", "out": "goal"}, "c": {"back": "b"}})
    result = explore(model, eventually(lambda s: s == "goal", name="goal"), search=search)
    assert result.verdict == "violated"
    states = [step.state for step in result.path]
    assert states[-1] in states[:-1]
    assert "goal" not in states


def test_a_step_that_changes_nothing_is_no_loop_but_staying_for_ever_is_a_stop():
    done = eventually(lambda s: s == "b", name="b")
    assert explore(Graph({"a": {"wait": "a", "go": "b"}}), done).verdict == "holds"
    stuck = explore(Graph({"a": {"wait": "a"}}), done)
    assert stuck.verdict == "violated"
    assert [step.state for step in stuck.path] == ["a"]


@pytest.mark.parametrize(("within", "verdict"), [(8, "violated"), (9, "holds")])
def test_eventually_within_a_number_of_steps(within, verdict):
    result = explore(Counter(), eventually(lambda n: n >= 9, within=within, name="nine"))
    assert result.verdict == verdict
    if verdict == "violated":
        assert len(result.path) == within + 1
        assert result.path[-1].state < 9


def test_within_counts_steps_through_states_met_before():
    """The long way round reaches a state whose own distance was settled on the short way."""
    edges = {"a": {"short": "d", "long": "b"}, "b": {"": "c"}, "c": {"": "d"}, "d": {"": "e"}, "e": {"": "goal"}}
    goal = {"predicate": lambda s: s == "goal", "name": "goal"}
    assert explore(Graph(edges), eventually(**goal, within=5)).verdict == "holds"
    late = explore(Graph(edges), eventually(**goal, within=4))
    assert [step.state for step in late.path] == ["a", "b", "c", "d", "e"]


def test_eventually_is_unknown_at_a_bound():
    result = explore(Counter(None), eventually(lambda n: n < 0, name="never"), max_states=50)
    assert result.verdict == "unknown"
    assert "max_states" in result.findings[0].explanation


# ------------------------------------------------------ bounds and reports


@pytest.mark.parametrize("search", [BreadthFirst(), RandomWalks(max_walks=500)])
def test_max_states_is_exact_and_said(search):
    result = explore(Counter(None), search=search, max_states=50, max_depth=200)
    assert result.distinct == 50
    assert result.stopped_by == "max_states=50"
    assert "NOT exhausted" in str(result)
    assert "max_states=50" in str(result)


def test_a_bound_that_is_just_enough_leaves_the_space_exhausted():
    assert explore(TwoPhase(3), max_states=288).exhausted
    assert explore(TwoPhase(3), max_depth=12).exhausted
    assert not explore(TwoPhase(3), max_states=287).exhausted


def test_max_depth_visits_every_state_within_it():
    result = explore(Counter(None), max_depth=6)
    assert (result.distinct, result.depth, result.exhausted) == (11, 6, False)
    assert result.stopped_by == "max_depth=6"


def test_max_seconds_and_max_bytes_stop_an_endless_model():
    for search in (BreadthFirst(), RandomWalks(max_walks=10**9)):
        assert explore(Counter(None), search=search, max_seconds=0.2).stopped_by == "max_seconds=0.2"
    full = explore(Counter(None), max_bytes=2**20, max_seconds=20)
    assert full.stopped_by.startswith("max_bytes=1,048,576")
    assert full.memory_bytes >= 2**20


@pytest.mark.parametrize("search", [BreadthFirst(), RandomWalks(max_walks=10**9)])
def test_a_stopped_run_keeps_what_was_found(search):
    event, reports = threading.Event(), []

    def on_progress(progress):
        reports.append(progress)
        if len(reports) == 3:
            event.set()

    result = explore(
        Counter(None), sometimes(lambda n: n == 3, "three"), always(lambda n: n >= 0, "counts"),
        search=search, stop=event.is_set, on_progress=on_progress,
    )  # fmt: skip
    assert result.stopped_by == "the stop handle"
    assert result.findings[0].verdict == "holds"
    assert result.findings[1].verdict == "unknown"
    assert result.distinct >= reports[-2].distinct > 0
    assert "waiting" in str(reports[0])


def test_stop_may_be_a_function():
    assert explore(Counter(None), stop=lambda: True).stopped_by == "the stop handle"


def test_ctrl_c_keeps_what_was_found():
    pressed = threading.Event()

    def on_progress(progress):
        if progress.distinct > 100 and not pressed.is_set():
            pressed.set()
            raise KeyboardInterrupt

    result = explore(Counter(None), on_progress=on_progress)
    assert result.stopped_by == "Ctrl-C"
    assert result.distinct > 100


def test_the_result_says_what_was_searched():
    text = str(explore(TwoPhase(3)))
    for part in (
        "TwoPhase(managers=3)",
        "288 distinct",
        "1,146 generated",
        "depth 11",
        "exhausted",
        "exact",
        "bytes a state",
    ):
        assert part in text
    assert "up to symmetry" in str(explore(TwoPhase(3), symmetry=True))


def test_a_result_is_not_a_truth_value():
    with pytest.raises(TypeError, match=r"compare \.verdict"):
        assert explore(Counter())


def test_memory_is_estimated_close_to_what_python_allocates():
    """2,000 states without shared parts; the tolerance is 10 % of the allocator's own count."""
    gc.collect()  # empties the free lists of tuples, which the allocator would not count
    tracemalloc.start()
    states = [(number + 1000, str(number) * 5, frozenset({number, number + 5000})) for number in range(2000)]
    measured, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert Memory().of(states) + sys.getsizeof(states) == pytest.approx(measured, rel=0.1)


def test_memory_counts_a_shared_part_once_for_neighbours():
    part = tuple(range(1000, 2000))
    apart = Memory().of([tuple(range(1000, 2000)) for _ in range(100)])
    assert Memory().of([(part, number) for number in range(100)]) < apart / 20


# ---------------------------------------------------------- random walks


def test_the_seed_of_the_failing_walk_walks_it_again():
    rare = always(lambda n: n != 29, "never 29")
    model = Counter(30)
    found = explore(model, rare, search=RandomWalks(seed=10))
    again = explore(model, rare, search=RandomWalks(seed=found.seed, max_walks=1))
    assert again.path == found.path
    assert f"seed {found.seed}" in str(found)


def test_weights_choose_the_actions():
    ones = RandomWalks(seed=1, max_walks=5, weights=lambda action: 1.0 if action == 1 else 0.0)
    result = explore(Counter(20), sometimes(lambda n: n == 20, "top"), search=ones)
    assert [step.action for step in result.path[1:]] == [1] * 20


@pytest.mark.parametrize(
    ("weights", "message"), [(lambda a: -1, "at least 0, not -1"), (lambda a: 1 / 0, "ZeroDivisionError")]
)
def test_bad_weights_are_named(weights, message):
    with pytest.raises(ModelError, match=message):
        explore(Counter(), search=RandomWalks(weights=weights))


def test_walks_are_the_same_in_any_process():
    code = (
        "from distlib.check.explore.explore import *; from distlib.principles.specifications import PaxosSpecification;"
        "m = PaxosSpecification(3, 2, 3);"
        "r = explore(m, until=lambda s: len(m.chosen(s)) == 1, search=RandomWalks(seed=5), max_depth=60);"
        "print(r.seed, [step.action for step in r.path])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(outputs) == 1
    assert "Phase2b" in outputs.pop()


# ---------------------------------------------------------------- stages


def test_stages_concatenate_their_paths():
    result = explore_staged(
        [
            Stage(Counter(10), goal=lambda n: n == 10),
            Stage(Counter(20), goal=lambda n: n == 20, carry=lambda n: n + 1),
            Stage(Below(30, below=30)),
        ]
    )
    assert result.verdict == "violated"
    states = [step.state for step in result.path]
    assert states[:7] == [0, 2, 4, 6, 8, 10, 11]
    assert result.path[6].action == ("stage", 2)
    assert states[-1] == 30
    assert all(0 < after - before <= 2 for before, after in itertools.pairwise(states))
    assert len(result.stages) == 3
    assert result.distinct == sum(stage.distinct for stage in result.stages)


def test_a_staged_search_proves_nothing_about_other_ways():
    result = explore_staged([Stage(Counter(4), goal=lambda n: n == 4), Stage(Below(8, below=9))])
    assert result.stages[1].verdict == "holds"
    assert result.verdict == "unknown"
    assert not result.exhausted


def test_a_stage_whose_goal_is_not_reached_ends_the_search():
    result = explore_staged([Stage(Counter(4), goal=lambda n: n == 5), Stage(Counter(8))])
    assert len(result.stages) == 1
    assert "stage 1 of 2" in str(result)
    assert explore_staged([Stage(Counter(None), goal=lambda n: n < 0, bounds=Bounds(max_states=9))]).distinct == 9


def test_wrong_stages_are_named():
    with pytest.raises(ValueError, match="at least one Stage"):
        explore_staged([])
    with pytest.raises(ValueError, match="stage 1 of 2 has no goal"):
        explore_staged([Stage(Counter()), Stage(Counter())])


# ----------------------------------------------------------------- symmetry


def test_interchangeable_nodes_are_told_apart_by_their_rows_alone():
    assert interchangeable("ab", (1, 0)) == interchangeable("ba", (0, 1)) != interchangeable("ab", (0, 1))


def test_symmetry_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="defines no canonical"):
        explore(Counter(), symmetry=True)
    with pytest.raises(ValueError, match="eventually cannot be checked with symmetry"):
        explore(TwoPhase(2), eventually(lambda s: True), symmetry=True)


def test_a_path_found_up_to_symmetry_is_a_real_one():
    model = TwoPhase(3)
    result = explore(model, always(lambda s: "committed" not in s.rm_state, "no commit"), symmetry=True)
    assert result.verdict == "violated"
    assert_real(model, result.path)
    assert "committed" in result.path[-1].state.rm_state
