"""Fault tolerance as one sees it: attempts on a timeline, a breaker's states over the errors, storms, goodput by load,
what tiers multiply, backoff, hedges.

Each function raises ``ValueError`` for an empty table or a missing column.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from distlib.figures import theme
from distlib.figures.columns import check_columns
from distlib.figures.shapes import framed, hatch, lines, words
from distlib.figures.theme import LineStyle

OUTCOMES = {
    "ok": (theme.GREEN, ""), "error": (theme.VERMILLION, "x"), "timed out": (theme.ORANGE, "/"),
    "refused": (theme.PURPLE, "\\"),
    "shed": (theme.PURPLE, "."), "cancelled": ("#cfd8e0", "-"), "pending": (theme.SKY, ""),
}  # fmt: skip
"""Colour and hatch of an attempt by how it ended."""
WASTED = "server still works on it"
BACKOFF = "backoff"


def attempts_timeline(attempts: pd.DataFrame, calls: pd.DataFrame, deadline_ms: float) -> go.Figure:
    """Every call a row, every attempt a bar from its sending to its end, coloured by how it ended; the gaps between are
    backoffs, a thin grey bar is the work that goes on after the caller has given up.

    ``attempts``: call, number, try, outcome, sent_ms, ended_ms, done_ms; ``calls``: call, outcome, took_ms.
    """
    check_columns(attempts, "call", "number", "try", "outcome", "sent_ms", "ended_ms", "done_ms")
    check_columns(calls, "call", "outcome", "took_ms")
    count = len(calls)
    figure = theme.figure(height=110 + 26 * count, margin=(64, 130, 64, 50), barmode="overlay", bargap=0.0)
    for outcome, (colour, pattern) in OUTCOMES.items():
        rows = attempts[attempts["outcome"] == outcome]
        figure.add_trace(_attempt_bars(rows, outcome, colour, pattern))
    wasted = attempts[attempts["done_ms"] > attempts["ended_ms"] + 1e-6]
    figure.add_bar(
        orientation="h", base=wasted["ended_ms"], x=wasted["done_ms"] - wasted["ended_ms"], y=wasted["call"] + 0.36,
        width=0.14, name=WASTED, marker=framed(theme.FAINT, theme.FAINT, 0), hovertemplate=f"{WASTED}<extra></extra>",
    )  # fmt: skip
    end = 1.06 * max(float(attempts[["ended_ms", "done_ms"]].max().max()), 100.0)
    end = min(end, 1.25 * deadline_ms)
    gaps = _backoffs(attempts)
    figure.add_trace(
        lines(gaps, line={"color": theme.FAINT, "width": 1.5, "dash": "dot"}, name=BACKOFF, showlegend=True)
    )
    limit = [[(deadline_ms, -0.6), (deadline_ms, count - 0.4)]]
    dashed = {"color": theme.INK, "width": 1.2, "dash": "dash"}
    figure.add_trace(lines(limit, line=dashed, name="deadline", showlegend=deadline_ms <= end))
    ends = [
        (end, row, f"{'✓' if outcome in ('ok', 'degraded') else '✗'} {outcome}, {took:,.0f} ms")
        for row, outcome, took in calls[["call", "outcome", "took_ms"]].itertuples(index=False)
    ]
    figure.add_trace(
        words(ends, textposition="middle right", textfont={"size": 11, "color": theme.SOFT}, cliponaxis=False)
    )
    figure.update_xaxes(title_text="since the call began (ms)", range=[0, end])
    figure.update_yaxes(
        title_text="call", range=[count - 0.4, -0.6], dtick=1, tickvals=list(range(count)), showgrid=False
    )
    return figure


def _attempt_bars(rows: pd.DataFrame, outcome: str, colour: str, pattern: str) -> go.Bar:
    said = [
        f"<b>{kind} (attempt {number})</b><br>sent at {sent:.0f} ms, {outcome} after {end - sent:.0f} ms"
        for kind, number, sent, end in rows[["try", "number", "sent_ms", "ended_ms"]].itertuples(index=False)
    ]
    hedge = (rows["try"] == "hedge").to_numpy()
    return go.Bar(
        orientation="h", base=rows["sent_ms"], x=rows["ended_ms"] - rows["sent_ms"],
        y=rows["call"] + np.where(hedge, 0.3, 0.0), width=np.where(hedge, 0.24, 0.5), name=outcome, hovertext=said,
        hoverinfo="text", text=["hedge" if one else "" for one in hedge], textposition="none",
        showlegend=bool(len(rows)),
        marker=framed(colour, theme.PAPER, 1, hatch(pattern, theme.PAPER, 7, 0.2)),
    )  # fmt: skip


def _backoffs(attempts: pd.DataFrame) -> list[list[tuple[float, float]]]:
    """The stretch before every retry."""
    gaps: list[list[tuple[float, float]]] = []
    for call, rows in attempts[attempts["try"] != "hedge"].groupby("call"):
        ended, sent = rows["ended_ms"].to_numpy()[:-1], rows["sent_ms"].to_numpy()[1:]
        row: Any = call
        gaps += [[(a, row), (b, row)] for a, b in zip(ended, sent, strict=True) if b > a]
    return gaps


STATE_LOOKS = {"closed": ("#bfe3d5", ""), "half-open": ("#f7e3ab", "/"), "open": (theme.VERMILLION, "x")}


def breaker_strip(course: pd.DataFrame, threshold: float, outage_s: tuple[float, float]) -> go.Figure:
    """The breaker's states as a strip over the share of failures, and the calls that were sent and rejected below.
    ``course``: time_s, sent, failed, rejected, breaker; ``threshold``: the failure rate that opens it."""
    check_columns(course, "time_s", "sent", "failed", "rejected", "breaker")
    width = float(course["time_s"].diff().median())
    figure = theme.panels(3, 1, height=470, shared_xaxes=True, row_heights=[0.14, 0.43, 0.43], vertical_spacing=0.05)
    for state, (colour, pattern) in STATE_LOOKS.items():
        mine = (course["breaker"] == state).to_numpy()
        figure.add_bar(
            x=course["time_s"] + width / 2, y=mine.astype(float), width=width, name=state, row=1, col=1,
            marker=framed(colour, colour, 0, hatch(pattern, theme.PAPER, 6, 0.15)),
            hovertemplate=f"{state} at %{{x:.1f}} s<extra></extra>", showlegend=True,
        )  # fmt: skip
    rate = (course["failed"] / course["sent"].where(course["sent"] > 0)).rolling(4, min_periods=1).mean()
    figure.add_scatter(
        x=course["time_s"], y=rate, name="share of failures among calls sent", mode="lines", row=2, col=1,
        line={"color": theme.BLUE, "width": 2}, hovertemplate="%{y:.0%} fail at %{x:.1f} s<extra></extra>",
        connectgaps=False,
    )  # fmt: skip
    figure.add_scatter(
        x=[0, float(course["time_s"].max())], y=[threshold] * 2, mode="lines", name="threshold", row=2, col=1,
        line={"color": theme.INK, "width": 1.2, "dash": "dash"}, hoverinfo="skip",
    )  # fmt: skip
    for column, colour, pattern in (("sent", theme.GREEN, ""), ("rejected", theme.FAINT, "/")):
        figure.add_bar(
            x=course["time_s"] + width / 2, y=course[column] / width, width=width, name=column, row=3, col=1,
            marker=framed(colour, colour, 0, hatch(pattern, theme.PAPER, 6, 0.2)),
            hovertemplate=f"%{{y:.0f}} {column} a second<extra></extra>",
        )  # fmt: skip
    figure.update_layout(barmode="stack", margin=theme.margins(76, 24, 56, 50), legend={"y": 1.02})
    figure.update_yaxes(
        showticklabels=False, ticks="", showgrid=False, range=[0, 1], title_text="breaker", row=1, col=1
    )
    figure.update_yaxes(title_text="failures", tickformat=".0%", range=[-0.02, 1.04], row=2, col=1)
    figure.update_yaxes(title_text="calls a second", rangemode="tozero", row=3, col=1)
    return figure.update_xaxes(
        title_text=f"time (s); the outage lasts from {outage_s[0]:g} to {outage_s[1]:g} s", row=3, col=1
    )


def storm_course(course: pd.DataFrame, capacity_per_s: float, outage_s: tuple[float, float]) -> go.Figure:
    """Requests, attempts and goodput over the time of an outage and after it; how long the queue takes below.
    ``course``: time_s, offered_per_s, attempts_per_s, goodput_per_s, wait_s."""
    check_columns(course, "time_s", "offered_per_s", "attempts_per_s", "goodput_per_s", "wait_s")
    figure = theme.panels(2, 1, height=470, shared_xaxes=True, row_heights=[0.68, 0.32], vertical_spacing=0.06)
    top = 1.1 * max(capacity_per_s, float(course["attempts_per_s"].max()), float(course["offered_per_s"].max()))
    start, end = outage_s
    figure.add_scatter(
        x=[start, end, end, start, start], y=[0, 0, top, top, 0], fill="toself", mode="lines", line={"width": 0},
        row=1, col=1,
        fillcolor=theme.translucent(theme.SOFT, 0.18), name="outage", hoverinfo="skip", showlegend=end > start,
    )  # fmt: skip
    for column, name, style, width in (
        ("attempts_per_s", "attempts at the server", LineStyle(theme.VERMILLION), 1.6),
        ("offered_per_s", "requests", LineStyle(theme.SOFT, "dot"), 1.6),
        ("goodput_per_s", "goodput: answered in time", LineStyle(theme.GREEN), 3.0),
    ):
        figure.add_scatter(
            x=course["time_s"], y=course[column], name=name, mode="lines", line=style.line(width), row=1, col=1,
            hovertemplate=f"{name}: %{{y:.0f}}/s at %{{x:.0f}} s<extra></extra>",
        )  # fmt: skip
    last = float(course["time_s"].max())
    figure.add_scatter(
        x=[0, last], y=[capacity_per_s] * 2, mode="lines", name="capacity", row=1, col=1, hoverinfo="skip",
        line={"color": theme.INK, "width": 1.2, "dash": "dash"},
    )  # fmt: skip
    figure.add_scatter(
        x=course["time_s"], y=course["wait_s"], mode="lines", name="wait in the queue", row=2, col=1, fill="tozeroy",
        line={"color": theme.PURPLE, "width": 1.6}, fillcolor=theme.translucent(theme.PURPLE, 0.15),
        hovertemplate="a wait of %{y:.1f} s at %{x:.0f} s<extra></extra>",
    )  # fmt: skip
    figure.update_layout(margin=theme.margins(76, 24, 56, 50), legend={"y": 1.02})
    figure.update_yaxes(title_text="a second", range=[0, top], row=1, col=1)
    figure.update_yaxes(title_text="wait (s)", rangemode="tozero", row=2, col=1)
    return figure.update_xaxes(title_text="time (s)", row=2, col=1).update_xaxes(range=[0, last])


def goodput_by_load(points: pd.DataFrame, capacity_per_s: float, vulnerable: tuple[float, float]) -> go.Figure:
    """Goodput against offered load, left alone and long after an outage; the stable, vulnerable and overloaded regions
    are shaded and named. ``points``: load, offered_per_s, alone_per_s, after_per_s."""
    check_columns(points, "load", "offered_per_s", "alone_per_s", "after_per_s")
    low, high = (capacity_per_s * one for one in vulnerable)
    right, top = 1.02 * float(points["offered_per_s"].max()), 1.18 * capacity_per_s
    figure = theme.figure(height=430, margin=(76, 24, 48, 56))
    regions = (
        ("stable", 0.0, low, theme.GREEN),
        ("vulnerable", low, high, theme.ORANGE),
        ("overloaded", high, right, theme.VERMILLION),
    )
    for name, left, end, colour in regions:
        figure.add_scatter(
            x=[left, end, end, left, left], y=[0, 0, top, top, 0], fill="toself", mode="lines", line={"width": 0},
            fillcolor=theme.translucent(colour, 0.1), name=name, showlegend=False, hoverinfo="skip",
        )  # fmt: skip
    named = [
        ((left + end) / 2, 0.955 * top, f"<b>{name}</b>" if end - left > 30 else "") for name, left, end, _ in regions
    ]
    figure.add_trace(words(named, textfont={"size": 13, "color": theme.SOFT}))
    figure.add_scatter(
        x=[0, capacity_per_s, right], y=[0, capacity_per_s, capacity_per_s], mode="lines",
        name="the best there could be",
        line={"color": theme.FAINT, "width": 1.4, "dash": "dash"}, hoverinfo="skip",
    )  # fmt: skip
    for column, name, style, sign in (
        ("alone_per_s", "left alone", LineStyle(theme.BLUE), "circle"),
        ("after_per_s", "long after the outage", LineStyle(theme.VERMILLION, "dot"), "diamond"),
    ):
        figure.add_scatter(
            x=points["offered_per_s"], y=points[column], name=name, mode="lines+markers", line=style.line(2.4),
            marker={"symbol": sign, "size": 8, "color": style.colour},
            hovertemplate=f"<b>{name}</b><br>%{{x:.0f}}/s offered, %{{y:.0f}}/s answered in time<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="offered load (requests a second)", range=[0, right])
    return figure.update_yaxes(title_text="goodput (answered in time, a second)", range=[0, top])


def tiers_sankey(flows: pd.DataFrame) -> go.Figure:
    """What one request becomes further down: the width of a band is the number of attempts, first tries and retries
    apart. ``flows``: call (``caller → callee``, from the top down), first_tries, retries."""
    check_columns(flows, "call", "first_tries", "retries")
    names = [str(flows["call"].iloc[0]).split(" → ")[0], *(str(one).split(" → ")[1] for one in flows["call"])]
    totals = [1.0, *(flows["first_tries"] + flows["retries"])]
    labels = [
        f"{name}<br>{total:,.3g} {'request' if k == 0 else 'attempts'}"
        for k, (name, total) in enumerate(zip(names, totals, strict=True))
    ]
    source, target, value, colour, said = [], [], [], [], []
    for k, (first, again) in enumerate(flows[["first_tries", "retries"]].itertuples(index=False)):
        for amount, tone, word in ((first, theme.BLUE, "first tries"), (again, theme.VERMILLION, "retries")):
            if amount > 1e-9:
                source.append(k)
                target.append(k + 1)
                value.append(amount)
                colour.append(theme.translucent(tone, 0.55))
                said.append(f"{amount:,.3g} {word} per request")
    places = np.linspace(0.02, 0.98, len(names))
    figure = theme.figure(height=380, margin=(24, 24, 56, 24))
    figure.add_trace(go.Sankey(
        arrangement="fixed", node={"label": labels, "x": places, "y": [0.5] * len(names), "color": theme.INK,
        "thickness": 12,
                                   "pad": 12, "hovertemplate": "%{label}<extra></extra>"},
        link={"source": source, "target": target, "value": value, "color": colour, "customdata": said,
              "hovertemplate": "%{customdata}<extra></extra>"}, textfont={"size": 13, "color": theme.INK,
              "family": theme.FONT},
    ))  # fmt: skip
    for tone, word in ((theme.BLUE, "first tries"), (theme.VERMILLION, "retries")):
        figure.add_scatter(
            x=[None], y=[None], mode="markers", name=word, marker={"color": tone, "symbol": "square", "size": 12}
        )
    return figure.update_xaxes(visible=False).update_yaxes(visible=False)


STRATEGY_STYLES = {
    "none": LineStyle(theme.SOFT, "dot"), "constant": LineStyle(theme.SKY, "dash"),
    "exponential": LineStyle(theme.VERMILLION),
    "equal": LineStyle(theme.ORANGE, "dash"), "full": LineStyle(theme.BLUE), "decorrelated": LineStyle(theme.GREEN,
    "dashdot"),
}  # fmt: skip


def writes_over_time(writes_ms: dict[str, np.ndarray], until_ms: float, slices: int = 60) -> go.Figure:
    """Calls in each slice of time, a panel for each backoff; where there is no jitter they come in clusters.
    ``writes_ms``: by backoff, when each call reached the register."""
    if not writes_ms:
        raise ValueError("writes_ms is empty; run at least one backoff")
    names = list(writes_ms)
    figure = theme.panels(len(names), 1, height=70 + 92 * len(names), shared_xaxes=True, vertical_spacing=0.03)
    bounds = np.linspace(0.0, until_ms, slices + 1)
    width = until_ms / slices
    for row, name in enumerate(names, 1):
        counts, _ = np.histogram(writes_ms[name], bounds)
        figure.add_bar(
            x=bounds[:-1] + width / 2, y=counts, width=width, name=name, row=row, col=1, showlegend=False,
            marker=framed(STRATEGY_STYLES[name].colour, theme.PAPER, 0.5),
            hovertemplate=f"{name}: %{{y}} calls around %{{x:.0f}} ms<extra></extra>",
        )  # fmt: skip
        figure.update_yaxes(title_text=f"<b>{name}</b>", title_standoff=4, nticks=3, rangemode="tozero", row=row, col=1)
    figure.update_layout(margin=theme.margins(96, 24, 20, 50))
    figure.update_xaxes(range=[0, until_ms])
    return figure.update_xaxes(title_text=f"time (ms); calls in each {width:.0f} ms", row=len(names), col=1)


def time_against_calls(summary: pd.DataFrame, published: dict[str, tuple[float, float]] | None = None) -> go.Figure:
    """How long it takes until all are done against how many calls that costs: nearer to the lower left is better.
    ``summary``: strategy, time_ms, calls; ``published``: by strategy (time_ms, calls), as open rings."""
    check_columns(summary, "strategy", "time_ms", "calls")
    figure = theme.figure(height=430, margin=(76, 40, 48, 56))
    for name, time_ms, calls in summary[["strategy", "time_ms", "calls"]].itertuples(index=False):
        figure.add_scatter(
            x=[calls], y=[time_ms], mode="markers+text", name=name, text=[f"  {name}"], textposition="middle right",
            textfont={"size": 13}, marker={"size": 12, "color": STRATEGY_STYLES[name].colour}, showlegend=False,
            hovertemplate=f"<b>{name}</b><br>%{{x:,.0f}} calls, %{{y:,.0f}} ms<extra></extra>",
        )  # fmt: skip
    known = published or {}
    figure.add_scatter(
        x=[calls for _, calls in known.values()], y=[time_ms for time_ms, _ in known.values()], mode="markers",
        name="published (100 clients)", showlegend=bool(known),
        hovertemplate="published: %{x:,} calls, %{y:,} ms<extra></extra>",
        marker={"symbol": "circle-open", "size": 20, "color": theme.INK, "line": {"width": 1.6}},
    )  # fmt: skip
    ticks = theme.decades(1, 7)
    low, high = float(summary["time_ms"].min()), float(summary["time_ms"].max())
    figure.update_yaxes(
        title_text="until all are done (ms, log scale)", **theme.log_axis(0.6 * low, 1.7 * high), tickvals=ticks
    )
    return figure.update_xaxes(title_text="calls (writes tried)", range=[0, 1.18 * float(summary["calls"].max())])


def hedged_tail(ccdf: pd.DataFrame, hedge_ms: float, extra: float, marks_ms: tuple[float, float]) -> go.Figure:
    """P(a read takes longer than t), with and without a hedge, and what that costs. ``ccdf``: time_ms, read,
    hedged_read; ``extra``: further requests a request; ``marks_ms``: the 99.9th percentile without and with."""
    check_columns(ccdf, "time_ms", "read", "hedged_read")
    figure = theme.figure(height=430, margin=(110, 24, 64, 56))
    floor = 1e-4
    for column, name, style in (
        ("read", "without a hedge", LineStyle(theme.VERMILLION, "dash")), ("hedged_read", "with a hedge",
        LineStyle(theme.BLUE)),
    ):  # fmt: skip
        rows = ccdf[ccdf[column] > floor / 3]
        figure.add_scatter(
            x=rows["time_ms"], y=rows[column], mode="lines", name=name, line=style.line(2.6),
            hovertemplate=f"<b>{name}</b><br>%{{y:.2%}} take longer than %{{x:.3g}} ms<extra></extra>",
        )  # fmt: skip
    figure.add_scatter(
        x=list(marks_ms), y=[1e-3, 1e-3], mode="markers+text", name="p99.9", showlegend=False,
        text=[f"{one:,.0f} ms" if one >= 100 else f"{one:.3g} ms" for one in marks_ms], textposition="top right",
        textfont={"size": 13, "color": theme.INK},
        marker={"size": 10, "color": [theme.VERMILLION, theme.BLUE]}, hovertemplate="p99.9: %{x:.3g} ms<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=[hedge_ms] * 2, y=[floor, 1.0], mode="lines", name=f"hedge sent; {extra:.1%} more requests",
        line={"color": theme.INK, "width": 1.2, "dash": "dot"}, hoverinfo="skip",
    )  # fmt: skip
    shown = ccdf[(ccdf["read"] < 0.9999) & (ccdf["read"] > floor)]["time_ms"]
    low, high = (float(shown.min()), float(shown.max())) if len(shown) else (0.1, 1e4)
    ticks: dict[str, Any] = {
        "tickvals": [1, 0.1, 0.01, 1e-3, 1e-4],
        "ticktext": ["all", "10 %", "1 %", "0.1 % (p99.9)", "0.01 %"],
    }
    figure.update_yaxes(title_text="reads that take longer", type="log", range=[math.log10(floor), 0.1], **ticks)
    low = min(low, hedge_ms) / 1.5
    return figure.update_xaxes(
        title_text="t (ms, log scale)", tickvals=theme.decades(-2, 6), **theme.log_axis(low, 1.6 * high)
    )
