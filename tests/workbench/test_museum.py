"""The museum: each mutant goes wrong as stored, is killed again from a cold start, and is honest about what it is."""

from __future__ import annotations

import inspect
import json
import re
import sys
from dataclasses import replace

import pytest

from distlib.check.cluster.counterexample import load
from distlib.check.search import Leg, staged
from distlib.core.mutant import mutant
from distlib.paxos.multi_paxos import MultiPaxos
from distlib.paxos.multi_paxos_broken import AcknowledgesAnother
from distlib.paxos.multi_paxos_searches import OTHERS, WRITES, apart, leads, multi_paxos_model
from distlib.paxos.paxos import Paxos
from distlib.paxos.subject import PAXOS
from distlib.raft.broken import (
    AcknowledgesItsWholeLog,
    CommitsOldTerms,
    CountsItsLogAsMatched,
    CountsOldVotes,
    TrustsHeartbeats,
    TrustsTheLeadersCommit,
    VotesInThePast,
)
from distlib.raft.message import AppendEntries
from distlib.raft.raft import Raft
from distlib.raft.searches import FIGURE_8, S1, S3, at, both, has_committed, raft_model
from distlib.raft.subject import RAFT
from distlib.workbench.museum import ExhibitParams, exhibit, mutant_named, mutants, stored_counterexample
from distlib.workbench.subjects import EXHIBITED, check_names, subject_named, subject_of

ALL = mutants()
BUGS = [one for one in ALL if one.sort != "equivalent"]
EQUIVALENT = [one for one in ALL if one.sort == "equivalent"]
SAFE = [one for one in BUGS if "steps" in json.loads(stored_counterexample(one.name)) and one.sort == "safety"]
FAST = ("elections", "figure 8", "second reign", "reconfiguration", "three changes", "stale suffix", "healthy cluster",
        "healed partition", "before a choice", "lossy network", "left behind", "takeover", "two takeovers")  # fmt: skip


def search(one, name):
    return subject_of(one.node_class, EXHIBITED).search(name)


def name_of(one):
    return getattr(one, "name", None) or getattr(one, "__name__", None)


def test_the_museum_is_large_and_complete():
    """At least 16 for Raft, 12 for Paxos; every broken class of a topic hangs in it, once. Three-phase
    commit, a protocol of its own, stands beside the one that it is a mutant of."""
    assert len([one for one in mutants("Raft") if one.sort == "safety"]) >= 16
    assert len([one for one in mutants("Paxos") if one.sort == "safety"]) >= 12
    modules = [sys.modules[name] for name in dict.fromkeys(one.node_class.__module__ for one in ALL)]
    broken = [
        node_class for module in modules for _, node_class in inspect.getmembers(module, inspect.isclass)
        if node_class.__module__ == module.__name__
        and (module.__name__.endswith("broken") or "mutant" in vars(node_class))
    ]  # fmt: skip
    assert {one.node_class for one in ALL} == set(broken)
    assert len(ALL) == len(broken)
    assert {one.sort for one in ALL} == {"safety", "liveness", "equivalent"}


@pytest.mark.parametrize("one", ALL, ids=name_of)
def test_each_mutant_overrides_exactly_one_method_and_says_so(one):
    own = [name for name, item in vars(one.node_class).items() if inspect.isfunction(item)]
    assert own == [one.method]
    assert callable(getattr(one.original, one.method)), "a method that the right class has"
    right, broken = one.sources()
    assert right.strip().startswith(f"def {one.method}") and broken.strip().startswith(f"def {one.method}")
    assert one.title.endswith((".", ".)")) or ":" in one.title
    assert one.rule and one.paper
    assert bool(one.killed_by) == bool(one.breaks) == (one.sort != "equivalent")
    assert one.sort != "equivalent" or one.because
    assert one.report is None or re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+/(issues|pull)/\d+", one.report.url)


@pytest.mark.parametrize("one", BUGS, ids=name_of)
def test_the_stored_counterexample_still_goes_wrong(one):
    data = json.loads(stored_counterexample(one.name))
    if "steps" in data:
        found = load(json.dumps(data))
        assert found.broken.invariant == one.breaks
        assert one.name in {type(node).__name__ for node in found.model.made.values()}
    elif one.name != "NeverPauses":  # its run is long, and taken again in the next test
        assert exhibit(ExhibitParams(one.name)).failure


