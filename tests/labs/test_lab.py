"""The base of all labs, without a screen."""

from __future__ import annotations

from tests.labs.toy import ToyLab


def test_a_control_moves_the_run_and_the_picture() -> None:
    lab = ToyLab()
    before = lab.picture.widget.data[0].y
    lab.controls.seed.value = 8
    assert lab.result.params.seed == lab.params.seed == 8
    assert list(lab.picture.widget.data[0].y) != list(before)
    assert lab.error is None
