"""What a class of two-phase commit has to stand: ``COMMIT_SEARCHES``, from one transaction in every order to load under
faults; and those that only a variant can be asked."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.world import Faults, World
from distlib.check.search import Leg, ProtocolSearch, breadth, staged, walks
from distlib.check.simulation import Simulation, after, simulated, watched
from distlib.core.fault import Crash, Nemesis, OneWay
from distlib.core.mutant import LINEARIZABILITY, LIVENESS
from distlib.core.node import NodeId, node_names
from distlib.core.seeds import Seeds
from distlib.replication.message import Returned
from distlib.replication.simulations import happens
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network
from distlib.transactions.bank import Add, Read, Work, transfer
from distlib.transactions.client import Teller
from distlib.transactions.deadlocks import DetectsDeadlocks, GivesWay, WoundWait
from distlib.transactions.history import not_strictly_serializable
from distlib.transactions.invariants import Conservation, commit_invariants
from distlib.transactions.message import Answer, Begin, Begun, Decide, Prepare, Told, Vote
from distlib.transactions.presumptions import PresumedCommit
from distlib.transactions.tree import TreeCommit
from distlib.transactions.two_phase import TwoPhaseCommit, cluster

Goal = Callable[[World], bool]
NAMES = node_names(3)
ACCOUNTS = (("x", 10), ("y", 10))
TX, OTHER = "S1.1.1", "S2.1.1"
ALL: Work = (("S1", (Add("x", -2),)), ("S2", (Add("x", 1),)), ("S3", (Add("x", 1),)))
TWO = transfer("S2", "S3")
READS_AND_WRITES: Work = (("S2", (Read("x"),)), ("S3", (Add("x", 1),)))
READS_IN_THE_MIDDLE: Work = (("S2", (Read("x"),)), ("S3", (Add("x", -1), Add("x", 1))))
REQUEST, REQUEST_OF_TWO = ("S1", Begin(ALL)), ("S1", Begin(TWO))
TOO_MUCH = ("S1", Begin((("S2", (Add("x", 11),)), ("S3", (Add("x", -6), Add("x", -5), Read("x"))))))
HANDED_OVER = ("S2", Begin(TWO))
SMALL = ("S1", Begin((("S1", (Add("x", 1),)),)))
OPPOSITE = ("S2", Begin(transfer("S3", "S2")))
SEEDS, FEW_SEEDS = range(1, 41), range(1, 13)
UNTIL_MS, FAULTS_UNTIL_MS, CALM_MS, LATE_MS = 2_000.0, 600.0, 4_000.0, 16.0
LOSSY = Network(Uniform(1, 10), loss=0.05, duplication=0.05, reordering=0.1)
TREE = {"above": (("S3", "S2"),)}


def commit_model(node_class: type[Any], names: tuple[NodeId, ...] = NAMES, **options: Any) -> ClusterModel:
    """Three nodes; each may coordinate, and take part."""
    return ClusterModel(lambda: cluster(node_class, names), invariants=commit_invariants(), **options)


def apart_model(node_class: type[Any], **options: Any) -> ClusterModel:
    """S1 coordinates what others begin, where the class lets it."""
    settings = {} if issubclass(node_class, PresumedCommit) else {"coordinator": "S1"}
    return ClusterModel(
        lambda: cluster(node_class, NAMES, **settings), invariants=commit_invariants(), **options
    )  # fmt: skip


def readers_model(node_class: type[Any], **options: Any) -> ClusterModel:
    """Who has only read, votes so."""
    return ClusterModel(
        lambda: cluster(node_class, NAMES, read_only_votes=True), invariants=commit_invariants(), **options
    )  # fmt: skip


def tree_model(node_class: type[Any], read_only_votes: bool = False, **options: Any) -> ClusterModel:
    """S3 is reached through S2."""
    settings = {**TREE, "read_only_votes": read_only_votes}
    invariants = (*commit_invariants(), Conservation())
    return ClusterModel(lambda: cluster(node_class, NAMES, **settings), invariants=invariants, **options)


# ------------------------------------------------------------ goals


def under_way(*kinds: Any) -> Goal:
    """A message of each of these classes, or equal to these, is in flight."""

    def goal(world: World) -> bool:
        messages = [one.message for one in world.messages()]
        return all(
            any(isinstance(one, kind) if isinstance(kind, type) else one == kind for one in messages) for kind in kinds
        )

    return goal


def decided_and_unheard(world: World) -> bool:
    """S1 has told its client of a commit, and nobody else has heard of it."""
    committed = world.node("S1").told == (TX, True)
    return committed and not any((TX, True) in world.node(name).outcomes for name in ("S2", "S3"))


def heard_by_one(world: World) -> bool:
    """S1 has told its client of a commit, S2 has carried it out, and S3 has not heard of it."""
    heard = [(TX, True) in world.node(name).outcomes for name in ("S2", "S3")]
    return world.node("S1").told == (TX, True) and heard == [True, False]


def aborted_and_unheard(world: World) -> bool:
    """S1 has given up waiting for votes, and S2 is prepared and has not heard of it."""
    return world.node("S1").told == (TX, False) and in_doubt("S2")(world)


def in_doubt(*names: NodeId) -> Goal:
    """These have the transaction prepared."""

    def goal(world: World) -> bool:
        branches = [world.node(name).branches.get(TX) for name in names]
        return all(branch is not None and branch.prepared for branch in branches)

    return goal


def voted_yes_and_not_heard(world: World) -> bool:
    """S2 and S3 are prepared, and one vote is still under way."""
    return in_doubt("S2", "S3")(world) and under_way(Vote(TX, Answer.YES))(world)


def not_asked_yet(world: World) -> bool:
    """S2 is prepared, and S3 has not been asked yet."""
    return in_doubt("S2")(world) and under_way(Prepare)(world)


def decided_below(world: World) -> bool:
    """Everybody has voted, and the decision is under way down the tree."""
    return in_doubt("S2", "S3")(world) and under_way(Decide)(world)


# ------------------------------------------------------------ simulated runs


def work_of(random: Any, names: tuple[NodeId, ...]) -> Work:
    """A transfer among two or three nodes, or a look at all their accounts."""
    chosen = random.sample(names, random.choice((2, 2, 3)))
    if random.random() < 0.3:
        return tuple([(name, (Read("x"), Read("y"))) for name in chosen])
    amounts = [1 - len(chosen), *[1] * (len(chosen) - 1)]
    return tuple([(name, (Add(random.choice("xy"), amount),)) for name, amount in zip(chosen, amounts, strict=True)])


def bank(node_class: type[Any], seed: int, clients: int = 3, turns: int = 8) -> list[Any]:
    """Four nodes with two accounts each, and clients that transfer between them. Where a tree needs it, S1 begins all
    transactions, each over all the others."""
    names, random = node_names(4), Seeds(seed).stream("work")
    nodes = cluster(node_class, names, initial=ACCOUNTS)
    asked, made = names, work_of
    if issubclass(node_class, TreeCommit):
        nodes = cluster(node_class, names, initial=ACCOUNTS, above=(("S3", "S2"), ("S4", "S3")))
        asked, made = ("S1",), lambda random, names: tuple([
            (name, (Add(account, 1 if name != "S2" else -2),))
            for account in random.choice("xy") for name in names[1:]
        ])  # fmt: skip
    for number in range(1, clients + 1):
        commands = tuple([Begin(made(random, names)) for _ in range(turns)])
        nodes.append(Teller(f"C{number}", asked, commands, think_ms=(0, 40), start_ms=(0, 60), timeout_ms=300))
    return nodes


def under_nemesis(node_class: type[Any], seed: int) -> Cluster:
    """Clients under load; nodes crash and come back, links break."""
    members = bank(node_class, seed)
    nemesis = Nemesis(("crash", "crash", "partition", "one_way"), gap_ms=60, length_ms=50)
    faults = nemesis.schedule(node_names(4), seed, FAULTS_UNTIL_MS)
    return Cluster(members, LOSSY, seed=seed, faults=faults, invariants=commit_invariants())


def model_of_run(node_class: type[Any], seed: int) -> ClusterModel:
    """The explorer's model of the same cluster."""
    return ClusterModel(lambda: bank(node_class, seed), invariants=commit_invariants())


