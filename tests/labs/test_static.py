"""A notebook that was run and saved shows its labs without a kernel, and holds plotly.js once."""

from __future__ import annotations

import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook

CELLS = (
    "from tests.labs.toy import ToyLab\nToyLab()",
    "ToyLab(walkers=1, figure='ends')",
    "from distlib.labs.question import Question, Quiz\nQuiz(Question('Is this a question?', ('a', 'b'), 0, 'because'))",
)


def ran_and_saved(*cells: str) -> str:
    """The notebook as nbconvert makes a page of it, without saved widgets, as JupyterLab saves it by default."""
    notebook = new_notebook(cells=[*map(new_code_cell, cells)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    NotebookClient(notebook, store_widget_state=False).execute()
    page: str = HTMLExporter().from_notebook_node(notebook)[0]
    return page


@pytest.fixture(scope="module")
def page() -> str:
    return ran_and_saved(*CELLS)


def test_the_page_has_title_figure_table_and_verdicts_of_each_lab(page: str) -> None:
    assert page.count("plotly.newPlot(") == 2
    assert page.count("Random walks &lt;of a toy&gt;") == 2
    assert "Stays above -5" in page
    assert "Is this a question?" in page and "VBox(" not in page
    assert "ToyLab(walkers=1, figure='ends')" in page


def test_the_page_has_plotly_once(page: str) -> None:
    assert page.count('id="plotly-of-labs"') == 1
    assert 1_000_000 < len(page) < 5_000_000
