"""Breadth-first search on several processes: each owns the states whose hash falls to it, all keep in step by
level.
 A worker expands its own states of a level, sends every new state that another worker owns to that worker
(once a level), and takes in what it is sent. Then all report, and the next level begins. Distinct and
generated states and the depth are therefore the same as on one process whenever whole levels are searched.
Workers are forked, so a model needs no pickling and a class written in a notebook will do; the states
themselves must be picklable plain data. They travel through pipes between these processes only."""

from __future__ import annotations

import multiprocessing
from collections.abc import Hashable
from dataclasses import dataclass, replace
from itertools import combinations
from multiprocessing.connection import Connection, wait
from typing import Any

from distlib.check.explore.bound import SearchWatch
from distlib.check.explore.model import ModelError, diagnose, none_error, shorten
from distlib.check.explore.result import Path, SearchProgress
from distlib.check.explore.search import SearchTask, StateSearch, replay

_POLL_S = 0.05
_MOST_PARTS = 2**17


def check_workers(workers: int) -> None:
    """Raise ValueError when *workers* is no sensible number, or this system cannot fork."""
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ValueError(f"workers must be a whole number of at least 1; got {workers!r}")
    if workers > 1 and "fork" not in multiprocessing.get_all_start_methods():
        raise ValueError(f"workers={workers} needs an operating system with fork (Linux, macOS); use workers=1 here")


@dataclass
class _Report:
    """What a worker says at the end of a level."""

    fresh: int = 0  # new states that it owns, to be expanded in the next level
    memory: int = 0
    witnesses: dict[int, tuple[str, int]] | None = None  # property's position: explanation, state's number
    error: str = ""


