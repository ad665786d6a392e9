"""Lamport, *Paxos Made Simple* (2001), and Howard, Malkhi & Spiegelman, *Flexible Paxos* (2016): a test per sentence.

Sentences are paraphrased; section numbers are the papers'.
"""

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from distlib.core.fault import Crash
from distlib.core.node import Send
from distlib.paxos.invariants import paxos_invariants
from distlib.paxos.message import (
    NO_BALLOT,
    Accept,
    Accepted,
    Ballot,
    BallotStarted,
    Chosen,
    Nack,
    Prepare,
    Promise,
    Propose,
    quorum_sizes,
)
from distlib.paxos.multi_paxos import MultiPaxos, Role
from distlib.paxos.multi_paxos_message import NO_OP, Proposal
from distlib.paxos.multi_paxos_message import Accept as SlotAccept
from distlib.paxos.multi_paxos_message import Prepare as PrepareAll
from distlib.paxos.multi_paxos_message import Promise as PromiseAll
from distlib.paxos.paxos import Paxos, Phase
from distlib.paxos.scenarios import DuelParams, SingleDecreeParams, backoff_study, duel, single_decree
from distlib.replication.message import ClientRequest
from distlib.replication.state_machine import Put
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Constant
from distlib.sim.network import Network

THREE = ("S1", "S2", "S3")
B1, B2, B3, B4 = (Ballot(number, "P") for number in (1, 2, 3, 4))


def acceptor(**given_settings) -> Paxos:
    return Paxos("S1", THREE, learners=("S3",), **given_settings)


def sent(node) -> list[tuple[str, object]]:
    return [(effect.to, effect.message) for effect in node.take_effects() if isinstance(effect, Send)]


def proposer(value: str = "mine") -> Paxos:
    node = Paxos("S1", THREE, value=value)
    node.start()
    node.take_effects()
    return node


# --- §2.2 Choosing a value -------------------------------------------------------------------------------


def test_p1_an_acceptor_must_accept_the_first_proposal_it_receives() -> None:
    """§2.2, P1."""
    node = acceptor()
    node.receive("P", Accept(B1, "v"))
    assert (node.accepted_ballot, node.accepted_value) == (B1, "v")


def test_p1a_it_accepts_n_iff_it_has_not_responded_to_a_prepare_above_n() -> None:
    """§2.2, P1a."""
    node = acceptor()
    node.receive("P", Prepare(B2))
    node.receive("P", Accept(B1, "old"))
    assert node.accepted_value is None
    node.receive("P", Accept(B2, "v"))
    assert node.accepted_value == "v"
    node.receive("P", Accept(B3, "w"))
    assert node.accepted_value == "w"


def test_an_acceptor_may_accept_more_than_one_proposal() -> None:
    """§2.2: the requirement that a single majority suffices forces it."""
    node = acceptor()
    for ballot in (B1, B2, B3):
        node.receive("P", Accept(ballot, "v"))
        assert node.accepted_ballot == ballot


def test_different_proposals_have_different_numbers() -> None:
    """§2.2, §2.5: different proposers choose their numbers from disjoint sets."""
    ballots = []
    for name in THREE:
        node = Paxos(name, THREE, value="v")
        for _ in range(5):
            node.begin_ballot()
            ballots.append(node.ballot)
    assert len(set(ballots)) == len(ballots)
    assert all(one < other or other < one for one, other in combinations(ballots, 2))


def test_p2_and_p2a_a_chosen_value_is_the_only_one_accepted_later() -> None:
    """§2.2, P2 and P2a: after v is chosen, every higher-numbered proposal accepted by any acceptor has value v."""
    nodes = [Paxos(name, THREE, learners=("S1",)) for name in THREE]
    running = Cluster(nodes, Network(Constant(10)), seed=1, invariants=paxos_invariants())
    running.post(0, "S1", Propose("a"))
    for step, name in enumerate(("S2", "S3", "S2")):
        running.post(100 + 100 * step, name, Propose(f"late {step}"))
    trace = running.run(1000)
    accepts = [message for *_, message, _ in trace.sent if isinstance(message, Accept)]
    assert len({message.ballot for message in accepts}) >= 3
    assert {message.value for message in accepts} == {"a"}
    assert not trace.violations


def test_p2b_and_p2c_the_value_is_that_of_the_highest_numbered_proposal_among_the_answers() -> None:
    """§2.2, P2c (b), which implies P2b."""
    node = proposer()
    node.receive("S2", Promise(node.ballot, B1, "low"))
    node.receive("S3", Promise(node.ballot, B2, "high"))
    assert (node.phase, node.proposal) == (Phase.PROPOSING, "high")


