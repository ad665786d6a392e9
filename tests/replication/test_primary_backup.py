"""Primary-backup replication: its rules, what must hold under every order of messages, and what happens sometimes."""

from __future__ import annotations

from typing import Any

import pytest

from distlib.check.explore.explore import explore
from distlib.check.history.linearizability import Verdict, check
from distlib.check.history.sequential import Register
from distlib.core.invariant import Broken
from distlib.core.node import Node
from distlib.replication.broken import AnswersAtOnce, ReportsTooEarly
from distlib.replication.history import history_of
from distlib.replication.invariants import AnsweredSurvives, AppliedOnce, OneHistory, primary_backup_invariants
from distlib.replication.message import STALE, ClientReply, ClientRequest, ReadRequest
from distlib.replication.primary_backup import (
    MONITOR,
    Announce,
    Applied,
    Forward,
    HandOver,
    Monitor,
    PrimaryBackup,
    Report,
    Stored,
    View,
    ViewStarted,
    cluster,
)
from distlib.replication.scenarios import TakeoverParams, takeover
from distlib.replication.searches import SERVICE, primary_backup_model
from distlib.replication.simulations import not_linearizable
from distlib.replication.state_machine import Get, KeyValue, Put
from distlib.workbench.judge import judge
from distlib.workbench.step.lab import StepLab

NAMES = ("S1", "S2", "S3")
WRITE = ClientRequest(Put("x", 1), "C1", 1)


def sent(node: Node) -> list[tuple[str, Any]]:
    """What a node wants sent since the last look."""
    return [(one.to, one.message) for one in node.take_effects() if hasattr(one, "to")]


def server(name: str, view: View, **state: Any) -> PrimaryBackup:
    """A started server in ``view``."""
    made = PrimaryBackup(name)
    made.current = view
    for field, value in state.items():
        setattr(made, field, value)
    made.start()
    made.take_effects()
    return made


# --- the monitor -----------------------------------------------------------------------------------------


NOBODY = View()


def monitor(view: View = NOBODY, *, reported: bool = True) -> Monitor:
    """A started monitor in ``view``, which takes all for alive."""
    made = Monitor(MONITOR, NAMES)
    made.current, made.reported = view, reported
    made.start()
    made.alive = frozenset(NAMES)
    made.take_effects()
    return made


@pytest.mark.parametrize(
    ("view", "silent", "then"),
    [
        (View(), ["S1"], View(1, "S2", "S3")),
        (View(3, "S1", "S2"), [], View(3, "S1", "S2")),
        (View(3, "S1", "S2"), ["S3"], View(3, "S1", "S2")),
        (View(3, "S1", "S2"), ["S1"], View(4, "S2", "S3")),
        (View(3, "S1", "S2"), ["S2"], View(4, "S1", "S3")),
        (View(3, "S1", "S2"), ["S3", "S2"], View(4, "S1", None)),
        (View(3, "S1", None), [], View(4, "S1", "S2")),
        (View(3, "S1", "S2"), ["S2", "S3", "S1"], View(5, "S1", None)),
        (View(3, "S1", None), ["S2"], View(4, "S1", "S3")),
    ],
    ids=str,
)
def test_the_backup_succeeds_the_primary_and_nobody_else_does(view: View, silent: list[str], then: View) -> None:
    made = monitor(view)
    for name in silent:
        made.on_silence_timeout(name)
    made.change_view()
    assert made.current == then


def test_without_the_last_copy_nobody_becomes_primary() -> None:
    made = monitor(View(3, "S1", None))
    made.alive = frozenset({"S2", "S3"})
    made.change_view()
    assert made.current == View(3, "S1", None)


def test_a_primary_is_replaced_only_when_it_has_reported_the_view() -> None:
    made = monitor(View(3, "S1", "S2"), reported=False)
    made.on_silence_timeout("S1")
    made.on_report("S2", Report(3))
    assert made.current.number == 3, "the backup's report says nothing of the log"
    made.on_report("S1", Report(2))
    made.on_silence_timeout("S1")
    assert made.current.number == 3, "an old report"
    made.on_report("S1", Report(3))
    made.on_silence_timeout("S1")
    made.on_report("S3", Report(0))
    assert made.current == View(4, "S2", "S3")
    assert sent(made)[-1] == ("S3", Announce(View(4, "S2", "S3")))


def test_a_backup_is_replaced_at_any_time_as_the_primary_has_the_log() -> None:
    made = monitor(View(3, "S1", "S2"), reported=False)
    made.on_silence_timeout("S2")
    assert made.current == View(4, "S1", "S3")


def test_at_first_only_who_has_been_heard_gets_a_role() -> None:
    made = Monitor(MONITOR, NAMES)
    made.start()
    views = []
    for name in ("S3", "S1", "S2"):
        made.on_report(name, Report(0))
        views.append(made.current)
    assert views == [View(1, "S3"), View(2, "S3", "S1"), View(2, "S3", "S1")]


