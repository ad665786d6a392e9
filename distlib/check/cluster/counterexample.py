"""A counterexample as a file: nodes, settings, steps and the invariant they break, in JSON that people can read.

Steps are kept as the text that the explorer prints; reading takes each step again in the real classes and looks
whether the same invariant breaks. Nothing in a file is run: classes are looked up by their path, in ``distlib`` or
among those that the reader hands over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from functools import partial
from typing import Any

from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.replay import NotRepeatedError, actions_of, replay, story, trace_of
from distlib.check.cluster.world import Action, Faults, Request, World
from distlib.core.codec import TYPE, from_data, library_class, parse, to_data
from distlib.core.invariant import Violation
from distlib.core.node import Node
from distlib.core.trace import Trace

VERSION = 2


@dataclass(frozen=True)
class Counterexample:
    """A path that breaks ``broken`` in a cluster; made by ``counterexample`` or ``load``, which both verify it."""

    model: ClusterModel
    actions: tuple[Action, ...]
    broken: Violation

    @property
    def trace(self) -> Trace:
        """The path as a trace in logical time, for figures."""
        return trace_of(self.model, self.actions)

    @property
    def story(self) -> list[str]:
        """The path in lines that people read."""
        return story(self.model, self.actions)

    def save(self) -> str:
        """The file's text. Raises TypeError for a setting or a request that is no plain data."""
        model = self.model
        data = {
            "version": VERSION,
            "nodes": [to_data(node, _path) for node in model.made.values()],
            "invariants": [_path(type(invariant)) for invariant in model.invariants],
            "fifo": model.fifo,
            "requests": [[action.node, to_data(action.message, _path)] for action in self.actions
                         if isinstance(action, Request)],
            "steps": list(_texts(model, self.actions)),
            "broken": {"invariant": self.broken.invariant, "witness": self.broken.witness},
        }  # fmt: skip
        return json.dumps(data, ensure_ascii=False, indent=1)

    def __str__(self) -> str:
        return "\n".join(self.story)


def counterexample(model: ClusterModel, path: Iterable[Any]) -> Counterexample:
    """``path`` (a search's, or a list of actions) as a counterexample of ``model``.

    Raises ValueError when a step is not possible or nothing breaks.
    """
    actions = tuple(actions_of(path))
    broken = replay(model, actions)[-1].broken
    if broken is None:
        raise NotRepeatedError(f"these {len(actions)} steps break no invariant of {model!r}")
    return Counterexample(model, actions, broken)


def load(text: str, classes: Mapping[str, type[Node]] | Iterable[type] = ()) -> Counterexample:
    """The counterexample in a file's ``text``, taken again step by step.

    ``classes`` are the reader's own classes that the file may name: a collection, or a mapping from the path in the
    file to a class. Raises ValueError, naming the place, for a file of another form, for a class that is neither in
    distlib nor among ``classes``, for a step that is not possible, and when the path no longer breaks what it broke.
    """
    known = dict(classes) if isinstance(classes, Mapping) else {_path(one): one for one in classes}
    find = partial(_class, known)
    data = parse(text, "the counterexample's file")
    if data.get("version") != VERSION:
        raise ValueError(f"the counterexample's file is not of version {VERSION}")

    def nodes() -> list[Node]:
        return [from_data(find(one[TYPE], Node), one, f"nodes[{at}]", find) for at, one in enumerate(data["nodes"])]

    try:
        nodes()
        invariants = tuple(find(path, object)() for path in data["invariants"])
        requests = [(node, from_data(Any, message, "requests", find)) for node, message in data["requests"]]
        steps, broken, fifo = list(data["steps"]), data["broken"]["invariant"], bool(data["fifo"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the counterexample's file has another form: {type(error).__name__}: {error}") from error
    everything = ClusterModel(
        nodes, invariants=invariants, requests=requests, fifo=fifo, timeouts=len(steps),
        faults=Faults(len(steps), len(steps), len(steps)),
    )  # fmt: skip
    found = counterexample(everything, _retaken(everything, steps))
    if found.broken.invariant != broken:
        raise ValueError(f"the steps now break {found.broken.invariant!r}; the file says {broken!r}")
    return found


# ------------------------------------------------------------ steps as text


def _texts(model: ClusterModel, actions: tuple[Action, ...]) -> Iterator[str]:
    roomy = model.allowing(actions)
    world = roomy.first
    for action in actions:
        text = str(action)
        alike = _alike(roomy, world, text)
        number = alike.index(action)
        yield f"{text} #{number + 1}" if number else text
        world = roomy.next_state(world, action)


def _retaken(model: ClusterModel, steps: list[str]) -> list[Action]:
    world = model.first
    actions: list[Action] = []
    for place, text in enumerate(steps, 1):
        plain, _, number = str(text).partition(" #")
        alike = _alike(model, world, plain)
        position = int(number or 1) - 1 if (number or "1").isdigit() else len(alike)
        if not 0 <= position < len(alike):
            raise ValueError(f"step {place}, '{text}', is not possible any more, in {world}")
        actions.append(alike[position])
        world = model.next_state(world, alike[position])
    return actions


def _alike(model: ClusterModel, world: World, text: str) -> list[Action]:
    """The steps out of ``world`` that read like this; a message's text may leave a field out."""
    return [action for action in dict.fromkeys(model.actions(world)) if str(action) == text]


# ------------------------------------------------------------ classes by name


def _path(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _class(known: Mapping[str, type], path: Any, base: type | None = None) -> Any:
    """The class that a file names: a subclass of ``base``, or else (None) a frozen dataclass."""
    found = known.get(path) or library_class(path, base or object, "the file", "pass it to load as classes=(...)")
    if base is None and not (is_dataclass(found) and getattr(found, "__dataclass_params__").frozen):  # noqa: B009
        raise ValueError(f"the file names {path!r} where a frozen dataclass is due")
    return found
