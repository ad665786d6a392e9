"""Look: how figures draw a kind of message, or nodes in a role; declared beside it, so that no figure lists them."""

from __future__ import annotations

from typing import Any, NamedTuple

NUMBERS = ("term", "view", "ballot")
"""What protocols count their leaders, primaries or proposers by, as a view shows it."""


class Look(NamedTuple):
    """A colour by its name in ``distlib.figures.theme.PALETTE``; for a message also a dash and a place in the legend.

    A message class has one as its attribute or property ``look``: the hue says what the message is for, the dash
    whether it asks (``solid`` or ``dash``) or answers (``dot``). Legends list low places first, in a place questions
    before answers. A view says with its method ``role_looks()`` how each role looks, in the order of the legend.
    """

    colour: str
    dash: str = "solid"
    place: int = 100


def term_of(view: Any) -> Any:
    """The view's ``term``, or else its ``view`` or ``ballot``; None if it has none of them."""
    return next((found for name in NUMBERS if (found := getattr(view, name, None)) is not None), None)
