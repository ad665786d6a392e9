"""The base of all labs, without a screen."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import ipywidgets as w
import pandas as pd
import plotly.graph_objects as go
import pytest

from distlib.core.parameter import Parameters, parameter
from distlib.labs.controls import Chips, Fold
from distlib.labs.lab import Lab
from distlib.labs.markup import table, verdicts
from distlib.labs.picture import Picture
from distlib.labs.trace_lab import TraceLab
from tests.labs.toy import REGIONS, StudyLab, ToyLab, ToyParams, ToyView, Walks, lines


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def lab() -> ToyLab:
    return ToyLab()


def said(lab: Lab) -> str:
    return str(lab._frame.said.value)


def is_stale(lab: Lab) -> bool:
    return "lab-stale" in lab.picture.box._dom_classes


# --- moving -------------------------------------------------------------------------------------------------


def test_a_control_moves_the_run_and_the_picture(lab: ToyLab) -> None:
    before = list(lab.picture.figure.data[0].y)
    lab.controls.seed.value = 8
    assert lab.result.params.seed == lab.params.seed == 8
    assert list(lab.picture.figure.data[0].y) != before
    assert lab.error is None


def test_a_lab_opens_on_other_values_and_its_share_line_rebuilds_it() -> None:
    lab = ToyLab(walkers=2, pause_ms=(150, 155), regions=REGIONS[2:], steps=50, figure="ends")
    assert lab.share() == (
        "ToyLab(walkers=2, pause_ms=(150, 155), regions=('ap-northeast-1',), steps=50, figure='ends')"
    )
    again = eval(lab.share())
    assert (again.params, again.view, again.figure) == (lab.params, lab.view, lab.figure)
    assert repr(lab) == lab.share()


def test_values_with_many_digits_and_hidden_fields_survive_the_controls() -> None:
    lab = ToyLab(loss=1 / 3, rate_per_s=12.3456789, faults=("crash S1",))
    assert lab.params == ToyParams(loss=1 / 3, rate_per_s=12.3456789, faults=("crash S1",))
    lab.controls.seed.value = 3
    assert lab.params.loss == 1 / 3
    assert lab.params.faults == ("crash S1",)


def test_a_hand_on_a_slider_gives_round_values(lab: ToyLab) -> None:
    lab.controls.loss.value = 0.1 + 0.2
    lab.controls.rate_per_s.value = 10**2.1
    lab.controls.trials.value = 10**2.3
    lab.controls.pause_ms.value = (120.0, 240.0)
    assert "loss=0.3, rate_per_s=126, trials=200" in lab.share()
    assert "pause_ms=(120, 240)" in lab.share()


def test_every_kind_of_control_reaches_the_parameters(lab: ToyLab) -> None:
    lab.controls.network.value = "wide area"
    lab.controls.regions.value = REGIONS
    assert (lab.params.network, lab.params.regions) == ("wide area", REGIONS)
    lab.controls.regions._buttons[0].value = False
    assert lab.params.regions == REGIONS[1:]


def test_controls_carry_label_unit_range_and_help(lab: ToyLab) -> None:
    assert lab.controls.pause_ms.description == "pause between steps (ms)"
    assert (lab.controls.walkers.min, lab.controls.walkers.max) == (1, 9)
    assert lab.controls.walkers.tooltip == "how many walk at the same time"
    assert lab.controls.walkers.continuous_update is False
    assert list(lab.controls) == [*ToyParams.specs(), *ToyView.specs(), "figure"]
    with pytest.raises(AttributeError, match=r"no control 'walker'; this lab has walkers"):
        _ = lab.controls.walker


def test_another_seed_is_another_one(lab: ToyLab) -> None:
    for _ in range(5):
        before = lab.params.seed
        lab.controls.box("seed").children[1].click()
        assert lab.params.seed != before


def test_several_values_at_once_run_once(lab: ToyLab) -> None:
    ToyLab.runs = 0
    lab.set(walkers=2, seed=1, steps=20, figure="ends")
    assert ToyLab.runs == 1
    lab.set(steps=30, figure="walks")
    assert ToyLab.runs == 1
    assert len(lab.picture.figure.data[0].y) == 30


def test_presets_and_reset(lab: ToyLab) -> None:
    lab = ToyLab(seed=5)
    lab._frame.buttons["One walker"].click()
    assert lab.share() == "ToyLab(walkers=1, seed=1)"
    lab.set(steps=20, figure="ends")
    lab._frame.buttons["Reset"].click()
    assert lab.share() == "ToyLab(seed=5)"


def test_a_view_option_and_another_figure_repaint_without_a_run(lab: ToyLab) -> None:
    ToyLab.runs = 0
    lab.controls.steps.value = 40
    assert len(lab.picture.figure.data[0].y) == 40
    lab.controls.figure.value = "ends"
    assert lab.picture.figure.data[0].type == "bar"
    assert lab.controls.box("steps").layout.display == "none"
    assert ToyLab.runs == 0


def test_warnings_statistics_and_verdicts_are_shown_and_escaped(lab: ToyLab) -> None:
    lab.controls.loss.value = 0.75
    assert "more than half of the steps get lost" in lab._frame.warned.value
    assert "end &amp; place" in lab._frame.statistics.value
    assert "✓" in lab._frame.verdicts.value
    assert "✗" in lab._frame.verdicts.value
    assert "lowest &lt;-11.2&gt;" in lab._frame.verdicts.value
    assert "Random walks &lt;of a toy&gt;" in lab._frame.box.children[0].value


def test_it_displays_itself(lab: ToyLab) -> None:
    assert "application/vnd.jupyter.widget-view+json" in lab._repr_mimebundle_()


# --- what goes wrong ----------------------------------------------------------------------------------------


def test_values_that_do_not_go_together_leave_the_picture_marked_stale(lab: ToyLab) -> None:
    before = lab.result
    lab.controls.walkers.value = 8
    assert isinstance(lab.error, ValueError)
    assert "ToyParams.walkers is 8; eight is one too many" in said(lab)
    assert "The picture below is of the run before" in said(lab)
    assert is_stale(lab)
    assert lab.result is before
    assert lab.params.walkers == 3
    lab.controls.walkers.value = 2
    assert lab.error is None
    assert said(lab) == ""
    assert not is_stale(lab)


def test_a_look_at_the_earlier_run_does_not_hide_what_is_wrong(lab: ToyLab) -> None:
    lab.controls.walkers.value = 8
    lab.controls.steps.value = 20
    assert len(lab.picture.figure.data[0].y) == 20
    assert "ToyParams.walkers is 8" in said(lab)
    assert is_stale(lab)
    assert isinstance(lab.error, ValueError)


def test_a_failing_run_is_kept_and_shown_with_its_traceback(lab: ToyLab) -> None:
    lab.controls.crash.value = True
    assert isinstance(lab.error, RuntimeError)
    assert "RuntimeError: walker &lt;3&gt; fell at 12 ms" in said(lab)
    assert "<details>" in said(lab)
    assert "in run" in said(lab)
    assert 'role="alert"' in said(lab)


def test_a_lab_that_fails_at_once_has_no_result_and_still_works() -> None:
    lab = ToyLab(crash=True)
    assert isinstance(lab.error, RuntimeError)
    assert lab.result is None
    assert "run before" not in said(lab)
    lab._frame.buttons["Export"].click()
    assert "there is no picture to export yet" in said(lab)
    lab.controls.crash.value = False
    assert lab.error is None
    assert len(lab.picture.figure.data) == 3


@pytest.mark.parametrize("part", ["figures", "table", "verdicts"])
def test_a_failing_figure_table_or_verdict_is_shown(part: str) -> None:
    def fail(*_any: object) -> None:
        raise KeyError("term")

    broken = type("BrokenLab", (ToyLab,), {part: {"a": lambda r, steps: fail()} if part == "figures" else fail})
    lab = broken()
    assert isinstance(lab.error, KeyError)
    assert "KeyError" in said(lab)


def test_no_region_and_an_unknown_one_are_refused_in_the_lab(lab: ToyLab) -> None:
    lab.controls.regions.value = ()
    assert "ToyParams.regions has 0 values; it takes at least 1" in said(lab)
    lab.controls.regions.value = ("mars-1",)
    assert "ToyParams.regions holds 'mars-1'; choose from 'eu-west-1', 'us-east-1'" in str(lab.error)


def test_wrong_arguments_are_refused_in_python() -> None:
    with pytest.raises(TypeError, match=r"ToyLab has no 'walker'; did you mean walkers"):
        ToyLab(walker=3)
    with pytest.raises(TypeError, match=r"ToyLab has no 'x'; it has walkers, pause_ms"):
        ToyLab(x=3)
    with pytest.raises(ValueError, match=r"ToyParams.walkers is 100; it takes a whole number from 1 to 9"):
        ToyLab(walkers=100)
    with pytest.raises(ValueError, match=r"pause_ms is reversed"):
        ToyLab(pause_ms=(300, 150))
    with pytest.raises(ValueError, match=r"figure is 'lines'; choose one of 'walks', 'ends'"):
        ToyLab(figure="lines")
    lab = ToyLab()
    for name in ("walkers", "figure"):
        with pytest.raises(AttributeError, match=rf"{name} is a control.* write controls\.{name}\.value = 5"):
            setattr(lab.controls, name, 5)
    with pytest.raises(ValueError, match=r"walkers"):
        lab.set(walkers=0)
    assert lab.controls.walkers.value == 3
    with pytest.raises(ValueError, match=r"cannot export 'gif'; choose from html, svg, png, csv, json"):
        lab.export("gif")


def test_slips_of_an_author_are_named() -> None:
    def declare(**attributes: object) -> None:
        type("SlipLab", (ToyLab,), attributes)

    with pytest.raises(TypeError, match=r"NewLab has no `title`"):
        type("NewLab", (Lab,), {})
    with pytest.raises(TypeError, match=r"SlipLab.params is 3; it takes a subclass of"):
        declare(params=3)
    with pytest.raises(ValueError, match=r"SlipLab.figures is empty"):
        declare(figures={})
    with pytest.raises(ValueError, match=r"figure 'a' takes 'steqs', which is no field of ToyView"):
        declare(figures={"a": lambda result, steqs: None})
    with pytest.raises(ValueError, match=r"no figure takes the option 'steps' of ToyView"):
        declare(figures={"a": lambda result: None})
    with pytest.raises(ValueError, match=r"preset 'x' sets 'y', which is no parameter"):
        declare(presets={"x": {"y": 1}})
    with pytest.raises(ValueError, match=r"preset 'x': ToyParams.walkers is 0; it takes a whole number from 1"):
        declare(presets={"x": {"walkers": 0}})
    with pytest.raises(ValueError, match=r"preset 'x': figure is 'lines'; choose one of"):
        declare(presets={"x": {"figure": "lines"}})
    with pytest.raises(TypeError, match=r"SlipLab.title is 3; it takes a string"):
        declare(title=3)
    with pytest.raises(TypeError, match=r"EmptyLab has no scenario\(params\), nor run\(self, params, progress\)"):
        type("EmptyLab", (Lab,), {"title": "", "params": ToyParams, "figures": ToyLab.figures, "view": ToyLab.view})()
    run = {"title": "", "params": ToyParams}
    with pytest.raises(TypeError, match=r"RunLab has no `title`"):
        type("RunLab", (TraceLab,), {})
    with pytest.raises(TypeError, match=r"RunLab has no `invariants`"):
        type("RunLab", (TraceLab,), run)
    with pytest.raises(ValueError, match=r"name 'walkers' is taken"):
        declare(view=ToyParams)


def test_a_parameter_of_a_figure_with_a_default_is_an_option_only_where_the_view_has_it() -> None:
    def draw(walks: Walks, steps: int = 20, colours: tuple[str, ...] = ()) -> go.Figure:
        return lines(walks, steps)

    lab = type("BoundLab", (ToyLab,), {"figures": {"a": partial(draw, colours=("red",))}})()
    assert len(lab.picture.figure.data[0].y) == 100
    lab.controls.steps.value = 30
    assert len(lab.picture.figure.data[0].y) == 30


def test_a_parameter_that_no_slider_can_show_is_named() -> None:
    @dataclass(frozen=True)
    class Bad(Parameters):
        rate: float = parameter(1.0, "rate", low=0, high=10, scale="log")

    with pytest.raises(ValueError, match=r"rate has a logarithmic scale, so its low end 0 must be above 0"):
        type("BadLab", (StudyLab,), {"params": Bad})()

    @dataclass(frozen=True)
    class Endless(Parameters):
        rate: float = parameter(1.0, "rate", low=0)

    with pytest.raises(ValueError, match=r"rate has no control: that takes choices, or numbers with both ends"):
        type("EndlessLab", (StudyLab,), {"params": Endless})()


# --- long runs ----------------------------------------------------------------------------------------------


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Trials of big studies wait until this is set."""
    gate = threading.Event()
    monkeypatch.setattr(StudyLab, "gate", gate)
    monkeypatch.setattr(StudyLab, "pace_s", 60)
    yield gate
    gate.set()