def on_slow_disks(node_class: type[Any], seed: int) -> Cluster:
    """The same, where a crash loses what is not written yet."""
    faults = Nemesis(("crash",), gap_ms=40, length_ms=30).schedule(node_names(4), seed, FAULTS_UNTIL_MS)
    network = Network(Uniform(1, 5), disk=Uniform(5, 30), write_cache=True)
    return Cluster(bank(node_class, seed), network, seed=seed, faults=faults)


def broken_word(running: Cluster) -> str:
    """That a client was told other than what became of its transaction, or that two nodes have it differently."""
    nodes = [node for node in running.nodes.values() if isinstance(node, TwoPhaseCommit)]
    known: dict[str, tuple[bool, str]] = {}
    told = [
        (one.event.result.transaction, one.event.result.commit, f"told to {one.node}")
        for one in running.outputs if isinstance(one.event, Returned) and one.event.result is not None
    ]  # fmt: skip
    seen = [(transaction, commit, f"at {node.id}") for node in nodes for transaction, commit in sorted(node.ended)]
    for transaction, commit, where in (*told, *seen):
        before = known.setdefault(transaction, (commit, where))
        if before[0] != commit:
            words = {True: "committed", False: "aborted"}
            return f"{transaction} is {words[before[0]]}, {before[1]}, and {words[commit]}, {where}"
    return ""


