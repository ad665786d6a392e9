"""What a lab class must state, checked when the class is made, so that its author hears at once of a slip."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Any

from distlib.core.parameter import Parameters

TAKEN = ("figure",)


@cache
def options_of(draw: Callable[..., Any]) -> tuple[str, ...]:
    """The options of the view that a figure function names: all its parameters but the first, the result."""
    return tuple(inspect.signature(draw).parameters)[1:]


def check_declaration(cls: type) -> None:
    """Raise ``TypeError`` or ``ValueError`` for a lab class that cannot work, saying what is missing or wrong."""
    name = cls.__name__
    for wanted in ("title", "params", "figures"):
        if not hasattr(cls, wanted):
            raise TypeError(f"{name} has no `{wanted}`; a lab states title, params, figures and run")
    for wanted in ("params", "view"):
        kind = getattr(cls, wanted)
        if not (isinstance(kind, type) and issubclass(kind, Parameters)):
            raise TypeError(f"{name}.{wanted} is {kind!r}; it takes a subclass of core.parameter.Parameters")
    params, view = ([item.name for item in fields(getattr(cls, kind))] for kind in ("params", "view"))
    both = [one for one in params if one in view] + [one for one in (*params, *view) if one in TAKEN]
    if both:
        raise ValueError(f"{name}: the name {both[0]!r} is taken; params, view and 'figure' need names of their own")
    _check_figures(cls, view)
    _check_presets(cls, params, view)


def _check_figures(cls: Any, view: list[str]) -> None:
    if not cls.figures:
        raise ValueError(f"{cls.__name__}.figures is empty; a lab shows at least one figure")
    for title, draw in cls.figures.items():
        for option in options_of(draw):
            if option not in view:
                raise ValueError(
                    f"{cls.__name__}: figure {title!r} takes {option!r}, which is no field of {cls.view.__name__}"
                )
    used = {option for draw in cls.figures.values() for option in options_of(draw)}
    unused = [option for option in view if option not in used]
    if unused:
        raise ValueError(f"{cls.__name__}: no figure takes the option {unused[0]!r} of {cls.view.__name__}")


def _check_presets(cls: Any, params: list[str], view: list[str]) -> None:
    for text, values in cls.presets.items():
        for name in values:
            if name not in (*params, *view, *TAKEN):
                raise ValueError(f"{cls.__name__}: preset {text!r} sets {name!r}, which is no parameter of the lab")
