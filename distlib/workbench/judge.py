"""The judge of exercises: a reader's subclass of Raft or Paxos against the shipped searches.

    judge(MyRaft)

The class runs in a forked process of its own, so that whatever it does (loops without end, eats the memory, calls
sys.exit) ends in a sentence and not in a hang; the notebook's kernel is not touched.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any, Literal

from distlib.check.cluster.counterexample import Counterexample, load
from distlib.check.cluster.handling import HANDLER, checked
from distlib.check.search import Kind, Outcome, ProtocolSearch
from distlib.core.node import Endless, Node
from distlib.core.trace import Trace
from distlib.paxos import searches as paxos_search
from distlib.paxos.paxos import Paxos
from distlib.raft import searches as raft_search
from distlib.raft.raft import Raft

Status = Literal["passed", "failed", "undecided"]

STUCK_S = 2.0
"""A handler that has not come back for so long is taken for one that never will."""
MEMORY_BYTES = 2 * 2**30
"""What the judged class may take beside what the kernel has already."""


@dataclass(frozen=True)
class Judgement:
    """What the judge found; ``print`` it.

    ``status`` is "passed" when every search ran and found nothing, "failed" when one found something (or, for
    ``expected_failure``, when none found that), "undecided" when a search could not be run to an answer. ``outcomes``
    are the searches in the order in which they ran; ``remark`` is what there is to say beside them.
    """

    candidate: str
    status: Status
    outcomes: tuple[Outcome, ...]
    elapsed_s: float
    remark: str = ""
    make_trace: Callable[[], Trace] | None = field(default=None, repr=False, compare=False)

    @property
    def passed(self) -> bool:
        """Whether the class passed."""
        return self.status == "passed"

    @property
    def failure(self) -> Outcome | None:
        """The outcome of the search that found something, if any."""
        return next((outcome for outcome in self.outcomes if outcome.failure), None)

    @property
    def example(self) -> Counterexample | None:
        """The minimal counterexample; None where the failure is no path."""
        return self.failure.example if self.failure is not None else None

    @cached_property
    def trace(self) -> Trace | None:
        """What happened, for a figure: the minimal counterexample, or the simulated run that failed."""
        if self.example is not None:
            return self.example.trace
        return self.make_trace() if self.make_trace is not None else None

    @cached_property
    def story(self) -> list[str]:
        """The counterexample in lines that people read; empty without one."""
        if self.example is not None:
            return self.example.story
        return list(self.failure.steps) if self.failure is not None else []

    def __str__(self) -> str:
        lines = [f"{self.candidate}: {self.status.upper()} ({self.elapsed_s:.1f} s)"]
        lines += [f"  {self.remark}"] if self.remark else []
        lines += [f"  {outcome}" for outcome in self.outcomes]
        lines += ["  The shortest way there:", *(f"    {line}" for line in self.story)] if self.story else []
        return "\n".join(lines)

    __repr__ = __str__


def judge(
    candidate: type[Node],
    *,
    only: Sequence[Kind] = ("safety", "liveness"),
    budget_s: float = 20.0,
    expected_failure: str | None = None,
) -> Judgement:
    """Run the searches for ``candidate``, a subclass of ``Raft`` or of ``Paxos``, until one finds something.

    ``only`` chooses among safety and liveness. ``budget_s`` is the time for all searches together; each may use what is
    left, in shares. With ``expected_failure`` (an invariant's name, "liveness", or a part of the witness) the class
    passes when it is found to fail in just that way: for exercises that ask to break something.

    Raises TypeError for what is no class derived from Raft or Paxos, ValueError for other arguments that cannot be.
    """
    base, searches = _searches(candidate)
    _check_arguments(only, budget_s)
    chosen = [search for search in searches if search.kind in only]
    start = monotonic()
    reports, end = _in_a_process(checked(candidate, base), chosen, budget_s)
    outcomes = tuple(_outcome(report, checked(candidate, base)) for report in reports)
    elapsed_s = monotonic() - start
    status, remark = _status(outcomes, len(chosen), end, expected_failure)
    made = Judgement(candidate.__name__, status, outcomes, elapsed_s, remark)
    failed = made.failure
    if failed is None or failed.seed is None:
        return made
    rerun = paxos_search.failed_run if base is Paxos else raft_search.failed_run
    return replace(made, make_trace=lambda: rerun(candidate, failed.search, failed.seed or 0))


def _searches(candidate: Any) -> tuple[type[Node], tuple[ProtocolSearch, ...]]:
    if isinstance(candidate, (Raft, Paxos)):
        name = type(candidate).__name__
        raise TypeError(f"judge takes the class itself, not a node made of it: write judge({name})")
    if isinstance(candidate, type) and issubclass(candidate, Raft):
        return Raft, raft_search.RAFT_SEARCHES
    if isinstance(candidate, type) and issubclass(candidate, Paxos):
        return Paxos, paxos_search.PAXOS_SEARCHES
    raise TypeError(
        f"judge got {candidate!r}; it takes a class derived from Raft or Paxos: `class MyRaft(Raft): ...`, "
        "then judge(MyRaft)"
    )


def _check_arguments(only: Sequence[Kind], budget_s: float) -> None:
    if isinstance(only, str) or not only or set(only) - {"safety", "liveness"}:
        raise ValueError(f'only is {only!r}; it takes ("safety",), ("liveness",) or ("safety", "liveness")')
    if isinstance(budget_s, bool) or not isinstance(budget_s, (int, float)) or not 0 < budget_s < float("inf"):
        raise ValueError(f"budget_s is {budget_s!r}; it takes a number of seconds above 0")
    if "fork" not in multiprocessing.get_all_start_methods():
        raise ValueError("judge needs an operating system with fork (Linux, macOS), to survive what the class does")


def _status(outcomes: tuple[Outcome, ...], searches: int, end: str, expected_failure: str | None) -> tuple[Status, str]:
    """The status, and the remark that explains it."""
    failed = next((outcome for outcome in outcomes if outcome.failure), None)
    if end and failed is None:
        return "undecided", end
    if expected_failure is not None:
        if failed is None:
            return "failed", f"It should break {expected_failure!r}, but no search found anything."
        if expected_failure in (failed.invariant, failed.failure) or expected_failure in failed.failure:
            return "passed", f"It breaks {expected_failure!r}, as it should."
        return "failed", f"It should break {expected_failure!r}, but it breaks something else first."
    if failed is not None:
        return "failed", ""
    cut = [outcome.search for outcome in outcomes if not outcome.complete]
    short = f" Time cut short: {', '.join(cut)}; a larger budget_s lets them search on." if cut else ""
    remark = f"{searches} searches found nothing. That proves nothing beyond the bounds that they state."
    return "passed", remark + short


# ------------------------------------------------------------ the other process


def _in_a_process(
    candidate: type[Node], searches: Sequence[ProtocolSearch], budget_s: float
) -> tuple[list[dict[str, Any]], str]:
    """The reports of the searches, and why they ended early, if they did."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(theirs, candidate, list(searches), budget_s), daemon=True)
    process.start()
    theirs.close()
    deadline = monotonic() + 1.5 * budget_s + 10.0
    reports: list[dict[str, Any]] = []
    now = "the start"
    try:
        while True:
            if not ours.poll(max(0.0, deadline - monotonic())):
                return reports, (
                    f"Stopped after {1.5 * budget_s + 10:.0f} s, in the search '{now}': the class never gave control "
                    "back. Look for a loop without end."
                )
            message = ours.recv()
            if "end" in message:
                return reports, message["end"]
            if "begin" in message:
                now = message["begin"]
            else:
                reports.append(message)
    except EOFError:
        process.join(1.0)
        return reports, (
            f"The process ended in the middle of the search '{now}' ({_exit_text(process.exitcode)}): does the class "
            "end the process, or take all memory?"
        )
    finally:
        if process.is_alive():
            process.kill()
        process.join()
        ours.close()


def _exit_text(code: int | None) -> str:
    return f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _serve(connection: Connection, candidate: type[Node], searches: list[ProtocolSearch], budget_s: float) -> None:
    """In the other process: run the searches, report each as plain data, stop at the first that finds something."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the judge, which ends this process
    _limit_memory()
    _watch_handlers()
    deadline = monotonic() + budget_s
    try:
        for number, search in enumerate(searches):
            left = deadline - monotonic()
            if left <= 0:
                names = ", ".join(one.name for one in searches[number:])
                connection.send({"end": f"The budget of {budget_s:g} s ended before: {names}. Give it more budget_s."})
                return
            connection.send({"begin": search.name})
            report = _report(search, candidate, left if number + 1 == len(searches) else left / 2)
            connection.send(report)
            if report["failure"]:
                break
        connection.send({"end": ""})
    finally:
        connection.close()
        os._exit(0)  # whatever the class registered for the end of a process belongs to the kernel


def _report(search: ProtocolSearch, candidate: type[Node], max_seconds: float) -> dict[str, Any]:
    try:
        outcome = search(candidate, max_seconds)
    except Endless as error:
        outcome = Outcome(search.name, f"{HANDLER}: {error}", "stopped there", True, invariant=HANDLER)
    except (Exception, SystemExit) as error:
        text = f"{type(error).__name__}: {error}"
        outcome = Outcome(search.name, _mistake(candidate, text, error), "stopped there", True, invariant=HANDLER)
    example = ""
    if outcome.example is not None:
        try:
            example = outcome.example.save()
        except TypeError:  # a setting of the reader's own that is no plain data: the words must do
            example = ""
    return {**{name: getattr(outcome, name) for name in _PLAIN}, "example": example}


_PLAIN = ("search", "failure", "looked", "complete", "elapsed_s", "distinct", "invariant", "seed", "steps")


def _mistake(candidate: type[Node], text: str, error: BaseException) -> str:
    """A class that cannot even be made, or a failure outside of any handler, in words."""
    signs = ("outbox", "has no attribute 'id'", "unexpected keyword argument", "__init__()")
    if any(sign in text for sign in signs) or (isinstance(error, AttributeError) and "__init__" in candidate.__dict__):
        return (
            f"a node of class {candidate.__name__} cannot be made as its base can ({text}): leave out __init__, "
            "or call super().__init__ with all that it was given"
        )
    return f"{HANDLER}: {candidate.__name__} raised {text}"


def _outcome(report: dict[str, Any], candidate: type[Node]) -> Outcome:
    """The report as an outcome; its counterexample is taken again in this process."""
    plain = {name: report[name] for name in _PLAIN}
    if not report["example"]:
        return Outcome(**plain)
    return Outcome(**plain, example=load(report["example"], (candidate,)))


def _limit_memory() -> None:
    """A class that takes too much gets a MemoryError in its own code."""
    import resource

    try:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, hard))
    except (OSError, ValueError):  # no /proc (macOS), or a stricter limit already: the time limit remains
        return


def _watch_handlers() -> None:
    """From now on, a node's method that runs for more than ``STUCK_S`` raises ``Endless``, which names it."""
    last: list[FrameType | None] = [None]

    def look(_signal: int, frame: FrameType | None) -> None:
        outermost = _outermost(
            [
                one
                for one in _frames(frame)
                if isinstance(one.f_locals.get("self"), Node) and one.f_code.co_name not in ("receive", "timeout")
            ]
        )
        if outermost is not None and outermost is last[0]:
            last[0] = None
            node = outermost.f_locals["self"]
            raise Endless(
                f"{node.id} did not come back from {outermost.f_code.co_name} within {STUCK_S:g} s "
                f"(it was in line {_line(frame)}): a loop without end?"
            )
        last[0] = outermost

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, STUCK_S, STUCK_S)


def _frames(frame: FrameType | None) -> Iterable[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _outermost(frames: list[FrameType]) -> FrameType | None:
    return frames[-1] if frames else None


def _line(frame: FrameType | None) -> str:
    for one in _frames(frame):
        if isinstance(one.f_locals.get("self"), Node):
            return f"{one.f_lineno} of {one.f_code.co_name}"
    return "an unknown place"
