"""Every protocol under a nemesis, over many seeds: ``python -m tests.nemesis --seeds 10000 --processes 2``.

Each seed makes up a cluster (size, quorums, timeouts), a network (loss, duplication, reordering, latency, disk), a
fault schedule (crashes, pauses, partitions of three kinds, slow nodes and links, clock drift) and clients, which crash,
too, and runs them for one or two seconds of virtual time. The protocol's invariants are watched after every
event; at the end, servers that applied equally much must agree, and the clients' history must be linearizable. After
transactions, all is repaired and the run goes on until nothing is open: no money may be lost, nobody left in doubt.

A run in which nothing happens proves nothing. So every kind of fault and every event that a protocol is about is
counted, and a count that stays at zero over all seeds of a protocol is a failure, as every broken promise is; those
are named with their seed. Exits with 1 if there was one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter as Tally
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import Pool
from random import Random
from typing import Any

from distlib.check.history.linearizability import Verdict, check
from distlib.core.fault import (
    Bridge,
    Crash,
    Drift,
    Fault,
    Heal,
    Nemesis,
    OneWay,
    Partition,
    Pause,
    Restart,
    Resume,
    SlowLink,
    SlowNode,
)
from distlib.core.invariant import Invariant
from distlib.core.node import Node, NodeId, node_names, with_peers
from distlib.core.seeds import Seeds
from distlib.core.trace import Trace
from distlib.paxos.invariants import multi_paxos_invariants, paxos_invariants
from distlib.paxos.message import Learned, Nack, Promise
from distlib.paxos.multi_paxos import MultiPaxos
from distlib.paxos.multi_paxos_message import ChosenEntries, Slot
from distlib.paxos.paxos import Paxos
from distlib.raft.invariants import raft_invariants
from distlib.raft.membership import AddServer, Membership, RemoveServer
from distlib.raft.message import AppendReply, RequestVote
from distlib.raft.raft import Raft, Read
from distlib.raft.snapshot import Snapshots
from distlib.raft.variants import LeaderLease, LeaderStickiness, PreVote, PreVoteReply
from distlib.replication.client import Client
from distlib.replication.invariants import primary_backup_invariants
from distlib.replication.message import STALE, ClientReply, ClientRequest
from distlib.replication.primary_backup import MONITOR, HandOver, Monitor, PrimaryBackup
from distlib.replication.state_machine import Add, CompareAndSet, Get, Put
from distlib.sim.cluster import Cluster
from distlib.sim.latency import ExponentialLatency, LogNormalLatency, Uniform
from distlib.sim.network import Network
from distlib.transactions.deadlocks import DetectsDeadlocks, WoundWait
from distlib.transactions.flexible.at_mode import ATMode
from distlib.transactions.flexible.invariants import (
    at_invariants,
    messaging_invariants,
    saga_invariants,
    tcc_invariants,
)
from distlib.transactions.flexible.message import Ended
from distlib.transactions.flexible.messaging import BestEffort, Outbox, TransactionalMessage
from distlib.transactions.flexible.saga import ChoreographedSaga, Saga
from distlib.transactions.flexible.tcc import TCC
from distlib.transactions.invariants import commit_invariants
from distlib.transactions.message import Inquire, Instance, Probe, StageRequest, Told, Wound, Wrote
from distlib.transactions.paxos_commit import PaxosCommit
from distlib.transactions.presumptions import PresumedAbort, PresumedCommit
from distlib.transactions.quorum_commit import QuorumCommit
from distlib.transactions.tree import TreeCommit
from distlib.transactions.two_phase import TwoPhaseCommit
from tests.raft.clusters import Counter, history
from tests.transactions.under_nemesis import (
    DOUBT,
    commit_nodes,
    commits_end,
    services,
    services_end,
    tellers,
    three_steps,
    two_parts,
)

FAULTS_UNTIL_MS, HEALED_MS, END_MS = 750.0, 900.0, 1_150.0
OPERATIONS = 42
SIZES = (1, 2, 3, 3, 3, 4, 5, 5, 5, 5)

# --- what is told beside what the protocols tell ---------------------------------------------------------


@dataclass(frozen=True)
class Noted:
    """An event that is counted."""

    what: str


class NotesReads(Raft):
    def may_answer(self, read: Read) -> bool:
        may = super().may_answer(read)
        if may:
            leased = isinstance(self, LeaderLease) and self.has_lease()
            self.output(Noted("reads under a lease" if leased else "reads after a round"))
        return may


class NotesRefusals(NotesReads, LeaderStickiness):
    def on_request_vote(self, sender: NodeId, request: RequestVote) -> None:
        if self.has_leader():
            self.output(Noted("votes refused by a leader" if self.role.value == "leader" else "votes refused"))
        super().on_request_vote(sender, request)


class NotesHoles(MultiPaxos):
    def learn(self, slot: Slot, request: ClientRequest) -> None:
        super().learn(slot, request)
        if slot in self.learnt:
            self.output(Noted("learnt behind a hole"))

    def fill_hole(self, slot: Slot) -> ClientRequest:
        self.output(Noted("holes filled"))
        return super().fill_hole(slot)


class NotedPreVote(NotesRefusals, PreVote): ...


class NotedLease(NotesRefusals, LeaderLease): ...


class NotedSnapshots(NotesReads, Snapshots): ...


class NotedMembership(NotesReads, Membership): ...


class Everything(NotesRefusals, Membership, PreVote, LeaderLease): ...


OUTPUTS = {
    "BecameLeader": "leaders elected", "BallotStarted": "ballots begun", "Chosen": "values learnt",
    "SnapshotTaken": "snapshots taken", "SnapshotInstalled": "snapshots installed", "ViewStarted": "views begun",
    "ConfigurationCommitted": "configurations committed", "Applied": "commands applied",
    "Invoked": "operations called", "Returned": "operations returned",
    "Begun": "transactions begun", "Began": "transactions begun", "Refused": "refusals",
}  # fmt: skip
FAULTS: dict[type, str] = {
    Crash: "crashes", Pause: "pauses", Partition: "partitions", OneWay: "one-way partitions",
    Bridge: "bridge partitions", SlowNode: "slow nodes", SlowLink: "slow links", Drift: "clock drifts",
}  # fmt: skip
NETWORK = ("crashes survived", "runs with loss", "runs with duplicates", "runs with reordering", "runs with a disk")


def said(message: Any) -> str:
    """What is to be counted of a message that is sent; nothing is said by most."""
    match message:
        case ClientReply(result=result) if result == STALE:
            return "stale requests"
        case ClientReply(ok=False, leader=leader) if leader is not None:
            return "redirects"
        case PreVoteReply(granted=False):
            return "pre-votes refused"
        case AppendReply(conflict_index=index) if index is not None:
            return "logs in conflict"
        case Promise(accepted_value=value) if value is not None:
            return "promises that report"
        case Instance():
            return said(message.message)
    return SAID.get(type(message), "")


SAID: dict[type, str] = {
    Nack: "nacks", Learned: "laggards told", ChosenEntries: "laggards told", HandOver: "logs handed over",
    Inquire: "inquiries", StageRequest: "attempts to end it", Wound: "wounds", Probe: "probes",
}  # fmt: skip


def noted(event: Any) -> str:
    """What is to be counted of an event that is told."""
    match event:
        case Noted():
            return event.what
        case Told():
            return "commits told" if event.commit else "aborts told"
        case Wrote():
            return "records forced" if event.forced else "records written"
        case Ended():
            return "done as a whole" if event.done else "not done at all"
    return OUTPUTS[type(event).__name__]


# --- the protocols -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A protocol under the nemesis: ``make`` servers of these names, what must hold, which ``events`` beside those
    of faults and clients must have happened, and how many ``clients`` share the operations (0: it takes no commands).
    Where those are of another kind, ``ask`` makes the clients, and ``end`` runs on when all is repaired and says what
    is wrong then. ``roles`` are those whose holders crash beside all others; it takes ``least`` nodes.
    """

    name: str
    make: Callable[[Random, tuple[NodeId, ...]], list[Any]]
    invariants: Callable[[], Sequence[Invariant]]
    events: tuple[str, ...]
    clients: int = 3
    ask: Callable[[Random, Sequence[Any]], list[Node]] | None = None
    end: Callable[[Cluster, Tally[str]], list[str]] | None = None
    roles: tuple[str, ...] = ("leader", "primary")
    least: int = 1

    def counted(self) -> tuple[str, ...]:
        """All that must not stay at zero."""
        asked = ("operations called", "operations returned", "redirects", "stale requests", "histories linearizable")
        return (*FAULTS.values(), *NETWORK, *self.events, *(asked if self.clients else ()))


