"""Simulated Raft clusters with clients, for the searches that need real timers: faults, histories, liveness."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import perf_counter
from typing import Any

from distlib.check.cluster.counterexample import counterexample
from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.shrink import shrink_run
from distlib.check.history.history import History, Operation
from distlib.check.history.linearizability import Verdict, check
from distlib.check.history.sequential import CasRegister as Register
from distlib.check.search import DANGEROUS, Outcome, exemplified
from distlib.core.fault import Crash, Fault, Nemesis
from distlib.core.node import Node
from distlib.core.trace import Happened, Trace
from distlib.raft.invariants import raft_invariants
from distlib.raft.message import Applied, BecameLeader
from distlib.raft.raft import Raft
from distlib.replication.client import Client
from distlib.replication.message import Invoked, Returned
from distlib.replication.state_machine import CompareAndSet, Get, Put
from distlib.sim.cluster import Cluster, NodeError
from distlib.sim.latency import Uniform
from distlib.sim.network import Network

SEEDS = range(1, 25)
RUN_MS, FAULTS_UNTIL_MS = 4_000.0, 3_000.0
CALM_MS = 5_000.0
LOSSY = Network(Uniform(1, 8), loss=0.05, duplication=0.05, reordering=0.1)


def nodes(kind: type[Raft], servers: int, clients: int, seed: int) -> list[Node]:
    """Servers S1, …, and clients C1, … that write, read and compare-and-set one key."""
    names = tuple(f"S{number}" for number in range(1, servers + 1))
    made: list[Node] = [kind(name, tuple(peer for peer in names if peer != name)) for name in names]
    for number in range(1, clients + 1):
        commands = tuple(
            (Put("x", 100 * number + turn), Get("x"), CompareAndSet("x", 100 * number + turn - 2, 100 * number + turn))[
                (turn + number + seed) % 3
            ]
            for turn in range(12)
        )
        made.append(Client(f"C{number}", names, commands, think_ms=(0, 60), timeout_ms=150))
    return made


def run(kind: type[Raft], seed: int) -> Cluster:
    """One cluster under a nemesis, not yet run; the same seed makes the same run."""
    servers = 5 if seed % 2 else 3
    names = tuple(f"S{number}" for number in range(1, servers + 1))
    nemesis = Nemesis(("crash", "crash", "partition", "one_way", "pause"), gap_ms=150, length_ms=200)
    return Cluster(
        nodes(kind, servers, 2, seed), LOSSY, seed=seed, faults=nemesis.schedule(names, seed, FAULTS_UNTIL_MS),
        invariants=raft_invariants(),
    )  # fmt: skip


def nemesis_runs(kind: type[Raft], max_seconds: float) -> Outcome:
    """Runs under a nemesis, each with all invariants watched after every event."""

    def problem(cluster: Cluster) -> str:
        cluster.run(RUN_MS, until=lambda now: bool(now.violations))
        return f"{cluster.violations[0].invariant}: {cluster.violations[0].witness}" if cluster.violations else ""

    return _runs(kind, max_seconds, problem)


def linearizable_histories(kind: type[Raft], max_seconds: float) -> Outcome:
    """The clients' histories under a nemesis are linearizable."""

    def problem(cluster: Cluster) -> str:
        result = check(history(cluster.run(RUN_MS).outputs), Register(), configuration_limit=200_000)
        return result.explain() if result.verdict is Verdict.NOT_LINEARIZABLE else ""

    return _runs(kind, max_seconds, problem, history_only=True)


def _runs(kind: type[Raft], max_seconds: float, problem: Any, *, history_only: bool = False) -> Outcome:
    start, tried = perf_counter(), 0
    for seed in SEEDS:
        if tried and perf_counter() - start > max_seconds:
            break
        tried += 1
        cluster = run(kind, seed)
        try:
            failure = problem(cluster)
        except NodeError as error:
            failure = str(error)
        if failure:
            return _failed(kind, seed, cluster, failure, history_only)
    return Outcome("", "", f"{tried} simulated runs of {RUN_MS:g} ms", tried == len(SEEDS))


def _failed(kind: type[Raft], seed: int, cluster: Cluster, failure: str, history_only: bool) -> Outcome:
    """The failure with its minimal path, where the explorer can take it."""
    looked = f"a simulated run with seed {seed}"
    outcome = Outcome("", failure, looked, True, seed=seed)
    if history_only or any(word in failure for word in DANGEROUS):
        return outcome
    model = ClusterModel(lambda: nodes(kind, 5 if seed % 2 else 3, 2, seed), invariants=raft_invariants())
    try:
        example = counterexample(model, shrink_run(model, cluster.trace()))
    except ValueError:
        return outcome
    return exemplified(example, looked, seed=seed)


