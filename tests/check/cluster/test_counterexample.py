from __future__ import annotations

import json

import pytest

from distlib.check.cluster.counterexample import counterexample, load
from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.world import Request, Timeout
from distlib.check.explore.explore import explore
from distlib.raft.invariants import ElectionSafety
from distlib.raft.raft import Raft
from distlib.replication.message import ClientRequest
from distlib.replication.state_machine import Put
from tests.check.cluster.toys import TwoVotes, rafts


def found(*first):
    model = ClusterModel(rafts(TwoVotes), invariants=[ElectionSafety()], timeouts={"election": 2})
    path = [step.action for step in explore(model).path[1:]]
    return counterexample(model, [*first, *path])


def test_a_file_holds_the_same_counterexample():
    example = found(Request("S2", ClientRequest(Put("x", 1), "C1", 7)))
    again = load(example.save(), classes=(TwoVotes,))
    assert again.actions == example.actions
    assert again.broken == example.broken
    assert again.story == example.story == str(example).splitlines()
    assert again.trace.to_bytes() == example.trace.to_bytes()
    assert again.save() == example.save()


def test_a_class_outside_distlib_must_be_handed_over():
    with pytest.raises(
        ValueError, match=r"'tests.check.cluster.toys:TwoVotes', which is no class of the library.*classes="
    ):
        load(found().save())


def test_a_repaired_class_no_longer_fails():
    text = found().save()
    with pytest.raises(ValueError, match="is not possible any more"):
        load(text, classes={"tests.check.cluster.toys:TwoVotes": Raft})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.update(version=9), "not of version 2"),
        (lambda data: data.pop("steps"), "another form: KeyError: 'steps'"),
        (lambda data: data["steps"].pop(), "break no invariant"),
        (lambda data: data["steps"].insert(0, "S9 goes home"), "step 1, 'S9 goes home', is not possible"),
        (lambda data: data["broken"].update(invariant="Log Matching"), "the file says 'Log Matching'"),
        (lambda data: data["nodes"][0].update({"type": "os:system"}), "no class of the library"),
        (lambda data: data["nodes"][0].update({"type": "distlib.core.trace:Trace"}), "where a Node is due"),
        (lambda data: data["nodes"][0].update({"type": "distlib.core.trace:Nothing"}), "which there is not"),
    ],
)
def test_a_file_that_was_changed_is_refused(change, message):
    data = json.loads(found().save())
    change(data)
    with pytest.raises(ValueError, match=message):
        load(json.dumps(data), classes=(TwoVotes,))


def test_what_is_no_json_or_no_counterexample_is_refused():
    with pytest.raises(ValueError, match="is not JSON"):
        load("{")
    with pytest.raises(ValueError, match="break no invariant"):
        counterexample(ClusterModel(rafts()), [Timeout("S1", "election")])
