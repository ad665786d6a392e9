"""Write what the museum keeps in ``data/``: each mutant's counterexample, and the kill matrix.

.venv/bin/python tools/museum_data.py VotesTwice ReportsNothing     # these counterexamples
.venv/bin/python tools/museum_data.py --all                         # all of them (some minutes)
.venv/bin/python tools/museum_data.py --matrix PrimaryBackup        # a protocol's rows of the kill matrix (longer)
.venv/bin/python tools/museum_data.py --matrix MultiPaxos --seconds 4   # each search for 4 s, on a busy machine
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor

import pandas as pd

from distlib.core.data import DATA
from distlib.core.mutant import Mutant
from distlib.workbench.kill_matrix import KillMatrixParams, cells, stored, table
from distlib.workbench.museum import mutant_named, mutants
from distlib.workbench.subjects import subject_of


def write_counterexample(one: Mutant) -> None:
    """What its killer finds: a minimal path, or the seed of a simulated run."""
    outcome = subject_of(one.node_class).search(one.killed_by)(one.node_class, 120.0)
    if not outcome.failure:
        raise SystemExit(f"{one.name}: {one.killed_by} finds nothing ({outcome.looked})")
    if outcome.example is not None:
        text = outcome.example.save()
    else:
        first = outcome.failure.splitlines()[0]
        record = {"version": 1, "mutant": one.name, "search": one.killed_by, "seed": outcome.seed, "failure": first}
        text = json.dumps(record, ensure_ascii=False, indent=1)
    (DATA / "counterexamples" / f"{one.name}.json").write_text(f"{text}\n", encoding="utf-8")
    print(f"{one.name}: {outcome}")


def write_rows(protocol: str, seconds: float) -> None:
    """All cells of a protocol, in place of those that are stored."""
    params = KillMatrixParams(protocol=protocol, searches="all", seconds=seconds)
    with ProcessPoolExecutor(2) as executor:
        found = table(cells(params, executor, lambda done, total, note: print(f"{done} of {total}: {note}")))
    kept = stored()
    rounded = found.round({"elapsed_s": 2})
    pd.concat([kept[kept["protocol"] != protocol], rounded]).to_csv(DATA / "kill_matrix.csv", index=False)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mutant", nargs="*", help="classes whose counterexamples to write")
    parser.add_argument("--all", action="store_true", help="all counterexamples")
    parser.add_argument("--matrix", metavar="PROTOCOL", help="measure a protocol's rows of the kill matrix")
    parser.add_argument("--seconds", type=float, default=1.0, help="at most, for one search of the matrix (default: 1)")
    given = parser.parse_args()
    if not (given.mutant or given.all or given.matrix):
        parser.error("name a mutant, --all, or --matrix with a protocol's class, such as PrimaryBackup")
    for one in mutants() if given.all else map(mutant_named, given.mutant):
        if one.sort != "equivalent":
            write_counterexample(one)
    if given.matrix:
        write_rows(given.matrix, given.seconds)


if __name__ == "__main__":
    main()
