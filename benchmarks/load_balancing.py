"""Requests a second of the queueing engine beside simpy, ciw and a bare C loop, in one run.

    python benchmarks/load_balancing.py            # about a minute
    python benchmarks/load_balancing.py --quick    # a few seconds, for a look

Every measurement is the best of several, alternating with its peers, because the machine may be shared. Ours counts
everything that ``simulate`` does: random numbers, the queue, and arrays with the fate of every request. The C loop adds
up one sum and keeps nothing.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

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


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def ours(policy: Policy, backends: int, requests: int) -> tuple[float, float]:
    """Requests a second, and the mean response over all requests."""
    params = ServiceParams(
        policy=policy, arrivals=Poisson(LOAD * backends), backends=Backends(backends), requests=requests
    )
    begin = time.perf_counter()
    result = simulate(params)
    spent = time.perf_counter() - begin
    return requests / spent, float(result.response_s.mean())


def simpy_mm10(requests: int) -> float:
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
    return requests / seconds(env.run)


def ciw_mm10(requests: int) -> float:
    import ciw

    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate=LOAD * SERVERS)],
        service_distributions=[ciw.dists.Exponential(rate=1.0)],
        number_of_servers=[SERVERS],
    )
    ciw.seed(1)
    simulation = ciw.Simulation(network)
    return requests / seconds(lambda: simulation.simulate_until_max_customers(requests))


def c_loop(program: Path, name: str, requests: int) -> tuple[float, float]:
    seeds = Seeds(1)
    keys = [seeds.number("arrival"), seeds.number("service"), int(choice_keys(1, 0, 1)[0])]
    command = [str(program), name, str(requests), *map(str, keys)]
    spent, mean = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return requests / float(spent), float(mean)


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

    best: dict[str, float] = {}

    def keep(name: str, speed: float) -> None:
        best[name] = max(best.get(name, 0.0), speed)

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
                speed, mean = ours(policy, backends, many)
                keep(f"{name}, ours", speed)
                if gcc:
                    speed, c_mean = c_loop(program, name, many)
                    keep(f"{name}, C loop", speed)
                    assert abs(mean / c_mean - 1) < 1e-9, f"{name}: ours {mean}, C {c_mean}: not the same algorithm"
            keep("central, simpy", simpy_mm10(few))
            keep("central, ciw", ciw_mm10(few // 2))
            keep("five policies", 1 / seconds(lambda: policy_comparison(ComparisonParams(requests=200_000))))

    print(f"\n{'M/M/10, ρ = .9':38s}{'requests/s':>14s}{'ours/peer':>11s}")
    for name in ("ours", "simpy", "ciw", "C loop"):
        if f"central, {name}" in best:
            speed = best[f"central, {name}"]
            print(f"  {name:36s}{speed:14,.0f}{best['central, ours'] / speed:11.2f}")
    print("two choices of 100 backends, λ = .9")
    for name in ("ours", "C loop"):
        if f"two-choices, {name}" in best:
            speed = best[f"two-choices, {name}"]
            print(f"  {name:36s}{speed:14,.0f}{best['two-choices, ours'] / speed:11.2f}")
    print(f"five policies, 200,000 requests each, with tables: {1000 / best['five policies']:.0f} ms")
    if not gcc:
        print("no gcc here, so no C loop to compare with")


if __name__ == "__main__":
    main()
