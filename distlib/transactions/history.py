"""What clients asked and were told, as a history: were transactions done one at a time, as far as clients can see?"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from distlib.check.history.history import UNKNOWN, History, Operation
from distlib.check.history.sequential import Illegal, Specification
from distlib.check.simulation import not_explained
from distlib.replication.history import calls
from distlib.sim.cluster import Cluster
from distlib.transactions.bank import Read, Work, applied


class Accounts(Specification):
    """The accounts of all nodes: a transaction does its work, and answers with what it has read."""

    operations = ("transaction",)

    def __init__(self, initial: Hashable) -> None:
        self.initial = initial

    def step(self, state: Any, operation: Operation) -> Any:
        """Each node's part, in order."""
        balances, work = {node: dict(accounts) for node, accounts in state}, operation.argument.work
        reads = reads_of(work, balances)
        if operation.result is not UNKNOWN and sorted(operation.result.reads) != sorted(reads):
            return Illegal(f"it read {_text(operation.result.reads)}, and the accounts hold {_text(reads)}")
        for node, operations in work:
            balances[node] = applied(balances[node], operations)
        return tuple((node, tuple(sorted(accounts.items()))) for node, accounts in sorted(balances.items()))

    def only_looks(self, operation: Operation) -> bool:
        return all(isinstance(one, Read) for _, operations in operation.argument.work for one in operations)


def reads_of(work: Work, balances: dict[str, dict[str, int]]) -> list[tuple[str, int]]:
    """What ``work`` reads of ``balances``, by node and account."""
    return [
        (f"{node}.{one.account}", applied(balances[node], operations[:at])[one.account])
        for node, operations in work for at, one in enumerate(operations) if isinstance(one, Read)
    ]  # fmt: skip


def _text(reads: Any) -> str:
    return ", ".join(f"{account} = {balance}" for account, balance in sorted(reads)) or "nothing"


def history_of(cluster: Cluster) -> History:
    """The clients' transactions but the aborted ones, which have done nothing; one that nobody answered is pending."""
    operations = []
    for one, answer in calls(cluster.outputs):
        client, work = one.event.client, one.event.command
        if answer is None or answer.event.result is None:  # it gave up: the transaction may be committed or not
            operations.append(Operation(client, "transaction", work, UNKNOWN, one.time_ms))
        elif answer.event.result.commit:
            ended = answer.event.result, one.time_ms, answer.time_ms
            operations.append(Operation(client, "transaction", work, *ended))
    return History(tuple(operations))


def not_strictly_serializable(cluster: Cluster) -> str:
    """Why no order of the transactions in which none comes before one that was answered before it began explains what
    clients were told; empty when one does. Raises ``UndecidedError``."""
    members: list[Any] = [node for node in cluster.nodes.values() if hasattr(node, "outcomes")]
    initial = tuple((node.id, tuple(sorted(node.initial))) for node in sorted(members, key=lambda node: node.id))
    return not_explained(history_of(cluster), Accounts(initial))
