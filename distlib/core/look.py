"""Look: how figures draw a kind of message, or nodes in a role; declared beside it, so that no figure lists them."""

from __future__ import annotations

from typing import NamedTuple


class Look(NamedTuple):
    """A colour by its name in ``distlib.figures.theme.PALETTE``; for a message also a dash and a place in the legend.

    A message class has one as its attribute or property ``look``: the hue says what the message is for, the dash
    whether it asks (``solid`` or ``dash``) or answers (``dot``). Legends list low places first, in a place questions
    before answers. A view says with its method ``role_looks()`` how each role looks, in the order of the legend.
    """

    colour: str
    dash: str = "solid"
    place: int = 100