def raft(node_class: type[Raft], random: Random, names: tuple[NodeId, ...]) -> list[Any]:
    """Servers of ``node_class``; where they can, some of them form the first configuration."""
    settings: dict[str, Any] = {
        "election_timeout_ms": random.choice([(150, 300), (100, 120), (50, 200)]),
        "heartbeat_ms": random.choice([20, 40]),
        "batch": random.choice([2, 8, 64]),
    }
    if issubclass(node_class, Snapshots):
        settings["snapshot_after"] = random.choice([3, 10, 30])
    if issubclass(node_class, Membership) and len(names) > 2:
        settings["initial_servers"] = names[: random.randint(1, len(names))]
    return with_peers(node_class, names, **settings)


def quorums(random: Random, count: int, flexible: bool) -> dict[str, Any]:
    """Majorities, or quorums of both phases that intersect, some by more than one acceptor."""
    if not flexible:
        return {}
    phase1 = random.randint(1, count)
    return {"phase1_quorum": phase1, "phase2_quorum": random.randint(count + 1 - phase1, count)}


def paxos(flexible: bool, random: Random, names: tuple[NodeId, ...]) -> list[Any]:
    """Nodes of which some propose, some don't accept and some don't learn."""
    acceptors = names[: random.randint(max(1, len(names) - 1), len(names))]
    learners = random.choice([None, (), names[-2:]])
    values = dict(zip(random.sample(names, min(len(names), 3)), "abc", strict=False))
    settings = {"backoff_ms": random.choice([(5, 15), (0, 40)]), **quorums(random, len(acceptors), flexible)}
    return [Paxos(name, acceptors, value=values.get(name), learners=learners, **settings) for name in names]


