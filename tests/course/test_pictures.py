"""Every chapter, and the map, begin with a picture that needs no kernel; README shows it, too."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_chapter_begins_with_its_picture(notebook: Path) -> None:
    head = "".join(json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]["source"])
    assert f"](pictures/{notebook.stem}.svg)" in head
    assert f'src="notebooks/pictures/{notebook.stem}.svg"' in (ROOT / "README.md").read_text(encoding="utf-8")
    picture = notebook.parent / "pictures" / f"{notebook.stem}.svg"
    assert picture.stat().st_size < 100_000
    assert ElementTree.parse(picture).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_there_is_no_picture_without_a_chapter() -> None:
    drawn = {path.stem for path in (ROOT / "notebooks" / "pictures").glob("*.svg")}
    assert drawn == {path.stem for path in NOTEBOOKS}
