"""Searches over simulated runs: what a run of which nobody can tell whether it was right counts for."""

from __future__ import annotations

import pytest

from distlib.check import simulation
from distlib.check.history.history import History, Operation
from distlib.check.history.sequential import CasRegister
from distlib.check.simulation import Simulation, UndecidedError, not_explained
from distlib.sim.cluster import Cluster
from distlib.transactions.two_phase import TwoPhaseCommit

WRITES = [Operation(f"C{number}", "write", number, call=0.0, returned=10.0) for number in range(5)]
RIGHT = History((*WRITES, Operation("C9", "read", None, 3, 11.0, 12.0)))
WRONG = History((*RIGHT.operations, Operation("C9", "read", None, 2, 13.0, 14.0)))


def test_a_history_that_the_checker_gives_up_is_no_pass_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not_explained(RIGHT, CasRegister()) == ""
    assert "not linearizable" in not_explained(WRONG, CasRegister())
    monkeypatch.setattr(simulation, "CONFIGURATIONS", 1)
    with pytest.raises(UndecidedError, match="the limit on configurations was reached"):
        not_explained(WRONG, CasRegister())


@pytest.mark.parametrize(("wrong_from", "failure", "undecided"), [(9, "", 3), (5, "wrong (seed 5)", 0)])
def test_runs_that_nobody_can_judge_are_counted_and_end_no_search(
    wrong_from: int, failure: str, undecided: int
) -> None:
    """Of six runs, the odd seeds' are undecided; a wrong one after them is found all the same."""
    asked = []

    def problem(cluster: Cluster) -> str:
        asked.append(cluster.seeds.seed)
        if cluster.seeds.seed >= wrong_from:
            return "wrong"
        if cluster.seeds.seed % 2:
            raise UndecidedError("given up")
        return ""

    def make(node_class: type[TwoPhaseCommit], seed: int) -> Cluster:
        return Cluster([node_class("S1")], seed=seed)

    outcome = Simulation(make, problem, range(1, 7), "runs", (0, 1), "a promise").run(TwoPhaseCommit, 60.0)
    assert (outcome.failure, outcome.undecided) == (failure, undecided)
    assert asked == list(range(1, 7 if not failure else 6)) and outcome.complete
    assert ("3 runs undecided" in str(outcome)) == (not failure)
