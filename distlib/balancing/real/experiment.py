"""The load-balancing experiment for real: HTTP workers, a proxy with a policy, an open-loop load generator.

    with Workers(speeds=(1.0, 1.0, 0.5)) as workers, ProxyThread(LeastRequest(2), workers.ports) as proxy:
        measured = measure(workload(params), proxy.port)  # the requests that simulate(params) meets
    percentiles_ms(measured.response_s, (50, 99))

Workers and load generator are processes of their own; everything listens on 127.0.0.1 only and ends with its ``with``
block. A request carries its own service time, so a measurement and a simulation can meet the very same requests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distlib.balancing.real.workers import LONGEST_WORK_S
from distlib.core import require
from distlib.core.exact import rounded_down
from distlib.real.child import Child
from distlib.sim.service.result import WARM_UP
from distlib.sim.workload import Floats, Workload

MOST_WORKERS, MOST_SERVERS, MOST_CONNECTIONS = 16, 64, 256
MOST_REQUESTS, LONGEST_RUN_S = 100_000, 120.0
LONGEST_LATENCY_S = 3600.0


def check_workload(load: Workload) -> None:
    """``ValueError`` for a workload that no real run can follow: arrival times that decrease or are not finite, more
    than 100,000 requests, a run longer than 120 s, a request of more than 60 s."""
    arrival, service = load.arrival_s, load.service_s
    if not 0 < arrival.size <= MOST_REQUESTS:
        raise ValueError(f"arrival_s has {arrival.size} requests; it takes from 1 to {MOST_REQUESTS:,}")
    if service.size != arrival.size or load.client.size not in (1, arrival.size):
        raise ValueError(
            f"{arrival.size} arrival times, {service.size} service times and {load.client.size} clients: "
            "give one of each a request (or one client for all)"
        )
    if not np.isfinite(arrival).all() or arrival[0] < 0 or (np.diff(arrival) < 0).any():
        raise ValueError("arrival_s takes finite times of at least 0 s that never decrease")
    if arrival[-1] > LONGEST_RUN_S:
        raise ValueError(
            f"the last request leaves after {arrival[-1]:g} s; a real run takes at most {LONGEST_RUN_S:g} s "
            "(real seconds: simulate longer ones)"
        )
    if not ((service >= 0) & (service <= LONGEST_WORK_S)).all():
        raise ValueError(f"service_s takes times from 0 to {LONGEST_WORK_S:g} s")


class Workers(Child):
    """Backends as HTTP servers, one a speed (1 is normal), each serving ``servers`` requests at a time."""

    def __init__(self, speeds: Sequence[float], servers: int = 1) -> None:
        require.whole("the number of workers", len(speeds), 1, MOST_WORKERS)
        require.whole("servers", servers, 1, MOST_SERVERS)
        task = {"speeds": [require.above(f"speeds[{k}]", one) for k, one in enumerate(speeds)], "servers": servers}
        super().__init__("distlib.balancing.real.workers", task)
        try:
            self.ports: list[int] = self.hear()["ports"]
        except BaseException:
            self.close()
            raise


def measure(
    load: Workload,
    port: int,
    *,
    connections: int = MOST_CONNECTIONS,
    progress: Callable[[float, float], object] = lambda done, total: None,
) -> Measurement:
    """Send the requests of ``load`` to a proxy at ``port`` over at most so many ``connections``; what came back.

    ``progress(answered, requests)`` is called about ten times a second; it may raise to stop the run, which then leaves
    nothing behind. Raises ``ValueError`` for a bad number of connections or workload, ``ChildError`` when the load
    generator fails.
    """
    require.whole("connections", connections, 1, MOST_CONNECTIONS)
    check_workload(load)
    count = load.arrival_s.size
    task = {"port": port, "connections": connections, "client": np.resize(load.client, count).tolist()}
    task |= {"arrival_s": load.arrival_s.tolist(), "service_s": load.service_s.tolist()}
    progress(0, count)
    with Child("distlib.balancing.real.load", task) as generator:
        while "outcome" not in (told := generator.hear()):
            progress(told["done"], count)
    progress(count, count)
    found: dict[str, Any] = {
        name: np.array([math.nan if one is None else one for one in told["outcome"][name]], np.float64)
        for name in ("sent_s", "answered_s", "queue_s", "work_s")
    }
    found |= {name: np.array(told["outcome"][name], np.int64) for name in ("status", "answers", "backend")}
    return Measurement(load=load, **found)


@dataclass(frozen=True, eq=False)
class Measurement:
    """One run, as arrays with one entry a request in order of arrival; seconds since the begin of the run.

    ``status`` is the HTTP status (0: no answer), ``answers`` how many answers the request got, ``backend`` who served
    it (-1: nobody said so), ``queue_s`` and ``work_s`` how long that backend let it wait and worked on it. Statistics
    count requests answered with 200 after the warm-up, and latency from the *intended* time.
    """

    load: Workload = field(repr=False)
    sent_s: Floats = field(repr=False)
    answered_s: Floats = field(repr=False)
    queue_s: Floats = field(repr=False)
    work_s: Floats = field(repr=False)
    status: NDArray[np.int64] = field(repr=False)
    answers: NDArray[np.int64] = field(repr=False)
    backend: NDArray[np.int64] = field(repr=False)

    @property
    def requests(self) -> int:
        """Requests of the workload."""
        return self.status.size

    @property
    def lost(self) -> int:
        """Requests without a good answer."""
        return int((self.status != 200).sum())

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Requests served by each backend, up to the last that served any."""
        return np.bincount(self.backend[self.backend >= 0])

    def _observed(self, values: Floats) -> Floats:
        kept = np.flatnonzero(self.status == 200)
        return values[kept[kept >= rounded_down(WARM_UP, self.requests)]]

    @cached_property
    def response_s(self) -> Floats:
        """From the intended time to the answer: what a user waits."""
        return self._observed(self.answered_s - self.load.arrival_s)

    @cached_property
    def since_sent_s(self) -> Floats:
        """From the actual sending to the answer: what a tool with coordinated omission reports."""
        return self._observed(self.answered_s - self.sent_s)

    @cached_property
    def late_s(self) -> Floats:
        """How long after its intended time each request left."""
        return self._observed(self.sent_s - self.load.arrival_s)

    @cached_property
    def overhead_s(self) -> Floats:
        """What a request spent neither in a worker's queue nor in service: generator, network, proxy, timers."""
        return self._observed(self.answered_s - self.load.arrival_s - self.queue_s - self.work_s)


def percentiles_ms(latency_s: Floats, percents: Sequence[float]) -> list[float]:
    """Percentiles in ms of latencies in s, from a histogram with three significant digits (HDR, G. Tene); NaN without
    latencies. Raises ``ValueError`` for a percentile outside 0 to 100 or a latency over an hour."""
    from hdrh.histogram import HdrHistogram

    for percent in percents:
        require.number("percent", percent, 0, 100)
    if not latency_s.size:
        return [math.nan] * len(percents)
    histogram = HdrHistogram(1, int(LONGEST_LATENCY_S * 1e6), 3)  # from 1 µs on, three significant digits
    for latency_us in np.maximum(np.rint(latency_s * 1e6), 0).astype(np.int64).tolist():
        if not histogram.record_value(latency_us):
            raise ValueError(f"a latency of {latency_us / 1e6:g} s is more than the histogram's hour")
    return [histogram.get_value_at_percentile(percent) / 1e3 for percent in percents]
