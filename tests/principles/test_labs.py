"""The History lab, without a screen."""

from __future__ import annotations

from distlib.principles.histories import OWN, to_jsonl
from distlib.principles.labs import HistoryLab


def test_every_preset_works_and_its_share_line_rebuilds_it() -> None:
    lab = HistoryLab()
    for values in HistoryLab.presets.values():
        lab.set(**values)
        assert lab.result is not None and lab.error is None
        assert eval(lab.share(), {"HistoryLab": HistoryLab}).params == lab.params
        assert lab.data(lab.result)


def test_the_history_lab_says_where_it_gets_stuck_and_takes_edited_lines() -> None:
    lab = HistoryLab(history="a stale read")
    (verdict,) = lab.verdicts(lab.result)
    assert verdict[1] is False
    assert "stuck" in verdict[2]
    lab.edit()
    lab.check(lab.lines.value.replace('"result": 1', '"result": 2'))
    assert lab.params.history == OWN
    assert lab.verdicts(lab.result)[0][1] is True
    assert eval(lab.share(), {"HistoryLab": HistoryLab}).lines.value == lab.lines.value


def test_a_line_that_cannot_be_read_is_named_in_the_lab() -> None:
    lab = HistoryLab(history="a queue that overtakes")
    good = to_jsonl(lab.result.history)
    lab.check(good + '\n{"process": "A", "f": "dequeue", "call": 9}')
    assert "line:4: field 'return'" in str(lab.error)
    assert "line:4" in lab._frame.said.value
    lab.check(good)
    assert lab.error is None
    assert lab.params.type_name == "queue"
    lab.check("")
    assert "no lines of your own" in str(lab.error)
