"""What to count in a Raft trace: leaders, terms, split votes, downtime, messages, commits."""

from __future__ import annotations

import pandas as pd

from distlib.core.fault import Crash
from distlib.core.trace import DELIVERED, Trace
from distlib.raft.message import Applied, BecameLeader


def leaders(trace: Trace) -> list[tuple[float, str, int]]:
    """Every election won: time in ms, server, term."""
    return [(one.time_ms, str(one.node), one.event.term) for one in trace.outputs_of(BecameLeader)]


def split_terms(trace: Trace) -> list[int]:
    """Terms in which servers stood for election and nobody won, the last one left out while it may still be decided."""
    stood = sorted({one.view.term for one in trace.states if getattr(one.view, "role", "") == "candidate"})
    won = {term for _, _, term in leaders(trace)}
    return [term for term in stood if term not in won and (term < stood[-1] or term < max(won, default=0))]


def failovers(trace: Trace) -> list[tuple[float, float | None]]:
    """Each crash of a leader: its time, and how long until another server won an election (None: not in this run)."""
    won = leaders(trace)
    found = []
    for fault in trace.faults:
        view = trace.view_at(str(fault.node), fault.time_ms - 1e-9)
        if isinstance(fault.event, Crash) and getattr(view, "role", None) == "leader":
            after = [time_ms for time_ms, _, _ in won if time_ms > fault.time_ms]
            found.append((fault.time_ms, after[0] - fault.time_ms if after else None))
    return found


def commit_times(trace: Trace) -> dict[int, float]:
    """When each log index was first applied by any server, ms."""
    first: dict[int, float] = {}
    for one in trace.outputs_of(Applied):
        first.setdefault(one.event.index, one.time_ms)
    return first


def statistics(trace: Trace) -> pd.DataFrame:
    """A small table for people: statistic, value."""
    won, splits, committed = leaders(trace), split_terms(trace), commit_times(trace)
    telling = [copy for copy in trace.sent if not getattr(copy[4], "routine", False)]
    lost = sum(trace.fates.get(copy[1], DELIVERED) not in (DELIVERED, "in flight") for copy in trace.sent)
    rows = [
        ("first leader after", f"{won[0][0]:.0f} ms" if won else "none in this run"),
        ("elections won", f"{len(won)}" + (f" (terms {', '.join(str(term) for _, _, term in won)})" if won else "")),
        ("terms without a winner", f"{len(splits)}" + (f" ({_listed(splits)})" if splits else "")),
    ]
    for time_ms, gap_ms in failovers(trace):
        text = "not replaced in this run" if gap_ms is None else f"replaced after {gap_ms:.0f} ms"
        rows.append((f"leader crashed at {time_ms:.0f} ms", text))
    rows += [
        ("entries committed", str(len(committed))),
        ("messages", f"{len(trace.sent)} ({len(telling)} without heartbeats and their answers)"),
        ("messages lost", str(lost)),
    ]
    return pd.DataFrame(rows, columns=["statistic", "value"])


def _listed(terms: list[int]) -> str:
    shown = ", ".join(map(str, terms[:6]))
    return f"term {shown}" if len(terms) == 1 else f"terms {shown}{' …' if len(terms) > 6 else ''}"
