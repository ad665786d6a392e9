"""What a lab writes and reads: exports, share lines, scenario files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import pytest

import distlib.labs
from distlib.figures.export import NoBrowserError
from distlib.labs import export
from distlib.labs.export import Export, LabReport
from distlib.labs.lab import Lab
from tests.labs.toy import ToyLab


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def lab() -> ToyLab:
    return ToyLab()


def said(lab: Lab) -> str:
    return str(lab._frame.said.value)


class Opened(ToyLab):
    """A subclass that is declared by name only, for files."""


# --- files --------------------------------------------------------------------------------------------------


def test_export_writes_every_kind_and_never_over_another(lab: ToyLab, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(figure: go.Figure, path: Path) -> Path:
        path.write_text("image")
        return path

    monkeypatch.setattr(export, "save_image", draw)
    lab.controls.seed.value = 8
    names = [path.name for path in lab.export()]
    stem = "toy_walks_seed=8"
    assert names == [f"{stem}.html", f"{stem}_table-statistics.csv", f"{stem}.json", f"{stem}.svg", f"{stem}.png"]
    assert [path.name for path in lab.export("json", "csv")] == [f"{stem}_2_table-statistics.csv", f"{stem}_2.json"]
    assert f"exports/{stem}_2.json" in lab._frame.files.value
    table = pd.read_csv(f"exports/{stem}_table-statistics.csv")
    assert list(table.columns) == ["who", "end & place"]
    assert len(table) == 3


def report_of(tables: dict[str, pd.DataFrame], stem: str = "toy") -> LabReport:
    return LabReport("toy", stem, "ToyLab()", "{}", go.Figure(), data=tables)


def test_tables_whose_names_look_alike_are_files_of_their_own() -> None:
    names = ["a b", "a/b", "消息", "状态", "A b", "", "/", "表" * 90]
    files = Export(report_of({name: pd.DataFrame({"name": [name]}) for name in names}), ["csv"])
    files.write_texts()
    assert [pd.read_csv(path, keep_default_na=False)["name"][0] for path in files.written] == names
    stems = [path.stem.removeprefix("toy_table-") for path in files.written]
    assert stems[:7] == ["a-b", "a-b_2", "消息", "状态", "A-b_3", "unnamed", "unnamed_2"]
    assert len({stem.casefold() for stem in stems}) == len(names)


def test_exports_at_the_same_moment_never_write_over_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(figure: go.Figure, path: Path) -> Path:
        path.write_text("image")
        return path

    monkeypatch.setattr(export, "save_image", draw)
    several = [
        Export(report_of({}, stem), ["svg"]) for stem in ("toy", "toy", "Toy", "toy/", "实验室" * 60, "实验室" * 60)
    ]
    for one in several:  # an image comes later than the next export begins
        one.write_images()
    assert len({path.name.casefold() for one in several for path in one.written}) == len(several)
    later = Export(report_of({}), ["json"])
    later.write_texts()
    assert later.written[0].stem == "toy_5"


def test_the_page_stands_alone_and_holds_everything(lab: ToyLab) -> None:
    (path,) = lab.export("html")
    page = path.read_text(encoding="utf-8")
    assert "<script src=" not in page
    assert "Plotly.newPlot" in page
    assert "Random walks &lt;of a toy&gt;" in page
    assert "Stays above -5" in page
    assert '<code class="lab-file">ToyLab()</code>' in page


def test_without_a_browser_the_lab_offers_what_there_is(lab: ToyLab, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(figure: go.Figure, path: Path) -> Path:
        raise NoBrowserError("none")

    monkeypatch.setattr(export, "save_image", none)
    assert [path.suffix for path in lab.export()] == [".html", ".csv", ".json"]
    assert lab._frame.files.value.count("none was found on this machine") == 1
    assert "camera" in lab._frame.files.value
    assert json.loads(lab.picture.state.figure)["config"]["toImageButtonOptions"] == {"format": "svg"}


def test_a_browser_that_dies_is_named(lab: ToyLab, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(figure: go.Figure, path: Path) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(export, "save_image", die)
    assert lab.export("png") == []
    assert "PNG could not be drawn: OSError: disk full" in lab._frame.files.value


def test_the_export_button_writes_the_chosen_kinds(lab: ToyLab) -> None:
    lab._frame.kinds.value = ("csv", "json")
    lab._frame.buttons["Export"].click()
    assert sorted(path.suffix for path in Path("exports").iterdir()) == [".csv", ".json"]
    lab._frame.kinds.value = ()
    lab._frame.buttons["Export"].click()
    assert "choose at least one kind of file" in said(lab)


def test_share_shows_the_line_and_follows_the_view(lab: ToyLab) -> None:
    lab._frame.buttons["Share"].click()
    assert 'value="ToyLab()"' in lab._frame.shared.value
    lab.controls.network.value = "wide area"
    assert "network=&#x27;wide area&#x27;" in lab._frame.shared.value
    lab._frame.buttons["Share"].click()
    assert lab._frame.shared.value == ""


def test_a_scenario_file_rebuilds_the_lab() -> None:
    lab = Opened(walkers=2, pause_ms=(150, 155.5), steps=50, figure="ends", faults=("crash S1",))
    (path,) = lab.export("json")
    for again in (Lab.load(path), Opened.load(str(path))):
        assert type(again) is Opened
        assert (again.params, again.view, again.figure) == (lab.params, lab.view, "ends")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lab": "NoLab"}, "lab is 'NoLab'; Lab.load reads one of"),
        ({"params": None}, "params is None; it takes an object with the fields of ToyParams"),
        ({"params": {"walkers": "3"}}, "params.walkers is '3'; it takes a whole number"),
        ({"params": {"walkers": 30}}, "ToyParams.walkers is 30; it takes a whole number from 1 to 9"),
        ({"params": {"walkerz": 3}}, "params has an unknown field 'walkerz'"),
        ({"view": {"steps": 5}}, "ToyView.steps is 5; it takes a whole number from 10 to 400"),
        ({"figure": "lines"}, "bad.json: figure is 'lines'; choose one of 'walks', 'ends'"),
        ({"figure": []}, "bad.json: figure is []; choose one of 'walks', 'ends'"),
        ({"params": {"type": "StudyParams"}}, "params.type is 'StudyParams'; it takes 'ToyParams'"),
        ({"params": {"regions": [["a"]]}}, "params.regions[0] is ['a']; it takes a string"),
        ({"params": {"loss": [[[1]]]}}, "params.loss is [[[1]]]; it takes a number"),
        ({"lab": ["Opened"]}, "lab is ['Opened']; Lab.load reads one of"),
        ({"lab": "distlib.labs.trace_lab:TraceLab"}, "lab is 'distlib.labs.trace_lab:TraceLab'; Lab.load reads one of"),
        ({"version": 9}, "unknown field 'version'; Scenario has lab, params, view, figure"),
        ({"seed": 3}, "unknown field 'seed'"),
    ],
)
def test_a_malformed_scenario_file_gets_its_field_named(change: dict[str, object], message: str) -> None:
    good = {"lab": "Opened", "params": {}, "view": {}, "figure": "walks"}
    Path("bad.json").write_text(json.dumps(good | change))
    with pytest.raises(ValueError, match=r"bad.json") as caught:
        Lab.load("bad.json")
    assert message in str(caught.value)


def test_a_scenario_file_that_is_none() -> None:
    Path("bad.json").write_text("{")
    with pytest.raises(ValueError, match=r"bad.json is not JSON"):
        Lab.load("bad.json")
    for deep in ("[" * 100_000, '{"lab": "Opened", "params": ' + '{"a": ' * 100_000):
        Path("bad.json").write_text(deep)
        with pytest.raises(ValueError, match=r"bad.json is nested too deeply"):
            Lab.load("bad.json")
    Path("bad.json").write_text("[]")
    with pytest.raises(ValueError, match=r"bad.json is \[\]; it takes an object with the fields"):
        Lab.load("bad.json")
    Path("bad.json").write_text('{"lab": "Opened"}')
    with pytest.raises(ValueError, match=r"lacks the field 'params'"):
        Lab.load("bad.json")
    Path("bad.json").write_text('{"lab": "StudyLab", "params": {}}')
    with pytest.raises(ValueError, match=r"lab is 'StudyLab'; ToyLab.load reads one of"):
        ToyLab.load("bad.json")
    with pytest.raises(FileNotFoundError):
        Lab.load("none.json")


# --- the package --------------------------------------------------------------------------------------------


def test_importing_the_package_imports_no_widget() -> None:
    code = "import sys, distlib.labs; print({*sys.modules} & {'plotly', 'ipywidgets', 'pandas'})"
    root = Path(distlib.labs.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