def calm(node_class: type[Any], seed: int) -> Cluster:
    """Load, two nodes that crash and come back, and one that is cut off for a while."""
    name, other = node_names(4)[seed % 4], node_names(4)[(seed + 1) % 4]
    rest = tuple(one for one in node_names(4) if one != other)
    faults = (
        Crash(20.0 + 3 * seed % 50, name, 150.0),
        Crash(22.0 + 3 * seed % 50, node_names(4)[(seed + 2) % 4], 40.0),
        OneWay(60.0, (other,), rest, 80.0),
        OneWay(90.0, rest, (name,), 80.0),
    )
    return Cluster(bank(node_class, seed), Network(Uniform(1, 5)), seed=seed, faults=faults)


def looking(node_class: type[Any], seed: int) -> Cluster:
    """Clients that look at what they move, before and after, or at all accounts; a node crashes and comes back. At
    every third seed one client is alone, so that who has only read may leave with its vote. In a tree, S1 begins all,
    and S3 is reached through S2."""
    names, random, alone = node_names(3), Seeds(seed).stream("work"), seed % 3 == 0
    is_tree = issubclass(node_class, TreeCommit)
    nodes = cluster(node_class, names, initial=ACCOUNTS, read_only_votes=alone, **(TREE if is_tree else {}))
    roots, movers = (names[:1], names[1:]) if is_tree else (names, names)
    all_of_them = Begin(tuple([(name, (Read("x"), Read("y"))) for name in names]))
    for number in (1,) if alone else (1, 2, 3):
        moved = [random.sample(movers, 2) for _ in range(5)]
        commands = [
            Begin(tuple([(name, (Read("x"), *part, Read("x"))) for name, part in transfer(one, other)]))
            for one, other in moved
        ]  # fmt: skip
        asked = tuple(random.sample([*commands, *[all_of_them] * 3], 8))
        nodes.append(Teller(f"C{number}", roots, asked, think_ms=(0, 40), start_ms=(0, 60), timeout_ms=300))
    faults = [Crash(40.0 + 10 * seed, names[seed % 3], 40.0)]
    return Cluster(nodes, Network(Uniform(1, 5)), seed=seed, faults=faults)


