"""Mutants of primary-backup that the museum does not have, each killed; and right classes that are not accused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from distlib.core.node import NodeId, durable, volatile
from distlib.replication.message import ClientReply, ClientRequest, ReadRequest
from distlib.replication.primary_backup import (
    Announce,
    Forward,
    HandOver,
    Monitor,
    PrimaryBackup,
    Report,
    Stored,
    View,
    ViewStarted,
)
from distlib.workbench.judge import judge

# --- servers -----------------------------------------------------------------------------------------------


class HeedsAnyView(PrimaryBackup):
    def is_from(self, role: NodeId | None, sender: NodeId, view: int) -> bool:
        return sender == role


class StoredOfAnyView(PrimaryBackup):
    def on_stored(self, sender: NodeId, message: Stored) -> None:
        super().on_stored(sender, Stored(self.current.number, message.index))


class ReadsLocally(PrimaryBackup):
    def on_read_request(self, sender: NodeId, request: ReadRequest) -> None:
        if self.role() != "primary" or request.client is None:
            return super().on_read_request(sender, request)
        _, result = self.machine.apply(self.machine_state, request.command)
        return self.send(request.client, ClientReply(request.serial, True, result))


class NotApplied(PrimaryBackup):
    """Answers what the backup lacks, and never counts that as applied."""

    def answer(self) -> None:
        super().answer()
        state = self.machine_state
        for request in self.log[self.applied :]:
            state, result = self.machine.apply(state, request.command)
            if request.client and request.serial and (request.client, request.serial) in self.waiting:
                self.waiting -= {(request.client, request.serial)}
                self.send_after_sync(request.client, ClientReply(request.serial, True, result))


@dataclass
class ForgetsCopied(PrimaryBackup):
    copied: int = volatile(0)


@dataclass
class ForgetsView(PrimaryBackup):
    current: View = volatile(View())


class LateHandOverUndoes(PrimaryBackup):
    def on_hand_over(self, sender: NodeId, message: HandOver) -> None:
        self.copied = 0
        super().on_hand_over(sender, message)


class KeepsItsLogIfLonger(PrimaryBackup):
    def on_hand_over(self, sender: NodeId, message: HandOver) -> None:
        mine = self.log
        super().on_hand_over(sender, message)
        self.log = mine if len(mine) > len(self.log) else self.log


class TakesRepeatsIn(PrimaryBackup):
    def latest(self, client: NodeId) -> int:
        return 0


class NeverAnswersAlone(PrimaryBackup):
    def stored_everywhere(self) -> int:
        return self.stored


class ResuppliesOnlyTheLast(PrimaryBackup):
    def supply(self) -> None:
        if self.handed_over and self.current.backup and self.stored < len(self.log):
            self.send_after_sync(self.current.backup, Forward(self.current.number, len(self.log), self.log[-1]))
        elif not self.handed_over:
            super().supply()


class StopsReporting(PrimaryBackup):
    def start(self) -> None:
        self.machine_state = self.machine.initial()
        if self.current.number == 0:
            self.on_report_timeout()


# --- monitors ----------------------------------------------------------------------------------------------


class AnyoneSucceeds(Monitor):
    def next_view(self) -> View:
        view = super().next_view()
        idle = [name for name in self.servers if name in self.alive and name != self.current.primary]
        if view == self.current and self.current.primary not in self.alive and idle:
            return View(view.number + 1, *idle[:2])
        return view


class MayAlwaysChange(Monitor):
    def may_change(self, view: View) -> bool:
        return True


class AnyReportCounts(Monitor):
    def on_report(self, sender: NodeId, report: Report) -> None:
        self.reported |= report.view == self.current.number
        super().on_report(sender, report)


class NeverResetsReported(Monitor):
    def change_view(self) -> None:
        view = self.next_view()
        if view != self.current and self.may_change(view):
            self.current = view
            self.output(ViewStarted(view))


@dataclass
class ForgetsTheView(Monitor):
    current: View = volatile(View())


@dataclass
class TrustsTheReport(Monitor):
    reported: bool = volatile(True)


class NeverSuspects(Monitor):
    def on_silence_timeout(self, server: NodeId) -> None:
        pass


class NeverReplacesTheBackup(Monitor):
    def next_view(self) -> View:
        view = super().next_view()
        return self.current if view.primary == self.current.primary and self.current.backup else view


class HasNoSpare(Monitor):
    def next_view(self) -> View:
        view = super().next_view()
        return View(view.number, view.primary) if view.number > 2 and view != self.current else view


WRONG = [
    HeedsAnyView, StoredOfAnyView, ReadsLocally, NotApplied, ForgetsCopied, ForgetsView, LateHandOverUndoes,
    KeepsItsLogIfLonger, TakesRepeatsIn, NeverAnswersAlone, ResuppliesOnlyTheLast, StopsReporting, AnyoneSucceeds,
    MayAlwaysChange, AnyReportCounts, NeverResetsReported, ForgetsTheView, TrustsTheReport, NeverSuspects,
    NeverReplacesTheBackup, HasNoSpare,
]  # fmt: skip


@pytest.mark.parametrize("node_class", WRONG, ids=lambda one: one.__name__)
def test_what_leaves_a_rule_out_is_killed(node_class: type[Any]) -> None:
    found = judge(node_class)
    assert found.status == "failed" and found.failure is not None
    assert "no handler fails" not in found.failure.failure or "IndexError" in found.failure.failure


# --- right classes -----------------------------------------------------------------------------------------


class WaitsForTheHandOver(PrimaryBackup):
    """Takes no request in before its backup has the log."""

    def on_client_request(self, sender: NodeId, request: ClientRequest) -> None:
        if self.role() != "primary" or self.has_handed_over():
            super().on_client_request(sender, request)


class ReportsAtOnce(PrimaryBackup):
    """Reports as soon as its backup has the log."""

    def on_stored(self, sender: NodeId, message: Stored) -> None:
        before = self.handed_over
        super().on_stored(sender, message)
        if self.handed_over and not before:
            self.send(self.monitor, Report(self.current.number))


@dataclass
class RemembersWhatIsStored(PrimaryBackup):
    """Keeps on disk what it could ask for again."""

    stored: int = durable(0)


class ListensToItsMonitorAlone(PrimaryBackup):
    """Heeds an announcement from nobody else; nobody else makes any."""

    def on_announce(self, sender: NodeId, message: Announce) -> None:
        if sender == self.monitor:
            super().on_announce(sender, message)


@pytest.mark.parametrize(
    "node_class", [WaitsForTheHandOver, ReportsAtOnce, RemembersWhatIsStored, ListensToItsMonitorAlone, Monitor],
    ids=lambda one: one.__name__,
)  # fmt: skip
def test_what_is_right_is_not_accused(node_class: type[Any]) -> None:
    found = judge(node_class, budget_s=60)
    assert found.passed, str(found)