def test_p2c_any_value_if_no_acceptor_of_the_quorum_has_accepted_anything() -> None:
    """§2.2, P2c (a)."""
    node = proposer()
    node.receive("S2", Promise(node.ballot))
    node.receive("S3", Promise(node.ballot))
    assert node.proposal == "mine"


@given(st.lists(st.tuples(st.sampled_from([None, 1, 2, 3, 4, 5]), st.sampled_from("abc")), min_size=2, max_size=5))
@settings(max_examples=100, deadline=None)
def test_p2c_for_any_answers(answers: list) -> None:
    """§2.2, P2c: the highest ballot wins, wherever it stands among the answers."""
    names = tuple(f"S{number}" for number in range(1, len(answers) + 1))
    node = Paxos("S1", names, value="mine", phase1_quorum=len(names))
    node.ballot = Ballot(9, "S1")
    node.start()
    value_of = {round_: value for round_, value in answers if round_ is not None}
    for name, (round_, _) in zip(names, answers, strict=True):
        ballot = None if round_ is None else Ballot(round_, "P")
        node.receive(name, Promise(node.ballot, ballot, None if round_ is None else value_of[round_]))
    assert node.proposal == (value_of[max(value_of)] if value_of else "mine")


def test_phase_1b_the_answer_promises_and_reports_the_highest_numbered_accepted_proposal() -> None:
    """§2.2, phase 1 (b)."""
    node = acceptor()
    node.receive("P", Accept(B1, "v"))
    node.take_effects()
    node.receive("Q", Prepare(B3))
    assert sent(node) == [("Q", Promise(B3, B1, "v"))]
    assert node.promised == B3
    node.receive("P", Prepare(B2))
    assert sent(node) == [("P", Nack(B2, B3))]


def test_phase_2a_begins_with_answers_from_a_majority_and_not_before() -> None:
    """§2.2, phase 2 (a)."""
    node = proposer()
    node.receive("S2", Promise(node.ballot))
    assert node.phase is Phase.PREPARING
    node.receive("S3", Promise(node.ballot))
    assert [message for _, message in sent(node)] == [Accept(node.ballot, "mine")] * 3


def test_an_abandoned_proposal_is_safe_and_the_acceptor_informs_its_proposer() -> None:
    """End of §2.2: an acceptor that ignores a request should inform the proposer, who should abandon its proposal."""
    node = proposer()
    ballot = node.ballot
    node.receive("S2", Nack(ballot, Ballot(7, "S2")))
    assert node.phase is Phase.BACKING_OFF
    node.timeout("backoff")
    assert node.ballot == Ballot(8, "S1")


# --- §2.3 Learning a chosen value ------------------------------------------------------------------------


def test_each_acceptor_tells_all_learners_whenever_it_accepts() -> None:
    """§2.3."""
    node = Paxos("S1", THREE, learners=("S2", "S3"))
    node.receive("P", Accept(B1, "v"))
    assert sent(node) == [(to, Accepted(B1, "v")) for to in ("P", "S2", "S3")]


def test_a_learner_that_missed_the_messages_finds_out() -> None:
    """§2.3: a value can be chosen with no learner ever finding out; it asks."""
    nodes = [Paxos(name, THREE, value="a" if name == "S1" else None) for name in THREE]
    trace = Cluster(nodes, Network(Constant(10)), seed=1, faults=(Crash(5, "S3", 200),)).run(1000)
    assert {one.node for one in trace.outputs_of(Chosen)} == set(THREE)
    assert "Query" in set(trace.messages["kind"])


# --- §2.4 Progress ---------------------------------------------------------------------------------------


def test_two_proposers_can_overtake_each_other_for_ever() -> None:
    """§2.4: p completes phase 1, q completes phase 1 with a higher number, p's phase 2 is ignored, and so on."""
    trace = duel(DuelParams(duration_ms=3000))
    assert not trace.outputs_of(Chosen)
    assert len(trace.outputs_of(BallotStarted)) > 200
    assert not trace.violations


def test_a_random_pause_ends_the_duel() -> None:
    """§2.4: a reliable choice uses randomness or real time; of 40 seeds all decide once pauses exceed a round trip."""
    table = backoff_study(widths_ms=(40, 160), trials=40).set_index("backoff_ms")
    assert list(table["decided"]) == [1.0, 1.0]
    assert 2.0 <= table["rounds"][160] < table["rounds"][40] < 6.0


# --- §2.5 The implementation -----------------------------------------------------------------------------


def test_an_acceptor_records_its_response_before_sending_it() -> None:
    """§2.5: promises and acceptances leave after the disk write."""
    node = acceptor()
    node.receive("P", Prepare(B1))
    node.receive("P", Accept(B1, "v"))
    effects = [effect for effect in node.take_effects() if isinstance(effect, Send)]
    assert len(effects) == 3
    assert all(effect.after_sync for effect in effects)


