"""Looks: messages and roles are drawn as they declare it, in the order that they declare, and others in turn."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from distlib.core.look import Look
from distlib.figures import theme
from distlib.figures.looks import message_styles, role_style, role_styles
from distlib.figures.spacetime import spacetime
from distlib.paxos.message import Accept, Prepare, Promise, Propose, Query
from distlib.paxos.multi_paxos_message import CatchUp, MultiPaxosView
from distlib.paxos.paxos import PaxosView
from distlib.paxos.scenarios import LeaderChangeParams, leader_change
from distlib.raft.message import AppendEntries, AppendReply, RaftView, RequestVote, Vote
from distlib.raft.scenarios import ElectionParams, election
from distlib.raft.variants import PreVoteReply, RequestPreVote
from distlib.replication.message import ClientRequest, ReadRequest


@dataclass(frozen=True)
class Alpha:
    pass


@dataclass(frozen=True)
class Beta:
    pass


@dataclass(frozen=True)
class Loud:
    look = Look("mauve")


BEAT, ENTRY = AppendEntries(1, 0, 0, (), 0), AppendEntries(1, 0, 0, ("x",), 0)  # type: ignore[arg-type]


def test_legends_have_what_is_declared_in_its_order_then_others_by_name_in_turn() -> None:
    messages = [
        Beta(),
        BEAT,
        Alpha(),
        Vote(1, True),
        ReadRequest("x"),
        ENTRY,
        AppendReply(1, True),
        RequestVote(1, 0, 0),
    ]
    messages += [PreVoteReply(1, True), RequestPreVote(1, 0, 0), ClientRequest("x")]
    styles = message_styles(messages)
    assert list(styles) == [
        "RequestPreVote", "PreVoteReply", "RequestVote", "Vote", "AppendEntries", "AppendReply", "ClientRequest",
        "ReadRequest", "Heartbeat", "Alpha", "Beta", "other",
    ]  # fmt: skip
    assert styles["Vote"] == (theme.VERMILLION, "dot") and styles["ReadRequest"] == (theme.GREEN, "dash")
    assert styles["AppendEntries"] == (theme.BLUE, "solid") and styles["Heartbeat"] == (theme.PALETTE["mist"], "solid")
    assert [styles[kind] for kind in ("Alpha", "Beta", "other")] == [theme.series_style(number) for number in range(3)]


def test_fixed_kinds_keep_their_order_and_colours_whatever_the_run_has() -> None:
    kinds = ("Vote", "Alpha", "RequestVote")
    full, poor = message_styles([Alpha(), Vote(1, True), RequestVote(1, 0, 0)], kinds), message_styles([Alpha()], kinds)
    assert list(full) == list(poor) == [*kinds, "other"]
    assert full["Alpha"] == poor["Alpha"] and full["other"] == poor["other"]


def test_roles_are_coloured_by_what_their_view_declares() -> None:
    view = RaftView("leader", 1, None, None, 0, 0, 0, (), (), (), ())
    styles = role_styles([None, view], ["up", "leader", "stranger", "crashed", "follower"])
    assert list(styles) == ["follower", "leader", "up", "crashed", "stranger", "other"]
    assert styles["leader"] == (theme.BLUE, theme.PAPER, "") == role_style("leader", view)
    assert styles["crashed"].hatch and styles["stranger"] == styles["up"] == styles["other"]
    assert list(role_styles([view], (), ["leader", "candidate"])) == ["leader", "candidate", "other"]


def test_every_role_and_message_of_the_course_takes_a_colour_of_the_palette() -> None:
    looks = [look for view in (RaftView, MultiPaxosView, PaxosView) for look in view.role_looks().values()]
    looks += [one.look for one in (BEAT, ENTRY, Prepare, Promise, Propose, Query, Accept)]
    assert {look.colour for look in looks} <= set(theme.PALETTE)
    assert not hasattr(CatchUp, "look")


def test_a_colour_that_is_not_in_the_palette_is_refused() -> None:
    with pytest.raises(ValueError, match=r"look.colour is 'mauve'; choose one of 'orange', 'sky'"):
        message_styles([Loud()])


def test_the_lines_of_a_run_have_the_colours_of_its_messages() -> None:
    colours = {one.name: one.line.color for one in spacetime(election(ElectionParams())).data if one.type == "scatter"}
    assert (colours["RequestVote"], colours["AppendEntries"]) == (theme.VERMILLION, theme.BLUE)
    names = [
        one.name
        for one in spacetime(leader_change(LeaderChangeParams())).data
        if one.type == "scatter" and one.showlegend and one.hovertext
    ]
    assert names[1:7] == ["ClientRequest", "ClientReply", "Prepare", "Promise", "Accept", "Accepted"]
