"""The Step lab, without a screen."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.replay import actions_of, replay
from distlib.check.cluster.world import Deliver
from distlib.core.fault import Crash, Restart
from distlib.core.node import Node
from distlib.paxos.as_written import OneRoundPaxos
from distlib.paxos.multi_paxos import MultiPaxos
from distlib.paxos.paxos import Paxos
from distlib.raft.raft import Raft
from distlib.workbench.step.cluster import HealLinks, Impossible, PartitionLinks
from distlib.workbench.step.lab import StepLab


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def elected() -> StepLab:
    lab = StepLab(Raft)
    lab.fire("S1")
    lab.deliver("S1 → S2 RequestVote")
    lab.deliver("S2 → S1 Vote")
    return lab


@dataclass
class Dividing(Raft):
    """A reader's slip."""

    def may_grant_vote(self, candidate: str, request: object) -> bool:
        return bool(1 / 0)


@dataclass
class Refusing(Raft):
    """Its nodes cannot even be made."""

    def __post_init__(self) -> None:
        raise RuntimeError("no nodes today")


# --- steps --------------------------------------------------------------------------------------------------


def test_an_election_by_hand_makes_a_leader_and_every_state_shows_each_invariant(elected: StepLab) -> None:
    assert elected.world.node("S1").role.value == "leader"
    assert [name for name, holds, _ in elected.verdicts if holds] == [name for name, *_ in elected.verdicts]
    assert "Election Safety" in [name for name, *_ in elected.verdicts]
    rows = {row["name"]: row for row in elected._frame.panel.content["nodes"]}
    assert rows["S1"]["role"] == "leader"
    assert dict(row[:2] for row in rows["S2"]["fields"])["voted for"] == "S1"


def test_the_trace_in_logical_time_tells_who_sent_what_and_when(elected: StepLab) -> None:
    lines = list(elected.trace.transcript())
    assert "2.000 ms  S1 → S2 RequestVote term=1" in lines[0].strip()
    assert "3.000 ms  S2 → S1 Vote term=1 granted=True" in lines[1].strip()
    assert elected.trace.states_of("S1")[-1].view.role == "leader" if hasattr(elected.trace, "states_of") else True


def test_what_is_dropped_is_gone_and_a_copy_can_be_delivered_twice(elected: StepLab) -> None:
    in_flight = len(elected.messages)
    elected.drop("S1 → S3 RequestVote")
    assert len(elected.messages) == in_flight - 1
    with pytest.raises(Impossible, match="no message in flight is 'RequestVote'"):
        elected.deliver("RequestVote")
    elected.duplicate("S1 → S2 AppendEntries")
    assert sum(copy.receiver == "S2" for copy in elected.messages) == 2
    elected.deliver("S1 → S2 AppendEntries")
    elected.deliver("S1 → S2 AppendEntries")
    assert len(elected.trace.duplicates) == 1


def test_a_node_that_is_down_gets_nothing_and_keeps_only_what_is_durable(elected: StepLab) -> None:
    elected.crash("S1")
    assert not [one for one in elected.timers if one.node == "S1"]
    row = elected._frame.panel.content["nodes"][0]
    assert row["role"] == "crashed"
    assert [name for name, *_ in row["fields"]] == ["current term", "voted for", "log"]
    elected.deliver("S1 → S2 AppendEntries")
    with pytest.raises(Impossible, match="has to wait: S1 is down"):
        elected.deliver("S2 → S1")
    with pytest.raises(Impossible, match="S1 is down"):
        elected.crash("S1")
    elected.restart("S1")
    assert elected.world.node("S1").role.value == "follower"
    elected.deliver("S2 → S1")


def test_a_partitioned_link_holds_its_messages_up_until_it_heals(elected: StepLab) -> None:
    elected.partition("S1", "S2")
    with pytest.raises(Impossible, match="S1 → S2 is partitioned"):
        elected.deliver("S1 → S2")
    held = [row for row in elected._frame.panel.content["messages"] if row["held"]]
    assert held
    elected.heal()
    elected.deliver("S1 → S2")
    elected.partition("S3")
    (event,) = [one.event for one in elected.trace.faults if hasattr(one.event, "groups")][-1:]
    assert event.groups == (("S1", "S2"), ("S3",))
    with pytest.raises(Impossible, match="there is no node 'S9'"):
        elected.partition("S9")
    with pytest.raises(Impossible, match="no link between S1 and S2 is partitioned"):
        elected.heal("S1", "S2")
    elected.heal("S1")
    assert elected.state.text == "heal S1 → S3, S3 → S1", "only what was partitioned"


def test_a_one_way_partition_lets_the_other_way_through(elected: StepLab) -> None:
    elected.partition("S1", "S2", one_way=True)
    assert elected.state.holds_up("S1", "S2")
    assert not elected.state.holds_up("S2", "S1")


