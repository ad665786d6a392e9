"""The chapters on Paxos and on principles in a real JupyterLab: they run, they answer, their labs move."""

from __future__ import annotations

from tests.browser.page import LabPage


def test_the_paxos_chapter_runs_answers_and_moves(lab: LabPage) -> None:
    """All cells, a prediction, and the duel's preset: a random pause ends the livelock."""
    lab.open("03_1_paxos.ipynb")
    lab.run_all(timeout_s=240)
    lab.page.get_by_text("The two learners decide on different values", exact=False).first.click()
    lab.page.get_by_text("✓ Right.", exact=False).first.wait_for()
    lab.page.get_by_text("Paxos: a duel of two proposers").first.scroll_into_view_if_needed()
    lab.page.get_by_text("nobody has learnt a value", exact=False).first.wait_for()
    lab.page.get_by_role("button", name="A random pause ends it").click()
    lab.page.locator(".lab-false", has_text="Progress within this run").wait_for(state="detached")
    lab.assert_no_errors()


def test_the_chapter_on_principles_runs_and_judges_histories(lab: LabPage) -> None:
    """All cells, a prediction, and another history in the History lab."""
    lab.open("03_5_principles.ipynb")
    lab.run_all(timeout_s=240)
    lab.page.get_by_text("Yes, from states that cannot be reached").first.click()
    lab.page.get_by_text("✓ Right.", exact=False).first.wait_for()
    lab.page.get_by_role("button", name="A correct leader").first.scroll_into_view_if_needed()
    lab.page.get_by_role("button", name="A correct leader").first.click()
    lab.page.get_by_text("the numbers are one possible order", exact=False).first.wait_for(timeout=30_000)
    lab.assert_no_errors()