def multi_paxos(flexible: bool, random: Random, names: tuple[NodeId, ...]) -> list[Any]:
    """Servers of Multi-Paxos."""
    settings: dict[str, Any] = {
        "suspect_ms": random.choice([(150, 300), (100, 120), (50, 200)]),
        "heartbeat_ms": random.choice([20, 40, 80]),
        "batch": random.choice([1, 2, 64]),
        **quorums(random, len(names), flexible),
    }
    return with_peers(NotesHoles, names, **settings)


def primary_backup(random: Random, names: tuple[NodeId, ...]) -> list[Any]:
    """A monitor and its servers."""
    report_ms = random.choice([15, 40])
    silence_ms = report_ms * random.choice([2, 3])
    return [Monitor(MONITOR, names, silence_ms), *(PrimaryBackup(name, report_ms=report_ms) for name in names)]


def commits(node_class: type[Any], *events: str, settled: str = "inquiries") -> Case:
    """A class of atomic commitment: what it is about, beside ``events``, and how those in doubt ask."""
    return Case(
        node_class.__name__, partial(commit_nodes, node_class), commit_invariants, (*COMMITS, settled, *events), 0,
        tellers, commits_end, ("collecting votes", "decided", "in doubt"),
    )  # fmt: skip


def flexible(node_class: type[Any], invariants: Callable[[], Sequence[Invariant]], ask: Any) -> Case:
    """A class of flexible transactions."""
    return Case(
        node_class.__name__, partial(services, node_class), invariants, FLEXIBLE, 0, ask, services_end,
        ("coordinates", "goes back", "holds"), 3,
    )  # fmt: skip


COMMITS = ("transactions begun", "commits told", "aborts told", "refusals", "records forced", DOUBT,
           "operations called", "operations returned")  # fmt: skip
