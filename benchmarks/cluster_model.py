"""How fast the explorer takes clusters of the real protocol classes, their invariants included.

    python -m benchmarks.cluster_model     # from the root of the repository, about two minutes

Generated successors a second of processor time, best of two runs, each with a new model (so with nothing
remembered). The bare loop keeps a set of states and nothing else, over the same successor function. "local" counts
the parts that worlds are made of (local states, messages, ghosts), "handled" the times a real handler ran.
"""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

from benchmarks.explore import bare_loop
from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.world import Faults
from distlib.check.explore.explore import explore
from distlib.paxos.paxos import Paxos
from distlib.paxos.searches import A, paxos_model
from distlib.raft.raft import Raft
from distlib.raft.searches import PUT, raft_model

ROUNDS = 2
MODELS: dict[str, Callable[[], ClusterModel]] = {
    "Raft, two candidates": lambda: raft_model(Raft, timeouts={"S1.election": 1, "S2.election": 1}),
    "Raft, any two elections": lambda: raft_model(Raft, timeouts={"election": 2}),
    "Raft, one election, request, crash": lambda: raft_model(
        Raft, timeouts={"S1.election": 1}, requests=[("S1", PUT[1])], faults=Faults(crashes=1)
    ),
    "Paxos, one proposer, crash": lambda: paxos_model(Paxos, requests=[A], faults=Faults(crashes=1)),
}
MOST = 150_000


def main() -> None:
    print(f"{'model':36} {'distinct':>9} {'generated':>10} {'bare/s':>9} {'ours/s':>9} {'ratio':>6} {'B/state':>8}"
          f" {'local':>6} {'handled':>8}")  # fmt: skip
    for name, make in MODELS.items():
        bare = ours = 0.0
        for _ in range(ROUNDS):
            model = make()
            start = process_time()
            result = explore(model, max_states=MOST)
            ours = max(ours, result.generated / (process_time() - start))
            if result.exhausted:
                fresh = make()
                start = process_time()
                bare = max(bare, bare_loop(fresh) / (process_time() - start))
        print(
            f"{name:36} {result.distinct:9,} {result.generated:10,} {bare:9,.0f} {ours:9,.0f}"
            f" {ours / bare if bare else 0:6.2f} {result.bytes_per_state:8,.0f}"
            f" {len(model.content):6,} {len(model._steps):8,}",
            flush=True,
        )


if __name__ == "__main__":
    main()
