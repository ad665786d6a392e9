"""*Find a violation from here*: the explorer goes on from a state that the reader has reached by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.replay import actions_of
from distlib.check.cluster.world import Action, Faults, World
from distlib.check.cluster.world import CrashRestart as CrashAndRestart
from distlib.check.explore.explore import BreadthFirst, RandomWalks, Result, explore
from distlib.core.fault import Crash, Restart
from distlib.core.parameter import Parameters, parameter
from distlib.labs.work import Progress
from distlib.workbench.step.cluster import ClusterState, Step, StepCluster, bounded

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


@dataclass(frozen=True)
class Found:
    """What a search from a state found: the steps to the violation (none: nothing found), and the words for it."""

    steps: tuple[Step, ...]
    said: str


def find(cluster: StepCluster, moment: ClusterState, reach: Reach, progress: Progress) -> Found:
    """Search from ``moment``: breadth-first first, whose counterexample is a shortest one, then random walks.

    After a press on Stop, what was found by then is returned.
    """
    faults = Faults(crashes=reach.crashes, losses=reach.losses, duplicates=reach.duplicates)
    model, start = bounded(cluster, moment, reach.timeouts, faults)
    result = _explore(model, start, BreadthFirst(), None, reach, progress, 0.0)
    if result.violation is not None:
        return Found(_by_hand(actions_of(result.path)), f"{_counted(result)}. None is shorter.")
    if result.exhausted:
        return Found((), f"Nothing within these bounds ({model.bounds_text()}): {_counted(result)}, all there are.")
    if progress.stopping:
        return Found((), f"Stopped; nothing found in {_counted(result)}.")
    walks = _explore(model, start, RandomWalks(reach.seed, 10**9), WALK_DEPTH, reach, progress, reach.seconds / 2)
    if walks.violation is not None:
        path = shortened(model, start, actions_of(walks.path))
        said = f"A random walk found it (after {_counted(result)}); steps it can do without are left out."
        return Found(_by_hand(path), said)
    return Found((), f"Nothing found in {_counted(result)} and {walks.walks or 0:,} random walks; that proves nothing.")


def _explore(
    model: ClusterModel, start: World, search: BreadthFirst | RandomWalks, max_depth: int | None, reach: Reach,
    progress: Progress, before_s: float,
) -> Result:  # fmt: skip
    name = "breadth-first" if isinstance(search, BreadthFirst) else "random walks"

    def tell(now: object) -> None:
        if not progress.stopping:
            done = before_s + getattr(now, "elapsed_s", 0.0)
            progress(min(done, reach.seconds), reach.seconds, f"{name}: {getattr(now, 'distinct', 0):,} states")

    return explore(
        model, search=search, start=[start], max_depth=max_depth, max_seconds=reach.seconds / 2,
        max_bytes=2**29, stop=lambda: progress.stopping, on_progress=tell,
    )  # fmt: skip


def _counted(result: Result) -> str:
    return f"{result.distinct:,} states searched in {result.elapsed_s:.1f} s"


def shortened(model: ClusterModel, start: World, path: Sequence[Action]) -> list[Action]:
    """``path`` from ``start`` without steps that the violation at its end can do without."""
    best, position = list(path), len(path) - 1
    while position >= 0:
        possible = _taken(model, start, best[:position] + best[position + 1 :])
        if possible is not None and len(possible) < len(best):
            best = possible
        position = min(position, len(best)) - 1
    return best


def _taken(model: ClusterModel, start: World, path: Sequence[Action]) -> list[Action] | None:
    """What is possible of ``path``, up to a violation; None if there is none."""
    world, done = start, []
    for action in path:
        if not model.allows(world, action):
            continue
        world = model.next_state(world, action)
        done.append(action)
        if world.broken is not None:
            return done
    return None


def _by_hand(path: Sequence[Action]) -> tuple[Step, ...]:
    """A path of the model as steps of the lab, where a crash and the restart after it are two."""
    steps: list[Step] = []
    for action in path:
        if isinstance(action, CrashAndRestart):
            steps += [Crash(0.0, action.node), Restart(0.0, action.node)]
        else:
            steps.append(action)
    return tuple(steps)