FLEXIBLE = ("transactions begun", "done as a whole", "not done at all", "commands applied", "open when all is repaired")
DECISION = ("ballots begun", "promises that report", "nacks", "values learnt", "laggards told")
SLOTS = ("leaders elected", "ballots begun", "nacks", "commands applied", "laggards told", "holes filled",
         "learnt behind a hole")  # fmt: skip
LOG = ("leaders elected", "commands applied", "logs in conflict", "reads after a round")
REFUSALS = ("votes refused", "votes refused by a leader")
SNAPSHOTS = ("snapshots taken", "snapshots installed")
CASES = (
    Case("Paxos", partial(paxos, False), paxos_invariants, DECISION, clients=0),
    Case("Flexible Paxos", partial(paxos, True), paxos_invariants, DECISION, clients=0),
    Case("Multi-Paxos", partial(multi_paxos, False), multi_paxos_invariants, SLOTS, clients=7),
    Case("Flexible Multi-Paxos", partial(multi_paxos, True), multi_paxos_invariants, SLOTS, clients=7),
    Case("Raft", partial(raft, NotesReads), raft_invariants, LOG),
    Case("Raft, Pre-Vote", partial(raft, NotedPreVote), raft_invariants, (*LOG, *REFUSALS, "pre-votes refused")),
    Case("Raft, stickiness", partial(raft, NotesRefusals), raft_invariants, (*LOG, *REFUSALS)),
    Case("Raft, leases", partial(raft, NotedLease), raft_invariants, (*LOG, *REFUSALS, "reads under a lease")),
    Case("Raft, snapshots", partial(raft, NotedSnapshots), raft_invariants, (*LOG, *SNAPSHOTS)),
    Case("Raft, membership", partial(raft, NotedMembership), raft_invariants,
         (*LOG, *SNAPSHOTS, "configurations committed")),
    Case("Raft, everything", partial(raft, Everything), raft_invariants,
         (*LOG, *REFUSALS, *SNAPSHOTS, "pre-votes refused", "reads under a lease", "configurations committed")),
    Case("Primary-backup", primary_backup, primary_backup_invariants,
         ("views begun", "commands applied", "logs handed over")),
    commits(TwoPhaseCommit), commits(PresumedAbort), commits(PresumedCommit), commits(WoundWait, "wounds"),
    commits(DetectsDeadlocks, "probes", "wounds"), commits(TreeCommit),
    commits(QuorumCommit, settled="attempts to end it"), commits(PaxosCommit, settled="promises that report"),
    flexible(Saga, saga_invariants, three_steps), flexible(ChoreographedSaga, saga_invariants, three_steps),
    flexible(TCC, tcc_invariants, three_steps), flexible(ATMode, at_invariants, three_steps),
    flexible(Outbox, messaging_invariants, two_parts), flexible(TransactionalMessage, messaging_invariants, two_parts),
    flexible(BestEffort, messaging_invariants, two_parts),
)  # fmt: skip

# --- one run -----------------------------------------------------------------------------------------------


def run(case: Case, seed: int) -> tuple[Tally[str], list[str]]:
    """One seed: what happened, and what broke."""
    world = build(case, seed)
    happened: Tally[str] = Tally()
    send = world.wire.send

    def count_and_send(sender: NodeId, outbox: list[tuple[NodeId, Any]]) -> None:
        happened.update([said(message) for _, message in outbox])
        send(sender, outbox)

    world.wire.send = count_and_send  # type: ignore[method-assign]
    longer_ms = END_MS if seed % 10 == 0 else 0.0
    trace = world.run((HEALED_MS if case.end else END_MS) + longer_ms)
    wrong = case.end(world, happened) if case.end else []
    trace = world.trace(trace.stopped) if case.end else trace
    problems = wrong + [str(violation) for violation in trace.violations] + disagreements(world)
    if case.clients:
        verdict = check(history(trace.outputs), Counter(), configuration_limit=200_000).verdict
        happened[f"histories {verdict.value}"] = 1
        if verdict is Verdict.NOT_LINEARIZABLE:
            problems.append("the clients' history is not linearizable")
    happened.update(tally(world, trace))
    del happened[""]
    return happened, problems


