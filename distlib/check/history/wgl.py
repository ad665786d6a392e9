"""The search for a linearization: Wing & Gong's algorithm with Lowe's memory of configurations.

Sources: Wing & Gong, *Testing and Verifying Concurrent Objects* (1993); Lowe, *Testing for Linearizability*
(2017), §3–4; Horn & Kroening, *Faster Linearizability Checking via P-Compositionality* (2015).

Lowe walks a doubly linked list of calls and returns and lifts out each operation that he places. The
operations he may place next are those called before the first return still in the list: the *open* ones. So
we hold only that return's number, the *frontier*, and one bit for each open operation that is placed already.
Bits are reused once an operation has returned, so a configuration is as wide as the history is concurrent,
not as it is long, and stepping back costs nothing.

A configuration is (frontier, placed, pending ones used, state). Four facts keep their number small; each is
proved by moving an operation within a linearization:

* an operation that only looks, and may look now, is placed now (later it would leave the state just as it
  is);
* a pending operation that changes nothing is not placed (it need not happen at all);
* of equal operations the one that returns first is placed first, and of equal pending ones the one called
  first;
* a configuration that used a subset of the pending operations, all else equal, can do whatever one that used
  more can.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from distlib.check.history.history import Operation
from distlib.check.history.sequential import Illegal, Specification

_ILLEGAL = -1


class Choice(NamedTuple):
    """An operation that may be placed: the bit that says it is, what it does, and the bits that must be
    placed before it.

    A pending operation's ``bit`` and ``equals`` (an equal one that was called first) count among the pending ones used.
    """

    bit: int
    signature: int
    operation: int
    after: int
    equals: int = 0


@dataclass(frozen=True, slots=True)
class Frontier:
    """A return, and what is open at it: operations that only look, that change something, that nobody heard of."""

    bit: int
    looks: list[Choice]
    changes: list[Choice]  # the one that returns soonest stands last
    pending: list[Choice]


class Steps:
    """The specification as a table, filled on demand: small numbers for states and for signatures of operation."""

    def __init__(self, specification: Specification, operations: Sequence[Operation]) -> None:
        self.specification = specification
        self.states: list[Any] = []
        self._numbers: dict[Hashable, int] = {}
        signatures: dict[Hashable, int] = {}
        self.signatures = [
            signatures.setdefault((o.f, o.argument, o.result, o.key), len(signatures)) for o in operations
        ]
        self._samples = dict(zip(reversed(self.signatures), reversed(operations), strict=True))
        self.width = len(signatures)
        self.table: dict[int, int] = {}  # state * width + signature -> next state
        self.start = self._number(specification.initial)

    def _number(self, state: Hashable) -> int:
        try:
            number = self._numbers.setdefault(state, len(self.states))
        except TypeError as error:
            name = type(self.specification).__name__
            raise TypeError(f"{name} has the state {state!r}; a state must be hashable: {error}") from error
        if number == len(self.states):
            self.states.append(state)
        return number

    def after(self, state: int, signature: int) -> int:
        """The number of the next state, or -1 if the step is illegal."""
        known = self.table.get(state * self.width + signature)
        if known is None:
            new = self.specification.step(self.states[state], self._samples[signature])
            known = _ILLEGAL if isinstance(new, Illegal) else self._number(new)
            self.table[state * self.width + signature] = known
        return known


class SearchNode(NamedTuple):
    """A configuration that was reached: from which, by placing which operations, and how many are placed by then.

    ``guessed`` counts the pending ones among ``length``.
    """

    parent: int
    placed: tuple[int, ...]
    state: int
    length: int
    guessed: int


class LinearizationSearch:
    """One partition's search, which can be run a slice at a time. ``operations`` in the order of their calls."""

    def __init__(self, operations: Sequence[Operation], specification: Specification) -> None:
        self.operations = operations
        self.steps = Steps(specification, operations)
        returned = [i for i, operation in enumerate(operations) if not operation.pending]
        self.returns = sorted(returned, key=lambda i: operations[i].returned)
        self.nodes: list[SearchNode] = []
        self.solution: int | None = None
        self.furthest = -1  # the furthest frontier that was reached ...
        self.furthest_nodes: list[int] = []  # ... and the configurations found there
        looks = [specification.only_looks(operation) for operation in operations]
        self._to_come = _frontiers(operations, self.returns, looks, self.steps.signatures)
        self._frontiers: list[Frontier] = []
        self._seen: dict[tuple[int, int, int], list[int]] = {}
        self._stack: list[tuple[int, int, int, int, int, int]] = [(0, 0, 0, self.steps.start, -1, -1)]

    @property
    def done(self) -> bool:
        """Whether the answer is known: a solution, or nothing left to try."""
        return self.solution is not None or not self._stack

    def run(self, limit: int) -> None:
        """Try up to ``limit`` configurations more."""
        for _ in range(limit):
            if self.done:
                return
            frontier, placed, used, state, parent, operation = self._stack.pop()
            frontier, placed, looked = self._settle(frontier, placed, state)
            if self._is_covered(frontier, placed, used, state):
                continue
            chosen = looked if operation < 0 else [operation, *looked]
            length = len(chosen) + (self.nodes[parent].length if parent >= 0 else 0)
            node = len(self.nodes)
            self.nodes.append(SearchNode(parent, tuple(chosen), state, length, used.bit_count()))
            if frontier > self.furthest:
                self.furthest, self.furthest_nodes = frontier, []
            if frontier == self.furthest:
                self.furthest_nodes.append(node)
            if frontier == len(self.returns):
                self.solution = node
            else:
                self._expand(frontier, placed, used, state, node)

    def _settle(self, frontier: int, placed: int, state: int) -> tuple[int, int, list[int]]:
        """Place every open operation that only looks and may, and pass the returns of operations that are placed."""
        looked: list[int] = []
        table, width = self.steps.table, self.steps.width
        while frontier < len(self.returns):
            if frontier == len(self._frontiers):
                self._frontiers.append(next(self._to_come))
            here = self._frontiers[frontier]
            for bit, signature, operation, after, _ in here.looks:
                if not placed & bit and not after & ~placed:
                    new = table.get(state * width + signature)
                    if (self.steps.after(state, signature) if new is None else new) != _ILLEGAL:
                        placed |= bit
                        looked.append(operation)
            if not placed & here.bit:
                break
            placed ^= here.bit
            frontier += 1
        return frontier, placed, looked

    def _is_covered(self, frontier: int, placed: int, used: int, state: int) -> bool:
        """Whether an equal configuration that used no other pending operations was seen; remember this one if not."""
        seen = self._seen.setdefault((frontier, placed, state), [])
        for earlier in seen:
            if earlier & used == earlier:
                return True
        seen.append(used)
        return False

    def _expand(self, frontier: int, placed: int, used: int, state: int, node: int) -> None:
        """Push every next configuration. What is pushed last is tried first: the operation that returns soonest."""
        here, steps, push = self._frontiers[frontier], self.steps, self._stack.append
        for bit, signature, operation, after, equals in reversed(here.pending):
            if not used & bit and not after & ~placed and not equals & ~used:
                new = steps.after(state, signature)
                if new not in (_ILLEGAL, state):
                    push((frontier, placed, used | bit, new, node, operation))
        for bit, signature, operation, after, _ in here.changes:
            if not placed & bit and not after & ~placed:
                new = steps.after(state, signature)
                if new != _ILLEGAL:
                    push((frontier, placed | bit, used, new, node, operation))

    def telling(self, node: int) -> tuple[int, int]:
        """How much a partial linearization says: many answers explained, with few guesses at what nobody heard of."""
        reached = self.nodes[node]
        return reached.length - reached.guessed, -reached.guessed

    def order(self, node: int) -> tuple[Operation, ...]:
        """The operations placed on the way to ``node``, in order."""
        parts = []
        while node >= 0:
            parts.append(self.nodes[node].placed)
            node = self.nodes[node].parent
        return tuple(self.operations[i] for part in reversed(parts) for i in part)


