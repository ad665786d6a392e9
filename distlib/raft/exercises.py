"""The checkers of the Raft chapters' exercises: each says of a reader's answer what is right or wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from distlib.check.simulation import after, broken_invariant, try_seeds
from distlib.core.fault import Crash, Fault, Nemesis, Pause
from distlib.core.node import NodeId, node_names, with_peers
from distlib.core.trace import Trace
from distlib.labs.grading import Grade, grade_apart, grade_cases
from distlib.raft.client_scenarios import replacement
from distlib.raft.invariants import raft_invariants
from distlib.raft.log import Entry, Index, Log, Term
from distlib.raft.membership import ConfigurationCommitted, Membership
from distlib.raft.message import BecameLeader, RequestVote
from distlib.raft.paper_figures import FIGURE_7, log_of
from distlib.raft.raft import Raft, Role
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
    if not isinstance(params, ElectionParams):
        return Grade(False, (f"give an ElectionParams(...), not {type(params).__name__}",))
    if params.latency != "regions" or len(set(params.regions)) < 5 or params.servers != 5 or params.loss:
        keep = "keep five servers in five regions, latency='regions', and no loss: only the timers are yours"
        return Grade(False, (keep,))
    gaps, needless = [], 0
    for seed in SEEDS:
        trial = replace(params, seed=seed, crash_ms=12_000, duration_ms=30_000)
        trace = trial.cluster((Crash(trial.crash_ms, "@leader"),)).run(trial.duration_ms)
        before = [one for one in leaders(trace) if one[0] < trial.crash_ms]
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


def grade_split_chance(probability: float) -> Grade:
    """In depth, exercise 2: how likely 7 servers, 2 of them crashed, split: 20 ms one way, timeouts 200–400 ms."""
    if isinstance(probability, bool) or not isinstance(probability, (int, float)):
        return Grade(False, (f"give a number between 0 and 1, not {probability!r}",))
    right = split_vote_probability(7, 5, 20 / 200)
    if abs(probability - right) <= 0.001:
        return Grade(True, (f"the formula gives {right:.4f}",))
    if abs(probability - 100 * right) <= 0.1:
        return Grade(False, ("that is the number in per cent; give a probability",))
    if abs(probability - split_vote_probability(7, 5, 20 / 400)) <= 0.001:
        return Grade(False, ("the latency counts as a fraction of the range's width, 200 ms, not of its end",))
    return Grade(False, ("look at the formula again: n = 7, s = 5, l = latency / (maximum − minimum)",))


def grade_deposition(faults: Sequence[Fault]) -> Grade:
    """Exercise 4: depose a leader that neither crashes nor pauses, so that an entry of its log is overwritten."""
    struck = [fault for fault in faults if isinstance(fault, (Crash, Pause))]
    if struck:
        return Grade(False, (f"{type(struck[0]).__name__} is not allowed: the leader must stay up",))
    try:
        cluster = ElectionParams(seed=7).cluster(tuple(faults))
    except ValueError as error:
        return Grade(False, (str(error),))
    cluster.run(500)
    first = leader_of(cluster)
    if first is None:
        return Grade(False, ("no leader by 500 ms; let the first election happen",))
    for number in range(6):
        cluster.post(650 + 100 * number, first, ClientRequest(Put("x", f"asked of {first}, {number}")))
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


def grade_voter(candidate: type[Raft]) -> Grade:
    """Exercise 1: ``may_grant_vote``. Graded on cases, then under a nemesis with figure 3's invariants."""
    return _graded(candidate, _grants_rightly)


def _grants_rightly(candidate: type[Raft]) -> Grade:
    log = Log((Entry(1, "a"), Entry(2, "b")))

    def asked(voted_for: NodeId | None, request: tuple[Term, Index, Term]) -> Any:
        server = candidate("S1", ("S2", "S3"))
        server.current_term, server.voted_for, server.log = 3, voted_for, log
        return server.may_grant_vote("S2", RequestVote(*request))

    situations: list[tuple[str, NodeId | None, tuple[Term, Index, Term], bool]] = [
        ("a candidate of our term with an equal log, our vote still free", None, (3, 2, 2), True),
        ("… that already has our vote: its question may have been repeated", "S2", (3, 2, 2), True),
        ("… when our vote has gone to another", "S3", (3, 2, 2), False),
        ("a candidate of an older term", None, (2, 5, 2), False),
        ("a longer log, but of an older last term (§5.4.1)", None, (3, 9, 1), False),
        ("a shorter log of a newer last term", None, (3, 1, 3), True),
        ("a shorter log of the same last term", None, (3, 1, 2), False),
    ]
    cases = [(words, partial(asked, voted_for, request), right) for words, voted_for, request, right in situations]
    return grade_cases(cases, "grant", "refuse")


