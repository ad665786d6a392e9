"""Paxos Commit: a vote that acceptors have outlives its voter and the leader; F acceptors may be down."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from distlib.check.cluster.world import Faults
from distlib.check.explore.explore import explore
from distlib.core.fault import Crash, OneWay, Partition
from distlib.paxos.message import Accept, Accepted, Ballot, Nack, Prepare, Promise
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network
from distlib.transactions.bank import Add, Read, Work, transfer
from distlib.transactions.intervals import intervals, longest_ms
from distlib.transactions.message import Answer, Begin, BeginCommit, Bundle, Decide, Instance, Told, Wrote
from distlib.transactions.paxos_commit import PaxosCommit, transaction_leader
from distlib.transactions.searches import REQUEST_OF_TWO, commit_model
from distlib.transactions.two_phase import TwoPhaseCommit
from tests.transactions.clusters import FOUR, TX, bank, busy, decisions, flow, money, sent, started, told

WORK: Work = (("S2", (Add("x", -2),)), ("S3", (Add("x", 1),)), ("S4", (Add("x", 1),)))
VOTERS = ("S2", "S3", "S4")
FIVE_ACCEPTORS = ("A1", "A2", "A3", "A4", "A5")


def paxos(acceptors: tuple[str, ...] = ("S1", "S2", "S3"), work: Work | None = WORK, **options: Any) -> Cluster:
    """S1 leads, S2 to S4 take part; ``acceptors`` that are none of them are nodes of their own."""
    names = tuple(dict.fromkeys((*FOUR, *acceptors)))
    return bank(PaxosCommit, names, work, acceptors=acceptors, **options)


def votes(running: Cluster) -> dict[str, bool | None]:
    """The decision at each participant."""
    return {name: decisions(running)[name] for name in VOTERS}


# --- the normal case -------------------------------------------------------------------------------------------


def test_a_commit_with_three_acceptors() -> None:
    """Gray & Lamport 2006, §4.2, §4.3: votes go to F + 1 acceptors, which answer with all of them in one message."""
    running = paxos()
    trace = running.run(200)
    assert flow(trace) == [
        "10 S1 → S2 Prepare", "10 S1 → S3 Prepare", "10 S1 → S4 Prepare", "10 S2 → S2 Accept",
        "20 S2 → S1 Accept", "20 S3 → S1 Accept", "20 S3 → S2 Accept", "20 S4 → S1 Accept", "20 S4 → S2 Accept",
        "20 S1 → S1 Bundle", "30 S2 → S1 Bundle", "40 S1 → S2 Commit", "40 S1 → S3 Commit", "40 S1 → S4 Commit",
    ]  # fmt: skip
    assert told(trace) == [("S1", 30.0, True)] and not busy(running) and money(running) == 40


def test_with_one_acceptor_at_the_coordinator_it_is_two_phase_commit() -> None:
    """§5: between nodes the same messages, but for acknowledgements, which there are none of."""
    names = {"Accept": "Vote yes"}
    mine = [line.replace("Accept", names["Accept"]) for line in flow(paxos(("S1",)).run(200)) if "Bundle" not in line]
    theirs = [line for line in flow(bank(TwoPhaseCommit, FOUR, WORK).run(200)) if "Acknowledge" not in line]
    assert mine == theirs


def test_the_vote_is_no_less_than_a_no_of_the_whole() -> None:
    """S2 has too little money: its no is a vote like others, and the acceptors have it on disk."""
    running = paxos(work=(("S2", (Add("x", -11),)), ("S3", (Add("x", 11),))))
    trace = running.run(200)
    assert votes(running) == {"S2": False, "S3": False, "S4": None} and told(trace) == [("S1", 30.0, False)]
    bundle = next(one.event.record for one in trace.outputs_of(Wrote) if isinstance(one.event.record, Bundle))
    assert {name: report.value for name, report in bundle.reports} == {"S2": Answer.NO, "S3": Answer.YES}


def test_a_participant_that_begins_sends_its_vote_to_the_leader_with_the_request() -> None:
    """§4.3: as an acceptor, the leader takes it for the vote."""
    running = bank(PaxosCommit, FOUR, WORK, at="S2", coordinator="S1", acceptors=("S1",))
    trace = running.run(200)
    assert flow(trace) == [
        "10 S2 → S1 BeginCommit", "20 S1 → S3 Prepare", "20 S1 → S4 Prepare", "30 S3 → S1 Accept", "30 S4 → S1 Accept",
        "30 S1 → S1 Bundle", "40 S1 → S2 Commit", "40 S1 → S3 Commit", "40 S1 → S4 Commit",
    ]  # fmt: skip
    refused = bank(PaxosCommit, FOUR, transfer("S2", "S3", 11), at="S2", coordinator="S1").run(200)
    assert flow(refused) == [] and told(refused) == [("S2", 0.0, False)]


def test_readers_take_part_like_all_others() -> None:
    trace = paxos(work=(("S2", (Read("x"),)), ("S3", (Add("x", 1),)))).run(200)
    assert told(trace) == [("S1", 30.0, True)]


# --- who may be down -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("down", "told_ms"),
    [((), 30.0), (("A4",), 30.0), (("A4", "A5"), 30.0), (("A1",), None), (("A2", "A3"), None), (("A1", "A5"), None)],
)
def test_f_acceptors_may_be_down(down: tuple[str, ...], told_ms: float | None) -> None:
    """Five acceptors, F = 2. Votes go to A1, A2 and A3; where one of those is down, whoever has waited takes the lead,
    and finds the votes that the others have: commit, all the same, unless no acceptor has all votes.

    An acceptor accepts when it has the votes of all (§4.3), so two of three are as good as three."""
    running = paxos(FIVE_ACCEPTORS, faults=[Crash(0, name) for name in down])
    trace = running.run(2_000)
    assert votes(running) == dict.fromkeys(VOTERS, True) and not trace.violations
    first_ms = told(trace)[0][1] if told(trace) else None
    assert (first_ms == told_ms) if told_ms else first_ms is None or first_ms > 60
    assert not any(running.nodes[name].branches for name in VOTERS)


def test_with_more_than_f_down_they_wait_and_go_on_when_there_are_enough() -> None:
    faults = [Crash(15, "A1"), Crash(15, "A2"), Crash(15, "A3", 1_000)]
    running = paxos(FIVE_ACCEPTORS, faults=faults)
    trace = running.run(1_000)
    assert votes(running) == dict.fromkeys(VOTERS) and told(trace) == []
    assert all(trace.view_at(name, 1_000).locked == ("x",) for name in VOTERS)
    trace = running.run(2_500)
    assert len(set(votes(running).values()) - {None}) == 1 and None not in votes(running).values()
    assert not trace.violations


@pytest.mark.parametrize(
    ("at_ms", "commit"),
    [
        pytest.param(5, True, id="asked for votes"),
        pytest.param(15, True, id="votes under way"),
        pytest.param(25, True, id="an acceptor's report is under way"),
        pytest.param(35, True, id="decided"),
    ],
)
@pytest.mark.parametrize("acceptors", [("S1", "S2", "S3"), ("A1", "A2", "A3")])
def test_a_leader_that_dies_at_every_step(acceptors: tuple[str, ...], at_ms: float, commit: bool) -> None:
    """It never comes back, and leaves nobody in doubt for long. All votes were yes, so with acceptors that have them
    the outcome is the one that the leader did not live to see."""
    running = paxos(acceptors, faults=(Crash(at_ms, "S1"),))
    trace = running.run(1_000)
    assert votes(running) == dict.fromkeys(VOTERS, commit)
    assert not trace.violations and longest_ms(intervals(trace, "in_doubt")) < 250
    assert (told(trace) != []) is (at_ms > 30)


def test_recovery_adopts_a_yes_that_was_accepted() -> None:
    """§4.2: S4's yes reaches S2, the second acceptor, alone; then leader and S4 are gone. What is reported at a lower
    ballot is proposed at the higher one."""
    faults = (OneWay(9, ("S4",), ("S1",), 3), Crash(22, "S1"), Crash(22, "S4"))
    running = paxos(faults=faults)
    trace = running.run(1_000)
    assert "20 S4 → S1 Accept (partitioned)" in flow(trace) and "20 S4 → S2 Accept" in flow(trace)
    promises = [
        one[4].message.accepted_value for one in trace.sent
        if isinstance(one[4], Instance) and isinstance(one[4].message, Promise) and one[4].participant == "S4"
    ]  # fmt: skip
    assert Answer.YES in promises
    assert votes(running) == {"S2": True, "S3": True, "S4": None} and not trace.violations


def test_for_a_participant_that_is_silent_no_is_proposed_and_its_late_yes_changes_nothing() -> None:
    """§4.2: S4's yes reaches nobody before the others have agreed on a no in its place."""
    faults = (OneWay(9, ("S4",), ("S1", "S2", "S3"), 300),)
    running = paxos(faults=faults)
    trace = running.run(1_500)
    assert votes(running) == dict.fromkeys(VOTERS, False) and not trace.violations
    assert [commit for _, _, commit in told(trace)] == [False] and not busy(running)


