"""The labs of the Raft chapter without a screen: every control moves its run, and says so when it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distlib.labs.lab import Lab
from distlib.raft.labs import (
    FailoverStudyLab,
    RaftElectionLab,
    RaftPartitionLab,
    SplitChanceLab,
    SplitVoteLab,
    ThroughputLab,
)
from distlib.raft.scenarios import PartitionParams, RejoinParams, partition, rejoin
from distlib.raft.statistics import leaders, split_terms

LABS = [RaftElectionLab, SplitVoteLab, RaftPartitionLab]


@pytest.mark.parametrize("kind", LABS)
def test_every_picture_of_every_lab_is_drawn(kind: type[Lab]) -> None:
    lab = kind()
    for name in lab.figures:
        lab.set(figure=name)
        assert lab.error is None and len(lab.picture.figure.data) > 2, name
    assert all(holds for _, holds, _ in lab.verdicts(lab.result))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("servers", 3), ("election_timeout_ms", (200, 500)), ("heartbeat_ms", 90), ("latency", "regions"),
        ("latency_ms", 9), ("loss", 0.3), ("duration_ms", 900), ("seed", 8), ("crash_ms", 400), ("down_ms", 200),
    ],
)  # fmt: skip
def test_moving_a_control_of_the_election_lab_changes_the_run(name: str, value: Any) -> None:
    lab = RaftElectionLab()
    before = lab.result.digest
    getattr(lab.controls, name).value = value
    assert lab.error is None and getattr(lab.params, name) == value and lab.result.digest != before


def test_regions_show_only_where_they_count() -> None:
    lab = RaftElectionLab()
    assert lab.controls.box("regions").layout.display == "none"
    lab.controls.latency.value = "regions"
    assert lab.controls.box("regions").layout.display is None


def test_one_click_splits_the_vote_and_one_click_cures_it() -> None:
    lab = SplitVoteLab()
    lab.set(**lab.presets["Spread the timers"])
    assert leaders(lab.result) and not split_terms(lab.result)
    lab.set(**lab.presets["Split the vote"])
    assert split_terms(lab.result) and not leaders(lab.result)


@pytest.mark.parametrize("kind", LABS)
def test_every_preset_runs(kind: type[Lab]) -> None:
    lab = kind()
    for values in lab.presets.values():
        lab.set(**values)
        assert lab.error is None and lab.result.sent


def test_a_partition_heals_after_it_began_and_within_the_run() -> None:
    """A heal before the partition was refused, a partition after the end failed ("virtual time is already …")."""
    lab = RaftPartitionLab()
    lab.controls.heal_ms.value = 100
    assert lab.wait(60) and (lab.params.heal_ms, lab.error) == (600, None)
    lab.controls.duration_ms.value = 100
    assert lab.wait(60) and (lab.params.partition_ms, lab.params.heal_ms, lab.error) == (100, 100, None)
    for scenario in (partition(PartitionParams(duration_ms=300)), rejoin(params=RejoinParams(duration_ms=300))):
        assert scenario.end_ms == 300 and not scenario.faults


def test_share_rebuilds_exactly_this_view() -> None:
    lab = RaftElectionLab(servers=3, seed=9, figure="roles")
    again = eval(lab.share(), {"RaftElectionLab": RaftElectionLab})
    assert again.share() == lab.share() and again.result.to_bytes() == lab.result.to_bytes()


def test_export_writes_the_data_and_the_scenario_rebuilds_the_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lab = RaftElectionLab(seed=9)
    written = lab.export("html", "csv", "json")
    names = {path.suffix for path in written}
    assert names == {".html", ".csv", ".json"} and any("messages" in path.name for path in written)
    scenario = next(path for path in written if path.suffix == ".json")
    assert Lab.load(scenario).result.to_bytes() == lab.result.to_bytes()
    page = next(path for path in written if path.suffix == ".html").read_text(encoding="utf-8")
    assert "cdn" not in page.split("</title>")[0].lower() and 'src="http' not in page


def test_the_throughput_lab_measures_fifteen_clusters() -> None:
    lab = ThroughputLab(clients=2, operations=20)
    assert len(lab.result) == 15 and (lab.result.commits_per_s > 0).all() and lab.error is None
    far, near = (lab.result[lab.result.placement == one].p50_ms.iloc[2] for one in ("the world", "one region"))
    assert far > 20 * near


def test_the_split_chance_lab_marks_the_readers_setting() -> None:
    lab = SplitChanceLab(elections=20, latency=0.2)
    assert lab.error is None and "18.1 %" in str(lab.picture.figure.data[-1].text)
    lab.controls.crashed.value = 4
    assert lab.wait(60) and (lab.params.crashed, lab.error) == (2, None)
    with pytest.raises(ValueError, match="no majority is left"):
        lab.set(crashed=4)


def test_the_study_waits_for_its_button_and_can_be_stopped() -> None:
    lab = FailoverStudyLab(trials=2)
    assert lab.error is None and set(lab.result) >= {"150–150", "150–300", "12–24"}
    assert len(lab.table(lab.result)) == 10 and len(lab.picture.figure.data) == 22


@pytest.mark.parametrize("kind", LABS)
def test_an_exported_scenario_gives_the_same_run(
    kind: type[Lab], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lab = kind(seed=11, loss=0.1)
    (path,) = lab.export("json")
    again = Lab.load(path)
    assert type(again) is kind and again.result.to_bytes() == lab.result.to_bytes()
