"""The labs of the Paxos chapter, without a screen."""

from __future__ import annotations

from pathlib import Path

import pytest

from distlib.figures.branches import TreeNode, rows_of
from distlib.labs.lab import Lab
from distlib.paxos.charts import availability_by_size, intersection_graph, protocol_bars, rounds_against_backoff
from distlib.paxos.labs import ComparisonLab, DuelLab, LeaderChangeLab, QuorumLab, SingleDecreeLab
from distlib.paxos.quorums import QuorumParams, quorums
from distlib.paxos.quorums import availability_by_size as sizes_of


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class QuickDuel(DuelLab):
    trials = 2
    widths_ms = (0, 80)


@pytest.mark.parametrize("kind", [SingleDecreeLab, QuickDuel, QuorumLab, LeaderChangeLab, ComparisonLab])
def test_every_preset_and_figure_of_a_lab_works_and_its_share_line_rebuilds_it(kind: type[Lab]) -> None:
    lab = kind(**({"trials": 2, "commands": 3} if kind is ComparisonLab else {}))
    for values in kind.presets.values():
        lab.set(**values)
        assert lab.result is not None
        assert lab.error is None
    for figure in kind.figures:
        lab.set(figure=figure)
        assert lab.error is None
    assert eval(lab.share(), {kind.__name__: kind}).params == lab.params
    assert lab.data(lab.result)


def broken(lab: Lab) -> list[str]:
    return [name for name, holds, _ in lab.verdicts(lab.result) if holds is False]


def test_quorums_that_do_not_intersect_break_agreement() -> None:
    lab = SingleDecreeLab(**SingleDecreeLab.presets["Quorums that don't intersect"])
    assert broken(lab) == ["agreement"]


def test_the_duel_is_a_livelock_until_there_is_a_random_pause() -> None:
    lab = QuickDuel()
    assert broken(lab) == ["Progress within this run"]
    lab.set(**QuickDuel.presets["A random pause ends it"])
    assert broken(lab) == []
    _, study = lab.result
    assert list(study["decided"]) == [0.0, 1.0]


def test_the_quorum_lab_names_two_quorums_that_share_nobody() -> None:
    lab = QuorumLab(phase1=2)
    assert broken(lab) == ["Every quorum of phase 1 meets every quorum of phase 2"]
    assert "{S1, S2} and {S3, S4, S5} share nobody" in lab.verdicts(lab.result)[0][2]
    lab.controls.phase1.value = 6
    assert lab.wait(60) and (lab.params.phase1, lab.error) == (5, None)
    with pytest.raises(ValueError, match="phase1 is 6"):
        lab.set(phase1=6)


def test_a_leader_change_that_does_not_come_is_told() -> None:
    """Equal timeouts and latencies: in Raft all vote for themselves for ever. It was an IndexError, or a silent NaN."""
    lab = ComparisonLab(timeout_ms=(3000, 3000), trials=2, commands=1)
    assert lab.result["leaderless"].tolist() == [0, 0, 2] and lab.error is None
    assert [holds for _, holds, _ in lab.verdicts(lab.result)] == [True, False]
    assert "2 crashes after which there was none" in lab.verdicts(lab.result)[1][2]


def test_the_intersection_graph_marks_who_is_met_and_who_is_missed() -> None:
    found = quorums(QuorumParams(phase1=2, phase2=3))
    figure = intersection_graph([one for one, _, _ in found.pairs], [two for _, two, _ in found.pairs])
    by_name = {trace.name: trace for trace in figure.data}
    assert len(by_name["is in the chosen quorum"].x) == 2 * 3
    assert len(by_name["of phase 2: shares nobody"].x) >= 1
    with pytest.raises(ValueError, match="at least one quorum"):
        intersection_graph([], [])


def test_charts_name_a_missing_column() -> None:
    frame = sizes_of(5, 0.9)
    with pytest.raises(ValueError, match="sizes has no column 'available2'"):
        availability_by_size(frame.drop(columns="available2"), (3, 3))
    with pytest.raises(ValueError, match="study has no column"):
        rounds_against_backoff(frame)
    with pytest.raises(ValueError, match="comparison has no column"):
        protocol_bars(frame)


def test_rows_of_a_tree_never_overlap() -> None:
    parents = {0: (None, 0), 1: (0, 1), 2: (1, 2), 3: (0, 1), 4: (3, 2), 5: (1, 2), 6: (2, 3)}
    rows = rows_of([TreeNode(number, parent, depth, "") for number, (parent, depth) in parents.items()])
    assert rows[0] == rows[1] == rows[2] == rows[6] == 0
    assert rows[3] == rows[4] == 1
    assert rows[5] == 2


# --- histories ----------------------------------------------------------------------------------------------