def stop(lab: Lab, gate: threading.Event) -> None:
    lab._frame.progress.stop_button.click()
    gate.set()
    assert lab.wait(30)


def test_a_short_run_is_over_when_the_control_has_moved() -> None:
    lab = StudyLab(trials=5)
    assert lab.result == [0, 1, 2, 3, 4]
    assert lab._frame.progress.layout.display == "none"


def test_a_long_run_goes_on_in_the_background(slow: threading.Event) -> None:
    lab = StudyLab(trials=100)
    assert not lab.wait(0)
    assert lab._frame.progress.layout.display == "flex"
    assert lab._frame.progress.note.value == "trial 0"
    slow.set()
    assert len(lab.result) == 100
    assert lab._frame.progress.layout.display == "none"
    assert len(lab.picture.figure.data[0].y) == 100


def test_stop_keeps_what_the_run_hands_back(slow: threading.Event) -> None:
    lab = StudyLab(trials=100)
    stop(lab, slow)
    assert lab.result == [0]
    assert "Stopped early" in said(lab)
    assert lab.error is None


def test_stop_without_a_result_says_so(slow: threading.Event) -> None:
    lab = StudyLab(trials=5, keeps=False)
    lab.set(trials=100)
    stop(lab, slow)
    assert "Stopped before there was a result. The picture below is of the run before." in said(lab)
    assert is_stale(lab)
    assert lab.params.trials == 5


