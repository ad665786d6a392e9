"""Questions: first answers count, reasons are given, files are sound."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from distlib.labs.question import LIBRARY, Question, Quiz, prediction, quiz, source
from distlib.raft.raft import Raft

TWO = (Question("One?", ("a", "b"), 1, "because"), Question("Two?", ("c", "d", "e"), 0, "therefore"))


def test_the_first_answer_counts_and_the_reason_comes_with_the_right_one() -> None:
    asked = Quiz(*TWO)
    assert asked.answer(0, 0) is False and asked.answer(0, 1) is True and asked.answer(1, 0) is True
    assert asked.answers == [0, 0] and asked.score == 1
    assert "because" in asked._said[0].value and "1 of 2 right" in asked._total.value


def test_a_click_is_an_answer() -> None:
    asked = Quiz(*TWO)
    asked._buttons[1][2].click()
    assert asked.answers == [None, 2] and "Try another one" in asked._said[1].value


@pytest.mark.parametrize(
    ("options", "right", "message"), [(("a",), 0, "of at least 2"), (("a", "b"), 2, "from 0 to 1")]
)
def test_an_unsound_question_is_refused(options: tuple[str, ...], right: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Question("?", options, right, "")


@pytest.mark.parametrize(
    "file", sorted(LIBRARY.glob("*/questions*.toml")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_every_chapters_questions_are_sound_and_every_prediction_is_asked(file: Path) -> None:
    asked = tomllib.loads(file.read_text(encoding="utf-8"))
    chapter = asked["chapter"]
    assert quiz(chapter).questions
    text = (Path(__file__).parents[2] / "notebooks" / f"{chapter}.ipynb").read_text(encoding="utf-8")
    for one in asked["prediction"]:
        assert [asked.text for asked in prediction(chapter, one["name"]).questions] == [one["text"]]
        assert f'prediction(\\"{chapter}\\", \\"{one["name"]}\\")' in text
    assert f'quiz(\\"{chapter}\\")' in text


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="chapter is '99_none'; choose one of '03_1_paxos'"):
        quiz("99_none")
    with pytest.raises(ValueError, match="prediction of 03_1_raft is 'x'; choose one of 'equal timeouts'"):
        prediction("03_1_raft", "x")
    with pytest.raises(ValueError, match="number of questions is 0; it takes a whole number of at least 1"):
        Quiz()


def test_source_shows_the_library_without_hints_for_tools() -> None:
    text = source(Raft.was_applied, Raft.may_commit).data
    assert "def was_applied" in text and "def may_commit" in text and "type: ignore" not in text
