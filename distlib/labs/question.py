"""Questions in a chapter: predictions before a picture, a quiz at the end. They work without a screen, too."""

from __future__ import annotations

import inspect
import re
import textwrap
import tomllib
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as w
from IPython.display import Code

from distlib.core import require
from distlib.labs import markup
from distlib.labs.shown import Shown, weakly

LIBRARY = Path(__file__).parents[1]


@dataclass(frozen=True)
class Question:
    """``text`` with ``options``, of which number ``right`` (from 0) is right, and ``why``. Raises ``ValueError`` for
    fewer than two options or a ``right`` that is none of them."""

    text: str
    options: tuple[str, ...]
    right: int
    why: str

    def __post_init__(self) -> None:
        require.whole(f"the number of options of {self.text!r}", len(self.options), 2)
        require.whole(f"the right option of {self.text!r}", self.right, 0, len(self.options) - 1)


class Quiz(Shown):
    """Questions with one right answer each: choosing one says at once whether it is right, and why. ``answer(number,
    option)`` does what a click does; ``answers`` holds the first choice for each question, None where there is none
    yet; ``score`` counts the first choices that were right."""

    def __init__(self, *questions: Question, title: str = "Quiz") -> None:
        self.questions = questions
        self.answers: list[int | None] = [None] * require.whole("the number of questions", len(questions), 1)
        self._buttons = [self._make_buttons(number) for number in range(len(questions))]
        self._said = [w.HTML() for _ in questions]
        self._total = w.HTML()
        parts: list[w.Widget] = [w.HTML(f"{markup.STYLE}<div class='lab-title'>{escape(title)}</div>")]
        for number, question in enumerate(questions):
            lead = f"<b>{number + 1}.</b> " if len(questions) > 1 else ""
            parts += [w.HTML(f"<div style='margin-top:8px'>{lead}{escape(question.text)}</div>")]
            parts += [w.VBox(self._buttons[number]), self._said[number]]
        self._live_in(w.VBox([*parts, self._total]))
        self.box.add_class("lab")

    @property
    def score(self) -> int:
        """How many first answers were right."""
        return sum(given == one.right for given, one in zip(self.answers, self.questions, strict=True))

    def answer(self, number: int, option: int) -> bool:
        """Choose ``option`` for question ``number`` (both from 0); whether it is right."""
        question = self.questions[number]
        right = option == question.right
        if self.answers[number] is None:
            self.answers[number] = option
        if right:
            said = markup.message("note", f"✓ Right. {question.why}")
        else:
            said = markup.message("warning", "✗ Not quite. Try another one, or read on.")
        self._said[number].value = said
        for position, button in enumerate(self._buttons[number]):
            button.icon = "" if position != option else ("check" if right else "times")
        if len(self.questions) > 1 and None not in self.answers:
            self._total.value = markup.message("note", f"{self.score} of {len(self.questions)} right at the first try.")
        return right

    def _make_buttons(self, number: int) -> list[w.Button]:
        made, answer = [], weakly(self.answer)
        for position, text in enumerate(self.questions[number].options):
            layout = w.Layout(width="auto", max_width="900px", height="auto", min_height="28px", margin="2px 0")
            button = w.Button(description=text, layout=layout, tooltip=text)
            button.add_class("lab-option")
            button.on_click(lambda _button, chosen=position: answer(number, chosen))
            made.append(button)
        return made

    def _static(self) -> str:
        asked = (
            f"<p>{escape(one.text)}</p><ul>{''.join(f'<li>{escape(option)}</li>' for option in one.options)}</ul>"
            for one in self.questions
        )
        return f'{markup.STYLE}<div class="lab">{"".join(asked)}</div>'


def prediction(chapter: str, name: str) -> Quiz:
    """The one question called ``name`` that a chapter asks before the next cell shows what happens. Raises
    ``ValueError`` for a chapter or a name that is not there."""
    known = {one["name"]: one for one in _asked(chapter).get("prediction", [])}
    return Quiz(_question(known[require.choice(f"the prediction of {chapter}", name, known)]), title="Your prediction")


def quiz(chapter: str) -> Quiz:
    """The quiz of a chapter. Raises ``ValueError`` for a chapter without one."""
    return Quiz(*map(_question, _asked(chapter).get("quiz", [])))


def _question(asked: dict[str, Any]) -> Question:
    return Question(asked["text"], tuple(asked["options"]), asked["right"], asked["why"])


def _asked(chapter: str) -> dict[str, Any]:
    """The questions of a chapter: in a file of its topic's folder, so that no cell gives the answer away."""
    files = (tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(LIBRARY.glob("*/questions*.toml")))
    asked = {one["chapter"]: one for one in files}
    return asked[require.choice("the chapter", chapter, sorted(asked))]


def source(*objects: Any) -> Code:
    """The source of classes, methods or functions of the library, for reading; hints for the type checker left out."""
    text = "\n".join(textwrap.dedent(inspect.getsource(one)) for one in objects)
    return Code(re.sub(r"  # (type: ignore|noqa)\S*.*", "", text), language="python")
