"""What must always hold in atomic commitment: live in the simulator, in each state of the explorer.

A node takes part by its fields (``outcomes``, ``ended``, ``log``, ``balances``, ``told`` …), so that a reader's own
class, a broken one, or another protocol that keeps these fields, is judged in the same way. AC1 to AC5 are those of
Bernstein, Hadzilacos & Goodman (1987), §7.3.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from itertools import combinations
from typing import Any, NamedTuple

from distlib.core.invariant import Broken, Invariant
from distlib.core.node import Node, NodeId
from distlib.replication.invariants import ServerInvariant
from distlib.transactions.bank import applied
from distlib.transactions.message import Prepared
from distlib.transactions.two_phase import in_conflict, voters_of

Nodes = Mapping[NodeId, Node]
Verdicts = frozenset[tuple[str, bool, NodeId]]


class CommitInvariant(ServerInvariant):
    """A property of coordinators and participants; clients are passed over."""

    mark = "outcomes"


def observed(node: Any) -> Iterator[tuple[str, bool, str]]:
    """What can be seen of decisions at ``node``, and by whom: a commit is seen at once, and so is an abort of what it
    had prepared; another abort only when no crash can make it forget that; and what its clients were told."""
    prepared = {one.transaction for one in node.log if isinstance(one, Prepared)}
    for transaction, commit in node.outcomes:
        if commit or transaction in prepared or (transaction, commit) in node.ended:
            yield transaction, commit, node.id
    if node.told is not None:
        yield (*node.told, f"the client of {node.id}")


class Atomicity(CommitInvariant):
    """All nodes, and the client, see one decision of a transaction, and it is never reversed (AC1, AC2).

    The ghost: for each transaction, the decision that was seen first, and who saw it.
    """

    name = "atomicity"
    paper = "Bernstein, Hadzilacos & Goodman 1987, §7.3: AC1, AC2; Gray & Lamport 2006, §2: consistency"
    initial: Hashable = frozenset()

    def after_server(self, ghost: Verdicts, nodes: Nodes, server: Any) -> Hashable:
        known = {transaction: (commit, who) for transaction, commit, who in ghost}
        new = []
        for transaction, commit, who in observed(server):
            before = known.setdefault(transaction, (commit, who))
            if before == (commit, who) and (transaction, commit, who) not in ghost:
                new.append((transaction, commit, who))
            elif before[0] != commit:
                raise Broken(f"{transaction} {_done(before[0])} at {before[1]}, and {_done(commit)} at {who}")
        return ghost | frozenset(new) if new else ghost


def _done(commit: bool) -> str:
    return "is committed" if commit else "is aborted"


class Promises(NamedTuple):
    """The ghost of ``Validity``: who has ever had a transaction prepared on disk, and who must."""

    prepared: frozenset[tuple[str, NodeId]] = frozenset()
    voters: frozenset[tuple[str, tuple[NodeId, ...]]] = frozenset()


class Validity(CommitInvariant):
    """A transaction is committed only when all who change something have had it prepared on disk (AC3)."""

    name = "commit validity"
    paper = "Bernstein, Hadzilacos & Goodman 1987, §7.3: AC3: commit only if all processes have voted yes"
    initial = Promises()

    def after_server(self, ghost: Promises, nodes: Nodes, server: Any) -> Hashable:
        prepared = {(one.transaction, server.id) for one in server.log if isinstance(one, Prepared)}
        voters = {(transaction, branch.voters) for transaction, branch in server.branches.items() if branch.voters}
        voters |= {(transaction, voters_of(one.work)) for transaction, one in server.rounds.items() if one.work}
        if not (prepared <= ghost.prepared and voters <= ghost.voters):
            ghost = Promises(ghost.prepared | prepared, ghost.voters | voters)
        for transaction, commit, who in observed(server) if ghost.voters else ():
            needed = [one for name, voters in ghost.voters if name == transaction for one in voters]
            missing = sorted({one for one in needed if (transaction, one) not in ghost.prepared})
            if commit and missing:
                raise Broken(f"{transaction} is committed at {who}, and {missing[0]} has never been prepared for it")
        return ghost


class Effects(CommitInvariant):
    """A node's balances are what the transactions that are committed there make of the first ones: nothing is lost,
    done twice, or done before.

    The ghost: the operations of each branch, by node and transaction.
    """

    name = "effects"
    paper = "Gray 1978: a committed transaction's effects survive any crash, an aborted one's are undone"
    initial: Hashable = frozenset()

    def after_server(self, ghost: frozenset[Any], nodes: Nodes, server: Any) -> Hashable:
        branches = {(server.id, one.transaction, one.operations) for one in server.log if isinstance(one, Prepared)}
        if not branches <= ghost:
            ghost |= branches
        if not server.balances:
            return ghost
        committed = {transaction for transaction, commit in server.outcomes if commit}
        wanted = dict(server.initial)
        for node, transaction, operations in ghost:
            if node == server.id and transaction in committed:
                wanted = applied(wanted, operations)
        if short := [account for account, balance in server.balances.items() if balance < 0]:
            raise Broken(
                f"{server.id} has {_text(server.balances)}: nobody may withdraw more from {short[0]} than there is"
            )
        if wanted != server.balances:
            never = sorted(committed - {transaction for node, transaction, _ in ghost if node == server.id})
            raise Broken(
                f"{server.id} has {_text(server.balances)}, and its committed transactions give {_text(wanted)}"
                + (f", without {', '.join(never)}, never seen prepared there" if never else "")
            )
        return ghost


def _text(balances: Mapping[str, int]) -> str:
    return ", ".join(f"{account} = {balance}" for account, balance in sorted(balances.items()))


class Isolation(CommitInvariant):
    """No two transactions that need the same account, one of them to change it, are in doubt at one node."""

    name = "isolation"
    paper = "Bernstein, Hadzilacos & Goodman 1987, chapter 3: strict two-phase locking holds locks until the decision"

    def after_server(self, ghost: Any, nodes: Nodes, server: Any) -> Hashable:
        over = {transaction for transaction, _ in server.outcomes}
        open_here = [one for one in server.log if isinstance(one, Prepared) and one.transaction not in over]
        for one, other in combinations(open_here, 2):
            if in_conflict(one.operations, other.operations):
                raise Broken(
                    f"{one.transaction} and {other.transaction} are both prepared at {server.id} and need one account"
                )
        return ghost


def services(nodes: Nodes) -> list[Any]:
    """The nodes that hold accounts."""
    return [node for node in nodes.values() if hasattr(node, "balances")]


class Conservation(Invariant):
    """Where transactions move money and make none: once none is open, the accounts hold together what they held at
    first, and nothing is left reserved, locked or to be undone. The ghost: the sum at first."""

    name = "conservation of money"
    paper = "Gray 1978: all of it is done, or nothing; Garcia-Molina & Salem 1987, §1: a partial execution is amended"

    def before(self, nodes: Nodes) -> Hashable:
        return sum(balance for node in services(nodes) for _, balance in node.initial)

    def after(self, ghost: int, nodes: Nodes, changed: NodeId) -> int:
        members = services(nodes)
        if not all(node.balances for node in members) or any(node.open_here() for node in members):
            return ghost
        if left := [f"{node.id} still holds {what}" for node in members for what in leftovers(node)]:
            raise Broken(f"nothing is open, and {left[0]}")
        now = sum(sum(node.balances.values()) for node in members)
        if now != ghost:
            held = ", ".join(f"{node.id} {dict(node.balances)}" for node in members)
            raise Broken(f"nothing is open, and {held} make {now}; at first there were {ghost}")
        return ghost


def leftovers(node: Any) -> Iterator[str]:
    """What a node holds for a transaction, in words."""
    for name in ("pending", "frozen", "undo", "locks"):
        for key, value in getattr(node, name, {}).items():
            if value:
                yield f"{key} in {name}"


def commit_invariants() -> tuple[Invariant, ...]:
    """All of atomic commitment's invariants."""
    return Atomicity(), Validity(), Effects(), Isolation()