@pytest.mark.parametrize("act", [
    lambda lab: lab.fire("S1", "backoff"), lambda lab: lab.restart("S2"), lambda lab: lab.request("nothing like it"),
    lambda lab: lab.heal(), lambda lab: lab.fire("S9"), lambda lab: lab.heal("S2"),
    lambda lab: lab.deliver(999), lambda lab: lab.take(Deliver("S1", "S9", None)),
])  # fmt: skip
def test_what_cannot_be_is_refused_in_words_and_changes_nothing(elected: StepLab, act: object) -> None:
    before = elected.state
    with pytest.raises(Impossible, match=r"\w+ \w+"):
        act(elected)  # type: ignore[operator]
    assert elected.state is before


# --- the tree -----------------------------------------------------------------------------------------------


def test_choosing_differently_branches_and_choosing_the_same_does_not(elected: StepLab) -> None:
    elected.back(2)
    elected.deliver("S1 → S3")
    assert len(elected.tree.ends()) == 2
    elected.back()
    elected.deliver("S1 → S2 RequestVote")
    assert len(elected.tree) == 5
    assert elected.forward().depth == 3
    elected.go(0)
    assert elected.state is elected.tree.root
    with pytest.raises(ValueError, match="there is no state 99"):
        elected.go(99)


def test_undo_takes_back_steps_jumps_and_whole_plays(elected: StepLab) -> None:
    size, here = len(elected.tree), elected.state
    elected.play(30, seed=2)
    assert len(elected.tree) == size + 30
    assert elected.undo() is here
    assert len(elected.tree) == size
    elected.go(0)
    assert elected.undo() is here
    for _ in range(9):
        elected.undo()
    assert len(elected.tree) == 1


def test_a_click_on_the_tree_goes_there(elected: StepLab) -> None:
    names = [one.name for one in elected.picture.figure.data]
    elsewhere = {"curve": names.index("not yet"), "point": 0, "customdata": None}
    tree = {"curve": names.index("branches"), "point": 1, "customdata": 1}
    picture = elected.picture
    picture._told(picture.state, {"event": "selected", "points": [tree]}, [])
    picture._told(picture.state, {"event": "click", "points": [elsewhere]}, [])
    assert elected.state.number > 1
    picture._told(picture.state, {"event": "click", "points": [elsewhere, tree]}, [])
    assert elected.state.number == 1


# --- at random, and searching -------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [Raft, Paxos, MultiPaxos])
def test_play_goes_the_same_way_with_the_same_seed_and_finds_nothing_in_correct_protocols(protocol: type) -> None:
    lab, other = StepLab(protocol), StepLab(protocol)
    lab.play(150, seed=3, faults=True)
    other.play(150, seed=3, faults=True)
    assert lab.steps == other.steps
    assert lab.state.broken is None
    assert {type(state.step) for state in lab.state.path()} >= {Crash, Restart, Deliver}
    with pytest.raises(ValueError, match="steps is 0"):
        lab.play(0)


def test_a_path_made_by_hand_is_a_path_of_the_model(elected: StepLab) -> None:
    elected.play(40, seed=5)
    path = [state.step for state in elected.state.path()[1:]]
    assert not {type(step) for step in path} & {Crash, PartitionLinks, HealLinks}
    assert replay(elected.tree.asked, actions_of(path))[-1].nodes[0].value == elected.world.nodes[0].value


def test_find_jumps_to_a_counterexample_branch_and_says_what_it_searched() -> None:
    lab = StepLab(OneRoundPaxos)
    lab.request("S1")
    lab.find(timeouts=0, crashes=0, seconds=30.0)
    assert lab.wait(60)
    assert lab.state.broken.invariant == "agreement"
    assert ("agreement", False) in [one[:2] for one in lab.verdicts]
    assert "agreement breaks" in lab._frame._said.value
    assert "this branch ends here" in lab._frame.panel.content["ended"]
    with pytest.raises(Impossible, match="go back"):
        lab.deliver()
    with pytest.raises(Impossible, match="broken here already"):
        lab.find()
    assert lab.undo().depth == 1


def test_find_says_when_there_is_nothing_and_stops_when_asked() -> None:
    lab = StepLab(Paxos)
    lab.find(timeouts=0, crashes=0, seconds=0.6)
    assert lab.wait(60)
    assert lab.state.broken is None
    assert "proves nothing" in lab._frame._said.value or "all there are" in lab._frame._said.value
    lab.find(seconds=600)
    lab.stop()
    assert lab.wait(60)
    assert "topped" in lab._frame._said.value
    with pytest.raises(ValueError, match="timeouts"):
        lab.find(timeouts=-1)


