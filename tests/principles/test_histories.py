"""Histories to look at: each has the verdict that it was made to show."""

from __future__ import annotations

import pytest

from distlib.check.history.linearizability import Verdict, check
from distlib.check.history.readers import parse_jsonl
from distlib.principles.histories import NAMES, OWN, SHAPES, SPECIFICATIONS, history_called, specification_of, to_jsonl


@pytest.mark.parametrize("name", SHAPES)
def test_small_shapes_have_their_verdict(name: str) -> None:
    found = check(history_called(name), SPECIFICATIONS[specification_of(name)]())
    assert found.verdict is (Verdict.LINEARIZABLE if SHAPES[name].linearizable else Verdict.NOT_LINEARIZABLE)


@pytest.mark.parametrize("seed", range(6))
def test_correct_clusters_are_linearizable_and_a_leader_that_does_not_ask_is_not(seed: int) -> None:
    verdicts = [check(history_called(name, seed), SPECIFICATIONS["register"]()).verdict for name in NAMES[:3]]
    assert verdicts[:2] == [Verdict.LINEARIZABLE] * 2
    assert verdicts[2] is Verdict.NOT_LINEARIZABLE


def test_recorded_histories_are_worth_looking_at() -> None:
    history = history_called(NAMES[2])
    assert len(history) >= 12
    assert history.faults[0].label == "partition"
    assert {one.f for one in history.operations} == {"read", "write"}


@pytest.mark.parametrize("name", NAMES[:-1])
def test_json_lines_bring_a_history_back(name: str) -> None:
    history = history_called(name)
    assert parse_jsonl(to_jsonl(history)) == history


@pytest.mark.parametrize(("name", "lines", "said"), [
    ("nothing", "", "no history 'nothing'"), (OWN, " ", "no lines of your own"),
    (OWN, '{"process": 1, "f": "read", "call": "soon", "return": 2}', "line:1: field 'call'"),
])  # fmt: skip
def test_what_cannot_be_read_is_named_by_line_and_field(name: str, lines: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        history_called(name, lines=lines)
