"""Every mutant and every right class before the judge, as a reader calls it: ``python -m tests.judged --processes 2``.

The mutants are the museum's and those of ``tests/workbench`` and ``tests/transactions/judge_mutants.py``; the
right classes are the shipped ones and the museum's equivalents. A line a class: the verdict, the search that found
something, the time, and what was cut short or never came into its situation. It ends with 1 if a mutant is not
killed, if a right class is, or if a search of a right class did not end or ran nothing. It takes about seven
minutes of two free cores; the tests let each mutant meet its own killer alone.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

from distlib.workbench.judge import Judgement, judge
from distlib.workbench.museum import mutants
from distlib.workbench.subjects import JUDGED
from tests.transactions.judge_mutants import OTHERS as OF_TRANSACTIONS
from tests.workbench.test_judge_mutants import OTHERS

BROKEN: list[type[Any]] = [
    *(one.node_class for one in mutants() if one.sort != "equivalent"), *(one for one, _ in (*OTHERS, *OF_TRANSACTIONS))
]  # fmt: skip
RIGHT: list[type[Any]] = [
    *(one for subject in JUDGED for one in subject.correct),
    *(one.node_class for one in mutants() if one.sort == "equivalent"),
]


@dataclass(frozen=True)
class Case:
    """What came of one class; ``problems`` is empty where it is as it should be."""

    name: str
    said: str
    problems: tuple[str, ...]
    elapsed_s: float
    cpu_s: float


def judged(number: int) -> Case:
    """The class of this number: first the broken ones, then the right ones."""
    node_class = [*BROKEN, *RIGHT][number]
    began = times()
    with contextlib.redirect_stdout(io.StringIO()):
        found = judge(node_class)
    problems = problems_of_broken(found) if number < len(BROKEN) else problems_of_right(found, node_class)
    killer = f" by {found.failure.search} ({found.failure.invariant})" if found.failure is not None else ""
    said = f"{found.status}{killer}, {len(found.outcomes)} searches"
    if late := [one.search for one in found.outcomes if not one.complete and not one.failure]:
        said += f"; cut short: {', '.join(late)}"
    return Case(node_class.__name__, said, tuple(problems), found.elapsed_s, times() - began)


def times() -> float:
    """CPU time of this process and of those it has waited for, in seconds."""
    now = os.times()
    return float(now.user + now.system + now.children_user + now.children_system)


def problems_of_broken(found: Judgement) -> list[str]:
    """What is wrong where a class that is broken must have failed."""
    return [] if found.status == "failed" and found.failure is not None else [str(found)]


def problems_of_right(found: Judgement, node_class: type[Any]) -> list[str]:
    """What is wrong where a right class must have passed all searches, each of which must have looked at something."""
    subject = next(one for one in JUDGED if one.base_of(node_class))
    asked = [one.name for one in subject.searches if one.applies(node_class)]
    problems = [] if found.status == "passed" else [str(found)]
    problems += [f"{name} was not run" for name in asked if name not in [one.search for one in found.outcomes]]
    for one in found.outcomes:
        if not re.search(r"[1-9][0-9,]* (states|walks|simulated|histories|runs)", one.looked):
            problems.append(f"{one.search} looked at nothing: {one.looked}")
        if not one.arrived:
            problems.append(f"{one.search} never came into its situation")
        if not one.complete:
            problems.append(f"{one.search} was cut short")
        if one.undecided:
            problems.append(f"{one.search} left {one.undecided} runs undecided")
    return problems


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.judged", description=__doc__)
    parser.add_argument("--processes", type=int, default=1, help="how many at once (default 1)")
    parser.add_argument("--only", nargs="*", help="names of classes (default: all)")
    options = parser.parse_args()
    classes = [*BROKEN, *RIGHT]
    chosen = [number for number, one in enumerate(classes) if not options.only or one.__name__ in options.only]
    began, failed = time.monotonic(), 0
    with ProcessPoolExecutor(options.processes) as pool:
        for done in as_completed([pool.submit(judged, number) for number in chosen]):
            case = done.result()
            failed += bool(case.problems)
            print(f"{case.name}: {case.said}, {case.elapsed_s:.0f} s, {case.cpu_s:.0f} s of CPU", flush=True)
            for problem in case.problems:
                print(f"  WRONG: {problem}", flush=True)
    broken, spent_s = sum(number < len(BROKEN) for number in chosen), time.monotonic() - began
    print(f"{broken} broken and {len(chosen) - broken} right classes in {spent_s:.0f} s, {failed} wrong")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