@pytest.mark.parametrize("one", BUGS, ids=name_of)
def test_each_mutant_is_killed_from_a_cold_start(one):
    outcome = search(one, one.killed_by)(one.node_class, 120.0)
    assert outcome.failure, outcome.looked
    assert outcome.invariant in (one.breaks, ""), "the invariant on the label; a history has none"


@pytest.mark.parametrize("one", SAFE, ids=name_of)
def test_the_right_class_does_not_go_wrong_where_the_broken_one_does(one):
    """The stored steps, as far as the right class can take them, break nothing."""
    from distlib.check.cluster.model import ClusterModel
    from distlib.check.cluster.replay import taken

    found = load(stored_counterexample(one.name))

    def nodes():
        for node in found.model.made.values():
            node_class = one.original if type(node) is one.node_class else type(node)
            yield node_class(**{name: getattr(node, name) for name in inspect.signature(node_class).parameters})

    model = ClusterModel(nodes, invariants=found.model.invariants)
    assert taken(model, found.actions) == [], "taken() gives back a path only if it breaks something"


@pytest.mark.parametrize("protocol", [subject.name for subject in EXHIBITED])
def test_shipped_protocols_stay_clean(protocol):
    """A quick part of the searches; ``test_judge`` runs the judge's to their end on the protocol itself."""
    for node_class in subject_named(protocol).correct:
        passes_the_quick_searches(node_class)


@pytest.mark.parametrize("one", EQUIVALENT, ids=name_of)
def test_equivalent_mutants_are_not_killed(one):
    passes_the_quick_searches(one.node_class)


def passes_the_quick_searches(node_class):
    subject = subject_of(node_class, EXHIBITED)
    applying = [one for one in subject.searches if one.applies(node_class)]
    chosen = [one for place, one in enumerate(applying) if place < 2 or one.name in FAST]  # the cheapest stand first
    assert chosen
    for one in chosen:
        outcome = one(node_class, 1.0)
        assert not outcome.failure, f"{node_class.__name__}, {outcome}"


# --- an equivalent mutant breaks as soon as the rule that stands in is out as well ------------------------


def empty_heartbeat(self):
    """Figure 2's heartbeat: no entries."""
    for server in self.others():
        first = self.next_index[server]
        term = self.log.term_at(first - 1)
        self.send(server, AppendEntries(self.current_term, first - 1, term, (), self.commit_index))
    self.set_timer("heartbeat", self.heartbeat_ms)


class EmptyHeartbeats(Raft):
    on_heartbeat_timeout = empty_heartbeat


class TrustsOverEmptyHeartbeats(TrustsTheLeadersCommit):
    on_heartbeat_timeout = empty_heartbeat


class TrustsEmptyHeartbeats(TrustsHeartbeats):
    on_heartbeat_timeout = empty_heartbeat


class AcknowledgesEmptyHeartbeats(AcknowledgesItsWholeLog):
    on_heartbeat_timeout = empty_heartbeat


class CountsWhatItGuesses(CountsItsLogAsMatched):
    may_commit = CommitsOldTerms.may_commit


class VotesInThePastForOneWhoCounts(VotesInThePast):
    on_vote = CountsOldVotes.on_vote


@pytest.mark.parametrize(
    ("node_class", "search"),
    [
        (TrustsOverEmptyHeartbeats, "stale suffix"),
        (AcknowledgesEmptyHeartbeats, "stale suffix"),
        (CountsWhatItGuesses, "figure 8"),
    ],
)
def test_without_the_rule_that_stands_in_it_breaks(node_class, search):
    assert RAFT.search(search)(node_class, 10.0).failure


def test_an_empty_heartbeat_needs_the_check():
    """S1 leads term 3, and S3 has another entry where S1's was: an empty heartbeat makes it apply that."""
    heartbeat = Leg({"timeouts": {"S1.heartbeat": 1}}, max_states=30_000)
    committed = Leg({}, both(has_committed(S1, 2), at(S3, log=(2,))))
    search = staged("…", "…", raft_model, *FIGURE_8[:3], committed, heartbeat)
    assert search(TrustsEmptyHeartbeats, 60.0).invariant == "State Machine Safety"
    assert search(EmptyHeartbeats, 60.0).failure == ""


class TellsNothingChosen(MultiPaxos):
    def report(self, ballot, first):
        return replace(super().report(ballot, first), chosen=())


class AcknowledgesWhatItKnowsBetter(AcknowledgesAnother, TellsNothingChosen):
    """Both rules out."""


