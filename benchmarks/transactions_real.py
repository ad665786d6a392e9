"""Two-phase commit between two real databases, beside two plain commits on the same ones: what atomicity costs.

Both do the same statements on the same connections, one after the other. The plain way begins, works and commits at one
database, then at the other; a crash between the two loses money. The other way prepares at both, writes the decision to
the coordinator's log, and commits at both. Rounds alternate; printed are medians, and their ratio within a round. The
last column is a whole coordinator process with one client, its event loop and threads included.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from distlib.transactions.bank import transfer
from distlib.transactions.message import Decided, Ended
from distlib.transactions.real.database import carry_out
from distlib.transactions.real.experiment import DATABASES, NAMES, RealTransactionsParams, databases, real_transactions
from distlib.transactions.real.log import Log
from distlib.transactions.two_phase import TwoPhaseCommit

ROUNDS, TRANSFERS = 7, 100
BOTH_WAYS = transfer("A", "B", 1, "x0"), transfer("B", "A", 1, "x0")


def plain(connections: dict[str, Any], number: int) -> None:
    """Two local transactions."""
    for at, operations in BOTH_WAYS[number % 2]:
        carry_out(connections[at], f"T{number}", operations)
        connections[at].commit()


def two_phases(connections: dict[str, Any], number: int, node: TwoPhaseCommit, log: Log) -> None:
    """One transaction at both."""
    name = f"T{number}"
    for at, operations in BOTH_WAYS[number % 2]:
        connections[at].tpc_begin(connections[at].xid(1, name, at))
        carry_out(connections[at], name, operations)
        connections[at].tpc_prepare()
    node.force(Decided(name, True, NAMES))
    log.save()
    for connection in connections.values():
        connection.tpc_commit()
    node.write(Ended(name))
    node.take_effects()


def per_transfer_ms(work: Callable[[int], None], numbers: Iterator[int]) -> float:
    """Mean time of one."""
    began = time.perf_counter()
    for _ in range(TRANSFERS):
        work(next(numbers))
    return 1e3 * (time.perf_counter() - began) / TRANSFERS


def main() -> None:
    """Print ms a transfer each way, and the ratio."""
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(f"{'':<12}{'plain (ms)':>12}{'two phases':>12}{'ratio':>8}{'coordinator process':>22}")
    for product in DATABASES:
        numbers, rounds = count(), []
        with databases(product) as servers, tempfile.TemporaryDirectory() as home:
            connections = {name: server.database.connect() for name, server in servers.items()}
            node = TwoPhaseCommit("C", initial=())
            with Log(Path(home) / "log", node) as log:
                for _ in range(ROUNDS):
                    alone = per_transfer_ms(partial(plain, connections), numbers)
                    both = per_transfer_ms(partial(two_phases, connections, node=node, log=log), numbers)
                    rounds.append((alone, both, both / alone))
        whole = real_transactions(RealTransactionsParams(
            database=product, victim="nobody", clients=1, transfers=300, refused=0.0, think_ms=0.0
        ))  # fmt: skip
        began, ended = (next(one.at_s for one in whole.events if one.what == what) for what in ("recovered", "ended"))
        alone, both, ratio = (statistics.median(column) for column in zip(*rounds, strict=True))
        process = 1e3 * (ended - began) / 300
        print(f"{product:<12}{alone:>12.2f}{both:>12.2f}{ratio:>8.2f}{process:>22.2f}")


if __name__ == "__main__":
    main()