class _Worker(StateSearch):
    """One process's share. Parents are numbered across workers: number * workers + worker."""

    def __init__(
        self, task: SearchTask, watch: SearchWatch, rank: int, links: dict[int, Connection], counters: Any, flag: Any
    ) -> None:
        super().__init__(task, watch)
        self.rank = rank
        self.links = links
        self.workers = len(links) + 1
        self.counters = counters
        self.flag = flag
        self.level: list[tuple[int, Any]] = []
        kind = type(task.start[0])
        self.kind: Any = kind if hasattr(kind, "_make") else None
        self.parts: dict[Any, Any] = {}
        self.unsendable = ""

    def serve(self, control: Connection) -> None:
        """Obey the main process: "level", "path" or "end"."""
        for state in self.task.start:
            key = self.key(state)
            if self._owner(key) == self.rank and key not in self.seen:
                self.seen.add(key)
                self._take(key, state, -1)
        self.generated = 0  # initial states are counted once, by the main process
        control.send(self._report())
        while True:
            order, argument = control.recv()
            if order == "level":
                try:
                    self._search_level()
                    control.send(self._report())
                except ModelError as error:
                    control.send(_Report(error=str(error)))
                    self.flag.value = True
            elif order == "path":
                control.send((self.keys[argument], self.parents[argument]))
            else:
                return

    def _owner(self, key: Hashable) -> int:
        return (hash(key) >> 3) % self.workers  # the low bits of an int's hash are its own, and often all alike

    def _report(self) -> _Report:
        order = list(self.task.properties)
        self.frontier = [state for _, state in self.level]
        witnesses = {order.index(prop): found for prop, found in self.witnesses.items()}
        self._count()
        return _Report(len(self.level), self.memory(), witnesses)

    def _count(self) -> None:
        self.counters[2 * self.rank] = len(self.keys)
        self.counters[2 * self.rank + 1] = self.generated

    def _take(self, key: Hashable, state: Any, parent: int) -> None:
        """Record a state of this worker's own, already in ``seen``, and check it."""
        number = len(self.keys)
        self.keys.append(key)
        self.parents.append(parent)
        self.level.append((number, state))
        self.judge(state, number)

    def _search_level(self) -> None:
        level, self.level = self.level, []
        outgoing: list[list[tuple[Any, Any, int]]] = [[] for _ in range(self.workers)]
        error: ModelError | None = None
        for count, (number, state) in enumerate(level):
            try:
                self._expand(number, state, outgoing)
            except Exception as problem:
                error = diagnose(self.model, self.key_of, state, problem)
                break
            if count % 64 == 0:
                self._count()
                if self.flag.value:
                    break
        for foreign in outgoing:  # they are the others' to remember
            self.seen.difference_update([key for key, _, _ in foreign])
        self._exchange(outgoing)
        if error is not None:
            raise error
        if self.unsendable:
            raise ModelError(
                f"{self.model!r}: with workers={self.workers} a state must be picklable "
                f"({self.unsendable}): "
                "make it of plain data or of classes defined at the top of a module, or use workers=1"
            )

    def _expand(self, number: int, state: Any, outgoing: list[list[tuple[Any, Any, int]]]) -> None:
        """``StateSearch.expand``, but a state that another worker owns is put aside for it, once a level."""
        key_of, seen, rank, workers = self.key_of, self.seen, self.rank, self.workers
        before = hash(state if key_of is None else key_of(state))
        parent = number * workers + rank
        generated = 0
        for action, successor in self.successors(state):
            generated += 1
            key = successor if key_of is None else key_of(successor)
            if key not in seen:
                if successor is None:
                    raise none_error(self.model, action, state)
                seen.add(key)
                owner = (hash(key) >> 3) % workers
                if owner == rank:
                    self._take(key, successor, parent)
                else:
                    outgoing[owner].append((key, successor, parent))
        if hash(state if key_of is None else key_of(state)) != before:
            raise self.changed_in_place(state)
        self.generated += generated
        self.expanded += 1

    def _exchange(self, outgoing: list[list[tuple[Any, Any, int]]]) -> None:
        """Swap states with every other worker, pair by pair in one order for all, so that nobody waits in a circle."""
        arrivals: list[tuple[Any, int]] = []
        for first, second in combinations(range(self.workers), 2):
            if self.rank == first:
                self._send(second, outgoing[second])
                self._receive(second, arrivals)
            elif self.rank == second:
                self._receive(first, arrivals)
                self._send(first, outgoing[first])
        for state, parent in arrivals:
            if (key := self.key(state)) not in self.seen:
                self.seen.add(key)
                self._take(key, state, parent)

    def _send(self, other: int, states: list[tuple[Any, Any, int]]) -> None:
        """NamedTuples travel as plain tuples, which costs half; what cannot travel is reported later."""
        plain = self.kind is not None and all(type(state) is self.kind for _, state, _ in states)
        batch = [(tuple(state) if plain else state, parent) for _, state, parent in states]
        try:
            self.links[other].send((plain, batch))
        except Exception as error:  # raised before anything is written: the state is pickled first
            self.links[other].send((False, []))  # the other worker waits for a batch
            self.unsendable = f"{type(error).__name__}: {error}"

    def _receive(self, other: int, arrivals: list[tuple[Any, int]]) -> None:
        """The states again, made of the parts that this worker knows: copies would be hashed and compared in full."""
        plain, batch = self.links[other].recv()
        if plain and self.kind is not None:
            make, known = self.kind._make, self.parts.setdefault
            batch = [(make([known(part, part) for part in state]), parent) for state, parent in batch]
            if len(self.parts) > _MOST_PARTS:
                self.parts.clear()
        arrivals += batch


