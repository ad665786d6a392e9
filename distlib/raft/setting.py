"""The settings of a Raft server, checked: every mistake is named, with the value and what would be right."""

from __future__ import annotations

import math
from typing import Any


def check_settings(server: Any) -> None:
    """Raises ``ValueError`` or ``TypeError`` for an id, peers, timeouts or batch that cannot be."""
    name = type(server).__name__
    if not isinstance(server.id, str) or not server.id:
        raise TypeError(f"{name}.id is {server.id!r}; it takes a name such as 'S1'")
    _check_peers(name, server.id, server.peers)
    timeout = server.election_timeout_ms
    if not isinstance(timeout, tuple) or len(timeout) != 2:
        raise TypeError(f"{name}.election_timeout_ms is {timeout!r}; it takes a pair (low, high) in ms")
    for end in timeout:
        check_time(f"{name}.election_timeout_ms", end)
    if timeout[0] > timeout[1]:
        raise ValueError(
            f"{name}.election_timeout_ms is reversed: {timeout!r}; write the smaller end first, "
            f"{(timeout[1], timeout[0])!r}"
        )
    check_time(f"{name}.heartbeat_ms", server.heartbeat_ms)
    check_count(f"{name}.batch", server.batch, "entries")
    if not hasattr(server.machine, "apply"):
        raise TypeError(f"{name}.machine is {server.machine!r}; it takes a state machine, for example KeyValue()")


def check_count(name: str, value: Any, unit: str) -> None:
    """Raises ``TypeError`` or ``ValueError`` unless ``value`` is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {value!r}; it takes a whole number of {unit}")
    if value < 1:
        raise ValueError(f"{name} is {value}; it takes at least 1 of the {unit}")


def _check_peers(name: str, own: str, peers: Any) -> None:
    if not isinstance(peers, tuple) or not all(isinstance(peer, str) and peer for peer in peers):
        raise TypeError(f"{name}.peers is {peers!r}; it takes a tuple of names such as ('S2', 'S3')")
    if own in peers:
        raise ValueError(f"{name}.peers of {own} names {own} itself; it takes the other servers only")
    twice = sorted({peer for peer in peers if peers.count(peer) > 1})
    if twice:
        raise ValueError(f"{name}.peers of {own} names {twice[0]} twice: {peers!r}")


def check_time(name: str, value: Any) -> None:
    """Raises ``TypeError`` or ``ValueError`` unless ``value`` is a finite time above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is {value!r}; it takes a time in ms above 0")
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} is {value!r}; it takes a time in ms above 0")
