"""What must always hold in flexible transactions, though nobody is isolated: live, and in each state of the explorer.

A node takes part by its fields alone: ``balances``, and ``sagas`` and ``ledger`` of a saga. What a saga, a TCC or a
message promises, it promises for the end: so most of it is asked once nothing is open.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from distlib.core.invariant import Broken, Invariant
from distlib.core.node import NodeId
from distlib.transactions.bank import applied
from distlib.transactions.invariants import Conservation, services

Nodes = Mapping[NodeId, Any]


class NoDebt(Invariant):
    """No account holds less than nothing: who takes something out, or back, looks first whether it is there."""

    name = "no debt"
    paper = "Gray 1981, The Transaction Concept: a transaction keeps the database consistent"

    def after(self, ghost: Any, nodes: Nodes, changed: NodeId) -> Hashable:
        for account, balance in getattr(nodes[changed], "balances", {}).items():
            if balance < 0:
                raise Broken(f"{changed} has {balance} of {account}: no account may hold less than nothing")
        return ghost


class NothingTwice(Invariant):
    """A service's balances are what comes of its ledger, in which each step and each compensation stands once."""

    name = "nothing twice"
    paper = "DTM and Seata: 幂等, a repeated request has no effect"

    def after(self, ghost: Any, nodes: Nodes, changed: NodeId) -> Hashable:
        node = nodes[changed]
        if hasattr(node, "ledger") and node.balances:
            should = dict(node.initial)
            for operations in node.ledger.values():
                should = applied(should, operations or ())
            if should != node.balances:
                raise Broken(f"{changed} has {dict(node.balances)}; its ledger, each entry once, gives {should}")
        return ghost


# --- sagas ----------------------------------------------------------------------------------------------


def sagas_of(nodes: Nodes) -> Iterator[tuple[str, Any]]:
    """Every saga that some node keeps a log of."""
    for node in nodes.values():
        yield from getattr(node, "sagas", {}).items()


def is_effective(nodes: Nodes, saga: str, step: int, where: NodeId) -> bool:
    """Whether the step has been done at its service, and not taken back."""
    ledger = nodes[where].ledger
    return ledger.get((saga, step, False)) is not None and (saga, step, True) not in ledger


class AllOrCompensated(Invariant):
    """Of a saga that has ended, all steps are done, or none is any more."""

    name = "all or compensated"
    paper = "Garcia-Molina & Salem 1987, §1: T1 … Tn, or T1 … Tj Cj … C1"

    def after(self, ghost: Any, nodes: Nodes, changed: NodeId) -> Hashable:
        for saga, one in sagas_of(nodes):
            if one.ended:
                for step, (where, _) in enumerate(one.work):
                    if is_effective(nodes, saga, step, where) == one.back:
                        what = (
                            "compensated, and step {} at {} is done" if one.back else "done, and step {} at {} is not"
                        )
                        raise Broken(f"saga {saga} has ended {what.format(step, where)}")
        return ghost


class ReverseOrder(Invariant):
    """No step is taken back while a later one of its saga is done."""

    name = "compensation in reverse order"
    paper = "Garcia-Molina & Salem 1987, §1: Cj, …, C1"

    def after(self, ghost: Any, nodes: Nodes, changed: NodeId) -> Hashable:
        for saga, step in taken_back(nodes[changed]):
            for name, one in sagas_of(nodes):
                for later, (where, _) in enumerate(one.work):
                    if name == saga and later > step and is_effective(nodes, saga, later, where):
                        raise Broken(f"{changed} has taken back step {step} of saga {saga}; step {later} is still done")
        return ghost


class ForwardAfterPivot(Invariant):
    """Once the pivot is done, no step is taken back."""

    name = "forward after the pivot"
    paper = "Richardson 2018, §4.3.2: if the pivot commits, the saga runs to its end"

    def after(self, ghost: Any, nodes: Nodes, changed: NodeId) -> Hashable:
        for saga, one in sagas_of(nodes):
            where = one.work[one.pivot][0] if one.pivot is not None else None
            if where is not None and nodes[where].ledger.get((saga, one.pivot, False)) is not None:
                for node in services(nodes):
                    for name, step in taken_back(node):
                        if name == saga:
                            raise Broken(
                                f"the pivot of saga {saga} is done, and step {step} is taken back at {node.id}"
                            )
        return ghost


