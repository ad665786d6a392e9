"""The checkers of the Raft chapters' exercises: each says of a reader's answer what is right or wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

from distlib.check.simulation import after, broken_invariant, try_seeds
from distlib.core.fault import Crash, Fault, Nemesis, Pause
from distlib.core.node import NodeId, node_names, with_peers
from distlib.core.trace import Trace
from distlib.labs.grading import Case, Grade, grade_apart, grade_cases, hidden, listed, number_in, shown
from distlib.raft.client_scenarios import replacement
from distlib.raft.invariants import raft_invariants
from distlib.raft.log import Entry, Index, Log, Term
from distlib.raft.membership import ConfigurationCommitted, Membership
from distlib.raft.message import BecameLeader, RequestVote
from distlib.raft.paper_figures import FIGURE_7, log_of
from distlib.raft.raft import Raft
from distlib.raft.scenarios import ElectionParams, leader_of
from distlib.raft.searches import RAFT_SEARCHES
from distlib.raft.statistics import failovers, leaders
from distlib.raft.theory import split_vote_probability
from distlib.replication.message import ClientRequest
from distlib.replication.state_machine import Put
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network

SEEDS = range(100, 130)


def grade_timeouts(params: Any) -> Grade:
    """In depth, exercise 1: timers for servers across the world. Over 30 seeds that the reader has not seen, healthy
    leaders must stay, and a crashed one must be replaced in 2.5 s at the median and 8 s at the worst."""
    if type(params) is not ElectionParams:
        return Grade(False, (f"give an ElectionParams(...), not {shown(params)}",))
    world = ElectionParams(
        latency="regions", election_timeout_ms=params.election_timeout_ms, heartbeat_ms=params.heartbeat_ms,
        crash_ms=12_000, duration_ms=30_000,
    )  # fmt: skip
    given = ("servers", "latency", "regions", "loss")
    if moved := [name for name in given if getattr(params, name) != getattr(world, name)]:
        keep = "keep five servers in the five regions, latency='regions', and no loss: only the timers are yours"
        return Grade(False, (f"{moved[0]} is {shown(getattr(params, moved[0]))}; {keep}",))
    gaps, needless = [], 0
    for seed in SEEDS:
        trace = replace(world, seed=seed).cluster((Crash(world.crash_ms, "@leader"),)).run(world.duration_ms)
        before = [one for one in leaders(trace) if one[0] < world.crash_ms]
        needless += max(0, len(before) - 1)
        gap_ms = next((gap for _, gap in failovers(trace)), None)
        gaps.append(30_000.0 if gap_ms is None else gap_ms)
    median, worst = sorted(gaps)[len(gaps) // 2], max(gaps)
    deposed = f"healthy leaders were deposed {needless} times in {len(SEEDS)} runs"
    replaced = f"a crashed leader was replaced after {median:.0f} ms (median), {worst:.0f} ms (worst)"
    if needless:
        deposed += ": a timeout fired although a heartbeat was on its way"
    if slow := median > 2500 or worst > 8000:
        replaced += ": 2,500 and 8,000 ms are wanted"
    return Grade(not needless and not slow, (deposed, replaced))


def grade_split_chance(probability: Any) -> Grade:
    """In depth, exercise 2: how likely 7 servers, 2 of them crashed, split: 20 ms one way, timeouts 200–400 ms. Two
    decimals are enough."""
    given = number_in(probability)
    if given is None:
        return Grade(False, (f"give a number between 0 and 1, not {shown(probability)}",))
    right = split_vote_probability(7, 5, 20 / 200)
    if abs(given - right) <= 0.0016:
        return Grade(True, (f"the formula gives {right:.4f}",))
    if abs(given - 100 * right) <= 0.16:
        return Grade(False, ("that is the number in per cent; give a probability",))
    if abs(given - split_vote_probability(7, 5, 20 / 400)) <= 0.003:
        return Grade(False, ("the latency counts as a fraction of the range's width, 200 ms, not of its end",))
    return Grade(False, ("look at the formula again: n = 7, s = 5, l = latency / (maximum − minimum)",))


def grade_deposition(faults: Any) -> Grade:
    """Exercise 4: depose a leader that neither crashes nor pauses, so that an entry of its log is overwritten."""
    given = [faults] if isinstance(faults, Fault) else listed(faults)
    if given is None or not all(isinstance(one, Fault) for one in given):
        wrong = shown(faults) if given is None else next(shown(one) for one in given if not isinstance(one, Fault))
        return Grade(False, (f"give a list of faults, such as [Partition(600, …)]; {wrong} is none",))
    struck = [fault for fault in given if isinstance(fault, (Crash, Pause))]
    if struck:
        return Grade(False, (f"{type(struck[0]).__name__} is not allowed: the leader must stay up",))
    try:
        cluster = ElectionParams(seed=7).cluster(tuple(given))
    except (ValueError, TypeError) as error:
        return Grade(False, (str(error),))
    cluster.run(500)
    first = leader_of(cluster)
    if first is None:
        return Grade(False, ("no leader by 500 ms; let the first election happen",))
    for number in range(6):
        cluster.post(650 + 100 * number, first, ClientRequest(Put("x", f"asked of {first}, {number}")))
    return _deposed(cluster, first)


def _deposed(cluster: Cluster, first: NodeId) -> Grade:
    """What becomes of the leader ``first`` and of its log by 3 s."""
    server: Any = cluster.nodes[first]
    held: set[tuple[int, Entry]] = set()
    while cluster.now_ms < 3000:
        cluster.run(cluster.now_ms + 20)
        held |= set(enumerate(server.log.entries, 1))
    overwritten = sorted(index for index, _ in held - set(enumerate(server.log.entries, 1)))
    won = sorted({one.event.term for one in cluster.outputs if isinstance(one.event, BecameLeader)})
    remark = f"{first} led term {won[0]}; elections were won in terms {', '.join(map(str, won))}"
    if len(won) < 2:
        return Grade(False, (remark, f"{first} was never deposed: its heartbeats still reach the others"))
    if not overwritten:
        hint = "is it cut off when commands arrive (650 to 1150 ms), and back before 3000 ms?"
        return Grade(False, (remark, f"nothing in {first}'s log was overwritten: {hint}"))
    entries = ", ".join(map(str, overwritten))
    return Grade(True, (remark, f"entries {entries} of {first} were overwritten; none was committed"))


def grade_voter(candidate: Any) -> Grade:
    """Exercise 1: ``may_grant_vote``, against the rule of figure 2 in every situation of a small world."""
    if not (isinstance(candidate, type) and issubclass(candidate, Raft)):
        return Grade(False, (f"give your class, a subclass of Raft, not {shown(candidate)}",))
    cases = [_vote(candidate, *situation) for situation in (*TELLING, *_all_votes())]

    def graded() -> Grade:
        with hidden(Raft, "may_grant_vote"):
            return grade_cases(cases, "grant", "refuse")

    return grade_apart(graded)


Situation = tuple[str, NodeId | None, NodeId | None, tuple[Term, ...], tuple[Term, Index, Term]]
"""In words; whom this server, in term 3, voted for, and whom it follows; its log's terms; S2's term, last index, last
term."""

TELLING: list[Situation] = [
    ("a candidate of our term with an equal log, our vote still free", None, None, (1, 2), (3, 2, 2)),
    ("… that already has our vote: its question may have been repeated", "S2", None, (1, 2), (3, 2, 2)),
    ("… when our vote has gone to another", "S3", None, (1, 2), (3, 2, 2)),
    ("a candidate of an older term", None, None, (1, 2), (2, 5, 2)),
    ("a longer log, but of an older last term (§5.4.1)", None, None, (1, 2), (3, 9, 1)),
    ("a shorter log of a newer last term", None, None, (1, 2), (3, 1, 3)),
    ("a shorter log of the same last term", None, None, (1, 2), (3, 1, 2)),
]


def _all_votes() -> Iterator[Situation]:
    logs: list[tuple[Term, ...]] = [(), (1,), (1, 1), (1, 2), (2, 2, 3)]
    for voted_for, leader, log, (term, last) in product(
        (None, "S2", "S3"), (None, "S3"), logs, product((2, 3), ((0, 0), (1, 1), (2, 1), (2, 2), (3, 3), (9, 2)))
    ):
        words = f"voted for {voted_for}, terms of our log {log}, request of term {term} with the last entry {last}"
        yield words, voted_for, leader, log, (term, *last)


def _vote(candidate: type[Raft], words: str, voted_for: NodeId | None, leader: NodeId | None, log: tuple[Term, ...],
          asked: tuple[Term, Index, Term]) -> Case:  # fmt: skip
    request = RequestVote(*asked)

    def server_of(node_class: type[Raft]) -> Raft:
        server = node_class("S1", ("S2", "S3"))
        server.current_term, server.voted_for, server.leader = 3, voted_for, leader
        server.log = Log(tuple(Entry(term, number) for number, term in enumerate(log)))
        return server

    def ask() -> Any:
        server = server_of(candidate)
        before = server.view()._replace(voted_for=None)
        answer = server.may_grant_vote("S2", request)
        if server.view()._replace(voted_for=None) != before:
            raise RuntimeError("it changes the server, and should only answer a question")
        return answer

    return words, ask, server_of(Raft).may_grant_vote("S2", request)


def grade_membership(candidate: Any) -> Grade:
    """In depth, exercise 3: ``may_change``. The two searches for memberships that part, then a change that must end."""
    if isinstance(candidate, type) and issubclass(candidate, Membership):

        def graded() -> Grade:
            with hidden(Membership, "may_change"):
                return _changes_rightly(candidate)

        return grade_apart(graded)
    return Grade(False, (f"give your class, a subclass of Membership, not {shown(candidate)}",))


def _changes_rightly(candidate: type[Membership]) -> Grade:
    for search in (one for one in RAFT_SEARCHES if one.applies_to is Membership):
        outcome = search(candidate, 10)
        if outcome.failure:
            return Grade(False, (f"{search.name}: {outcome.failure}", "the steps there:", *outcome.steps))
    changed = [one.event.servers for one in replacement(node_class=candidate).outputs_of(ConfigurationCommitted)]
    if ("S2", "S3", "S4") not in changed:
        return Grade(False, ("nothing breaks, but S1 is never replaced by S4: is the rule too strict?",))
    return Grade(True, ("no two majorities part, and S1 is replaced by S4",))


def grade_figure_7(agrees: Any, voters: Any) -> Grade:
    """Exercise 2, figure 7: ``agrees`` maps each follower a to f to the last index up to which its log is the leader's
    (0: none); ``voters`` are those that may have voted for this leader, as letters in any form."""
    leader, followers = FIGURE_7.logs["leader"], [name for name in FIGURE_7.logs if name != "leader"]
    if not isinstance(agrees, dict) or {*agrees} != {*followers}:
        return Grade(False, (f"agrees has an index for each of {', '.join(followers)}: {{'a': 9, …}}",))
    named = [one for one in voters.lower() if one.isalpha()] if isinstance(voters, str) else listed(voters)
    if named is None or not all(isinstance(one, str) and one in followers for one in named):
        return Grade(False, (f"voters are some of {', '.join(followers)}, for example 'ab', not {shown(voters)}",))
    wrong = []
    for name in followers:
        log = FIGURE_7.logs[name]
        same = next((at for at, pair in enumerate(zip(log, leader, strict=False)) if pair[0] != pair[1]),
                    min(len(log), len(leader)))  # fmt: skip
        server = Raft(name, ("leader",))
        server.log = log_of(log)
        may = server.is_up_to_date(len(leader), leader[-1])
        if (index := number_in(agrees[name])) is None:
            wrong.append(f"{name}: give the index, a number, not {shown(agrees[name])}")
        elif index != same:
            wrong.append(f"{name}: {index:g} is not where it stops agreeing; compare from the left, term by term")
        if (name in named) != may:
            wrong.append(f"{name}: compare the last terms first, then the lengths (§5.4.1)")
    right = "the leader has its own vote and those of four followers: five of seven"
    return Grade(not wrong, tuple(wrong) or (right,))


# --- random faults against a reader's Raft ----------------------------------------------------------------

LENGTH_MS = 2500.0


def break_it(candidate: type[Raft], *, servers: int = 3, seeds: int = 400) -> Trace:
    """The run of the first seed that breaks an invariant, up to that moment; of the last seed, without ``violations``,
    when ``candidate`` survives all ``seeds``. Raises ``NodeError`` when the candidate itself raises."""
    nemesis = Nemesis(kinds=("crash", "partition"), gap_ms=250, length_ms=250, start_ms=200)

    def attacked(seed: int, record: bool = False) -> Cluster:
        network, asks_ms = Network(Uniform(2, 12)), range(250, int(LENGTH_MS), 60)
        return _attacked(candidate, servers, seed, nemesis, network, LENGTH_MS, asks_ms, record)

    tried = try_seeds(range(seeds), attacked, after(LENGTH_MS, broken_invariant))
    return attacked(tried.seed, record=True).run(LENGTH_MS, until=lambda cluster: bool(cluster.violations))


def _attacked(
    candidate: type[Raft], servers: int, seed: int, nemesis: Nemesis, network: Network, until_ms: float,
    asks_ms: range, record: bool = False,
) -> Cluster:  # fmt: skip
    """Servers under a nemesis until ``until_ms``; at each of ``asks_ms`` one is asked to write, in turn."""
    names = node_names(servers)
    cluster = Cluster(
        with_peers(candidate, names), network, seed=seed, faults=nemesis.schedule(names, seed, until_ms),
        invariants=raft_invariants(), record=record,
    )  # fmt: skip
    for number, at_ms in enumerate(asks_ms):
        cluster.post(at_ms, names[number % servers], ClientRequest(Put("x", number)))
    return cluster
