"""Draw the picture at the head of each chapter: `python tools/chapter_pictures.py [chapter …]`.

They lie in ``notebooks/pictures/``, for Jupyter serves nothing that lies above the notebooks. Each is a figure of the
chapter's own scenario, small, the same on every run, and on white, so that it reads on a dark page, too. Needs a local
Chromium.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import plotly.graph_objects as go

from distlib.balancing.hashing_charts import key_movement as key_movement_chart
from distlib.balancing.hashing_scenarios import MovementParams, key_movement
from distlib.balancing.labs import draw_load_curve
from distlib.balancing.scenarios import LoadCurveParams, load_curve
from distlib.check.history.linearizability import check
from distlib.check.history.sequential import Register
from distlib.figures.export import save_image
from distlib.figures.history import history_timeline
from distlib.figures.spacetime import spacetime
from distlib.formulas.labs import draw_formula
from distlib.formulas.scenarios import formula_data
from distlib.paxos.exercises import Round, play
from distlib.paxos.paxos import Paxos
from distlib.principles.histories import history_called
from distlib.raft.raft import Raft
from distlib.raft.scenarios import ElectionParams, PartitionParams, election, partition, rejoin
from distlib.transactions.charts import doubt_bars
from distlib.transactions.flexible.charts import flow_chart
from distlib.transactions.flexible.scenarios import FlowParams, flow
from distlib.transactions.scenarios import TransactionParams, transaction

FOLDER = Path(__file__).parents[1] / "notebooks" / "pictures"
WIDTH, HEIGHT, ROOM = 940, 380, 50


def two_ballots() -> go.Figure:
    """The second proposer hears of the first one's value, and takes it over."""
    first = Round("S1", "A", promised_by=("S1", "S2"), accepted_by=("S1", "S2"))
    return spacetime(play(Paxos, [first, Round("S3", "B", ("S2", "S3"), ("S2", "S3"))]).trace)


def load_curves() -> go.Figure:
    """The same requests, the same machines, other rules."""
    params = LoadCurveParams(policies=("random", "round robin", "two choices", "least request", "central queue"))
    return draw_load_curve((params, load_curve(params)), True)


def new_then_old() -> go.Figure:
    """A history that is not linearizable, with the place where every order gets stuck."""
    found = check(history_called("new, then old again"), Register())
    return history_timeline(**found.timeline()).update_layout(showlegend=False)


PICTURES: dict[str, tuple[str, Callable[[], go.Figure]]] = {
    "00_start_here": ("A leader is cut off, another one takes over, and the logs are repaired",
                      lambda: spacetime(partition(PartitionParams()), start_ms=550, end_ms=1500)),
    "03_1_paxos": ("S3 asks for B, hears of A, and so proposes A: one value is chosen", two_ballots),
    "03_1_raft": ("The leader crashes, the others elect another one, and it comes back as a follower",
                  lambda: spacetime(election(ElectionParams()), start_ms=500, end_ms=1300)),
    "03_1_raft_in_depth": ("A follower that was cut off comes back with a higher term, and a healthy leader falls",
                           lambda: spacetime(rejoin(Raft), start_ms=300, end_ms=1500)),
    "03_2_transactions": ("The coordinator is dead: who has voted yes is in doubt, and holds locks",
                          lambda: doubt_bars(transaction(TransactionParams(duration_ms=200)))),
    "03_2_transactions_flexible": ("A saga goes forward, is refused, and takes back what it did, in reverse",
                                   lambda: flow_chart(flow(FlowParams(refused=3)))),
    "03_3_load_balancing": ("Response time against load: what two choices buy, and what is left to gain", load_curves),
    "03_3_load_balancing_in_practice": ("Ten nodes become eleven: which keys must move, and which do so for nothing",
                                        lambda: key_movement_chart(
                                            key_movement(MovementParams(nodes=10, change="join")))),
    "03_5_principles": ("No order explains these answers: a read goes back behind another one",
                        new_then_old),
    "03_6_formulas": ("A formula as a curve, simulations as points", lambda: draw_formula(formula_data("M/M/1"))),
    "03_6_formulas_of_choice": ("What it buys to look at d queues, and to join the shortest of them",
                                lambda: draw_formula(formula_data("d choices"))),
}  # fmt: skip
"""What each picture shows, in a sentence, and the figure."""


def draw(chapter: str) -> Path:
    """Draw one chapter's picture; the names that plotly makes up for clip paths are made the same every time."""
    title, figure = PICTURES[chapter][0], PICTURES[chapter][1]()
    figure.layout.sliders = figure.layout.updatemenus = None  # nothing to press in a picture
    margin = figure.layout.margin
    edges = (margin.t or 0) + (margin.b or 0)
    for legend in figure.select_legends(lambda one: (one.y or 0) > 1):  # as many pixels above the axes as it was
        legend.y = 1 + (legend.y - 1) * (figure.layout.height - edges) / (HEIGHT - edges)
    margin.t = (margin.t or 0) + ROOM  # for the title, above the legends
    figure.update_layout(
        width=WIDTH, height=HEIGHT + ROOM, paper_bgcolor="white", plot_bgcolor="white",
        title={"text": title, "x": 0.02, "y": 0.97, "yanchor": "top", "font": {"size": 20}},
    )  # fmt: skip
    path = save_image(figure, FOLDER / f"{chapter}.svg")
    text = path.read_text(encoding="utf-8")
    made_up = dict.fromkeys(re.findall(r'id="[a-z]+([0-9a-f]{6})', text))
    for number, uid in enumerate(made_up):
        text = text.replace(uid, f"p{number:05d}")
    path.write_text(text + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    for name in sys.argv[1:] or PICTURES:
        print(draw(name))