def build(case: Case, seed: int) -> Cluster:
    """The cluster, its faults and its clients that ``seed`` makes up; every tenth one suffers twice as long."""
    random, longer_ms = Seeds(seed).stream("plan", case.name), END_MS if seed % 10 == 0 else 0.0
    names = node_names(max(case.least, random.choice(SIZES)))
    servers = case.make(random, names)
    members = tuple(one.id for one in servers)
    clients = clients_of(case, random, names) if case.clients else []
    clients += case.ask(random, servers) if case.ask else []
    until_ms, healed_ms = FAULTS_UNTIL_MS + longer_ms, HEALED_MS + longer_ms
    faults = [
        with_clients(fault, [client.id for client in clients], random)
        for fault in nemesis(random).schedule(members, seed, until_ms)
    ]
    for role in case.roles * 2:
        faults.append(Crash(random.uniform(100, until_ms), f"@{role}", random.uniform(0, 300)))
    for one in clients:  # what was under way is abandoned, and may arrive after what is asked next
        faults += [Crash(random.uniform(100, until_ms), one.id, random.uniform(0, 3)) for _ in range(4)]
    ends: list[Fault] = [Heal(healed_ms)]
    for one in members:
        ends += [Restart(healed_ms, one), Resume(healed_ms, one)]
    invariants = case.invariants()
    return Cluster(
        [*servers, *clients], network(random), seed=seed, faults=(*faults, *ends), invariants=invariants, record=False
    )


