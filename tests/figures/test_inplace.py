"""Updates in place: the widget ends as the new figure is, and says which way it went."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import pytest

from distlib.figures import theme
from distlib.figures.inplace import update
from distlib.figures.latency import latency_cdf
from distlib.figures.spacetime import spacetime
from distlib.figures.time_travel import time_travel
from tests.figures import run

KINDS, ROLES = ("RequestVote", "Vote"), ("follower", "candidate", "leader", "crashed")


def shown(figure: Any) -> list[tuple[Any, ...]]:
    return [
        tuple(
            list(value) if isinstance(value := getattr(one, name, None), tuple) else value
            for name in ("name", "x", "y", "base", "text", "hovertext", "showlegend")
        )
        for one in figure.data
    ]


@pytest.mark.parametrize("make", [go.Figure, go.FigureWidget])
@pytest.mark.parametrize("first", [run.trace(), run.empty("S1", "S2", "S3", end_ms=50.0)])
def test_the_same_traces_are_updated_in_place(make: Any, first: Any) -> None:
    second = spacetime(run.trace(violations=(run.BROKEN,)), start_ms=20, kinds=KINDS, roles=ROLES)
    widget = make(spacetime(first, kinds=KINDS, roles=ROLES))
    assert update(widget, second) is True
    assert shown(widget) == shown(second)
    assert tuple(widget.layout.xaxis.range) == (20, 100)


def test_a_figure_of_another_shape_replaces_the_old_one() -> None:
    widget = go.FigureWidget(spacetime(run.trace()))
    new = latency_cdf({"a": [1, 2]})
    assert update(widget, new) is False
    assert shown(widget) == shown(new)


def test_a_figure_with_frames_is_refused_as_widgets_have_none() -> None:
    with pytest.raises(ValueError, match=r"has 3 frames, and a FigureWidget shows none; .*save_html"):
        update(go.FigureWidget(), time_travel(run.trace(), frames=3))


def test_rafts_fixed_kinds_and_roles_are_those_of_its_messages_and_views() -> None:
    from distlib.protocols import raft, raft_message, raft_snapshot, raft_variants

    for kind in theme.RAFT_KINDS:
        assert any(hasattr(module, kind) for module in (raft_message, raft_snapshot, raft_variants)), kind
    assert {role.value for role in raft.Role} <= set(theme.RAFT_ROLES)
    assert set(theme.RAFT_KINDS) <= set(theme.KINDS) and set(theme.RAFT_ROLES) <= set(theme.ROLES)


def test_unknown_kinds_get_a_look_of_their_own_and_known_ones_keep_theirs() -> None:
    styles = theme.kind_styles(("Ping", "Vote", "Pong"))
    assert styles["Vote"] == theme.KINDS["Vote"]
    assert styles["Ping"] != styles["Pong"]
    assert theme.in_order({"z", "Vote", "a"}, ("Vote",)) == ("Vote", "a", "z")


def test_no_two_roles_or_kinds_differ_by_colour_alone() -> None:
    """Kinds of one hue differ in dash; hues of Okabe & Ito differ for all kinds of colour vision."""
    raft = theme.RAFT_KINDS
    styles = theme.kind_styles(raft)
    assert len(set(styles.values())) == len(raft)
    assert theme.role_style(theme.CRASHED).hatch and theme.role_style(theme.PAUSED).hatch
