"""One instant of virtual time, whatever rounding says.

Arrivals every .1 s meet services of .1 s: in binary fractions one of the two comes a last digit later, and chance
would decide whether a request finds the server free. So times that differ by less than 2⁻⁴⁶ of themselves are one
instant, at which things happen in a stated order: departures, crashes and returns, the board's refresh, arrivals.
Rounding stays far below that: regular and recorded arrivals are multiplied, not summed up, and a long row of services
is summed with the rounded-off rest beside it.
"""

from __future__ import annotations

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
