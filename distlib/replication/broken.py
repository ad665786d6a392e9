"""Broken on purpose: primary-backup replication with one rule taken out."""

from __future__ import annotations

from distlib.core.mutant import mutant
from distlib.replication.invariants import AnsweredSurvives
from distlib.replication.primary_backup import PrimaryBackup


@mutant("A request is answered once the backup has it.", "Alsberg & Day 1976", AnsweredSurvives, "takeover")
class AnswersAtOnce(PrimaryBackup):
    """Answers a request as soon as it is in the primary's own log."""

    def stored_everywhere(self) -> int:
        return len(self.log)


@mutant("A backup has the whole log before it may succeed the primary.", "Alsberg & Day 1976", AnsweredSurvives,
        "two takeovers")  # fmt: skip
class ReportsTooEarly(PrimaryBackup):
    """Reports a view before its new backup has the log, so that the monitor may make that backup the primary."""

    def has_handed_over(self) -> bool:
        return True