def clients_of(case: Case, random: Random, names: tuple[NodeId, ...]) -> list[Node]:
    """Clients, of which one knows a single server, perhaps a leader of the past; and an administrator."""
    clients: list[Node] = []
    for number in range(case.clients):
        known, asked = names if number else (random.choice(names),), commands(random, OPERATIONS // case.clients)
        clients.append(
            Client(
                f"C{number}", known, asked, think_ms=random.choice([(0, 5), (0, 90)]), start_ms=(0, 2), timeout_ms=100
            )
        )
    if "configurations committed" in case.events:
        changes = tuple(random.choice([AddServer, RemoveServer])(random.choice(names)) for _ in range(8))
        clients.append(Client("Admin", names, changes, think_ms=(0, 100), timeout_ms=100))
    return clients


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
    return Nemesis(gap_ms=random.choice([30, 80, 200]), length_ms=random.choice([30, 100, 250]), drift=0.1)


def network(random: Random) -> Network:
    """From nearly perfect to dreadful."""
    latency = random.choice([Uniform(1, 3), Uniform(0, 20), ExponentialLatency(5, 1), LogNormalLatency(4, 1.0)])
    return Network(
        latency,
        loss=random.choice([0, 0.02, 0.1, 0.3, 0.5]),
        duplication=random.choice([0, 0.05, 0.2]),
        reordering=random.choice([0, 0.1, 0.3]),
        reorder_ms=random.choice([10, 80]),
        disk=random.choice([None, None, Uniform(1, 8)]),
    )


def commands(random: Random, count: int) -> tuple[Any, ...]:
    """What one client asks; written values are unique, so that a lost or repeated write shows."""
    made: list[Any] = []
    for _ in range(count):
        key, value = random.choice("xy"), random.randrange(1, 6)
        choices = [Get(key), Put(key, random.randrange(10_000)), Add(key, 1), CompareAndSet(key, value, value + 1)]
        made.append(random.choice(choices))
    return tuple(made)


def disagreements(world: Cluster) -> list[str]:
    """Pairs of servers that applied equally much and yet differ."""
    seen: dict[int, tuple[str, Any]] = {}
    found = []
    for name, node in world.nodes.items():
        applied = getattr(node, "last_applied", getattr(node, "applied", 0))
        if applied:
            state = (node.machine_state, node.sessions)  # type: ignore[attr-defined]
            other = seen.setdefault(applied, (name, state))
            if other[1] != state:
                found.append(f"{other[0]} and {name} applied {applied} entries and differ")
    return found


def tally(world: Cluster, trace: Trace) -> Tally[str]:
    """What happened in one run, beside what was said."""
    told: Tally[str] = Tally()
    for one in trace.outputs:
        told[noted(one.event)] += 1
    for one in trace.faults:
        told[FAULTS.get(type(one.event), "")] += 1
    crashed = [one.node for one in trace.faults if isinstance(one.event, Crash)]
    told["crashes survived"] = sum(world.is_up(node) for node in crashed if node is not None)
    told["events"] = trace.events
    net = world.network
    conditions = (net.loss, trace.duplicates, net.reordering, net.disk)
    told.update({name: int(bool(met)) for name, met in zip(NETWORK[1:], conditions, strict=True)})
    return told


# --- the campaign ------------------------------------------------------------------------------------------

Problem = tuple[str, int, str]
"""The protocol, the seed, and what broke."""


def campaign(
    cases: Sequence[Case], seeds: range, processes: int = 1, progress: bool = False
) -> tuple[dict[str, Tally[str]], list[Problem]]:
    """All ``seeds`` of all ``cases``: the sums of each, and every problem; a count of zero is one, of seed -1."""
    totals = {case.name: Tally[str]() for case in cases}
    problems: list[Problem] = []
    jobs = [(case, seed) for seed in seeds for case in cases]
    began, pool = time.monotonic(), Pool(processes) if processes > 1 else None
    outcomes = pool.imap_unordered(_run, jobs, 20) if pool is not None else map(_run, jobs)
    for done, (name, seed, happened, broken) in enumerate(outcomes, 1):
        totals[name].update(happened)
        for what in broken:
            problems.append((name, seed, what))
            print(f"\n{name}, seed {seed}: {what}", flush=True)
        if progress and (done % max(1, len(jobs) // 200) == 0 or done == len(jobs)):
            left_s = (time.monotonic() - began) / done * (len(jobs) - done)
            line = f"\r{done}/{len(jobs)} runs, {len(problems)} problems, {left_s:.0f} s left   "
            print(line, end="", file=sys.stderr, flush=True)
    if pool is not None:
        pool.close()
        pool.join()
    for case in cases:
        problems += [(case.name, -1, f"{what}: none") for what in case.counted() if not totals[case.name][what]]
    return totals, problems


def _run(job: tuple[Case, int]) -> tuple[str, int, Tally[str], list[str]]:
    case, seed = job
    began_s = time.process_time()
    happened, problems = run(case, seed)
    happened["CPU time (ms)"] = round(1_000 * (time.process_time() - began_s))
    return case.name, seed, happened, problems


def table(totals: dict[str, Tally[str]]) -> str:
    """The counts, a line each, a column a protocol."""
    rows = dict.fromkeys(name for case in CASES for name in ("events", "CPU time (ms)", *case.counted()))
    rows |= dict.fromkeys(sorted({name for total in totals.values() for name in total}))
    width = max(map(len, rows))
    lines = [f"{number}. {name}" for number, name in enumerate(totals, 1)]
    lines.append(" " * width + "".join(f"{number:>12}" for number in range(1, len(totals) + 1)))
    for row in rows:
        counts = [f"{total[row]:,}" if total[row] else "" for total in totals.values()]
        lines.append(row.ljust(width) + "".join(f"{count:>12}" for count in counts))
    return "\n".join(lines)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.nemesis", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many of each protocol (default 100)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--processes", type=int, default=1, help="how many at once (default 1)")
    parser.add_argument("--only", choices=[case.name for case in CASES], help="one protocol")
    options = parser.parse_args()
    cases = [case for case in CASES if options.only in (None, case.name)]
    began = time.monotonic()
    totals, problems = campaign(
        cases, range(options.first, options.first + options.seeds), options.processes, progress=True
    )
    spent, runs = time.monotonic() - began, options.seeds * len(cases)
    print(f"\n{table(totals)}\n{runs:,} runs in {spent:,.0f} s, {runs / spent:.1f} seeds/s, {len(problems)} problems")
    for name, seed, what in problems:
        print(f"{name}, {'all seeds' if seed < 0 else f'seed {seed}'}: {what}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