def test_a_new_value_takes_the_place_of_a_run_under_way(slow: threading.Event) -> None:
    lab = StudyLab(trials=100)
    lab.controls.trials.value = 200
    lab.controls.trials.value = 3
    slow.set()
    assert lab.result == [0, 1, 2]
    assert lab.params.trials == 3
    assert list(lab.picture.figure.data[0].y) == [0, 1, 2]


def test_a_study_begins_with_a_press_on_run() -> None:
    class PressedLab(StudyLab):
        long = True

    lab = PressedLab(trials=5)
    assert len(lab.result) == 5
    lab.controls.trials.value = 6
    assert "Press Run" in said(lab)
    assert len(lab.result) == 5
    lab._frame.buttons["Run"].click()
    assert len(lab.result) == 6
    assert not is_stale(lab)
    lab.set(trials=7)
    assert len(lab.result) == 7


def test_a_preset_of_a_study_waits_for_run_too() -> None:
    class PressedLab(StudyLab):
        long = True
        presets: ClassVar[dict[str, dict[str, int]]] = {"Many": {"trials": 8}, "Few": {"trials": 5}}

    lab = PressedLab(trials=5)
    lab._frame.buttons["Many"].click()
    assert lab.controls.trials.value == 8 and len(lab.result) == 5
    assert "Press Run" in said(lab) and is_stale(lab)
    lab._frame.buttons["Few"].click()
    assert said(lab) == "" and not is_stale(lab) and len(lab.result) == 5
    lab._frame.buttons["Many"].click()
    lab._frame.buttons["Run"].click()
    assert len(lab.result) == 8 and said(lab) == ""


