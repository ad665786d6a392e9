"""Many transactions at once, compiled: what two-phase commit costs under load, in a fraction of a second.

The rules are those of ``two_phase.TwoPhaseCommit`` and ``deadlocks``; a test holds every transaction's times equal to
those of the simulated cluster on the same network. Here nothing fails but, if wanted, coordinators: that is one number
a transaction, how long its coordinator is down when it has all votes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from distlib.core.draw import compiled, compiled_apart

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WAIT, WOUND_WAIT, REFUSE = 0, 1, 2
"""What a transaction does whose lock another one holds: wait; wound it if it is younger, else wait; give up."""

BEGIN, PREPARE, YES, NO, COMMIT, ABORT, WOUND, TOLD = range(8)
"""What happens at an event: a client's request, a request to prepare, two votes, two decisions, a wound, an answer to
the client."""

NONE, WAITING, HOLDING, OVER = range(4)
"""A branch: not heard of, waits for its lock, holds it, is over."""


class Load(NamedTuple):
    """What is asked: arrays over (clients, turns), and (clients, turns, branches) for what each transaction locks.

    ``hop_ms`` are one-way latencies between nodes, clients included: clients come after the nodes. ``patience_ms`` is
    how long a coordinator waits for votes (infinite: for ever); ``write_ms`` what forcing a record takes, ``first_ms``
    what must be forced before the requests leave, ``abort_ms`` before an abort does.
    """

    home: Ints  # (clients,) the node that coordinates a client's transactions
    think_ms: Floats  # (clients, turns) before each transaction
    node: Ints  # (clients, turns, branches)
    lock: Ints  # (clients, turns, branches) numbers of locks; each belongs to one node
    outage_ms: Floats  # (clients, turns) 0: the coordinator does not crash
    hop_ms: Floats  # (nodes + clients, nodes + clients)
    policy: int
    patience_ms: float
    write_ms: float
    first_ms: float
    abort_ms: float


class Course(NamedTuple):
    """What came of it, over (clients, turns), and each branch's time under its lock, until it knew the decision."""

    asked_ms: Floats
    told_ms: Floats
    committed: NDArray[np.bool_]
    locked_ms: Floats  # (clients, turns, branches)


class _State(NamedTuple):
    """Transactions are numbered client · turns + turn, branches transaction · branches + branch."""

    begun_ms: Floats
    votes: Ints
    decided: Ints  # 0 not yet, 1 commit, 2 abort
    stage: Ints  # of branches
    held_ms: Floats
    behind: Ints  # the next branch in line for the same lock
    first: Ints  # of locks: the branch that holds it, -1 for none; the line begins behind it
    last: Ints
    timers: Ints  # transactions in the order in which they began
    timer: Ints  # (2,) the first that has not run out, and how many there are
    heap_ms: Floats
    heap_number: Ints
    heap_what: Ints
    heap_whom: Ints
    size: Ints  # (3,) of the heap; events so far; 1: the heap was too small


def run(load: Load) -> Course:
    """Every client's transactions, one after the other; all clients at once."""
    clients, turns, branches = load.node.shape
    count, room = clients * turns, 64 + clients * (6 * branches + 8)
    locks = int(load.lock.max()) + 1
    while True:
        shape = (clients, turns)
        course = Course(np.zeros(shape), np.full(shape, np.nan), np.zeros(shape, bool), np.zeros(load.node.shape))
        state = _State(
            np.zeros(count), np.zeros(count, np.int64), np.zeros(count, np.int64),
            np.zeros(count * branches, np.int64), np.zeros(count * branches), np.full(count * branches, -1),
            np.full(locks, -1), np.full(locks, -1), np.zeros(count, np.int64), np.zeros(2, np.int64),
            np.zeros(room), np.zeros(room, np.int64), np.zeros(room, np.int64), np.zeros(room, np.int64),
            np.zeros(3, np.int64),
        )  # fmt: skip
        _simulate(load, course, state)
        if not state.size[2]:
            return course
        room *= 4


# ------------------------------------------------------------ the queue of events


@compiled
def _precedes(state: _State, one: int, other: int) -> bool:
    if state.heap_ms[one] != state.heap_ms[other]:
        return bool(state.heap_ms[one] < state.heap_ms[other])
    return bool(state.heap_number[one] < state.heap_number[other])


