"""Idempotency keys: a request that comes twice is executed once, and answered twice.

    found = store.begin(key, now, fingerprint="POST /orders {...}")
    if isinstance(found, Fresh):
        store.finish(key, execute(), now)          # or store.forget(key), if nothing was done

After the IETF draft *The Idempotency-Key HTTP Header Field* (httpapi working group): a repetition while the first
request is still executed is a conflict (409), the same key with another request an error (422), and a key is kept for a
time that the server publishes. Beyond that time, or that room, a repetition is executed again: at most once holds while
the key is kept. Whoever is told ``Fresh`` owes a ``finish`` or a ``forget``; when it dies in between, the key stays in
progress, because nobody here knows whether the work was done.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from distlib.core import require


@dataclass(frozen=True)
class Fresh:
    """Nobody has asked with this key: execute the request."""


@dataclass(frozen=True)
class InProgress:
    """The same request is being executed (409 Conflict)."""


@dataclass(frozen=True)
class Replay:
    """The request has been executed: give this answer again."""

    answer: Any


@dataclass(frozen=True)
class Mismatch:
    """The key came with another request before (422 Unprocessable Content)."""


@dataclass
class _Kept:
    fingerprint: str
    at_s: float  # when it was answered, or came
    answer: Any = None
    finished: bool = False


class IdempotencyStore:
    """The keys of the last ``keep_s`` seconds, ``most`` of them at the most; the oldest answered ones go first."""

    def __init__(self, keep_s: float = 86_400.0, most: int = 100_000) -> None:
        self.keep_s = require.above("keep_s", keep_s, 0.0, "s")
        self.most = require.whole("most", most, 1)
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def begin(self, key: str, now: float, fingerprint: str = "") -> Fresh | InProgress | Replay | Mismatch:
        """A request with this key has come. ``fingerprint`` stands for the rest of it. ``OverflowError`` when there is
        no room, because so many requests are being executed: forgetting one of those would execute it twice."""
        if not require.text("key", key):
            raise ValueError("key is ''; it takes a string that no other request has")
        self._expire(now)
        if (known := self._kept.get(key)) is not None:
            if known.fingerprint != fingerprint:
                return Mismatch()
            return Replay(known.answer) if known.finished else InProgress()
        if len(self._kept) >= self.most:
            self._make_room()
        self._kept[key] = _Kept(fingerprint, now)
        return Fresh()

    def finish(self, key: str, answer: Any, now: float) -> None:
        """The request with this key has been executed, with this answer. ``KeyError`` for a key that is not in
        progress: its first answer stands."""
        known = self._in_progress(key)
        known.answer, known.finished, known.at_s = answer, True, now
        self._kept.move_to_end(key)

    def forget(self, key: str) -> None:
        """The request with this key was given up before it did anything: a repetition is executed. ``KeyError`` for a
        key that is not in progress."""
        self._in_progress(key)
        del self._kept[key]

    def _in_progress(self, key: str) -> _Kept:
        known = self._kept.get(key)
        if known is None or known.finished:
            raise KeyError(f"no request with the key {key!r} is in progress; finish or forget once for every Fresh")
        return known

    def _expire(self, now: float) -> None:
        gone = []
        for key, one in self._kept.items():  # answered ones stand in the order of their answers
            if one.finished and now - one.at_s < self.keep_s:
                break
            if one.finished:
                gone.append(key)
        for key in gone:
            del self._kept[key]

    def _make_room(self) -> None:
        oldest = next((key for key, one in self._kept.items() if one.finished), None)
        if oldest is None:
            raise OverflowError(
                f"{self.most} requests are being executed, and the store has room for no more; raise most, or shed load"
            )
        del self._kept[oldest]
