"""Retries: how often a call is tried, how long it waits in between, and when it is given up for good."""

from __future__ import annotations

from dataclasses import dataclass, field

from distlib.core import require
from distlib.core.parameter import Parameters, parameter
from distlib.resilience.backoff import Backoff
from distlib.resilience.budget import RetryBudget


@dataclass(frozen=True)
class Retry(Parameters):
    """How a caller goes on after a failed attempt. ``attempts`` counts the first one too; ``deadline_s`` bounds the
    whole call, waits included (None: no bound): an attempt whose backoff would pass it is not begun."""

    attempts: int = parameter(3, "attempts", low=1, high=100, help="of one call, the first included")
    deadline_s: int | float | None = None
    backoff: Backoff = field(default_factory=Backoff)
    budget: RetryBudget | None = None

    def check(self) -> None:
        if self.deadline_s is not None:
            require.above("Retry.deadline_s", self.deadline_s, 0.0, "s")


ONCE = Retry(attempts=1)
"""One attempt, no retry, no deadline."""
