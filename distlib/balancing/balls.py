"""Balls into bins: each ball goes to the emptiest of ``choices`` bins taken at random."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distlib.core.draw import below, compiled
from distlib.core.seeds import Seeds


@compiled
def throw(key: np.uint64, balls: int, choices: int, load: NDArray[np.int32]) -> None:
    """Throw the balls into the bins counted by ``load``; the first of equally empty bins gets the ball."""
    draw = 0
    for _ in range(balls):
        best = below(key, draw, load.size)
        for k in range(1, choices):
            other = below(key, draw + k, load.size)
            if load[other] < load[best]:
                best = other
        draw += choices
        load[best] += 1


def balls_into_bins(bins: int, choices: int, balls: int | None = None, seed: int = 1) -> NDArray[np.int32]:
    """Number of balls in each bin after ``balls`` (by default as many as bins) were thrown.

    Raises ``ValueError`` for less than one bin or choice, or a negative number of balls.
    """
    if bins < 1:
        raise ValueError(f"bins is {bins!r}; it takes a whole number of at least 1")
    if choices < 1:
        raise ValueError(f"choices is {choices!r}; it takes a whole number of at least 1")
    balls = bins if balls is None else balls
    if balls < 0:
        raise ValueError(f"balls is {balls!r}; it takes a whole number of at least 0")
    load = np.zeros(bins, np.int32)
    throw(np.uint64(Seeds(seed).number("balls", choices)), balls, choices, load)
    return load