def test_who_acknowledges_another_value_needs_promises_that_tell_what_is_chosen():
    """S1 and S2 know slot 1's value; S3, whom nobody tells, leads and proposes another one there."""

    def two_know(world):
        return [len(world.node(name).log) for name in ("S1", "S2", "S3")] == [1, 1, 0]

    search = staged(
        "…", "…", multi_paxos_model,
        Leg({"timeouts": {"S1.suspicion": 1}}, leads("S1")),
        Leg({"timeouts": {"S1.heartbeat": 1}, "requests": WRITES[:1], "partitioned": apart("S3")}, two_know),
        Leg({"timeouts": {"S3.suspicion": 1}, "requests": OTHERS[:1]}, max_states=12_000),
    )  # fmt: skip
    assert search(AcknowledgesWhatItKnowsBetter, 60.0).invariant == "agreement per slot"
    for node_class in (AcknowledgesAnother, TellsNothingChosen):
        outcome = search(node_class, 60.0)
        assert (outcome.failure, outcome.arrived) == ("", True)


def test_empty_heartbeats_alone_break_nothing():
    assert not RAFT.search("stale suffix")(EmptyHeartbeats, 10.0).failure


# --- what the searches teach ---------------------------------------------------------------------------------------


def test_two_ballots_call_it_correct_and_three_do_not():
    """REFERENCE: adopting the lowest, or any, reported value needs three ballots to show."""
    for name in ("TakesTheLowestBallot", "TakesTheFirstReport", "ReportsItsPromise"):
        assert not PAXOS.search("after a choice")(mutant_named(name).node_class, 2.0).failure
        assert mutant_named(name).killed_by == "three ballots"


def test_random_walks_miss_figure_8():
    outcome = RAFT.search("random walks")(CommitsOldTerms, 3.0)
    assert not outcome.failure
    assert mutant_named("CommitsOldTerms").killed_by == "figure 8"


def test_every_search_has_a_name_of_its_own_and_every_killer_exists():
    for subject in EXHIBITED:
        names = [one.name for one in subject.searches]
        assert len(set(names)) == len(names)
        assert all(one.killed_by in names for one in subject.mutants if one.sort != "equivalent")
        with pytest.raises(KeyError, match="has no search 'nothing'"):
            subject.search("nothing")


def test_names_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="no mutant 'VotesThrice'; it has VotesTwice"):
        mutant_named("VotesThrice")
    with pytest.raises(ValueError, match="no protocol 'Zab'; there are Raft, Paxos, MultiPaxos, PrimaryBackup"):
        mutants("Zab")
    assert mutant_named("ReportsNothing").original is Paxos


def test_slips_of_a_mutants_author_are_named():
    with pytest.raises(FileNotFoundError, match=r"no counterexample of Zab is kept yet; run: .*museum_data\.py Zab"):
        stored_counterexample("Zab")
    with pytest.raises(ValueError, match="two mutants are called VotesTwice; each takes a name"):
        check_names((RAFT, RAFT))
    misspelt = replace(RAFT.mutants[0], killed_by="electoins")
    with pytest.raises(ValueError, match="is killed by 'electoins'; Raft has reconfiguration, "):
        replace(RAFT, mutants=(misspelt,))
    with pytest.raises(TypeError, match="overrides no method; a mutant overrides just one method"):
        mutant("a rule", "a paper", "a promise", "a search")(type("Idle", (Raft,), {}))


# --- the kill matrix, and its figure ---------------------------------------------------------------------------------


def test_the_stored_matrix_kills_every_bug_and_nothing_else():
    from distlib.workbench.charts import kill_matrix
    from distlib.workbench.kill_matrix import KillMatrixParams, stored, tasks

    matrix = stored()
    for subject in EXHIBITED:
        every = {(one.row.name, one.family) for one in tasks(KillMatrixParams(protocol=subject.name, searches="all"))}
        rows = matrix[matrix["protocol"] == subject.name]
        assert every == {*zip(rows["mutant"], rows["family"], strict=True)}
    killed = set(matrix.loc[matrix["verdict"] == "found", "mutant"])
    assert killed == {one.name for one in BUGS}
    assert {one.__name__ for subject in EXHIBITED for one in subject.correct} <= set(matrix["mutant"])
    assert matrix.loc[matrix["verdict"] == "found", "elapsed_s"].max() < 30
    assert "histories" not in set(matrix.loc[matrix["protocol"] == "Paxos", "family"]), "it answers no client"
    shown = kill_matrix(matrix[matrix["protocol"] == "Paxos"]).data[0]
    assert "✓ Paxos" in shown.y and "∞ NeverPauses" in shown.y and "◐ TakesBackItsDecision" in shown.y