# --- pictures -----------------------------------------------------------------------------------------------


def drawn(lab: Lab) -> dict[str, Any]:
    figure: dict[str, Any] = json.loads(lab.picture.state.figure)
    return figure


def test_the_browser_gets_the_figure_as_it_is(lab: ToyLab) -> None:
    assert drawn(lab)["data"] == json.loads(lab.picture.figure.to_json())["data"]
    assert drawn(lab)["layout"]["height"] == 330
    lab.controls.figure.value = "ends"
    assert [trace["type"] for trace in drawn(lab)["data"]] == ["bar"]


def test_zoom_and_hidden_traces_stay_while_figure_and_traces_are_the_same(lab: ToyLab) -> None:
    def stays(change: Callable[[], None]) -> bool:
        before = drawn(lab)["layout"]["uirevision"]
        change()
        return bool(drawn(lab)["layout"]["uirevision"] == before)

    assert stays(lambda: lab.set(seed=8))
    assert not stays(lambda: lab.set(walkers=4))
    assert not stays(lambda: lab.set(figure="ends"))


def test_a_picture_sends_plotly_to_a_page_that_asks_and_tells_of_clicks() -> None:
    heard = []
    picture = Picture(lambda *told: heard.append(told))
    sent: list[bytes] = []
    picture.state.send = lambda content, buffers: sent.extend(buffers)
    picture._told(picture.state, {"event": "click", "points": [{"curve": 1}]}, [])
    assert heard == [("click", [{"curve": 1}])] and not sent
    picture._told(picture.state, {"ask": "plotly"}, [])
    assert b"Plotly" in sent[0] and len(heard) == 1


