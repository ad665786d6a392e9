"""A compiled policy run by its own Python source, line by line: the proof that both are the same."""

from __future__ import annotations

from dataclasses import replace
from types import FunctionType
from typing import Any

from distlib.sim.service.policy import Policy


def plain(function: Any) -> FunctionType:
    """The source of a compiled function, and of every compiled function that it calls (but not of the random draws)."""
    source = function.py_func
    called = {
        name: plain(one)
        for name, one in source.__globals__.items()
        if name in source.__code__.co_names
        and hasattr(one, "py_func")
        and one.py_func.__module__ != "distlib.core.draw"
    }
    return FunctionType(source.__code__, {**source.__globals__, **called}, source.__name__)


def uncompiled(policy: Policy) -> Policy:
    """``policy``, whose choices a balancer makes by the plain source."""
    other = replace(policy)
    object.__setattr__(other, "compiled", plain(policy.compiled))
    return other
