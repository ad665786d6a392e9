"""The museum of mutants: each on show with what it does wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial

from distlib.check.cluster.counterexample import load
from distlib.check.simulation import try_seeds
from distlib.core.data import DATA, data_file
from distlib.core.mutant import Mutant
from distlib.core.parameter import Parameters, parameter
from distlib.core.trace import Trace
from distlib.workbench.subjects import EXHIBITED, subject_named, subject_of


def stored_counterexample(name: str) -> str:
    """The text of the file that keeps what the mutant called ``name`` does wrong; ``FileNotFoundError`` without it."""
    if (DATA / "counterexamples").is_dir() and not (DATA / "counterexamples" / f"{name}.json").is_file():
        raise FileNotFoundError(f"no counterexample of {name} is kept yet; run: python tools/museum_data.py {name}")
    return data_file(f"counterexamples/{name}.json").read_text(encoding="utf-8")


def mutants(protocol: str | None = None) -> tuple[Mutant, ...]:
    """All mutants, or those of one protocol. Raises ``ValueError`` for a protocol that has none."""
    shown = EXHIBITED if protocol is None else (subject_named(protocol, EXHIBITED),)
    return tuple(one for subject in shown for one in subject.mutants)


def mutant_named(name: str) -> Mutant:
    """The mutant called ``name``. Raises ``ValueError`` when there is none."""
    for one in mutants():
        if one.name == name:
            return one
    raise ValueError(f"the museum has no mutant {name!r}; it has {', '.join(one.name for one in mutants())}")


@dataclass(frozen=True)
class ExhibitParams(Parameters):
    """Which mutant."""

    mutant: str = parameter(
        "VotesTwice", "mutant", choices=tuple(one.name for one in mutants()), help="a protocol with one rule taken out"
    )


@dataclass(frozen=True)
class Exhibit:
    """A mutant with what it does wrong: ``trace`` to draw from ``start_ms`` on, ``failure`` in words, the path's
    ``steps`` in lines (none for a simulated run)."""

    mutant: Mutant
    trace: Trace
    failure: str
    start_ms: float = 0.0
    steps: tuple[str, ...] = ()


def exhibit(params: ExhibitParams = ExhibitParams()) -> Exhibit:
    """The mutant's counterexample, taken again in the real classes; an equivalent one in a run that stays right. Raises
    ``ValueError`` when what is stored no longer goes wrong."""
    chosen = mutant_named(params.mutant)
    subject = subject_of(chosen.node_class, EXHIBITED)
    if chosen.sort == "equivalent":
        assert subject.example is not None
        return Exhibit(chosen, subject.example(chosen.node_class), "")
    text = stored_counterexample(chosen.name)
    data = json.loads(text)
    if "seed" not in data:
        found = load(text)
        return Exhibit(chosen, found.trace, str(found.broken.witness), steps=tuple(found.story))
    simulation, seed = subject.search(data["search"]).simulation, data["seed"]
    make = partial(simulation.cluster, chosen.node_class)
    failure = try_seeds([seed], make, simulation.problem).failure  # shown or later
    if not failure:
        raise ValueError(f"the run of {chosen.name} with seed {seed} shows nothing wrong any more")
    said = f"{failure} (seed {seed})" if simulation.breaks else failure
    return Exhibit(chosen, simulation.trace(chosen.node_class, seed), said, simulation.shown_ms[0])
