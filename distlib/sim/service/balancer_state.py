"""What a balancer knows: requests it has sent, answers it has heard, and nothing else.

Every array has one row a balancer (index ``me``), because several balancers in front of the same backends know only
their own traffic. Answers on their way are kept, per backend, as a list in order of departure; a balancer *hears*
those that are due when it looks. So one policy runs unchanged in three worlds: in the event-free recurrence, where a
departure is known at arrival and heard lazily; in the event engine, where it is listed as it happens; and step by
step in plain Python, where answers are told as they come.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from distlib.core.draw import below, compiled, compiled_apart, place
from distlib.sim.service.instant import by

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

OK, REJECTED, FAILED, UNAVAILABLE = 0, 1, 2, 3  # how a request ended


class PolicyConstants(NamedTuple):
    """A policy's constants."""

    code: int = 0  # which of several policies that share a compiled choice
    choices: int = 0  # backends sampled for one request; 0 for all
    with_replacement: bool = False
    decay_s: float = 0.0  # peak EWMA: time after which an old latency has lost 63 % of its weight
    bound_over: int = 0  # bounded loads: highest load over mean load, bound_over / bound_under; 0 for no bound
    bound_under: int = 1
    reports_idle: bool = False  # idle backends report to a balancer
    delay_s: float = 0.0  # an answer is heard this much after it left the backend
    refresh_s: float = 0.0  # loads are read from a bulletin board that is refreshed so often; 0: live
    ejects: bool = False  # failures in a row are counted


class BalancerState(NamedTuple):
    """State of m balancers over n backends, and of all requests; times in seconds, ``-1`` for "none" in lists."""

    key: NDArray[np.uint64]  # (m,) random stream of each balancer's choices
    draws: Ints  # (m,) draws taken from it
    members: Ints  # (m, n) backends that may be chosen: the first ``size`` entries of the row
    size: Ints  # (m,)
    available: NDArray[np.bool_]  # (m, n) the same as flags
    weight: Floats  # (n,)
    share: Floats  # (n,) 1/weight, because a product is quicker than a quotient
    in_flight: Ints  # (m, n) requests sent and not yet heard of again
    posted: Ints  # (n,) the bulletin board
    credit: Floats  # (m, n) weighted round robin
    cursor: Ints  # (m,) round robin
    latency: Floats  # (m, n) peak EWMA of the response time
    latency_at: Floats  # (m, n) when it was last brought up to date
    failures: Ints  # (m, n) consecutive failed answers
    token: Ints  # (n,) balancer in whose idle queue the backend stands
    token_key: NDArray[np.uint64]  # (n,) random stream of each idle backend's reports
    reports: Ints  # (n,) how many so far
    user: NDArray[
        np.int32
    ]  # (n, most users) balancers to which the idle backend may report: the first ``users`` of a row
    users: Ints  # (n,) 0 for all where nobody asks for reports
    preference: NDArray[np.int32]  # (clients, n) key affinity: a client's backends in order
    servers: Ints  # (n,)
    in_system: Ints  # (n,) requests at the backend, waiting or in service
    heard: Ints  # (n,) last request of which the balancer has heard
    next_answer: Floats  # (n,) when the one after it leaves; infinite when there is none, as most often
    left: Ints  # (n,) last request that has left
    last: Ints  # (n,) end of the list of answers
    arrival: Floats  # (jobs,)
    service: Floats  # (jobs,) work, as time on a backend of speed 1
    sender: NDArray[np.int32]  # (jobs,) or (1,) when there is one balancer
    client: NDArray[np.int32]  # (jobs,) or (1,) when keys do not matter
    start: Floats  # (jobs,) begin of service
    departure: Floats  # (jobs + n,) the last n entries are the list heads
    backend: NDArray[np.int32]  # (jobs,) -1 where none was left
    status: NDArray[np.int8]  # (jobs,)
    following: NDArray[np.int32]  # (jobs + n,) next answer of the same backend
    preceding: NDArray[np.int32]  # (jobs + n,) or (1,) where answers always come in order of arrival


@compiled
def draw_below(known: BalancerState, me: int, size: int) -> int:
    """The balancer's next random whole number from 0 to ``size`` - 1."""
    count = known.draws[place(me)]
    known.draws[place(me)] = count + 1
    return below(known.key[place(me)], count, size)


@compiled
def requests_in_flight(rule: PolicyConstants, known: BalancerState, me: int, backend: int, now: float) -> int:
    """Load of a backend as this balancer sees it: own requests without an answer, or what the board says."""
    if rule.refresh_s > 0.0:
        return known.posted[place(backend)]
    hear(rule, known, backend, now)
    return known.in_flight[place(me), place(backend)]


