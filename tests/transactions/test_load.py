"""The compiled engine against the simulated cluster, transaction by transaction; and what load does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from distlib.core.fault import Crash
from distlib.core.node import node_names, setting
from distlib.replication.message import Invoked, Returned
from distlib.sim.cluster import Cluster
from distlib.sim.latency import PerLink
from distlib.sim.network import Network
from distlib.transactions.bank import Add
from distlib.transactions.client import Teller
from distlib.transactions.deadlocks import RefusesToWait, WoundWait
from distlib.transactions.load import REFUSE, WAIT, WOUND_WAIT, Load, run
from distlib.transactions.message import Begin, Told
from distlib.transactions.two_phase import TwoPhaseCommit, cluster

POLICIES = {WAIT: TwoPhaseCommit, WOUND_WAIT: WoundWait, REFUSE: RefusesToWait}


@dataclass
class Scripted(Teller):
    """Thinks as long as it is told."""

    thinks: tuple[float, ...] = setting(())

    def set_timer(self, name: str, low_ms: float, high_ms: float | None = None, key: Any = None) -> None:
        if name == "next":
            low_ms = high_ms = self.thinks[self.serial] if self.serial < len(self.thinks) else 1.0
        super().set_timer(name, low_ms, high_ms, key)


def random_load(seed: int, policy: int, clients: int = 12, turns: int = 10, branches: int = 2, nodes: int = 3) -> Load:
    random = np.random.default_rng(seed)
    home, think = random.integers(0, nodes, clients), random.exponential(8.0, (clients, turns))
    every = np.tile(np.arange(nodes), (clients * turns, 1))
    node = random.permuted(every, axis=1)[:, :branches].reshape(clients, turns, branches)
    lock = node * 2 + random.integers(0, 2, node.shape)
    hop = random.uniform(2.0, 9.0, (nodes + clients, nodes + clients))
    np.fill_diagonal(hop, 0.0)
    none = np.zeros((clients, turns))
    return Load(home, think, node, lock, none, hop, policy, 45.0, 0.0, 0.0, 0.0)


def simulated(load: Load) -> Cluster:
    clients, turns, branches = load.node.shape
    names = (*node_names(len(load.hop_ms) - clients), *(f"C{one + 1}" for one in range(clients)))
    links = tuple(
        (one, other, float(load.hop_ms[at, to]))
        for at, one in enumerate(names) for to, other in enumerate(names) if at != to
    )  # fmt: skip
    servers = names[:-clients]
    members = cluster(
        POLICIES[load.policy], servers, initial=(("a0", 999), ("a1", 999)), vote_ms=load.patience_ms, inquire_ms=None
    )
    for client in range(clients):
        commands = tuple(
            Begin(tuple(
                (names[load.node[client, turn, branch]], (Add(f"a{load.lock[client, turn, branch] % 2}", 1),))
                for branch in range(branches)
            ))
            for turn in range(turns)
        )  # fmt: skip
        thinks = tuple(map(float, load.think_ms[client]))
        home = (servers[load.home[client]],)
        members.append(Scripted(names[len(servers) + client], home, commands, timeout_ms=1e6, thinks=thinks))
    made = Cluster(members, Network(PerLink(links, jitter=0.0)))
    made.run(1e5, until=lambda now: sum(isinstance(one.event, Returned) for one in now.outputs) == clients * turns)
    return made


@pytest.mark.parametrize("policy", [WAIT, WOUND_WAIT, REFUSE])
@pytest.mark.parametrize("seed", range(1, 9))
def test_every_transaction_has_the_times_and_the_end_that_it_has_in_the_cluster(policy: int, seed: int) -> None:
    load = random_load(seed, policy)
    course, made = run(load), simulated(load)
    asked = {
        (one.event.client, one.event.serial): one.time_ms for one in made.outputs if isinstance(one.event, Invoked)
    }
    told = {
        (one.event.client, one.event.serial): (one.time_ms, one.event.result.commit)
        for one in made.outputs if isinstance(one.event, Returned)
    }  # fmt: skip
    clients, turns, _ = load.node.shape
    for client in range(clients):
        for turn in range(turns):
            key = (f"C{client + 1}", turn + 1)
            assert math.isclose(course.asked_ms[client, turn], asked[key], abs_tol=1e-6), key
            assert math.isclose(course.told_ms[client, turn], told[key][0], abs_tol=1e-6), key
            assert course.committed[client, turn] == told[key][1], key
    assert 0 < course.committed.sum() < course.committed.size  # some commit, some do not


def test_a_coordinator_that_crashes_with_all_votes_leaves_locks_held_as_long_as_in_the_cluster() -> None:
    hop = np.full((3, 3), 5.0)
    np.fill_diagonal(hop, 0.0)
    outage = np.full((1, 1), 40.0)
    one = np.array([[[0, 1]]])
    load = Load(np.array([0]), np.zeros((1, 1)), one, one, outage, hop, WAIT, math.inf, 0.0, 0.0, 0.0)
    locked = run(load).locked_ms[0, 0]
    nodes = cluster(TwoPhaseCommit, ("S1", "S2"), inquire_ms=1.0, cooperative=False, vote_ms=None)
    made = Cluster(nodes, Network(PerLink((("S1", "S2", 5.0), ("S2", "S1", 5.0)), jitter=0.0)))
    made.post(5.0, "S1", Begin((("S1", (Add("x", 1),)), ("S2", (Add("x", 1),)))))
    made.schedule(Crash(14.999, "S1", 40.001))  # S2's vote is about to arrive
    made.run(200.0)
    finished = {one.node: one.time_ms for one in made.outputs if type(one.event).__name__ == "Wrote"}
    assert locked[1] == pytest.approx(50.0)  # prepared at 10, S1 is back at 55, the abort is there at 60
    assert finished["S2"] - 10.0 == pytest.approx(50.0, abs=12.0)  # it asks once a while, and S1 answers
    assert not any(isinstance(one.event, Told) and one.event.commit for one in made.outputs)


def test_who_waits_longer_in_line_waits_longer_for_its_answer() -> None:
    few, many = (run(random_load(3, WAIT, clients=count, turns=200)) for count in (1, 20))
    assert few.committed.all()
    waits = [np.nanmean(one.told_ms - one.asked_ms) for one in (few, many)]
    assert waits[1] > 1.3 * waits[0]


def test_a_heap_that_was_too_small_is_made_larger() -> None:
    load = random_load(5, WOUND_WAIT, clients=60, turns=40, branches=3, nodes=3)
    course = run(load)
    assert np.isfinite(course.told_ms).all()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_clients_that_wait_for_each_other_are_freed_by_the_coordinators_patience(seed: int) -> None:
    load = random_load(seed, WAIT, clients=4, turns=30, branches=2, nodes=2)._replace(patience_ms=200.0)
    crossed = load._replace(lock=load.node)  # one lock a node
    course, made = run(crossed), simulated(crossed)
    assert np.isfinite(course.told_ms).all(), "nobody is left waiting"
    assert not course.committed.all(), "somebody had to give up"
    told = sorted(one.time_ms for one in made.outputs if isinstance(one.event, Returned))
    assert np.allclose(np.sort(course.told_ms.ravel()), told)


def test_without_patience_a_circle_waits_for_ever() -> None:
    load = random_load(2, WAIT, clients=4, turns=30, branches=2, nodes=2)._replace(patience_ms=math.inf)
    course = run(load._replace(lock=load.node))
    assert np.isnan(course.told_ms).any()
