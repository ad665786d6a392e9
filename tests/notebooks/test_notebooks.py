"""Every notebook and every solution runs from a fresh kernel, shows no error, and is committed clean.

nbclient itself stays green when an ``Output`` widget holds an error, so the widgets' state is searched too.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
FILES = sorted(
    path.relative_to(NOTEBOOKS)
    for path in NOTEBOOKS.rglob("*.ipynb")
    if not any(part.startswith(".") for part in path.parts)
)
every_notebook = pytest.mark.parametrize("name", FILES, ids=str)

WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
MAX_LINES = 15


def read(name: Path) -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOKS / name, as_version=nbformat.NO_CONVERT)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def troubles(notebook: nbformat.NotebookNode) -> Iterator[str]:
    """Yield the errors and the lines on stderr of an executed notebook, inside Output widgets too."""
    outputs: list[Any] = [output for cell in code_cells(notebook) for output in cell.outputs]
    for model in notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {}).values():
        outputs += model.get("state", {}).get("outputs", [])
    for output in outputs:
        if output.get("output_type") == "error":
            yield f"{output['ename']}: {output['evalue']}"
        elif output.get("name") == "stderr":
            yield output["text"]


def run(notebook: nbformat.NotebookNode, directory: Path) -> None:
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(directory)}}).execute()


@every_notebook
def test_runs_from_a_fresh_kernel(name: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    course = tmp_path / "notebooks"
    shutil.copytree(NOTEBOOKS, course, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "exports"))
    before = sorted(course.rglob("*"))
    notebook = read(name)
    run(notebook, (course / name).parent)
    assert list(troubles(notebook)) == []
    left = [path.name for path in sorted(course.rglob("*")) if path not in before and path.name != "__pycache__"]
    assert left == [], "a chapter leaves nothing behind but what the reader exports"


@every_notebook
def test_is_committed_clean(name: Path) -> None:
    notebook = read(name)
    nbformat.validate(notebook)
    assert "widgets" not in notebook.metadata
    assert notebook.metadata.kernelspec.name == "python3"
    assert all(cell.get("id") for cell in notebook.cells), "every cell has an id"
    for cell in code_cells(notebook):
        assert cell.outputs == []
        assert cell.execution_count is None


@every_notebook
def test_cells_are_short_and_plain(name: Path) -> None:
    for cell in code_cells(read(name)):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert len(lines) <= MAX_LINES, f"{len(lines)} lines, {MAX_LINES} at the most:\n{cell.source}"
        assert not re.search(r"^\s*[!%]+\s*(pip|conda|uv)\b", cell.source, re.M), cell.source
        assert not re.search(r"^\s*from\s+\S+\s+import\s+\*", cell.source, re.M), cell.source


def test_an_error_inside_an_output_widget_is_found(tmp_path: Path) -> None:
    """A button whose handler fails inside an Output leaves every cell green."""
    source = "import ipywidgets as w\nout = w.Output()\ndisplay(out)\nwith out:\n    1 / 0"
    notebook = new_notebook(cells=[new_code_cell(source)])
    run(notebook, tmp_path)
    assert list(troubles(notebook)) == ["ZeroDivisionError: division by zero"]


def test_a_warning_is_found(tmp_path: Path) -> None:
    notebook = new_notebook(cells=[new_code_cell("import sys\nprint('careful', file=sys.stderr)")])
    run(notebook, tmp_path)
    assert list(troubles(notebook)) == ["careful\n"]
