"""The parts that worlds are put together from, each made once and known by its canonical encoding.

A search looks up millions of worlds, but they are put together from few parts: a node has some thousand local states,
and each is met in a great many worlds. So a part is a ``bytes`` object, its encoding: hashing, comparing and sorting
whole worlds happens without a line of Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, ClassVar, TypeVar

from distlib.core.node import Node, NodeId

Part = TypeVar("Part", bound="Interned")


class Interned(bytes):
    """A constant, known by its canonical encoding. Equal encodings mean equal contents, down to the types.

    Each table has subclasses of its own, whose ``table`` it is: so a part holds no reference, and a world no more than
    it seems to (the explorer measures what worlds take).
    """

    __slots__ = ()
    table: ClassVar[Parts]

    @property
    def value(self) -> Any:
        """The content."""
        return self.table.content[self]

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self.value!r}"


class Parts:
    """The parts of the worlds of one cluster, whose nodes are ``made``; at most ``most_nodes`` are kept loaded."""

    def __init__(self, made: Mapping[NodeId, Node], most_nodes: int) -> None:
        self.made = made
        self.most_nodes = most_nodes
        self.content: dict[Interned, Any] = {}
        self._classes: dict[type, type] = {}
        self._known: dict[tuple[type, bytes], Any] = {}
        self._loaded: dict[Interned, Node] = {}

    def part(self, cls: type[Part], value: Any) -> Part:
        """The one part of this class and content."""
        code = encode(value)
        part: Part | None = self._known.get((cls, code))
        if part is None:
            own = self._classes.get(cls)
            if own is None:
                own = self._classes[cls] = type(cls.__name__, (cls,), {"__slots__": (), "table": self})
            part = self._known[cls, code] = own(code)
            self.content[part] = value
        return part

    def loaded(self, part: Interned, name: NodeId, state: tuple[Any, ...]) -> Node:
        """The node ``name`` in ``state``, which ``part`` stands for; to be read only."""
        node = self._loaded.get(part)
        if node is None:
            if len(self._loaded) >= self.most_nodes:
                self._loaded.clear()
            made = self.made[name]
            node = object.__new__(type(made))
            node.__dict__.update(made.__dict__, outbox=[], effects=[])
            node.load(state)
            self._loaded[part] = node
        return node


def encode(value: Any) -> bytes:
    """Bytes that are equal for equal constants of equal types only. Raises TypeError for what is not constant."""
    cls = type(value)
    if cls is str:
        return b"s" + _sized(value)
    if cls is int:
        return b"i%d;" % value
    if value is None:
        return b"n"
    if cls is tuple:
        return b"(%b)" % b"".join([encode(item) for item in value])
    if cls is bool:
        return b"T" if value else b"F"
    return b"<%b%b>" % (_tag(value.__class__), _encode_object(value, cls))


def _encode_object(value: Any, cls: type) -> bytes:
    if isinstance(value, Enum):
        return encode(value.value if value.name is None else value.name)  # a combination of flags may have no name
    if isinstance(value, tuple):
        return b"".join([encode(item) for item in value])
    if isinstance(value, frozenset):
        return b"".join(sorted([encode(item) for item in value]))
    if cls is type:
        return _tag(value)
    if is_dataclass(cls):
        return b"".join([encode(getattr(value, name)) for name in _fields(cls)])
    for base in (float, complex, bytes, int, str):
        if isinstance(value, base):
            return _sized(base.__repr__(value))
    raise TypeError(f"{value!r} of type {cls.__name__} is no constant; use numbers, strings, tuples, frozen "
                    "sets and frozen dataclasses")  # fmt: skip


def _sized(text: str) -> bytes:
    """The text, told where it ends; half a surrogate pair is a character, too."""
    code = text.encode("utf-8", "surrogatepass")
    return b"%d:%b" % (len(code), code)


_same_name: dict[str, int] = {}


@cache
def _tag(cls: type) -> bytes:
    """The class's name, with a number where another class had that name before: a cell of a notebook run again, say."""
    name = f"{cls.__module__}.{cls.__qualname__}"
    number = _same_name[name] = _same_name.get(name, 0) + 1
    return f"{name} ".encode() if number == 1 else f"{name}#{number} ".encode()


@cache
def _fields(cls: type) -> tuple[str, ...]:
    return tuple(item.name for item in fields(cls))
