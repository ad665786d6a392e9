"""Broken on purpose: Multi-Paxos with one rule taken out, each a subclass that overrides exactly one method."""

from __future__ import annotations

from collections.abc import Mapping

from distlib.core.mutant import equivalent, mutant
from distlib.core.node import NodeId
from distlib.paxos.invariants import SlotAgreement
from distlib.paxos.message import Ballot, Nack
from distlib.paxos.multi_paxos import MultiPaxos
from distlib.paxos.multi_paxos_message import Accept, Accepted, Promise, Proposal, Slot
from distlib.replication.message import ClientRequest


@mutant("A promise tells what is known to be chosen, behind a hole as well.", "§3", SlotAgreement, "behind a hole")
class LeavesOutTheLearnt(MultiPaxos):
    """Promises without a word on slots that it knows to be chosen behind a hole: the course's own, for a while."""

    def report(self, ballot: Ballot, first: Slot) -> Promise:
        accepted = tuple([(slot, self.accepted[slot]) for slot in sorted(self.accepted) if slot >= first])
        return Promise(ballot, first, accepted, tuple(enumerate(self.log[first - 1 :], first)))


@mutant("A leader proposes anew what promises report, slot by slot.", "§3, P2c", SlotAgreement, "a chosen slot")
class FillsEveryHole(MultiPaxos):
    """Takes every slot that it does not know for a hole, whatever the promises report."""

    def choose_value(self, slot: Slot, promises: Mapping[NodeId, Promise]) -> ClientRequest:
        return self.fill_hole(slot)


@mutant("A refusal is no promise.", "§2.2, phase 1b", SlotAgreement, "refused")
class CountsRefusals(MultiPaxos):
    """Counts a refusal as a promise that reports nothing."""

    def on_nack(self, sender: NodeId, message: Nack) -> None:
        self.on_promise(sender, Promise(message.ballot, self.first))


@mutant("Accept nothing below the promise, in no slot.", "§2.2, P1a", SlotAgreement, "behind a hole")
class AcceptsBelowItsPromise(MultiPaxos):
    """Accepts proposals below its promise."""

    def may_accept(self, ballot: Ballot) -> bool:
        return True


@equivalent(
    "Nobody acknowledges another value for a slot that it knows to be chosen.", "§2.2, P2",
    "a new leader hears of the chosen value in phase 1, so it proposes no other; where promises leave it out, it"
    " breaks",
)  # fmt: skip
class AcknowledgesAnother(MultiPaxos):
    """Acknowledges whatever it is asked to accept, in a slot that it knows to be chosen as well."""

    def on_accept(self, sender: NodeId, message: Accept) -> None:
        if self.may_accept(message.ballot) and self.chosen_for(message.slot) is not None:
            self.follow(sender, message.ballot)
            self.promise_by_accepting(message.ballot)
            self.answer(sender, Accepted(message.ballot, message.slot))
            return
        super().on_accept(sender, message)


@mutant("A follower learns only what it accepted at the leader's own ballot.", "§3", SlotAgreement, "simulated faults")
class LearnsWhatItHas(MultiPaxos):
    """Takes what it accepted at whatever ballot for what the leader means."""

    def may_learn(self, proposal: Proposal, ballot: Ballot) -> bool:
        return True
