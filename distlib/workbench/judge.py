"""The judge of exercises: ``judge(MyRaft)`` holds a reader's subclass of a protocol against the shipped searches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from time import monotonic
from types import FrameType
from typing import Literal

from distlib.check.cluster.counterexample import Counterexample, load
from distlib.check.cluster.handling import HANDLER, checked
from distlib.check.cluster.replay import NotRepeatedError
from distlib.check.search import Outcome, Promise, ProtocolSearch
from distlib.core import require
from distlib.core.node import Endless, Node
from distlib.core.trace import Trace
from distlib.labs.sandbox import SandboxError, Tell, frames_of, run_apart, watch_calls
from distlib.workbench.subjects import JUDGED, subject_of

Status = Literal["passed", "failed", "undecided"]

DAY_S = 86_400.0
STUCK_S = 2.0
"""A handler that has not come back for so long is taken for one that never will."""


@dataclass(frozen=True)
class Judgement:
    """What the judge found; ``print`` it.

    ``status`` is "passed" when every search ran and found nothing, "failed" when one found something (or, for
    ``expected_failure``, when none found that), "undecided" when a search could not be run to an answer. ``outcomes``
    are in the order of the searches; ``remark`` is what there is to say beside them.
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
    only: Sequence[Promise] = ("safety", "liveness"),
    budget_s: float = 20.0,
    expected_failure: str | None = None,
) -> Judgement:
    """Run the searches for ``candidate``, a class derived from a protocol that has some, until one finds something.

    ``only`` chooses among safety and liveness. ``budget_s`` is the time for all searches together; each may use half of
    what is left. With ``expected_failure`` (an invariant's name, "liveness", or a part of the witness) the class passes
    when it fails in just that way. Raises ``TypeError`` for a class of no protocol, ``ValueError`` for other arguments.
    """
    subject = subject_of(candidate, JUDGED)
    if not isinstance(only, (tuple, list)) or not only or set(only) - {"safety", "liveness"}:
        raise ValueError(f'only is {only!r}; it takes ("safety",), ("liveness",) or ("safety", "liveness")')
    require.above("budget_s", budget_s, unit="s", most=DAY_S)
    if expected_failure is not None and not require.text("expected_failure", expected_failure):
        raise ValueError("expected_failure is empty; it takes an invariant's name, 'liveness' or a part of the witness")
    checked_class = checked(candidate, subject.base_of(candidate) or Node)
    chosen = [one for one in subject.searches if one.promise in only and one.applies(candidate) and not one.rare]
    start = monotonic()
    outcomes, end = _searched(checked_class, chosen, budget_s)
    status, remark = _status(outcomes, len(chosen), end, expected_failure)
    made = Judgement(candidate.__name__, status, outcomes, monotonic() - start, remark)
    failed = made.failure
    if failed is None or failed.seed is None:
        return made
    simulation, seed = subject.search(failed.search).simulation, failed.seed
    return replace(made, make_trace=lambda: simulation.trace(candidate, seed))


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
    found = "1 search found" if searches == 1 else f"{searches} searches found"
    remark = f"{found} nothing. That proves nothing beyond the bounds that they state."
    return "passed", remark + short


# ------------------------------------------------------------ in a process apart


def _searched(
    node_class: type[Node], searches: Sequence[ProtocolSearch], budget_s: float
) -> tuple[tuple[Outcome, ...], str]:
    """The outcomes of the searches up to the first that finds something, and why they ended early, if they did."""
    outcomes: list[Outcome] = []
    now = "the start"

    def heard(message: str | tuple[Outcome, str]) -> None:
        nonlocal now
        if isinstance(message, str):
            now = message
            return
        outcomes.append(_with_example(*message, node_class))

    try:
        end = run_apart(
            lambda tell: _serve(tell, node_class, searches, budget_s), seconds=1.5 * budget_s + 10.0, heard=heard
        )
    except SandboxError as error:
        end = f"In the search '{now}', {error}"
    return tuple(outcomes), end


def _with_example(outcome: Outcome, text: str, node_class: type[Node]) -> Outcome:
    """``outcome`` with the counterexample of a file's ``text``, whose steps are taken again in this process."""
    try:
        return replace(outcome, example=load(text, _classes_beside(node_class))) if text else outcome
    except NotRepeatedError as error:
        return replace(outcome, failure=_unrepeatable(node_class, error), invariant=HANDLER)
    except ValueError:  # it names a class that is not to be found, or steps that are not possible: the words must do
        return outcome


def _classes_beside(node_class: type[Node]) -> list[type]:
    """The class and those of its module: a reader's own state machines and messages."""
    beside = vars(sys.modules[node_class.__module__]).values()
    return [*(one for one in beside if isinstance(one, type)), node_class]


def _serve(tell: Tell, node_class: type[Node], searches: Sequence[ProtocolSearch], budget_s: float) -> str:
    """Run the searches, tell each outcome, stop at the first that finds something; why it ended early."""
    watch_calls(STUCK_S, _is_handler, _stuck)
    deadline = monotonic() + budget_s
    for number, search in enumerate(searches):
        left = deadline - monotonic()
        if left <= 0:
            names = ", ".join(one.name for one in searches[number:])
            return f"The budget of {budget_s:g} s ended before: {names}. Give it more budget_s."
        tell(search.name)
        outcome = _outcome(search, node_class, left if number + 1 == len(searches) else left / 2)
        example = ""
        if outcome.example is not None:
            with suppress(TypeError):  # a setting of the reader's own that is no plain data: the words must do
                example = outcome.example.save()
        tell((replace(outcome, example=None), example))
        if outcome.failure:
            break
    return ""


def _outcome(search: ProtocolSearch, node_class: type[Node], max_seconds: float) -> Outcome:
    """What the search finds, or a failure in words."""
    try:
        return search(node_class, max_seconds)
    except Endless as error:
        failure = f"{HANDLER}: {error}"
    except (Exception, SystemExit) as error:
        failure = _mistake(node_class, error)
    return Outcome(failure, "stopped there", True, search.name, invariant=HANDLER)


def _mistake(node_class: type[Node], error: BaseException) -> str:
    """A class that cannot even be made, or a failure outside of any handler, in words."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, NotRepeatedError):
        return _unrepeatable(node_class, error)
    signs = ("outbox", "has no attribute 'id'", "unexpected keyword argument", "__init__()")
    if any(sign in text for sign in signs) or (isinstance(error, AttributeError) and "__init__" in node_class.__dict__):
        return (
            f"a node of class {node_class.__name__} cannot be made as its base can ({text}): leave out __init__, "
            "or call super().__init__ with all that it was given"
        )
    return f"{HANDLER}: {node_class.__name__} raised {text}"


def _unrepeatable(node_class: type[Node], error: NotRepeatedError) -> str:
    return (
        f"{HANDLER}: {node_class.__name__} does not do the same each time ({error}); "
        "does it keep something outside its fields, or use chance or threads of its own?"
    )


# ------------------------------------------------------------ handlers that do not come back


def _is_handler(frame: FrameType) -> bool:
    """Whether it is a call of a node's own method."""
    return isinstance(frame.f_locals.get("self"), Node) and frame.f_code.co_name not in ("receive", "timeout")


def _stuck(outermost: FrameType, now: FrameType) -> str:
    inner = next(one for one in frames_of(now) if isinstance(one.f_locals.get("self"), Node))
    return (
        f"{outermost.f_locals['self'].id} did not come back from {outermost.f_code.co_name} within {STUCK_S:g} s "
        f"(it was in line {inner.f_lineno} of {inner.f_code.co_name}): a loop without end?"
    )
