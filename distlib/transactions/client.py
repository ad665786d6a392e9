"""A client of a bank: one transaction after the other, each asked for once."""

from __future__ import annotations

from dataclasses import dataclass

from distlib.replication.client import Client
from distlib.replication.message import Returned


@dataclass
class Teller(Client):
    """Asks its ``servers`` in turn for ``commands`` (``Begin(work)``), each a transaction. Without an answer for
    ``timeout_ms`` it does not know what became of it, and doesn't ask again, for that would be another transaction."""

    def ask(self) -> None:
        """Each time the next server."""
        self.target = self.serial % len(self.servers)
        super().ask()

    def on_attempt_timeout(self) -> None:
        """Unknown: go on with the next."""
        self.waiting = False
        self.output(Returned(self.id, self.serial, self.command(), None))
        self.set_timer("next", *self.think_ms)
