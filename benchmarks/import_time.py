"""``import distlib`` against an interpreter that imports nothing, and against pandas."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

REPEATS = 21


def seconds(statement: str) -> float:
    """Return the median time of a fresh interpreter that runs ``statement``."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Print the times, and those above a bare start."""
    bare = seconds("pass")
    print(f"bare start      {1000 * bare:6.0f} ms")
    for statement in ("import distlib", "import pandas"):
        taken = seconds(statement)
        print(f"{statement:15} {1000 * taken:6.0f} ms   {1000 * (taken - bare):+6.0f} ms above a bare start")