def unfinished(running: Cluster) -> str:
    """That a transaction is still open, or that none was ever committed."""
    nodes = [node for node in running.nodes.values() if isinstance(node, TwoPhaseCommit)]
    clients = [node for node in running.nodes.values() if isinstance(node, Teller)]

    def over(_: Cluster) -> bool:
        asked = all(client.serial == len(client.commands) and not client.waiting for client in clients)
        return asked and not any(node.open_here() for node in nodes)

    if not happens(running, CALM_MS, over):
        left = [f"{node.id} has {', '.join(node.open_here())}" for node in nodes if node.open_here()]
        return f"after {CALM_MS:,.0f} ms of calm, {'; '.join(left) or 'clients are not done'}"
    if not any(isinstance(one.event, Told) and one.event.commit for one in running.outputs):
        return "of all transactions, none was committed"
    return ""


def undisturbed(node_class: type[Any], seed: int, readers_leave: bool = True) -> Cluster:
    """One client, no failure, and money enough; who has only read, leaves with its vote."""
    names, random = node_names(3), Seeds(seed).stream("work")
    nodes = cluster(node_class, names, initial=ACCOUNTS, read_only_votes=readers_leave)
    look = Begin(tuple([(name, (Read("x"),)) for name in names]))
    commands = (look, Begin(READS_AND_WRITES), *[Begin(work_of(random, names)) for _ in range(3)])
    nodes.append(Teller("C1", names, commands, timeout_ms=300))
    return Cluster(nodes, Network(Uniform(1, 5)), seed=seed)


def not_all_committed(running: Cluster) -> str:
    """That a transaction was aborted for no reason (AC4)."""
    running.run(CALM_MS)
    told = [one.event.result for one in running.outputs if isinstance(one.event, Returned)]
    refused = [str(one) if one else "one that nobody answered" for one in told if one is None or not one.commit]
    return f"nothing failed, and not committed is: {', '.join(refused)}" if refused else ""


def crossing(node_class: type[Any], seed: int, patient: bool = True) -> Cluster:
    """Clients move money to and fro between two accounts, or round between three. If ``patient``, no coordinator ever
    gives up waiting for a vote."""
    names = node_names(2 + seed % 2)
    patience = {"vote_ms": None, "inquire_ms": None} if patient else {}
    nodes = cluster(node_class, names, initial=(("x", 100),), **patience)
    for number in range(4):
        one, other = names[number % len(names)], names[(number + 1) % len(names)]
        commands = tuple([Begin(transfer(one, other))] * 6)
        nodes.append(Teller(f"C{number + 1}", (one,), commands, think_ms=(0, 5), start_ms=(0, 5), timeout_ms=2_000))
    return Cluster(nodes, Network(Uniform(1, LATE_MS / 2)), seed=seed, invariants=commit_invariants())


def crossing_to_the_end(node_class: type[Any], seed: int) -> Cluster:
    """The same; but where the class has no other end to deadlocks, coordinators lose patience."""
    return crossing(node_class, seed, patient=issubclass(node_class, GivesWay))


def wounds_the_oldest(running: Cluster) -> str:
    """That a transaction gave way although no older one was under way in all its time, or just before: what that has
    sent may come late."""
    running.run(CALM_MS)
    began = {one.event.transaction: (one.time_ms, one.event.transaction) for one in running.outputs
             if isinstance(one.event, Begun)}  # fmt: skip
    told = {one.event.transaction: one for one in running.outputs if isinstance(one.event, Told)}
    for transaction, one in told.items():
        older = [other for other, age in began.items() if age < began[transaction]]
        met = [other for other in older if other not in told or told[other].time_ms + LATE_MS > began[transaction][0]]
        if not one.event.commit and not met:
            return f"{transaction} was aborted at {one.time_ms:,.1f} ms, and no older one was under way in its time"
    return ""


