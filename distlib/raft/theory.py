"""Closed forms of leader election with randomised timeouts (Ongaro, PhD thesis, Stanford 2014, §9.2)."""

from __future__ import annotations

from math import comb

from distlib.core import require


def split_vote_probability(servers: int, alive: int, latency: float) -> float:
    """Probability that an election term ends without a leader. It takes a majority alive, and a latency from 0 to 1.

    ``alive`` of ``servers`` take part; ``latency`` is the constant one-way latency as a fraction of the width of the
    timeout range. All timers start at the same instant, all logs are equal, nothing else takes time; the first to time
    out is voted for by all that do not time out within one latency of it. With c = alive − ⌊servers/2⌋ + 1, the vote
    splits when c or more time out within that window:

        P = Σ_{k=c−1..alive} C(alive, k) latency^k (1 − latency)^(alive − k)
    """
    require.whole("alive", alive, 1, servers)
    if 2 * alive <= servers:
        raise ValueError(f"alive is {alive} of {servers}: without a majority nobody can ever win")
    require.number("latency", latency, 0, 1)
    rivals = alive - servers // 2 + 1
    return sum(comb(alive, k) * latency**k * (1.0 - latency) ** (alive - k) for k in range(rivals - 1, alive + 1))
