"""What a Raft class has to stand: ``RAFT_SEARCHES``, from a search of two candidates to simulated runs with clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.world import Faults, World
from distlib.check.search import Leg, ProtocolSearch, breadth, staged, walks
from distlib.core.node import NodeId
from distlib.raft.invariants import raft_invariants
from distlib.raft.raft import ClientRequest, Raft
from distlib.raft.runs import failed_run, linearizable_histories, live_cluster, nemesis_runs
from distlib.replication.state_machine import Put

__all__ = ["FIGURE_8", "NAMES", "RAFT_SEARCHES", "failed_run", "raft_model"]

NAMES = ("S1", "S2", "S3")

PUT = (None, ClientRequest(Put("x", 1)))
RAFT_WALKS = {"timeouts": {"election": 5, "heartbeat": 3}, "requests": [PUT, (None, ClientRequest(Put("x", 2)))],
              "faults": Faults(crashes=2, duplicates=2)}  # fmt: skip


def raft_model(kind: type[Raft], batch: int = 64, **options: Any) -> ClusterModel:
    """Three servers under all of Raft's invariants."""

    def servers() -> list[Raft]:
        return [kind(name, tuple(peer for peer in NAMES if peer != name), batch=batch) for name in NAMES]

    return ClusterModel(servers, invariants=raft_invariants(), **options)


def leads(name: NodeId, term: int | None = None) -> Callable[[World], bool]:
    """A goal for a stage: ``name`` is leader (of ``term``)."""

    def leads_now(world: World) -> bool:
        server = world.node(name)
        return server.role.value == "leader" and term in (None, server.current_term)

    leads_now.__name__ = f"{name} leads" + ("" if term is None else f" term {term}")
    return leads_now


def _servers(world: World) -> tuple[Any, Any, Any]:
    one, two, three = (world.node(name) for name in NAMES)
    return one, two, three


def first_leader_known(world: World) -> bool:
    """S1 leads term 1, nobody has its entry yet, and S3 knows of the term."""
    _, two, three = _servers(world)
    return leads("S1", 1)(world) and three.current_term == 1 and not (two.log.last_index or three.log.last_index)


def rival_leads(world: World) -> bool:
    """S3 leads term 2 with an entry of its own; S1 has stepped down and still holds its entry of term 1."""
    one, two, three = _servers(world)
    return (
        leads("S3", 2)(world) and one.current_term == 2 and one.role.value == "follower"
        and (one.log.last_index, one.log.last_term) == (1, 1) and two.log.last_index == 0
        and three.log.last_index == 1
    )  # fmt: skip


def first_leader_is_back(world: World) -> bool:
    """S1 leads term 3, as figure 8 (c); S3 knows of the term and keeps its entry of term 2."""
    one, two, three = _servers(world)
    return (
        leads("S1", 3)(world) and one.log.term_at(1) == 1 and two.log.last_index == 0
        and (three.log.last_index, three.log.last_term, three.current_term) == (1, 2, 3)
    )  # fmt: skip


def old_entry_is_replicated(world: World) -> bool:
    """S1's entry of term 1 stands on S2 too, and S1 knows: a majority has an entry of an old term."""
    one, two, _ = _servers(world)
    return one.match_index.get("S2") == 1 and two.log.last_index == 1 and two.log.last_term == 1


FIGURE_8 = (
    Leg({"timeouts": {"S1.election": 1}}, first_leader_known),
    Leg({"timeouts": {"S3.election": 1}}, rival_leads),
    Leg({"timeouts": {"S1.election": 1}}, first_leader_is_back),
    Leg({}, old_entry_is_replicated),
    Leg({"timeouts": {"S3.election": 1}}, max_states=15_000),
)


def entry_is_committed(world: World) -> bool:
    """S1 leads term 1 and its first entry is committed."""
    return leads("S1", 1)(world) and world.node("S1").commit_index >= 1


def request_is_under_way(world: World) -> bool:
    """S1 leads term 1 and has a client's entry, which nobody else has."""
    one, two, three = _servers(world)
    return leads("S1", 1)(world) and one.log.last_index == 2 and not (two.log.last_index or three.log.last_index)


def stale_leader(world: World) -> bool:
    """S2 leads term 2, while S1 still believes to lead term 1 and its messages are under way."""
    return leads("S1", 1)(world) and leads("S2", 2)(world) and any(
        one.sender == "S1" and getattr(one.message, "entries", ()) for one in world.messages()
    )  # fmt: skip


RAFT_SEARCHES: tuple[ProtocolSearch, ...] = (
    ProtocolSearch(
        "figure 8", "commitment of entries of earlier terms (§5.4.2)", staged(raft_model, *FIGURE_8, batch=1)
    ),
    ProtocolSearch(
        "stale leader",
        "messages of a leader that was deposed, before and after the new one's",
        staged(
            raft_model,
            Leg({"timeouts": {"S1.election": 1}, "requests": [("S1", PUT[1])]}, request_is_under_way),
            Leg({"timeouts": {"S2.election": 1}}, stale_leader),
            Leg({"timeouts": {"S1.heartbeat": 1}}, max_states=40_000),
        ),
    ),
    ProtocolSearch(
        "elections with a crash",
        "what must be durable in an election",
        breadth(raft_model, 30_000, timeouts={"S1.election": 1, "S2.election": 1}, faults=Faults(crashes=1)),
    ),
    ProtocolSearch(
        "after a commit",
        "what a committed entry survives: crashes, restarts, another leader",
        staged(
            raft_model,
            Leg({"timeouts": {"S1.election": 1}}, entry_is_committed),
            Leg({"timeouts": {"S2.election": 1, "S3.election": 1}, "faults": Faults(crashes=1)}, max_states=25_000),
        ),
    ),
    ProtocolSearch(
        "elections",
        "two candidates and nothing else: every order of their messages",
        breadth(raft_model, 60_000, timeouts={"S1.election": 1, "S2.election": 1}),
    ),
    ProtocolSearch(
        "duplicates",
        "messages that are counted twice",
        breadth(
            raft_model, 25_000, timeouts={"S1.election": 1}, faults=Faults(duplicates=2), requests=[("S1", PUT[1])]
        ),
    ),
    ProtocolSearch("simulated faults", "real timers, five servers, clients; crashes, partitions, loss", nemesis_runs),
    ProtocolSearch("client histories", "answers that no single server could have given", linearizable_histories),
    ProtocolSearch("liveness", "a protocol that is safe because it does nothing", live_cluster, "liveness"),
    ProtocolSearch("random walks", "long mixtures of everything", walks(raft_model, 300, 80, **RAFT_WALKS)),
)
"""Every search that a Raft class has to stand; the shipped ``Raft`` passes all of them."""