class OneAtATime(Invariant):
    """With semantic locks, an account has been written by the compensatable steps of one open saga at most."""

    name = "semantic locks"
    paper = "Richardson 2018, §4.3.2: the flag warns that the record may change"

    def after(self, ghost: Any, nodes: Nodes, changed: NodeId) -> Hashable:
        node = nodes[changed]
        if not getattr(node, "semantic_locks", False):
            return ghost
        writers: dict[str, set[str]] = {}
        for saga, one in sagas_of(nodes):
            last = len(one.work) if one.pivot is None else one.pivot + 1
            for step, (where, operations) in enumerate(one.work[:last]):
                if not one.ended and where == changed and is_effective(nodes, saga, step, where):
                    for operation in operations:
                        writers.setdefault(operation.account, set()).add(saga)
        for account, several in writers.items():
            if len(several) > 1:
                raise Broken(f"{account} at {changed} is written by {', '.join(sorted(several))}, which are all open")
        return ghost


def taken_back(node: Any) -> list[tuple[str, int]]:
    """The steps that have been done and taken back at a service: pairs of the saga and the step."""
    ledger = getattr(node, "ledger", {})
    return [(saga, step) for (saga, step, back), what in ledger.items() if back and what]


# --- transactions in two phases ---------------------------------------------------------------------------


def globals_of(nodes: Nodes) -> Iterator[tuple[str, Any]]:
    """Every global transaction in some coordinator's log."""
    for node in nodes.values():
        yield from getattr(node, "transactions", {}).items()


def carried_out(node: Any) -> Iterator[tuple[str, int, bool]]:
    """The branches that have carried out a decision at a service, and which."""
    for gid, branch, op in getattr(node, "barrier", ()):
        if op in ("confirm", "cancel"):
            yield gid, branch, op == "confirm"
    for (gid, branch), commit in getattr(node, "closed", {}).items():
        yield gid, branch, commit


class OneDecision(Invariant):
    """No two branches of a global transaction carry out different decisions, nor does one branch both. The ghost: the
    first decision seen of each."""

    name = "one decision"
    paper = "Pardon & Pautasso 2014: all participants confirm, or all cancel"

    def after(self, ghost: tuple[tuple[str, bool], ...], nodes: Nodes, changed: NodeId) -> Hashable:
        known = dict(ghost)
        for gid, branch, commit in carried_out(nodes[changed]):
            if known.setdefault(gid, commit) != commit:
                did, others = ("confirmed", "cancelled") if commit else ("cancelled", "confirmed")
                raise Broken(f"branch {branch} of {gid} is {did} at {changed}, and it was {others} before")
        return ghost if len(known) == len(ghost) else tuple(sorted(known.items()))


class FrozenOnce(Invariant):
    """What is free and what is frozen at a service is what its barrier says, each row once."""

    name = "frozen once"
    paper = "DTM, 子事务屏障: 空补偿, 悬挂 and 幂等 are cured by inserts alone"

    def after(self, ghost: Any, nodes: Nodes, changed: NodeId) -> Hashable:
        node = nodes[changed]
        if not getattr(node, "barrier", None):
            return ghost
        free, frozen = dict(node.initial), {account: 0 for account, _ in node.initial}
        for gid, one in globals_of(nodes):
            for branch, (where, operations) in enumerate(one.work):
                if where == changed:
                    tried = node.barrier.get((gid, branch, "try")) == "try"
                    confirmed, cancelled = ((gid, branch, op) in node.barrier for op in ("confirm", "cancel"))
                    for operation in operations if tried else ():
                        amount = getattr(operation, "amount", 0)
                        if confirmed or (amount < 0 and not cancelled):
                            free[operation.account] += amount
                        if amount < 0 and not (confirmed or cancelled):
                            frozen[operation.account] -= amount
        for name, should, now in (("free", free, node.balances), ("frozen", frozen, node.frozen)):
            for account, amount in should.items():
                if now.get(account, 0) != amount:
                    raise Broken(f"{changed} has {now.get(account, 0)} of {account} {name}; its barrier says {amount}")
        return ghost


