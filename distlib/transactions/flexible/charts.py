"""The charts of flexible transactions: a flow forward and back, and anomalies against concurrency."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from distlib.core.trace import Trace
from distlib.figures import theme
from distlib.figures.columns import check_columns
from distlib.figures.shapes import plain, words

FORWARD, BACK = theme.BLUE, theme.VERMILLION
LANE_PX = 56


def flow_chart(trace: Trace) -> go.Figure:
    """What can be seen at each service, in order of time: changes forward, changes that take them back, and when the
    whole was over. Between a change and the end, others see a transaction half done."""
    nodes = [node for node in trace.nodes if not node.startswith("R")]
    rows = {node: float(-at) for at, node in enumerate(nodes)}
    steps = [one for one in trace.outputs if type(one.event).__name__ == "Applied" and one.node in rows]
    over = [one for one in trace.outputs if type(one.event).__name__ == "Ended"]
    end_ms = min(trace.end_ms, 1.12 * max([one.time_ms for one in (*steps, *over)], default=trace.end_ms))
    figure = theme.figure(height=110 + LANE_PX * len(rows), margin=(64, 24, 44, 56))
    half = [steps[0].time_ms, over[0].time_ms if over else end_ms] if steps else []
    figure.add_trace(_half_done(half, len(rows)))
    path = [(one.time_ms, rows[str(one.node)]) for one in steps]
    figure.add_scatter(
        x=[x for x, _ in path], y=[y for _, y in path], mode="lines", line={"color": theme.FAINT, "width": 1.4},
        showlegend=False, hoverinfo="skip",
    )  # fmt: skip
    for back, name, colour, symbol in ((False, "done", FORWARD, "circle"), (True, "taken back", BACK, "diamond")):
        found = [one for one in steps if one.event.back is back]
        figure.add_scatter(
            x=[one.time_ms for one in found], y=[rows[str(one.node)] for one in found], mode="markers+text", name=name,
            showlegend=True, text=[f"<b>{', '.join(map(str, one.event.operations))}</b>" for one in found],
            textposition="top center", textfont={"color": colour},
            marker={"symbol": symbol, "size": 14, "color": colour, "line": {"width": 1.5, "color": theme.PAPER}},
            hovertext=[f"<b>{plain(one.node)}</b> {name} at {one.time_ms:,.1f} ms" for one in found], hoverinfo="text",
        )  # fmt: skip
    said = [f"{'done' if one.event.done else 'not done'} at {one.time_ms:,.0f} ms" for one in over]
    figure.add_trace(words(
        [(one.time_ms, 0.62, text) for one, text in zip(over, said, strict=True)], textfont={"color": theme.INK},
    ))  # fmt: skip
    figure.update_xaxes(range=[0, end_ms], title_text="virtual time (ms)", tickformat=",")
    figure.update_yaxes(
        **theme.ROWS, range=[-len(rows) + 0.4, 0.85], tickvals=list(rows.values()),
        ticktext=[f"<b>{plain(node)}</b>" for node in rows],
    )  # fmt: skip
    return figure


def _half_done(span: list[float], rows: int) -> go.Scatter:
    """The time in which others see a part of it."""
    x = [span[0], span[1], span[1], span[0], span[0]] if span else []
    y = [0.45, 0.45, -rows + 0.5, -rows + 0.5, 0.45] if span else []
    return go.Scatter(
        x=x, y=y, fill="toself", mode="lines", line={"width": 0}, name="others see it half done", showlegend=True,
        fillcolor=theme.translucent(theme.ORANGE, 0.18), hoverinfo="skip",
    )  # fmt: skip


PANELS = {
    "read_skew": "wrong sums,<br>of 1,000", "dirty_reads": "dirty readings,<br>of 1,000",
    "lost_updates": "lost updates,<br>of 1,000", "per_s": "transfers done,<br>a second",
}  # fmt: skip


def anomaly_curves(table: pd.DataFrame) -> go.Figure:
    """Anomalies and throughput against the number of clients, a curve a protocol; columns as ``scenarios.anomalies``
    gives them."""
    check_columns(table, "protocol", "clients", *PANELS, name="the anomalies")
    figure = theme.panels(1, 4, height=420, subplot_titles=list(PANELS.values()), horizontal_spacing=0.06)
    for number, name in enumerate(dict.fromkeys(table["protocol"])):
        rows, style = table[table["protocol"] == name], theme.series_style(number)
        for place, column in enumerate(PANELS, 1):
            figure.add_trace(go.Scatter(
                x=rows["clients"], y=rows[column], mode="lines+markers", name=name, legendgroup=name,
                showlegend=place == 1, line=style.line(2.2), marker=_sign(number, style.colour),
                hovertemplate=f"<b>{name}</b>, %{{x}} clients: %{{y:,.3g}}<extra></extra>",
            ), 1, place)  # fmt: skip
    counts = sorted(set(table["clients"]))
    figure.update_xaxes(title_text="clients", type="log", tickvals=counts, ticktext=[f"{one}" for one in counts])
    figure.update_yaxes(rangemode="tozero")
    for place in (1, 2, 3):
        figure.update_yaxes(range=[-20, 1040], row=1, col=place)
    figure.update_layout(margin={"l": 56, "r": 24, "t": 112, "b": 56}, legend={"y": 1.2})
    return figure


def _sign(number: int, colour: str) -> dict[str, Any]:
    return {"symbol": theme.SYMBOLS[number % len(theme.SYMBOLS)], "size": 8, "color": colour}
