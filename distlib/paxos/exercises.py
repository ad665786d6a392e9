"""The checkers of the Paxos chapter's exercises, and ballots played by hand, one after the other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.replay import trace_of
from distlib.check.cluster.world import Action, Deliver, Request
from distlib.core import require
from distlib.core.invariant import Violation
from distlib.core.node import NodeId
from distlib.core.trace import Trace
from distlib.labs.grading import Grade, listed, shown
from distlib.paxos.broken import TakesTheLowestBallot
from distlib.paxos.invariants import paxos_invariants
from distlib.paxos.message import Accept, Accepted, Prepare, Promise, Propose
from distlib.paxos.paxos import Paxos

NAMES = ("S1", "S2", "S3")
LETTERS = tuple("ABCDEFGHIJ")


# ------------------------------------------------------------ ballots by hand


@dataclass(frozen=True)
class Round:
    """One ballot: ``proposer`` would like ``value``; its prepare reaches ``promised_by``, its accept ``accepted_by``.
    What is sent to the others stays in flight for ever. Raises ``ValueError`` for a node that is not there."""

    proposer: NodeId
    value: str
    promised_by: tuple[NodeId, ...]
    accepted_by: tuple[NodeId, ...] = ()

    def __post_init__(self) -> None:
        for name in ("promised_by", "accepted_by"):
            given = getattr(self, name)
            named = (given,) if isinstance(given, str) else listed(given)
            if named is None:
                raise TypeError(f"{name} is {shown(given)}; it takes the names of nodes, such as ('S1', 'S2')")
            object.__setattr__(self, name, tuple(named))
        for node in (self.proposer, *self.promised_by, *self.accepted_by):
            if node not in NAMES:
                raise ValueError(f"Round names {node!r}; the nodes are {', '.join(NAMES)}")


@dataclass(frozen=True)
class Played:
    """What came of some rounds: ``said`` tells it, ``broken`` is the violation, None without one."""

    model: ClusterModel
    actions: tuple[Action, ...]
    said: tuple[str, ...]
    refused: bool
    broken: Violation | None

    @property
    def trace(self) -> Trace:
        """The rounds in logical time, for a figure."""
        return trace_of(self.model, self.actions)

    def __str__(self) -> str:
        end = f"✗ {self.broken.invariant}: {self.broken.witness}" if self.broken else "no invariant is broken"
        return "\n".join((*self.said, end))

    __repr__ = __str__


class _Table:
    """The cluster at which the rounds are played."""

    def __init__(self, node_class: type[Paxos]) -> None:
        def nodes() -> list[Paxos]:
            still: dict[str, Any] = {"retransmit_ms": None, "backoff_ms": None, "catch_up_ms": None}
            return [node_class(name, NAMES, learners=("S1",), **still) for name in NAMES]

        requests = [(None, Propose(value)) for value in LETTERS]
        self.model = ClusterModel(nodes, invariants=paxos_invariants(), requests=requests)
        (self.world,) = self.model.initial_states()
        self.actions: list[Action] = []
        self.said: list[str] = []
        self.refused = False

    def take(self, action: Action) -> None:
        self.world = self.model.next_state(self.world, action)
        self.actions.append(action)

    def find(self, sender: NodeId, receiver: NodeId, kind: type[Any], ballot: Any) -> Deliver | None:
        for letter in self.world.messages():
            link, message = (letter.sender, letter.receiver), letter.message
            if link == (sender, receiver) and type(message) is kind and message.ballot == ballot:
                return letter
        return None

    def ask(self, me: NodeId, acceptor: NodeId, question: type[Any], answer: type[Any], ballot: Any) -> Deliver | None:
        """Deliver the question: its answer, or None for a refusal, which is told, and where there is no question."""
        asked = self.find(me, acceptor, question, ballot)
        if asked is None or self.world.broken:
            return None
        self.take(asked)
        answered = self.find(acceptor, me, answer, ballot)
        if answered is None:
            self.refused = True
            promised = self.world.node(acceptor).promised
            self.said.append(f"  {acceptor} refuses {me}'s ballot {ballot}: it has promised {promised}")
        return answered

    def play(self, one: Round) -> None:
        """Both phases of one ballot."""
        me = one.proposer
        if self.world.node(me).wanted is not None:
            raise ValueError(f"{me} proposes twice; take another proposer for each round")
        if one.value not in LETTERS:
            raise ValueError(f"value is {one.value!r}; it takes one of the letters A to J")
        self.take(Request(me, Propose(one.value)))
        ballot = self.world.node(me).ballot
        self.said.append(f"{me} begins ballot {ballot}; it would like {one.value}")
        for acceptor in one.promised_by:
            if answer := self.ask(me, acceptor, Prepare, Promise, ballot):
                value, at = answer.message.accepted_value, answer.message.accepted_ballot
                what = "nothing" if value is None else f"{value}@{at}"
                self.said.append(f"  {acceptor} promises, and reports {what}")
                self.take(answer)
        proposal = self.world.node(me).proposal
        if proposal is None:
            self.said.append(f"  {me} has no quorum of promises, so there is no phase 2")
            return
        self.said.append(f"  {me} asks all to accept {proposal}")
        for acceptor in one.accepted_by:
            if self.ask(me, acceptor, Accept, Accepted, ballot):
                self.said.append(f"  {acceptor} accepts {proposal}@{ballot}")


def play(node_class: type[Paxos], rounds: Sequence[Round]) -> Played:
    """Ballots of three nodes of ``node_class``, played one after the other; no timer fires, nothing else moves.

    Raises ``ValueError`` for rounds that cannot be, ``TypeError`` for what is no ``Round`` or no class of Paxos.
    """
    if not (isinstance(node_class, type) and issubclass(node_class, Paxos)):
        raise TypeError(f"play takes a class of Paxos, not {node_class!r}")
    table = _Table(node_class)
    for one in rounds:
        require.instance("rounds", one, Round, "Round(...) values")
        if table.world.broken is None:
            table.play(one)
    return Played(table.model, tuple(table.actions), tuple(table.said), table.refused, table.world.broken)


def grade_rounds(rounds: Any) -> Grade:
    """Exercise: ballots in which ``TakesTheLowestBallot`` chooses two values, and ``Paxos`` only one."""
    given = listed(rounds)
    if given is None:
        return Grade(False, (f"give a list of rounds, such as [Round('S1', 'A', ('S1', 'S2'))], not {shown(rounds)}",))
    try:
        wrong, right = play(TakesTheLowestBallot, given), play(Paxos, given)
    except (ValueError, TypeError) as error:
        return Grade(False, (str(error),))
    if wrong.broken is None:
        hint = "let the third proposer hear of two different values, one of them chosen"
        if len(given) < 3:
            hint = "with two ballots, the lowest ballot reported is also the highest: add a third"
        return Grade(False, (*wrong.said, f"only one value is chosen, or none: {hint}"))
    if right.broken is not None:
        return Grade(False, (f"Paxos itself breaks {right.broken.invariant}: that should be impossible",))
    return Grade(True, (*wrong.said, wrong.broken.witness, "the same rounds leave Paxos with one value"))


# ------------------------------------------------------------ quorums


def grade_quorum_system(phase1: Any, phase2: Any) -> Grade:
    """Exercise: quorums of six acceptors A to F, all of which take part in both phases: three answers for phase 1, two
    for phase 2, and any one may crash."""
    try:
        first, second = _quorums("phase1", phase1), _quorums("phase2", phase2)
    except (ValueError, TypeError) as error:
        return Grade(False, (str(error),))
    looks = [("every quorum of phase 1 meets every quorum of phase 2: safe",
              [f"{_name(one)} and {_name(two)} share nobody: two values may be chosen"
               for one in first for two in second if not one & two])]  # fmt: skip
    for phase, size, system in (("phase 1", 3, first), ("phase 2", 2, second)):
        idle = sorted(set(SIX) - frozenset.union(*system))
        looks += [
            (f"{phase}: {size} acceptors each",
             [f"{phase}: {_name(one)} has {len(one)} acceptors, and not {size}" for one in system if len(one) != size]),
            (f"{phase}: a quorum is left, whoever crashes",
             [f"{phase}: no quorum is left when {one} crashes" for one in sorted(frozenset.intersection(*system))]),
            (f"{phase}: all six take part", [f"{phase}: {', '.join(idle)} in no quorum: idle"] if idle else []),
        ]  # fmt: skip
    passed, remarks = not any(wrong for _, wrong in looks), [wrong[0] if wrong else good for good, wrong in looks]
    if passed:
        both = sum(not a & b for a, b in combinations(second, 2))
        remarks.append(f"{both} pairs of quorums of phase 2 share nobody, and need not")
    return Grade(passed, tuple(remarks))


SIX = "ABCDEF"


def _quorums(name: str, given: Any) -> list[frozenset[str]]:
    quorums = listed(given)
    if quorums is None:
        raise TypeError(f"{name} is {shown(given)}; it takes a list of quorums, such as ['ABC', 'DEF']")
    if not quorums:
        raise ValueError(f"{name} is empty; it takes at least one quorum")
    system = []
    for quorum in quorums:
        members = [one for one in quorum if one.isalpha()] if isinstance(quorum, str) else listed(quorum)
        if not members or any(one not in list(SIX) for one in members):
            raise ValueError(f"{name} has the quorum {shown(quorum)}; the acceptors are {', '.join(SIX)}")
        system.append(frozenset(members))
    return system


def _name(quorum: Collection[str]) -> str:
    return f"{{{', '.join(sorted(quorum))}}}"