class NoDirtyWrite(Invariant):
    """A row that a branch of an undecided or failed global transaction has written is written by no other one until
    that one has ended."""

    name = "no dirty write"
    paper = "Seata, AT mode, 写隔离: the global lock is held until the transaction has ended"

    def after(self, ghost: Any, nodes: Nodes, changed: NodeId) -> Hashable:
        open_ones = {gid: one for gid, one in globals_of(nodes) if not one.commit}
        writers: dict[str, str] = {}
        for (gid, _), undo in getattr(nodes[changed], "undo", {}).items():
            for account, _ in undo.after if gid in open_ones else ():
                other = writers.setdefault(account, gid)
                if other != gid:
                    raise Broken(f"{account} at {changed} is written by {other} and {gid}, and neither is committed")
        return ghost


def tcc_invariants() -> tuple[Invariant, ...]:
    """All of TCC's."""
    return OneDecision(), FrozenOnce(), Conservation(), NoDebt()


def at_invariants() -> tuple[Invariant, ...]:
    """All of AT mode's."""
    return OneDecision(), NoDirtyWrite(), Conservation(), NoDebt()


# --- messages -----------------------------------------------------------------------------------------------


class SentIfCommitted(Invariant):
    """What a consumer has consumed, its producer's local transaction has committed."""

    name = "sent only if committed"
    paper = "RocketMQ, transactional messages: downstream receives the message only if the local transaction succeeded"

    def after(self, ghost: Any, nodes: Nodes, changed: NodeId) -> Hashable:
        for gid, _ in getattr(nodes[changed], "inbox", ()):
            if not any(getattr(node, "local", {}).get(gid) for node in nodes.values()):
                raise Broken(f"{changed} has consumed the message of {gid}, whose local transaction has not committed")
        return ghost


class LocalOnce(Invariant):
    """A producer's local transaction is run once: what became of it, stays so. The ghost: the first result of each."""

    name = "local transaction once"
    paper = "RocketMQ, transactional messages: the check-back tells the state of the local transaction"

    def after(self, ghost: tuple[tuple[str, bool], ...], nodes: Nodes, changed: NodeId) -> Hashable:
        known = dict(ghost)
        for gid, commit in getattr(nodes[changed], "local", {}).items():
            if known.setdefault(gid, commit) != commit:
                first, now = ("done", "refused") if known[gid] else ("refused", "done")
                raise Broken(f"the local transaction of {gid} was {first}, and is {now} at {changed}")
        return ghost if len(known) == len(ghost) else tuple(sorted(known.items()))


class ConsumedOnce(Invariant):
    """A service has gained no more than the messages bring that it has consumed, each once."""

    name = "consumed once"
    paper = "RocketMQ: a transactional message may be consumed more than once; the consumer is idempotent"

    def after(self, ghost: Any, nodes: Nodes, changed: NodeId) -> Hashable:
        node = nodes[changed]
        if hasattr(node, "inbox") and node.balances:
            gained = sum(getattr(one, "amount", 0) for done in node.inbox.values() for one in done)
            total = sum(node.balances.values()) - sum(balance for _, balance in node.initial)
            if total > gained:
                raise Broken(f"{changed} has gained {total}, and consumed messages that bring {gained}")
        return ghost


def messaging_invariants() -> tuple[Invariant, ...]:
    """All of reliable messages'."""
    return SentIfCommitted(), LocalOnce(), ConsumedOnce(), Conservation(), NoDebt()


def saga_invariants() -> tuple[Invariant, ...]:
    """All of a saga's."""
    ends = Conservation(), AllOrCompensated()
    return *ends, NoDebt(), NothingTwice(), ReverseOrder(), ForwardAfterPivot(), OneAtATime()
