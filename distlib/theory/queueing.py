"""Closed forms of single queues: M/M/1, M/M/c, M/G/1, GI/M/1, M/D/c and queues with a limit.

``load`` is ρ = λ · E[S] / servers, the share of the time that a server is busy; times come out in the unit of
``service_s``, the mean service time (1 by default, as in published tables). W is the mean time in system (*response*),
Wq the mean time in queue (*wait*). A load outside a formula's domain raises ``ValueError``. Sources: L. Kleinrock,
*Queueing Systems I* (1975); D. Gross et al., *Fundamentals of Queueing Theory* (4th ed., 2008).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammainc, lambertw

from distlib.core import require

MOST_TERMS = 100_000


def check_load(load: float, service_s: float = 1.0) -> None:
    """``ValueError`` unless service takes time and 0 ≤ load < 1: beyond, the queue grows and no mean exists."""
    require.above("service_s", service_s)
    if not (math.isfinite(load) and load >= 0):
        raise ValueError(f"load is {load!r}; it takes a number of at least 0 and below 1")
    if load >= 1:
        raise ValueError(
            f"load is {load!r}: work arrives as fast as it can be done or faster, so the queue grows for ever "
            "and has no mean; the formula holds for a load below 1"
        )


def check_probability(probability: float) -> None:
    """``ValueError`` unless 0 ≤ probability < 1."""
    if not 0 <= probability < 1:
        raise ValueError(f"probability is {probability!r}; a quantile takes a number of at least 0 and below 1")


def mm1_response(load: float, service_s: float = 1.0) -> float:
    """M/M/1: W = E[S]/(1 − ρ). Also the response of random splitting over any number of such servers. Holds for any
    order of service that does not look at service times (Kleinrock I, §3.2)."""
    check_load(load, service_s)
    return service_s / (1.0 - load)


def mm1_response_tail(time_s: float, load: float, service_s: float = 1.0) -> float:
    """M/M/1, first come first served: P(response > t) = exp(−t/W), because the response is exponential."""
    return math.exp(-max(0.0, time_s) / mm1_response(load, service_s))


def mm1_response_quantile(probability: float, load: float, service_s: float = 1.0) -> float:
    """M/M/1, first come first served: −W ln(1 − p); the 99th percentile is 4.60517 W."""
    check_probability(probability)
    return -mm1_response(load, service_s) * math.log1p(-probability)


def erlang_b(servers: int, offered: float) -> float:
    """Erlang's loss formula: blocking of M/G/c/c (c servers, no queue) under ``offered`` = λ E[S] erlangs. Any service
    distribution, any offered traffic (A. K. Erlang 1917). By the recursion B(k) = aB/(k + aB)."""
    require.whole("servers", servers, 1)
    require.number("offered", offered, 0, unit="erlangs")
    blocking = 1.0
    for k in range(1, servers + 1):
        blocking = offered * blocking / (k + offered * blocking)
    return blocking


def erlang_c(servers: int, load: float) -> float:
    """Erlang's delay formula: P(an arrival of M/M/c must wait), with a = cρ: C = B/(1 − ρ(1 − B))."""
    check_load(load)
    blocking = erlang_b(servers, servers * load)
    return blocking / (1.0 - load + load * blocking)


def mmc_wait(servers: int, load: float, service_s: float = 1.0) -> float:
    """M/M/c: Wq = C E[S]/(c(1 − ρ))."""
    require.above("service_s", service_s)
    return erlang_c(servers, load) * service_s / (servers * (1.0 - load))


def mmc_response(servers: int, load: float, service_s: float = 1.0) -> float:
    """M/M/c, one central queue: W = Wq + E[S]."""
    return mmc_wait(servers, load, service_s) + service_s


def mmc_response_tail(time_s: float, servers: int, load: float, service_s: float = 1.0) -> float:
    """M/M/c, first come first served: P(response > t), service time and (with probability C) an exponential wait."""
    require.above("service_s", service_s)
    waits = erlang_c(servers, load)
    t = max(0.0, time_s) / service_s
    spare = servers * (1.0 - load) - 1.0  # rate of the wait minus rate of the service
    slower = math.exp(-min(1.0, 1.0 + spare) * t)  # the slower of the two exponentials, so that nothing overflows
    both = -math.expm1(-abs(spare) * t) / abs(spare) if spare else t
    return math.exp(-t) + waits * slower * both


def mmc_response_quantile(probability: float, servers: int, load: float, service_s: float = 1.0) -> float:
    """M/M/c, first come first served: the time that a share ``probability`` of the responses does not exceed."""
    check_probability(probability)
    require.above("service_s", service_s)
    high = 1.0
    while mmc_response_tail(high, servers, load) > 1.0 - probability:
        high *= 2.0
    found = brentq(lambda t: mmc_response_tail(t, servers, load) - (1.0 - probability), 0.0, high, rtol=1e-14)
    return float(found) * service_s


def mg1_wait(load: float, cv2: float, service_s: float = 1.0) -> float:
    """M/G/1, first come first served (Pollaczek–Khinchine): Wq = ρ/(1 − ρ) · (1 + c²)/2 · E[S]. ``cv2`` is the service
    times' squared coefficient of variation; with an infinite one the mean wait is infinite."""
    check_load(load, service_s)
    require.number("cv2", cv2, 0)
    return load / (1.0 - load) * (1.0 + cv2) / 2.0 * service_s


def mg1_response(load: float, cv2: float, service_s: float = 1.0) -> float:
    """M/G/1, first come first served: W = Wq + E[S]."""
    return mg1_wait(load, cv2, service_s) + service_s


