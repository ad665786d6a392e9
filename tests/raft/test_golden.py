"""Message flows as people read them, compared with the files in ``golden/``. ``UPDATE_GOLDEN=1`` writes them anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from distlib.core.fault import Crash, Heal, Partition
from distlib.raft.membership import AddServer, Membership
from distlib.raft.snapshot import Snapshots
from distlib.raft.variants import PreVote
from distlib.replication.client import Client
from distlib.replication.state_machine import Add, Get, Put
from distlib.sim.cluster import Cluster
from tests.raft.clusters import cluster, names

GOLDEN = Path(__file__).parent / "golden"


def election() -> Cluster:
    """Three servers elect a leader, which crashes; another takes over."""
    return cluster(3, faults=[Crash(300, "@leader", 500)], seed=2)


def replication() -> Cluster:
    """A write, a read through ReadIndex, and a client that asks a follower first."""
    client = Client("C1", names(3), (Put("x", 1), Get("x")), start_ms=(300, 300))
    return cluster(3, clients=[client], seed=1)


def divergence() -> Cluster:
    """A leader cut off appends what nobody else has; when the partition heals, its log is repaired."""
    clients = [
        Client("C1", ("S3",), (Add("x"), Add("x")), start_ms=(260, 260)),
        Client("C2", ("S1", "S2"), (Add("y"),), start_ms=(600, 600)),
    ]
    groups = (("S3", "C1"), ("S1", "S2", "C2"))
    return cluster(3, clients=clients, faults=[Partition(250, groups), Heal(750)], seed=1)


def snapshot() -> Cluster:
    """A server that was down for long gets a snapshot instead of the entries."""
    client = Client("C1", names(3), tuple([Add("x")] * 6), start_ms=(300, 300), think_ms=(5, 5))
    return cluster(3, Snapshots, clients=[client], faults=[Crash(250, "S1", 400)], seed=1, snapshot_after=3)


def membership() -> Cluster:
    """A fourth server joins."""
    client = Client("Admin", names(4), (AddServer("S4"),), start_ms=(300, 300))
    return cluster(4, Membership, clients=[client], seed=1, initial_servers=names(3))


def pre_vote() -> Cluster:
    """The first election with Pre-Vote: two rounds of questions."""
    return cluster(3, PreVote, seed=1)


@pytest.mark.parametrize(
    ("situation", "until_ms"),
    [(election, 900), (replication, 400), (divergence, 1_100), (snapshot, 800), (membership, 450), (pre_vote, 300)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_transcript_is_the_golden_one(situation: Callable[[], Cluster], until_ms: float) -> None:
    trace = situation().run(until_ms)
    assert not trace.violations
    text = "\n".join([f"# {situation.__doc__}", *trace.transcript(routine=False), ""])
    path = GOLDEN / f"raft_{situation.__name__}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_the_golden_files_belong_to_situations() -> None:
    known = {election, replication, divergence, snapshot, membership, pre_vote}
    assert {path.stem for path in GOLDEN.glob("raft_*.txt")} == {f"raft_{one.__name__}" for one in known}
