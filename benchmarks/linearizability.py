"""Speed of the linearizability checker: long histories of our own, and the public ones beside Porcupine.

    python -m benchmarks.linearizability                                          # generated histories
    python -m benchmarks.linearizability --porcupine CHECKOUT                     # and Porcupine's logs
    python -m benchmarks.linearizability --porcupine CHECKOUT --test-binary FILE  # beside Porcupine itself

CHECKOUT is a work tree of github.com/anishathalye/porcupine, FILE is what ``go test -c`` makes of it.
Reading the logs and checking them are timed apart. Each figure is the best of three runs.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from distlib.check.history.history import PORCUPINE, History, Operation
from distlib.check.history.linearizability import check
from distlib.check.history.readers import read_jepsen
from distlib.check.history.sequential import CasRegister, KeyValueMap, Register, Specification


def register_history(operations: int, clients: int, values: int, seed: int, stale_at: int | None = None) -> History:
    """What ``clients`` saw of one atomic register, each busy all the time; read number ``stale_at`` answers
    nonsense."""
    rng = random.Random(seed)
    spans = []  # (moment, call, return, client)
    for client in range(clients):
        now = rng.random()
        for _ in range(operations // clients):
            call, returned = now, now + rng.expovariate(1.0) + 0.01
            spans.append((rng.uniform(call, returned), call, returned, client))
            now = returned + 0.01 * rng.random()
    held, reads, made = None, 0, []
    for _, call, returned, client in sorted(spans):
        if rng.random() < 0.5:
            held = rng.randrange(values)
            made.append(Operation(client, "write", held, None, call, returned))
        else:
            answer = "nonsense" if reads == stale_at else held
            made.append(Operation(client, "read", None, answer, call, returned))
            reads += 1
    return History(made)


def best(run: Callable[[], object], repeats: int = 3) -> float:
    """Seconds of the fastest of ``repeats`` runs."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times)


def generated() -> None:
    print("generated register histories: operations, clients, values, verdict, configurations, seconds")
    for clients, values, stale_at in (
        (5, 5, None),
        (10, 5, None),
        (10, 10**6, None),
        (30, 5, None),
        (10, 5, 4_900),
        (30, 5, 2_500),
    ):
        history = register_history(10_000, clients, values, seed=1, stale_at=stale_at)
        started = time.perf_counter()
        result = check(history, Register(), time_limit_s=20)
        seconds = time.perf_counter() - started
        numbers = f"{len(history):6} {clients:3} {values:8} {result.verdict.value:17} {result.configurations:8}"
        print(f"  {numbers} {seconds:7.2f}")


def public(checkout: Path, binary: Path | None) -> None:
    logs = sorted((checkout / "test_data" / "jepsen").glob("*.log"))
    histories = [read_jepsen(log, PORCUPINE) for log in logs if log.stat().st_size]
    reading = best(lambda: [read_jepsen(log, PORCUPINE) for log in logs if log.stat().st_size])
    checking = best(lambda: [check(history, CasRegister()) for history in histories])
    print(f"etcd logs: {len(histories)}, read in {reading:.3f} s, checked in {checking:.3f} s")
    theirs = _porcupine(checkout, binary, "EtcdJepsen") if binary else {}
    if theirs:
        total = sum(theirs.values())
        print(f"  Porcupine checks them in {total:.3f} s: ours takes {checking / total:.2f} times as long")
    kv: Specification = KeyValueMap()
    for log in sorted((checkout / "test_data" / "kv").glob("*.txt")):
        history = read_jepsen(log, PORCUPINE)
        seconds = best(lambda h=history: check(h, kv), 1)
        print(f"key-value {log.stem}: {len(history)} operations, {seconds:.3f} s")
    for name, seconds in (_porcupine(checkout, binary, "Kv[0-9]") if binary else {}).items():
        print(f"  Porcupine {name}: {seconds:.3f} s")


def _porcupine(checkout: Path, binary: Path, pattern: str) -> dict[str, float]:
    """Seconds of each of Porcupine's own benchmarks, the best of three runs."""
    command = [str(binary.resolve()), "-test.run=^$", f"-test.bench={pattern}", "-test.benchtime=1x", "-test.count=3"]
    output = subprocess.run(command, cwd=checkout, check=True, capture_output=True, text=True).stdout
    seconds: dict[str, float] = {}
    for name, nanoseconds in re.findall(r"^Benchmark(\S+)\s+\d+\s+(\d+) ns/op", output, re.MULTILINE):
        seconds[name] = min(seconds.get(name, float("inf")), int(nanoseconds) / 1e9)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--porcupine", type=Path, help="a work tree of Porcupine's repository")
    parser.add_argument("--test-binary", type=Path, help="Porcupine's compiled tests, to run beside ours")
    arguments = parser.parse_args()
    generated()
    if arguments.porcupine:
        public(arguments.porcupine, arguments.test_binary)


if __name__ == "__main__":
    main()
