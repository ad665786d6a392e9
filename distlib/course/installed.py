"""What is installed to read the course with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import pandas as pd

from distlib.figures.export import find_browser
from distlib.sim.regions import round_trip_ms

PACKAGES = {
    "jupyterlab": "where you are reading this",
    "ipywidgets": "sliders and buttons",
    "plotly": "every figure",
    "anywidget": "figures in a lab",
    "pandas": "tables, CSV export",
    "networkx": "topologies",
    "numba": "queueing simulations at millions of jobs a second",
    "kaleido": "SVG and PNG export, through a local Chromium",
}


def installed() -> pd.DataFrame:
    """What is installed and works: component, state, what it is for. Nothing is looked up outside this machine."""
    rows = [("Python", f"✓ {platform.python_version()}", "runs everything")]
    for name, purpose in PACKAGES.items():
        try:
            rows.append((name, f"✓ {version(name)}", purpose))
        except PackageNotFoundError:
            rows.append((name, "✗ missing: run `make lab` again", purpose))
    browser = find_browser()
    missing = "✗ not found: labs export HTML, CSV and JSON, and SVG through your own browser"
    rows.append(("Chromium or Chrome", f"✓ {browser}" if browser else missing, "SVG and PNG export"))
    rows.append(("data files", f"✓ {len(round_trip_ms())} measured links between cloud regions", "wide-area scenarios"))
    return pd.DataFrame(rows, columns=["component", "state", "used for"])
