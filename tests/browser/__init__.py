"""Tests in a real JupyterLab in a real Chromium, as a reader uses them.

A test takes the fixture ``lab``, a ``tests.browser.page.LabPage``: one tab of JupyterLab 4, served on 127.0.0.1
from a temporary copy of ``notebooks/`` (so nothing is left behind), with settings and kernels of its own::

    def test_moving_the_seed_moves_the_figure(lab: LabPage) -> None:
        lab.open("03_1_raft.ipynb")
        lab.run_all()                        # waits for the kernel; fails on an error or stderr in any output
        before = lab.figure_data()
        lab.set_slider("seed", 8)            # types into the slider's number, as a reader may
        lab.wait_for_change(before)          # fails if the figure stays as it was; returns the new data
        lab.press("Export")
        lab.wait_for_file("exports/*.html")  # relative to the notebook's directory

When the test ends, the fixture fails it if the page asked any address but 127.0.0.1 or a script of the page
raised an error, and shuts its kernels down. A failed test leaves a picture of the page in ``test-results/``.

Time from a slider's move to the repainted figure (measured in the page, logged, never asserted)::

    times = [lab.repaint_ms(lambda: lab.step_slider("seed")) for _ in range(9)]

The log lines are at level INFO on the logger ``tests.browser``; ``pytest --log-cli-level=INFO`` shows them.

By hand: ``python -m tests.browser.screenshot notebooks/03_1_raft.ipynb test-results/raft``.
"""