def test_a_leader_that_is_cut_off_hears_of_the_decision() -> None:
    """The others decide for it; it tells its client what they have decided."""
    running = paxos(faults=(Partition(12, (("S1",), VOTERS), 300),))
    trace = running.run(2_000)
    assert len(set(votes(running).values())) == 1 and not trace.violations
    assert {commit for _, _, commit in told(trace)} == set(votes(running).values()) and not busy(running)


def test_whose_patience_is_less_than_two_round_trips_comes_to_an_end_all_the_same() -> None:
    """§4.2 leaves it open how often one tries. A new ballot undoes those under way, so who tries again waits longer; as
    long as all waited the same time, they went on for ever."""
    running = paxos(FIVE_ACCEPTORS, faults=[Crash(0, "A1")], vote_ms=12.0, inquire_ms=12.0)
    trace = running.run(10_000, until=lambda now: now.now_ms > 100 and not busy(now))
    assert running.now_ms < 3_000 and not busy(running)
    assert len(set(votes(running).values())) == 1 and not trace.violations
    assert sum("Prepare" in line and "A2" in line for line in flow(trace)) > 10, "it has taken several ballots"


# --- single rules ------------------------------------------------------------------------------------------------


def accept(participant: str, answer: Answer = Answer.YES, round_: int = 0, by: str = "") -> Instance:
    """A vote, at ``participant``'s own ballot or at a higher one."""
    return Instance(TX, participant, VOTERS, Accept(Ballot(round_, by or participant), answer))


