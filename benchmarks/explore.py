"""How fast the explorer is, against a bare breadth-first loop over the same successor function.

    python -m benchmarks.explore          # from the root of the repository, about a minute

The bare loop keeps a set of states and nothing else: no parents, no properties, no bounds, no progress.
Each row is the best of three runs, bare and explorer in turn, so that both see the same machine. For two
workers the wall time says what this machine had to spare; "work" is one process's processor time divided by
half of the two workers' together, about the speed-up that two idle cores would give. "costly" is TwoPhase
with 100 microseconds of hashing in each successor, as a cluster of real protocol classes has.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from hashlib import blake2b
from time import perf_counter, process_time
from typing import Any

from distlib.check.explore.explore import BreadthFirst, Model, Result, explore
from distlib.principles.ring import EWD840
from distlib.principles.specifications import Action, PaxosSpecification, TwoPhase, TwoPhaseState, Voting

ROUNDS = 3


class Costly(TwoPhase):
    def successors(self, state: TwoPhaseState) -> Iterator[tuple[Action, TwoPhaseState]]:
        for step in super().successors(state):
            for _ in range(100):
                blake2b(b"some work").digest()
            yield step


def bare_loop(model: Model[Any, Any]) -> int:
    """Breadth-first search at its barest; returns the number of states generated."""
    level = list(model.initial_states())
    seen = set(level)
    generated = len(level)
    while level:
        following = []
        for state in level:
            for _, successor in model.successors(state):
                generated += 1
                if successor not in seen:
                    seen.add(successor)
                    following.append(successor)
        level = following
    return generated


def against_the_bare_loop(model: Model[Any, Any], **options: Any) -> tuple[Result, float, float]:
    """The result, and the best generated states a second of the bare loop and of the explorer (processor time)."""
    bare = searched = 0.0
    for _ in range(ROUNDS):
        start = process_time()
        generated = bare_loop(model)
        bare = max(bare, generated / (process_time() - start))
        start = process_time()
        result = explore(model, **options)
        searched = max(searched, result.generated / (process_time() - start))
    return result, bare, searched


def with_two_workers(model: Model[Any, Any]) -> tuple[float, float]:
    """Speed-up by the wall clock, and by processor time of the workers (halved: they share the work evenly)."""
    wall = work = 0.0
    for _ in range(ROUNDS):
        start, cpu = perf_counter(), process_time()
        one = explore(model)
        one_wall, one_cpu = perf_counter() - start, process_time() - cpu
        children = _children_cpu()
        start = perf_counter()
        two = explore(model, search=BreadthFirst(workers=2))
        two_wall, two_cpu = perf_counter() - start, (_children_cpu() - children) / 2
        assert (one.distinct, one.generated, one.depth) == (two.distinct, two.generated, two.depth)
        wall, work = max(wall, one_wall / two_wall), max(work, one_cpu / two_cpu)
    return wall, work


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    columns = f"{'distinct':>9} {'generated':>10} {'bare/s':>9} {'ours/s':>9} {'ratio':>6} {'B/state':>8}"
    print(f"{'model':44} {columns}")
    rows: list[tuple[Model[Any, Any], dict[str, Any]]] = [
        (TwoPhase(5), {}),
        (TwoPhase(7), {}),
        (TwoPhase(7), {"store": "hashes"}),
        (PaxosSpecification(3, 2, 2), {}),
        (Voting(3, 2, 3), {}),
        (EWD840(5), {}),
    ]
    for model, options in rows:
        result, bare, searched = against_the_bare_loop(model, **options)
        name = f"{model!r}{' hashes' if options else ''}"
        print(
            f"{name:44} {result.distinct:9,} {result.generated:10,} {bare:9,.0f} {searched:9,.0f}"
            f" {searched / bare:6.2f} {result.bytes_per_state:8,.0f}"
        )
    print(f"\n{'two workers':44} {'wall':>9} {'work':>10}")
    for model in (TwoPhase(6), Costly(5)):
        wall, work = with_two_workers(model)
        print(f"{model!r:44} {wall:8.2f}x {work:9.2f}x")


if __name__ == "__main__":
    main()
