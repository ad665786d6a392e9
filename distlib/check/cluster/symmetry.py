"""Symmetry reduction for clusters: worlds that differ only in the names of interchangeable nodes count once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from itertools import pairwise, permutations
from typing import TYPE_CHECKING, Any

from distlib.core.freeze import FrozenDict
from distlib.core.node import NodeId

if TYPE_CHECKING:
    from distlib.check.cluster.model import ClusterModel
    from distlib.check.cluster.world import Interned, World

Names = Mapping[NodeId, NodeId]


class Renaming:
    """All permutations of the ``interchangeable`` nodes of ``model``, applied to its worlds part by part.

    Sound when the protocol treats names as mere names: Raft's servers are interchangeable; Paxos's proposers
    are not, because ballots are ordered by the proposer's name. Raises ValueError for names that are no nodes
    of one class with the same settings, and when a budget or a request tells the nodes apart.
    """

    def __init__(self, model: ClusterModel, interchangeable: Sequence[NodeId]) -> None:
        self.model = model
        members = tuple(interchangeable)
        self._check(members)
        self.renamings: list[Names] = [dict(zip(members, order, strict=True)) for order in permutations(members)]
        self.memo: list[dict[Interned, Interned]] = [{} for _ in self.renamings]
        self.orders = [self._order(names) for names in self.renamings]

    def canonical(self, world: World) -> Hashable:
        """The least renaming of ``world``."""
        return min(self._renamed(world, number) for number in range(len(self.renamings)))

    def _renamed(self, world: World, number: int) -> tuple[Any, ...]:
        memo, rename = self.memo[number], self._part
        nodes = tuple([memo.get(world.nodes[at]) or rename(world.nodes[at], number) for at in self.orders[number]])
        network: tuple[Any, ...] = tuple([memo.get(one) or rename(one, number) for one in world.network])
        network = tuple(sorted(network, key=self.model._link if self.model.fifo else None))
        ghosts = memo.get(world.ghosts) or rename(world.ghosts, number)
        return (nodes, network, world.left, ghosts, world.broken is not None)

    def _part(self, part: Interned, number: int) -> Interned:
        if len(self.memo[number]) >= self.model.cache_entries // len(self.renamings):
            self.memo[number].clear()
        kind = type(part).__mro__[1].__name__
        renamed: Interned = self.model.part(kind, rename(part.value, self.renamings[number]))
        self.memo[number][part] = renamed
        return renamed

    def _order(self, names: Names) -> list[int]:
        """At which position each node's new state stands now."""
        ids = self.model.ids
        old = {new: name for name, new in names.items()}
        return [ids.index(old.get(name, name)) for name in ids]

    def _check(self, members: tuple[NodeId, ...]) -> None:
        model = self.model
        for name in members:
            if name not in model.ids:
                raise ValueError(f"interchangeable names {name!r}; this cluster has {', '.join(model.ids)}")
            for limit in model.limits:
                if name in limit.split(" ")[-1].split("."):
                    raise ValueError(f"{name} cannot be interchangeable: the budget '{limit}' names it")
        named = {to for to, _ in model.requests}.union(*model.partitioned)
        if named & set(members):
            raise ValueError("interchangeable nodes cannot be named by a request or by a cut link")
        first = members[0]
        for other in members[1:]:
            swap = {first: other, other: first}
            one, two = model.made[first], model.made[other]
            if type(one) is not type(two) or _settings(one, swap) != _settings(two, {}):
                raise ValueError(f"{first} and {other} are not interchangeable: their settings differ")


def _settings(node: Any, names: Names) -> dict[str, Any]:
    states = {*type(node).state_names(), "outbox", "effects", "now_ms"}
    return {name: _unordered(rename(value, names)) for name, value in vars(node).items() if name not in states}


def _unordered(value: Any) -> Any:
    """A tuple of names in order of the names: peers are a set, in whatever order they were given."""
    if type(value) is tuple and all(isinstance(item, str) for item in value):
        return tuple(sorted(value))
    return value


def rename(value: Any, names: Names) -> Any:
    """``value``, a constant, with every node's name replaced.

    A tuple of tuples that begin with distinct names, in order of the names, stands for a mapping from nodes
    (a protocol that holds no dicts keeps one so), and is put in order again.
    """
    if isinstance(value, str) and not isinstance(value, Enum):
        return names.get(value, value)
    kind = type(value)
    if kind is tuple:
        new = tuple([rename(item, names) for item in value])
        return tuple(sorted(new, key=_first)) if _is_mapping(value) else new
    if kind is FrozenDict:
        pairs = [(rename(key, names), rename(item, names)) for key, item in value]
        return FrozenDict(sorted(pairs, key=lambda pair: repr(pair[0])))
    if isinstance(value, tuple):
        return kind._make([rename(item, names) for item in value]) if hasattr(kind, "_make") else kind(
            [rename(item, names) for item in value]
        )  # fmt: skip
    if isinstance(value, frozenset):
        return kind([rename(item, names) for item in value])
    if is_dataclass(value) and not isinstance(value, (type, Enum)):
        return _renamed_record(value, kind, names)
    return value


def _renamed_record(value: Any, kind: type, names: Names) -> Any:
    old = [getattr(value, item.name) for item in fields(value)]
    new = [rename(item, names) for item in old]
    if all(one is other for one, other in zip(old, new, strict=True)):
        return value
    record: Any = object.__new__(kind)
    for item, content in zip(fields(value), new, strict=True):
        object.__setattr__(record, item.name, content)
    return record


def _first(item: Any) -> Any:
    return item[0]


def _is_mapping(value: tuple[Any, ...]) -> bool:
    if len(value) < 2 or not all(isinstance(item, tuple) and item and isinstance(item[0], str) for item in value):
        return False
    keys = [item[0] for item in value]
    return all(one < other for one, other in pairwise(keys))
