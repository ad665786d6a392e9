"""Closed forms: the supermarket model, the shorter of two queues, balls into bins, shares of a ring, keys that move."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import spsolve
from scipy.special import gammainc, gammaincc

from distlib.core import require
from distlib.theory.queueing import check_load


def supermarket_tail(length: int, load: float, choices: int) -> float:
    """Share of queues with at least ``length`` requests when the number of servers goes to infinity:
    s_k = λ^((d^k − 1)/(d − 1)), doubly exponential for d ≥ 2; λᵏ for d = 1. Poisson arrivals, exponential service,
    first come first served (Mitzenmacher, IEEE TPDS 12(10), 2001; Vvedenskaya, Dobrushin & Karpelevich 1996)."""
    check_load(load)
    require.whole("choices", choices, 1)
    if length <= 0:
        return 1.0
    if load == 0.0:
        return 0.0
    if choices == 1:
        return load**length
    if length * math.log(choices) > 700:  # dᵏ alone makes it 0
        return 0.0
    return math.exp((float(choices) ** length - 1.0) / (choices - 1.0) * math.log(load))


def found_ahead(length: int, load: float, choices: int) -> float:
    """Probability that an arrival finds at least ``length`` ahead of it, s_k^d, as one power: no digit is lost."""
    if length * math.log(choices) > 600:
        return 0.0
    steps = float(length) if choices == 1 else (float(choices) ** (length + 1) - choices) / (choices - 1.0)
    return load**steps


def supermarket_response(load: float, choices: int, service_s: float = 1.0) -> float:
    """Mean response with infinitely many servers: T = Σ_{i≥1} λ^((dⁱ − d)/(d − 1)), or M/M/1's for d = 1.

    A finite number of servers always takes longer: with 100 of them and d = 2, by 1.2 % at λ = .9, 9 % at λ = .99.
    """
    check_load(load, service_s)
    require.whole("choices", choices, 1)
    if choices == 1:
        return service_s / (1.0 - load)
    total, k = 0.0, 0
    while (term := found_ahead(k, load, choices)) > 0.0:
        total, k = total + term, k + 1
    return total * service_s


def supermarket_response_tail(time_s: float, load: float, choices: int, service_s: float = 1.0) -> float:
    """P(response > t) with infinitely many servers: with k requests ahead the response is a sum of k + 1 services."""
    check_load(load, service_s)
    require.whole("choices", choices, 1)
    t = max(0.0, time_s) / service_s
    if choices == 1:
        return math.exp(-t * (1.0 - load))
    total, k, here = 0.0, 0, 1.0
    while here > 0.0:
        after = found_ahead(k + 1, load, choices)
        total += (here - after) * float(gammaincc(k + 1, t))
        here, k = after, k + 1
    return total


@lru_cache(maxsize=64)
def shorter_of_two_response(load: float, service_s: float = 1.0) -> float:
    """Join the shortest queue of two: mean response of the exact Markov chain, to about 1e-9.

    Poisson arrivals at 2ρ, two exponential servers, a fair coin at ties, no jockeying (Flatto & McKean 1977). The
    state is (shorter queue, difference), cut off where less than 1e-14 of the probability lies beyond: the shorter
    queue falls off as ρ²ᵏ, the difference as (ρ²/(2 + ρ))ᵏ. Loads up to .995.
    """
    check_load(load, service_s)
    if load > 0.995:
        raise ValueError(f"load is {load!r}; the chain is solved for loads up to .995, beyond it grows too large")
    if load < 1e-8:  # an arrival that meets two others is less likely than the last digit
        return service_s
    shortest = max(20, math.ceil(math.log(1e-14 * (1 - load)) / (2 * math.log(load)))) + 1
    differences = max(20, math.ceil(math.log(1e-14) / (2 * math.log(load) - math.log(2 + load)))) + 1
    balance = _two_queues_generator(load, shortest, differences).T.tocsc()
    # One equation is redundant; the empty state has weight 1 until all are known, so that the matrix keeps its band.
    others = spsolve(balance[1:, 1:], -balance[1:, 0].toarray().ravel(), permc_spec="NATURAL")
    weight = np.concatenate([[1.0], others])
    m, d = np.divmod(np.arange(weight.size), differences)
    return float((weight * (2 * m + d)).sum() / weight.sum() / (2.0 * load)) * service_s  # Little's law


def _two_queues_generator(load: float, shortest: int, differences: int) -> csc_matrix:
    """Rates between the states m · differences + d: shorter queue m, longer queue m + d."""
    m, d = (x.ravel() for x in np.meshgrid(np.arange(shortest), np.arange(differences), indexing="ij"))
    state = m * differences + d
    moves = [
        (d > 0, m + 1, d - 1, 2 * load),  # an arrival joins the shorter queue
        (d == 0, m, d + 1, 2 * load),
        ((d > 0), m, d - 1, 1.0),  # a departure from the longer one
        ((m > 0) & (d > 0), m - 1, d + 1, 1.0),  # ... from the shorter one
        ((m > 0) & (d == 0), m - 1, d + 1, 2.0),
    ]
    rows, columns, rates = [], [], []
    for allowed, to_m, to_d, rate in moves:
        ok = allowed & (to_m < shortest) & (to_d < differences)
        rows.append(state[ok])
        columns.append(to_m[ok] * differences + to_d[ok])
        rates.append(np.full(int(ok.sum()), rate))
    row, column, rate_of = np.concatenate(rows), np.concatenate(columns), np.concatenate(rates)
    outflow = np.bincount(row, weights=rate_of, minlength=state.size)
    return csc_matrix(
        (np.concatenate([rate_of, -outflow]), (np.concatenate([row, state]), np.concatenate([column, state]))),
        shape=(state.size, state.size),
    )


def bins_with_at_least(balls_per_bin: float, choices: int, most: int = 60) -> NDArray[np.float64]:
    """Share of bins with at least 0, 1, ..., ``most`` balls, for many bins. One choice: a Poisson tail. d choices: the
    solution of ds_i/dt = s_{i−1}^d − s_i^d (Mitzenmacher 2001, §2)."""
    require.whole("choices", choices, 1)
    require.number("balls_per_bin", balls_per_bin, 0)
    if choices == 1:
        level = np.arange(1, most + 1)
        return np.concatenate([[1.0], gammainc(level, balls_per_bin)])

    def flow(_: float, share: NDArray[np.float64]) -> NDArray[np.float64]:
        share = np.clip(share, 0.0, 1.0)  # a step too far would grow without end under a large power
        below = np.concatenate([[1.0], share[:-1]])
        return below**choices - share**choices

    solved = solve_ivp(flow, (0.0, balls_per_bin), np.zeros(most), method="LSODA", rtol=1e-10, atol=1e-30)
    return np.concatenate([[1.0], np.clip(solved.y[:, -1], 0.0, 1.0)])


def ring_share_deviation(nodes: int, virtual_nodes: int = 1) -> float:
    """Standard deviation of a share over its mean: √((n − 1)/(nv + 1)) (Lamping & Veach 2014, table 1). nv points at
    random cut the circle into arcs that are jointly Dirichlet(1, ..., 1), and a node owns v of them, so its share is
    Beta(v, (n − 1)v)."""
    require.whole("nodes", nodes, 1)
    require.whole("virtual_nodes", virtual_nodes, 1)
    return math.sqrt((nodes - 1) / (nodes * virtual_nodes + 1))


def moved_consistent(before: int, after: int) -> float:
    """Least share of keys that must move between ``before`` and ``after`` equal nodes: |after − before| / larger. What
    a ring, rendezvous and jump hashing reach: 1/(n + 1) when one node joins n, all of it to the new one."""
    require.whole("before", before, 1)
    require.whole("after", after, 1)
    return abs(after - before) / max(before, after)


def moved_modulo(before: int, after: int) -> float:
    """Share of keys that move under ``hash mod n``: 1 − min/lcm; n/(n + 1) when one node joins n."""
    require.whole("before", before, 1)
    require.whole("after", after, 1)
    return 1.0 - min(before, after) / math.lcm(before, after)