def _frontiers(
    operations: Sequence[Operation], returns: Sequence[int], looks: Sequence[bool], signatures: Sequence[int]
) -> Iterator[Frontier]:
    """What is open at each return. Calls come before returns at the same time; one process keeps its own order."""
    before = _own_order(operations)
    followed = frozenset(before.values())
    bits: dict[int, int] = {}  # open operation -> its bit; in the order of the calls
    by_return: list[tuple[float, int]] = []  # the open operations that change something, soonest return first
    unheard: list[int] = []
    pending: list[Choice] = []
    free = [1]
    called = 0
    for returning in returns:
        while called < len(operations) and operations[called].call <= operations[returning].returned:
            if operations[called].pending:
                unheard.append(called)
            else:
                bits[called] = free.pop()
                free = free or [1 << (len(bits))]
                if not looks[called]:
                    insort(by_return, (operations[called].returned, called))
            called += 1
        if len(pending) < len(unheard) or any(choice.after for choice in pending):
            pending = _pending_choices(unheard, signatures, bits, before)
        yield Frontier(
            bits[returning],
            [Choice(bit, signatures[i], i, bits.get(before.get(i, -1), 0)) for i, bit in bits.items() if looks[i]],
            _choices([i for _, i in by_return], signatures, bits, before, followed)[::-1],
            pending,
        )
        free.append(bits.pop(returning))
        if not looks[returning]:
            by_return.remove((operations[returning].returned, returning))


def _choices(
    chain: list[int], signatures: Sequence[int], bits: dict[int, int], before: dict[int, int], followed: frozenset[int]
) -> list[Choice]:
    """Of equal operations that are open together, the one that returns first is placed first: they could be
    swapped, unless an operation of the later one's own process has to follow it."""
    first: dict[int, int] = {}
    choices = []
    for i in chain:
        signature, own = signatures[i], bits.get(before.get(i, -1), 0)
        choices.append(Choice(bits[i], signature, i, own if i in followed else own | first.get(signature, 0)))
        if not own:
            first[signature] = bits[i]
    return choices


def _pending_choices(
    unheard: list[int], signatures: Sequence[int], bits: dict[int, int], before: dict[int, int]
) -> list[Choice]:
    first: dict[int, int] = {}
    choices = []
    for number, i in enumerate(unheard):
        signature, own = signatures[i], bits.get(before.get(i, -1), 0)
        choices.append(Choice(1 << number, signature, i, own, first.get(signature, 0)))
        if not own:
            first[signature] = 1 << number
    return choices


def _own_order(operations: Sequence[Operation]) -> dict[int, int]:
    """Operation -> the one that its process completed at the very time of its call; no clock orders those two."""
    previous: dict[Hashable, int] = {}
    before: dict[int, int] = {}
    for i, operation in enumerate(operations):
        last = previous.get(operation.process)
        if last is not None and operations[last].returned == operation.call:
            before[i] = last
        if not operation.pending:  # nobody waits for that one
            previous[operation.process] = i
    return before
