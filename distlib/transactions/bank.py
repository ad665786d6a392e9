"""Accounts, and what transactions do to them: the example of the whole topic, for money that is lost is easily seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from distlib.core import require
from distlib.core.node import NodeId

Balances = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Add:
    """Add ``amount`` to ``account``: a deposit, or a withdrawal if negative. No balance may fall below zero."""

    account: str
    amount: int

    def __str__(self) -> str:
        return f"{self.account}{self.amount:+d}"


@dataclass(frozen=True, slots=True)
class Read:
    """Read the balance of ``account``."""

    account: str

    def __str__(self) -> str:
        return f"read {self.account}"


Operation = Add | Read
Operations = tuple[Operation, ...]
Work = tuple[tuple[NodeId, Operations], ...]
"""What a transaction does: operations for each node that takes part, in order."""


def transfer(source: NodeId, target: NodeId, amount: int = 1, account: str = "x") -> Work:
    """Move ``amount`` from ``account`` at one node to the account of the same name at another."""
    require.whole("amount", amount, 1)
    return (source, (Add(account, -amount),)), (target, (Add(account, amount),))


def refusal(balances: Balances, operations: Iterable[Operation]) -> str:
    """Why ``operations`` cannot be done in turn on ``balances``, in words; empty when they can."""
    now = dict(balances)
    for one in operations:
        if one.account not in now:
            return f"there is no account {one.account}"
        if isinstance(one, Add):
            now[one.account] += one.amount
            if now[one.account] < 0:
                return f"{one} leaves {now[one.account]}"
    return ""


def applied(balances: Balances, operations: Iterable[Operation]) -> dict[str, int]:
    """``balances`` after ``operations``."""
    now = dict(balances)
    for one in operations:
        if isinstance(one, Add):
            now[one.account] += one.amount
    return now


def undone(operations: Iterable[Operation]) -> Operations:
    """What takes ``operations`` back: the opposite, in reverse order."""
    return tuple([Add(one.account, -one.amount) for one in reversed(tuple(operations)) if isinstance(one, Add)])


def writes(operations: Iterable[Operation]) -> bool:
    """Whether any of them changes a balance."""
    return any(isinstance(one, Add) for one in operations)
