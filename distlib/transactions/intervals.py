"""When nodes were in doubt, and what they held locked meanwhile: read off a trace."""

from __future__ import annotations

import pandas as pd

from distlib.core.trace import Trace

COLUMNS = ["node", "what", "start_ms", "end_ms", "ended"]


def intervals(trace: Trace, field: str) -> pd.DataFrame:
    """Of each thing that nodes show in the tuple ``field`` of their view (``in_doubt``: transactions; ``locked``:
    accounts; ``waiting``), from when to when it was there: columns node, what, start_ms, end_ms, ended (whether it had
    come to its end when the run did). What a node that is down holds on disk, it holds on: a crash ends nothing."""
    rows, open_since = [], dict[tuple[str, str], float]()
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
    return pd.DataFrame(sorted(rows, key=lambda row: (row[2], row[0])), columns=COLUMNS)


def longest_ms(found: pd.DataFrame) -> float:
    """The longest of these intervals, 0 without one; one that has not ended counts as far as it has come."""
    return float((found["end_ms"] - found["start_ms"]).max()) if len(found) else 0.0
