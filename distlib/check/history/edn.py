"""EDN, the notation of Clojure in which Jepsen writes its histories: a reader for as much of it as logs use.

Source: the EDN specification (github.com/edn-format/edn). Keywords become strings without their colon.
Characters, ratios and namespaced maps are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

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
_NAMED = {"nil": None, "true": True, "false": False}
_INTEGER = re.compile(r"[+-]?\d+N?$")
_REAL = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?M?$")


def forms(text: str, source: str = "text", first_line: int = 1) -> Iterator[tuple[int, Any]]:
    """Every top-level form of ``text`` with the line it begins on: maps as dict, vectors and lists as list, sets as
    frozenset, nil as None.

    Tags (``#inst "..."``) are dropped, their value is kept. Raises ``ValueError``, naming ``source`` and the
    line, when a bracket or string does not close or a character begins no form.
    """
    begun: list[tuple[str, int, list[Any]]] = []  # each open bracket or ``#_``, its line, and what it holds so far
    for token, word, line in _tokens(text, source, first_line):
        if token in ("open", "discard"):
            begun.append((word, line, []))
            continue
        if token == "close":
            bracket, opened, items = begun.pop() if begun else ("", line, [])
            if word != _CLOSES.get(bracket):
                what = f"the {bracket!r} of line {opened}" if bracket else "nothing"
                raise ValueError(f"{source}:{line}: {word!r} closes {what}")
            if bracket == "{" and len(items) % 2:
                raise ValueError(f"{source}:{opened}: a map holds {len(items)} forms, not pairs of key and value")
            line, value = opened, _collection(bracket, items)
        else:
            value = _atom(token, word)
        if not begun:
            yield line, value
        elif begun[-1][0] == "#_":
            begun.pop()
        else:
            begun[-1][2].append(value)
    if begun:
        bracket, opened, _ = begun[-1]
        raise ValueError(f"{source}:{opened}: {bracket!r} is never closed")


def _tokens(text: str, source: str, line: int) -> Iterator[tuple[str, str, int]]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            begins = text[position : position + 20]
            raise ValueError(f"{source}:{line}: a string or form that begins {begins!r} does not end")
        token, word = match.lastgroup or "", match.group()
        if token not in ("skip", "tag"):
            yield token, word, line
        line += word.count("\n")
        position = match.end()


def _collection(bracket: str, items: list[Any]) -> Any:
    if bracket == "{":
        return {_hashable(key): value for key, value in zip(items[::2], items[1::2], strict=True)}
    return frozenset(map(_hashable, items)) if bracket == "#{" else items


def _hashable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_hashable(item) for item in value)
    return frozenset(value.items()) if isinstance(value, dict) else value


def _atom(token: str, word: str) -> Any:
    if token == "string":
        return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), word[1:-1])
    if word[0] == ":":
        return word[1:]
    if word in _NAMED:
        return _NAMED[word]
    if _INTEGER.match(word):
        return int(word.rstrip("N"))
    if _REAL.match(word):
        return float(word.rstrip("M"))
    return word  # a symbol
