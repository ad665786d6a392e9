"""The labs and charts of the two chapters, without a screen."""

from __future__ import annotations

import pytest

from distlib.labs.question import prediction, quiz
from distlib.transactions import charts, labs
from distlib.transactions.charts import doubt_bars, side_by_side, state_chart
from distlib.transactions.comparison import COLUMNS
from distlib.transactions.flexible.charts import anomaly_curves, flow_chart
from distlib.transactions.flexible.labs import AnomalyLab, FlowLab
from distlib.transactions.flexible.scenarios import FlowParams, flow
from distlib.transactions.intervals import intervals
from distlib.transactions.message import Finished, Prepared, Wrote
from distlib.transactions.scenarios import BlockingParams, TransactionParams, blocking, transaction
from tests.every_control import MOST_EVENTS, counted

QUICK = (labs.TransactionLab, labs.CostLab, labs.ContentionLab, labs.GeographyLab, FlowLab)


@pytest.mark.parametrize("lab_class", QUICK)
def test_every_preset_runs_and_shows_something(lab_class: type) -> None:
    lab = lab_class()
    for name in lab_class.presets:
        lab.preset(name)
        assert lab.result is not None and lab.error is None, name
        assert len(lab.table(lab.result)) and lab.picture.figure is not None, name


def test_the_presets_that_break_a_promise_say_which() -> None:
    lab = labs.TransactionLab()
    for name, broken in (("Three phases, a partition", "atomicity"), ("The article's", "atomicity")):
        lab.preset(name)
        assert broken in [said for said, holds, _ in lab.verdicts(lab.result) if holds is False], name
    for name in ("Nothing fails", "The coordinator dies", "Three phases, a dead coordinator"):
        lab.preset(name)
        assert all(holds for _, holds, _ in lab.verdicts(lab.result)), name


def test_who_has_heard_the_decision_tells_the_others() -> None:
    """The preset shows what helps: S2 alone has heard, and with *ask each other* nobody waits for S1."""
    lab = labs.TransactionLab()
    lab.preset("It dies while it sends")
    waited_ms = {}
    for cooperative in (True, False):
        lab.set(cooperative=cooperative)
        found = intervals(lab.result, "in_doubt")
        waited_ms[cooperative] = dict(zip(found["node"], found["end_ms"], strict=True))
    back_ms = lab.params.fails_ms + lab.params.down_ms
    assert waited_ms[True]["S2"] == waited_ms[False]["S2"] < 40
    assert all(waited_ms[True][name] < 100 < back_ms < waited_ms[False][name] for name in ("S3", "S4"))


@pytest.mark.parametrize(("fails_ms", "said"), [(400.0, "committed, at 80 ms"), (70.0, "it was told nothing")])
def test_the_client_hears_of_a_decision_when_that_is_on_disk(fails_ms: float, said: str) -> None:
    """All votes are there at 60 ms; the decision is written until 80 ms."""
    lab = labs.TransactionLab(latency_ms=(10.0, 10.0), disk_ms=20.0, duration_ms=500.0, fails_ms=fails_ms)
    assert dict(lab.table(lab.result).itertuples(index=False))["the client"] == said


def test_what_has_not_ended_in_the_run_goes_on() -> None:
    rows = dict(labs.TransactionLab(duration_ms=100.0).table(transaction(TransactionParams(duration_ms=100.0))).values)
    assert rows["longest in doubt"].endswith(" ms and on") and rows["longest with a lock"].endswith(" ms and on")
    lab = FlowLab(duration_ms=50.0, latency_ms=(15.0, 15.0))
    assert dict(lab.table(lab.result).values)["others see it half done for"].endswith(" ms and on")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("protocol", ["two-phase commit", "presumed commit", "three-phase commit", "Paxos Commit"])
def test_the_rows_are_what_is_counted_one_by_one(protocol: str, seed: int) -> None:
    """Doubt from the records alone: from prepared to finished; messages from what was sent, S1's to itself left out."""
    lab = labs.TransactionLab(protocol=protocol, seed=seed, duration_ms=2000.0)
    rows, trace = dict(lab.table(lab.result).values), lab.result
    prepared, longest, forced = dict[str, float](), 0.0, 0
    for one in trace.outputs_of(Wrote):
        forced += one.event.forced
        if isinstance(one.event.record, Prepared):
            prepared[one.node] = one.time_ms
        elif isinstance(one.event.record, Finished):
            longest = max(longest, one.time_ms - prepared[one.node])
    assert rows["longest in doubt"] == f"{longest:,.0f} ms" and rows["forced writes"] == str(forced)
    sent = sum(one[2].startswith("S") and one[2] != one[3] for one in trace.sent)
    assert rows["messages between nodes"] == str(sent)


def test_a_dead_coordinator_blocks_two_phases_alone() -> None:
    lab = labs.BlockingLab(trials=12)
    table = lab.table(lab.result).set_index("protocol")
    assert table.loc["two-phase commit", "longest (ms)"] > 900
    assert (table["longest (ms)"].drop("two-phase commit") < 150).all()