@compiled
def _swap(state: _State, one: int, other: int) -> None:
    for column in (state.heap_number, state.heap_what, state.heap_whom):
        kept = column[one]
        column[one] = column[other]
        column[other] = kept
    time_ms = state.heap_ms[one]
    state.heap_ms[one] = state.heap_ms[other]
    state.heap_ms[other] = time_ms


@compiled_apart
def _push(state: _State, at_ms: float, what: int, whom: int) -> None:
    size = state.size
    if size[0] == len(state.heap_ms):
        size[2] = 1
        return
    at = size[0]
    size[0] += 1
    size[1] += 1
    state.heap_ms[at], state.heap_number[at] = at_ms, size[1]
    state.heap_what[at], state.heap_whom[at] = what, whom
    while at and _precedes(state, at, (at - 1) // 2):
        _swap(state, at, (at - 1) // 2)
        at = (at - 1) // 2


@compiled_apart
def _pop(state: _State) -> None:
    """The earliest event goes to the end of the heap's arrays, just behind the others."""
    size = state.size
    size[0] -= 1
    _swap(state, 0, size[0])
    at = 0
    while 2 * at + 1 < size[0]:
        child = 2 * at + 1
        if child + 1 < size[0] and _precedes(state, child + 1, child):
            child += 1
        if not _precedes(state, child, at):
            break
        _swap(state, at, child)
        at = child


# ------------------------------------------------------------ the rules


@compiled_apart
def _simulate(load: Load, course: Course, state: _State) -> None:
    clients, turns, branches = load.node.shape
    nodes = len(load.hop_ms) - clients
    for client in range(clients):
        _ask(load, course, state, client, 0, 0.0, nodes)
    timer = state.timer
    while not state.size[2]:
        while timer[0] < timer[1] and state.decided[state.timers[timer[0]]]:
            timer[0] += 1
        due_ms = math.inf
        if timer[0] < timer[1]:
            due_ms = state.begun_ms[state.timers[timer[0]]] + load.patience_ms
        if not state.size[0] and due_ms == math.inf:
            return  # nothing happens any more: all are through, or wait for ever
        if not state.size[0] or due_ms <= state.heap_ms[0]:
            _decide(load, course, state, state.timers[timer[0]], 2, due_ms)
            continue
        _pop(state)
        at = state.size[0]
        now_ms, what, whom = state.heap_ms[at], state.heap_what[at], state.heap_whom[at]
        if what == PREPARE:
            _prepare(load, state, course, whom, now_ms)
        elif what in (COMMIT, ABORT):
            _hear(load, course, state, whom, now_ms)
        elif what == YES:
            transaction = whom // branches
            state.votes[transaction] += 1
            if state.votes[transaction] == branches and not state.decided[transaction]:
                outage_ms = load.outage_ms[transaction // turns, transaction % turns]
                _decide(load, course, state, transaction, 2 if outage_ms else 1, now_ms)
        elif what in (NO, WOUND):
            transaction = whom // branches if what == NO else whom
            if not state.decided[transaction]:
                _decide(load, course, state, transaction, 2, now_ms)
        elif what == BEGIN:
            _begin(load, state, whom, now_ms)
        else:
            client, turn = whom // turns, whom % turns
            course.told_ms[client, turn] = now_ms
            if turn + 1 < turns:
                _ask(load, course, state, client, turn + 1, now_ms, nodes)


@compiled_apart
def _ask(load: Load, course: Course, state: _State, client: int, turn: int, now_ms: float, nodes: int) -> None:
    """A client thinks, then asks."""
    asked_ms = now_ms + load.think_ms[client, turn]
    course.asked_ms[client, turn] = asked_ms
    transaction = client * load.node.shape[1] + turn
    _push(state, asked_ms + load.hop_ms[nodes + client, load.home[client]], BEGIN, transaction)


@compiled_apart
def _begin(load: Load, state: _State, transaction: int, now_ms: float) -> None:
    """The coordinator asks all to prepare, and starts its timer."""
    _, turns, branches = load.node.shape
    client, turn = transaction // turns, transaction % turns
    state.begun_ms[transaction] = now_ms
    state.timers[state.timer[1]] = transaction
    state.timer[1] += 1
    for branch in range(branches):
        hop_ms = load.hop_ms[load.home[client], load.node[client, turn, branch]]
        _push(state, now_ms + load.first_ms + hop_ms, PREPARE, transaction * branches + branch)


@compiled_apart
def _prepare(load: Load, state: _State, course: Course, branch: int, now_ms: float) -> None:
    """A participant takes the lock, waits for it in line, or gives up."""
    _, turns, branches = load.node.shape
    transaction = branch // branches
    if state.stage[branch] == OVER:
        return
    client, turn = transaction // turns, transaction % turns
    lock = load.lock[client, turn, branch % branches]
    holder = state.first[lock]
    if holder < 0:
        state.first[lock] = state.last[lock] = branch
        _vote(load, course, state, branch, now_ms)
        return
    if load.policy == REFUSE:
        state.stage[branch] = OVER
        hop_ms = load.hop_ms[load.node[client, turn, branch % branches], load.home[client]]
        _push(state, now_ms + load.abort_ms + hop_ms, NO, branch)
        return
    state.stage[branch] = WAITING
    state.behind[state.last[lock]] = branch
    state.last[lock] = branch
    if load.policy == WOUND_WAIT:
        _wound(load, state, branch, holder, now_ms)


@compiled_apart
def _wound(load: Load, state: _State, branch: int, holder: int, now_ms: float) -> None:
    """Wound all in front that are younger."""
    _, turns, branches = load.node.shape
    mine = branch // branches
    node = load.node[mine // turns, mine % turns, branch % branches]
    while holder != branch:
        other = holder // branches
        if state.begun_ms[mine] < state.begun_ms[other]:
            _push(state, now_ms + load.hop_ms[node, load.home[other // turns]], WOUND, other)
        holder = state.behind[holder]


@compiled_apart
def _vote(load: Load, course: Course, state: _State, branch: int, now_ms: float) -> None:
    """It holds its lock: it is prepared when that is on disk."""
    _, turns, branches = load.node.shape
    transaction = branch // branches
    client, turn = transaction // turns, transaction % turns
    state.stage[branch], state.held_ms[branch] = HOLDING, now_ms
    hop_ms = load.hop_ms[load.node[client, turn, branch % branches], load.home[client]]
    _push(state, now_ms + load.write_ms + hop_ms, YES, branch)


@compiled_apart
def _decide(load: Load, course: Course, state: _State, transaction: int, decision: int, now_ms: float) -> None:
    """The decision: on disk, then to everybody. A coordinator that crashes with all votes has none when it comes
    back, and aborts."""
    clients, turns, branches = load.node.shape
    client, turn = transaction // turns, transaction % turns
    state.decided[transaction] = decision
    course.committed[client, turn] = decision == 1
    at_ms = now_ms + (load.write_ms if decision == 1 else load.abort_ms)
    if state.votes[transaction] == branches and decision == 2:
        at_ms += load.outage_ms[client, turn]
    home, nodes = load.home[client], len(load.hop_ms) - clients
    for branch in range(branches):
        node = load.node[client, turn, branch]
        _push(
            state, at_ms + load.hop_ms[home, node], COMMIT if decision == 1 else ABORT, transaction * branches + branch
        )
    _push(state, at_ms + load.hop_ms[home, nodes + client], TOLD, transaction)


@compiled_apart
def _hear(load: Load, course: Course, state: _State, branch: int, now_ms: float) -> None:
    """The decision is here: free the lock, and give it to the first in line."""
    _, turns, branches = load.node.shape
    transaction = branch // branches
    client, turn = transaction // turns, transaction % turns
    stage = state.stage[branch]
    state.stage[branch] = OVER
    if stage not in (WAITING, HOLDING):
        return
    lock = load.lock[client, turn, branch % branches]
    follower = state.behind[branch]
    if stage == HOLDING:
        course.locked_ms[client, turn, branch % branches] = now_ms - state.held_ms[branch]
        state.first[lock] = follower
        if follower < 0:
            state.last[lock] = -1
        else:
            _vote(load, course, state, follower, now_ms)
        return
    before = state.first[lock]
    while state.behind[before] != branch:
        before = state.behind[before]
    state.behind[before] = follower
    if follower < 0:
        state.last[lock] = before
