"""Is a history linearizable? A verdict with its evidence, never a bare "no".

Linearizable (Herlihy & Wing 1990): every operation can be given one moment between its call and its return,
such that the operations, one at a time in the order of those moments, answer as the sequential type would.
The search stands in ``distlib.check.history.wgl``, the types in ``distlib.check.history.sequential``, the readers of
logs in ``distlib.check.history.readers``.

    history = read_jepsen("etcd.log", PORCUPINE)
    result = check(history, CasRegister())
    result.verdict, result.explain()

A history is linearizable exactly if the part of each key is (Herlihy & Wing's locality; P-compositionality in
Horn & Kroening 2015), so keys are searched for themselves, in turn, with a share of time that doubles from
round to round: one hard key does not hide an easy violation in another.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from distlib.check.history.history import History, Operation
from distlib.check.history.sequential import Illegal, Specification, Together
from distlib.check.history.wgl import LinearizationSearch
from distlib.core import require, stopping

_FIRST_SHARE = 512  # configurations in a key's first turn
_CLOCK_EVERY = 128  # configurations between two looks at the clock
_PARTIALS = 8  # partial linearizations that are kept as evidence


class Verdict(Enum):
    """The answer. ``UNKNOWN``: a limit was reached before every order had been tried."""

    LINEARIZABLE = "linearizable"
    NOT_LINEARIZABLE = "not linearizable"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Partial:
    """A partial linearization: the operations in order, the state they lead to, and why the stuck one can't follow."""

    order: tuple[Operation, ...]
    state: str
    why: str


@dataclass(frozen=True)
class Stuck:
    """Where no order gets any further.

    ``operation`` can't be placed: whatever order is tried, it finds no moment before its return. ``partials`` are
    linearizations of everything that returned before it, one for each state they lead to, at most eight: first those
    that place most answered operations with fewest guesses at what nobody heard of.
    """

    operation: Operation
    partials: tuple[Partial, ...]


@dataclass(frozen=True)
class HistoryPart:
    """The verdict on one key.

    ``order`` is a linearization (pending operations that never happened are left out), or the most telling
    partial one that was found. ``prefix`` is the length of the longest linearizable prefix of the history,
    counted in returns: it ends just before the next one (for an unknown verdict, the longest found so far).
    Operations still open at its end have the answers that they were given later, as in Knossos.
    """

    key: Hashable
    verdict: Verdict
    operations: tuple[Operation, ...]
    order: tuple[Operation, ...]
    prefix: int
    stuck: Stuck | None
    configurations: int


