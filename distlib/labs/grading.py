"""Grades: a checker's answer to an exercise in words, and what every checker needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from distlib.labs.sandbox import SandboxError, run_apart

LIMIT_S = 30.0
"""After so long, a reader's code is taken for one that never comes back; the checks themselves take seconds."""


@dataclass(frozen=True)
class Grade:
    """Whether the answer passes, and remarks that say why, or what to look at again."""

    passed: bool
    remarks: tuple[str, ...]

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        head = "✓ Passed." if self.passed else "✗ Not yet."
        return "\n".join([head, *(f"  · {remark}" for remark in self.remarks)])

    __repr__ = __str__


Case = tuple[str, Callable[[], Any], bool]
"""A situation in words, the question asked of the reader's code in it, and the right answer."""


def grade_cases(cases: Sequence[Case], yes: str, no: str) -> Grade:
    """Whether the reader's code answers every case right; ``yes`` and ``no`` are the words for True and False."""
    wrong = []
    for words, ask, right in cases:
        try:
            given = ask()
        except Exception as error:
            return Grade(False, (f"{words}: your method raised {type(error).__name__}: {error}",))
        if not isinstance(given, bool) or given != right:
            wrong.append(f"{words}: {yes if right else no}; yours says {given!r}")
    return Grade(False, tuple(wrong)) if wrong else Grade(True, (f"all {len(cases)} cases right",))


def grade_apart(check: Callable[[], Grade], seconds: float = LIMIT_S) -> Grade:
    """The grade that ``check`` gives, in a process of its own: code that hangs or ends the process does not pass."""
    try:
        grade: Grade = run_apart(lambda _tell: check(), seconds=seconds)
    except SandboxError as error:
        return Grade(False, (f"your code: {error}",))
    return grade
