"""What a notebook shows as widgets, and its end: ipywidgets keeps every widget, and all that its callbacks know, until
somebody closes it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import ipywidgets as w
from IPython.core.getipython import get_ipython


class Shown:
    """Shows its ``box``. It lives as long as somebody holds it or a cell shows it; then its widgets are closed.

    A subclass names its widgets by ``_live_in``, and gives them ``weakly(self.method)`` to call, since they would keep
    it.
    """

    box: w.Box

    def _live_in(self, box: w.Box, *others: w.Widget) -> None:
        """Stand in ``box``; ``others`` are widgets that are not in it."""
        self.box, self._roots = box, (box, *others)
        weakref.finalize(self, _close, self._roots).atexit = False

    def close(self) -> None:
        """Close the widgets, and stop what runs. All works on without a screen, and showing it again opens them."""
        self.stop()
        _close(self._roots)

    def stop(self) -> None:
        """Stop what runs in the background, if anything does."""

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        for widget in _inside(self._roots):
            widget.open()
        _note(self)
        bundle = type(self.box)._repr_mimebundle_(self.box, **kwargs)
        return bundle | ({"text/html": static} if (static := self._static()) else {})

    def _static(self) -> str:
        """HTML that shows the same where there is no kernel, as in a saved notebook that is turned into a page."""
        return ""


def weakly(method: Callable[..., Any]) -> Callable[..., Any]:
    """A function that calls ``method`` while its object lives, and does not keep it."""
    reference = weakref.WeakMethod(method)

    def call(*arguments: Any, **options: Any) -> Any:
        found = reference()
        return None if found is None else found(*arguments, **options)

    return call


def _inside(roots: tuple[w.Widget, ...]) -> Iterator[w.Widget]:
    """The widgets of these trees, their layouts and styles included, each after those that it names."""
    for root in roots:
        for name in root.keys:
            value = getattr(root, name)
            inner = value if isinstance(value, (tuple, list)) else (value,)
            yield from _inside(tuple(one for one in inner if isinstance(one, w.Widget)))
        yield root


def _close(roots: tuple[w.Widget, ...]) -> None:
    for widget in list(_inside(roots)):
        widget.close()


_BY_CELL: dict[str | None, list[Shown]] = {}
"""What each cell shows, by its name in the notebook (None: it has none, as in a console)."""
_now: list[Shown] = []
"""What the cell that runs has shown so far."""
_listening: set[int] = set()


def _note(shown: Shown) -> None:
    shell = get_ipython()
    if shell is not None:
        _now.append(shown)
        if id(shell) not in _listening:
            _listening.add(id(shell))
            shell.events.register("post_run_cell", _settle)


_FIRST: list[str] = []
"""The name of the cell that showed a picture first."""


def is_first() -> bool:
    """Whether this cell is the first of the notebook to show a picture, and has to bring along what all need."""
    parent: dict[str, Any] = getattr(get_ipython(), "get_parent", dict)()
    cell = parent.get("metadata", {}).get("cellId") or ""
    if not _FIRST:
        _FIRST.append(cell)
        return True
    return bool(cell) and [cell] == _FIRST


def _settle(result: Any) -> None:
    """A cell has run: what it showed before, and no cell shows any more, is closed and forgotten."""
    cell = result.info.cell_id
    before = _BY_CELL.get(cell, [])
    _BY_CELL[cell] = _now[:] if cell is not None else [*before, *_now]
    _now.clear()
    seen = {id(one) for cell_shows in _BY_CELL.values() for one in cell_shows}
    for one in before:
        if id(one) not in seen:
            one.close()
            _forget(one)


def _forget(shown: Shown) -> None:
    """Take it out of IPython's memory of outputs; a variable of the reader's that holds it stays."""
    shell = get_ipython()
    for names in (shell.history_manager.output_hist, shell.user_ns, shell.user_ns_hidden):
        for name in [name for name, one in names.items() if one is shown and not str(name).lstrip("_").isidentifier()]:
            del names[name]
    for name in ("_", "__", "___"):
        if getattr(shell.displayhook, name) is shown:
            setattr(shell.displayhook, name, "")
