"""The chapters on transactions in a real JupyterLab: they run, real databases included; their labs move."""

from __future__ import annotations

from tests.browser.page import LabPage


def test_the_chapter_on_two_phase_commit_runs_answers_and_moves(lab: LabPage) -> None:
    """All cells, a prediction, a preset in which a promise breaks, and the real databases' verdict."""
    lab.open("03_2_transactions.ipynb")
    lab.run_all(timeout_s=300)
    lab.page.get_by_text("No: they have to wait for the coordinator").first.click()
    lab.page.get_by_text("✓ Right.", exact=False).first.wait_for()
    lab.page.get_by_role("button", name="Three phases, a partition").click()
    lab.page.locator(".lab-false", has_text="atomicity").first.wait_for()
    lab.page.get_by_role("button", name="Nothing fails").click()
    lab.page.locator(".lab-false", has_text="atomicity").first.wait_for(state="detached")
    lab.page.get_by_text("the sum of money is what it was", exact=False).first.wait_for()
    lab.assert_no_errors()


def test_the_chapter_on_flexible_transactions_runs_and_takes_a_saga_back(lab: LabPage) -> None:
    """All cells, a prediction, and the preset that a step refuses."""
    lab.open("03_2_transactions_flexible.ipynb")
    lab.run_all(timeout_s=300)
    lab.page.get_by_text("At times less than there is").first.click()
    lab.page.get_by_text("✓ Right.", exact=False).first.wait_for()
    lab.page.get_by_role("button", name="The last step is refused").click()
    lab.page.get_by_text("not done, at", exact=False).first.wait_for()
    lab.assert_no_errors()