def in_line(node_class: type[Any], seed: int) -> Cluster:
    """Clients all want the one account at S1, where no circle is possible; and no coordinator gives up waiting."""
    names = node_names(2)
    nodes = cluster(node_class, names, vote_ms=None, inquire_ms=None)
    commands = tuple([Begin((("S1", (Add("x", 1),)),))] * 5)
    nodes += [
        Teller(f"C{one}", names, commands, think_ms=(0, 5), start_ms=(0, 5), timeout_ms=1_000) for one in (1, 2, 3)
    ]
    return Cluster(nodes, Network(Uniform(1, 8)), seed=seed)


FAULTS = Simulation(
    under_nemesis, watched(UNTIL_MS), SEEDS, f"simulated runs of {UNTIL_MS:g} ms", (0, UNTIL_MS), model=model_of_run
)
SLOW_DISKS = Simulation(
    on_slow_disks, after(UNTIL_MS, broken_word), SEEDS, "simulated runs on slow disks with a write cache",
    (0, UNTIL_MS), LINEARIZABILITY,
)  # fmt: skip
READS = Simulation(
    looking, after(UNTIL_MS, not_strictly_serializable), FEW_SEEDS, "simulated histories", (0, UNTIL_MS),
    LINEARIZABILITY,
)  # fmt: skip
ENDS = Simulation(calm, unfinished, FEW_SEEDS, "simulated runs with crashes that end", (0, CALM_MS), LIVENESS)
UNDISTURBED = Simulation(
    undisturbed, not_all_committed, range(1, 7), "simulated runs without a failure", (0, 300), LIVENESS
)
AGES = Simulation(crossing, wounds_the_oldest, FEW_SEEDS, "simulated runs of crossing transfers", (0, 500), LIVENESS)
NO_CIRCLE = Simulation(in_line, not_all_committed, FEW_SEEDS, "simulated runs on one account", (0, 500), LIVENESS)
IN_LINE = Simulation(in_line, unfinished, FEW_SEEDS, "simulated runs on one account", (0, 500), LIVENESS)
CROSSING = Simulation(
    crossing_to_the_end, unfinished, FEW_SEEDS, "simulated runs of crossing transfers", (0, 500), LIVENESS
)

# ------------------------------------------------------------ the searches

