"""Readers' code apart from the kernel: results come back, and whatever the code does ends in a sentence."""

from __future__ import annotations

import inspect
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from numba.core.compiler_lock import global_compiler_lock

from distlib.core.draw import uniform
from distlib.labs import grading
from distlib.labs.grading import Grade, grade_apart, grade_cases, listed, number_in, shown
from distlib.labs.sandbox import PRINTED_CHARACTERS, SandboxError, run_apart, watch_calls


def test_a_result_comes_back_and_what_is_told_is_heard() -> None:
    heard: list[Any] = []

    def work(tell: Callable[[Any], None]) -> dict[str, int]:
        tell("half way")
        return {"process": os.getpid()}

    assert run_apart(work, seconds=20, heard=heard.append)["process"] != os.getpid()
    assert heard == ["half way"]


def hang(_tell: Any) -> None:
    while True:
        time.sleep(0.01)


def spin(_tell: Any) -> None:
    while True:
        pass


def count_in_the_interpreter(_tell: Any) -> None:
    sum(count())  # no line of Python runs in it, at which a signal could be heard


def spin_beside_a_child(_tell: Any) -> None:
    """Its child, which sleeps, keeps the pipe open when the system has ended it."""
    if os.fork():
        spin(None)
    hang(None)


def chatter(tell: Any) -> None:
    while True:
        tell("still here")


def beget(_tell: Any) -> None:
    """A child of its own, that keeps the pipe open and outlives its parent."""
    os.fork()
    hang(None)


def leave_half_a_message(tell: Any) -> None:
    os.write(inspect.getclosurevars(tell).nonlocals["connection"].fileno(), b"\0\0\1\0half")
    hang(None)


class Dumb(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class Unreadable:
    def __reduce__(self) -> tuple[Any, ...]:
        return _read, (os.getpid(),)


def _read(written_by: int) -> None:
    raise ValueError("not here" if written_by != os.getpid() else "not there")


def throw(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (lambda _tell: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda _tell: sys.exit(3), "SystemExit: 3"),
        (lambda _tell: os._exit(4), "the process ended (exit code 4)"),
        (lambda _tell: os.kill(os.getpid(), 9), "killed by signal 9"),
        (lambda _tell: bytearray(2**40), "MemoryError"),
        (lambda _tell: lambda: None, "its result cannot be handed over"),
        (lambda _tell: Unreadable(), "its answer cannot be read back: ValueError: not here"),
        (lambda _tell: throw(KeyboardInterrupt()), "KeyboardInterrupt"),
        (lambda _tell: throw(Dumb()), "Dumb"),
    ],
)
def test_whatever_the_code_does_ends_in_a_sentence(work: Callable[..., Any], said: str) -> None:
    with pytest.raises(SandboxError) as caught:
        run_apart(work, seconds=20)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (spin, "within 0.5 s of computing"),
        (count_in_the_interpreter, "within 0.5 s of computing"),
        (spin_beside_a_child, "within 0.5 s of computing"),
        (hang, "within 2 s by the clock"),
        (chatter, "within"),
        (beget, "within 2 s by the clock"),
        (leave_half_a_message, "within 2 s by the clock"),
    ],
)
def test_a_loop_without_end_is_ended_from_outside(work: Callable[..., Any], words: str) -> None:
    begun = time.monotonic()
    with pytest.raises(SandboxError, match=f"did not come back {words}"):
        run_apart(work, seconds=0.5)
    assert time.monotonic() - begun < 30


def test_who_gets_little_of_the_machine_is_not_called_endless() -> None:
    """It computes next to nothing in a time by the clock that is above its limit."""
    assert run_apart(lambda _tell: time.sleep(1.5) or "back", seconds=1.0) == "back"  # type: ignore[func-returns-value]


def test_what_the_code_leaves_behind_is_ended() -> None:
    def work(_tell: Any) -> int:
        child = os.fork()
        if child == 0:
            os.close(1)
            time.sleep(60)
        return child

    child = run_apart(work, seconds=20)
    state = Path(f"/proc/{child}/stat")
    for _ in range(100):
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.02)
    pytest.fail(f"process {child} is still there")


def test_what_the_code_prints_is_printed_here_and_not_without_end(capsys: pytest.CaptureFixture[str]) -> None:
    def work(_tell: Any) -> None:
        print("x is", 5)
        for _ in range(200_000):
            print("again")

    run_apart(work, seconds=20)
    printed = capsys.readouterr().out
    assert printed.startswith("x is 5\nagain\n") and printed.endswith("\n… and more.\n")
    assert PRINTED_CHARACTERS < len(printed) < PRINTED_CHARACTERS + 20