def mg1_sharing_response(load: float, service_s: float = 1.0) -> float:
    """M/G/1 with processor sharing: a request of size x takes x/(1 − ρ) on average, whatever the distribution. Called
    with ``service_s`` = x for one size, or with the mean for all (Kleinrock II, 1976, §4.4)."""
    check_load(load, service_s)
    return service_s / (1.0 - load)


def mm1k_blocking(load: float, capacity: int) -> float:
    """M/M/1/K: share of arrivals that find ``capacity`` = K requests in system: (1 − ρ)ρᴷ/(1 − ρᴷ⁺¹). Any load of at
    least 0, since a bounded queue is always stable; 1/(K + 1) at ρ = 1."""
    require.whole("capacity", capacity, 1)
    require.number("load", load, 0)
    if load in (0.0, 1.0):
        return 0.0 if load == 0.0 else 1.0 / (capacity + 1)
    log = math.log1p(load - 1.0) if load > 0.5 else math.log(load)
    if load > 1.0:  # in powers of 1/ρ, which do not overflow
        return math.expm1(-log) / math.expm1(-(capacity + 1) * log)
    return math.exp(capacity * log) * math.expm1(log) / math.expm1((capacity + 1) * log)


def gim1_sigma(interarrival_transform: Callable[[float], float], load: float) -> float:
    """GI/M/1: the root 0 < σ < 1 of σ = A*(1 − σ), the probability that an arrival must wait.
    ``interarrival_transform`` is A*(s) = E[exp(−sA)], times in units of the mean service time (Kleinrock I, §6.4)."""
    check_load(load)
    if load == 0:
        return 0.0
    high = 1.0 - 1e-9 * (1.0 - load)  # σ = 1 is always a root, and not the one that is meant
    return float(brentq(lambda sigma: interarrival_transform(1.0 - sigma) - sigma, 0.0, high, xtol=1e-15, rtol=1e-14))


def erlang_sigma(stages: int, load: float) -> float:
    """E_n/M/1: σ = (nρ/(nρ + 1 − σ))ⁿ."""
    return 1.0 - erlang_spare(stages, load)


def erlang_spare(stages: int, load: float) -> float:
    """E_n/M/1: x = 1 − σ, by itself, because near saturation it is small: x = 1 − (1 + u/n)⁻ⁿ with u = x/ρ.

    x lies between M/M/1's 1 − ρ and 1. What is missing to it is u times (1 − (1 + u/n)⁻ⁿ)/u − ρ, for small u by the
    power series of that quotient less 1, so that the 1 − ρ of a load near 1 keeps its digits.
    """
    check_load(load)
    require.whole("stages", stages, 1)
    if load == 0 or stages == 1:
        return 1.0 - load

    def missing(spare: float) -> float:
        u = spare / load
        if u > 0.1:
            return -math.expm1(-stages * math.log1p(u / stages)) - spare
        term, total, k = 1.0, 0.0, 1
        while abs(term) > 1e-18 * u:
            term *= -u * (1.0 + k / stages) / (k + 1)
            total, k = total + term, k + 1
        return u * (1.0 - load + total)

    return float(brentq(missing, (1.0 - load) / 2.0, 1.0, xtol=1e-300, rtol=1e-14, maxiter=1000))


def round_robin_response(backends: int, load: float, service_s: float = 1.0) -> float:
    """Round robin over n exponential servers = E_n/M/1: each sees every n-th arrival of a Poisson stream."""
    require.above("service_s", service_s)
    return service_s / erlang_spare(backends, load)


def mdc_wait(servers: int, load: float, service_s: float = 1.0) -> float:
    """M/D/c, first come first served; also round robin over c servers with constant service times.

    Crommelin's queue (Post Office Electrical Engineers' Journal 1932). Every service time the queue loses up to c and
    gains a Poisson(cρ) number, so the mean queue is ρ/(2(1 − ρ)) − (c − 1 + cρ)/2 + Σ 1/(1 − z_k) with the c − 1
    roots of z^c = exp(cρ(z − 1)) inside the unit circle (Janssen & van Leeuwaarden, Queueing Systems 2005), here
    z_k = −W₀(−ρ e^(−ρ) e^(2πik/c))/ρ by Lambert's W. Where few wait, that is a small difference of large numbers, and
    the same mean is summed as Σ E[(Poisson(kcρ) − kc)⁺]/k (Spitzer's identity for the same random walk).
    """
    check_load(load, service_s)
    require.whole("servers", servers, 1)
    if load == 0:
        return 0.0
    decay = servers * (load - 1.0 - math.log(load))  # terms fall faster than e^(−decay · k)
    if decay > 40.0 / MOST_TERMS:
        k = np.arange(1, math.ceil(40.0 / decay) + 1)
        room, offered = k * servers, k * (servers * load)
        excess = offered * gammainc(room, offered) - room * gammainc(room + 1, offered)
        return float(np.sum(np.maximum(0.0, excess) / k)) * service_s / (servers * load)
    turn = np.exp(2j * np.pi * np.arange(1, servers) / servers)
    roots = -lambertw(-load * math.exp(-load) * turn) / load
    queue = load / (2.0 * (1.0 - load)) - (servers - 1 + servers * load) / 2.0 + float(np.sum(1.0 / (1.0 - roots)).real)
    return queue * service_s / (servers * load)


def mdc_response(servers: int, load: float, service_s: float = 1.0) -> float:
    """M/D/c: W = Wq + E[S]."""
    return mdc_wait(servers, load, service_s) + service_s
