"""A service with accounts of its own, which takes part in transactions of many services; and one who reads them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from distlib.core import require
from distlib.core.look import Look
from distlib.core.node import Node, NodeId, durable, setting, volatile
from distlib.transactions.bank import Add, Operations, applied
from distlib.transactions.flexible.message import Applied, Begin, Displayed, ReadAccount, Shown, Summed

Pairs = tuple[tuple[str, int], ...]

UNPAYABLE = Add("x", -1_000_000)
"""What every service refuses: no account holds as much."""


class ServiceView(NamedTuple):
    """What an observer sees of a node: its accounts, what it holds for transactions (reserved, locked, to be undone, to
    be sent), and the transactions that it drives."""

    role: str
    balances: str
    held: tuple[str, ...]
    driving: tuple[str, ...]

    @staticmethod
    def role_looks() -> dict[str, Look]:
        """Nothing open; drives a transaction forward, or back; holds something for one that another node drives."""
        return {"idle": Look("pale slate"), "coordinates": Look("pale orange"), "goes back": Look("orange"),
                "holds": Look("yellow")}  # fmt: skip


@dataclass
class Service(Node):
    """A node with a database of its own: what a handler does to it is one local transaction (本地事务).

    It holds the accounts ``initial`` at first. Who drives a transaction repeats what is not answered every ``retry_ms``
    and gives it up, where it still may, after ``patience_ms`` (None: never).
    """

    initial: Pairs = setting((("x", 10),))
    retry_ms: float = setting(40.0)
    patience_ms: float | None = setting(250.0)

    balances: dict[str, int] = durable(dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        for account, balance in self.initial:
            require.whole(f"initial[{account!r}]", balance, 0)
        require.above("retry_ms", self.retry_ms, unit="ms")
        if self.patience_ms is not None:
            require.above("patience_ms", self.patience_ms, unit="ms")

    def start(self) -> None:
        """Open the accounts at the first start; after a crash, take up what is open."""
        if not self.balances:
            self.balances = dict(self.initial)
        for gid in self.open_here():
            self.recover(gid)

    def view(self) -> ServiceView:
        driving, held = self.open_here(), self.held()
        role = "holds" if held else "idle"
        if driving:
            role = "goes back" if any(map(self.has_turned_back, driving)) else "coordinates"
        return ServiceView(role, ", ".join(f"{one}={now}" for one, now in self.balances.items()), held, driving)

    def held(self) -> tuple[str, ...]:
        """What is kept here for transactions, in words."""
        raise NotImplementedError

    def has_turned_back(self, gid: str) -> bool:
        """Whether ``gid``, which is open, is on its way back, as far as this node knows."""
        return False

    def open_here(self) -> tuple[str, ...]:
        """The transactions that this node drives and that are not over."""
        raise NotImplementedError

    def recover(self, gid: str) -> None:
        """Take up ``gid`` again after a crash."""
        raise NotImplementedError

    def wait(self, gid: str) -> None:
        """Repeat after a while what was asked for ``gid``."""
        self.set_timer("retry", self.retry_ms, key=gid)

    def be_patient(self, gid: str) -> None:
        """Think of giving up ``gid`` after a while."""
        if self.patience_ms is not None:
            self.set_timer("patience", self.patience_ms, key=gid)

    def change(self, gid: str, operations: Operations, back: bool = False) -> None:
        """Do ``operations`` on the balances, for others to see."""
        self.balances = applied(self.balances, operations)
        self.output(Applied(gid, operations, back))

    # --- readers ----------------------------------------------------------------------------------------

    def on_read_account(self, sender: NodeId, message: ReadAccount) -> None:
        """A reader outside of all transactions. Without an answer, as it may not see the account yet, it asks again."""
        if self.may_show(message.account):
            self.show(sender, message)

    def may_show(self, account: str) -> bool:
        """Whether a reader may see the account now: always, as nothing is isolated."""
        return True

    def show(self, reader: NodeId, message: ReadAccount) -> None:
        """Tell the reader what can be seen of the account."""
        self.output(Displayed(reader, message.turn, message.account))
        self.send(reader, Shown(message.account, message.turn, self.visible(message.account)))

    def visible(self, account: str) -> int:
        """What a reader sees."""
        return self.balances.get(account, 0)


@dataclass
class Reader(Node):
    """Reads ``accounts``, pairs of a node and an account, one after the other, round after round, and tells what it
    saw. A question without an answer is asked again after ``retry_ms``."""

    accounts: tuple[tuple[NodeId, str], ...]
    retry_ms: float = setting(15.0)
    pause_ms: float = setting(10.0)

    turn: int = volatile(0)
    seen: tuple[tuple[NodeId, str, int], ...] = volatile(())

    def start(self) -> None:
        """Begin the first round."""
        self.set_timer("pause", 0, self.pause_ms)

    def on_pause_timeout(self) -> None:
        """Begin a round."""
        self.turn, self.seen = self.turn + 1, ()
        self.on_retry_timeout()

    def on_retry_timeout(self) -> None:
        """Ask for the next account, perhaps again."""
        node, account = self.accounts[len(self.seen)]
        self.send(node, ReadAccount(account, self.turn))
        self.set_timer("retry", self.retry_ms)

    def on_shown(self, sender: NodeId, message: Shown) -> None:
        """The balance that was asked for; go on to the next account, or tell them all."""
        if (sender, message.account) != self.accounts[len(self.seen)] or message.turn != self.turn:
            return
        self.seen += ((sender, message.account, message.balance),)
        self.cancel_timer("retry")
        if len(self.seen) < len(self.accounts):
            self.on_retry_timeout()
        else:
            self.output(Summed(self.turn, self.seen))
            self.turn, self.seen = self.turn + 1, ()  # late answers are of no use
            self.set_timer("pause", 0, self.pause_ms)


def nodes_of(work: Iterable[tuple[NodeId, Operations]]) -> tuple[NodeId, ...]:
    """Every node that takes part, once, in order."""
    return tuple(dict.fromkeys(node for node, _ in work))


def check_work(message: Begin) -> None:
    """Raises ``ValueError`` for a request without work, or with a pivot that is no step of it."""
    if not message.work:
        raise ValueError(f"transaction {message.gid!r} has no work; it takes pairs of a node and its operations")
    if message.pivot is not None:
        require.whole("pivot", message.pivot, 0, len(message.work) - 1)
