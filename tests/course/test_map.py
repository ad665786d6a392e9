"""The list of the chapters, the map that shows them, and what is installed to read them with."""

from __future__ import annotations

import re
from pathlib import Path

from distlib.course.chapters import CHAPTERS
from distlib.course.installed import installed
from distlib.course.map import CourseMap, _places


def test_the_map_links_to_the_chapters_that_are_there_and_to_no_other(tmp_path: Path) -> None:
    (tmp_path / "03_1_raft.ipynb").touch()
    course = CourseMap(tmp_path)
    page = course._repr_html_()
    assert re.findall(r'href="([^"]*)"', page) == ["03_1_raft.ipynb"]
    assert all(chapter.heading in page for chapter in CHAPTERS) and "→ 3.1  Raft" in repr(course)


def test_the_map_is_in_the_articles_order_without_overlaps_or_circles() -> None:
    names = [chapter.name for chapter in CHAPTERS]
    assert names == sorted(names)
    assert all(before in names[: names.index(one.name)] for one in CHAPTERS for before in one.after)
    places = list(_places().values())
    for number, (x, y) in enumerate(places):
        assert all(abs(x - a) >= 190 or abs(y - b) >= 66 for a, b in places[number + 1 :])


def test_what_is_installed_is_listed_with_its_purpose() -> None:
    table = installed()
    assert {"Python", "plotly", "ipywidgets", "data files"} <= set(table.component)
    assert table.set_index("component").state["plotly"].startswith("✓")