COMMIT_SEARCHES: tuple[ProtocolSearch, ...] = (
    staged("tree", "what a node in the middle of a tree promises", tree_model,
           Leg({"requests": [("S1", Begin(transfer("S2", "S3")))], "timeouts": {"vote": 1}}, decided_below,
               max_states=30_000),
           Leg({"faults": Faults(crashes=1), "timeouts": {"inquire": 1, "resend": 1}}, max_states=25_000),
           applies_to=TreeCommit),
    staged("a tree of readers", "a node in the middle that has only read", partial(tree_model, read_only_votes=True),
           Leg({"requests": [("S1", Begin(READS_IN_THE_MIDDLE))], "timeouts": {"vote": 1, "inquire": 1},
                "faults": Faults(crashes=1)}, max_states=20_000),
           applies_to=TreeCommit),
    simulated("ages", "the older transaction's right of way", AGES, family="liveness", applies_to=WoundWait),
    simulated("no circle", "transactions that give way though nobody waits in a circle", NO_CIRCLE, family="liveness",
              applies_to=DetectsDeadlocks),
    simulated("crossing transfers", "an end to every deadlock", CROSSING, family="liveness"),
    staged("deadlock", "who gives way, and when it is too late for that", commit_model,
           Leg({"requests": [REQUEST_OF_TWO, OPPOSITE]}, max_states=40_000), applies_to=GivesWay),
    breadth("too little money", "a participant that cannot commit", commit_model, 20_000,
            requests=[TOO_MUCH], faults=Faults(crashes=1)),
    breadth("one short", "the decision, when not all have voted", commit_model, 20_000, requests=[REQUEST]),
    breadth("duplicates", "messages that come twice", commit_model, 30_000, requests=[REQUEST],
            faults=Faults(duplicates=2)),
    breadth("timeouts", "every timer at every moment", commit_model, 60_000, requests=[REQUEST_OF_TWO],
            timeouts={"vote": 1, "inquire": 2}),
    staged("coordinator crashes", "what the coordinator must know after a crash", commit_model,
           Leg({"requests": [REQUEST_OF_TWO]}, decided_and_unheard),
           Leg({"faults": Faults(crashes={"S1": 1}), "timeouts": {"inquire": 2}}, max_states=25_000)),
    staged("coordinator crashes early", "what it must know when it has not decided yet", commit_model,
           Leg({"requests": [REQUEST_OF_TWO]}, not_asked_yet),
           Leg({"faults": Faults(crashes={"S1": 1}), "timeouts": {"inquire": 2, "vote": 1}}, max_states=25_000)),
    staged("participants crash", "what a participant must know after a crash", commit_model,
           Leg({"requests": [REQUEST_OF_TWO]}, voted_yes_and_not_heard),
           Leg({"faults": Faults(crashes={"S2": 1, "S3": 1}), "timeouts": {"inquire": 1}}, max_states=40_000)),
    staged("lost decision", "whom the coordinator must remember", commit_model,
           Leg({"requests": [REQUEST_OF_TWO]}, heard_by_one),
           Leg({"requests": [SMALL], "timeouts": {"inquire": 1}, "faults": Faults(crashes=1)}, max_states=25_000)),
    staged("lost abort", "the same, where it has given up waiting", commit_model,
           Leg({"requests": [REQUEST_OF_TWO], "timeouts": {"S1.vote": 1}}, aborted_and_unheard),
           Leg({"timeouts": {"inquire": 2}, "faults": Faults(crashes=1)}, max_states=25_000)),
    breadth("two at once", "two transactions that need the same accounts", commit_model, 60_000,
            requests=[REQUEST_OF_TWO, ("S1", Begin(transfer("S2", "S3", 10)))]),
    breadth("two coordinators", "the same, with a coordinator each", commit_model, 40_000,
            requests=[REQUEST_OF_TWO, OPPOSITE], timeouts={"vote": 1}),
    breadth("handed over", "a participant that asks another node to coordinate", apart_model, 40_000,
            requests=[HANDED_OVER], timeouts={"vote": 1, "inquire": 1}, faults=Faults(duplicates=1)),
    breadth("readers", "participants that have only read, and leave with their vote", readers_model, 30_000,
            requests=[("S1", Begin(READS_AND_WRITES))], timeouts={"vote": 1, "inquire": 1}, faults=Faults(crashes=1)),
    simulated("simulated faults", "real timers, clients; crashes, partitions, loss", FAULTS),
    simulated("slow disks", "what is told before it is written", SLOW_DISKS, family="histories"),
    simulated("reads", "what clients are told of the balances", READS, family="histories"),
    simulated("ends", "a protocol that is safe because it does nothing", ENDS, family="liveness"),
    simulated("undisturbed", "that transactions are committed where nothing fails", UNDISTURBED, family="liveness"),
    simulated("in line", "an end to all waiting, where nobody waits in a circle", IN_LINE, family="liveness"),
    walks("random walks", "long mixtures of everything", commit_model, 200, 80,
          requests=[REQUEST, REQUEST_OF_TWO, OPPOSITE], timeouts={"vote": 2, "inquire": 4, "resend": 2},
          faults=Faults(crashes=3, duplicates=2)),
)  # fmt: skip
"""Every search that a class of two-phase commit has to stand; all that the course ships passes those that apply."""
