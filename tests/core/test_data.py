"""The course's data files are found, and a missing one says where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from distlib.core import data
from distlib.raft.failover import published
from distlib.sim.regions import round_trip_ms
from distlib.workbench.kill_matrix import stored
from distlib.workbench.museum import exhibit


def test_a_file_of_the_repository_is_found() -> None:
    assert data.data_file("region_rtt.csv").read_text(encoding="utf-8").startswith("from_region,")


@pytest.mark.parametrize("reads", [round_trip_ms, published, stored, exhibit])
def test_a_missing_file_says_what_to_do(reads: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "DATA", tmp_path)
    uncached = getattr(reads, "__wrapped__", reads)
    with pytest.raises(FileNotFoundError, match=r"is missing, although the course ships it.*pip install -e"):
        uncached()  # type: ignore[operator]