def test_no_picture_carries_plotly_in_its_state(lab: ToyLab) -> None:
    size = sum(len(json.dumps(one.get_state(), default=str)) for one in (*lab.picture.box.children, lab.picture.state))
    assert size < 60_000


def test_frames_are_played_by_plotly_itself(lab: ToyLab) -> None:
    from distlib.figures.player import add_player

    figure = go.Figure([go.Scatter(y=[1]), go.Scatter(y=[9])], layout={"height": 300, "margin": {"b": 50, "t": 10}})
    frames = [{"data": [go.Scatter(y=[number])], "traces": [1]} for number in range(3)]
    lab.picture.show(add_player(figure, frames, [0, 5, 10]))
    assert [frame["data"][0]["y"] for frame in drawn(lab)["frames"]] == [[0], [1], [2]]
    assert [step["label"] for step in drawn(lab)["layout"]["sliders"][0]["steps"]] == ["0", "5", "10"]
    lab.picture.show(lines(lab.result, 10))
    assert drawn(lab)["frames"] == []


# --- the frame ----------------------------------------------------------------------------------------------


def test_what_matters_comes_first_and_the_rest_is_folded(lab: ToyLab) -> None:
    parts = list(lab._frame.box.children)
    fold = next(one for one in parts if isinstance(one, Fold))
    presets = next(one for one in parts if isinstance(one, w.HBox) and lab._frame.buttons["One walker"] in one.children)
    picture, near = parts.index(lab.picture.box), next(one for one in parts if isinstance(one, w.GridBox))
    assert parts.index(presets) < picture < parts.index(near) < parts.index(fold)
    shown, folded = list(near.children), list(fold.inside.children[0].children)
    assert lab.controls.box("walkers") in shown and lab.controls.box("steps") in shown
    assert lab.controls.box("seed") in folded and lab.controls.box("seed") not in shown
    assert fold.inside.layout.display == "none" and "seed" in fold.line.description
    fold.line.value = True
    assert fold.inside.layout.display is None


