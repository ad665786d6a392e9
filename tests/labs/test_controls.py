"""Controls: what a slider reaches, what it shows, and the ends that other controls set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from distlib.core.parameter import Parameters, parameter
from distlib.labs.controls import Controls
from tests.labs.toy import REGIONS, StudyLab, ToyLab


@dataclass(frozen=True)
class Slid(Parameters):
    latency_ms: tuple[float, float] = parameter((5, 15), "latency", low=0.1, high=500)
    up: float = parameter(0.95, "up", low=0.5, high=0.999, step=0.001)
    loss: float = parameter(0.0, "loss", low=0, high=0.9)
    trials: int = parameter(100, "trials", low=20, high=5000, scale="log")
    rate: float = parameter(1.0, "rate", low=0.03, high=70.0, scale="log")


@dataclass(frozen=True)
class Phases(Parameters):
    """A run with phases: a cut in it, and its end in between."""

    servers: int = parameter(5, "servers", low=2, high=9)
    crashed: int = parameter(1, "crashed", low=0, high=4, ceiling="fewest")
    cut_ms: float = parameter(100.0, "cut", low=0, high=60_000, step=10, ceiling="duration_ms")
    heal_ms: float = parameter(200.0, "heal", low=0, high=60_000, step=10, floor="cut_ms", ceiling="duration_ms")
    duration_ms: float = parameter(400.0, "duration", low=100, high=30_000, scale="log")

    @property
    def fewest(self) -> int:
        return (self.servers - 1) // 2

    def check(self) -> None:
        if self.crashed > self.fewest:
            raise ValueError(f"crashed is {self.crashed} of {self.servers}")


class PhasesLab(StudyLab):
    params = Phases
    presets: ClassVar[dict[str, dict[str, Any]]] = {"Long": {"duration_ms": 5000.0, "heal_ms": 3000.0}}
    ran: ClassVar[list[Phases]] = []

    def run(self, params: Any, progress: object) -> list[int]:
        self.ran.append(params)
        return [1]


def controls(params: type[Parameters]) -> Controls:
    made = Controls(["a"])
    made.add(params, lambda: None)
    return made


def test_every_slider_reaches_both_ends_and_its_steps_count_from_zero() -> None:
    """A slider of the browser steps from its low end on; so the low end must be a step, and the high end, too."""
    made = controls(Slid)
    for name, spec in Slid.specs().items():
        slider = getattr(made, name)
        steps = (slider.max - slider.min) / slider.step
        assert steps == pytest.approx(round(steps)) and steps >= 20
        if spec.scale == "linear":
            assert slider.min / slider.step == pytest.approx(round(slider.min / slider.step))
        for end, reached in ((spec.low, slider.min), (spec.high, slider.max)):
            value = reached if spec.scale == "linear" else 10**reached
            slider.value = (value, value) if isinstance(slider.value, tuple) else value
            found = made.values()[name]
            assert found == ((end, end) if isinstance(found, tuple) else end)


def test_what_is_read_is_what_is_used() -> None:
    made = controls(Slid)
    assert made.latency_ms.readout_format == ".1f" and made.up.readout_format == ".3f"
    made.loss.value = 0.12345
    assert made.loss.readout_format == ".5f" and made.values()["loss"] == 0.12345
    made.loss.value = 0.5
    assert made.loss.readout_format == ".3f"
    made.trials.value = 10**3.1  # the read-out rounds it to a whole number, and so do we
    assert made.trials.readout_format == "d" and made.values()["trials"] == 1259
    made.rate.value = 10 ** (made.rate.min + 7 * made.rate.step)
    assert f"{made.rate.value:.3g}" == f"{made.values()['rate']:g}"


def test_ends_that_are_no_steps_are_told_to_the_author() -> None:
    @dataclass(frozen=True)
    class Bad(Parameters):
        rate: float = parameter(1.0, "rate", low=0.1, high=10, step=1)

    with pytest.raises(ValueError, match=r"rate goes from 0.1 to 10 in steps of 1; both ends must be multiples"):
        controls(Bad)


def test_an_end_follows_another_control_and_takes_the_value_along_in_one_run() -> None:
    lab = PhasesLab()
    assert lab.wait(30)
    lab.ran.clear()
    lab.controls.servers.value = 2
    assert lab.wait(30) and (lab.controls.crashed.max, lab.params.crashed, lab.error) == (0, 0, None)
    assert lab.controls.crashed.disabled
    lab.controls.servers.value = 9
    assert lab.wait(30) and (lab.controls.crashed.max, lab.controls.crashed.disabled) == (4, False)
    lab.controls.duration_ms.value = 155
    assert lab.wait(30) and (lab.params.cut_ms, lab.params.heal_ms) == (100, 150)
    lab.controls.heal_ms.value = 20
    assert lab.wait(30) and lab.params.heal_ms == 100
    assert len(lab.ran) == 4  # one a move


def test_a_preset_and_a_value_from_python_move_the_ends_too() -> None:
    lab = PhasesLab()
    lab.controls.duration_ms.value = 100
    lab.preset("Long")
    assert lab.wait(30) and (lab.params.duration_ms, lab.params.heal_ms, lab.params.cut_ms) == (5000, 3000, 100)
    assert (lab.controls.heal_ms.min, lab.controls.heal_ms.max, lab.controls.cut_ms.max) == (100, 5000, 5000)
    lab.set(cut_ms=20_000.0, heal_ms=20_000.0)  # never, in this run: said from outside, so kept
    assert lab.wait(30) and (lab.params.cut_ms, lab.controls.cut_ms.value) == (20_000, 20_000)
    lab.controls.servers.value = 6
    assert lab.wait(30) and lab.params.cut_ms == 5000


def test_a_preset_sets_everything_from_the_defaults() -> None:
    class TwoPresets(ToyLab):
        presets: ClassVar[dict[str, dict[str, Any]]] = {
            "Far apart": {"network": "wide area", "pause_ms": (600, 900), "steps": 50, "figure": "ends"},
            "Lossy": {"loss": 0.3},
        }

    lab, fresh = TwoPresets(seed=3), TwoPresets()
    lab.preset("Far apart")
    lab.preset("Lossy")
    fresh.preset("Lossy")
    assert lab.wait(30) and fresh.wait(30)
    assert lab.share() == fresh.share() == "TwoPresets(loss=0.3)"


def test_the_last_choice_cannot_be_clicked_away() -> None:
    lab = ToyLab(regions=REGIONS[:1])
    lab.controls.regions._buttons[0].value = False
    assert lab.controls.regions.value == REGIONS[:1] and lab.controls.regions._buttons[0].value
    assert lab.error is None
