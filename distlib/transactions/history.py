"""What clients asked and were told, as a history: were transactions done one at a time, as far as clients can see?"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from distlib.check.history.history import UNKNOWN, History, Operation
from distlib.check.history.linearizability import Verdict, check
from distlib.check.history.sequential import Illegal, Specification
from distlib.replication.message import Invoked, Returned
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
    known = [one for one in cluster.outputs if isinstance(one.event, (Invoked, Returned))]
    answers = {(one.event.client, one.event.serial): one for one in known
               if isinstance(one.event, Returned) and one.event.result is not None}  # fmt: skip
    operations = []
    for one in known:
        if isinstance(one.event, Invoked):
            answer = answers.get((one.event.client, one.event.serial))
            if answer is None:
                operations.append(Operation(one.event.client, "transaction", one.event.command, call=one.time_ms,
                                            result=UNKNOWN))  # fmt: skip
            elif answer.event.result.commit:
                operations.append(Operation(one.event.client, "transaction", one.event.command, answer.event.result,
                                            one.time_ms, answer.time_ms))  # fmt: skip
    return History(tuple(operations))


def not_serializable(cluster: Cluster) -> str:
    """Why no order of the transactions explains what clients were told; empty when one does."""
    members: list[Any] = [node for node in cluster.nodes.values() if hasattr(node, "outcomes")]
    initial = tuple((node.id, tuple(sorted(node.initial))) for node in sorted(members, key=lambda node: node.id))
    result = check(history_of(cluster), Accounts(initial), configuration_limit=50_000)
    return result.explain() if result.verdict is Verdict.NOT_LINEARIZABLE else ""