def grade_committer(candidate: type[Raft]) -> Grade:
    """Exercise 3: ``may_commit``. Graded on the states of figure 8, then under a nemesis."""
    return _graded(candidate, _commits_rightly)


def _commits_rightly(candidate: type[Raft]) -> Grade:
    old, new = Log((Entry(1, "a"), Entry(2, "b"))), Log((Entry(1, "a"), Entry(2, "b"), Entry(4, "c")))

    def asked(log: Log, index: Index, holders: int) -> Any:
        leader = candidate("S1", ("S2", "S3", "S4", "S5"))
        leader.current_term, leader.role, leader.log = 4, Role.LEADER, log
        leader.match_index = {name: index if place < holders - 1 else 0 for place, name in enumerate(leader.peers)}
        return leader.may_commit(index)

    cases = [
        ("figure 8 (c): entry 2 of term 2 on a majority, the leader of term 4 has none of its own",
         partial(asked, old, 2, 3), False),
        ("figure 8 (e): entry 3 of the leader's own term 4 on a majority", partial(asked, new, 3, 3), True),
        ("entry 3 of its own term on a minority", partial(asked, new, 3, 2), False),
    ]  # fmt: skip
    return grade_cases(cases, "commit", "do not commit")


def _graded(candidate: Any, on_cases: Callable[[type[Raft]], Grade]) -> Grade:
    """In a process of its own: ``candidate`` on the cases of the exercise, then under random faults."""
    if isinstance(candidate, type) and issubclass(candidate, Raft):
        return grade_apart(lambda: _survives(candidate, on_cases(candidate)))
    what = candidate.__name__ if isinstance(candidate, type) else f"an instance of {type(candidate).__name__}"
    return Grade(False, (f"give your class, a subclass of Raft, not {what}",))


def _survives(candidate: type[Raft], cases: Grade) -> Grade:
    """If all ``cases`` are right: in 60 runs of 3 s with random faults every invariant holds, and work gets done."""
    committed = 0

    def run(cluster: Cluster) -> str:
        nonlocal committed
        cluster.run(3000)
        servers: dict[NodeId, Any] = cluster.nodes
        committed += max(server.commit_index for server in servers.values())
        broken = cluster.violations
        return f"but under random faults (seed {cluster.seeds.seed}): {broken[0]}" if broken else ""

    if not cases:
        return cases
    nemesis = Nemesis(kinds=("crash", "partition"), gap_ms=300, length_ms=300)
    network = Network(Uniform(1, 15), loss=0.05)
    asks_ms = range(300, 2500, 100)
    tried = try_seeds(range(60), lambda seed: _attacked(candidate, 5, seed, nemesis, network, 2000, asks_ms), run)
    if tried.failure:
        return Grade(False, (*cases.remarks, tried.failure))
    if committed < 60:
        remark = "but in 60 runs hardly anything was ever committed: is the rule too strict?"
    else:
        remark = f"60 runs with random faults: no invariant broken, {committed} entries committed"
    return Grade(committed >= 60, (*cases.remarks, remark))


def grade_membership(candidate: Any) -> Grade:
    """In depth, exercise 3: ``may_change``. The two searches for memberships that part, then a change that must end."""
    if isinstance(candidate, type) and issubclass(candidate, Membership):
        return grade_apart(lambda: _changes_rightly(candidate))
    return Grade(False, ("give your class, a subclass of Membership",))


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
    if not isinstance(voters, Iterable) or not {*voters} <= {*followers}:
        return Grade(False, (f"voters are some of {', '.join(followers)}, for example 'ab'",))
    wrong = []
    for name in followers:
        log = FIGURE_7.logs[name]
        same = next((at for at, pair in enumerate(zip(log, leader, strict=False)) if pair[0] != pair[1]),
                    min(len(log), len(leader)))  # fmt: skip
        server = Raft(name, ("leader",))
        server.log = log_of(log)
        may = server.is_up_to_date(len(leader), leader[-1])
        if isinstance(agrees[name], bool) or agrees[name] != same:
            wrong.append(
                f"{name}: {agrees[name]!r} is not where it stops agreeing; compare from the left, term by term"
            )
        if (name in voters) != may:
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
