"""Idempotency keys: a request that comes twice is executed once, and answered twice.

    found = store.begin(key, now, fingerprint="POST /orders {...}")
    if isinstance(found, Fresh):
        store.finish(key, execute(), now)          # or store.forget(key), if nothing was done

After the IETF draft *The Idempotency-Key HTTP Header Field* (httpapi working group): a repetition while the first
request is still executed is a conflict (409), the same key with another request an error (422), and a key is kept for a
time that the server publishes. Beyond that time, or that room, a repetition is executed again: at most once holds while
it is kept.
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
    begun_s: float
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
        require.text("key", key)
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
        """The request with this key has been executed, with this answer. ``KeyError`` for a key that is not begun."""
        known = self._kept[key]
        known.answer, known.finished, known.begun_s = answer, True, now
        self._kept.move_to_end(key)

    def forget(self, key: str) -> None:
        """The request with this key was given up before it did anything: a repetition is executed."""
        self._kept.pop(key, None)

    def _expire(self, now: float) -> None:
        gone = []
        for key, one in self._kept.items():  # answered ones stand in the order of their answers
            if one.finished and now - one.begun_s < self.keep_s:
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