def test_a_search_leaves_nodes_down_and_links_partitioned() -> None:
    lab = StepLab(OneRoundPaxos)
    lab.crash("S3")
    lab.partition("S1", "S2")
    lab.find(timeouts=0, crashes=0, seconds=2.0)
    assert lab.wait(60)
    assert lab.state.broken is None  # nobody reaches anybody


# --- a reader's own class -----------------------------------------------------------------------------------


def test_an_error_in_the_readers_handler_is_a_broken_invariant_that_names_line_and_state() -> None:
    lab = StepLab(Dividing)
    lab.fire("S1")
    lab.deliver("S1 → S2")
    name, holds, witness = lab.verdicts[0]
    assert (name, holds) == ("no handler fails", False)
    assert "ZeroDivisionError" in witness
    assert "may_grant_vote" in witness


def test_nodes_that_cannot_be_made_are_an_error_in_the_lab() -> None:
    lab = StepLab(Refusing)
    assert isinstance(lab.error, RuntimeError)
    assert "no nodes today" in lab._frame._said.value
    assert "no nodes today" in repr(lab)


def test_a_class_that_the_lab_does_not_know_is_told_what_to_do() -> None:
    assert "StepLab.on(model)" in str(StepLab(Node).error)
    with pytest.raises(TypeError, match=r"StepLab\.on"):
        StepLab(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="ClusterModel"):
        StepLab.on(Raft)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shown is 7"):
        StepLab(Raft, shown=7)


def test_any_cluster_can_be_stepped_through() -> None:
    lab = StepLab.on(ClusterModel(lambda: [Paxos("A", ("A",), value="x")]))
    assert [copy.receiver for copy in lab.messages] == ["A"]
    lab.play(10)
    assert lab.world.node("A").chosen == "x"
    assert lab.share().startswith("StepLab.on(model, steps=(")


# --- on paper -----------------------------------------------------------------------------------------------


def test_the_shared_line_leads_to_the_same_state(elected: StepLab) -> None:
    elected.partition("S1", "S2")
    elected.crash("S3")
    again = eval(elected.share(), {"StepLab": StepLab, "Raft": Raft})
    assert again.world.nodes[0].value == elected.world.nodes[0].value
    assert again.state.partitioned == elected.state.partitioned
    with pytest.raises(ValueError, match=r"steps\[1\]: 'S7 flies' is not possible after step 1"):
        StepLab(Raft, steps=("S1 election timeout", "S7 flies"))


def test_exported_json_brings_the_whole_tree_back(elected: StepLab) -> None:
    elected.back(2)
    elected.play(12, seed=4, faults=True)
    html, data = elected.export()
    assert "<script" in html.read_text(encoding="utf-8")
    again = StepLab.load(data)
    assert [state.text for state in again.tree] == [state.text for state in elected.tree]
    assert again.steps == elected.steps
    with pytest.raises(ValueError, match="cannot export 'gif'"):
        elected.export("gif")


@pytest.mark.parametrize(("change", "said"), [
    ({"lab": "Other"}, "lab is 'Other'; it takes 'StepLab'"), ({"servers": "three"}, "servers is 'three'"),
    ({"here": 99}, "here is 99"), ({"states": [[0, "S1 flies"]], "here": 0}, r"states\[0\]: 'S1 flies'"),
    ({"states": [[4, "x"]]}, r"states\[0\] is \(4, 'x'\)"), ({"protocol": "os.system"}, "no class of the library"),
    ({"protocol": "distlib.raft.raft.Log"}, "where a Node is due"),
    ({"protocol": "distlib.nothing.Here"}, "which there is not"),
])  # fmt: skip
def test_a_bad_file_is_refused_by_field(elected: StepLab, change: dict[str, object], said: str) -> None:
    (path,) = elected.export("json")
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        StepLab.load(path)


def test_reset_starts_again_with_the_steps_the_lab_was_opened_with() -> None:
    lab = StepLab(Raft, steps=("S1 election timeout",))
    lab.play(10)
    assert lab.reset().depth == 1
    assert len(lab.tree) == 2


def test_a_cluster_that_cannot_be_made_is_said_by_whatever_is_asked(tmp_path: Path) -> None:
    lab = StepLab(Raft, 0)
    assert "servers is 0; it takes a whole number from 1 to 9" in repr(lab)
    for act in (lab.play, lab.undo, lab.share, lab.report, lambda: lab.steps):
        with pytest.raises(Impossible, match="no cluster to step through: servers is 0"):
            act()
    text = StepLab(Raft).report().scenario.replace('"servers": 3', '"servers": 0')
    (tmp_path / "lab.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"lab\.json: servers is 0; it takes"):
        StepLab.load(tmp_path / "lab.json")
