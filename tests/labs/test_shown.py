"""Labs end: with the last who holds them, or when their cell is run again."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest
from IPython.core.interactiveshell import InteractiveShell
from ipywidgets.widgets.widget import _instances

from distlib.labs import shown
from distlib.labs.lab import Lab
from distlib.labs.question import Question, Quiz
from distlib.labs.shown import Shown
from distlib.raft.raft import Raft
from distlib.workbench.step.lab import StepLab
from tests.every_lab import every_lab
from tests.labs.toy import StudyLab, ToyLab

OPENED = {
    "toy": ToyLab, "step": lambda: StepLab(Raft), "quiz": lambda: Quiz(Question("?", ("a", "b"), 0, "because")),
}  # fmt: skip


def open_widgets() -> int:
    gc.collect()
    return len(_instances)


@pytest.mark.parametrize("name", OPENED)
def test_what_nobody_holds_closes_its_widgets(name: str) -> None:
    before = open_widgets()
    opened = OPENED[name]()
    assert open_widgets() > before + 5
    kept = weakref.ref(opened)
    del opened
    assert open_widgets() == before
    assert kept() is None


@pytest.mark.parametrize("name", OPENED)
def test_it_can_be_closed_and_shown_again(name: str) -> None:
    before = open_widgets()
    opened: Shown = OPENED[name]()
    widgets = "application/vnd.jupyter.widget-view+json"
    many, place = open_widgets(), opened._repr_mimebundle_()[widgets]
    opened.close()
    assert open_widgets() == before
    assert opened._repr_mimebundle_()[widgets] == place
    assert open_widgets() == many


def test_a_closed_lab_works_on_without_a_screen() -> None:
    lab = ToyLab()
    lab.close()
    lab.controls.seed.value = 8
    assert lab.result.params.seed == 8


def test_closing_stops_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(StudyLab, "gate", gate)
    monkeypatch.setattr(StudyLab, "pace_s", 60)
    lab = StudyLab(trials=1000)
    lab.close()
    gate.set()
    assert len(lab.result) < 1000


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A notebook's kernel without the notebook."""
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance()
    monkeypatch.setattr(shown, "_BY_CELL", {})
    yield made
    InteractiveShell.clear_instance()


def run(shell: InteractiveShell, cell: str, code: str) -> None:
    assert shell.run_cell(code, store_history=True, cell_id=cell).success


def test_a_cell_that_is_run_again_frees_the_lab_that_it_showed(shell: InteractiveShell) -> None:
    run(shell, "imports", "import weakref\nfrom tests.labs.toy import ToyLab")
    run(shell, "a", "lab = ToyLab()\nfirst = weakref.ref(lab)\nlab")
    size = open_widgets()
    for _ in range(3):
        run(shell, "a", "lab = ToyLab()\nlab")
    assert open_widgets() == size
    assert shell.user_ns["first"]() is None


def test_a_cell_that_shows_a_lab_unnamed_or_shows_nothing_any_more_frees_it(shell: InteractiveShell) -> None:
    run(shell, "imports", "from tests.labs.toy import ToyLab")
    before = open_widgets()
    run(shell, "a", "ToyLab(seed=3)")
    assert open_widgets() > before
    run(shell, "b", "1 + 1")
    assert open_widgets() > before, "it is on the screen, though no variable holds it"
    run(shell, "a", "1 + 1")
    assert open_widgets() == before


def test_a_lab_that_another_cell_shows_or_a_variable_holds_lives_on(shell: InteractiveShell) -> None:
    run(shell, "imports", "from tests.labs.toy import ToyLab")
    run(shell, "a", "lab = ToyLab()\nlab")
    run(shell, "b", "lab")
    size = open_widgets()
    run(shell, "a", "1 + 1")
    assert open_widgets() == size, "the cell b shows it"
    run(shell, "b", "1 + 1")
    assert open_widgets() < size
    run(shell, "c", "lab")
    assert open_widgets() == size, "it is shown again"


def runs_have_ended() -> None:
    """A run's thread holds its lab for a moment after it has published."""
    for thread in threading.enumerate():
        if thread.name == "lab":
            thread.join(5)


@pytest.mark.parametrize("lab_class", every_lab(), ids=lambda one: one.__name__)
def test_every_lab_of_the_library_is_freed(lab_class: type[Lab]) -> None:
    runs_have_ended()
    before = open_widgets()
    lab = lab_class()
    lab.stop()
    lab.wait(600)  # what is compiled meanwhile hears no Stop
    kept = weakref.ref(lab)
    del lab
    runs_have_ended()
    assert open_widgets() == before
    assert kept() is None
