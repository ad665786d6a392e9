"""Balls into bins: each ball goes to the emptiest of ``choices`` bins taken at random."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distlib.core import require
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


def balls_into_bins(bins: int, choices: int, seed: int = 1) -> NDArray[np.int32]:
    """Number of balls in each bin after as many balls as bins were thrown."""
    load = np.zeros(require.whole("bins", bins, 1), np.int32)
    throw(np.uint64(Seeds(seed).number("balls", require.whole("choices", choices, 1))), bins, choices, load)
    return load
