"""Symmetry reduction for clusters: worlds that differ only in the names of interchangeable nodes count once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from itertools import permutations
from typing import Any

from distlib.check.cluster.interning import Interned, Parts
from distlib.check.cluster.world import World
from distlib.core.freeze import ByName, FrozenDict
from distlib.core.node import Node, NodeId

Names = Mapping[NodeId, NodeId]


class Renaming:
    """All permutations of the interchangeable ``members`` of a cluster, applied to its worlds part by part.

    Sound when the protocol treats names as mere names: proposers are not interchangeable where ballots are ordered by
    the proposer's name. ``order`` sorts the messages of a world (None: by their encoding); ``entries`` bounds the
    remembered parts.
    """

    def __init__(
        self, parts: Parts, members: Sequence[NodeId], order: Callable[[Any], Any] | None, entries: int
    ) -> None:
        self.parts, self.order = parts, order
        self.renamings: list[Names] = [dict(zip(members, names, strict=True)) for names in permutations(members)]
        self.memo: list[dict[Interned, Interned]] = [{} for _ in self.renamings]
        self.entries = entries // len(self.renamings)
        ids = list(parts.made)
        old = [{new: name for name, new in names.items()} for names in self.renamings]
        self.positions = [[ids.index(names.get(name, name)) for name in ids] for names in old]

    def canonical(self, world: World) -> Hashable:
        """The least renaming of ``world``."""
        return min(self._renamed(world, number) for number in range(len(self.renamings)))

    def _renamed(self, world: World, number: int) -> tuple[Any, ...]:
        memo, rename = self.memo[number], self._part
        nodes = tuple([memo.get(world.nodes[at]) or rename(world.nodes[at], number) for at in self.positions[number]])
        network: Any = [memo.get(one) or rename(one, number) for one in world.network]
        network = tuple(sorted(network, key=self.order))
        ghosts = memo.get(world.ghosts) or rename(world.ghosts, number)
        return (nodes, network, world.left, ghosts, world.broken is not None)

    def _part(self, part: Interned, number: int) -> Interned:
        memo = self.memo[number]
        if len(memo) >= self.entries:
            memo.clear()
        renamed = memo[part] = self.parts.part(type(part), rename(part.value, self.renamings[number]))
        return renamed


def check_interchangeable(
    members: Sequence[NodeId], settings: Mapping[NodeId, tuple[type[Node], Mapping[str, Any]]], limits: Iterable[str],
    named: frozenset[NodeId],
) -> None:  # fmt: skip
    """Raises ValueError for ``members`` that are no nodes of one class with the same ``settings`` (class and values, by
    node), or that a budget among ``limits`` or a request or link tells apart (``named``)."""
    for name in members:
        if name not in settings:
            raise ValueError(f"interchangeable names {name!r}; this cluster has {', '.join(settings)}")
        for limit in limits:
            if name in limit.split(" ")[-1].split("."):
                raise ValueError(f"{name} cannot be interchangeable: the budget '{limit}' names it")
    if named & set(members):
        raise ValueError("interchangeable nodes cannot be named by a request or by a partitioned link")
    first = members[0]
    node_class, values = settings[first]
    for other in members[1:]:
        swapped = {field: rename(value, {first: other, other: first}) for field, value in values.items()}
        if node_class is not settings[other][0] or _unordered(swapped) != _unordered(settings[other][1]):
            raise ValueError(f"{first} and {other} are not interchangeable: their settings differ")


def _unordered(values: Mapping[str, Any]) -> dict[str, Any]:
    """Tuples of names in order of the names: peers are a set, in whatever order they were given."""
    return {
        field: tuple(sorted(value)) if type(value) is tuple and all(isinstance(one, str) for one in value) else value
        for field, value in values.items()
    }


def rename(value: Any, names: Names) -> Any:
    """``value``, a constant, with every node's name replaced. What is a mapping from nodes by its type, a dict or
    ``ByName``, is put in order again; a tuple keeps its order, which may mean something: a queue, say."""
    if isinstance(value, str) and not isinstance(value, Enum):
        return names.get(value, value)
    cls: Any = type(value)
    if cls is FrozenDict:
        pairs = [(rename(key, names), rename(item, names)) for key, item in value]
        return FrozenDict(sorted(pairs, key=lambda pair: repr(pair[0])))
    if isinstance(value, (tuple, frozenset)):
        new = [rename(item, names) for item in value]
        if cls is ByName:
            new.sort(key=lambda pair: pair[0])
        return cls._make(new) if hasattr(cls, "_make") else cls(new)
    if is_dataclass(value) and not isinstance(value, (type, Enum)):
        old = {item.name: getattr(value, item.name) for item in fields(value)}
        renamed = {name: rename(item, names) for name, item in old.items()}
        if all(renamed[name] is item for name, item in old.items()):
            return value
        record = object.__new__(cls)
        for name, item in renamed.items():
            object.__setattr__(record, name, item)
        return record
    return value
