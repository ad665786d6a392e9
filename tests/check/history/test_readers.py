"""Histories from files: JSON lines, EDN and Jepsen's text logs, what their words mean, and what is wrong with a
line."""

from __future__ import annotations

import json
import math

import pytest

from distlib.check.history import edn
from distlib.check.history.history import KNOSSOS, PORCUPINE, UNKNOWN, Event, Fault, Meaning, from_events
from distlib.check.history.linearizability import Verdict, check
from distlib.check.history.readers import parse_jepsen, parse_jsonl, read_jepsen, read_jsonl
from distlib.check.history.sequential import CasRegister, Transactions

TEXT_LOG = """\
INFO  jepsen.core - Worker 0 starting
INFO  jepsen.util - 0\t:invoke\t:write\t3
INFO  jepsen.util - 1\t:invoke\t:cas\t[3 4]
INFO  jepsen.util - 0\t:ok\t:write\t3
INFO  jepsen.util - :nemesis\t:info\t:start\tnil
INFO  jepsen.util - 1\t:fail\t:cas\t[3 4]
INFO  jepsen.util - 2\t:invoke\t:write\t5
INFO  jepsen.util - 2\t:info\t:write\t:timed-out
INFO  jepsen.util - :nemesis\t:info\t:stop\tnil
INFO  jepsen.util - 3\t:invoke\t:read\tnil
INFO  jepsen.util - 3\t:ok\t:read\tnil
"""

EDN_LOG = """\
; the same in EDN
{:process 0, :type :invoke, :f :write, :value 3}
{:process 1, :type :invoke, :f :cas, :value [3 4]}
{:process 0, :type :ok, :f :write, :value 3}
{:process :nemesis, :type :info, :f :start, :value nil}
{:process 1, :type :fail, :f :cas, :value [3 4]}
{:process 2, :type :invoke, :f :write, :value 5}
{:process 2, :type :info, :f :write, :value :timed-out}
{:process :nemesis, :type :info, :f :stop, :value nil}
{:process 3, :type :invoke, :f :read, :value nil}
{:process 3, :type :ok, :f :read, :value nil}
"""


def labels(history) -> list[str]:
    return [operation.label for operation in history.operations]


@pytest.mark.parametrize("log", [TEXT_LOG, EDN_LOG, "[" + EDN_LOG + "]", "(" + EDN_LOG + ")"])
def test_the_three_forms_of_a_jepsen_log_agree(log):
    history = parse_jepsen(log, KNOSSOS)
    assert labels(history) == ["write 3", "write 5 → ?", "read → ?"]
    assert [(o.call, o.returned) for o in history.operations] == [(0, 2), (5, math.inf), (8, 9)]
    assert history.faults == (Fault("fault", 3, 7),)


def test_failed_compare_and_set_and_nil_mean_what_the_reader_is_told():
    """Knossos: a failed operation says nothing, a nil read is unknown. Porcupine: both are observations."""
    assert labels(parse_jepsen(TEXT_LOG, PORCUPINE)) == ["write 3", "cas 3→4 ✗", "write 5 → ?", "read → nil"]
    assert check(parse_jepsen(TEXT_LOG, KNOSSOS), CasRegister()).verdict is Verdict.LINEARIZABLE
    assert check(parse_jepsen(TEXT_LOG, PORCUPINE), CasRegister()).verdict is Verdict.NOT_LINEARIZABLE


def test_failure_without_the_pair_never_happened():
    log = "INFO j - 1 :invoke :cas [3 4]\nINFO j - 1 :fail :cas :timed-out\n"
    assert labels(parse_jepsen(log, PORCUPINE)) == []


def test_failed_read_and_write_never_happened():
    read = "INFO j - 1 :invoke :read nil\nINFO j - 1 :fail :read :timed-out\n"
    log = read + "INFO j - 1 :invoke :write 2\nINFO j - 1 :fail :write 2"
    assert labels(parse_jepsen(log, PORCUPINE)) == labels(parse_jepsen(log, KNOSSOS)) == []


