"""The Step lab on paper: a line of Python, JSON that can be loaded again, HTML of the diagram."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from distlib.check.cluster.world import Deliver, Drop, Duplicate
from distlib.core.fault import Crash, Restart
from distlib.core.node import Node
from distlib.workbench.step.cluster import HealLinks, Impossible, PartitionLinks, Step, StepCluster, links_of, text_of
from distlib.workbench.step.tree import State, Tree, tree_nodes_of

HOME = "distlib."


def step_called(cluster: StepCluster, state: State, text: str) -> Step:
    """The step out of ``state`` that is called ``text``. Raises ``Impossible`` when there is none."""
    if text.startswith(("partition ", "heal ")):
        word, _, links = text.partition(" ")
        return PartitionLinks(links_of(links)) if word == "partition" else HealLinks(links_of(links))
    steps: list[Step] = [Crash(0.0, node) for node in cluster.ids]
    steps += [Restart(0.0, node) for node in cluster.ids]
    for copy in state.flying:
        steps += [kind(copy.sender, copy.receiver, copy.message) for kind in (Deliver, Drop, Duplicate)]
    steps += [*cluster.timers(state.moment), *cluster.requests(state.moment)]
    for step in steps:
        if text_of(step) == text:
            return step
    raise Impossible(f"{text!r} is not possible after step {state.depth}, '{state.text}'")


def walk(tree: Tree, steps: Sequence[str]) -> State:
    """The state that ``steps``, in words, lead to from the start. Raises ``ValueError`` naming what cannot be."""
    state = tree.root
    for number, text in enumerate(steps, 1):
        try:
            state, _ = tree.grow(state, step_called(tree.cluster, state, text))
        except ValueError as error:
            raise ValueError(f"steps[{number - 1}]: {error}") from error
    return state


def text(tree: Tree, here: State, protocol: type[Node] | None, servers: int, shown: int) -> str:
    """The whole tree as JSON: each state by its parent's number and the step in words, and where the reader stands."""
    order = {node.number: place for place, node in enumerate(tree_nodes_of(tree))}
    states = [[order[state.parent.number], state.text] for state in tree if state.parent is not None]
    data = {
        "lab": "StepLab",
        "protocol": None if protocol is None else f"{protocol.__module__}.{protocol.__qualname__}",
        "servers": servers, "shown": shown, "here": order[here.number],
        "broken": None if here.broken is None else f"{here.broken.invariant}: {here.broken.witness}",
        "states": states,
    }  # fmt: skip
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def read(path: Path) -> dict[str, Any]:
    """The fields of a file of ``text``. Raises ``ValueError`` naming the field that is wrong."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(data, dict) or data.get("lab") != "StepLab":
        raise ValueError(f"{path.name}: lab must be 'StepLab'; this is no file that a Step lab exported")
    for name, kind, words in (
        ("servers", int, "a whole number"), ("here", int, "a whole number"), ("states", list, "a list"),
    ):  # fmt: skip
        if not isinstance(data.get(name), kind):
            raise ValueError(f"{path.name}: {name} is {data.get(name)!r}; it takes {words}")
    for number, pair in enumerate(data["states"]):
        right = isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], int) and isinstance(pair[1], str)
        if not right or not 0 <= pair[0] <= number:
            wanted = "[number of an earlier state, step in words]"
            raise ValueError(f"{path.name}: states[{number}] is {pair!r}; it takes {wanted}")
    if not 0 <= data["here"] <= len(data["states"]):
        last = len(data["states"])
        raise ValueError(f"{path.name}: here is {data['here']}; it takes the number of a state, 0 to {last}")
    return data


def protocol_called(name: Any, where: str) -> type[Node]:
    """The library's protocol of this name. Raises ``ValueError`` for a class that is not the library's own."""
    module, _, attribute = str(name).rpartition(".")
    if not module.startswith(HOME):
        raise ValueError(
            f"{where}: protocol is {name!r}, which is no class of the library; "
            "give the class itself, as in StepLab.load(path, MyRaft)"
        )
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{where}: there is no protocol {name!r} in this edition of the library") from error
    if not (isinstance(found, type) and issubclass(found, Node)):
        raise ValueError(f"{where}: {name!r} is no class of nodes")
    return found


def regrow(tree: Tree, data: dict[str, Any], where: str) -> State:
    """Make the states of a file again; the one where the reader stood. Raises ``ValueError`` naming the state."""
    states = [tree.root]
    for number, (parent, words) in enumerate(data["states"]):
        try:
            grown, _ = tree.grow(states[parent], step_called(tree.cluster, states[parent], words))
        except ValueError as error:
            raise ValueError(f"{where}: states[{number}]: {error}") from error
        states.append(grown)
    return states[data["here"]]