def test_an_acceptor_accepts_when_it_has_the_votes_of_all_and_says_so_once() -> None:
    """§4.3."""
    node = started(PaxosCommit, "S2")
    for name in ("S3", "S2", "S3"):
        node.receive(name, accept(name))
        assert sent(node) == [] and not node.accepted
    node.receive("S4", accept("S4"))
    (to, bundle), *rest = sent(node)
    assert to == "S1" and isinstance(bundle, Bundle) and not rest
    assert [name for name, _ in bundle.reports] == list(VOTERS)
    assert {report.value for _, report in bundle.reports} == {Answer.YES}
    assert sorted(participant for _, participant in node.accepted) == list(VOTERS)


def test_of_two_votes_of_one_participant_the_first_counts() -> None:
    node = started(PaxosCommit, "S2")
    for name, answer in (("S2", Answer.YES), ("S3", Answer.YES), ("S3", Answer.NO), ("S4", Answer.YES)):
        node.receive(name, accept(name, answer))
    (_, bundle), *_ = sent(node)
    assert {report.value for _, report in bundle.reports} == {Answer.YES}


def test_an_acceptor_that_has_promised_a_higher_ballot_accepts_no_vote_below_it() -> None:
    """§4.1."""
    node = started(PaxosCommit, "S2")
    node.receive("S3", Instance(TX, "S4", VOTERS, Prepare(Ballot(1, "S3"))))
    assert [type(message.message) for _, message in sent(node)] == [Promise]
    for name in VOTERS:
        node.receive(name, accept(name))
    (_, bundle), *_ = sent(node)
    assert [name for name, _ in bundle.reports] == ["S2", "S3"], "S4's is refused"
    node.crash()
    node.start()
    node.receive("S3", Instance(TX, "S4", VOTERS, Accept(Ballot(1, "S3"), Answer.NO)))
    assert node.instance((TX, "S4")).accepted_value is Answer.NO
    assert node.instance((TX, "S3")).accepted_value is Answer.YES, "on disk"


def test_a_leader_needs_f_plus_1_reports_of_each_vote() -> None:
    """§4.2."""
    node = started(PaxosCommit, acceptors=("S1", "S2", "S3"))
    node.receive("outside", Begin(WORK))
    node.take_effects()
    reports = tuple([(name, Accepted(Ballot(0, name), Answer.YES)) for name in VOTERS])
    node.receive("S2", Bundle(TX, reports))
    node.receive("S2", Bundle(TX, reports))
    assert node.rounds[TX].commit is None
    node.receive("S3", Bundle(TX, reports[:2]))
    assert node.rounds[TX].commit is None, "S4's vote is accepted by one of three"
    node.receive("S3", Bundle(TX, reports[2:]))
    assert node.told == (TX, True) and not node.rounds
    assert {message for _, message in sent(node)} == {Decide(TX, True, False)}


@pytest.mark.parametrize(
    ("chosen", "outcome"),
    [
        ((Answer.YES, Answer.YES), True),
        ((Answer.YES, None), None),
        ((None, Answer.NO), False),
        ((Answer.NO, Answer.YES), False),
        ((None, None), None),
    ],
)
def test_what_chosen_votes_say(chosen: tuple[Any, ...], outcome: bool | None) -> None:
    """§4.2."""
    assert PaxosCommit("S1").outcome(list(chosen)) is outcome


def test_a_no_at_a_higher_ballot_ends_it_before_all_votes_are_chosen() -> None:
    node = started(PaxosCommit)
    node.receive("outside", Begin(WORK))
    node.take_effects()
    node.timeout("vote", TX)
    asked = [message.message.ballot for _, message in sent(node) if message.participant == "S4"]
    assert asked and asked[0].round == 1
    for name in ("S2", "S3"):
        node.receive(name, Instance(TX, "S4", VOTERS, Promise(asked[0])))
    for name in ("S2", "S3"):
        node.receive(name, Instance(TX, "S4", VOTERS, Accepted(asked[0], Answer.NO)))
    assert node.told == (TX, False)