class ParallelSearch(StateSearch):
    """The main process's side: it starts the workers, adds up their counts and decides after each level."""

    def __init__(self, task: SearchTask, watch: SearchWatch, workers: int) -> None:
        super().__init__(task, watch)
        self.workers = workers
        self.distinct = 0
        self.reports: list[_Report] = []

    def run(self) -> bool:
        """Search; returns whether the space was exhausted. Bounds are looked at ten times a second and after
        each level."""
        context = multiprocessing.get_context("fork")
        self.counters = context.RawArray("Q", 2 * self.workers)
        self.flag = context.RawValue("b", False)
        self._check_start()
        links: list[dict[int, Connection]] = [{} for _ in range(self.workers)]
        for first, second in combinations(range(self.workers), 2):
            links[first][second], links[second][first] = context.Pipe()
        controls, processes = [], []
        try:
            for rank in range(self.workers):
                mine, theirs = context.Pipe()
                process = context.Process(target=self._work, args=(rank, links[rank], theirs), daemon=True)
                process.start()
                theirs.close()  # so that a dead worker is seen as a closed pipe
                processes.append(process)
                controls.append(mine)
            self._by_level(controls)
            self._resolve(controls)
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.join()
        return self.stopped_by is None

    def _check_start(self) -> None:
        for state in super().begin():
            self.judge(state, -1)
        self.witnesses.clear()
        self.stopped_by = None
        self.wanted = self.task.of_kind("sometimes")

    def _work(self, rank: int, links: dict[int, Connection], control: Connection) -> None:
        import gc
        import signal

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the main process, which ends the workers
        gc.freeze()  # what was there before the fork is not this process's to collect
        watch = SearchWatch(replace(self.watch.bounds, max_states=None), None, None)
        _Worker(self.task, watch, rank, links, self.counters, self.flag).serve(control)

    def _by_level(self, controls: list[Connection]) -> None:
        self.depth = 1
        self._collect(controls)
        while not self.stopped_by and any(report.fresh for report in self.reports):
            if self.depth == self.watch.bounds.max_depth:
                self.stopped_by = f"max_depth={self.depth:,}"
                return
            for control in controls:
                control.send(("level", None))
            self._collect(controls)
            self.depth += bool(sum(report.fresh for report in self.reports))

    def _collect(self, controls: list[Connection]) -> None:
        """Wait for every worker's report, looking at the bounds meanwhile."""
        waiting = {control: rank for rank, control in enumerate(controls)}
        reports: dict[int, _Report] = {}
        while waiting:
            for control in wait(list(waiting), timeout=_POLL_S):
                assert isinstance(control, Connection)
                try:
                    reports[waiting[control]] = control.recv()
                except EOFError:
                    raise ModelError(f"{self.model!r}: worker process {waiting[control]} ended unexpectedly") from None
                del waiting[control]
            self._look()
        self.reports = [reports[rank] for rank in sorted(reports)]
        problem = next((report.error for report in self.reports if report.error), None)
        if problem:
            raise ModelError(problem)
        self._look()
        self._decide()

    def _look(self) -> None:
        self.distinct, self.generated = (sum(self.counters[::2]), sum(self.counters[1::2]) + len(self.task.start))
        reason = self.watch.look(self.progress)
        if self.distinct > self.max_states:
            reason = self._full()
        if reason and not self.stopped_by:
            self.stopped_by = reason
            self.flag.value = True

    def _decide(self) -> None:
        found = {position for report in self.reports for position in report.witnesses or ()}
        kinds = {self.task.properties[position].kind for position in found}
        if "always" in kinds:
            self.stopped_by = "the counterexample"
        elif self.task.goal is not None and self.task.properties.index(self.task.goal) in found:
            self.stopped_by = self.stopped_by or "the goal"
        elif found and not self.always and len(found) == len(self.wanted) and not self.stopped_by:
            self.stopped_by = "every property being decided"

    def progress(self, elapsed_s: float) -> SearchProgress:
        """The live numbers, added up."""
        waiting = sum(report.fresh for report in self.reports)
        memory = sum(report.memory for report in self.reports)
        return SearchProgress(self.distinct, self.generated, self.depth, waiting, elapsed_s, memory)

    def memory(self) -> int:
        """Estimated bytes that the workers hold."""
        return sum(report.memory for report in self.reports)

    def _resolve(self, controls: list[Connection]) -> None:
        """Turn the workers' witnesses into paths; among equally short ones the first by its text is taken."""
        candidates: dict[int, list[tuple[int, str, str, Path]]] = {}
        for rank, report in enumerate(self.reports):
            for position, (explanation, number) in (report.witnesses or {}).items():
                path = self._fetch(controls, number * self.workers + rank)
                text = shorten(path[-1], 10_000)
                candidates.setdefault(position, []).append((len(path), text, explanation, path))
        for position, options in candidates.items():
            *_, explanation, path = min(options, key=lambda option: option[:2])
            self.witnesses[self.task.properties[position]] = (explanation, path)

    def _fetch(self, controls: list[Connection], reference: int) -> Path:
        keys = []
        while reference >= 0:
            number, rank = divmod(reference, self.workers)
            controls[rank].send(("path", number))
            key, reference = controls[rank].recv()
            keys.append(key)
        return replay(self.task, self.key_of, keys[::-1])