def test_the_most_crashes_of_the_most_asking_participants_are_not_too_much() -> None:
    """Near nodes ask all the time while the coordinator is away: that once made a run of minutes."""
    specs = BlockingParams.specs()
    most = {name: specs[name].high for name in ("participants", "down_ms", "deaf")}
    near = (specs["latency_ms"].low,) * 2
    with counted() as cost:
        blocking(BlockingParams(trials=specs["trials"].low, latency_ms=near, **most))
    assert cost.events * specs["trials"].high / specs["trials"].low <= MOST_EVENTS


def test_what_is_counted_is_what_the_formulas_say() -> None:
    lab = labs.CostLab(most=6)
    assert lab.verdicts(lab.result) == [("Counted is what the formulas say", True, "")]
    wrong = lab.result.assign(messages=lambda table: table["messages"] + 1)
    assert lab.verdicts(wrong)[0][1:] == (False, "TwoPhaseCommit, 2 participants")


def test_the_flow_lab_shows_the_way_back_and_the_invariants_of_its_protocol() -> None:
    lab = FlowLab(refused=3)
    rows = dict(lab.table(lab.result).itertuples(index=False))
    assert rows["the transaction"].startswith("not done") and rows["taken back"] == "2"
    names = {protocol: {said for said, *_ in _verdicts(lab, protocol)} for protocol in ("saga", "TCC", "AT")}
    assert len(set(map(frozenset, names.values()))) == 3


def test_after_the_pivot_a_saga_waits_for_a_service_that_is_down_and_before_it_turns_back() -> None:
    """The preset, and the same failure without a pivot: asking again and again is no new patience."""
    lab = FlowLab()
    lab.preset("After the pivot, only forward")
    ended = {}
    for pivot in (2, 0):
        lab.set(pivot=pivot)
        rows = dict(lab.table(lab.result).itertuples(index=False))
        ended[pivot] = rows["the transaction"].split(",")[0], rows["changes seen"]
    assert ended == {2: ("done", "3"), 0: ("not done", "2")}


def test_where_nothing_is_read_the_lab_says_so_and_draws_no_zero() -> None:
    lab = AnomalyLab(clients=(1,), transfers=10, readings=10)
    lab.wait()
    assert [holds for _, holds, _ in lab.verdicts(lab.result)] == [True]
    starved = lab.result.assign(readings=0, read_skew=float("nan"))
    assert lab.verdicts(starved)[0][1:] == (False, "two-phase commit, 1 clients")
    shown = {trace.name: list(trace.y) for trace in anomaly_curves(starved).data if trace.xaxis in (None, "x")}
    assert all(one != one for ys in shown.values() for one in ys)


def _verdicts(lab: FlowLab, protocol: str) -> list[tuple[str, bool | None, str]]:
    lab.set(protocol=protocol, refused=0)
    return list(lab.verdicts(lab.result))


# ------------------------------------------------------------ charts


def test_the_bars_of_doubt_are_as_long_as_the_doubt() -> None:
    trace = transaction(TransactionParams())
    figure = doubt_bars(trace)
    bars = {one.name: one for one in figure.data}
    assert len(bars["in doubt"].x) == 3 and max(bars["in doubt"].x) > 120
    assert list(bars["in doubt"].base) == list(bars["accounts locked"].base), "locked as long as in doubt"
    assert len(bars["down"].x) == 1 and bars["down"].x[0] == pytest.approx(120)


def test_the_state_chart_says_how_often_each_way_was_taken() -> None:
    texts = [one.text[0] for one in state_chart(transaction(TransactionParams(victim="nobody"))).data if one.text]
    assert texts.count("<b>3×</b>") == 2 and texts.count("<b>1×</b>") == 3


def test_a_flow_that_was_taken_back_shows_every_step_twice() -> None:
    figure = flow_chart(flow(FlowParams(refused=3)))
    marks = {one.name: len(one.x) for one in figure.data if one.mode and "markers" in one.mode}
    assert marks == {"done": 2, "taken back": 2}


def test_a_chart_names_the_column_that_it_misses() -> None:
    table = labs.CostLab(most=3).result
    for draw in (charts.blocking_curve, charts.contention_curves, charts.geography_bars, anomaly_curves):
        with pytest.raises(ValueError, match="has no column"):
            draw(table[["protocol"]])
    with pytest.raises(ValueError, match="has no column 'forced'"):
        side_by_side(table[["protocol", "messages"]], COLUMNS)


# ------------------------------------------------------------ questions


@pytest.mark.parametrize("chapter", ["03_2_transactions", "03_2_transactions_flexible"])
def test_the_quiz_can_be_answered(chapter: str) -> None:
    asked = quiz(chapter)
    for number, question in enumerate(asked.questions):
        assert asked.answer(number, question.right)
    assert asked.score == len(asked.questions) == 6


@pytest.mark.parametrize(("chapter", "name"), [
    ("03_2_transactions", "commit first"), ("03_2_transactions", "killed"),
    ("03_2_transactions_flexible", "late try"),
])  # fmt: skip
def test_a_prediction_knows_the_right_answer(chapter: str, name: str) -> None:
    one = prediction(chapter, name)
    assert one.answer(0, one.questions[0].right)