def test_who_waits_in_vain_asks_again_and_begins_a_higher_ballot_only_behind_another() -> None:
    """Promises that have come are not thrown away; where every other message is lost, they add up."""
    node = started(PaxosCommit)
    node.receive("outside", Begin((("S4", (Add("x", 1),)),)))
    node.take_effects()
    node.timeout("vote", TX)
    first = {to: message.message.ballot for to, message in sent(node)}
    assert first == dict.fromkeys(("S1", "S2", "S3"), Ballot(1, "S1"))
    node.receive("S2", Instance(TX, "S4", ("S4",), Promise(Ballot(1, "S1"))))
    node.timeout("vote", TX)
    assert {to: message.message.ballot for to, message in sent(node)} == {
        name: Ballot(1, "S1") for name in ("S1", "S3")
    }
    node.receive("S3", Instance(TX, "S4", ("S4",), Nack(Ballot(1, "S1"), Ballot(5, "S3"))))
    node.timeout("vote", TX)
    assert {message.message.ballot for _, message in sent(node)} == {Ballot(6, "S1")}


def test_who_leads_at_first() -> None:
    assert transaction_leader("S3.1.7", None) == "S3"
    assert transaction_leader("S3.1.7", "S1") == "S1"


@pytest.mark.parametrize(
    ("acceptors", "error", "words"),
    [
        ((), ValueError, "acceptors is empty; it takes the name of at least one node"),
        (("S1", "S1"), ValueError, "acceptors names S1 twice"),
        (["S1"], TypeError, "acceptors is .*; it takes a tuple of names"),
    ],
)
def test_bad_acceptors_are_refused(acceptors: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        PaxosCommit("S1", acceptors=acceptors)


def test_nobody_is_let_out_with_its_vote() -> None:
    """All such transactions were aborted, or ended in a KeyError: acceptors waited for votes of others."""
    with pytest.raises(ValueError, match="read_only_votes is True; Paxos Commit agrees on the votes of all"):
        PaxosCommit("S1", read_only_votes=True)


@pytest.mark.parametrize(("acceptors", "fast"), [(1, 1), (3, 2), (5, 3), (7, 4)])
def test_votes_go_to_f_plus_1_of_2f_plus_1_acceptors(acceptors: int, fast: int) -> None:
    """§4.3."""
    names = tuple(f"A{one}" for one in range(acceptors))
    assert PaxosCommit("S1", acceptors=names).fast_acceptors == names[:fast]


def test_a_request_to_commit_that_comes_twice_is_one() -> None:
    node = started(PaxosCommit, coordinator="S1", acceptors=("S1",))
    for _ in range(2):
        node.receive("S2", BeginCommit("S2.1.1", WORK, 0.0))
    assert [to for to, _ in sent(node)] == ["S3", "S4"]


# --- everything together -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("crashes", "counts"), [(0, (38, 12)), (1, (321, 13))])
def test_two_participants_are_exhausted(crashes: int, counts: tuple[int, int]) -> None:
    """Three nodes, each an acceptor; nobody waits too long. Distinct states and depth, as measured."""
    result = explore(commit_model(PaxosCommit, requests=[REQUEST_OF_TWO], faults=Faults(crashes=crashes)))
    assert result.verdict == "holds" and result.exhausted
    assert (result.distinct, result.depth) == counts


@given(
    crashes=st.lists(st.tuples(st.floats(0, 150), st.sampled_from(FOUR), st.floats(1, 150)), min_size=1, max_size=3),
    amount=st.integers(1, 12),
    seed=st.integers(0, 2**16),
    loss=st.sampled_from([0.0, 0.1]),
)
@bounded(max_examples=40, deadline=None)
def test_whatever_crashes_all_end_alike(crashes: list[Any], amount: int, seed: int, loss: float) -> None:
    faults = [Crash(at_ms, name, down_ms) for at_ms, name, down_ms in crashes]
    network = Network(Uniform(1, 15), loss=loss, duplication=0.1, reordering=0.1)
    running = paxos(work=transfer("S2", "S4", amount), faults=faults, network=network, seed=seed)

    def over(now: Any) -> bool:
        return now.now_ms > 300 and not any(node.branches for node in now.nodes.values())

    trace = running.run(20_000, until=over)
    assert not trace.violations and over(running)
    found = {votes(running)["S2"], votes(running)["S4"]} - {None}
    assert len(found) <= 1 and (amount <= 10 or True not in found)
    assert money(running) == 40 and len(trace.outputs_of(Told)) <= 2
