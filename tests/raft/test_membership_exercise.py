"""The grader of when a cluster may change: other right answers pass, each half of the rule alone does not."""

from __future__ import annotations

from typing import Any

import pytest

from distlib.raft.broken import ChangesAtWill, ChangesTooEarly
from distlib.raft.exercises import grade_membership
from distlib.raft.membership import Membership
from distlib.raft.raft import Raft


class AsInThePaper(Membership):
    def may_change(self) -> bool:
        return self.configuration()[0] <= self.commit_index and self.commit_index >= self.term_start


class InOtherWords(Membership):
    def may_change(self) -> bool:
        return max(self.configuration()[0], self.term_start) <= self.commit_index


class WaitsLonger(Membership):
    def may_change(self) -> bool:
        return self.commit_index == self.log.last_index and self.commit_index >= self.term_start


class Never(Membership):
    def may_change(self) -> bool:
        return False


class Always(Membership):
    def may_change(self) -> bool:
        return True


class Raises(Membership):
    def may_change(self) -> bool:
        raise KeyError("term")


@pytest.mark.parametrize("right", [AsInThePaper, InOtherWords, WaitsLonger])
def test_a_right_rule_passes(right: type[Membership]) -> None:
    assert grade_membership(right)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (Membership, "Membership.may_change is what the exercise asks you to write"),
        (ChangesTooEarly, "reconfiguration"),
        (ChangesAtWill, "three changes"),
        (Always, ""),
        (Never, "too strict"),
        (Raises, "KeyError"),
        (Raft, "a subclass of Membership"),
        (7, "a subclass of Membership"),
    ],
)
def test_a_wrong_rule_is_told(wrong: Any, told: str) -> None:
    grade = grade_membership(wrong)
    assert not grade and told in str(grade)
