"""The charts of the Paxos chapter: rounds against backoff, protocols side by side, and quorums that share members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from distlib.figures import theme
from distlib.figures.columns import check_columns
from distlib.figures.shapes import lines, signs, words

PROTOCOLS = {"Paxos": (theme.VERMILLION, "/"), "Multi-Paxos": (theme.BLUE, ""), "Raft": (theme.GREEN, ".")}
MOST = 21
"""So many quorums of a phase are drawn at most; with more, the first ones, and the figure says so."""

Quorum = tuple[str, ...]


def rounds_against_backoff(study: pd.DataFrame) -> go.Figure:
    """Ballots and time until somebody knows the decision, against the width of the random pause.

    ``study`` has the columns backoff_ms, trials, decided (share), rounds, time_ms. Where no duel was decided stands a
    cross at the top.
    """
    check_columns(study, "backoff_ms", "trials", "decided", "rounds", "time_ms", name="study")
    figure = theme.panels(2, 1, height=470, shared_xaxes=True, vertical_spacing=0.09)
    labels = [f"{one:g}" for one in study["backoff_ms"]]
    never = [label for label, share in zip(labels, study["decided"], strict=True) if share == 0]
    panels = (("rounds", "ballots to decision", theme.BLUE), ("time_ms", "time to decision (ms)", theme.VERMILLION))
    for row, (column, title, colour) in enumerate(panels, 1):
        top = float(study[column].max()) if study[column].notna().any() else 1.0
        figure.add_trace(go.Scatter(
            x=labels, y=study[column], mode="lines+markers", name=title, line={"color": colour, "width": 2.4},
            marker={"size": 9}, showlegend=False, connectgaps=False, customdata=study[["decided", "trials"]],
            hovertemplate="0 to %{x} ms: %{y:.1f}<br>%{customdata[0]:.0%} of %{customdata[1]} decided<extra></extra>",
        ), row, 1)  # fmt: skip
        figure.add_trace(go.Scatter(
            x=never, y=[top * 1.12] * len(never), mode="markers+text", name="never decided", showlegend=False,
            marker={"symbol": "x", "size": 12, "color": theme.ALARM},
            text=[""] * (len(never) - 1) + ["livelock: none was decided"] * bool(never),
            textposition="middle right", textfont={"color": theme.ALARM}, hoverinfo="skip",
        ), row, 1)  # fmt: skip
        figure.update_yaxes(title_text=title, rangemode="tozero", range=[0, top * 1.3], row=row, col=1)
    figure.update_layout(margin={"l": 74, "r": 24, "t": 20, "b": 56})
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=labels)
    figure.update_xaxes(title_text="backoff: uniform from 0 to so many ms", row=2, col=1)
    return figure


def protocol_bars(comparison: pd.DataFrame) -> go.Figure:
    """Messages a command, round trips a command, and the time of a leader change, protocol by protocol.
    ``comparison`` has the columns protocol, messages, round_trips, leader_change_ms, standard_error_ms."""
    panels = {"messages": "messages a command", "round_trips": "round trips a command",
              "leader_change_ms": "leader change (ms, ± 3 SE)"}  # fmt: skip
    check_columns(comparison, "protocol", *panels, "standard_error_ms", name="comparison")
    figure = theme.panels(1, 3, height=360, subplot_titles=list(panels.values()), horizontal_spacing=0.08)
    for place, column in enumerate(panels, 1):
        for _, row in comparison.iterrows():
            colour, hatch = PROTOCOLS.get(row["protocol"], (theme.SOFT, ""))
            value, known = row[column], pd.notna(row[column])
            said = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
            error = (
                row["standard_error_ms"] if column == "leader_change_ms" and pd.notna(row["standard_error_ms"]) else 0
            )
            figure.add_trace(go.Bar(
                x=[row["protocol"]], y=[value if known else 0], name=row["protocol"], showlegend=False,
                marker={"color": colour, "pattern": {"shape": hatch, "fgcolor": theme.PAPER, "solidity": 0.15}},
                text=[f"<b>{said}</b>" if known else "no leader"], insidetextanchor="middle", textangle=0,
                textposition="inside" if known else "outside", cliponaxis=False,
                insidetextfont={"color": theme.PAPER, "size": 15},
                error_y={"type": "data", "array": [3 * error], "visible": bool(error), "color": theme.INK},
                hovertemplate=f"{row['protocol']}: %{{y:.4g}}<extra></extra>",
            ), 1, place)  # fmt: skip
        top = comparison[column].max() if comparison[column].notna().any() else 1.0
        figure.update_yaxes(range=[0, 1.2 * float(top)], row=1, col=place)
    figure.update_layout(margin={"l": 50, "r": 20, "t": 44, "b": 40}, bargap=0.35, barmode="overlay")
    return figure


def intersection_graph(phase1: Sequence[Quorum], phase2: Sequence[Quorum]) -> go.Figure:
    """Quorums of phase 1 above, of phase 2 below, acceptors between; a line says that an acceptor is in a quorum.

    One quorum of phase 1 is chosen (the first that misses one of phase 2, if there is one, else the first): its
    members are bold, and each quorum of phase 2 is a green square (it shares a member) or a red cross (it does not).
    Raises ``ValueError`` when a phase has no quorum.
    """
    if not phase1 or not phase2:
        raise ValueError("intersection_graph takes at least one quorum of each phase")
    chosen = next((one for one in phase1 if any(not set(one) & set(two) for two in phase2)), phase1[0])
    if chosen not in phase1[:MOST]:
        phase1 = [chosen, *phase1]
    above, below = _row(phase1[:MOST], 2), _row(phase2[:MOST], 0)
    between = _row(sorted({name for one in (*phase1, *phase2) for name in one}), 1)
    others = [one for one in above if one != chosen]
    meets = [two for two in below if set(two) & set(chosen)]
    misses = [two for two in below if two not in meets]
    memberships = [[below[two], between[name]] for two in below for name in two]
    memberships += [[between[name], above[one]] for name in between for one in others if name in one]
    hidden = max(len(phase1) - MOST, 0) + max(len(phase2) - MOST, 0)
    figure = theme.figure(height=400)
    figure.add_traces([
        lines(memberships, line={"color": theme.GRID, "width": 1.2}, name="is in", showlegend=False),
        lines([[between[name], above[chosen]] for name in between if name in chosen], name="is in the chosen quorum",
              line={"color": theme.VERMILLION, "width": 3.5}, showlegend=False),
        _spots(others, above, "phase 1", theme.FAINT, "circle"),
        _spots([chosen], above, "chosen quorum of phase 1", theme.VERMILLION, "circle"),
        _spots(meets, below, "of phase 2: shares a member", theme.GREEN, "square"),
        _spots(misses, below, "of phase 2: shares nobody", theme.ALARM, "x"),
        _acceptors(between, chosen),
        words([(0.5, -0.42, f"   ({hidden} quorums more are not drawn)" if hidden else "")],
              textfont={"color": theme.SOFT}),
    ])  # fmt: skip
    figure.update_layout(margin={"l": 90, "r": 24, "t": 44, "b": 30}, legend={"y": 1.02})
    figure.update_xaxes(visible=False, range=[-0.04, 1.04])
    figure.update_yaxes(
        tickvals=[0, 1, 2], ticktext=["phase 2", "acceptors", "phase 1"], range=[-0.5, 2.3], showgrid=False,
        showline=False, ticks="",
    )  # fmt: skip
    return figure


def _row(items: Sequence[Any], height: float) -> dict[Any, tuple[float, float]]:
    """A place for each of ``items``, evenly across the whole width."""
    return {item: ((number + 0.5) / len(items), height) for number, item in enumerate(items)}


def _spots(
    quorums: Sequence[Quorum], row: dict[Quorum, tuple[float, float]], name: str, colour: str, symbol: str
) -> go.Scatter:
    upper = bool(quorums) and row[quorums[0]][1] > 0
    spots = signs(
        [(*row[one], f"{{{', '.join(one)}}}") for one in quorums], text=[" ".join(one) for one in quorums],
        textposition="top center" if upper else "bottom center", textfont={"size": 11, "color": theme.SOFT},
        name=name, showlegend=bool(quorums),
        marker={"size": 13, "color": colour, "symbol": symbol, "line": {"width": 1, "color": theme.PAPER}},
    )  # fmt: skip
    return spots.update(mode="markers+text") if len(quorums) <= 10 else spots


def _acceptors(row: dict[str, tuple[float, float]], chosen: Quorum) -> go.Scatter:
    colours = [theme.VERMILLION if name in chosen else theme.PALETTE["pale slate"] for name in row]
    return go.Scatter(
        x=[x for x, _ in row.values()], y=[y for _, y in row.values()], mode="markers+text",
        text=[f"<b>{name}</b>" for name in row], hoverinfo="skip", showlegend=False, name="acceptors",
        textfont={"color": [theme.PAPER if name in chosen else theme.INK for name in row]},
        marker={"size": 34, "color": colours, "line": {"width": 1.5, "color": theme.PAPER}},
    )  # fmt: skip


def availability_by_size(sizes: pd.DataFrame, chosen: tuple[int, int]) -> go.Figure:
    """How often each phase is impossible, against the size of phase 2's quorum; the chosen pair is marked.
    ``sizes`` has the columns phase2, phase1, available1, available2 (probabilities)."""
    check_columns(sizes, "phase2", "phase1", "available1", "available2", name="sizes")
    figure = theme.figure(height=400)
    looks = {"available1": ("phase 1: no new leader can be elected", theme.VERMILLION, "dash", "square"),
             "available2": ("phase 2: nothing can be decided", theme.BLUE, "solid", "circle")}  # fmt: skip
    for column, (name, colour, dash, symbol) in looks.items():
        figure.add_trace(go.Scatter(
            x=sizes["phase2"], y=1 - sizes[column], mode="lines+markers", name=name,
            line={"color": colour, "dash": dash, "width": 2.4}, marker={"size": 9, "symbol": symbol},
            customdata=sizes[["phase1", column]],
            hovertemplate="phase 2: %{x}, phase 1: %{customdata[0]}<br>available %{customdata[1]:.6f}<extra></extra>",
        ))  # fmt: skip
    marks = sizes[(sizes["phase2"] == chosen[1]) & (sizes["phase1"] == chosen[0])]
    figure.add_trace(go.Scatter(
        x=[*marks["phase2"], *marks["phase2"]], y=[*(1 - marks["available1"]), *(1 - marks["available2"])],
        mode="markers", name="these quorums", showlegend=not marks.empty, hoverinfo="skip",
        marker={"size": 20, "symbol": "circle-open", "color": theme.INK, "line": {"width": 2}},
    ))  # fmt: skip
    ticks = [f"{two}<br>({one})" for two, one in zip(sizes["phase2"], sizes["phase1"], strict=True)]
    figure.update_xaxes(
        title_text="quorum of phase 2 (and the smallest of phase 1 that intersects it)", tickvals=list(sizes["phase2"]),
        ticktext=ticks,
    )  # fmt: skip
    figure.update_yaxes(type="log", title_text="probability that it is impossible", exponentformat="power")
    figure.update_layout(margin={"l": 74, "r": 24, "t": 40, "b": 74})
    return figure
