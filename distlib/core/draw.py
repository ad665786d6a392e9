"""Counted random numbers: draw number ``k`` of a stream depends on the stream's key and ``k`` alone.

Two policies that read the same stream at the same places therefore meet the same arrivals and the same service
times (*common random numbers*), however many draws either of them makes for its own choices. The mixing function is
SplitMix64 (Steele, Lea & Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014, figure 17).

Everything here is compiled by numba and cached on disk; ``function.py_func`` is the plain Python source.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core.compiler_lock import global_compiler_lock
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
S12, S27, S30, S31, S32 = np.uint64(12), np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)
ONE = np.uint64(1)


def compiled_sources() -> str:
    """Digest of every file of the library that has compiled functions."""
    files = (path.read_bytes() for path in sorted(ROOT.rglob("*.py")))
    return hashlib.blake2b(b"".join(text for text in files if b"@compiled" in text)).hexdigest()


ROOT = Path(__file__).parents[1]
SOURCES = compiled_sources()

if sys.platform != "win32":
    # A fork waits until no thread compiles: it would take that thread's lock along, and nobody there to let go of it.
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )


def compiled(function: Function) -> Function:
    """Compile with numba at the first call and cache the machine code beside the source file.

    IEEE arithmetic is kept as it stands (no fast-math), so that compiled and plain runs agree to the last bit. The
    function may change arrays but not make any: without numba's reference counting (``_nrt``) the engines, which
    pass some thirty arrays around, run about ten times as fast.
    """
    return fresh(numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False, forceinline=True)(function))


def compiled_apart(function: Function) -> Function:
    """The same, but called rather than put in line: slower to run and quicker to compile, for what happens seldom."""
    return fresh(numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False)(function))


def compiled_allocating(function: Function) -> Function:
    """The same for a function that makes arrays."""
    return fresh(numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def fresh(dispatcher: Any) -> Any:
    """Tie cached machine code to *all* compiled sources, because it contains inlined functions of other files.

    Numba looks at the function's own file only, so an edited policy would otherwise go on running in its old form. The
    digest stands where numba keeps its version: an index of another version is not read, for it may name types that
    are gone. A function that closes over compiled ones of the library (an engine with a policy's choice in its loop) is
    found again by their names; numba would look for an object that is another in every process.
    """
    cache = dispatcher._cache
    cache._cache_file._version = f"{cache._cache_file._version} {SOURCES}"
    parts = [cell.cell_contents.py_func for cell in dispatcher.py_func.__closure__ or ()]
    if parts and all(part.__module__.startswith("distlib.") for part in parts):
        names = tuple(f"{part.__module__}.{part.__qualname__}" for part in parts)
        cache._index_key = lambda signature, codegen: (signature, codegen.magic_tuple(), names)
    return dispatcher


def plain(function: Any) -> Any:
    """``function`` in plain Python, with every compiled function that it calls plain as well: the same source, where
    one decision at a time is taken and state is a plain object (calling machine code with arrays costs
    microseconds)."""
    source = function.py_func
    if source not in _PLAIN:
        known = source.__globals__
        _PLAIN[source] = made = FunctionType(source.__code__, {"__builtins__": __builtins__}, source.__name__)
        for name in source.__code__.co_names:
            if name in known:
                one = known[name]
                made.__globals__[name] = plain(one) if hasattr(one, "py_func") else one
    return _PLAIN[source]


_PLAIN: dict[Any, FunctionType] = {}


@compiled
def bits(key: np.uint64, count: int | np.uint64) -> np.uint64:
    """64 random bits: draw number ``count`` (0, 1, 2, ...) of the stream ``key``."""
    z = key + (np.uint64(count) + ONE) * GOLDEN
    z = (z ^ (z >> S30)) * MIX_1
    z = (z ^ (z >> S27)) * MIX_2
    return z ^ (z >> S31)


@compiled
def uniform(key: np.uint64, count: int | np.uint64) -> float:
    """Draw number ``count`` as a number strictly between 0 and 1, on the midpoints of a grid of 2**-52."""
    return (np.float64(bits(key, count) >> S12) + 0.5) * 2.0**-52


@compiled
def below(key: np.uint64, count: int, size: int) -> int:
    """Draw number ``count`` as a whole number from 0 to ``size`` - 1 (bias below ``size`` / 2**32)."""
    return np.int64(((bits(key, count) >> S32) * np.uint64(size)) >> S32)  # type: ignore[return-value]  # an int64 when compiled


@compiled
def place(index: int) -> int:
    """``index``, known not to be negative: an unsigned one costs no look whether it counts from an array's end."""
    return np.uint64(index)  # type: ignore[return-value]  # an index all the same


@compiled
def fill_uniform(key: np.uint64, start: int, out: NDArray[np.float64]) -> None:
    """Write draws ``start``, ``start`` + 1, ... of the stream into ``out``."""
    for k in range(out.size):
        out[k] = uniform(key, start + k)
