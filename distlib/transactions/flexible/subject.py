"""Flexible transactions as the judge, the museum, the kill matrix and the Step lab see them."""

from __future__ import annotations

from typing import Any

from distlib.check.subject import Requests, Subject
from distlib.core.mutant import Mutant, mutants_in
from distlib.core.node import NodeId
from distlib.transactions.flexible import broken
from distlib.transactions.flexible.at_mode import ATMode
from distlib.transactions.flexible.invariants import (
    at_invariants,
    messaging_invariants,
    saga_invariants,
    tcc_invariants,
)
from distlib.transactions.flexible.message import Begin
from distlib.transactions.flexible.messaging import BestEffort, Outbox, TransactionalMessage
from distlib.transactions.flexible.saga import ChoreographedSaga, Saga
from distlib.transactions.flexible.searches import (
    AT,
    AT_SEARCHES,
    MESSAGING_SEARCHES,
    SAGA_SEARCHES,
    TCC_SEARCHES,
    work,
)
from distlib.transactions.flexible.service import UNPAYABLE
from distlib.transactions.flexible.tcc import TCC


def services(node_class: type[Any], names: tuple[NodeId, ...]) -> list[Any]:
    """Services with ten in their accounts, each of which may also drive transactions."""
    return [node_class(name) for name in names]


def transfers(names: tuple[NodeId, ...]) -> Requests:
    """A transfer from the first service to the second one, and one that fails after it has taken the money."""
    first, second, last = names[0], names[min(1, len(names) - 1)], names[-1]
    pay = work((first, -1), (second, 1))
    return [(first, Begin("a", pay)), (first, Begin("f", (*pay, (last, (UNPAYABLE,)))))]


def payments(names: tuple[NodeId, ...]) -> Requests:
    """A payment from the first service to the second one, and one that the first service refuses."""
    first, second = names[0], names[min(1, len(names) - 1)]
    return [
        (first, Begin("a", work((first, -1), (second, 1)))), (first, Begin("r", work((first, -11), (second, 11))))
    ]  # fmt: skip


def mutants_of(node_class: type[Any]) -> tuple[Mutant, ...]:
    """Those that derive from ``node_class``."""
    return tuple(one for one in mutants_in(broken) if issubclass(one.node_class, node_class))


SAGA = Subject(
    Saga, services, saga_invariants, transfers, searches=SAGA_SEARCHES, correct=(Saga, ChoreographedSaga),
    mutants=mutants_of(Saga),
)  # fmt: skip
TCC_SUBJECT = Subject(
    TCC, services, tcc_invariants, transfers, searches=TCC_SEARCHES, correct=(TCC,), mutants=mutants_of(TCC)
)
AT_MODE = Subject(
    ATMode, services, at_invariants, transfers, searches=AT_SEARCHES, correct=(ATMode,), mutants=mutants_of(ATMode),
    example=lambda node_class: AT.with_crashes(node_class, 1).run(1_000.0),
)  # fmt: skip
OUTBOX = Subject(
    Outbox, services, messaging_invariants, payments, searches=MESSAGING_SEARCHES,
    correct=(Outbox, TransactionalMessage, BestEffort), mutants=mutants_of(Outbox),
)  # fmt: skip
