"""Transactions a second of two-phase commit under load, by the compiled engine, beside the same in simpy.

The same clients, locks, latencies and patience in both; that both tell every client the same at the same time is
checked. The simulated cluster, which runs the readable class and records nothing, stands beside them for comparison.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import simpy

from distlib.core.node import node_names
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network
from distlib.transactions.bank import Add
from distlib.transactions.client import Teller
from distlib.transactions.load import WAIT, Load, run
from distlib.transactions.message import Begin
from distlib.transactions.presumptions import PresumedAbort
from distlib.transactions.scenarios import LoadParams
from distlib.transactions.two_phase import cluster

ROUNDS = 5
PARAMS = LoadParams(transactions=20_000, accounts=20)
CLIENTS = 32

Process = Generator[Any, Any, None]


def with_simpy(load: Load) -> np.ndarray:
    """The same in simpy 4: a process a client, a branch and a message; when each client was told, by turns."""
    env = simpy.Environment()
    clients, turns, branches = load.node.shape
    nodes = len(load.hop_ms) - clients
    locks = [simpy.Resource(env) for _ in range(int(load.lock.max()) + 1)]
    told_ms = np.zeros((clients, turns))

    def branch(client: int, turn: int, at: int, vote: simpy.Event, decided: simpy.Event) -> Process:
        node, lock, home = load.node[client, turn, at], locks[load.lock[client, turn, at]], load.home[client]
        yield env.timeout(load.first_ms + load.hop_ms[home, node])
        request = lock.request()
        heard = env.event()
        env.process(hears(home, node, decided, heard))
        yield request | heard
        if request.triggered:
            env.process(votes(home, node, vote))
        if not heard.triggered:
            yield heard
        request.cancel() if not request.triggered else lock.release(request)

    def votes(home: int, node: int, vote: simpy.Event) -> Process:
        yield env.timeout(load.write_ms)
        yield env.timeout(load.hop_ms[node, home])
        vote.succeed()

    def hears(home: int, node: int, decided: simpy.Event, heard: simpy.Event) -> Process:
        yield decided
        yield env.timeout(load.hop_ms[home, node])
        heard.succeed()

    def client_of(client: int) -> Process:
        home = load.home[client]
        for turn in range(turns):
            yield env.timeout(load.think_ms[client, turn])
            yield env.timeout(load.hop_ms[nodes + client, home])
            cast, decided = [env.event() for _ in range(branches)], env.event()
            for at in range(branches):
                env.process(branch(client, turn, at, cast[at], decided))
            every = env.all_of(cast)
            yield every | env.timeout(load.patience_ms)
            yield env.timeout(load.write_ms if every.triggered else load.abort_ms)
            decided.succeed()
            yield env.timeout(load.hop_ms[home, nodes + client])
            told_ms[client, turn] = env.now

    for client in range(clients):
        env.process(client_of(client))
    env.run()
    return told_ms


def with_cluster(transactions: int) -> int:
    """The readable class in the simulated cluster, with clients of about the same kind."""
    names = node_names(PARAMS.nodes)
    accounts = tuple((f"a{number}", 10**6) for number in range(PARAMS.accounts))
    members = cluster(PresumedAbort, names, initial=accounts, vote_ms=PARAMS.patience_ms, inquire_ms=None)
    random, turns = np.random.default_rng(1), transactions // CLIENTS
    for client in range(CLIENTS):
        works = []
        for _ in range(turns):
            chosen = random.choice(len(names), PARAMS.participants, replace=False)
            works.append(Begin(tuple(
                (names[node], (Add(accounts[random.integers(PARAMS.accounts)][0], 1),)) for node in chosen
            )))  # fmt: skip
        members.append(Teller(f"C{client}", names[client % 4 : client % 4 + 1], tuple(works), timeout_ms=1e6))
    made = Cluster(members, Network(Uniform(3, 7)), record=False)
    made.run(1e7, until=None)
    return turns * CLIENTS


def seconds(work: Callable[[], Any]) -> float:
    """The median of some runs."""
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main() -> None:
    """Print transactions a second, and how many times simpy's that is."""
    load = PARAMS.load(CLIENTS, WAIT)
    course = run(load)  # compiles, too
    same = np.allclose(course.told_ms, with_simpy(load))
    count = course.told_ms.size
    ours, theirs = count / seconds(lambda: run(load)), count / seconds(lambda: with_simpy(load))
    readable = 2_000 / seconds(lambda: with_cluster(2_000))
    share = f"{course.committed.mean():.1%} committed"
    print(f"{count:,} transactions over {PARAMS.participants} nodes, {CLIENTS} clients, {share}")
    print(f"both tell every client at the same times: {same}")
    print(f"compiled engine   {ours:12,.0f} a second, {ours / theirs:6.1f} times simpy")
    print(f"simulated cluster {readable:12,.0f} a second, {readable / theirs:6.1f} times simpy")
    print(f"simpy             {theirs:12,.0f} a second")


if __name__ == "__main__":
    main()
