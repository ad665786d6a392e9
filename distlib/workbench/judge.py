"""The judge of exercises: ``judge(MyRaft)`` holds a reader's subclass of a protocol against the shipped searches.

It runs every search of the protocol, and those of each variant (snapshots, membership, leases, Pre-Vote) that the class
derives from, and watches which of the class's own methods ran: what never ran, nobody has judged.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from functools import cached_property, wraps
from time import monotonic
from types import FrameType, FunctionType
from typing import Any, Literal
from unittest.mock import patch

from distlib.check.cluster.counterexample import Counterexample, load
from distlib.check.cluster.handling import HANDLER, checked
from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.replay import NotRepeatedError
from distlib.check.search import Outcome, Promise, ProtocolSearch
from distlib.check.subject import Subject
from distlib.core import require
from distlib.core.invariant import Invariant
from distlib.core.mutant import LINEARIZABILITY, LIVENESS
from distlib.core.node import Endless, Node
from distlib.core.trace import Trace
from distlib.labs.grading import TO_WRITE, hidden
from distlib.labs.sandbox import SandboxError, Tell, frames_of, run_apart, watch_calls
from distlib.sim.cluster import Cluster
from distlib.workbench.subjects import JUDGED, subject_of

Status = Literal["passed", "failed", "not exercised", "undecided"]

DAY_S = 86_400.0
STUCK_S = 2.0
"""A handler that has not come back for so long is taken for one that never will."""
SHARE = 3.0
"""How many equal shares of the time that is left one search may take: what it does not need, the others may have. A
part of an equal share of the whole, one by so many, it leaves to each of them: slow searches leave none without."""


@dataclass(frozen=True)
class Judgement:
    """What the judge found; ``print`` it.

    ``status`` is "passed" when no search found anything, "failed" when one did (or, for ``expected_failure``, when none
    found that), "not exercised" when nothing was found but a method of the class never ran, and "undecided" when a
    search could not be run to its end, for want of time or because the process ended, or could not tell whether a run
    was right. ``outcomes`` are in the order of the searches; ``unexercised`` are the class's methods that never ran;
    ``remark`` is what there is to say beside them.
    """

    candidate: str
    status: Status
    outcomes: tuple[Outcome, ...]
    elapsed_s: float
    remark: str = ""
    unexercised: tuple[str, ...] = ()
    make_trace: Callable[[], Trace] | None = field(default=None, repr=False, compare=False)

    @property
    def passed(self) -> bool:
        """Whether the class passed."""
        return self.status == "passed"

    @property
    def failure(self) -> Outcome | None:
        """The outcome of the search that found something, if any: the last one, for which the searches ended."""
        return next((outcome for outcome in reversed(self.outcomes) if outcome.failure), None)

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
    budget_s: float = 240.0,
    expected_failure: str | None = None,
    exercise: Sequence[str] = (),
    may_override: Sequence[str] = (),
) -> Judgement:
    """Run the searches for ``candidate``, a class derived from a protocol that has some, until one finds something.

    ``only`` chooses among safety and liveness. The searches end by their own bounds, cheapest first, in about half a
    minute on a machine that has nothing else to do; ``budget_s`` is the time for all of them together, and where it
    cuts one short, that is said and nothing decided. Ctrl-C (Stop, in a notebook) ends them and keeps what was found by
    then. With ``expected_failure`` (an invariant's name, "liveness" or "linearizability") the class passes when a
    search finds that it breaks that; a search that finds another broken first runs once more with that invariant alone,
    and the searches go on past other failures. ``exercise`` names the methods that a
    reader is asked to write: in the searches, the class that the candidate derives from has none of them.
    ``may_override`` names what alone the candidate may override (nothing named: anything); what it defines beside that
    under names of its own is its affair. The judge does not see what an overriding method does to fields that are not
    its business. Raises ``TypeError`` for a class of no protocol, ``ValueError`` for other arguments.
    """
    subject = subject_of(candidate, JUDGED)
    if not isinstance(only, (tuple, list)) or not only or set(only) - {"safety", "liveness"}:
        raise ValueError(f'only is {only!r}; it takes ("safety",), ("liveness",) or ("safety", "liveness")')
    require.above("budget_s", budget_s, unit="s", most=DAY_S)
    names = [*(one.name for one in subject.invariants()), LIVENESS, LINEARIZABILITY]
    if expected_failure is not None and expected_failure not in names:
        raise ValueError(f"expected_failure is {expected_failure!r}; {subject.name} has {', '.join(names)}")
    base = subject.reference_of(candidate)
    for argument, given in (("exercise", exercise), ("may_override", may_override)):
        if unknown := [name for name in given if not hasattr(base, name)]:
            raise ValueError(f"{argument} names {unknown[0]!r}, and {base.__name__} has no such method")
    if candidate is not base and not own_items(candidate, base):
        return Judgement(candidate.__name__, "not exercised", (), 0.0, _unchanged(candidate, base))
    if may_override and (others := _overridden(candidate, base) - {*may_override}):
        return Judgement(candidate.__name__, "failed", (), 0.0, _beside(candidate, base, others, may_override))
    chosen = [one for one in subject.searches if one.promise in only and one.applies(candidate)]
    start = monotonic()
    outcomes, unexercised, end = _Court(candidate, subject, chosen, budget_s, expected_failure, exercise).judged()
    unexercised = () if any(outcome.failure for outcome in outcomes) else unexercised
    remarks = [_advice(name, candidate, base, subject) for name in unexercised]
    status, remark = _status(outcomes, chosen, end, expected_failure, remarks)
    made = Judgement(candidate.__name__, status, outcomes, monotonic() - start, remark, unexercised)
    failed = made.failure
    if failed is None or failed.seed is None:
        return made
    simulation, seed = subject.search(failed.search).simulation, failed.seed
    return replace(made, make_trace=lambda: simulation.trace(candidate, seed))


def _status(
    outcomes: tuple[Outcome, ...], chosen: Sequence[ProtocolSearch], end: str, expected_failure: str | None,
    unexercised: Sequence[str],
) -> tuple[Status, str]:  # fmt: skip
    """The status, and the remark that explains it."""
    broken = list(dict.fromkeys(outcome.invariant for outcome in outcomes if outcome.failure))
    if broken and expected_failure is None:
        return "failed", ""
    if expected_failure in broken:
        return "passed", f"It breaks {expected_failure!r}, as it should."
    but = f"It breaks {', '.join(broken)}, and should break {expected_failure!r}. " if broken else ""
    if end:
        return "undecided", but + end
    if cut := [outcome.search for outcome in outcomes if not outcome.complete]:
        more = f"{but}Time cut short: {', '.join(cut)}. A larger budget_s lets them search to their end."
        return "undecided", " ".join([more, *unexercised])
    if open_runs := [f"{one.search} ({one.undecided} of {one.looked})" for one in outcomes if one.undecided]:
        return "undecided", f"{but}The checker of histories gave up: {', '.join(open_runs)}."
    if broken:
        return "failed", f"{but}No search found that."
    if unexercised:
        return "not exercised", " ".join(unexercised)
    if expected_failure is not None:
        return "failed", f"It should break {expected_failure!r}, but no search found anything."
    found = "1 search found" if len(chosen) == 1 else f"{len(chosen)} searches found"
    remark = f"{found} nothing. That proves nothing beyond the bounds that they state."
    if lost := [outcome.search for outcome in outcomes if not outcome.arrived]:
        remark += f" The class never comes into the situation of: {', '.join(lost)}."
    return "passed", remark


# ------------------------------------------------------------ what a class has of its own


def own_classes(candidate: type[Node], base: type[Node]) -> list[type]:
    """``candidate`` and what it derives from, as far as ``base`` does not."""
    return [one for one in candidate.__mro__ if one not in base.__mro__]


MAKING = ("__init__", "__post_init__", "__new__", "__getattribute__", "__getattr__", "__setattr__")
"""What a class may define of Python's own methods to change how its nodes are made and kept."""


def own_items(candidate: type[Node], base: type[Node]) -> dict[str, Any]:
    """What ``candidate`` defines or overrides: methods, and the class's fields and constants."""
    passive = ("mutant", "handlers", "__module__", "__doc__", "__qualname__", "__match_args__", "__parameters__")
    items: dict[str, Any] = {}
    for one in reversed(own_classes(candidate, base)):
        known = {name: item for name, item in vars(one).items() if name not in passive}
        items |= {name: item for name, item in known.items() if not name.startswith("__")}
        items |= dict.fromkeys(vars(one).get("__annotations__", {}))
        items |= {name: item for name, item in known.items() if name in MAKING and not _made_by_dataclass(item)}
    return items


def _overridden(candidate: type[Node], base: type[Node]) -> set[str]:
    """What of ``base`` the candidate has otherwise: methods, fields, constants."""
    of_base = {*dir(base), *(one.name for one in fields(base))}
    return {name for name in own_items(candidate, base) if name in of_base or name in MAKING}


def _beside(candidate: type[Node], base: type[Node], others: set[str], may_override: Sequence[str]) -> str:
    named = ", ".join(f"{base.__name__}.{name}" for name in sorted(others))
    return (
        f"{candidate.__name__} overrides {named}; this exercise leaves that as it is. "
        f"What it may override: {', '.join(may_override)}."
    )


def _made_by_dataclass(item: Any) -> bool:
    return isinstance(item, FunctionType) and item.__code__.co_filename == "<string>"


def _unchanged(candidate: type[Node], base: type[Node]) -> str:
    return (
        f"{candidate.__name__} is {base.__name__} under another name: it overrides no method and has no field of its "
        "own, so there is nothing to judge. Write the method that the exercise asks for."
    )


def _advice(name: str, candidate: type[Node], base: type[Node], subject: Subject) -> str:
    """What to do about a method that never ran."""
    never = f"{candidate.__name__}.{name} never ran, so nothing is known of it"
    if hasattr(base, name):
        return f"{never}: no search gets there within its time and bounds. Give it more budget_s, or take it out."
    having = [one.__name__ for one in subject.correct if hasattr(one, name)]
    if having:
        return f"{never}: {base.__name__} has no method {name}; {having[0]} has, so derive your class from that."
    near = get_close_matches(name, [one for one in dir(base) if not one.startswith("_")], 1)
    meant = f" Do you mean {near[0]}?" if near else ""
    return f"{never}: {base.__name__} has no method {name}, and nothing that ran calls it.{meant}"


def record_calls(candidate: type[Node], base: type[Node], ran: set[str]) -> set[str]:
    """From now on, ``ran`` gets the name of each method of ``candidate``'s own that is called; returns all of them.
    It changes the classes: only for a process apart."""
    names = set()
    for one in own_classes(candidate, base):
        for name, item in list(vars(one).items()):
            function = item.fget if isinstance(item, property) else getattr(item, "__func__", item)
            if name.startswith("__") or not isinstance(function, FunctionType):
                continue
            names.add(name)
            noting = _noting(function, name, ran)
            setattr(one, name, noting if function is item else type(item)(noting))
    return names


def _noting(function: Callable[..., Any], name: str, ran: set[str]) -> Callable[..., Any]:
    @wraps(function)
    def noted(*args: Any, **kwargs: Any) -> Any:
        ran.add(name)
        return function(*args, **kwargs)

    return noted


# ------------------------------------------------------------ in a process apart


class _Court:
    """The searches of one judgement: in a process apart, whose outcomes are heard here."""

    def __init__(
        self, candidate: type[Node], subject: Subject, searches: Sequence[ProtocolSearch], budget_s: float,
        expected: str | None, exercise: Sequence[str],
    ) -> None:  # fmt: skip
        self.candidate, self.subject, self.searches, self.budget_s = candidate, subject, searches, budget_s
        self.expected, self.exercise = expected, exercise
        self.promised = subject.base_of(candidate) or Node
        self.now = "the start"
        self.outcomes: list[Outcome] = []

    def judged(self) -> tuple[tuple[Outcome, ...], tuple[str, ...], str]:
        """The outcomes up to the first that finds something, the methods that never ran, and why it ended early."""
        silent: tuple[str, ...] = ()
        try:
            end, silent = run_apart(self._serve, seconds=1.5 * self.budget_s + 10.0, heard=self._hear)
        except SandboxError as error:
            end = f"In the search '{self.now}', {error}"
        except KeyboardInterrupt:
            end = f"Stopped by hand in the search '{self.now}'; what was found by then stands below."
        print(f"\r{' ' * 100}\r", end="")
        return tuple(self.outcomes), silent, end

    def _hear(self, message: str | tuple[Outcome, str]) -> None:
        if isinstance(message, str):
            self.now = message
            place = f"{len(self.outcomes) + 1} of {len(self.searches)}"
            print(f"\r{f'{self.candidate.__name__}: search {place}, {message}':<100}", end="")
        else:
            self.outcomes.append(_with_example(*message, checked(self.candidate, self.promised)))

    # --- there

    def _serve(self, tell: Tell) -> tuple[str, tuple[str, ...]]:
        """Run the searches, tell each outcome, stop at the first that finds something."""
        watch_calls(STUCK_S, _is_handler, _stuck)
        ran: set[str] = set()
        base = self.subject.reference_of(self.candidate)
        names = record_calls(self.candidate, base, ran)
        with ExitStack() as stack:
            for name in self.exercise:
                stack.enter_context(hidden(next(one for one in base.__mro__ if name in vars(one)), name))
            end = self._search(tell, checked(self.candidate, self.promised))
        return end, tuple(sorted(names - ran))

    def _search(self, tell: Tell, node_class: type[Node]) -> str:
        """Why the searches ended early, if they did."""
        deadline, reserve = monotonic() + self.budget_s, self.budget_s / (SHARE * max(1, len(self.searches)))
        for number, search in enumerate(self.searches):
            left, to_do = deadline - monotonic(), len(self.searches) - number
            if left <= 0:
                names = ", ".join(one.name for one in self.searches[number:])
                return f"The budget of {self.budget_s:g} s ended before: {names}. Give it more budget_s."
            tell(search.name)
            share = left / to_do
            seconds = min(SHARE * share, max(share, left - (to_do - 1) * reserve))
            outcome = self._outcome(search, node_class, seconds)
            example = ""
            if outcome.example is not None and TO_WRITE not in outcome.failure:  # elsewhere, the method is there
                with suppress(TypeError):  # a setting of the reader's own that is no plain data: the words must do
                    example = outcome.example.save()
            tell((replace(outcome, example=None), example))
            if outcome.failure and self.expected in (None, outcome.invariant):
                break
        return ""

    def _outcome(self, search: ProtocolSearch, node_class: type[Node], seconds: float) -> Outcome:
        """What the search finds; of two invariants that it breaks the expected one, although another breaks first."""
        outcome, invariants = _outcome(search, node_class, seconds), [one.name for one in self.subject.invariants()]
        if self.expected in invariants and outcome.invariant in invariants and outcome.invariant != self.expected:
            with asked_alone(self.expected):
                later = _outcome(search, node_class, seconds)
            return later if later.invariant == self.expected else outcome
        return outcome


@contextmanager
def asked_alone(invariant: str) -> Iterator[None]:
    """Models and clusters made meanwhile ask no other invariant. It changes their classes: only for a process apart."""

    def narrowed(made: Callable[..., None]) -> Callable[..., None]:
        def make(self: Any, *args: Any, invariants: Sequence[Invariant] = (), **options: Any) -> None:
            made(self, *args, invariants=[one for one in invariants if one.name == invariant], **options)

        return make

    with ExitStack() as stack:
        for cls in (ClusterModel, Cluster):
            stack.enter_context(patch.object(cls, "__init__", narrowed(cls.__init__)))
        yield


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
