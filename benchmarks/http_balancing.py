"""Real HTTP: what our proxy adds to a response beside nginx and HAProxy, and how far measured is from simulated.

Overhead is what a request spent neither in a worker's queue nor in service: generator, sockets, proxy, timers. It is
taken at a low load, where hardly anything waits, so it is the proxy's and not the policy's. Each proxy meets the same
requests; rounds alternate between them, and the medians are printed.
"""

from __future__ import annotations

import os
import statistics

from distlib.balancing.real.experiment import percentiles_ms
from distlib.balancing.real.production_proxy import CannotMeasureError, find
from distlib.balancing.real.scenarios import FRONTS, OWN, RealBalancingParams, measure_policy, real_balancing
from distlib.balancing.scenarios import POLICIES

ROUNDS = 3
LIGHT = RealBalancingParams(policies=("two choices",), mean_ms=10.0, load=0.3, duration_s=3.0)
HEAVY = RealBalancingParams(policies=("random", "round robin", "two choices", "least request"), duration_s=5.0)


def present() -> list[str]:
    """Our proxy, and those that are installed; says which are not."""
    fronts = [OWN]
    for name in FRONTS[1:]:
        try:
            find(name)
            fronts.append(name)
        except CannotMeasureError as absent:
            print(absent)
    return fronts


def main() -> None:
    """Print overhead (ms) by proxy, then measured and simulated percentiles by policy."""
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    fronts = present()
    found: dict[str, list[list[float]]] = {name: [] for name in fronts}
    for _ in range(ROUNDS):
        for name in fronts:
            run = measure_policy(LIGHT, POLICIES["two choices"], name)
            found[name].append([*percentiles_ms(run.overhead_s, (50, 99)), *percentiles_ms(run.late_s, (50, 99))])
    print(f"{LIGHT.rate_per_s:.0f} requests/s     overhead p50   p99   sent late p50   p99 (ms)")
    for name in fronts:
        columns = [statistics.median(column) for column in zip(*found[name], strict=True)]
        print(f"{name:<18}" + "".join(f"{one:>12.2f}" for one in columns))
    result = real_balancing(HEAVY)
    print(result.summary.round(1).to_string(index=False))
    for name, holds, witness in result.verdicts():
        print(f"{'yes' if holds else 'NO'}: {name} {witness}")


if __name__ == "__main__":
    main()