def test_a_call_that_does_not_come_back_is_ended_from_within_and_named() -> None:
    def stuck() -> None:
        while True:
            with suppress(Exception):
                time.sleep(0.01)

    def work(_tell: Any) -> None:
        def is_stuck(frame: FrameType) -> bool:
            return frame.f_code.co_name == "stuck"

        watch_calls(0.2, is_stuck, lambda outermost, _now: f"{outermost.f_code.co_name} hangs")
        stuck()

    with pytest.raises(SandboxError, match=r"^stuck hangs$"):
        run_apart(work, seconds=20)


def test_an_answer_that_compiles_is_graded_while_a_lab_above_it_still_compiles() -> None:
    """In a notebook that runs from top to bottom for the first time, labs compile in threads of their own."""
    compiling = threading.Event()

    def compile_for_long() -> None:
        with global_compiler_lock:
            compiling.set()
            time.sleep(0.5)

    def check() -> Grade:
        with global_compiler_lock:  # as numba does, unless it has compiled ``uniform`` before
            return Grade(0 <= uniform(np.uint64(7), 0) < 1, ("compiled",))

    lab = threading.Thread(target=compile_for_long)
    lab.start()
    compiling.wait()
    assert grade_apart(check, seconds=15)
    lab.join()


def test_a_grade_comes_from_a_process_apart_and_a_hang_does_not_pass() -> None:
    assert grade_apart(lambda: Grade(True, ("well done",))) == Grade(True, ("well done",))
    grade = grade_apart(lambda: hang(None) or Grade(True, ()), seconds=0.5)  # type: ignore[func-returns-value]
    assert not grade and "did not come back" in str(grade)


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError


def test_cases_pass_when_all_are_right_and_each_wrong_one_is_named() -> None:
    cases = [("two is even", lambda: True, True), ("three is even", lambda: np.False_, False)]
    assert grade_cases(cases, "even", "odd") == Grade(True, ("all 2 cases right",))
    wrong = grade_cases([("four is even", lambda: False, True), *cases] * 7, "even", "odd")
    assert not wrong and wrong.remarks == (*["four is even: even; yours says False"] * 5, "and 2 more")


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: None, "is a `return` missing"),
        (lambda: "yes", "your method's answer is 'yes'; it takes True or False"),
        (Mute, "your method's answer is an instance of Mute"),
        (lambda: 1 / 0, "your method raised ZeroDivisionError: division by zero"),
        (lambda: sys.exit(3), "your method raised SystemExit: 3"),
    ],
)
def test_a_case_without_an_answer_is_named(ask: Callable[[], Any], said: str) -> None:
    grade = grade_cases([("two is even", ask, True)], "even", "odd")
    assert not grade and said in grade.remarks[0]


def test_no_case_is_no_grade() -> None:
    with pytest.raises(ValueError, match="the number of cases is 0"):
        grade_cases([], "even", "odd")


def patch_a_method() -> Grade:
    Grade.__bool__ = lambda self: True  # type: ignore[method-assign]
    return Grade(True, ())


def patch_a_module() -> Grade:
    grading.grade_cases = lambda *given: Grade(True, ())
    return Grade(True, ())


@pytest.mark.parametrize(
    ("check", "changed"), [(patch_a_method, "Grade.__bool__"), (patch_a_module, "distlib.labs.grading.grade_cases")]
)
def test_code_that_changes_what_it_is_graded_with_does_not_pass(check: Callable[[], Grade], changed: str) -> None:
    grade = grade_apart(check)
    assert not grade and f"your code changes {changed}" in str(grade)
    assert not Grade(False, ()), "nothing has changed here"


@pytest.mark.parametrize("one", [0.5, np.float32(0.5), Fraction(1, 2), Decimal("0.5"), np.array(0.5)])
def test_a_number_is_a_number_whatever_its_type(one: Any) -> None:
    assert number_in(one) == 0.5


@pytest.mark.parametrize("one", [None, True, np.True_, "0.5", float("nan"), float("inf"), 10**400, [1, 2], 1j, object])
def test_what_is_no_number(one: Any) -> None:
    assert number_in(one) is None


def test_what_is_in_an_answer_is_listed_up_to_an_end() -> None:
    assert listed(n for n in (1, 2)) == listed((1, 2)) == [1, 2]
    assert listed(count(), most=3) == [0, 1, 2]
    assert listed("ab") is listed(7) is listed(None) is listed(int) is None


def test_an_answer_is_shown_though_it_cannot_say_what_it_is() -> None:
    assert shown(Mute()) == "an instance of Mute"
    assert len(shown("long" * 100)) == 80
