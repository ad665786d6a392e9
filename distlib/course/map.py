"""The map of the course: its chapters as a graph that can be clicked, and what is installed to read them with."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import networkx as nx
import pandas as pd


@dataclass(frozen=True)
class Chapter:
    """A chapter: its file without ending, its title, the article's heading, what it builds on, its column."""

    name: str
    title: str
    heading: str
    after: tuple[str, ...] = ()
    column: int = 0

    @property
    def number(self) -> str:
        """``3.1`` for ``03_1_raft``."""
        parts = [part for part in self.name.split("_") if part.isdigit()]
        return ".".join(str(int(part)) for part in parts)


CHAPTERS = (
    Chapter("01_background", "Background", "背景介绍", (), 0),
    Chapter("02_core_concepts", "Core concepts", "核心概念与联系", ("01_background",), 0),
    Chapter("03_1_paxos", "Paxos", "Paxos 算法", ("02_core_concepts",), 1),
    Chapter("03_1_raft", "Raft", "Raft 算法", ("02_core_concepts",), 1),
    Chapter("03_2_transactions", "Transactions", "两阶段提交与柔性事务", ("02_core_concepts", "03_1_paxos"), 1),
    Chapter("03_3_load_balancing", "Load balancing", "负载均衡：随机分发和轮询", ("02_core_concepts",), 1),
    Chapter("03_4_fault_tolerance", "Fault tolerance", "重试、超时、熔断", ("02_core_concepts",), 1),
    Chapter("03_5_principles", "Why it is safe", "算法原理", ("03_1_paxos", "03_1_raft"), 2),
    Chapter("03_6_formulas", "Formulas", "数学模型公式", ("03_3_load_balancing", "03_4_fault_tolerance"), 2),
    Chapter("04_code_examples", "Code examples", "代码实例", ("03_2_transactions",), 2),
    Chapter(
        "05_serverless_and_future",
        "Serverless and the future",
        "无服务架构与未来",
        ("03_6_formulas", "03_5_principles"),
        3,
    ),
    Chapter("06_faq", "Questions", "常见问题", ("05_serverless_and_future",), 3),
)

WIDTH, HEIGHT, BOX_W, BOX_H = 940, 470, 190, 66

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
        self.graph = nx.DiGraph()
        for chapter in CHAPTERS:
            self.graph.add_node(chapter.name, column=chapter.column)
            self.graph.add_edges_from((before, chapter.name) for before in chapter.after)

    def available(self) -> list[str]:
        """The chapters whose notebooks are there."""
        return [chapter.name for chapter in CHAPTERS if (self.folder / f"{chapter.name}.ipynb").exists()]

    def _places(self) -> dict[str, tuple[float, float]]:
        """Top left corner of each box, in pixels: columns from left to right, in the article's order from the top."""
        raw = nx.multipartite_layout(self.graph, subset_key="column", align="vertical")
        columns = max(chapter.column for chapter in CHAPTERS)
        places = {}
        for column in range(columns + 1):
            members = [chapter.name for chapter in CHAPTERS if chapter.column == column]
            x = column * (WIDTH - BOX_W) / columns
            heights = sorted(float(raw[name][1]) for name in members)
            low, high = heights[0], heights[-1]
            for name, height in zip(members, heights, strict=True):
                share = 0.5 if low == high else (height - low) / (high - low)
                spread = HEIGHT - BOX_H
                room = spread * min(1.0, (len(members) - 1) / 4) if len(members) > 1 else 0.0
                places[name] = (x, (spread - room) / 2 + share * room)
        return places

    def _repr_html_(self) -> str:
        places, here = self._places(), set(self.available())
        lines = "".join(_line(places[one], places[other]) for one, other in self.graph.edges)
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
        here = set(self.available())
        return "\n".join(
            f"{'→' if chapter.name in here else ' '} {chapter.number:4} {chapter.title} · {chapter.heading}"
            for chapter in CHAPTERS
        )


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


PACKAGES = {
    "jupyterlab": "where you are reading this",
    "ipywidgets": "sliders and buttons",
    "plotly": "every figure",
    "anywidget": "figures that change in place",
    "pandas": "tables, CSV export",
    "networkx": "the map above, topologies",
    "numba": "queueing simulations at millions of jobs a second",
    "kaleido": "SVG and PNG export, through a local Chromium",
}


def installed() -> pd.DataFrame:
    """What is installed and works: component, state, what it is for. Nothing is looked up outside this machine."""
    from distlib.figures.export import find_browser
    from distlib.sim.regions import round_trip_ms

    rows = [("Python", f"✓ {platform.python_version()}", "runs everything")]
    for name, purpose in PACKAGES.items():
        try:
            rows.append((name, f"✓ {version(name)}", purpose))
        except PackageNotFoundError:
            rows.append((name, "✗ missing: run `make lab` again", purpose))
    browser = find_browser()
    found = (
        f"✓ {browser}" if browser else "✗ not found: labs export HTML, CSV and JSON, and SVG through your own browser"
    )
    rows.append(("Chromium or Chrome", found, "SVG and PNG export"))
    rows.append(("data files", f"✓ {len(round_trip_ms())} measured links between cloud regions", "wide-area scenarios"))
    return pd.DataFrame(rows, columns=["component", "state", "used for"])
