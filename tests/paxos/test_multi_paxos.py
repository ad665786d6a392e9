"""Multi-Paxos: a log under a leader; holes, laggards, repeated requests; many seeds under faults; bad input."""

from collections import Counter

import pytest

from distlib.core.fault import Crash, Nemesis, Partition
from distlib.paxos.invariants import multi_paxos_invariants
from distlib.paxos.message import Ballot, Nack
from distlib.paxos.multi_paxos import MultiPaxos, Role
from distlib.paxos.multi_paxos_message import (
    NO_OP,
    Accept,
    Accepted,
    BecameLeader,
    ChosenEntries,
    Heartbeat,
    Prepare,
    Promise,
    Proposal,
)
from distlib.replication.client import Client
from distlib.replication.message import STALE, ClientReply, ClientRequest, ReadRequest, Returned
from distlib.replication.state_machine import Add, Get, Put
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Constant
from distlib.sim.network import Network

THREE = ("S1", "S2", "S3")
FIVE = ("S1", "S2", "S3", "S4", "S5")


def servers(names=THREE, cls=MultiPaxos, **settings) -> list[MultiPaxos]:
    return [cls(name, tuple(peer for peer in names if peer != name), **settings) for name in names]


def cluster(nodes, network=None, seed=0, faults=(), record=True) -> Cluster:
    network = network or Network(Constant(10))
    return Cluster(nodes, network, seed=seed, faults=faults, invariants=multi_paxos_invariants(), record=record)


def leader_of(running: Cluster) -> str:
    return next(name for name, node in running.nodes.items() if node.role is Role.LEADER)


def commands(server: MultiPaxos) -> list[str]:
    return [str(request.command) for request in server.log]


def test_a_command_takes_one_round_trip_under_a_leader() -> None:
    running = cluster(servers(suspect_ms=(150, 150)), seed=1)
    running.nodes["S2"].suspect_ms = running.nodes["S3"].suspect_ms = (400, 400)
    running.post(180, "S1", ClientRequest(Put("x", 1)))
    assert list(running.run(220).transcript(routine=False)) == [
        "   150.000 ms  S1 → S1 Prepare ballot=1.S1 first=1",
        "   150.000 ms  S1 → S1 Promise ballot=1.S1 first=1 accepted=[] chosen=[]",
        "   150.000 ms  S1: BallotStarted ballot=1.S1",
        "   160.000 ms  S1 → S2 Prepare ballot=1.S1 first=1",
        "   160.000 ms  S1 → S3 Prepare ballot=1.S1 first=1",
        "   170.000 ms  S2 → S1 Promise ballot=1.S1 first=1 accepted=[] chosen=[]",
        "   170.000 ms  S3 → S1 Promise ballot=1.S1 first=1 accepted=[] chosen=[]",
        "   170.000 ms  S1: BecameLeader ballot=1.S1",
        "   180.000 ms  outside → S1 ClientRequest command=x←1",
        "   180.000 ms  S1 → S1 Accept ballot=1.S1 slot=1 request=ClientRequest(x←1, None, None) chosen_up_to=0",
        "   180.000 ms  S1 → S1 Accepted ballot=1.S1 slot=1",
        "   190.000 ms  S1 → S2 Accept ballot=1.S1 slot=1 request=ClientRequest(x←1, None, None) chosen_up_to=0",
        "   190.000 ms  S1 → S3 Accept ballot=1.S1 slot=1 request=ClientRequest(x←1, None, None) chosen_up_to=0",
        "   200.000 ms  S2 → S1 Accepted ballot=1.S1 slot=1",
        "   200.000 ms  S3 → S1 Accepted ballot=1.S1 slot=1",
        "   200.000 ms  S1: Applied slot=1 command=x←1",
    ]


def test_phase_1_runs_once_for_all_slots() -> None:
    running = cluster(servers(), seed=1)
    running.run(400)
    lead = leader_of(running)
    for number in range(20):
        running.post(400 + number, lead, ClientRequest(Put("x", number)))
    trace = running.run(1500)
    assert commands(running.nodes[lead]) == [f"x←{number}" for number in range(20)]
    assert sum(isinstance(one[4], Prepare) for one in trace.sent) == 3
    assert {len(node.log) for node in running.nodes.values()} == {20}


