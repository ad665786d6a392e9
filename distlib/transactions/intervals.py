"""When nodes were in doubt, and what they held locked meanwhile: read off a trace."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from distlib.core.trace import Trace

COLUMNS = ["node", "what", "start_ms", "end_ms", "ended"]


def intervals(trace: Trace, field: str) -> pd.DataFrame:
    """Of each thing that nodes show in the tuple ``field`` of their view (``in_doubt``: transactions; ``locked``:
    accounts; ``waiting``), from when to when it was there: columns node, what, start_ms, end_ms, ended (whether it had
    come to its end when the run did). What a node that is down holds on disk, it holds on: a crash ends nothing."""
    rows: list[tuple[str, str, float, float, bool]] = []
    open_since: dict[tuple[str, str], float] = {}
    for seen in trace.states:
        if seen.view is None:
            continue
        now = set(getattr(seen.view, field, ()))
        before = {what for node, what in open_since if node == seen.node}
        for what in sorted(now - before):
            open_since[seen.node, what] = seen.time_ms
        for what in sorted(before - now):
            rows.append((seen.node, what, open_since.pop((seen.node, what)), seen.time_ms, True))
    rows += [(node, what, start_ms, trace.end_ms, False) for (node, what), start_ms in open_since.items()]
    rows.sort(key=lambda row: (row[2], row[0]))
    return pd.DataFrame(rows, columns=COLUMNS)


def longest_ms(found: pd.DataFrame) -> float:
    """The longest of these intervals, 0 without one; one that has not ended counts as far as it has come."""
    return float((found["end_ms"] - found["start_ms"]).max()) if len(found) else 0.0


def transitions(trace: Trace) -> dict[tuple[str, str], int]:
    """How often coordinators and participants went from one state to another, by (from, to); states as in figures."""
    found: Counter[tuple[str, str]] = Counter()
    stages: dict[tuple[str, str], str] = {}
    told: set[str] = set()
    for seen in trace.states:
        for transaction in getattr(seen.view, "waiting", ()):
            if stages.get((seen.node, transaction)) is None:
                stages[seen.node, transaction] = "waits for locks"
                found["not asked", "waits for locks"] += 1
    for one in trace.outputs:
        name, event = type(one.event).__name__, one.event
        if name == "Begun":
            found["idle", "collecting votes"] += 1
        elif name == "Told" and event.transaction not in told:
            told.add(event.transaction)
            found["collecting votes", "decided"] += 1
        elif name == "Wrote":
            kind, transaction = type(event.record).__name__, event.record.transaction
            before = stages.get((str(one.node), transaction), "not asked")
            after = {"Prepared": "in doubt", "Leaning": "leaning", "Finished": "aborted"}.get(kind)
            if kind == "Finished" and event.record.commit:
                after = "committed"
            if kind == "Ended":
                found["decided", "forgotten"] += 1
            elif after is not None and after != before:
                stages[str(one.node), transaction] = after
                found[before, after] += 1
    return dict(found)