def test_after_a_restart_the_monitor_waits_for_those_with_a_role_and_believes_in_nobody_else() -> None:
    made = monitor(View(3, "S1", "S2"))
    made.crash()
    made.start()
    assert made.alive == {"S1", "S2"}
    made.on_report("S1", Report(3))
    assert made.current == View(3, "S1", "S2")
    made.on_silence_timeout("S2")
    assert made.current == View(4, "S1", None), "S3 has not been heard since"


# --- the servers -----------------------------------------------------------------------------------------


def test_a_request_is_answered_when_the_backup_has_it_and_once() -> None:
    primary = server("S1", View(1, "S1", "S2"), log=())
    primary.on_stored("S2", Stored(1, 0))
    primary.take_effects()
    primary.on_client_request("C1", WRITE)
    primary.on_client_request("C1", WRITE)
    assert sent(primary) == [("S2", Forward(1, 1, WRITE))] and primary.applied == 0
    primary.on_stored("S2", Stored(1, 1))
    assert sent(primary) == [("C1", ClientReply(1, True))] and primary.log == (WRITE,)
    primary.on_client_request("C1", WRITE)
    assert sent(primary) == [("C1", ClientReply(1, True))], "a repeated request is answered again, not applied again"
    assert primary.log == (WRITE,)


def test_a_request_that_its_client_no_longer_waits_for_is_not_taken_in() -> None:
    alone = server("S1", View(2, "S1", None))
    for serial in (2, 1, 2):
        alone.on_client_request("C1", ClientRequest(Put("x", serial), "C1", serial))
    first = ClientReply(2, True)
    assert sent(alone) == [("C1", first), ("C1", ClientReply(1, False, STALE)), ("C1", first)]
    assert [one.serial for one in alone.log] == [2] and not alone.waiting


def test_an_older_request_is_stale_also_while_the_later_one_is_not_applied() -> None:
    """The client crashed after the first, which comes late."""
    primary = server("S1", View(2, "S1", "S2"), handed_over=True)
    primary.handed_over = True
    for serial in (2, 1):
        primary.on_client_request("C1", ClientRequest(Put("x", serial), "C1", serial))
    assert ("C1", ClientReply(1, False, STALE)) in sent(primary)
    assert [one.serial for one in primary.log] == [2] and primary.applied == 0


def test_requests_without_a_serial_number_are_all_taken_in() -> None:
    alone = server("S1", View(2, "S1", None))
    for value in (1, 2):
        alone.on_client_request("C1", ClientRequest(Put("x", value), "C1"))
    assert [one.command for one in alone.log] == [Put("x", 1), Put("x", 2)]


def test_a_primary_without_a_backup_answers_alone() -> None:
    alone = server("S1", View(2, "S1", None))
    alone.on_client_request("C1", WRITE)
    alone.on_read_request("C1", ReadRequest(Get("x"), "C1", 2))
    assert sent(alone) == [("C1", ClientReply(1, True)), ("C1", ClientReply(2, True, 1))]


def test_who_is_not_primary_names_the_primary() -> None:
    backup = server("S2", View(1, "S1", "S2"))
    backup.on_client_request("C1", WRITE)
    assert sent(backup) == [("C1", ClientReply(1, False, leader="S1"))] and backup.log == ()


def test_a_primary_reports_a_view_only_when_its_backup_has_the_log() -> None:
    primary = server("S1", View(1, "S1", "S2"), log=(WRITE,))
    primary.on_report_timeout()
    assert sent(primary) == [(MONITOR, Report(0)), ("S2", HandOver(View(1, "S1", "S2"), (WRITE,)))]
    primary.on_stored("S2", Stored(1, 1))
    primary.on_report_timeout()
    assert (MONITOR, Report(1)) in sent(primary)