def test_holes_are_filled_with_no_ops_by_a_new_leader() -> None:
    """§3's example: a new leader finds a proposal for slot 3, but none for slots 1 and 2."""
    server = MultiPaxos("S1", ("S2", "S3"))
    server.start()
    server.timeout("suspicion")
    late = Proposal(Ballot(0, "S9"), ClientRequest(Put("x", 3)))
    server.receive("S2", Promise(server.ballot, 1, ((3, late),)))
    server.receive("S3", Promise(server.ballot, 1))
    assert server.role is Role.LEADER
    assert server.proposals == {1: NO_OP, 2: NO_OP, 3: ClientRequest(Put("x", 3))}
    assert server.next_slot == 4


def test_holes_happen_in_a_cluster_and_hold_nothing_up() -> None:
    """The leader's proposals for the first slots are lost and that for the last is not; then it crashes."""
    seen = 0
    for seed in range(30):
        running = cluster(servers(FIVE), Network(Constant(10), loss=0.6), seed)
        running.run(60_000, until=lambda now: any(node.role is Role.LEADER for node in now.nodes.values()))
        lead = leader_of(running)
        for number in range(6):
            running.post(running.now_ms + number, lead, ClientRequest(Put(f"k{number}", number)))
        running.schedule(Crash(running.now_ms + 12, lead))
        running.run(running.now_ms + 5000)
        alive = [node for name, node in running.nodes.items() if name != lead]
        seen += any("no-op" in commands(node) for node in alive)
        assert not running.violations
        assert all(node.last_applied == len(node.log) for node in alive)
    assert seen >= 5


def test_a_lagging_server_catches_up() -> None:
    """S3 is cut off for 60 commands, more than one batch holds, and gets them all."""
    running = cluster(servers(batch=7), seed=1, faults=(Partition(400, (("S1", "S2"), ("S3",)), 800),))
    running.nodes["S3"].suspect_ms = (5000, 5000)
    running.run(400)
    for number in range(60):
        running.post(500 + 5 * number, leader_of(running), ClientRequest(Put("x", number)))
    running.run(1190)
    assert len(running.nodes["S3"].log) == 0
    trace = running.run(2500)
    assert commands(running.nodes["S3"]) == [f"x←{number}" for number in range(60)]
    assert sum(isinstance(one[4], ChosenEntries) for one in trace.sent) >= 9
    assert not trace.violations


def test_a_repeated_request_is_applied_once_and_answered_alike() -> None:
    server = MultiPaxos("S1", ())
    running = cluster([server, Client("C1", ("S1",))])
    for at_ms in (400, 401, 450):
        running.post(at_ms, "S1", ClientRequest(Add("x", 5), "C1", 1))
    trace = running.run(600)
    replies = [message for *_, message, _ in trace.sent if isinstance(message, ClientReply)]
    assert [reply.result for reply in replies] == [5, 5, 5]
    assert len(server.log) == 1


def test_an_older_request_is_stale_and_gets_no_later_ones_result() -> None:
    running = cluster([MultiPaxos("S1", ()), Client("C1", ("S1",))])
    for at_ms, serial in ((400, 1), (420, 2), (440, 1)):
        running.post(at_ms, "S1", ClientRequest(Add("x", 5), "C1", serial))
    trace = running.run(600)
    replies = [message for *_, message, _ in trace.sent if isinstance(message, ClientReply)]
    assert [(one.ok, one.result) for one in replies] == [(True, 5), (True, 10), (False, STALE)]
    assert running.nodes["S1"].machine_state == (("x", 10),)


def messages(server: MultiPaxos) -> list:
    return [effect.message for effect in server.take_effects() if hasattr(effect, "message")]


def behind_a_hole() -> MultiPaxos:
    """S1, which has accepted 20 for slot 2 and learnt that it is chosen, and knows nothing of slot 1."""
    server = MultiPaxos("S1", ("S2", "S3"))
    server.start()
    server.receive("S2", Accept(Ballot(1, "S2"), 2, ClientRequest(Put("x", 20)), 0))
    server.receive("S2", Heartbeat(Ballot(1, "S2"), 2))
    server.take_effects()
    return server


