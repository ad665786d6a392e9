"""What a Raft cluster costs: commits a second and commit latency, by the number of servers and where they stand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import isfinite
from typing import Any

import numpy as np
import pandas as pd

from distlib.core.data import data_file
from distlib.core.node import node_names, with_peers
from distlib.core.parameter import Parameters, parameter
from distlib.raft.raft import Raft
from distlib.raft.scenarios import in_turn, region_latency
from distlib.replication.client import Client
from distlib.replication.history import history_of
from distlib.replication.message import Returned
from distlib.replication.state_machine import Put
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Constant
from distlib.sim.network import Network
from distlib.sim.regions import round_trip_ms
from distlib.sim.sweep import ProgressCallback

PLACEMENTS = {
    "one region": ("West Europe",),
    "one continent": ("West Europe", "UK South", "Germany West Central", "Sweden Central"),
    "the world": ("West Europe", "East US", "Southeast Asia", "Brazil South", "Australia East"),
}
"""Where the servers stand, in turn; the clients and the first leader stand in the first region of each."""

SIZES = (1, 3, 5, 7, 9)
WARM_UP = 20

CLIENTS = (1, 2, 4, 8, 16, 24, 32, 48, 64)
DISKS_MS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
COLUMNS = ["placement", "servers", "commits_per_s", "p50_ms", "p99_ms"]


@dataclass(frozen=True)
class ThroughputParams(Parameters):
    """Clients that each wait for one answer before they ask again, and servers that take time for every message."""

    clients: int = parameter(24, "clients", choices=CLIENTS, help="each has one request under way at a time")
    operations: int = parameter(
        160, "operations measured", low=20, high=300, step=20, help="after the first 20, which are not counted"
    )
    processing_ms: float = parameter(
        0.1, "time per message", unit="ms", low=0, high=2, step=0.05,
        help="what a server needs for each message it receives, one at a time",
    )  # fmt: skip
    disk_ms: float = parameter(
        0.0, "disk write", unit="ms", choices=DISKS_MS, help="before an acknowledgement; one write at a time"
    )
    seed: int = parameter(7, "seed", low=0, high=2**31, help="all chance comes from here")


def measure(size: int, placement: str, params: ThroughputParams) -> list[float]:
    """Latencies in ms of the operations measured, and last the commits a second over that span."""
    regions = PLACEMENTS[placement]
    servers, clients = node_names(size), tuple(f"C{number}" for number in range(1, params.clients + 1))
    places = [*in_turn(regions, size), *[regions[0]] * params.clients]
    slowest_ms = max(round_trip_ms().values())
    nodes: list[Any] = with_peers(Raft, servers, heartbeat_ms=slowest_ms)
    for node in nodes:  # S1, where the clients are, stands first; the others wait longer than any round trip
        first = node.id == "S1"
        node.election_timeout_ms = (slowest_ms, slowest_ms) if first else (5 * slowest_ms, 6 * slowest_ms)
    start_ms = (4 * slowest_ms, 4 * slowest_ms + 5)  # when S1 leads everywhere
    for name in clients:
        commands = tuple([Put(name, number) for number in range(params.operations + 40)])
        nodes.append(Client(name, servers, commands, think_ms=(0, 0), start_ms=start_ms, timeout_ms=20 * slowest_ms))
    disk = None if params.disk_ms == 0 else Constant(params.disk_ms)
    network = Network(region_latency((*servers, *clients), places), processing_ms=params.processing_ms, disk=disk)
    cluster = Cluster(nodes, network, seed=params.seed, record=False)
    while sum(isinstance(one.event, Returned) for one in cluster.outputs) < params.operations + WARM_UP:
        cluster.run(cluster.now_ms + 50.0)
    return _latencies(cluster, params.operations)


def _latencies(cluster: Cluster, count: int) -> list[float]:
    operations = [one for one in history_of(cluster.outputs).operations if isfinite(one.returned)]
    finished = sorted((one.returned, one.returned - one.call) for one in operations)  # when, and after how long
    measured = finished[WARM_UP : WARM_UP + count]
    span_ms = measured[-1][0] - finished[WARM_UP - 1][0]
    return [*(latency for _, latency in measured), count / span_ms * 1000.0]


def throughput(params: ThroughputParams = ThroughputParams(), progress: ProgressCallback | None = None) -> pd.DataFrame:
    """One row a placement and size: placement, servers, commits_per_s, and p50_ms, p99_ms at the client. What
    ``data/raft_throughput.csv`` holds is read there; it takes a second or two to simulate, with the same numbers."""
    beforehand = measured_beforehand()
    known = beforehand[(beforehand["clients"] == params.clients) & (beforehand["disk_ms"] == params.disk_ms)]
    if params == ThroughputParams(params.clients, disk_ms=params.disk_ms) and len(known):
        return known[COLUMNS].reset_index(drop=True)
    return simulated(params, progress)


@cache
def measured_beforehand() -> pd.DataFrame:
    """Every choice of clients and disk, all else at its default: the columns of ``throughput``, clients, disk_ms."""
    return pd.read_csv(data_file("raft_throughput.csv"))


def simulated(params: ThroughputParams, progress: ProgressCallback | None = None) -> pd.DataFrame:
    """The rows of ``throughput``, simulated now."""
    cases = [(placement, size) for placement in PLACEMENTS for size in SIZES]
    rows = []
    for number, (placement, size) in enumerate(cases):
        *latencies, rate = measure(size, placement, params)
        p50, p99 = np.percentile(latencies, (50, 99))
        rows.append((placement, size, rate, float(p50), float(p99)))
        if progress is not None:
            progress(number + 1, len(cases))
    return pd.DataFrame(rows, columns=COLUMNS)
