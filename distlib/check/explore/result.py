"""What a search found, and how far it looked: a bound that is not printed gives false confidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from distlib.check.explore.model import Property

Verdict = Literal["holds", "violated", "unknown"]


class Step(NamedTuple):
    """One step of a path: the action taken (None for the initial state) and the state after it."""

    action: Any
    state: Any


Path = tuple[Step, ...]


@dataclass(frozen=True)
class SearchProgress:
    """Live numbers of a running search, as ``on_progress`` gets them about ten times a second."""

    distinct: int
    generated: int
    depth: int
    frontier: int  # states found and not yet expanded
    elapsed_s: float
    memory_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.distinct:,} distinct states, {self.generated:,} generated, depth {self.depth}, "
            f"{self.frontier:,} waiting, {self.elapsed_s:.1f} s, {_size(self.memory_bytes)}"
        )


@dataclass(frozen=True)
class Finding:
    """The verdict on one property.

    ``verdict`` is "holds" only when the search proves it for the model as given; for a *sometimes* it means
    that the state was reached. ``path`` is the counterexample, or the way to the state that a *sometimes* asked
    for; it is empty otherwise.
    """

    property: Property
    verdict: Verdict
    explanation: str
    path: Path = ()

    def __str__(self) -> str:
        verdict = "VIOLATED" if self.verdict == "violated" else self.verdict
        return f"{self.property}: {verdict}. {self.explanation}".rstrip()


@dataclass(frozen=True)
class Result:
    """The outcome of one search; ``print`` it for a plain summary with every bound.

    ``depth`` counts states, as TLC does: an initial state has depth 1. ``generated`` counts initial states and every
    successor computed, also those seen before and those that change nothing. ``exhausted`` says that every reachable
    state was visited; without it, "unknown" is the best verdict that a safety property can get.
    """

    model: str
    search: str
    findings: tuple[Finding, ...]
    distinct: int
    generated: int
    depth: int
    exhausted: bool
    stopped_by: str | None  # the bound or event that ended the search early; None when it ran to its end
    bounds: dict[str, Any]
    elapsed_s: float
    memory_bytes: int  # estimated, at the search's peak: visited states, parents and frontier
    symmetry: bool = False
    seed: int | None = None  # random walks: the seed of the failing walk, else the first seed
    walks: int | None = None  # random walks: how many were walked
    stages: tuple[Result, ...] = field(default=(), repr=False)

    @property
    def verdict(self) -> Verdict:
        """ "violated" when any property is, "holds" when every one does, else "unknown"."""
        verdicts = {finding.verdict for finding in self.findings}
        if "violated" in verdicts:
            return "violated"
        return "holds" if verdicts == {"holds"} or (not verdicts and self.exhausted) else "unknown"

    @property
    def violation(self) -> Finding | None:
        """The first violated property with its counterexample, if any."""
        return next((finding for finding in self.findings if finding.verdict == "violated"), None)

    @property
    def path(self) -> Path:
        """The counterexample; without one, the path to the last *sometimes* that was reached; else empty."""
        if self.violation is not None:
            return self.violation.path
        return next((finding.path for finding in reversed(self.findings) if finding.path), ())

    @property
    def bytes_per_state(self) -> float:
        """Estimated memory for each distinct state, parents and tables included."""
        return self.memory_bytes / self.distinct if self.distinct else 0.0

    def __bool__(self) -> bool:
        raise TypeError('a Result is neither true nor false: compare .verdict with "holds", "violated" or "unknown"')

    def __str__(self) -> str:
        longest = "deepest path" if self.walks is None else "longest walk"
        lines = [
            f"{self.model}, {self.search}: {self._headline()}",
            *(f"  {finding}" for finding in self.findings),
            f"  {self.distinct:,} distinct states, {self.generated:,} generated, depth {self.depth} "
            f"(states on the {longest})",
            f"  {self._coverage()}",
            f"  {self.elapsed_s:.2f} s, {_size(self.memory_bytes)}, about {self.bytes_per_state:,.0f} bytes a state",
        ]
        if self.violation is not None and self.path:
            lines.append("  counterexample:")
            for number, (action, state) in enumerate(self.path):
                lines.append(f"    {number:>3}  {'(start)' if action is None else action}  →  {state}")
        return "\n".join(lines)

    __repr__ = __str__

    def _headline(self) -> str:
        if self.violation is not None:
            verdict = f"{self.violation.property} is VIOLATED"
        elif not self.findings:
            verdict = "no property was checked"
        else:
            verdict = "every property holds" if self.verdict == "holds" else "no violation found"
        if self.stopped_by:
            return f"{verdict}; stopped by {self.stopped_by}"
        return f"{verdict}; every reachable state was visited" if self.exhausted else verdict

    def _coverage(self) -> str:
        bounds = (f"{name}={value:,}" if isinstance(value, int) else f"{name}={value}"
                  for name, value in self.bounds.items())  # fmt: skip
        how = "exact (whole states kept)" if self.walks is None else f"{self.walks:,} walks, seed {self.seed}"
        parts = ["exhausted" if self.exhausted else "NOT exhausted", f"bounds: {', '.join(bounds) or 'none'}", how]
        return ", ".join([*parts, "counted up to symmetry"] if self.symmetry else parts)


def _size(count: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
