"""Requests a second of the queueing engine beside simpy, ciw and a bare C loop, in one run.

    python benchmarks/load_balancing.py            # about a minute
    python benchmarks/load_balancing.py --quick    # a few seconds, for a look

Every measurement is the best of several, alternating with its peers, because the machine may be shared. Ours counts
everything that ``simulate`` does: random numbers, the queue, and arrays with the fate of every request. The C loop adds
up one sum and keeps nothing: it lives in the processor's own cache; ours writes some 40 bytes a request to memory.
So the table says, of that same run, what each side used of the machine: processor time of all its threads, how many
threads worked, and memory. Where neighbours are busy, seconds on the clock say as much about them as about the two
programs; the ratio of processor times says how the work compares, and the part in the kernel what fresh memory cost.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

from distlib.balancing.policies import LeastRequest
from distlib.balancing.scenarios import ComparisonParams, policy_comparison
from distlib.core.seeds import Seeds
from distlib.sim.service.balancer import choice_keys
from distlib.sim.service.params import Backends, ServiceParams
from distlib.sim.service.policy import CentralQueue, Policy
from distlib.sim.service.service import simulate
from distlib.sim.workload import Poisson

HERE = Path(__file__).parent
LOAD, SERVERS, BACKENDS = 0.9, 10, 100
FIRST_CALL = """
import time
from distlib.sim.service.policy import CentralQueue
from distlib.balancing.policies import LeastRequest, RoundRobin
from distlib.sim.service.params import Backends, ServiceParams
from distlib.sim.service.service import simulate
for name, run in (
    ("central queue", ServiceParams(policy=CentralQueue(), requests=10)),
    ("least request", ServiceParams(policy=LeastRequest(2), requests=10)),
    ("other policies", ServiceParams(policy=RoundRobin(), requests=10)),
    ("event engine", ServiceParams(policy=RoundRobin(), requests=10, backends=Backends(10, discipline="sharing"))),
):
    begin = time.perf_counter()
    simulate(run)
    print(f"{name}={time.perf_counter() - begin:.2f}", end=" ")
"""


@dataclass(frozen=True)
class Use:
    """What one run used of the machine."""

    requests: int
    clock_s: float
    processor_s: float
    kernel_s: float  # of it in the kernel, which finds and clears fresh memory
    threads: int  # that worked
    memory_mb: float  # at the peak, more than before

    def row(self, name: str, ours: Use) -> str:
        per_request = ours.requests / self.requests
        columns = (
            f"{self.requests / self.clock_s:14,.0f}", f"{per_request * self.clock_s / ours.clock_s:10.2f}",
            f"{1e9 * self.processor_s / self.requests:12.1f}",
            f"{per_request * self.processor_s / ours.processor_s:10.2f}",
            f"{1e9 * self.kernel_s / self.requests:12.1f}",
            f"{self.threads:9d}{self.memory_mb:9.0f}",
        )  # fmt: skip
        return f"  {name:8s}" + "".join(columns)


def ticks() -> dict[str, float]:
    """Processor time of every thread of this process so far."""
    stat = {
        task.name: (task / "stat").read_text().rsplit(")", 1)[1].split() for task in Path("/proc/self/task").iterdir()
    }
    return {name: float(fields[11]) + float(fields[12]) for name, fields in stat.items()}


def resident_mb(which: str) -> float:
    """``VmRSS``, the memory now, or ``VmHWM``, its peak."""
    line = next(one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith(which))
    return int(line.split()[1]) / 1024


def used(work: Callable[[], Any], requests: int) -> tuple[Any, Use]:
    """What ``work`` gives back, and what it used."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    memory, before, begin = resident_mb("VmRSS"), ticks(), time.perf_counter()
    at_first = getrusage(RUSAGE_SELF)
    found = work()
    clock, at_last = time.perf_counter() - begin, getrusage(RUSAGE_SELF)
    user, kernel = at_last.ru_utime - at_first.ru_utime, at_last.ru_stime - at_first.ru_stime
    worked = sum(spent > before.get(name, 0.0) for name, spent in ticks().items())
    peak_mb = max(0.0, resident_mb("VmHWM") - memory)
    return found, Use(requests, clock, user + kernel, kernel, max(1, worked), peak_mb)


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def ours(policy: Policy, backends: int, requests: int) -> tuple[Use, float]:
    """What it used, and the mean response over all requests."""
    params = ServiceParams(
        policy=policy, arrivals=Poisson(LOAD * backends), backends=Backends(backends), requests=requests
    )
    result, use = used(lambda: simulate(params), requests)
    return use, float(result.response_s.mean())


