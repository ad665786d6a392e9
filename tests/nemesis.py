"""Raft under a nemesis, over many seeds: ``python -m tests.nemesis --seeds 10000`` (both cores, with progress).

Each seed makes up a cluster (size, variant, timeouts), a network (loss, duplication, reordering, latency, disk), a
fault schedule (crashes, pauses, partitions of three kinds, slow nodes and links, clock drift) and clients, and runs
them for some seconds of virtual time. Figure 3's properties are watched after every event; at the end, servers that
applied equally much must agree, and the clients' history must be linearizable. The last line counts what happened,
because a run in which nothing happens proves nothing. Exits with 1 if anything broke; every problem names its seed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter as Tally
from dataclasses import dataclass, replace
from multiprocessing import Pool
from random import Random
from typing import Any

from distlib.check.history.linearizability import Verdict, check
from distlib.core.fault import Bridge, Crash, Drift, Fault, Heal, Nemesis, OneWay, Partition, Pause, Restart, Resume
from distlib.core.seeds import Seeds
from distlib.core.trace import Trace
from distlib.raft.membership import AddServer, ConfigurationCommitted, Membership, RemoveServer
from distlib.raft.message import BecameLeader
from distlib.raft.raft import Raft
from distlib.raft.snapshot import SnapshotInstalled, Snapshots, SnapshotTaken
from distlib.raft.variants import LeaderLease, PreVote
from distlib.replication.client import Client
from distlib.replication.message import Invoked, Returned
from distlib.replication.state_machine import Add, CompareAndSet, Get, Put
from distlib.sim.cluster import Cluster
from distlib.sim.latency import ExponentialLatency, LogNormalLatency, Uniform
from distlib.sim.network import Network
from tests.raft.clusters import Counter, cluster, history, names

FAULTS_UNTIL_MS, END_MS = 2_500.0, 4_000.0
OPERATIONS = 40


@dataclass
class MembershipPreVote(Membership, PreVote):
    """All at once: snapshots, membership changes, Pre-Vote."""


@dataclass
class LeaseSnapshots(Snapshots, LeaderLease):
    """Leases with snapshots."""


@dataclass
class MembershipLease(Membership, PreVote, LeaderLease):
    """Everything there is."""


KINDS: tuple[type[Raft], ...] = (
    Raft, Snapshots, Membership, PreVote, LeaderLease, MembershipPreVote, LeaseSnapshots, MembershipLease,
)  # fmt: skip
SIZES = (1, 2, 3, 3, 3, 4, 5, 5, 5, 5)


def run(seed: int) -> tuple[int, Tally[str], list[str]]:
    """One seed: itself, what happened, and what broke."""
    world = build(seed)
    trace = world.run(END_MS)
    problems = [str(violation) for violation in trace.violations] + disagreements(world)
    verdict = check(history(trace.outputs), Counter(), configuration_limit=200_000)
    if verdict.verdict is Verdict.NOT_LINEARIZABLE:
        problems.append("the clients' history is not linearizable")
    return seed, tally(world, trace, verdict.verdict), problems


def build(seed: int) -> Cluster:
    """The cluster, its faults and its clients that ``seed`` makes up."""
    random = Seeds(seed).stream("plan")
    kind = KINDS[seed % len(KINDS)]
    count = random.choice(SIZES)
    everybody = names(count)
    settings: dict[str, Any] = {
        "election_timeout_ms": random.choice([(150, 300), (100, 120), (50, 200)]),
        "heartbeat_ms": random.choice([20, 40]),
        "batch": random.choice([2, 8, 64]),
    }
    if issubclass(kind, Snapshots):
        settings["snapshot_after"] = random.choice([3, 10, 30])
    clients = [
        Client(f"C{number}", everybody, commands(random), think_ms=(0, 100), timeout_ms=150) for number in (1, 2, 3)
    ]
    if issubclass(kind, Membership) and count > 2:
        settings["initial_servers"] = everybody[: random.randint(1, count)]
        clients.append(Client("Admin", everybody, changes(random, everybody), think_ms=(0, 200), timeout_ms=150))
    loyal = random.choice(everybody)  # a client that knows one server only, which may be a leader of the past
    clients.append(Client("C4", (loyal,), commands(random), think_ms=(0, 60), timeout_ms=100))
    faults = [
        with_clients(fault, [client.id for client in clients], random)
        for fault in nemesis(random).schedule(everybody, seed, FAULTS_UNTIL_MS)
    ]
    ends = [Heal(FAULTS_UNTIL_MS + 500)]
    for one in everybody:
        ends += [Restart(FAULTS_UNTIL_MS + 500, one), Resume(FAULTS_UNTIL_MS + 500, one)]  # type: ignore[list-item]
    return cluster(
        count,
        kind,
        clients=clients,
        network=network(random),
        seed=seed,
        faults=(*faults, *ends),
        record=False,
        **settings,
    )


def with_clients(fault: Fault, clients: list[str], random: Random) -> Fault:
    """A partition has clients on both sides."""
    if not isinstance(fault, Partition):
        return fault
    groups = [list(group) for group in fault.groups]
    for client in clients:
        random.choice(groups).append(client)
    return replace(fault, groups=tuple(map(tuple, groups)))


def nemesis(random: Random) -> Nemesis:
    """How often, how long, and of which kinds."""
    return Nemesis(gap_ms=random.choice([60, 150, 400]), length_ms=random.choice([40, 150, 400]), drift=0.1)


def network(random: Random) -> Network:
    """From nearly perfect to dreadful."""
    latency = random.choice([Uniform(1, 3), Uniform(0, 20), ExponentialLatency(5, 1), LogNormalLatency(4, 1.0)])
    return Network(
        latency,
        loss=random.choice([0, 0.02, 0.1, 0.25]),
        duplication=random.choice([0, 0.05, 0.2]),
        reordering=random.choice([0, 0.1, 0.3]),
        reorder_ms=random.choice([10, 80]),
        disk=random.choice([None, Uniform(1, 8)]),
    )


def commands(random: Random) -> tuple[Any, ...]:
    """What one client asks; values are unique, so that a lost or repeated write shows."""
    made: list[Any] = []
    for _ in range(OPERATIONS):
        key = random.choice("xy")
        value = random.randrange(1, 6)
        made.append(
            random.choice(
                [Get(key), Put(key, random.randrange(10_000)), Add(key, 1), CompareAndSet(key, value, value + 1)]
            )
        )
    return tuple(made)


def changes(random: Random, everybody: tuple[str, ...]) -> tuple[Any, ...]:
    """What the administrator asks."""
    return tuple(random.choice([AddServer, RemoveServer])(random.choice(everybody)) for _ in range(12))


def disagreements(world: Cluster) -> list[str]:
    """Pairs of servers that applied equally much and yet differ."""
    seen: dict[int, tuple[str, Any]] = {}
    found = []
    for name, node in world.nodes.items():
        if isinstance(node, Raft) and node.last_applied:
            state = (node.machine_state, node.sessions)
            other = seen.setdefault(node.last_applied, (name, state))
            if other[1] != state:
                found.append(f"{other[0]} and {name} applied {node.last_applied} entries and differ")
    return found


def tally(world: Cluster, trace: Trace, verdict: Verdict) -> Tally[str]:
    """What happened in one run."""
    told = Tally(type(one.event) for one in trace.outputs)
    struck = Tally(type(one.event) for one in trace.faults)
    members = [node for node in world.nodes.values() if isinstance(node, Raft)]
    installed = {(one.node, one.event.index) for one in trace.outputs_of(SnapshotInstalled)}
    configurations = {one.event.index for one in trace.outputs_of(ConfigurationCommitted)}
    crashed = [one.node for one in trace.faults if isinstance(one.event, Crash)]
    return Tally(
        {
            "events": trace.events,
            "leaders elected": told[BecameLeader],
            "terms begun": max(node.current_term for node in members),
            "entries committed": max(node.commit_index for node in members),
            "snapshots taken": told[SnapshotTaken],
            "snapshots installed": len(installed),
            "configurations committed": len(configurations),
            "crashes survived": sum(world.is_up(node) for node in crashed if node is not None),
            "pauses": struck[Pause],
            "partitions": struck[Partition] + struck[OneWay] + struck[Bridge],
            "clock drifts": struck[Drift],
            "seeds with message loss": int(world.network.loss > 0),
            "messages duplicated": len(trace.duplicates),
            "operations called": told[Invoked],
            "operations returned": told[Returned],
            "histories linearizable": int(verdict is Verdict.LINEARIZABLE),
            "histories too hard to decide": int(verdict is Verdict.UNKNOWN),
        }
    )


def run_many(first: int, count: int, processes: int, progress: bool = True) -> tuple[Tally[str], list[tuple[int, str]]]:
    """All seeds from ``first`` on; the sums, and every problem with its seed."""
    total: Tally[str] = Tally()
    problems: list[tuple[int, str]] = []
    began = time.monotonic()
    with Pool(processes) as pool:
        for done, (seed, counts, broken) in enumerate(pool.imap_unordered(run, range(first, first + count), 10), 1):
            total.update(counts)
            for problem in broken:
                problems.append((seed, problem))
                print(f"\nseed {seed}: {problem}", flush=True)
            if progress and (done % max(1, count // 100) == 0 or done == count):
                spent = time.monotonic() - began
                left = spent / done * (count - done)
                line = f"\r{done}/{count} seeds, {len(problems)} problems, {left:.0f} s left   "
                print(line, end="", file=sys.stderr, flush=True)
    return total, problems


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.nemesis", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many (default 10000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--processes", type=int, default=2, help="how many at once (default 2)")
    options = parser.parse_args()
    total, problems = run_many(options.first, options.seeds, options.processes)
    counts = ", ".join(f"{value:,} {name}" for name, value in total.items())
    print(f"\n{options.seeds:,} seeds, {len(problems)} problems; {counts}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