# ------------------------------------------------------------ liveness


def live_cluster(kind: type[Raft], max_seconds: float) -> Outcome:
    """In a calm network a leader is elected, all servers apply what clients ask, and again after the leader's crash."""
    start, tried = perf_counter(), 0
    for seed in SEEDS:
        if tried and perf_counter() - start > max_seconds:
            break
        tried += 1
        try:
            failure = _stuck(kind, seed)
        except NodeError as error:
            failure = str(error)
        if failure:
            return Outcome("", f"{failure} (seed {seed})", "simulated runs in a calm network", True, seed=seed,
                           invariant="liveness")  # fmt: skip
    return Outcome("", "", f"{tried} simulated runs in a calm network", tried == len(SEEDS))


def calm(kind: type[Raft], seed: int) -> Cluster:
    """Three servers and a client, no faults: what liveness is about."""
    return Cluster(nodes(kind, 3, 1, seed), Network(Uniform(1, 5)), seed=seed)


def _stuck(kind: type[Raft], seed: int) -> str:
    """What does not happen; empty when all goes well."""
    cluster = calm(kind, seed)
    trace = cluster.run(CALM_MS, until=lambda now: _leads(now) is not None)
    if trace.stopped != "condition":
        return f"no leader is elected in {CALM_MS:g} ms of a calm network"
    everybody = [name for name in cluster.nodes if name.startswith("S")]
    trace = cluster.run(2 * CALM_MS, until=lambda now: _applied(now.outputs, everybody, 3))
    if trace.stopped != "condition":
        return f"there is a leader, but not every server applies three entries in {CALM_MS:g} ms of a calm network"
    leader = _leads(cluster)
    if leader is None:
        return "the leader steps down in a calm network"
    before, elections = len(cluster.outputs), _elections(cluster.outputs)
    if elections > 3:
        return f"{elections} leaders in a row, though no node failed and no message was lost"
    fault: Fault = Crash(cluster.now_ms + 1, leader)
    cluster.schedule(fault)
    rest = [name for name in everybody if name != leader]
    trace = cluster.run(3 * CALM_MS, until=lambda now: _applied(now.outputs[before:], rest, 2))
    if trace.stopped != "condition":
        return f"after the leader's crash, the others apply nothing new in {CALM_MS:g} ms"
    return ""


def _leads(cluster: Cluster) -> str | None:
    leaders = [
        name for name, node in cluster.nodes.items()
        if isinstance(node, Raft) and cluster.is_up(name) and node.role.value == "leader"
    ]  # fmt: skip
    return leaders[0] if leaders else None


def _applied(outputs: Sequence[Happened], servers: Iterable[str], entries: int) -> bool:
    return all(
        sum(one.node == name and isinstance(one.event, Applied) for one in outputs) >= entries for name in servers
    )


def _elections(outputs: Iterable[Happened]) -> int:
    return sum(isinstance(one.event, BecameLeader) for one in outputs)


# ------------------------------------------------------------ histories


def history(outputs: Iterable[Happened]) -> History:
    """The clients' operations; those that never came back are pending."""
    done = {(one.event.client, one.event.serial): one for one in outputs if isinstance(one.event, Returned)}
    operations = []
    for one in outputs:
        if not isinstance(one.event, Invoked):
            continue
        f, argument = _operation(one.event.command)
        answer = done.get((one.event.client, one.event.serial))
        ended = {} if answer is None else {"returned": answer.time_ms, "result": answer.event.result}
        operations.append(Operation(one.event.client, f, argument, call=one.time_ms, key="x", **ended))
    return History(operations)


def _operation(command: Any) -> tuple[str, Any]:
    match command:
        case Put(value=value):
            return "write", value
        case CompareAndSet(old=old, new=new):
            return "cas", (old, new)
    return "read", None


def failed_run(kind: type[Any], search: str, seed: int) -> Trace:
    """The run that failed, again, for a figure."""
    cluster = calm(kind, seed) if search == "liveness" else run(kind, seed)
    try:
        return cluster.run(RUN_MS)
    except NodeError:
        return cluster.trace("an error")
