"""Each invariant of Paxos and Multi-Paxos speaks up, with a witness, when the rule behind it is taken away."""

from dataclasses import dataclass

import pytest

from distlib.core.invariant import Broken
from distlib.paxos.invariants import (
    Agreement,
    AtMostOnce,
    MonotonicPromise,
    PrefixConsistency,
    SlotAgreement,
    StableDecision,
    Validity,
)
from distlib.paxos.message import Accept, Ballot, Prepare
from distlib.paxos.multi_paxos import MultiPaxos
from distlib.paxos.paxos import Paxos
from distlib.replication.message import ClientRequest
from distlib.replication.state_machine import Add, Put

THREE = ("S1", "S2", "S3")
B1, B2 = Ballot(1, "S1"), Ballot(2, "S2")


@dataclass
class ForgetsPromise(Paxos):
    """A promise that a crash takes away."""

    def crash(self) -> None:
        super().crash()
        self.promised = Ballot()


def paxos(cls=Paxos) -> dict[str, Paxos]:
    return {name: cls(name, THREE, value=f"v{name}") for name in THREE}


def test_agreement_counts_acceptances_that_nobody_noticed() -> None:
    nodes, invariant = paxos(), Agreement()
    ghost = invariant.before(nodes)
    for name, ballot, value in (("S1", B1, "a"), ("S2", B1, "a"), ("S2", B2, "b")):
        nodes[name].accept(ballot, value)
        ghost = invariant.after(ghost, nodes, name)
    nodes["S3"].accept(B2, "b")
    with pytest.raises(Broken, match=r"S1, S2 accepted 'a' at ballot 1.S1, and S2, S3 accepted 'b' at ballot 2.S2"):
        invariant.after(ghost, nodes, "S3")


def test_validity_names_the_value_that_nobody_proposed() -> None:
    nodes, invariant = paxos(), Validity()
    ghost = invariant.before(nodes)
    nodes["S1"].receive("S2", Accept(B2, "out of thin air"))
    with pytest.raises(Broken, match="S1 has accepted 'out of thin air', which nobody proposed"):
        invariant.after(ghost, nodes, "S1")


def test_a_learner_that_changes_its_mind_is_named() -> None:
    nodes, invariant = paxos(), StableDecision()
    nodes["S1"].chosen = "a"
    ghost = invariant.after(invariant.before(nodes), nodes, "S1")
    nodes["S1"].chosen = "b"
    with pytest.raises(Broken, match="S1 had learnt 'a' and now says 'b'"):
        invariant.after(ghost, nodes, "S1")


def test_a_forgotten_promise_is_named() -> None:
    nodes, invariant = paxos(ForgetsPromise), MonotonicPromise()
    nodes["S1"].receive("S2", Prepare(B2))
    ghost = invariant.after(invariant.before(nodes), nodes, "S1")
    nodes["S1"].crash()
    with pytest.raises(Broken, match=r"S1 was held to ballot 2.S2, by promise or acceptance, and now only to 0"):
        invariant.after(ghost, nodes, "S1")


def servers() -> dict[str, MultiPaxos]:
    made = {name: MultiPaxos(name, tuple(peer for peer in THREE if peer != name)) for name in THREE}
    for server in made.values():
        server.start()
    return made


def test_two_values_for_one_slot_are_named() -> None:
    nodes, invariant = servers(), SlotAgreement()
    ghost = invariant.before(nodes)
    for name in ("S1", "S2"):
        nodes[name].accept(1, B1, ClientRequest(Put("x", 1)))
        ghost = invariant.after(ghost, nodes, name)
    nodes["S3"].learn(1, ClientRequest(Put("x", 2)))
    with pytest.raises(Broken, match=r"slot 1 has two chosen values: x←1 \(S1, S2 accepted it at ballot 1.S1\)"):
        invariant.after(ghost, nodes, "S3")


def test_diverging_logs_are_named() -> None:
    nodes, invariant = servers(), PrefixConsistency()
    nodes["S1"].learn(1, ClientRequest(Put("x", 1)))
    ghost = invariant.after(invariant.before(nodes), nodes, "S1")
    nodes["S2"].learn(1, ClientRequest(Put("x", 2)))
    with pytest.raises(Broken, match="S2 has applied x←2 at 1, where x←1 was applied"):
        invariant.after(ghost, nodes, "S2")


def test_a_request_applied_twice_is_named() -> None:
    class Twice(MultiPaxos):
        def was_applied(self, request: ClientRequest) -> bool:
            return False

    server, invariant = Twice("S1", ()), AtMostOnce()
    server.start()
    for slot in (1, 2):
        server.learn(slot, ClientRequest(Add("x", 1), "C1", 1))
    with pytest.raises(Broken, match="each request once, gives"):
        invariant.after(invariant.before({"S1": server}), {"S1": server}, "S1")


def test_a_request_that_its_client_gave_up_need_not_be_applied_after_a_later_one() -> None:
    server, invariant = MultiPaxos("S1", ()), AtMostOnce()
    server.start()
    for slot, serial in ((1, 2), (2, 1)):
        server.learn(slot, ClientRequest(Add("x", 1), "C1", serial))
    assert server.machine_state == (("x", 1),)
    ghost = invariant.after(invariant.before({"S1": server}), {"S1": server}, "S1")
    assert len(ghost) == 1