def test_what_is_chosen_behind_a_hole_is_durable_and_in_every_promise() -> None:
    server = behind_a_hole()
    server.crash()
    server.start()
    server.take_effects()
    for first, chosen in ((1, ((2, ClientRequest(Put("x", 20))),)), (3, ())):
        server.receive("S3", Prepare(Ballot(9, "S3"), first))
        assert messages(server) == [Promise(Ballot(9, "S3"), first, (), chosen)]


def test_a_new_leader_keeps_to_what_an_acceptor_knows_behind_a_hole() -> None:
    """It learns it from the promise, fills the hole, and then applies both."""
    old, new = behind_a_hole(), MultiPaxos("S3", ("S1", "S2"))
    new.start()
    new.timeout("suspicion")
    old.receive("S3", Prepare(new.ballot, 1))
    for sender, promise in (("S3", Promise(new.ballot, 1)), ("S1", messages(old)[0])):
        new.receive(sender, promise)
    assert new.role is Role.LEADER
    assert (new.proposals, new.next_slot) == ({1: NO_OP}, 3)


def test_an_acceptor_acknowledges_no_other_value_than_the_chosen_one() -> None:
    server = behind_a_hole()
    server.receive("S3", Accept(Ballot(9, "S3"), 2, ClientRequest(Put("x", 99)), 0))
    assert messages(server) == [ChosenEntries(2, (ClientRequest(Put("x", 20)),))]
    server.receive("S3", Accept(Ballot(9, "S3"), 2, ClientRequest(Put("x", 20)), 0))
    assert messages(server) == [Accepted(Ballot(9, "S3"), 2)]
    assert not server.accepted


def test_a_leader_that_hears_of_another_value_was_overtaken_and_its_client_asks_again() -> None:
    """Only a higher ballot can have chosen it. Said the leader now at its own that slot 1 is chosen, who accepted its
    proposal would learn that."""
    server = MultiPaxos("S1", ("S2", "S3"))
    server.start()
    server.timeout("suspicion")
    for sender in ("S2", "S3"):
        server.receive(sender, Promise(server.ballot, 1))
    server.receive("C1", ClientRequest(Put("x", 1), "C1", 1))
    server.take_effects()
    server.receive("S2", ChosenEntries(1, (NO_OP,)))
    assert (server.role, server.proposals, server.votes, server.log) == (Role.FOLLOWER, {}, {}, (NO_OP,))
    assert messages(server) == [ClientReply(1, False)]


def test_a_request_chosen_in_two_slots_is_applied_once() -> None:
    """The client asked a second leader, though the first one's proposal was chosen as well."""
    server = MultiPaxos("S1", ("S2", "S3"))
    server.start()
    request = ClientRequest(Add("x", 5), "C1", 1)
    server.receive("S2", ChosenEntries(1, (request, NO_OP, request)))
    assert server.machine_state == (("x", 5),)
    assert server.last_applied == 3


def test_reads_go_through_the_log() -> None:
    running = cluster([MultiPaxos("S1", ()), Client("C1", ("S1",), (Put("x", 1), Get("x")))])
    trace = running.run(2000)
    assert [one.event.result for one in trace.outputs_of(Returned)] == [None, 1]
    assert commands(running.nodes["S1"]) == ["x←1", "x?"]


def test_others_name_the_leader() -> None:
    server = MultiPaxos("S1", ("S2", "S3"))
    server.receive("S2", Heartbeat(Ballot(1, "S2"), 0))
    server.take_effects()
    server.receive("C1", ReadRequest(Get("x"), "C1", 4))
    assert [effect.message for effect in server.take_effects()] == [ClientReply(4, False, leader="S2")]


def test_an_overtaken_leader_steps_down_and_its_clients_are_told() -> None:
    server = MultiPaxos("S1", ("S2", "S3"))
    server.start()
    server.timeout("suspicion")
    for sender in ("S2", "S3"):
        server.receive(sender, Promise(server.ballot, 1))
    server.receive("C1", ClientRequest(Put("x", 1), "C1", 1))
    server.take_effects()
    server.receive("S2", Nack(server.ballot, Ballot(9, "S2")))
    assert server.role is Role.FOLLOWER
    assert [e.message for e in server.take_effects() if hasattr(e, "message")] == [ClientReply(1, False)]
    assert server.next_ballot() == Ballot(10, "S1")