@compiled
def hear(rule: PolicyConstants, known: BalancerState, backend: int, now: float) -> None:
    """Take in the answers of ``backend`` that have reached their balancers by ``now``."""
    until = by(now) - rule.delay_s
    if known.next_answer[place(backend)] > until:
        return
    job = known.following[place(known.heard[place(backend)])]
    while job >= 0 and known.departure[place(job)] <= until:
        me = known.sender[place(job)] if known.sender.size > 1 else 0
        at = known.departure[place(job)]
        failed = rule.ejects and known.status[place(job)] == FAILED
        answered(rule, known, me, backend, at - known.arrival[place(job)], at + rule.delay_s, failed)
        known.heard[place(backend)] = job
        job = known.following[place(job)]
    known.next_answer[place(backend)] = known.departure[place(job)] if job >= 0 else np.inf


@compiled
def answered(
    rule: PolicyConstants, known: BalancerState, me: int, backend: int, response_s: float, now: float, failed: bool
) -> None:
    """One request of this balancer came back."""
    known.in_flight[place(me), place(backend)] -= 1
    if rule.ejects:
        known.failures[me, backend] = known.failures[me, backend] + 1 if failed else 0
    if rule.decay_s > 0.0:
        observe_latency(rule, known, me, backend, response_s, now)


@compiled
def observe_latency(
    rule: PolicyConstants, known: BalancerState, me: int, backend: int, response_s: float, now: float
) -> None:
    """Peak EWMA: jump up to a slow answer at once, forget it with time constant ``decay_s`` (as Finagle does)."""
    old = known.latency[me, backend]
    if response_s > old:
        known.latency[me, backend] = response_s
    else:
        keep = math.exp(-max(0.0, now - known.latency_at[me, backend]) / rule.decay_s)
        known.latency[me, backend] = old * keep + response_s * (1.0 - keep)
    known.latency_at[me, backend] = now


@compiled
def send(known: BalancerState, me: int, backend: int) -> None:
    """Count a request that goes to ``backend`` now, on the balancer's side."""
    known.in_flight[place(me), place(backend)] += 1


@compiled
def enter(known: BalancerState, backend: int) -> None:
    """Count it on the backend's side; one without a free server leaves the idle queue."""
    known.in_system[backend] += 1
    if known.in_system[backend] >= known.servers[backend]:
        known.token[backend] = -1


@compiled
def leaves_later(departure: Floats, one: int, other: int) -> bool:
    """Whether request ``one`` leaves after ``other``; at the same time the one that came later does."""
    return departure[one] > departure[other] or (departure[one] == departure[other] and one > other)


@compiled
def list_answer(known: BalancerState, backend: int, job: int) -> None:
    """Put ``job``, whose departure is set, into the backend's list of answers, by departure, then by arrival."""
    at = known.last[place(backend)]
    if known.preceding.size > 1:  # several servers: a request may leave before an earlier one
        heard, left = known.heard[backend], known.left[backend]  # what somebody knows already stays before it
        while at != heard and at != left and leaves_later(known.departure, at, job):
            at = known.preceding[at]
    after = known.following[place(at)]
    known.following[place(at)] = job
    if at == known.heard[place(backend)]:
        known.next_answer[place(backend)] = known.departure[place(job)]
    known.following[place(job)] = after
    if after < 0:
        known.last[place(backend)] = job
    if known.preceding.size > 1:
        known.preceding[job] = at
        if after >= 0:
            known.preceding[after] = job


@compiled
def leave(known: BalancerState, backend: int, now: float) -> None:
    """Take out of the backend what has departed by ``now``; one with a free server joins an idle queue at random."""
    job = known.following[known.left[backend]]
    while job >= 0 and known.departure[job] <= by(now):
        known.in_system[backend] -= 1
        if known.in_system[backend] == known.servers[backend] - 1:
            report_idle(known, backend)
        known.left[backend] = job
        job = known.following[job]


@compiled
def report_idle(known: BalancerState, backend: int) -> None:
    """Join the idle queue of a balancer drawn at random among those that use ``backend``."""
    if known.users[backend] > 0:
        drawn = below(known.token_key[backend], known.reports[backend], known.users[backend])
        known.token[backend] = known.user[backend, drawn]
        known.reports[backend] += 1


@compiled_apart
def post_loads(rule: PolicyConstants, known: BalancerState, now: float) -> None:
    """Refresh the bulletin board: requests at every backend, everybody's traffic counted."""
    for backend in range(known.posted.size):
        hear(rule, known, backend, now)
        known.posted[backend] = known.in_flight[:, backend].sum()


@compiled_apart
def set_available(known: BalancerState, me: int, backend: int, available: bool) -> None:
    """Eject ``backend`` from this balancer's members, or take it back."""
    if known.available[me, backend] == available:
        return
    known.available[me, backend] = available
    size = 0
    for b in range(known.weight.size):
        if known.available[me, b]:
            known.members[me, size] = b
            size += 1
    known.size[me] = size
    known.credit[me, backend] = 0.0