def test_an_acceptor_remembers_its_promise_and_its_acceptance_through_a_crash() -> None:
    """§2.5 (and §2.2: even if it fails and then restarts)."""
    node = acceptor()
    node.receive("P", Accept(B1, "v"))
    node.receive("P", Prepare(B3))
    node.crash()
    node.start()
    assert (node.promised, node.accepted_ballot, node.accepted_value) == (B3, B1, "v")


def test_a_proposer_remembers_its_highest_number_through_a_crash() -> None:
    """§2.5: and begins phase 1 with a higher one."""
    node = proposer()
    used = node.ballot
    node.crash()
    node.start()
    assert node.ballot > used > NO_BALLOT


# --- §3 Implementing a state machine ---------------------------------------------------------------------


def new_leader(*accepted: tuple[int, Proposal]) -> MultiPaxos:
    node = MultiPaxos("S1", ("S2", "S3"))
    node.start()
    node.timeout("suspicion")
    node.receive("S2", PromiseAll(node.ballot, node.first, tuple(accepted)))
    node.receive("S3", PromiseAll(node.ballot, node.first))
    assert node.role is Role.LEADER
    return node


def test_a_new_leader_executes_phase_1_for_all_instances_with_one_message() -> None:
    """§3: it can do so with a single reasonably short message."""
    node = new_leader()
    prepares = [message for _, message in sent(node) if isinstance(message, PrepareAll)]
    assert len(prepares) == 3
    node.receive("C", ClientRequest(Put("x", 1)))
    node.receive("C", ClientRequest(Put("x", 2)))
    later = [message for _, message in sent(node)]
    assert {type(message) for message in later} == {SlotAccept}
    assert {message.slot for message in later} == {1, 2}


def test_the_gap_of_the_papers_example_is_filled_with_no_ops() -> None:
    """§3: the leader knows 1–134, 138, 139; phase 1 constrains 135 and 140; 136 and 137 become no-ops, 141 is next."""
    known = tuple(ClientRequest(Put("x", number)) for number in range(1, 140))
    node = MultiPaxos("S1", ("S2", "S3"))
    node.start()
    node.learn_entries(1, known[:134])
    node.learn_entries(138, known[137:])
    node.timeout("suspicion")
    found = {slot: ClientRequest(Put("y", slot)) for slot in (135, 140)}
    reports = tuple((slot, Proposal(B1, request)) for slot, request in found.items())
    node.receive("S2", PromiseAll(node.ballot, node.first, reports))
    node.receive("S3", PromiseAll(node.ballot, node.first))
    assert node.proposals == {**found, 136: NO_OP, 137: NO_OP}
    assert node.next_slot == 141


def test_commands_are_executed_in_the_order_of_their_numbers() -> None:
    """§3: a command that is chosen after a hole waits."""
    node = MultiPaxos("S1", ("S2", "S3"))
    node.start()
    node.learn(2, ClientRequest(Put("x", 2)))
    assert node.last_applied == 0
    node.learn(1, ClientRequest(Put("x", 1)))
    assert (node.last_applied, node.machine_state) == (2, (("x", 2),))


# --- Flexible Paxos --------------------------------------------------------------------------------------


def test_only_quorums_of_different_phases_must_intersect() -> None:
    """Howard et al. 2016, §3: |Q1| + |Q2| > N suffices, and with one less some quorums miss each other."""
    for count in range(1, 10):
        members = range(count)
        for phase2 in range(1, count + 1):
            phase1, _ = quorum_sizes(count, None, phase2, unsafe=False)
            assert phase1 + phase2 == count + 1
            if count <= 5:
                pairs = [
                    (set(q1), set(q2)) for q1 in combinations(members, phase1) for q2 in combinations(members, phase2)
                ]
                assert all(q1 & q2 for q1, q2 in pairs)
                smaller = [set(q1) for q1 in combinations(members, phase1 - 1)]
                assert phase1 == 1 or not all(q1 & q2 for q1 in smaller for _, q2 in pairs)


def test_a_smaller_phase_2_needs_fewer_answers() -> None:
    """Howard et al. 2016, §1: majorities are not necessary; agreement holds for 30 seeds with |Q1| = 5, |Q2| = 1."""
    for seed in range(30):
        params = SingleDecreeParams(
            phase1_quorum=5, phase2_quorum=1, proposers=3, loss=0.1, duration_ms=3000, seed=seed
        )
        trace = single_decree(params)
        assert not trace.violations
        assert len({one.event.value for one in trace.outputs_of(Chosen)}) == 1