def simpy_mm10(requests: int) -> Use:
    import simpy

    env = simpy.Environment()
    servers = simpy.Resource(env, SERVERS)
    draw = random.Random(1)
    responses = []

    def request():
        arrived = env.now
        with servers.request() as turn:
            yield turn
            yield env.timeout(draw.expovariate(1.0))
        responses.append(env.now - arrived)

    def source():
        for _ in range(requests):
            yield env.timeout(draw.expovariate(LOAD * SERVERS))
            env.process(request())

    env.process(source())
    return used(env.run, requests)[1]


def ciw_mm10(requests: int) -> Use:
    import ciw

    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate=LOAD * SERVERS)],
        service_distributions=[ciw.dists.Exponential(rate=1.0)],
        number_of_servers=[SERVERS],
    )
    ciw.seed(1)
    simulation = ciw.Simulation(network)
    return used(lambda: simulation.simulate_until_max_customers(requests), requests)[1]


def c_loop(program: Path, name: str, requests: int) -> tuple[Use, float]:
    """The same of the C program; its own clock leaves out the start of the process."""
    seeds = Seeds(1)
    keys = [seeds.number("arrival"), seeds.number("service"), int(choice_keys(1, 0, 1)[0])]
    command = [str(program), name, str(requests), *map(str, keys)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    spent, processor, kernel, memory_mb, mean = map(float, printed)
    return Use(requests, spent, processor, kernel, 1, memory_mb), mean


def first_calls() -> None:
    """Compile time in a fresh process with an empty cache, then in another with what the first left."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache, "PYTHONPATH": str(HERE.parent)}
        for when in ("empty cache", "next process"):
            command = [sys.executable, "-c", FIRST_CALL]
            out = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
            print(f"first call, {when:13s} seconds: {out}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    many, few, rounds = (1_000_000, 5_000, 2) if quick else (5_000_000, 50_000, 7)
    first_calls()
    ours(CentralQueue(), SERVERS, 1000)
    ours(LeastRequest(2), BACKENDS, 1000)

    best: dict[str, Use] = {}
    five_s = math.inf

    def keep(name: str, use: Use) -> None:
        """The run with the least time on the clock, with the least processor time of all."""
        least = min(best.get(name, use), use, key=lambda one: one.clock_s)
        quiet = min(best.get(name, use), use, key=lambda one: one.processor_s)
        best[name] = replace(least, processor_s=quiet.processor_s, kernel_s=quiet.kernel_s)

    gcc = shutil.which("gcc")
    with tempfile.TemporaryDirectory() as build:
        program = Path(build) / "load_balancing"
        if gcc:
            source = str(HERE / "load_balancing.c")
            subprocess.run([gcc, "-O3", "-march=native", "-o", str(program), source, "-lm"], check=True)
        for _ in range(rounds):
            for name, policy, backends in (
                ("central", CentralQueue(), SERVERS),
                ("two-choices", LeastRequest(2), BACKENDS),
            ):
                use, mean = ours(policy, backends, many)
                keep(f"{name}, ours", use)
                if gcc:
                    use, c_mean = c_loop(program, name, many)
                    keep(f"{name}, C loop", use)
                    assert abs(mean / c_mean - 1) < 1e-9, f"{name}: ours {mean}, C {c_mean}: not the same algorithm"
            keep("central, simpy", simpy_mm10(few))
            keep("central, ciw", ciw_mm10(few // 2))
            five_s = min(five_s, seconds(lambda: policy_comparison(ComparisonParams(requests=200_000))))

    heads = ("requests/s", "ours/peer", "ns CPU each", "ours/peer", "in kernel", "threads", "MB")
    for title, system in (("M/M/10, ρ = .9", "central"), ("two choices of 100 backends, λ = .9", "two-choices")):
        widths = (14, 10, 12, 10, 12, 9, 9)
        print(f"\n{title}\n{'':10s}" + "".join(f"{head:>{width}s}" for head, width in zip(heads, widths, strict=True)))
        for name in ("ours", "simpy", "ciw", "C loop"):
            if f"{system}, {name}" in best:
                print(best[f"{system}, {name}"].row(name, best[f"{system}, ours"]))
    print(f"\nfive policies, 200,000 requests each, with tables: {1000 * five_s:.0f} ms")
    if not gcc:
        print("no gcc here, so no C loop to compare with")


if __name__ == "__main__":
    main()