@dataclass(frozen=True)
class Linearizability:
    """The verdict on a history and the evidence for it. ``limit`` names the limit that made it unknown."""

    history: History
    parts: tuple[HistoryPart, ...]
    limit: str = ""

    def __bool__(self) -> bool:
        raise TypeError("a verdict is one of three; compare result.verdict with Verdict.LINEARIZABLE")

    @property
    def verdict(self) -> Verdict:
        """Not linearizable when some part is not, else unknown when some part is, else linearizable."""
        return self.decisive.verdict if self.decisive is not None else Verdict.LINEARIZABLE

    @property
    def configurations(self) -> int:
        """Configurations that were tried, over all keys."""
        return sum(part.configurations for part in self.parts)

    @property
    def decisive(self) -> HistoryPart | None:
        """The part that decided: the one that is stuck, else the first that is unknown, else the first."""
        ranks = (Verdict.NOT_LINEARIZABLE, Verdict.UNKNOWN, Verdict.LINEARIZABLE)
        return min(self.parts, key=lambda part: ranks.index(part.verdict), default=None)

    def explain(self) -> str:
        """The verdict in a few lines: what was searched and, if it failed, what can't be placed and why."""
        part = self.decisive
        if part is None:
            return "linearizable: the history is empty"
        where = "" if part.key is None else f" (key {part.key!r})"
        keys = f"{len(self.parts)} keys, " if len(self.parts) > 1 else ""
        size = f"{len(self.history)} operations, {keys}{self.configurations} configurations tried"
        head = f"{self.verdict.value}: {size}"
        if self.verdict is Verdict.LINEARIZABLE:
            return head
        if part.stuck is not None:
            return "\n".join([head, *_explain_stuck(part, part.stuck, where)])
        done = sum(other.verdict is Verdict.LINEARIZABLE for other in self.parts)
        return (
            f"{head}; {self.limit} was reached before every order was tried\n"
            f"no violation was found; {done} of {len(self.parts)} keys are linearizable\n"
            f"furthest{where}: {part.prefix} returns explained, {len(part.order)} operations placed"
        )

    def timeline(self, key: Hashable = None) -> dict[str, Any]:
        """What ``figures.history.history_timeline(**result.timeline())`` draws: data frames and a headline.

        ``key`` chooses the part; without one it is the part that decided. Raises ``KeyError`` for an unknown key.
        """
        import pandas as pd

        part = self.decisive
        if key is not None:
            part = next((candidate for candidate in self.parts if candidate.key == key), None)
            if part is None:
                raise KeyError(f"no operation has the key {key!r}; keys are {[p.key for p in self.parts][:10]}")
        faults = [(fault.label, float(fault.start), float(fault.end)) for fault in self.history.faults]
        columns = ["process", "label", "call", "returned", "order", "fate", "why"]
        return {
            "operations": pd.DataFrame(_rows(part) if part else [], columns=columns),
            "faults": pd.DataFrame(faults, columns=["label", "start", "end"]),
            "headline": _headline(part),
        }


def check(
    history: History | Iterable[Operation],
    specification: Specification,
    *,
    partition: bool = True,
    time_limit_s: float = 60.0,
    configuration_limit: int = 3_000_000,
) -> Linearizability:
    """Search for a linearization of ``history`` under ``specification``.

    ``partition`` checks each key for itself (right whenever an operation touches one key only); False: all keys as
    one object. They are so, too, where processes go on with other keys in one instant: locality needs a clock that
    tells what precedes what. When ``time_limit_s`` or ``configuration_limit`` is used up the verdict is ``UNKNOWN``,
    unless a violation was found before. A configuration takes about half a kilobyte. The clock is looked at between
    steps: a step of your own that hangs can't be stopped.

    Raises ``ValueError`` for an operation that the specification does not know, and for a limit that is not positive.
    """
    require.above("time_limit_s", time_limit_s)
    require.above("configuration_limit", configuration_limit)
    history = history if isinstance(history, History) else History(tuple(history))
    for operation in history.operations:
        specification.validate(operation)
    apart = partition and not _ordered_across_keys(history.operations)
    groups: dict[Hashable, list[Operation]] = {}
    for operation in history.operations:
        groups.setdefault(operation.key if apart else None, []).append(operation)
    if not apart and len({operation.key for operation in history.operations}) > 1:
        specification = Together(specification)
    searches = {key: LinearizationSearch(operations, specification) for key, operations in groups.items()}
    limit = _take_turns(list(searches.values()), time.monotonic() + time_limit_s, configuration_limit)
    return Linearizability(history, tuple(_part(key, search) for key, search in searches.items()), limit)


def _take_turns(searches: list[LinearizationSearch], deadline: float, configuration_limit: int) -> str:
    """Run every search in turn until all are done or one has failed. The limit that was reached, or ""."""
    share = _FIRST_SHARE
    tried = 0
    while searches:
        for search in searches:
            for _ in range(0, share, _CLOCK_EVERY):
                stopping.check()
                before = len(search.nodes)
                search.run(_CLOCK_EVERY)
                tried += len(search.nodes) - before
                if search.done:
                    break
                if time.monotonic() > deadline:
                    return "the time limit"
                if tried > configuration_limit:
                    return "the limit on configurations"
            if search.done and search.solution is None:
                return ""
        searches = [search for search in searches if not search.done]
        share *= 2
    return ""


