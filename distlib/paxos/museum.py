"""The museum's pieces of Paxos."""

from __future__ import annotations

from distlib.paxos import broken
from distlib.workbench.museum import LIVENESS, MASKED, FieldReport, Piece

AGREE, PROMISE, LIVE = "agreement", "monotonic promise", "liveness"


def _github(what: str, thread: str) -> FieldReport:
    return FieldReport(what, f"https://github.com/{thread}")


PAXOS_PIECES: tuple[Piece, ...] = (
    Piece(broken.ProposesItsOwnValue, "Propose the value of the highest ballot reported.", "§2.2, P2c",
          "after a choice", AGREE),
    Piece(broken.TakesTheLowestBallot, "Propose the value of the highest ballot reported.", "§2.2, P2c",
          "three ballots", AGREE),
    Piece(broken.TakesTheFirstReport, "Propose the value of the highest ballot reported.", "§2.2, P2c",
          "three ballots", AGREE),
    Piece(broken.HurriesToPhase2, "Phase 2 begins when a majority has promised.", "§2.2, phase 2a",
          "after a choice", AGREE),
    Piece(
        broken.CountsOldPromises, "Only promises for the present ballot count.", "§2.2, phase 2a", "random walks",
        AGREE, report=_github("MyPaxos: stale answers to Prepare were counted", "luohaha/MyPaxos/issues/18"),
    ),
    Piece(
        broken.CountsRepeats, "A majority of acceptors, not of answers.", "§2.2", "random walks", AGREE,
        report=_github("booth: a learner's votes added up beyond the acceptors", "jjzhang/booth/pull/47"),
    ),
    Piece(broken.SharesBallots, "Proposers draw their numbers from disjoint sets.", "§2.5", "first ballots", AGREE),
    Piece(
        broken.ForgetsItsBallot, "A proposer remembers its highest ballot on stable storage.", "§2.5",
        "second life", AGREE,
        report=_github("phxpaxos: asked about, and shown to be safe, because there the acceptor remembers",
                       "Tencent/phxpaxos/issues/145"),
    ),
    Piece(broken.ReportsNothing, "A promise reports what was accepted.", "§2.2, phase 1b", "after a choice", AGREE),
    Piece(broken.ReportsItsPromise, "A promise reports the ballot at which the value was accepted.",
          "§2.2, phase 1b", "three ballots", AGREE),
    Piece(broken.AcceptsAnything, "Accept nothing below the promise.", "§2.2, P1a", "three ballots, none chosen",
          AGREE),
    Piece(broken.PromisesAnything, "Promise nothing below the promise.", "§2.2, phase 1b", "two ballots", PROMISE),
    Piece(broken.PromisesNothing, "A promise binds.", "§2.2, P1a", "three ballots, none chosen", AGREE),
    Piece(
        broken.AcceptsWithoutPromise, "Who accepts a ballot also promises it.", "§2.2, phase 2b", "two ballots",
        PROMISE, report=_github("Cassandra: suspected and discussed, no bug there", "apache/cassandra/pull/1327"),
    ),
    Piece(broken.ForgetsItsPromise, "A promise is on stable storage before it is made.", "§2.5", "before a choice",
          PROMISE),
    Piece(broken.ForgetsItsAcceptance, "What was accepted is on stable storage before it is told.", "§2.5",
          "after a choice", AGREE),
    Piece(
        broken.AnswersBeforeSync, "An acceptor records its answer before it sends it.", "§2.5", "", "", MASKED,
        "the explorer and the simulator write durable fields in the instant of the event; only a real disk, which "
        "loses what was not synced, would tell",
    ),
    Piece(broken.AddsUpBallots, "A value is chosen when a majority accepts one proposal, not one value.", "§2.2",
          "four ballots", AGREE),
    Piece(broken.BelievesOneAcceptor, "A value is chosen when a majority has accepted it.", "§2.1, §2.3",
          "three ballots, none chosen", AGREE),
    Piece(
        broken.TakesBackItsDecision, "A learner that knows the value need not listen any more.", "§2.3", "", "",
        MASKED, "only one value is ever chosen, so learning again changes nothing",
    ),
    Piece(broken.NeverPauses, "Proposers leave the field to each other, for random times.", "§2.4", "liveness", LIVE,
          LIVENESS),
    Piece(broken.AsksOnce, "Messages that may be lost are repeated.", "§2.4, §2.1 (messages can be lost)",
          "lossy network", LIVE, LIVENESS),
    Piece(
        broken.IgnoresRefusals, "A proposer that is told of a higher ballot begins a higher one.", "§2.4, §2.5",
        "left behind", LIVE, LIVENESS,
        report=_github("multi-paxos-example: stuck between promises and refusals",
                       "cocagne/multi-paxos-example/issues/4"),
    ),
)  # fmt: skip
"""Twenty-three broken Paxoses."""
