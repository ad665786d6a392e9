"""What clients were told of the balances: transactions that hold their locks to the end look as if done one by one."""

from __future__ import annotations

from typing import Any

import pytest

from distlib.core.fault import Crash
from distlib.core.node import node_names
from distlib.replication.message import Returned
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network
from distlib.transactions.bank import Add, Read
from distlib.transactions.broken import ReadsAhead
from distlib.transactions.client import Teller
from distlib.transactions.history import Accounts, history_of, not_strictly_serializable
from distlib.transactions.message import Begin
from distlib.transactions.presumptions import PresumedAbort, PresumedCommit
from distlib.transactions.quorum_commit import QuorumCommit
from distlib.transactions.searches import looking
from distlib.transactions.tree import TreeCommit
from distlib.transactions.two_phase import TwoPhaseCommit, cluster

NAMES = node_names(2)
LOOK = Begin(tuple([(name, (Read("x"),)) for name in NAMES]))
MOVE = Begin((("S1", (Read("x"), Add("x", -1), Read("x"))), ("S2", (Add("x", 1), Read("x")))))


def clients(node_class: type[Any], seed: int, faults: tuple[Any, ...] = (), **settings: Any) -> Cluster:
    """One client moves money, two look at it."""
    nodes = cluster(node_class, NAMES, **settings)
    nodes += [Teller(f"C{at}", NAMES, (asked,) * 8, think_ms=(0, 10), start_ms=(0, 30))
              for at, asked in enumerate((MOVE, LOOK, LOOK), 1)]  # fmt: skip
    return Cluster(nodes, Network(Uniform(1, 20)), seed=seed, faults=faults)


def told(running: Cluster) -> list[Any]:
    """The committed transactions' reads."""
    answers = [one.event.result for one in running.outputs if isinstance(one.event, Returned)]
    return [one.reads for one in answers if one is not None and one.commit]


@pytest.mark.parametrize("node_class", [TwoPhaseCommit, PresumedAbort, PresumedCommit, QuorumCommit, TreeCommit])
def test_what_clients_read_is_of_one_moment(node_class: type[Any]) -> None:
    for seed in range(1, 21):
        running = clients(node_class, seed, (Crash(60.0, "S2", 30.0),))
        running.run(3_000)
        assert not not_strictly_serializable(running), seed
        assert len(told(running)) >= 6, "enough is committed, else this shows nothing"


def test_a_transaction_reads_what_it_has_written_itself_by_then() -> None:
    running = clients(TwoPhaseCommit, 1)
    running.run(3_000)
    moves = [sorted(reads) for reads in told(running) if len(reads) == 3]
    assert moves[:2] == [
        [("S1.x", 9), ("S1.x", 10), ("S2.x", 11)], [("S1.x", 8), ("S1.x", 9), ("S2.x", 12)]
    ]  # fmt: skip


def test_in_a_tree_what_those_below_have_read_comes_up_with_the_votes() -> None:
    running = looking(TreeCommit, 1)
    running.run(3_000)
    looked = [{account for account, _ in reads} for reads in told(running) if {name for name, _ in reads} >= {"S1.x"}]
    assert looked and all(one == {f"{name}.{account}" for name in node_names(3) for account in "xy"} for one in looked)


def test_the_sum_is_the_same_for_whoever_looks_while_locks_are_held_to_the_end() -> None:
    sums = {sum(balance for _, balance in reads)
            for seed in range(1, 21) for reads in looks(TwoPhaseCommit, seed)}  # fmt: skip
    assert sums == {20}


def looks(node_class: type[Any], seed: int, **settings: Any) -> list[Any]:
    """What those have read who have only looked."""
    running = clients(node_class, seed, **settings)
    running.run(3_000)
    return [reads for reads in told(running) if len(reads) == 2]


def test_readers_that_leave_with_their_vote_may_read_two_moments() -> None:
    """The price of ``read_only_votes`` where the work comes with the request for the vote: a reader frees its locks
    while another node still waits for its own (``TwoPhaseCommit``). In R*, all is read before anybody is asked."""
    sums = {sum(balance for _, balance in reads)
            for seed in range(1, 41) for reads in looks(TwoPhaseCommit, seed, read_only_votes=True)}  # fmt: skip
    assert 20 in sums and len(sums) > 1
    assert any(not_strictly_serializable(ran(seed)) for seed in range(1, 41))


def ran(seed: int) -> Cluster:
    running = clients(TwoPhaseCommit, seed, read_only_votes=True)
    running.run(3_000)
    return running


def test_the_witness_names_what_was_read_and_what_is_there() -> None:
    running = clients(ReadsAhead, 1)
    running.run(3_000)
    assert "not linearizable" in not_strictly_serializable(running)


def test_an_aborted_transaction_has_done_nothing_and_one_without_an_answer_may_have() -> None:
    running = clients(TwoPhaseCommit, 1, (Crash(1.0, "S1"),))
    running.run(3_000)
    history = history_of(running)
    assert history.operations and all(one.argument in (MOVE, LOOK) for one in history.operations)
    assert not told(running), "S1 takes part in all, and is down"
    assert not not_strictly_serializable(running)


def test_the_specification_says_what_is_wrong_with_a_read() -> None:
    accounts = Accounts(tuple((name, (("x", 10),)) for name in NAMES))
    running = clients(TwoPhaseCommit, 1)
    running.run(3_000)
    one = next(one for one in history_of(running).operations if one.argument == MOVE)
    assert accounts.step(accounts.initial, one) == (("S1", (("x", 9),)), ("S2", (("x", 11),)))
    assert not accounts.only_looks(one)
    wrong = accounts.step((("S1", (("x", 5),)), ("S2", (("x", 10),))), one)
    assert "it read S1.x = 9, S1.x = 10, S2.x = 11, and the accounts hold S1.x = 4, S1.x = 5" in str(wrong)
