"""What a lab class must state, checked when the class is made, so that its author hears at once of a slip."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Any

from distlib.core import require
from distlib.core.parameter import Parameters


@cache
def options_of(draw: Callable[..., Any], view: type[Parameters]) -> tuple[str, ...]:
    """The options of ``view`` that a figure function takes, by name; its first parameter is the result."""
    return tuple(name for name in _parameters(draw) if name in names_of(view))


def names_of(*classes: type[Parameters]) -> list[str]:
    """The names of all fields of parameter classes."""
    return [item.name for params_class in classes for item in fields(params_class)]


def values_of(*parameters: Parameters) -> dict[str, Any]:
    """The values of all fields of parameters, by name."""
    return {item.name: getattr(one, item.name) for one in parameters for item in fields(one)}


def _parameters(draw: Callable[..., Any]) -> dict[str, bool]:
    """Each parameter of a figure function but the first, and whether it has to be given."""
    taken = list(inspect.signature(draw).parameters.values())[1:]
    return {one.name: one.default is inspect.Parameter.empty for one in taken}


def check_declaration(cls: Any) -> None:
    """Raise ``TypeError`` or ``ValueError`` for a lab class that cannot work, saying what is missing or wrong."""
    name = cls.__name__
    for wanted in ("title", "params", "figures"):
        if not hasattr(cls, wanted):
            raise TypeError(f"{name} has no `{wanted}`; a lab states title, params, figures, and scenario or run")
    require.text(f"{name}.title", cls.title)
    for wanted in ("params", "view"):
        params_class = getattr(cls, wanted)
        if not (isinstance(params_class, type) and issubclass(params_class, Parameters)):
            raise TypeError(f"{name}.{wanted} is {params_class!r}; it takes a subclass of core.parameter.Parameters")
    known = [*names_of(cls.params, cls.view), "figure"]
    taken = [one for one in known if known.count(one) > 1]
    if taken:
        raise ValueError(f"{name}: the name {taken[0]!r} is taken; params, view and 'figure' need names of their own")
    if not cls.figures:
        raise ValueError(f"{name}.figures is empty; a lab shows at least one figure")
    for title, draw in cls.figures.items():
        for option, required in _parameters(draw).items():
            if required and option not in names_of(cls.view):
                raise ValueError(f"{name}: figure {title!r} takes {option!r}, which is no field of {cls.view.__name__}")
    for one in cls.near:
        require.choice(f"{name}.near", one, cls.params.specs())
    used = {option for draw in cls.figures.values() for option in options_of(draw, cls.view)}
    for option in names_of(cls.view):
        if option not in used:
            raise ValueError(f"{name}: no figure takes the option {option!r} of {cls.view.__name__}")
    for text, values in cls.presets.items():
        for one in values:
            if one not in known:
                raise ValueError(f"{name}: preset {text!r} sets {one!r}, which is no parameter of the lab")
        try:
            for params_class in (cls.params, cls.view):
                params_class(**{one: value for one, value in values.items() if one in names_of(params_class)})
            require.choice("figure", values.get("figure", next(iter(cls.figures))), cls.figures)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}: preset {text!r}: {error}") from error
