"""Ending a transaction without its coordinator, again and again, with more and more patience."""

from __future__ import annotations

from dataclasses import dataclass

from distlib.core.node import volatile
from distlib.transactions.two_phase import TwoPhaseCommit

LONGEST = 32
"""How many times its first patience a node has at the most."""


@dataclass
class TriesAgain(TwoPhaseCommit):
    """A node that tries to end transactions in which it is in doubt, or for whose votes it has waited too long. What it
    asks for a second time may undo, or delay, what is under way for the first, of its own or of others that try, too.
    So after each time in vain it waits longer, and at random (Lamport 2001, §2.4)."""

    tried: dict[str, int] = volatile(dict)  # how often, for each transaction that is not over

    def times(self, transaction: str) -> int:
        """How many times its first patience it has by now."""
        return min(max(1, self.tried.get(transaction, 0)), LONGEST)

    def wait_longer(self, name: str, time_ms: float | None, transaction: str) -> None:
        """Restart a timer with more patience than before."""
        if time_ms is not None:
            self.set_timer(name, time_ms, time_ms * self.times(transaction), key=transaction)

    def let_go(self, transaction: str) -> None:
        """Nothing more to try."""
        super().let_go(transaction)
        self.tried.pop(transaction, None)

    def forget(self, transaction: str) -> None:
        """Nor for a coordinator that took no part."""
        super().forget(transaction)
        if transaction not in self.branches:
            self.tried.pop(transaction, None)