def test_still_open_at_the_end_is_pending():
    (operation,) = parse_jepsen("{:process 0, :type :invoke, :f :write, :value 3}").operations
    assert operation.pending and operation.result is UNKNOWN


def test_process_may_call_again_after_info():
    write = "INFO j - 1 :invoke :write 2\nINFO j - 1 :info :write 2\n"
    log = write + "INFO j - 1 :invoke :read nil\nINFO j - 1 :ok :read 7"
    assert labels(parse_jepsen(log)) == ["write 2 → ?", "read → 7"]


def test_independent_keys():
    log = "INFO j - 1 :invoke :write [:x 2]\nINFO j - 1 :ok :write [:x 2]"
    (operation,) = parse_jepsen(log, independent=True).operations
    assert (operation.key, operation.argument) == ("x", 2)
    with pytest.raises(ValueError, match=r"text:1: field :value must be a \[key value\] pair"):
        parse_jepsen("INFO j - 1 :invoke :write 2", independent=True)


def test_transactions():
    log = """[{:process 0 :type :invoke :f :txn :value [[:write :x 1] [:read :y nil]]}
              {:process 0 :type :ok :f :txn :value [[:write :x 1] [:read :y 0]]}]"""
    assert check(parse_jepsen(log), Transactions({"x": 0, "y": 0})).verdict is Verdict.LINEARIZABLE
    assert check(parse_jepsen(log), Transactions({"x": 0, "y": 5})).verdict is Verdict.NOT_LINEARIZABLE


def test_newer_text_form_and_faults_as_marks():
    log = "2026-01-01 INFO [worker 0] jepsen.util: 0  :invoke  :read nil\n"
    log += "2026-01-01 INFO [nemesis] jepsen.util: :nemesis :info :kill [n1]\n"
    history = parse_jepsen(log)
    assert labels(history) == ["read → ?"] and history.faults == (Fault("kill", 1, 1),)


def test_fault_spans_cover_both_lines_of_a_step_and_may_stay_open():
    def nemesis(*names):
        return from_events([Event(f"log:{i}", "nemesis", "info", name) for i, name in enumerate(names)], KNOSSOS).faults

    assert nemesis("start", "start", "stop", "stop") == (Fault("fault", 0, 3),)
    assert nemesis("start-partition", "heal", "kill") == (Fault("partition", 0, 1), Fault("kill", 2, 2))
    assert nemesis("kill", "start") == (Fault("kill", 0, 0), Fault("fault", 1, 2))


CALL = "{:process 0, :type :invoke, :f :read}\n"


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (CALL + CALL, r"text:2: process 0 invokes 'read' while its 'read' \(text:1\) is still open"),
        ("{:process 0, :type :ok, :f :read}", r"text:1: process 0 completes 'read' \(ok\) but has invoked nothing"),
        (CALL + "{:process 0, :type :ok, :f :write}", r"text:2: process 0 completes 'write', but had invoked 'read'"),
        ("{:process 0, :type :done, :f :read}", "text:1: field 'type' is 'done'; it must be one of invoke, ok"),
        ("{:process 0, :f :read}", "text:1: field 'type' is missing"),
        ("{:process [0], :type :ok, :f :read}", r"text:1: field 'process' is \[0\]; it takes a number or a name"),
        ("[3]", r"text:1: event 0: an event must be a map"),
        ("{:process 0\n :type", r"text:1: '{' is never closed"),
        ("\n{:process}", r"text:2: a map holds 1 forms"),
        ("{:process 0 ]", r"text:1: '\]' closes the '{' of line 1"),
        ("nothing of the kind", "text:1: no event found"),
    ],
)
def test_broken_jepsen_logs(log, message):
    with pytest.raises(ValueError, match=message):
        parse_jepsen(log)


