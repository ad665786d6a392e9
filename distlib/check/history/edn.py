"""EDN, the notation of Clojure in which Jepsen writes its histories: a reader for as much of it as logs use.

Source: the EDN specification (github.com/edn-format/edn). Keywords become strings without their colon.
Characters, ratios and namespaced maps are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple


class Form(NamedTuple):
    """One top-level form and the line it begins on (from 1)."""

    line: int
    value: Any


_TOKEN = re.compile(
    r"""(?P<skip>[\s,]+|;[^\n]*)
      | (?P<string>"(?:\\.|[^"\\])*")
      | (?P<open>\#\{|[\[({])
      | (?P<close>[\])}])
      | (?P<discard>\#_)
      | (?P<tag>\#[A-Za-z][\w.*+!\-?$%&=<>/]*)
      | (?P<atom>[^\s,;"\[\](){}]+)""",
    re.VERBOSE,
)
_CLOSES = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"'}
_INTEGER = re.compile(r"[+-]?\d+N?$")
_REAL = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?M?$")


def forms(text: str, source: str = "text", first_line: int = 1) -> Iterator[Form]:
    """Every top-level form of ``text``: maps as dict, vectors and lists as list, sets as frozenset, nil as None.

    Tags (``#inst "..."``) are dropped, their value is kept. Raises ``ValueError``, naming ``source`` and the
    line, when a bracket or string does not close or a character begins no form.
    """
    return _Reader(text, source, first_line).top_level()


class _Reader:
    def __init__(self, text: str, source: str, first_line: int) -> None:
        self.source = source
        self.tokens = self._tokens(text, first_line)

    def top_level(self) -> Iterator[Form]:
        for kind, text, line in self.tokens:
            if kind == "discard":
                self._next_value(line)
            elif kind != "tag":
                yield Form(line, self._value(kind, text, line))

    def _tokens(self, text: str, line: int) -> Iterator[tuple[str, str, int]]:
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise ValueError(
                    f"{self.source}:{line}: a string or form that begins {text[position : position + 20]!r} "
                    "does not end"
                )
            if match.lastgroup != "skip":
                yield match.lastgroup or "", match.group(), line
            line += match.group().count("\n")
            position = match.end()

    def _next_value(self, opened: int) -> Any:
        for kind, text, line in self.tokens:
            if kind == "discard":
                self._next_value(line)
            elif kind != "tag":
                return self._value(kind, text, line)
        raise ValueError(f"{self.source}:{opened}: a form is missing at the end of the text")

    def _value(self, kind: str, text: str, line: int) -> Any:
        if kind == "string":
            return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text[1:-1])
        if kind == "open":
            return self._collection(text, line)
        if kind == "close":
            raise ValueError(f"{self.source}:{line}: {text!r} closes nothing")
        return _atom(text)

    def _collection(self, bracket: str, opened: int) -> Any:
        items: list[Any] = []
        for kind, text, line in self.tokens:
            if kind == "discard":
                self._next_value(line)
            elif kind == "close":
                if text != _CLOSES[bracket]:
                    raise ValueError(f"{self.source}:{line}: {text!r} closes the {bracket!r} of line {opened}")
                return self._built(bracket, items, opened)
            elif kind != "tag":
                items.append(self._value(kind, text, line))
        raise ValueError(f"{self.source}:{opened}: {bracket!r} is never closed")

    def _built(self, bracket: str, items: list[Any], line: int) -> Any:
        if bracket == "#{":
            return frozenset(_hashable(item) for item in items)
        if bracket != "{":
            return items
        if len(items) % 2:
            raise ValueError(f"{self.source}:{line}: a map holds {len(items)} forms, not pairs of key and value")
        return {_hashable(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def _hashable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_hashable(item) for item in value)
    return frozenset(value.items()) if isinstance(value, dict) else value


def _atom(text: str) -> Any:
    if text[0] == ":":
        return text[1:]
    if text in ("nil", "true", "false"):
        return {"nil": None, "true": True, "false": False}[text]
    if _INTEGER.match(text):
        return int(text.rstrip("N"))
    if _REAL.match(text):
        return float(text.rstrip("M"))
    return text  # a symbol