def test_a_follower_learns_only_what_it_accepted_at_the_leaders_ballot() -> None:
    """Its own older proposal for the slot may differ from what was chosen."""
    server = MultiPaxos("S1", ("S2", "S3"))
    server.start()
    server.receive("S2", Accept(Ballot(1, "S2"), 1, ClientRequest(Put("x", 1)), 0))
    server.receive("S3", Heartbeat(Ballot(2, "S3"), 1))
    assert server.log == ()
    server.receive("S3", Accept(Ballot(2, "S3"), 1, ClientRequest(Put("x", 2)), 0))
    server.receive("S3", Heartbeat(Ballot(2, "S3"), 1))
    assert commands(server) == ["x←2"]


def done(running: Cluster) -> bool:
    clients = [node for node in running.nodes.values() if isinstance(node, Client)]
    return all(client.serial == len(client.commands) and not client.waiting for client in clients)


def level(running: Cluster) -> bool:
    lengths = {len(node.log) for node in running.nodes.values() if isinstance(node, MultiPaxos)}
    return done(running) and len(lengths) == 1 and all(running.is_up(name) for name in running.nodes)


def test_safety_and_progress_under_a_nemesis() -> None:
    """60 seeds: three clients add ones to a counter, under crashes, partitions, pauses, loss and duplicates."""
    seen: Counter[str] = Counter()
    for seed in range(60):
        clients = [Client(f"C{k}", FIVE, (Add("x"),) * 8, think_ms=(0, 100), timeout_ms=100) for k in (1, 2, 3)]
        network = Network(loss=0.05, duplication=0.1, reordering=0.2, disk=Constant(1.0) if seed % 2 else None)
        faults = Nemesis(gap_ms=150, length_ms=200).schedule(FIVE, seed, 2000)
        running = cluster([*servers(FIVE), *clients], network, seed, faults, record=False)
        running.run(2000)
        trace = running.run(60_000, until=level)
        assert not trace.violations, (seed, trace.violations)
        assert level(running), seed
        members = [running.nodes[name] for name in FIVE]
        assert {node.machine_state for node in members} == {(("x", 24),)}, seed
        requests = [request for request in members[0].log if request.client]
        seen["two leaders"] += len({one.event.ballot for one in trace.outputs_of(BecameLeader)}) > 1
        seen["crashes"] += any(isinstance(one.event, Crash) for one in trace.faults)
        seen["chosen twice"] += len(requests) > len(set(requests))
        seen["no-ops"] += NO_OP in members[0].log
    assert seen["two leaders"] > 20
    assert seen["crashes"] > 40


@pytest.mark.parametrize("count", [1, 2, 4])
def test_small_and_even_clusters(count: int) -> None:
    names = tuple(f"S{number}" for number in range(1, count + 1))
    running = cluster([*servers(names), Client("C1", names, (Put("x", 1), Get("x")))], seed=2)
    trace = running.run(60_000, until=done)
    assert [one.event.result for one in trace.outputs_of(Returned)] == [None, 1]


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"peers": ["S2"]}, TypeError, "peers is .* takes a tuple"),
        ({"peers": ("S1", "S2")}, ValueError, "names S1 itself"),
        ({"peers": ("S2", "S2")}, ValueError, "names S2 twice"),
        ({"phase1_quorum": 1, "phase2_quorum": 2}, ValueError, "need not intersect"),
        ({"suspect_ms": (300, 150)}, ValueError, "suspect_ms is"),
        ({"heartbeat_ms": 0}, ValueError, "a number above 0 ms"),
        ({"batch": 0}, ValueError, "batch is 0"),
    ],
)
def test_bad_settings_are_refused(settings: dict, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        MultiPaxos("S1", **{"peers": ("S2", "S3"), **settings})


def test_an_unknown_peer_is_named() -> None:
    with pytest.raises(ValueError, match="'S9', which is no node"):
        cluster([MultiPaxos("S1", ("S9",))]).run(1000)


def test_the_view_shows_the_log() -> None:
    running = cluster(servers(), seed=1)
    running.run(400)
    running.post(400, leader_of(running), ClientRequest(Put("x", 1)))
    running.run(500)
    view = running.nodes[leader_of(running)].view()
    assert (view.role, view.term, view.last_applied, view.log) == ("leader", 1, 1, (ClientRequest(Put("x", 1)),))
