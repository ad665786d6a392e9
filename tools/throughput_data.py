"""Write ``data/raft_throughput.csv``, what ThroughputLab shows at its defaults: ``python tools/throughput_data.py``."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from itertools import product

import pandas as pd

from distlib.core.data import DATA
from distlib.raft.throughput import CLIENTS, DISKS_MS, ThroughputParams, simulated


def rows(setting: tuple[int, float]) -> pd.DataFrame:
    """All placements and sizes for so many clients and such a disk."""
    clients, disk_ms = setting
    found = simulated(ThroughputParams(clients, disk_ms=disk_ms))
    found.insert(0, "clients", clients)
    found.insert(1, "disk_ms", disk_ms)
    return found


def main() -> None:
    """Simulate on all cores; some two minutes."""
    with ProcessPoolExecutor() as executor:
        tables = list(executor.map(rows, product(CLIENTS, DISKS_MS)))
    pd.concat(tables).to_csv(DATA / "raft_throughput.csv", index=False)


if __name__ == "__main__":
    main()
