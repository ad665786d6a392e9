"""A counterexample as a file: nodes, settings, steps and the invariant they break, in JSON that people can read.

Steps are kept as the text that the explorer prints; reading takes each step again in the real classes and looks
whether the same invariant breaks. Nothing in a file is run: classes are looked up by their path, in ``distlib`` or
among those that the reader hands over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from typing import Any

from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.replay import actions_of, story, trace_of
from distlib.check.cluster.world import Action, Faults, Request, World
from distlib.core.invariant import Violation
from distlib.core.node import Node
from distlib.core.trace import Trace

VERSION = 1


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
        nodes = [
            {"class": _path(type(node)), "settings": {name: _to_json(getattr(node, name)) for name in _settings(node)}}
            for node in model.made.values()
        ]
        data = {
            "version": VERSION,
            "nodes": nodes,
            "invariants": [_path(type(invariant)) for invariant in model.invariants],
            "fifo": model.fifo,
            "requests": [[action.node, _to_json(action.message)] for action in self.actions
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
    roomy = model.allowing(actions)
    (world,) = roomy.initial_states()
    for action in actions:
        if world.broken is None:
            world = roomy.next_state(world, action)
    if world.broken is None:
        raise ValueError(f"these {len(actions)} steps break no invariant of {model!r}")
    return Counterexample(model, actions, world.broken)


def load(text: str, classes: Mapping[str, type[Node]] | Iterable[type] = ()) -> Counterexample:
    """The counterexample in a file's ``text``, taken again step by step.

    ``classes`` are the reader's own classes that the file may name: a collection, or a mapping from the path in the
    file to a class. Raises ValueError, naming the place, for a file of another form, for a class that is neither in
    distlib nor among ``classes``, for a step that is not possible, and when the path no longer breaks what it broke.
    """
    known = dict(classes) if isinstance(classes, Mapping) else {_path(one): one for one in classes}
    data = _parsed(text)
    try:
        nodes = [(_class(one["class"], known, Node), one["settings"]) for one in data["nodes"]]
        made = [(kind, {name: _from_json(item, known) for name, item in given.items()}) for kind, given in nodes]
        invariants = tuple(_class(path, known, object)() for path in data["invariants"])
        requests = [(node, _from_json(message, known)) for node, message in data["requests"]]
        steps, broken, fifo = list(data["steps"]), data["broken"]["invariant"], bool(data["fifo"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the counterexample's file has another form: {type(error).__name__}: {error}") from error
    everything = ClusterModel(
        lambda: [kind(**given) for kind, given in made], invariants=invariants, requests=requests, fifo=fifo,
        timeouts=len(steps), faults=Faults(len(steps), len(steps), len(steps)),
    )  # fmt: skip
    found = counterexample(everything, _retaken(everything, steps))
    if found.broken.invariant != broken:
        raise ValueError(f"the steps now break {found.broken.invariant!r}; the file says {broken!r}")
    return found


def _parsed(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ValueError(f"the counterexample's file is no JSON: {error}") from error
    if not isinstance(data, dict) or data.get("version") != VERSION:
        raise ValueError(f"the counterexample's file is not of version {VERSION}")
    return data


# ------------------------------------------------------------ steps as text


def _texts(model: ClusterModel, actions: tuple[Action, ...]) -> Iterator[str]:
    roomy = model.allowing(actions)
    (world,) = roomy.initial_states()
    for action in actions:
        text = str(action)
        alike = _alike(roomy, world, text)
        number = alike.index(action)
        yield f"{text} #{number + 1}" if number else text
        world = roomy.next_state(world, action)


def _retaken(model: ClusterModel, steps: list[str]) -> list[Action]:
    (world,) = model.initial_states()
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


# ------------------------------------------------------------ plain data


def _path(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _settings(node: Node) -> list[str]:
    return [item.name for item in fields(node) if item.init]


def _class(path: Any, known: Mapping[str, type], base: type) -> Any:
    if path in known:
        return known[path]
    module, _, name = str(path).partition(":")
    if module.split(".")[0] != "distlib" or not all(part.isidentifier() for part in (*module.split("."), name)):
        raise ValueError(
            f"the file names the class {path!r}, which is not in distlib: pass it to load as classes=(...)"
        )
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"the file names the class {path!r}, which there is not: {error}") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ValueError(f"the file names {path!r} where a {base.__name__} is due")
    return found


def _to_json(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if type(value) is tuple:
        return [_to_json(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {
            "class": _path(type(value)),
            **{item.name: _to_json(getattr(value, item.name)) for item in fields(value)},
        }
    raise TypeError(f"{value!r} cannot be saved in a counterexample: it takes numbers, strings, tuples and dataclasses")


def _from_json(data: Any, known: Mapping[str, type]) -> Any:
    if isinstance(data, list):
        return tuple(_from_json(item, known) for item in data)
    if isinstance(data, dict):
        kind: Any = _class(data.get("class"), known, object)
        if not is_dataclass(kind) or not getattr(kind, "__dataclass_params__").frozen:  # noqa: B009
            raise ValueError(f"the file names {data.get('class')!r} where a frozen dataclass is due")
        make: Any = kind
        return make(**{name: _from_json(item, known) for name, item in data.items() if name != "class"})
    return data
