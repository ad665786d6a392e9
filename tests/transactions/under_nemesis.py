"""Transactions for the nemesis campaign (``tests/nemesis.py``): clusters with settings drawn at random, who asks them
for what, and what must have come of it when all failures are repaired."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from distlib.check.simulation import UndecidedError
from distlib.core.node import Node, NodeId, durable, setting
from distlib.sim.cluster import Cluster
from distlib.transactions.bank import Add, Read, Work
from distlib.transactions.client import Teller
from distlib.transactions.deadlocks import DetectsDeadlocks
from distlib.transactions.flexible import message as flexible
from distlib.transactions.flexible.at_mode import ATMode
from distlib.transactions.flexible.saga import Saga
from distlib.transactions.flexible.searches import still_open, unsound
from distlib.transactions.flexible.service import UNPAYABLE
from distlib.transactions.history import not_strictly_serializable
from distlib.transactions.message import Begin
from distlib.transactions.paxos_commit import PaxosCommit
from distlib.transactions.presumptions import PresumedCommit
from distlib.transactions.quorum_commit import QuorumCommit
from distlib.transactions.searches import ACCOUNTS, broken_word
from distlib.transactions.tree import TreeCommit
from distlib.transactions.two_phase import TwoPhaseCommit, cluster

CALM_MS = 600_000.0  # for all that is open to end; half of all messages may still be lost
TRANSACTIONS = 24
DOUBT = "in doubt when all is repaired"
READS = "histories of reads checked"

# --- atomic commitment ---------------------------------------------------------------------------------------


def commit_nodes(node_class: type[TwoPhaseCommit], random: Random, names: tuple[NodeId, ...]) -> list[Any]:
    """Nodes with two accounts of ten each; some let one of them coordinate everything."""
    settings: dict[str, Any] = {
        "initial": ACCOUNTS, "cooperative": random.random() < 0.7, "vote_ms": random.choice([30, 60, 150]),
        "inquire_ms": random.choice([20, 50, 90]), "resend_ms": random.choice([20, 40]),
    }  # fmt: skip
    if issubclass(node_class, PaxosCommit):
        settings["acceptors"] = names[: random.choice([1, 3, 3, 5])]
    else:
        settings["read_only_votes"] = random.random() < 0.5
    if issubclass(node_class, TreeCommit):
        settings["above"] = tuple([
            (name, parent) for at, name in enumerate(names[2:], 2) if (parent := random.choice(names[:at])) != names[0]
        ])  # fmt: skip
    elif not issubclass(node_class, PresumedCommit) and random.random() < 0.3:
        settings["coordinator"] = random.choice(names)
    if issubclass(node_class, QuorumCommit):
        settings["gather_ms"] = random.choice([15, 25, 60])
    if issubclass(node_class, DetectsDeadlocks):
        settings["probe_ms"] = random.choice([None, 15, 30])
    return cluster(node_class, names, **settings)


def tellers(random: Random, servers: Sequence[Any]) -> list[Node]:
    """Three clients; in a tree, they ask its root."""
    names = tuple([one.id for one in servers])
    clients: list[Node] = []
    for number in range(1, 4):
        is_tree = isinstance(servers[0], TreeCommit)
        asked = names[:1] if is_tree else tuple(random.sample(names, len(names)))
        commands = []
        for serial in range(1, TRANSACTIONS // 3 + 1):
            first = asked[serial % len(asked)]
            members = members_of_tree(random, servers) if is_tree else members_with(random, names, first)
            commands.append(Begin(work_for(random, members)))
        pauses = random.choice([(0, 10), (0, 60)])
        clients.append(Teller(f"C{number}", asked, tuple(commands), think_ms=pauses, start_ms=(0, 40), timeout_ms=120))
    return clients


def members_with(random: Random, names: tuple[NodeId, ...], first: NodeId) -> list[NodeId]:
    """Some nodes; who is asked is one of them, as it may have to hand the transaction over."""
    others = [name for name in names if name != first]
    return random.sample([first, *random.sample(others, k := random.randint(0, len(others)))], k + 1)


def members_of_tree(random: Random, servers: Sequence[Any]) -> list[NodeId]:
    """Some nodes, and all through which they are reached."""
    above, names = dict(servers[0].above), [one.id for one in servers]
    chosen = set(random.sample(names, random.randint(1, len(names))))
    for name in reversed(names):
        if name in chosen and name in above:
            chosen.add(above[name])
    return [name for name in names if name in chosen]


def work_for(random: Random, members: list[NodeId]) -> Work:
    """A look at all accounts, or money moved among them: sometimes more than there can be, sometimes one only looks."""
    if random.random() < 0.2:
        return tuple([(name, (Read("x"), Read("y"))) for name in members])
    changes = dict.fromkeys(members, 0)
    for _ in range(len(members)):
        source, target = random.choice(members), random.choice(members)
        amount = random.choice([1, 2, 3, 12])
        changes[source] -= amount
        changes[target] += amount
    account = random.choice("xy")
    return tuple([(name, (Add(account, change),) if change else (Read(account),)) for name, change in changes.items()])


def commits_end(world: Cluster, happened: Tally[str]) -> list[str]:
    """With all failures repaired, run until all is over: nothing is left in doubt, no money lost or made, and each
    client has heard the truth."""
    nodes: list[Any] = [node for node in world.nodes.values() if isinstance(node, TwoPhaseCommit)]
    clients = [node for node in world.nodes.values() if isinstance(node, Teller)]
    happened[DOUBT] += sum(branch.prepared for node in nodes for branch in node.branches.values())

    def over(_: Cluster) -> bool:
        asked = all(one.serial == len(one.commands) and not one.waiting for one in clients)
        return asked and not any(node.open_here() for node in nodes)

    world.run(world.now_ms + CALM_MS, until=over)
    if not over(world):
        open_here = [f"{node.id} has {node.open_here()}" for node in nodes if node.open_here()]
        return [f"after {CALM_MS:,.0f} ms of calm, {'; '.join(open_here) or 'clients are not done'}"]
    before, now = 20 * len(nodes), sum(sum(node.balances.values()) for node in nodes)
    problems = [f"there are {now} in all accounts, and there were {before}"] if now != before else []
    if told_of_one_moment(nodes):
        happened[READS] += 1
        try:
            problems += [word] if (word := not_strictly_serializable(world)) else []
        except UndecidedError as error:
            problems.append(str(error))
    return problems + ([word] if (word := broken_word(world)) else [])


def told_of_one_moment(nodes: Sequence[Any]) -> bool:
    """Whether clients are told what they have read, and of one moment: Paxos Commit does not, and where readers leave
    with their vote it may be of two."""
    return not isinstance(nodes[0], PaxosCommit) and not nodes[0].read_only_votes


# --- flexible transactions -------------------------------------------------------------------------------------


@dataclass
class Asker(Node):
    """Asks for one transaction after the other, each once: a node of the service, and what it is asked for."""

    script: tuple[tuple[NodeId, flexible.Begin], ...] = setting(())
    gap_ms: tuple[float, float] = setting((0, 100))

    asked: int = durable(0)

    def start(self) -> None:
        self.set_timer("next", *self.gap_ms)

    def on_next_timeout(self) -> None:
        if self.asked < len(self.script):
            node, begin = self.script[self.asked]
            self.asked += 1
            self.send(node, begin)
            self.set_timer("next", *self.gap_ms)

    def open_here(self) -> tuple[str, ...]:
        """What it has not asked for yet."""
        return tuple([begin.gid for _, begin in self.script[self.asked :]])


def services(node_class: type[Any], random: Random, names: tuple[NodeId, ...]) -> list[Any]:
    """Services with ten each."""
    settings: dict[str, Any] = {"patience_ms": random.choice([120, 250]), "retry_ms": random.choice([20, 40])}
    if issubclass(node_class, Saga):
        settings["semantic_locks"] = random.random() < 0.5
    if issubclass(node_class, ATMode):
        settings["for_update"] = random.random() < 0.5
    return [node_class(name, **settings) for name in names]


def askers(parts: int, fails_at: int, random: Random, servers: Sequence[Any]) -> list[Node]:
    """Two clients. Who pays comes first, and that is the pivot, so that nobody can have spent what is taken back
    (Richardson 2018, §4.3.2); with semantic locks nobody can either, and some sagas have no pivot. In three of ten the
    step ``fails_at`` cannot be done."""
    names = [one.id for one in servers]
    pivots = (None, 0) if getattr(servers[0], "semantic_locks", False) else (0,)
    clients: list[Node] = []
    for number in (1, 2):
        script = []
        for count in range(TRANSACTIONS // 2):
            chosen, amount = random.sample(names, parts), random.randint(2, 4)
            amounts = (-amount, amount - 1, 1) if parts == 3 else (-amount, amount)
            work: list[Any] = [(name, (Add("x", one),)) for name, one in zip(chosen, amounts, strict=True)]
            pivot = random.choice(pivots) if parts == 3 else None
            if random.random() < 0.3:
                work[fails_at], pivot = (work[fails_at][0], (UNPAYABLE,)), None
            script.append((random.choice(names), flexible.Begin(f"C{number}.{count}", tuple(work), pivot)))
        clients.append(Asker(f"C{number}", tuple(script)))
    return clients


three_steps, two_parts = partial(askers, 3, 1), partial(askers, 2, 0)


def services_end(world: Cluster, happened: Tally[str]) -> list[str]:
    """With all failures repaired, run until nothing is open; the invariants look once more at what is left."""
    happened["open when all is repaired"] += still_open(world).count(" at ")
    world.run(world.now_ms + CALM_MS, until=lambda now: not still_open(now))
    return [word for word in (still_open(world), unsound(world)) if word]