def _ordered_across_keys(operations: Sequence[Operation]) -> bool:
    """Whether, in one instant, processes go on twice from one key to another: their own order, which no clock shows,
    may then run in a circle through the keys, though none of them sees it."""
    last: dict[Hashable, Operation] = {}
    turns: set[float] = set()
    for operation in operations:
        before = last.get(operation.process)
        if before is not None and before.returned == operation.call and before.key != operation.key:
            if operation.call in turns:
                return True
            turns.add(operation.call)
        if not operation.pending:
            last[operation.process] = operation
    return False


def _part(key: Hashable, search: LinearizationSearch) -> HistoryPart:
    stuck = None
    if search.solution is not None:
        verdict, node = Verdict.LINEARIZABLE, search.solution
    else:
        verdict = Verdict.NOT_LINEARIZABLE if search.done else Verdict.UNKNOWN
        node = max(search.furthest_nodes, key=search.telling, default=-1)
        stuck = _stuck(search) if search.done else None
    prefix = max(search.furthest, 0)
    return HistoryPart(key, verdict, tuple(search.operations), search.order(node), prefix, stuck, len(search.nodes))


def _stuck(search: LinearizationSearch) -> Stuck:
    operation = search.operations[search.returns[search.furthest]]
    specification = search.steps.specification
    ways: dict[int, int] = {}  # state -> the most telling way there
    for node in sorted(search.furthest_nodes, key=search.telling, reverse=True):
        ways.setdefault(search.nodes[node].state, node)
    partials = []
    for number, node in list(ways.items())[:_PARTIALS]:
        state = search.steps.states[number]
        outcome = specification.step(state, operation)
        why = outcome.why if isinstance(outcome, Illegal) else "an operation of its own process must come first"
        partials.append(Partial(search.order(node), specification.describe(state), why))
    return Stuck(operation, tuple(partials))


def _explain_stuck(part: HistoryPart, stuck: Stuck, where: str) -> list[str]:
    operation = stuck.operation
    ending = ", ".join(placed.label for placed in part.order[-4:]) or "nothing"
    return [
        f"stuck{where} at process {operation.process!r}: {operation.label}, "
        f"called at {operation.call:g}, returned at {operation.returned:g}",
        f"before that return the history is linearizable: the first {part.prefix} returns can be explained; "
        f"one order places {len(part.order)} operations and ends with: {ending}",
        "with that return no order is left:",
        *(f"- where the state {partial.state}: {partial.why}" for partial in stuck.partials),
    ]


def _headline(part: HistoryPart | None) -> str:
    if part is None:
        return "Linearizable: nothing happened"
    where = "" if part.key is None else f"key {part.key}: "
    if part.stuck is not None:
        stuck = part.stuck.operation
        why, others = part.stuck.partials[0].why, len(part.stuck.partials) - 1
        more = f" ({others} more dead end{'s' if others > 1 else ''})" if others else ""
        return f"Not linearizable: {where}no moment fits {stuck.label} of process {stuck.process}: {why}{more}"
    if part.verdict is Verdict.UNKNOWN:
        return f"Unknown: {where}stopped with {len(part.order)} of {len(part.operations)} operations placed"
    return f"Linearizable: {where}the numbers are one possible order"


def _rows(part: HistoryPart) -> list[tuple[Any, ...]]:
    """A row an operation: process, label, call, returned, order (from 1; 0: not placed), fate, why."""
    rows: list[tuple[Any, ...]] = []
    place = {id(operation): number for number, operation in enumerate(part.order, 1)}
    for operation in part.operations:
        order, why = place.get(id(operation), 0), ""
        fate = "placed" if order else "never heard of" if operation.pending else "not placed"
        if part.stuck is not None and operation is part.stuck.operation:
            fate, why = "stuck", "; ".join(dict.fromkeys(partial.why for partial in part.stuck.partials))
        times = float(operation.call), float(operation.returned)
        rows.append((str(operation.process), operation.label, *times, order, fate, why))
    return rows
