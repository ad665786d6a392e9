"""Verdicts on public histories, which are not part of this repository: run it when you have the checkouts.

    PORCUPINE_CHECKOUT=... KNOSSOS_CHECKOUT=... pytest tests/check/history/public_histories.py

The name keeps it out of an ordinary test run, where it could only be skipped.

github.com/anishathalye/porcupine (its verdicts stand in porcupine_test.go; a failed compare-and-set
compared unequal, a nil read saw nothing written) and github.com/jepsen-io/knossos (the verdict is the
folder's name; a failed operation never happened, a nil read is unknown; the register starts at 0).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from distlib.check.history.history import KNOSSOS, PORCUPINE
from distlib.check.history.linearizability import Verdict, check
from distlib.check.history.readers import read_jepsen
from distlib.check.history.sequential import CasRegister, KeyValueMap, Mutex, Specification, Transactions


def checkout(variable: str) -> Path:
    if variable not in os.environ:
        pytest.fail(f"set {variable} to a work tree of the repository to run this")
    return Path(os.environ[variable])


def verdict_of(linearizable: bool) -> Verdict:
    return Verdict.LINEARIZABLE if linearizable else Verdict.NOT_LINEARIZABLE


def test_porcupine_etcd_logs():
    root = checkout("PORCUPINE_CHECKOUT")
    known = re.findall(r"checkJepsen\(t, (\d+), (true|false)\)", (root / "porcupine_test.go").read_text())
    assert len(known) == 102
    for number, linearizable in known:
        history = read_jepsen(root / "test_data" / "jepsen" / f"etcd_{int(number):03d}.log", PORCUPINE)
        assert check(history, CasRegister()).verdict is verdict_of(linearizable == "true"), number


def test_porcupine_key_value_logs():
    root = checkout("PORCUPINE_CHECKOUT")
    known = re.findall(
        r'checkKv\(t, "([\w-]+)", (true|false), (true|false)\)', (root / "porcupine_test.go").read_text()
    )
    assert len(known) == 10
    for name, linearizable, partition in known:
        history = read_jepsen(root / "test_data" / "kv" / f"{name}.txt", PORCUPINE)
        result = check(history, KeyValueMap(), partition=partition == "true")
        assert result.verdict is verdict_of(linearizable == "true"), (name, partition)


MODELS: dict[str, Specification] = {
    "cas-register": CasRegister(0),
    "multi-register": Transactions({"x": 0, "y": 0}),
    "mutex": Mutex(),
}


def test_knossos_histories():
    root = checkout("KNOSSOS_CHECKOUT")
    seen = 0
    for path in sorted((root / "data").rglob("*.edn")):
        history = read_jepsen(path, KNOSSOS)
        result = check(history, MODELS[path.parts[-3]])
        assert result.verdict is verdict_of(path.parts[-2] == "good"), path
        seen += 1
    assert seen >= 122


@pytest.mark.parametrize(
    ("name", "initial", "process", "label"),
    [
        ("bad-analysis", 0, 21, "read → 2"),
        ("cas-failure", 0, 70, "read → 0"),
        ("immediate-failure", 0, 1, "read → 3"),
        ("rethink-fail-minimal", None, 1, "read → 3"),
        ("rethink-fail-smaller", None, 12, "read → 3"),
    ],
)
def test_knossos_names_the_same_operation(name, initial, process, label):
    """The operation that Knossos's own tests (wgl_test.clj) name as the one that can't be linearized."""
    path = checkout("KNOSSOS_CHECKOUT") / "data" / "cas-register" / "bad" / f"{name}.edn"
    stuck = check(read_jepsen(path, KNOSSOS), CasRegister(initial)).decisive.stuck.operation
    assert (stuck.process, stuck.label) == (process, label)