def test_a_late_copy_of_the_log_undoes_nothing() -> None:
    backup = server("S2", View(1, "S1", "S2"))
    hand_over = HandOver(View(1, "S1", "S2"), ())
    for message in (hand_over, Forward(1, 1, WRITE), hand_over, Forward(1, 1, WRITE), Forward(1, 3, WRITE)):
        backup.receive("S1", message)
    assert backup.log == (WRITE,)
    assert [message.index for _, message in sent(backup)] == [0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("sender", "message"),
    [
        ("S1", Forward(1, 1, WRITE)), ("S3", Forward(2, 1, WRITE)), ("S1", HandOver(View(1, "S1", "S3"), (WRITE,))),
        ("S1", Stored(1, 9)), ("S3", Stored(1, 9)),
    ],
)  # fmt: skip
def test_messages_of_another_view_are_not_heeded(sender: str, message: Any) -> None:
    primary = server("S2", View(2, "S2", "S3"))
    primary.receive(sender, message)
    assert (primary.log, primary.stored, sent(primary)) == ((), 0, [])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Monitor(MONITOR, ()), "Monitor.servers is empty"),
        (lambda: Monitor(MONITOR, NAMES, 0), "Monitor.silence_ms is 0; it takes a number above 0 ms"),
        (lambda: PrimaryBackup("S1", report_ms=-1), "PrimaryBackup.report_ms is -1"),
        (lambda: Monitor(MONITOR, (MONITOR, "S1")), "Monitor.servers names monitor itself"),
        (lambda: PrimaryBackup("S1", monitor="S1"), "PrimaryBackup.monitor names S1 itself"),
        (lambda: PrimaryBackup("S1", monitor=5), "PrimaryBackup.monitor is 5; it takes a string"),  # type: ignore[arg-type]
        (lambda: PrimaryBackup("S1", machine=None), "PrimaryBackup.machine is None"),  # type: ignore[arg-type]
        (lambda: PrimaryBackup("S1", machine=KeyValue), "KeyValue'>; it takes a state machine"),  # type: ignore[arg-type]
    ],
)
def test_a_setting_that_cannot_be_is_named(make: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        make()


# --- what must hold --------------------------------------------------------------------------------------


def test_invariants_say_what_is_lost_and_where_histories_part() -> None:
    one, two = server("S1", View(1, "S1", "S2"), log=(WRITE,), applied=1), server("S2", View(1, "S1", "S2"))
    nodes = {"monitor": monitor(View(2, "S2", "S3")), "S1": one, "S2": two}
    with pytest.raises(Broken, match="S2 is primary of view 2 with 0 of the 1 requests that were applied; x←1 is lost"):
        AnsweredSurvives().after((), nodes, "S1")
    two.log, two.applied = (ClientRequest(Put("x", 2)),), 1
    with pytest.raises(Broken, match="S2 has applied x←2 at 1, where x←1 was applied"):
        OneHistory().after((WRITE,), nodes, "S2")
    assert OneHistory().after((), nodes, "monitor") == ()
    two.log, two.applied = (WRITE, ClientRequest(Put("x", 2), "C2", 1), WRITE), 3
    with pytest.raises(Broken, match="S2 applies request 1 of C1, x←1, at 3, after its request 1"):
        AppliedOnce().after(1, nodes, "S2")


def test_every_order_of_a_takeover_is_safe() -> None:
    """All orders of two reports by the primary, a wrong suspicion of anybody, and two requests."""
    requests = [("S1", WRITE), ("S2", ClientRequest(Put("x", 2), "C2", 1))]
    model = primary_backup_model(PrimaryBackup, timeouts={"S1.report": 2, "silence": 1}, requests=requests)
    result = explore(model, max_states=40_000)
    assert result.violation is None and result.distinct > 10_000


def test_forty_runs_under_a_nemesis_lose_nothing_and_change_views() -> None:
    views = applied = 0
    for seed in range(100, 140):
        running = SERVICE.under_nemesis(PrimaryBackup, seed)
        running.run(4_000)
        assert not running.violations and not_linearizable(running) == ""
        views += sum(isinstance(one.event, ViewStarted) for one in running.outputs)
        applied += sum(isinstance(one.event, Applied) for one in running.outputs)
    assert views > 100 and applied > 500


# --- scenario, judge, Step lab ---------------------------------------------------------------------------


def test_the_backup_takes_over_and_the_clients_see_one_register() -> None:
    trace = takeover()
    begun = [one.event.view for one in trace.outputs_of(ViewStarted)]
    first, second, third = begun[1].primary, begun[1].backup, begun[2].backup
    assert begun[:3] == [View(1, first), View(2, first, second), View(3, second, third)]
    assert not trace.violations and {one.node for one in trace.outputs_of(Applied)} == {first, second}
    mine = [one for one in trace.outputs if one.node == "C1"]
    assert check(history_of(mine), Register()).verdict is Verdict.LINEARIZABLE
    assert takeover(TakeoverParams()).digest == trace.digest
    assert not TakeoverParams().warnings()
    assert "although nobody has failed" in TakeoverParams(silence_ms=45).warnings()[0]
    assert "nobody crashes" in TakeoverParams(crash_ms=0).warnings()[0]
    steady = TakeoverParams(latency_ms=(90, 91), report_ms=100, silence_ms=150, clients=0, crash_ms=9_000)
    assert not steady.warnings() and len(takeover(steady).outputs_of(ViewStarted)) == 2


def test_the_judge_passes_the_protocol_and_kills_both_mutants() -> None:
    assert judge(PrimaryBackup).passed
    for mutant in (AnswersAtOnce, ReportsTooEarly):
        found = judge(mutant)
        assert found.failure is not None and found.failure.invariant == AnsweredSurvives.name


def test_the_step_lab_plays_it_by_hand() -> None:
    lab = StepLab(PrimaryBackup)
    lab.deliver("S1 → monitor")
    lab.deliver("monitor → S1")
    lab.request("S1 ClientRequest command=x←1")
    assert [name for name, _, _ in lab.verdicts][1:] == [one.name for one in primary_backup_invariants()]
    assert all(holds for _, holds, _ in lab.verdicts)
    assert {type(node) for node in cluster(PrimaryBackup, NAMES)} == {Monitor, PrimaryBackup}
