"""The article is quoted in its own words: every call-out and every misreading against ``data/article_claims.csv``."""

from __future__ import annotations

import csv
import hashlib
import importlib
import inspect
import json
import pkgutil
import re
from pathlib import Path

import pytest

import distlib
from distlib.core.data import data_file

ROOT = Path(__file__).parents[2]
WITH_CALL_OUTS = (
    "03_1_paxos", "03_1_raft", "03_1_raft_in_depth", "03_2_transactions", "03_3_load_balancing",
    "03_3_load_balancing_in_practice", "03_5_principles", "03_6_formulas",
)  # fmt: skip
"""Chapters that take up every claim of theirs."""

QUOTE = re.compile(r"\(([^()`]+), `([a-z-]+)`\): 「([^」]+)」\s*\*([^*]+)\*")
VERDICTS = ("**Right.**", "**Right, with a condition.**", "**Wrong.**")

# Of the headings and sentences that stand in the file; they were compared with the article when this was written down.
# Whoever changes one compares it with the article again, and then writes down the new digest.
COMPARED_WITH_THE_ARTICLE = "4569ddee1dc5293d2055a4fdbb5c5334edacba1cb49b1576a272e022e85765da"


def claims() -> dict[str, dict[str, str]]:
    with data_file("article_claims.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    found = {row["id"]: row for row in rows}
    assert len(found) == len(rows), "an id occurs twice"
    return found


CLAIMS = claims()


def markdown(path: Path) -> list[str]:
    """The markdown cells of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]


def call_outs(text: str) -> list[str]:
    """The block quotes of a text that say something of the article, each as one line."""
    blocks = re.findall(r"(?:^>.*\n?)+", text, re.M)
    plain = [" ".join(line.lstrip("> ") for line in block.splitlines()) for block in blocks]
    return [block for block in plain if "The article says" in block]


def faults(call_out: str) -> list[str]:
    """What is wrong with a call-out."""
    found = []
    quotes = QUOTE.findall(call_out)
    if not quotes or len(quotes) != call_out.count("「"):
        found.append("write (heading, `id`): 「sentence」 *translation*")
    for heading, name, sentence, translation in quotes:
        if name not in CLAIMS:
            found.append(f"no claim is called {name}")
            continue
        right = CLAIMS[name]
        for what, given in (("heading", heading), ("sentence", sentence), ("translation", translation)):
            if given != right[what]:
                found.append(f"the {what} of {name} is {right[what]!r}, not {given!r}")
    if not any(verdict in call_out for verdict in VERDICTS):
        found.append(f"no verdict; one of {', '.join(VERDICTS)}")
    if "**Try it" not in call_out:
        found.append("nothing to try: write **Try it** …")
    return found


NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb")) + sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT / "notebooks")))
def test_what_a_notebook_quotes_stands_in_the_article(path: Path) -> None:
    everything = "\n".join(markdown(path))
    for quoted in re.findall("「([^」]*)」", everything):
        assert any(quoted in claim["sentence"] for claim in CLAIMS.values()), f"not the article's words: {quoted}"


@pytest.mark.parametrize("chapter", WITH_CALL_OUTS)
def test_a_chapter_takes_up_every_claim_of_the_article_about_its_subject(chapter: str) -> None:
    text = markdown(ROOT / "notebooks" / f"{chapter}.ipynb")
    found = [call_out for cell in text for call_out in call_outs(cell)]
    assert sum(cell.count("rticle says") for cell in text) == len(found), (
        "words in the article's mouth, outside a call-out"
    )
    assert [(call_out, wrong) for call_out in found if (wrong := faults(call_out))] == []
    taken_up = {name for call_out in found for _, name, _, _ in QUOTE.findall(call_out)}
    theirs = {name for name, claim in CLAIMS.items() if claim["chapter"] == chapter}
    assert theirs - taken_up == set(), "claims without a call-out"


def test_the_claims_are_those_that_were_compared_with_the_article() -> None:
    text = "\n".join(claim["heading"] + claim["sentence"] for claim in CLAIMS.values())
    assert hashlib.sha256(text.encode()).hexdigest() == COMPARED_WITH_THE_ARTICLE
    assert all(claim["translation"] and claim["chapter"] for claim in CLAIMS.values())


def test_a_call_out_that_puts_words_into_the_articles_mouth_is_found() -> None:
    log = CLAIMS["raft-log"]
    right = (
        f"> **The article says** ({log['heading']}, `raft-log`): 「{log['sentence']}」\n> *{log['translation']}*\n>\n"
        "> **Wrong.** It comes before the performing.\n>\n> **Try it** below.\n"
    )
    (call_out,) = call_outs(f"Before.\n\n{right}\nAfter.")
    assert faults(call_out) == []
    for old, new, told in [
        (log["sentence"], "日志是已执行操作的记录。", "the sentence of raft-log is"),
        (log["heading"], "3.1.2 Raft算法", "the heading of raft-log is"),
        ("communication", "operations", "the translation of raft-log is"),
        ("raft-log", "raft-book", "no claim is called raft-book"),
        ("**Wrong.**", "In Raft,", "no verdict"),
        ("**Try it**", "See", "nothing to try"),
        ("「", "“", "write (heading, `id`)"),
    ]:
        (wrong,) = call_outs(right.replace(old, new))
        assert told in " ".join(faults(wrong)), old


AS_WRITTEN = [
    item
    for module in pkgutil.walk_packages(distlib.__path__, "distlib.")
    if module.name.endswith(".as_written")
    for item in vars(importlib.import_module(module.name)).values()
    if inspect.isclass(item) and item.__module__ == module.name
]


@pytest.mark.parametrize("misreading", AS_WRITTEN, ids=lambda one: one.__name__)
def test_a_misreading_says_what_the_article_says_and_what_the_protocol_does(misreading: type) -> None:
    text = " ".join((misreading.__doc__ or "").split())
    said, sep, rest = text.partition("*The protocol does*")
    quotes = re.findall(r"\(``([a-z-]+)``\): \"([^\"]+)\"", said)
    assert "*The article says*" in said
    assert quotes
    assert sep
    assert "*What comes of it*" in rest
    assert "§" in rest
    for name, translation in quotes:
        assert translation == CLAIMS[name]["translation"]
