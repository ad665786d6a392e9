"""One instant of virtual time, whatever rounding says.

Arrivals every .1 s meet services of .1 s: in binary fractions one of the two comes a last digit later, and chance
would decide whether a request finds the server free. So times that differ by less than 2⁻⁴⁶ of themselves are one
instant, at which things happen in a stated order: departures, crashes and returns, the board's refresh, arrivals.
Rounding stays far below that: regular and recorded arrivals are multiplied, not summed up, and a long row of services
is summed with the rounded-off rest beside it.
"""

from __future__ import annotations

from typing import Any

from distlib.core.draw import compiled

LATEST = 1.0 + 2.0**-46


@compiled
def by(now: float) -> float:
    """The last moment of the instant ``now``: what is due by then has happened."""
    return now * LATEST


@compiled
def precedes(one: float, number: int, other: float, other_number: int) -> bool:
    """Whether ``one`` comes before ``other``; at one instant the lower number does."""
    return by(one) < other or (one <= by(other) and number < other_number)


@compiled
def after(start: float, rest: float, duration: float) -> tuple[float, float]:
    """``start`` + ``rest`` + ``duration``, and what rounding leaves of it (Knuth's TwoSum)."""
    end = start + duration
    added = end - start
    rest += (start - (end - added)) + (duration - added)
    whole = end + rest
    return whole, rest - (whole - end)


@compiled
def tally(times: Any, at: Any, group: Any, counts: Any) -> None:
    """Count in ``counts``, shape (times + 1, groups), how much of each group lies at or before each of the ascending
    ``times`` and after the one before it. ``at`` is in order nearly, so the next place is near the last one."""
    place = 0
    for i in range(at.size):
        while place < times.size and not at[i] <= times[place]:  # what is NaN never happens
            place += 1
        while place > 0 and times[place - 1] >= at[i]:
            place -= 1
        counts[place, group[i]] += 1
