"""The map of the course: its chapters as boxes that can be clicked, with lines from what each builds on."""

from __future__ import annotations

from html import escape
from pathlib import Path

from distlib.course.chapters import CHAPTERS, Chapter

WIDTH, HEIGHT, BOX_W, BOX_H = 940, 540, 190, 66

STYLE = """<style>
.course-map { position: relative; font-family: var(--jp-ui-font-family, system-ui, sans-serif); }
.course-map svg { position: absolute; left: 0; top: 0; }
.course-map .chapter { position: absolute; box-sizing: border-box; border-radius: 8px; padding: 8px 12px;
  line-height: 1.3; border: 1px solid #b3bcc5; background: #fff;
  color: #52606d; text-decoration: none; font-size: 12px; }
.course-map a.chapter { border: 2px solid #0072b2; background: #eef6fb; color: #1f2933; }
.course-map a.chapter:hover, .course-map a.chapter:focus { background: #d5e9f5; }
.course-map .chapter b { font-size: 14px; }
.course-map .chapter.absent { border-style: dashed; }
</style>"""


class CourseMap:
    """The chapters and what builds on what; a chapter whose notebook lies in ``folder`` is a link to it."""

    def __init__(self, folder: str | Path = ".") -> None:
        self.folder = Path(folder)

    def available(self) -> set[str]:
        """The chapters whose notebooks are there."""
        return {chapter.name for chapter in CHAPTERS if (self.folder / f"{chapter.name}.ipynb").exists()}

    def _repr_html_(self) -> str:
        places, here = _places(), self.available()
        lines = "".join(_line(places[one], places[chapter.name]) for chapter in CHAPTERS for one in chapter.after)
        boxes = "".join(self._box(chapter, places[chapter.name], chapter.name in here) for chapter in CHAPTERS)
        drawing = f'<svg width="{WIDTH}" height="{HEIGHT}" aria-hidden="true">{lines}</svg>'
        size = f"width:{WIDTH}px;height:{HEIGHT}px"
        return f'{STYLE}<div class="course-map" style="{size}">{drawing}{boxes}</div>'

    def _box(self, chapter: Chapter, place: tuple[float, float], here: bool) -> str:
        where = f'style="left:{place[0]:.0f}px;top:{place[1]:.0f}px;width:{BOX_W}px;height:{BOX_H}px"'
        text = f"<b>{chapter.number} {escape(chapter.title)}</b><br>{escape(chapter.heading)}"
        if here:
            return f'<a class="chapter" href="{chapter.name}.ipynb" {where}>{text}</a>'
        return f'<div class="chapter absent" {where} title="not in this edition">{text}</div>'

    def __repr__(self) -> str:
        here = self.available()
        return "\n".join(
            f"{'→' if chapter.name in here else ' '} {chapter.number:4} {chapter.title} · {chapter.heading}"
            for chapter in CHAPTERS
        )


def _places() -> dict[str, tuple[float, float]]:
    """Top left corner of each box, in pixels: columns from left to right, in the article's order from the top."""
    columns = max(chapter.column for chapter in CHAPTERS)
    places = {}
    for column in range(columns + 1):
        names = [chapter.name for chapter in CHAPTERS if chapter.column == column]
        gaps = len(names) - 1
        room = (HEIGHT - BOX_H) * min(1.0, gaps / 4)
        for number, name in enumerate(names):
            top = (HEIGHT - BOX_H - room) / 2 + room * number / max(1, gaps)
            places[name] = (column * (WIDTH - BOX_W) / columns, top)
    return places


def _line(one: tuple[float, float], other: tuple[float, float]) -> str:
    """From the box at ``one`` to that at ``other``; within a column it goes round the boxes in between."""
    (x1, y1), (x2, y2) = one, other
    middle1, middle2 = y1 + BOX_H / 2, y2 + BOX_H / 2
    if x1 != x2:
        right, bend = x1 + BOX_W, (x1 + BOX_W + x2) / 2
        path = f"M{right:.0f},{middle1:.0f} C{bend:.0f},{middle1:.0f} {bend:.0f},{middle2:.0f} {x2:.0f},{middle2:.0f}"
    elif y2 - y1 < 2 * BOX_H:
        path = f"M{x1 + BOX_W / 2:.0f},{y1 + BOX_H:.0f} L{x2 + BOX_W / 2:.0f},{y2:.0f}"
    else:
        right, out = x1 + BOX_W, x1 + BOX_W + 34
        path = f"M{right:.0f},{middle1:.0f} C{out:.0f},{middle1:.0f} {out:.0f},{middle2:.0f} {right:.0f},{middle2:.0f}"
    return f'<path d="{path}" fill="none" stroke="#b3bcc5" stroke-width="1.5"/>'
