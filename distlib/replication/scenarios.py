"""Primary-backup replication in a situation: the primary crashes, the backup takes over, the first one comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from distlib.core.fault import Crash
from distlib.core.node import Node, node_names
from distlib.core.parameter import Parameters, parameter
from distlib.core.trace import Trace
from distlib.replication.client import Client
from distlib.replication.invariants import primary_backup_invariants
from distlib.replication.primary_backup import MONITOR, Monitor, PrimaryBackup
from distlib.replication.state_machine import Put
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network


@dataclass(frozen=True)
class TakeoverParams(Parameters):
    """Servers under clients, how soon the monitor gives one up, and when the first primary is down."""

    servers: int = parameter(3, "servers", low=1, high=9, help="one is primary, one backup; the others are idle")
    clients: int = parameter(2, "clients", low=0, high=9, help="each has one request under way")
    report_ms: float = parameter(40.0, "report every", unit="ms", low=10, high=1000, step=1, help="from each server")
    silence_ms: float = parameter(
        120.0, "given up after", unit="ms", low=10, high=2000, step=1, help="without a report; so may a slow server be"
    )
    latency_ms: tuple[float, float] = parameter(
        (2, 8), "one-way latency", unit="ms", low=1, high=100, help="uniform on this range"
    )
    loss: float = parameter(0.0, "message loss", low=0, high=0.9, step=0.01, help="probability that a message is lost")
    crash_ms: float = parameter(
        300.0, "primary crashes at", unit="ms", low=0, high=60_000, step=10, ceiling="duration_ms"
    )
    down_ms: float = parameter(400.0, "and is down for", unit="ms", low=0, high=60_000, step=10, ceiling="duration_ms")
    duration_ms: float = parameter(
        1000.0, "duration", unit="ms", low=100, high=10_000, scale="log", help="virtual time shown"
    )
    seed: int = parameter(7, "seed", low=0, high=2**31, help="all chance comes from here; same seed, same run")

    def warnings(self) -> list[str]:
        remarks = []
        if self.silence_ms <= self.report_ms + self.latency_ms[1] - self.latency_ms[0]:
            remarks.append(
                f"A server is given up after {self.silence_ms:g} ms, before its next report (every {self.report_ms:g} "
                "ms) can arrive: the roles change although nobody has failed."
            )
        if self.crash_ms <= 2 * self.latency_ms[1]:
            remarks.append(
                f"At {self.crash_ms:g} ms perhaps no server knows yet that it is primary: then nobody crashes."
            )
        return remarks


def takeover(params: TakeoverParams = TakeoverParams(), node_class: type[PrimaryBackup] = PrimaryBackup) -> Trace:
    """Clients write; the primary crashes, the monitor makes its backup the primary, and the old one comes back idle."""
    names = node_names(params.servers)
    nodes: list[Node] = [Monitor(MONITOR, names, params.silence_ms)]
    nodes += [node_class(name, report_ms=params.report_ms) for name in names]
    for number in range(1, params.clients + 1):
        commands: tuple[Any, ...] = tuple(Put(f"x{number}", turn) for turn in range(1, 1001))
        nodes.append(Client(f"C{number}", names, commands, timeout_ms=2 * params.silence_ms))
    network = Network(Uniform(*params.latency_ms), loss=params.loss)
    faults = (Crash(params.crash_ms, "@primary", params.down_ms),)
    cluster = Cluster(nodes, network, seed=params.seed, faults=faults, invariants=primary_backup_invariants())
    return cluster.run(params.duration_ms)
