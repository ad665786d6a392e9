"""The charts of the Paxos chapter: rounds to decision against backoff, and three protocols side by side."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from distlib.figures import theme

PROTOCOLS = {"Paxos": (theme.VERMILLION, "/"), "Multi-Paxos": (theme.BLUE, ""), "Raft": (theme.GREEN, ".")}


def rounds_against_backoff(study: pd.DataFrame, *, width: int = theme.WIDTH) -> go.Figure:
    """Ballots and time until somebody knows the decision, against the width of the random pause.

    ``study`` has the columns backoff_ms, trials, decided (share), rounds, time_ms. A width at which no duel was decided
    is a cross at the top. Raises ``ValueError`` for a missing column.
    """
    _check(study, {"backoff_ms", "trials", "decided", "rounds", "time_ms"}, "study")
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.09)
    labels = [f"{one:g}" for one in study["backoff_ms"]]
    for row, (column, title, colour) in enumerate(
        (("rounds", "ballots to decision", theme.BLUE), ("time_ms", "time to decision (ms)", theme.VERMILLION)), 1
    ):
        top = float(study[column].max()) if study[column].notna().any() else 1.0
        figure.add_trace(go.Scatter(
            x=labels, y=study[column], mode="lines+markers", name=title, line={"color": colour, "width": 2.4},
            marker={"size": 9}, showlegend=False, connectgaps=False, customdata=study[["decided", "trials"]],
            hovertemplate="0 to %{x} ms: %{y:.1f}<br>%{customdata[0]:.0%} of %{customdata[1]} decided<extra></extra>",
        ), row, 1)  # fmt: skip
        never = [label for label, share in zip(labels, study["decided"], strict=True) if share == 0]
        figure.add_trace(go.Scatter(
            x=never, y=[top * 1.12] * len(never), mode="markers+text", name="never decided", showlegend=False,
            marker={"symbol": "x", "size": 12, "color": theme.ALARM},
                text=[""] * (len(never) - 1) + ["livelock: none was decided"] * bool(never),
            textposition="middle right", textfont={"color": theme.ALARM}, hoverinfo="skip",
        ), row, 1)  # fmt: skip
        figure.update_yaxes(title_text=title, rangemode="tozero", range=[0, top * 1.3], row=row, col=1)
    figure.update_layout(theme.figure(height=470, width=width).layout)
    figure.update_layout(margin={"l": 74, "r": 24, "t": 20, "b": 56})
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=labels)
    figure.update_xaxes(title_text="backoff: uniform from 0 to so many ms", row=2, col=1)
    return figure


def protocol_bars(comparison: pd.DataFrame, *, width: int = theme.WIDTH) -> go.Figure:
    """Messages a command, round trips a command, and the time of a leader change, protocol by protocol.

    ``comparison`` has the columns protocol, messages, round_trips, leader_change_ms, standard_error_ms. Raises
    ``ValueError`` for a missing column.
    """
    wanted = {"protocol", "messages", "round_trips", "leader_change_ms", "standard_error_ms"}
    _check(comparison, wanted, "comparison")
    panels = (("messages", "messages a command"), ("round_trips", "round trips a command"),
              ("leader_change_ms", "leader change (ms)"))  # fmt: skip
    figure = make_subplots(rows=1, cols=3, subplot_titles=[title for _, title in panels], horizontal_spacing=0.08)
    for place, (column, _) in enumerate(panels, 1):
        for _, row in comparison.iterrows():
            colour, hatch = PROTOCOLS.get(row["protocol"], (theme.SOFT, ""))
            value = row[column]
            known = pd.notna(value)
            error = row["standard_error_ms"] if column == "leader_change_ms" and known else 0
            figure.add_trace(go.Bar(
                x=[row["protocol"]], y=[value if known else 0], name=row["protocol"], showlegend=False,
                marker={"color": colour, "pattern": {"shape": hatch, "fgcolor": "#ffffff", "solidity": 0.15}},
                text=[f"<b>{value:.3g}</b>" if known else "no leader"], insidetextanchor="middle", textangle=0,
                textposition="inside" if known else "outside", cliponaxis=False,
                insidetextfont={"color": "#ffffff", "size": 15},
                error_y={"type": "data", "array": [3 * error], "visible": bool(error), "color": theme.INK},
                hovertemplate=f"{row['protocol']}: %{{y:.4g}}<extra></extra>",
            ), 1, place)  # fmt: skip
        top = float(comparison[column].max())
        figure.update_yaxes(range=[0, 1.2 * top], row=1, col=place)
    figure.update_layout(theme.figure(height=360, width=width).layout)
    figure.update_layout(margin={"l": 50, "r": 20, "t": 44, "b": 40}, bargap=0.35, barmode="overlay")
    return figure


def _check(frame: pd.DataFrame, wanted: set[str], name: str) -> None:
    missing = wanted - set(frame.columns)
    if missing:
        raise ValueError(f"{name} lacks the column {', '.join(sorted(missing))}")
