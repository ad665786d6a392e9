"""Abstract specifications of two ring algorithms, each to read beside its TLA+ original."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from distlib.check.explore.model import Property, always, sometimes
from distlib.principles.specifications import Action, SizedModel, added, replaced


class EWD840State(NamedTuple):
    """The variables of EWD840.tla: which nodes are active and black, where the token is, and whether it is black."""

    active: tuple[bool, ...]
    black: tuple[bool, ...]
    token_at: int
    token_black: bool


@dataclass(frozen=True)
class EWD840(SizedModel[EWD840State]):
    """Dijkstra's termination detection in a ring (EWD 840, 1983): EWD840.tla (Merz).

    Published with 3 nodes: 302 distinct, 2,001 generated, depth 10; with 4: 1,566, 15,986, 12 (ewd840/manifest.json).
    """

    nodes: int = 3

    def initial_states(self) -> Iterator[EWD840State]:
        choices = tuple(product((False, True), repeat=self.nodes))
        for active, black, token_at in product(choices, choices, range(self.nodes)):
            yield EWD840State(active, black, token_at, True)

    def successors(self, state: EWD840State) -> Iterator[tuple[Action, EWD840State]]:
        active, black, at, token_black = state
        if at == 0:
            for _ in range(token_black + black[0]):  # both disjuncts of InitiateProbe's guard count
                yield (("InitiateProbe",), EWD840State(active, replaced(black, 0, False), self.nodes - 1, False))
        else:
            passed = EWD840State(active, replaced(black, at, False), at - 1, token_black or black[at])
            for _ in range((not active[at]) + black[at] + token_black):
                yield ("PassToken", at), passed
        for i in range(self.nodes):
            if active[i]:
                yield ("Deactivate", i), EWD840State(replaced(active, i, False), black, at, token_black)
                for j in range(self.nodes):
                    if j != i:
                        marked = replaced(black, i, True) if j > i else black
                        yield (("SendMsg", i, j), EWD840State(replaced(active, j, True), marked, at, token_black))

    def detected(self, state: EWD840State) -> bool:
        """terminationDetected: node 0 holds a white token, is white and passive."""
        return state.token_at == 0 and not (state.token_black or state.black[0] or state.active[0])

    def properties(self) -> tuple[Property, ...]:
        def detection_is_right(state: EWD840State) -> bool:
            return not self.detected(state) or not any(state.active)

        return always(detection_is_right), sometimes(self.detected, "termination detected")


class ChangRobertsState(NamedTuple):
    """The variables of ChangRoberts.tla; node n has the identity n; ``msgs[n]`` are those on their way to n."""

    msgs: tuple[frozenset[int], ...]
    started: tuple[bool, ...]  # pc # "n0"
    initiator: tuple[bool, ...]
    state: tuple[str, ...]


@dataclass(frozen=True)
class ChangRoberts(SizedModel[ChangRobertsState]):
    """Leader election in a ring (Chang & Roberts 1979): ChangRoberts.tla (Merz). The least initiator wins.

    Published with 3 nodes: 137 distinct, 227 generated, depth 10 (chang_roberts/manifest.json).
    """

    nodes: int = 3

    def initial_states(self) -> Iterator[ChangRobertsState]:
        for initiator in product((False, True), repeat=self.nodes):
            roles = tuple("cand" if first else "lost" for first in initiator)
            yield ChangRobertsState((frozenset(),) * self.nodes, (False,) * self.nodes, initiator, roles)

    def successors(self, now: ChangRobertsState) -> Iterator[tuple[Action, ChangRobertsState]]:
        for n in range(self.nodes):
            after = (n + 1) % self.nodes
            if not now.started[n]:
                msgs = now.msgs
                if now.initiator[n]:
                    msgs = replaced(msgs, after, added(msgs[after], n))
                yield ("n0", n), now._replace(msgs=msgs, started=replaced(now.started, n, True))
                continue
            for identity in sorted(now.msgs[n]):
                msgs = replaced(now.msgs, n, now.msgs[n] - {identity})
                role = now.state[n]
                if role == "lost" or identity < n:
                    role = "lost"
                    msgs = replaced(msgs, after, added(msgs[after], identity))
                elif identity == n:
                    role = "won"
                yield ("n1", n, identity), now._replace(msgs=msgs, state=replaced(now.state, n, role))

    def correct(self, now: ChangRobertsState) -> bool:
        """Correctness: a winner is an initiator, all others have lost, and no initiator has a lesser identity."""
        return all(
            now.initiator[n] and all(now.state[m] == "lost" and (m > n or not now.initiator[m]) for m in others)
            for n, role in enumerate(now.state)
            if role == "won"
            for others in [[m for m in range(self.nodes) if m != n]]
        )

    def properties(self) -> tuple[Property, ...]:
        return always(self.correct), sometimes(lambda now: "won" in now.state, "a leader elected")