def test_edn_forms():
    text = r'{:a 1, "b\n" [2.5 -3 nil true], #{1 2} (x/y #_ignored 4N)} #inst "2020" ; the end'
    (_, first), second = edn.forms(text)
    assert first == {"a": 1, "b\n": [2.5, -3, None, True], frozenset({1, 2}): ["x/y", 4]}
    assert second == (1, "2020")
    with pytest.raises(ValueError, match=r"text:1: '\)' closes nothing"):
        list(edn.forms(")"))
    with pytest.raises(ValueError, match="does not end"):
        list(edn.forms('"open'))
    assert [form for _, form in edn.forms("#_ #_ a b c [1 #_2]")] == ["c", [1]]
    with pytest.raises(ValueError, match="text:1: '#_' is never closed"):
        list(edn.forms("1 #_"))


# -- JSON lines ------------------------------------------------------------------------------------

OPERATIONS = """\
{"process": 0, "f": "write", "argument": [1, 2], "call": 0, "return": 1.5, "key": "x"}

{"process": "b", "f": "read", "result": [1, 2], "call": 2, "return": null, "key": "x"}
{"fault": "partition", "start": 0.5, "end": 1}
"""
EVENTS = """\
{"process": 0, "type": "invoke", "f": "cas", "value": [0, 1]}
{"process": 0, "type": "fail", "f": "cas", "value": [0, 1], "error": "unequal"}
"""


def test_json_operations(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text(OPERATIONS, encoding="utf-8")
    history = read_jsonl(path)
    first, second = history.operations
    assert (first.process, first.argument, first.returned, first.key) == (0, (1, 2), 1.5, "x")
    assert second.pending and history.faults == (Fault("partition", 0.5, 1),)


def test_json_events_take_a_meaning():
    assert labels(parse_jsonl(EVENTS, KNOSSOS)) == []
    assert labels(parse_jsonl(EVENTS, PORCUPINE)) == ["cas 0→1 ✗"]


def test_empty_files(tmp_path):
    path = tmp_path / "empty.log"
    path.write_text("", encoding="utf-8")
    assert len(read_jsonl(path)) == len(read_jepsen(path)) == 0


def line(without: str = "", **changes) -> str:
    """A good line of JSON, changed or with a field left out."""
    record = {"process": 0, "f": "read", "call": 0, "return": 1, **changes}
    return json.dumps({name: value for name, value in record.items() if name != without})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"process": 0', "text:1: not JSON"),
        ("[1]", "text:1: a line must be an object, got list"),
        (line(without="process"), "text:1: field 'process' is missing"),
        (line(process=[0]), r"text:1: field 'process' is \[0\]; it takes a number or a name"),
        (line(f=7), "text:1: field 'f' is 7; it takes the operation's name"),
        (line(without="call"), "text:1: field 'call' is missing"),
        (line(without="return"), "text:1: field 'return' is missing"),
        (line(call="0"), "text:1: field 'call' is '0'; it takes a number"),
        (line(call=2), "text:1: read → nil of process 0 returned at 1, before its call at 2"),
        (line(reslt=3), "text:1: unknown field 'reslt'; did you mean 'result'"),
        (line(wholly_new=3), "text:1: unknown field 'wholly_new'; known are argument, call"),
        ('{"process": 0, "f": "read", "type": "begin"}', "text:1: field 'type' is 'begin'; it must be one of"),
        ('{"fault": "cut", "start": 1}', "text:1: field 'end' is missing"),
        (OPERATIONS + EVENTS, "text:5: operations and events are mixed"),
        (line(**{"return": 5}) + "\n" + line(call=1, **{"return": 6}), "text: process 0 called read → nil at 1"),
    ],
)
def test_broken_lines_are_named(text, message):
    with pytest.raises(ValueError, match=message):
        parse_jsonl(text)


def test_meaning_is_checked():
    with pytest.raises(ValueError, match="failed_cas is 'no'; choose one of 'never happened', 'compared"):
        Meaning(failed_cas="no", nil_read="unknown")
    with pytest.raises(ValueError, match="nil_read is 'no'; choose one of 'unknown'"):
        Meaning(failed_cas="never happened", nil_read="no")
