"""State counts published for the public TLA+ examples of atomic commitment (github.com/tlaplus/Examples,
specifications/acp/manifest.json and specifications/transaction_commit/manifest.json), and what they say."""

from __future__ import annotations

import pytest

from distlib.check.explore.explore import Model, always, explore
from distlib.principles.commit_specifications import (
    ABORT,
    COMMIT,
    CommitmentState,
    NonBlocking,
    PaxosCommitSpecification,
    SimpleBroadcast,
    TwoPhaseWithBackup,
    WronglyForwarded,
    ac1,
)


def counts(model: Model, **options) -> tuple[int, int, int]:
    result = explore(model, **options)
    assert result.exhausted
    assert result.verdict == "holds"
    return result.distinct, result.generated, result.depth


def test_non_blocking_commitment() -> None:
    """acp/ACP_NB_TLC.cfg: 2 participants, 4,284 distinct, 23,988 generated, depth 19; AC1 to AC3 and AC5 hold."""
    assert counts(NonBlocking(2)) == (4284, 23988, 19)


def test_simple_broadcast() -> None:
    """acp/ACP_SB_TLC.cfg: 3 participants, 54,944 distinct, 218,352 generated, depth 21."""
    assert counts(SimpleBroadcast(3)) == (54944, 218352, 21)


def test_a_decision_is_never_reversed() -> None:
    """AC4, a property of steps: whoever has decided, keeps to it."""
    model, seen, steps = NonBlocking(2), 0, 0

    def keeps_to_it(state: CommitmentState) -> bool:
        nonlocal seen, steps
        seen += 1
        for _, after in model.successors(state):
            steps += 1
            for one, other in zip(state.participant, after.participant, strict=True):
                if one.decision in (COMMIT, ABORT) and other.decision != one.decision:
                    return False
        return True

    assert explore(model, always(keeps_to_it)).verdict == "holds"
    assert seen == 4284 and steps > 20_000


def test_a_simple_broadcast_blocks() -> None:
    """AC5 does not hold of ACP_SB, as its text says: a coordinator that dies in the broadcast leaves somebody undecided
    for ever; of ACP_NB it holds."""
    model = SimpleBroadcast(2)
    result = explore(model, always(model.does_not_block))
    assert result.verdict == "violated"
    last = result.path[-1].state
    assert last.coordinator.faulty and any(one.alive and one.decision == "undecided" for one in last.participant)


def test_who_decides_before_it_forwards_violates_ac1() -> None:
    """acp/ACP_NB_WRONG_TLC.cfg: AC1 does not hold; the shortest counterexample has 13 states."""
    result = explore(WronglyForwarded(2), always(ac1))
    assert result.verdict == "violated"
    assert len(result.path) == 13
    assert {one.decision for one in result.path[-1].state.participant} == {COMMIT, ABORT}


def test_two_phase_commit_with_a_backup_manager() -> None:
    """transaction_commit/2PCwithBTM.cfg: 3 managers, 1,245 distinct, 5,841 generated, depth 15."""
    assert counts(TwoPhaseWithBackup(3)) == (1245, 5841, 15)


def test_paxos_commit_with_one_manager() -> None:
    """No published count: ours, for 1 manager. With 2 managers the published 1,321,761 distinct states, 16,959,159
    generated, depth 28 take minutes: `python -m tests.papers.paxos_commit`."""
    distinct, _, depth = counts(PaxosCommitSpecification(managers=1))
    assert (distinct, depth) == (1461, 15)


@pytest.mark.parametrize("numbers", [{"participants": 0}, {"participants": -1}])
def test_a_number_that_cannot_be_is_named(numbers: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="participants"):
        NonBlocking(**numbers)
