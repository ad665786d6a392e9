"""A coordinator's log: the durable fields of a node in a file, on disk before anything that speaks of them leaves.

A line a state, the last one counts: its checksum, a space, JSON. The first line says whose log it is, and its checksum
is the seed of all others, so that a line of another log does not pass. A line without an end was being written when the
process was killed; nobody has heard of it, and it is dropped. Anything else that is wrong is refused, not guessed."""

from __future__ import annotations

import errno
import json
import os
import secrets
import zlib
from pathlib import Path
from typing import Any

from distlib.core.codec import from_data, library_class, parse, to_data
from distlib.core.node import Node
from distlib.real.child import Closed

FORMAT = "durable state of a node, 1"
FULL = (
    "{path} takes no further record ({why}); nobody was told what would be in it, and nothing that was told is lost: "
    "make room, and start the coordinator again"
)


class LogError(ValueError):
    """The log is not this node's, or is damaged; the message says where."""


class LogFullError(OSError):
    """No room for another record. What is on disk is whole."""


class Log(Closed):
    """The file ``path``, whose state ``node`` has after this. With ``room``, a disk of so many bytes is simulated."""

    def __init__(self, path: Path, node: Node, room: int | None = None) -> None:
        self.path, self.node, self.room = path, node, room
        self.saved = node.durable_state()
        self.header, records = {"log": FORMAT, "node": node.id, "class": _name(type(node))}, list[Any]()
        if path.exists():
            try:
                content = path.read_bytes()
            except OSError as error:
                raise LogError(f"{path} cannot be read as a log: {error.strerror}") from error
            records = self._read(content)
            self.saved = self._state(records[-1], len(records))
            node.load_durable(self.saved)
        self._begin()

    def is_due(self) -> bool:
        """Whether the durable fields are not as they were saved last."""
        return self.node.durable_state() != self.saved

    def save(self) -> None:
        """Write the durable fields; when this returns they are on disk. Raises ``LogFullError``: then the log is as
        before."""
        state = self.node.durable_state()
        self._append({"durable": [_data(value) for value in state]})
        self.saved = state

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    # --- reading ----------------------------------------------------------------------------------------------

    def _read(self, content: bytes) -> list[Any]:
        lines = content.split(b"\n")[:-1]  # what follows the last end of line was never finished
        if not lines:
            raise LogError(f"{self.path} is empty; a log begins with a line that says whose it is")
        seed, records = 0, []
        for number, line in enumerate(lines, 1):
            where = f"{self.path}, line {number}"
            checksum, _, text = line.partition(b" ")
            if checksum != _checksum(text, seed):
                raise LogError(f"{where} is damaged, or is no line of this log: its checksum is wrong")
            record = parse(text, where)
            if number == 1:
                self._check_header(record)
                seed = zlib.crc32(line)
            records.append(record)
        if len(records) == 1:
            raise LogError(f"{self.path} has no state after its first line: it was cut off")
        return records

    def _check_header(self, header: dict[str, Any]) -> None:
        for name, wanted in self.header.items():
            if header.get(name) != wanted:
                raise LogError(
                    f"{self.path} is the log of another one: its {name} is {header.get(name)!r}, and {wanted!r} is due"
                )

    def _state(self, record: dict[str, Any], number: int) -> tuple[Any, ...]:
        where = f"{self.path}, line {number}"
        names, values = type(self.node).durable_names(), record.get("durable")
        if not isinstance(values, list) or len(values) != len(names):
            raise LogError(f"{where} has not the fields {', '.join(names)} of {type(self.node).__name__}")

        def find(name: Any) -> type:
            found: type = library_class(name, object, where, "its own logs hold the library's records only")
            return found

        try:
            read = [from_data(Any, value, f"{where}.{name}", find) for name, value in zip(names, values, strict=True)]
        except ValueError as error:
            raise LogError(str(error)) from error
        kinds = [frozenset if isinstance(value, frozenset) else None for value in self.saved]
        return tuple([value if kind is None else kind(value) for kind, value in zip(kinds, read, strict=True)])

    # --- writing ----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """A new file with the last state alone takes the old one's place."""
        new = self.path.with_name(self.path.name + ".new")
        try:
            self._file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise LogError(f"no log can be kept at {self.path}: {error.strerror} ({new.parent})") from error
        self._seed, self._length = 0, 0
        try:
            self._seed = zlib.crc32(self._append({**self.header, "salt": secrets.token_hex(8)})[:-1])
            self._append({"durable": [_data(value) for value in self.saved]})
            new.replace(self.path)
            _sync_directory(self.path.parent)
        except BaseException:
            self.close()
            new.unlink(missing_ok=True)
            raise

    def _append(self, record: dict[str, Any]) -> bytes:
        text = json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode()
        line = _checksum(text, self._seed) + b" " + text + b"\n"
        try:
            written = os.pwrite(self._file, line[: self._left()], self._length)
            if written < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self._length)
            raise LogFullError(error.errno, FULL.format(path=self.path, why=error.strerror)) from error
        self._length += len(line)
        return line

    def _left(self) -> int | None:
        return None if self.room is None else max(0, self.room - self._length)


def _name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__name__}"


def _data(value: Any) -> Any:
    return to_data(tuple(sorted(value)) if isinstance(value, frozenset) else value, _name)


def _checksum(text: bytes, seed: int) -> bytes:
    return b"%08x" % zlib.crc32(text, seed)


def _sync_directory(path: Path) -> None:
    """So that the new name is on disk, too."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
