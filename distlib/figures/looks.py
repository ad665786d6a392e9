"""How messages and roles are drawn: as they declare it (``distlib.core.look``), or in turn where they declare none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from distlib.core import require
from distlib.core.look import Look
from distlib.core.trace import kind_of
from distlib.figures.theme import BLUE, CRASHED, INK, OTHER, PALETTE, PAPER, SOFT, UP, LineStyle, series_style


class RoleStyle(NamedTuple):
    """How a lane in this role looks: the colour of the bar, of the text on it, and the hatching ('' for none)."""

    fill: str
    text: str = INK
    hatch: str = ""


ANY_NODE = {UP: RoleStyle("#dde3e8"), CRASHED: RoleStyle(PAPER, SOFT, "/")}
"""The roles that nodes of every protocol have."""


def message_styles(messages: Iterable[Any], kinds: Sequence[str] | None = None) -> dict[str, LineStyle]:
    """A style for each kind of message in the order of the legend, and last for all others. ``kinds`` fixes which kinds
    have a style, and their order (default: those in ``messages``). The kinds that declare no look take the colours of a
    chart in turn."""
    looks: dict[str, Look | None] = {}
    for message in messages:
        kind = kind_of(message)
        if kind not in looks:
            looks[kind] = getattr(message, "look", None)
    styles, undeclared = {}, 0
    for kind in (*(sorted(looks, key=lambda kind: _rank(kind, looks[kind])) if kinds is None else kinds), OTHER):
        look = looks.get(kind)
        if look is not None:
            styles[kind] = LineStyle(_colour(look), look.dash)
        elif kind in looks or kind == OTHER:
            styles[kind] = series_style(undeclared)
            undeclared += 1
        else:  # nothing to draw in this run
            styles[kind] = LineStyle(SOFT)
    return styles


def _rank(kind: str, look: Look | None) -> tuple[Any, ...]:
    return (True, kind) if look is None else (False, look.place, look.dash == "dot", kind)


def role_styles(views: Iterable[Any], found: Iterable[str], roles: Sequence[str] | None = None) -> dict[str, RoleStyle]:
    """A style for each role in the order of the legend, and last for all others. ``views`` say how their roles look.
    ``roles`` fixes which roles have a style, and their order (default: those that were ``found``). Roles that no view
    declares look alike, and are told apart by their label."""
    known = {role: style for view in {type(view): view for view in views}.values() for role, style in _declared(view)}
    known |= ANY_NODE
    if roles is None:
        seen = set(found)
        roles = (*(role for role in known if role in seen), *sorted(seen.difference(known)))
    return {role: known.get(role, known[UP]) for role in (*roles, OTHER)}


def role_style(role: str, view: Any) -> RoleStyle:
    """The style of ``role``, in which ``view`` shows a node."""
    return role_styles([view], (), [role])[role]


def _declared(view: Any) -> Iterable[tuple[str, RoleStyle]]:
    for role, look in view.role_looks().items() if hasattr(view, "role_looks") else ():
        fill = _colour(look)
        yield role, RoleStyle(fill, PAPER if fill == BLUE else INK)


def _colour(look: Look) -> str:
    return PALETTE[require.choice("look.colour", look.colour, PALETTE)]