def test_a_lab_says_what_to_look_at_and_which_controls_stay_near() -> None:
    asked = type("AskedLab", (ToyLab,), {"question": "Who <walks> far?", "near": ("seed",)})()
    assert "Who &lt;walks&gt; far?" in asked._frame.box.children[0].value
    near = next(one for one in asked._frame.box.children if isinstance(one, w.GridBox))
    assert list(near.children) == [asked.controls.box("seed"), asked.controls.box("steps")]
    with pytest.raises(ValueError, match=r"SlipLab.near is 'sed'; choose one of"):
        type("SlipLab", (ToyLab,), {"near": ("sed",)})


def test_verdicts_that_all_hold_are_one_line_and_a_broken_one_comes_with_its_witness() -> None:
    kept = [(name, True, "because") for name in "abc"]
    assert "<summary>" in verdicts(kept) and "all three promises hold" in verdicts(kept)
    some = verdicts([*kept, ("One vote", False, "S1 <twice>"), ("Ends", None, "not yet")])
    assert some.index("broken: <b>One vote</b>") < some.index("not decided: <b>Ends</b>") < some.index("other three")
    assert "S1 &lt;twice&gt;" in some.split("<details>")[0]
    assert "holds: <b>a</b>" in verdicts(kept[:1]) and "<details>" not in verdicts(kept[:1])
    assert "both promises hold" in verdicts(kept[:2])
    assert verdicts([]) == ""


def test_a_table_names_its_columns_in_words_with_their_units() -> None:
    shown = table(pd.DataFrame({"leader_change_ms": [1.0], "commits_per_s": [2.0], "ring": [3]}))
    assert all(f">{name}</th>" in shown for name in ("leader change (ms)", "commits (per s)", "ring"))


def test_many_choices_fold_to_a_summary() -> None:
    few, many = Chips(tuple("abc"), ("a",), "of"), Chips(tuple("abcdefghij"), ("b", "c"), "of")
    assert few._buttons[0] in few.children
    line, inside = many.children[1].children
    assert line.description == "2 of 10: b, c" and inside.layout.display == "none"
    many._buttons[0].value = True
    assert many.value == ("a", "b", "c") and line.description == "3 of 10: a, b, c"


# --- a hand that does not wait ------------------------------------------------------------------------------


def test_what_is_typed_beyond_an_end_is_the_end(lab: ToyLab) -> None:
    lab.controls.seed.value = 2**40
    assert lab.wait(30) and (lab.params.seed, lab.error) == (2**31, None)
    lab.controls.seed.value = -5
    assert lab.wait(30) and (lab.params.seed, lab.error) == (0, None)
    lab.controls.trials.value = 1e9
    lab.controls.pause_ms.value = (-3, 5000)
    assert lab.wait(30) and (lab.params.trials, lab.params.pause_ms) == (10_000, (1, 1000))


def test_reset_during_a_run_forgets_it(slow: threading.Event) -> None:
    """The run on other values went on, and its result came under controls that stood on the first ones."""
    lab = StudyLab(trials=5)
    assert lab.wait(30)
    lab.controls.trials.value = 100
    lab._frame.buttons["Reset"].click()
    assert lab._frame.progress.layout.display == "none"
    slow.set()
    assert lab.wait(30)
    assert (lab.params.trials, len(lab.result), lab.controls.trials.value) == (5, 5, 5)
    assert said(lab) == "" and not is_stale(lab)
    lab.controls.trials.value = 60
    assert len(lab.result) == 60


def test_a_change_after_stop_is_run(slow: threading.Event) -> None:
    lab = StudyLab(trials=100)
    lab._frame.progress.stop_button.click()
    lab.controls.trials.value = 6
    slow.set()
    assert len(lab.result) == 6 and said(lab) == ""


def test_export_during_a_run_writes_what_is_shown_and_does_not_wait(slow: threading.Event) -> None:
    """The button waited for the end of the run, and Stop was not heard meanwhile."""
    lab = StudyLab(trials=5)
    assert lab.wait(30)
    lab.controls.trials.value = 100
    lab._frame.kinds.value = ("json",)
    lab._frame.buttons["Export"].click()
    assert not lab.wait(0)
    (path,) = Path("exports").iterdir()
    assert path.name == "study_trials.json" and Lab.load(path).params.trials == 5
