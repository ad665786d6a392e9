"""*Find a violation from here*: the explorer goes on from a state that the reader has reached by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from distlib.check.cluster.replay import actions_of
from distlib.check.cluster.shrink import shrink
from distlib.check.cluster.world import CrashRestart, Faults
from distlib.check.explore.explore import BreadthFirst, RandomWalks, Result, explore
from distlib.core.fault import Crash, Restart
from distlib.core.parameter import Parameters, parameter
from distlib.labs.work import Progress
from distlib.workbench.step.cluster import ClusterState, Step, Tree

WALK_DEPTH = 80


@dataclass(frozen=True)
class Reach(Parameters):
    """How far to look from here: what may happen, and for how long to search."""

    timeouts: int = parameter(3, "timers may fire", low=0, high=50, help="so often, all together")
    crashes: int = parameter(1, "nodes may crash", low=0, high=9, help="and restart, so often, all together")
    losses: int = parameter(0, "messages may be lost", low=0, high=50, help="late messages may always come too late")
    duplicates: int = parameter(0, "messages may be doubled", low=0, high=50, help="so many")
    seconds: float = parameter(20.0, "seconds", low=0.5, high=600, help="half of them breadth-first, half at random")
    seed: int = parameter(7, "seed", low=0, high=2**31, help="of the random walks")


def find(tree: Tree, here: ClusterState, reach: Reach, progress: Progress) -> tuple[list[Step], str]:
    """Search from ``here``: breadth-first first, whose counterexample is a shortest one, then random walks. The steps
    to the violation (none: nothing found), and the words for it; after a press on Stop, of what was found by then."""
    faults = Faults(losses=reach.losses, duplicates=reach.duplicates)
    model, start = tree.bounded(here, reach.timeouts, reach.crashes, faults)

    def stop() -> bool:
        return progress.stopping

    def look(name: str, search: BreadthFirst | RandomWalks, max_depth: int | None, before_s: float) -> Result:
        def tell(now: Any) -> None:
            done_s = min(before_s + now.elapsed_s, reach.seconds)
            if not progress.stopping:
                progress(done_s, reach.seconds, f"{name}: {now.distinct:,} states")

        return explore(
            model, search=search, start=[start], max_depth=max_depth, max_seconds=reach.seconds / 2, max_bytes=2**29,
            stop=stop, on_progress=tell,
        )  # fmt: skip

    result = look("breadth-first", BreadthFirst(), None, 0.0)
    counted = f"{result.distinct:,} states searched in {result.elapsed_s:.1f} s"
    if result.violation is not None:
        return _by_hand(result.path), f"{counted}. None is shorter."
    if result.exhausted:
        return [], f"Nothing within these bounds ({model.bounds_text()}): {counted}, all there are."
    if progress.stopping:
        return [], f"Stopped; nothing found in {counted}."
    walks = look("random walks", RandomWalks(reach.seed, 10**9), WALK_DEPTH, reach.seconds / 2)
    if walks.violation is not None:
        path = shrink(model, walks.path, start=start, stop=stop)
        return _by_hand(path), f"A random walk found it (after {counted}); steps it can do without are left out."
    return [], f"Nothing found in {counted} and {walks.walks or 0:,} random walks; that proves nothing."


def _by_hand(path: Any) -> list[Step]:
    """A path of the model as steps of the lab, where a crash and the restart after it are two."""
    steps: list[Step] = []
    for action in actions_of(path):
        if isinstance(action, CrashRestart):
            steps += [Crash(0.0, action.node), Restart(0.0, action.node)]
        else:
            steps.append(action)
    return steps
