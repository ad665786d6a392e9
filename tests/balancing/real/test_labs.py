"""The lab of the real check, without a screen."""

from __future__ import annotations

import threading
import time

import pytest

from distlib.balancing.real import production_proxy
from distlib.balancing.real.labs import RealBalancingLab

QUICK = {"policies": ("round robin",), "workers": 2, "mean_ms": 5.0, "load": 0.4, "duration_s": 0.5}


def test_it_measures_shows_and_can_be_shared() -> None:
    lab = RealBalancingLab(**QUICK)
    assert lab.result is not None and lab.error is None, lab.error
    assert lab.result.measured["round robin", "own proxy"].lost == 0
    names = [one.name for one in lab.picture.figure.data]
    assert "simulated, the same requests" in names and "measured: own proxy" in names
    lab.controls.coordinated_omission.value = True
    assert any("counted from the sending" in one.name for one in lab.picture.figure.data)
    lab.set(figure="requests per worker")
    assert {one.name for one in lab.picture.figure.data} == {"simulated", "own proxy"}
    assert set(lab.data(lab.result)) == {"percentiles", "chance", "counts", "statistics"}
    assert len(lab.table(lab.result)) == 1
    assert "duration_s=0.5" in lab.share()


def test_stop_ends_the_run_and_every_thread() -> None:
    lab = RealBalancingLab(**{**QUICK, "duration_s": 30.0})
    end = time.monotonic() + 20
    while not any(one.name == "proxy" for one in threading.enumerate()) and time.monotonic() < end:
        time.sleep(0.02)
    lab.stop()
    assert lab.wait(30)
    assert not any(one.name == "proxy" for one in threading.enumerate())


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(production_proxy.shutil, "which", lambda *_, **__: None)
    lab = RealBalancingLab(**QUICK, through=("nginx",))
    lab.wait(30)
    assert "nginx is not installed" in str(lab.error)


def test_a_bad_value_is_named() -> None:
    with pytest.raises(ValueError, match=r"RealBalancingParams\.workers is 0"):
        RealBalancingLab(workers=0)
