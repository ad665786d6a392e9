"""Grades: a checker's answer to an exercise in words, and what every checker needs."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from types import ModuleType
from typing import Any

import numpy as np

from distlib.core import require
from distlib.labs.sandbox import SandboxError, run_apart

LIMIT_S = 60.0
"""After computing for so long, a reader's code is taken for one that never comes back; the checks take seconds."""


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


# ------------------------------------------------------------ answers, whatever their type


def number_in(answer: Any) -> float | None:
    """``answer`` as a finite number, whichever type of number it is; None for anything else, texts and truths too."""
    if isinstance(answer, (bool, np.bool_, str, bytes)):
        return None
    try:
        number = float(answer)
    except Exception:  # whatever its class raises
        return None
    return number if math.isfinite(number) else None


def listed(answer: Any, most: int = 1_000) -> list[Any] | None:
    """What is in ``answer``, a list, a generator or the like, up to ``most``; None where nothing is in it."""
    if isinstance(answer, (str, bytes)) or not isinstance(answer, Iterable):
        return None
    return list(islice(answer, most))


def truth_in(answer: Any, whose: str) -> bool:
    """``answer`` as True or False. Raises ``TypeError`` for anything else: ``whose`` answer it was is said."""
    if isinstance(answer, np.bool_):
        return bool(answer)
    if not isinstance(answer, bool):
        missing = "is a `return` missing on some path?" if answer is None else "it takes True or False"
        raise TypeError(f"{whose} is {shown(answer)}; {missing}")
    return answer


def shown(answer: Any) -> str:
    """``answer`` as Python shows it, at no great length; its class, where that fails."""
    try:
        text = repr(answer)
    except Exception:  # a reader's own class may fail to say what it is
        return f"an instance of {type(answer).__name__}"
    return text if len(text) <= 80 else f"{text[:79]}…"


# ------------------------------------------------------------ a reader's code

Case = tuple[str, Callable[[], Any], bool]
"""A situation in words, the question asked of the reader's code in it, and the right answer."""


def grade_cases(cases: Sequence[Case], yes: str, no: str, most: int = 5) -> Grade:
    """Whether the reader's code answers every case right; ``yes`` and ``no`` are the words for True and False.

    Of the wrong ones, ``most`` are named. Raises ``ValueError`` without a case.
    """
    require.whole("the number of cases", len(cases), 1)
    wrong = []
    for words, ask, right in cases:
        try:
            given = ask()
        except (Exception, SystemExit) as error:
            return Grade(False, (f"{words}: your method raised {type(error).__name__}: {error}",))
        try:
            given = truth_in(given, "your method's answer")
        except TypeError as error:
            return Grade(False, (f"{words}: {yes if right else no}; {error}",))
        if given != right:
            wrong.append(f"{words}: {yes if right else no}; yours says {given}")
    if wrong:
        return Grade(False, (*wrong[:most], *([f"and {len(wrong) - most} more"] if len(wrong) > most else [])))
    return Grade(True, (f"all {len(cases)} cases right",))


TO_WRITE = "is what the exercise asks you to write"


def _refuse(*_: Any, **__: Any) -> Any:
    raise NotImplementedError("WORDS")


@contextmanager
def hidden(owner: type | ModuleType, name: str) -> Iterator[None]:
    """For so long, the class or module ``owner`` has no ``name``: an answer that leaves it or calls it would hand in
    ours. It is the function that refuses, by whatever name: ``may_commit = Raft.may_commit`` is ours as well."""
    function, words = vars(owner)[name], f"{owner.__name__}.{name} {TO_WRITE}"
    code, refusal = function.__code__, _refuse.__code__
    constants = tuple([words if one == "WORDS" else one for one in refusal.co_consts])
    function.__code__ = refusal.replace(co_consts=constants)
    try:
        yield
    finally:
        function.__code__ = code


def grade_apart(check: Callable[[], Grade], seconds: float = LIMIT_S) -> Grade:
    """The grade that ``check`` gives, in a process of its own: code that hangs, ends the process, or changes what it
    is graded with, does not pass."""

    def attended(_tell: Any) -> Grade:
        before = _bindings()
        grade = check()
        for (holder, name), value in _bindings().items():
            if before.get((holder, name), value) is not value:
                return Grade(False, (f"your code changes {holder}.{name}; leave the library as it is",))
        return grade

    try:
        grade: Grade = run_apart(attended, seconds=seconds)
    except SandboxError as error:
        return Grade(False, (f"your code: {error}",))
    return grade


def _bindings() -> dict[tuple[str, str], Any]:
    """What each name in the library's modules, and in their classes, stands for."""
    found: dict[tuple[str, str], Any] = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != "distlib":
            continue
        found |= {(name, key): value for key, value in vars(module).items()}
        for one in list(vars(module).values()):
            if isinstance(one, type) and one.__module__ == name:
                found |= {(one.__name__, key): value for key, value in vars(one).items()}
    return found
