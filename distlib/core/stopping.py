"""Stopping: long work asks now and then whether it is still wanted. It need not know who began it, nor why it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ASK: ContextVar[Callable[[], object] | None] = ContextVar("ask", default=None)  # each thread has its own


@contextmanager
def asking(ask: Callable[[], object]) -> Iterator[None]:
    """Within this block, and in this thread, ``check`` calls ``ask``, which raises to stop the work."""
    token = _ASK.set(ask)
    try:
        yield
    finally:
        _ASK.reset(token)


def check() -> None:
    """Raise what ends the work under way, if somebody wants it to end. To be called several times a second."""
    ask = _ASK.get()
    if ask is not None:
        ask()
