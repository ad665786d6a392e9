"""The linearizability checker: against brute force, on hand-made histories, and in its evidence and its errors."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distlib.check.history.history import UNKNOWN, History, Operation
from distlib.check.history.linearizability import Linearizability, Verdict, check
from distlib.check.history.sequential import (
    AppendOnlyLog,
    CasRegister,
    Illegal,
    KeyValueMap,
    Mutex,
    Queue,
    Register,
    Specification,
    Together,
    Transactions,
)

NEVER = math.inf


def op(process: int, f: str, argument=None, result=None, call=0.0, returned=NEVER, key=None) -> Operation:
    return Operation(process, f, argument, result, call, returned, key)


def write(process: int, value, call: float, returned: float = NEVER, key=None) -> Operation:
    return op(process, "write", value, None, call, returned, key)


def read(process: int, value, call: float, returned: float = NEVER, key=None) -> Operation:
    return op(process, "read", None, value, call, returned, key)


# -- a second checker, as slow and plain as can be -------------------------------------------------


def precedes(operations: Sequence[Operation], a: int, b: int) -> bool:
    one, other = operations[a], operations[b]
    own = one.process == other.process and a < b and one.returned <= other.call
    return own or one.returned < other.call


def brute_force(
    operations: Sequence[Operation], specification: Specification, optional: Collection[int] | None = None
) -> bool:
    """Try every order that real time allows. ``optional`` operations (those pending) need not happen at all."""
    if optional is None:
        optional = [i for i, operation in enumerate(operations) if operation.pending]
    everything = range(len(operations))

    def extend(placed: frozenset[int], state) -> bool:
        left = [i for i in everything if i not in placed]
        if all(i in optional for i in left):
            return True
        for i in left:
            if any(precedes(operations, j, i) for j in left if j != i):
                continue
            new = specification.step(state, operations[i])
            if not isinstance(new, Illegal) and extend(placed | {i}, new):
                return True
        return False

    return extend(frozenset(), specification.initial)


def assert_legal(order: Sequence[Operation], history: History, specification: Specification) -> None:
    """``order`` obeys the specification and real time, and leaves out no operation that precedes one it holds."""
    operations = list(history.operations)
    number = [next(i for i, o in enumerate(operations) if o is placed) for placed in order]
    assert len(set(number)) == len(number)
    state = specification.initial
    for placed in order:
        state = specification.step(state, placed)
        assert not isinstance(state, Illegal)
    for later, i in enumerate(number):
        before = {j for j in range(len(operations)) if precedes(operations, j, i)}
        assert before <= set(number[:later])


# -- histories for hypothesis ----------------------------------------------------------------------

VALUES = st.integers(0, 2)
RESULT = {
    "register": (Register(0), ["read", "write"]),
    "compare-and-set": (CasRegister(0), ["read", "write", "cas"]),
    "key-value": (KeyValueMap(), ["get", "put", "append"]),
    "queue": (Queue(), ["enqueue", "dequeue"]),
    "log": (AppendOnlyLog(), ["append", "read", "get"]),
    "mutex": (Mutex(), ["acquire", "release"]),
    "transactions": (Transactions({"x": 0, "y": 0}), ["txn"]),
}


def argument_of(draw, kind: str, f: str):
    if f in ("read", "dequeue", "acquire", "release") or (kind == "key-value" and f == "get"):
        return None
    if f == "cas":
        return (draw(VALUES), draw(VALUES))
    if f == "get":
        return draw(st.integers(0, 2))
    if f == "txn":
        part = st.tuples(st.sampled_from(["read", "write"]), st.sampled_from(["x", "y"]), VALUES)
        return tuple(draw(st.lists(part, min_size=1, max_size=2)))
    return draw(st.sampled_from(["a", "b"])) if kind == "key-value" else draw(VALUES)


def answer(kind: str, f: str, argument, state):
    """What the sequential type answers in ``state``; the models themselves only judge answers."""
    if f == "cas":
        return state == argument[0]
    if kind == "log" and f == "read":
        return state.values()
    if kind == "log" and f == "get":
        return state.values()[argument] if argument < state.length else None
    if f in ("read", "get"):
        return state
    if f == "dequeue":
        return state[0] if state else None
    if f == "txn":
        now, seen = dict(state), []
        for what, name, value in argument:
            now[name] = value if what == "write" else now[name]
            seen.append((what, name, now[name]))
        return tuple(seen)
    return None


@st.composite
def histories(draw, kind: str) -> History:
    """A few clients of one atomic object, with ties in time, unheard operations, and sometimes one wrong answer."""
    specification, names = RESULT[kind]
    spans = []
    for process in range(draw(st.integers(1, 4))):
        now = 0
        for turn in range(draw(st.integers(0, 3))):
            now += draw(st.integers(0, 2))
            returned = now + draw(st.integers(0, 4))
            spans.append((draw(st.floats(now, returned)), process, turn, now, returned, draw(st.sampled_from(names))))
            now = returned
    spans = sorted(spans)[:6]
    wrong = draw(st.integers(-4, 6))
    state, operations = specification.initial, []
    for number, (_, process, turn, call, returned, f) in enumerate(spans):
        argument = argument_of(draw, kind, f)
        result = answer(kind, f, argument, state)
        new = specification.step(state, Operation(process, f, argument, result, call, returned))
        state = state if isinstance(new, Illegal) else new
        if number == wrong and f in ("read", "get", "dequeue", "cas"):
            result = not result if f == "cas" else draw(st.sampled_from([0, 1, 2, None, "a", "ab", (0, 1)]))
        last = all(other[1] != process or other[2] <= turn for other in spans)
        unheard = last and draw(st.integers(0, 3)) == 0
        operations.append(Operation(process, f, argument, result, call, NEVER if unheard else returned))
    return History(operations)


@pytest.mark.parametrize("kind", RESULT)
@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data())
def test_agrees_with_brute_force_and_its_evidence_holds(kind, data):
    history, specification = data.draw(histories(kind)), RESULT[kind][0]
    result = check(history, specification)
    expected = brute_force(history.operations, specification)
    assert result.verdict is (Verdict.LINEARIZABLE if expected else Verdict.NOT_LINEARIZABLE)
    for part in result.parts:
        assert_legal(part.order, history, specification)
        placed = {id(o) for o in part.order}
        if part.stuck is None:
            assert all(o.pending or id(o) in placed for o in history.operations)
        else:
            assert_stuck(part, history, specification)


def assert_stuck(part, history: History, specification: Specification) -> None:
    """The history is linearizable up to the stuck return, and no longer with it."""
    returns = sorted((o for o in history.operations if not o.pending), key=lambda o: o.returned)
    assert returns[part.prefix] is part.stuck.operation
    for length, expected in ((part.prefix, True), (part.prefix + 1, False)):
        known = {id(o) for o in returns[:length]}
        called = [o for o in history.operations if o.call <= part.stuck.operation.returned]
        still_open = [i for i, o in enumerate(called) if id(o) not in known]
        assert brute_force(called, specification, still_open) is expected
    assert part.stuck.partials
    for partial in part.stuck.partials:
        assert_legal(partial.order, history, specification)
        assert {id(o) for o in returns[: part.prefix]} <= {id(o) for o in partial.order}
        assert partial.why


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(histories("compare-and-set"), min_size=2, max_size=3))
def test_keys_together_and_apart_agree(parts):
    operations = [
        Operation((key, o.process), o.f, o.argument, o.result, o.call, o.returned, key)
        for key, history in enumerate(parts)
        for o in history.operations[:3]
    ]
    apart = check(operations, CasRegister(0))
    together = check(operations, CasRegister(0), partition=False)
    assert apart.verdict is together.verdict


def test_the_random_histories_are_of_both_kinds():
    """The property above would be worth little if every history were linearizable (sample: 200, seed 5)."""
    rng, verdicts = random.Random(5), []
    for _ in range(200):
        operations = [
            write(p, rng.randrange(2), t, t + rng.randrange(4))
            if rng.random() < 0.5
            else read(p, rng.randrange(2), t, t + 2)
            for p, t in enumerate(rng.choices(range(6), k=5))
        ]
        verdict = check(operations, Register(0)).verdict
        assert (verdict is Verdict.LINEARIZABLE) is brute_force(History(operations).operations, Register(0))
        verdicts.append(verdict)
    assert 20 < verdicts.count(Verdict.NOT_LINEARIZABLE) < 180


# -- what each type allows -------------------------------------------------------------------------


def verdict(specification: Specification, *operations: Operation) -> Verdict:
    return check(operations, specification).verdict


YES, NO = Verdict.LINEARIZABLE, Verdict.NOT_LINEARIZABLE


def test_empty_history():
    result = check([], Register())
    assert result.verdict is YES and result.parts == () and "empty" in result.explain()
    assert result.timeline()["operations"].empty


def test_register_overlapping_write_may_be_seen_by_one_read_and_not_by_another():
    early, late = read(1, 100, 25, 75), read(2, 0, 30, 60)
    assert verdict(Register(0), write(0, 100, 0, 100), early, late) is YES


def test_register_value_once_seen_cannot_vanish():
    assert verdict(Register(0), write(0, 200, 0, 100), read(1, 200, 10, 30), read(2, 0, 40, 90)) is NO


def test_register_duplicate_values_are_different_writes():
    back = [write(0, 1, 0, 1), write(0, 2, 2, 3), write(0, 1, 4, 5)]
    assert verdict(Register(), *back, read(1, 1, 6, 7)) is YES
    assert verdict(Register(), *back[:2], read(1, 1, 6, 7)) is NO
    assert verdict(Register(), *back[:2], write(2, 1, 4), read(1, 1, 6, 7), read(1, 1, 8, 9)) is YES


def test_equal_times_are_concurrent_between_processes():
    assert verdict(Register(0), write(0, 1, 0, 5), read(1, 0, 5, 9)) is YES
    assert verdict(Register(0), write(0, 1, 0, 5), read(1, 0, 5.001, 9)) is NO
    points = [write(0, 1, 5, 5), read(1, 0, 5, 5), read(2, 1, 5, 5)]
    assert verdict(Register(0), *points) is YES


def test_equal_times_within_one_process_keep_its_order():
    assert verdict(Register(0), write(0, 1, 0, 5), read(0, 0, 5, 9)) is NO
    assert verdict(Register(0), write(0, 1, 5, 5), read(0, 0, 5, 5)) is NO
    assert verdict(Register(0), read(0, 0, 5, 5), write(0, 1, 5, 5)) is YES


def test_equal_operations_are_not_interchangeable_when_their_process_goes_on_at_once():
    """The second acquire must come first, so that its process's release makes room for the first (found by
    hypothesis)."""
    acquires = [op(0, "acquire", call=0, returned=3), op(1, "acquire", call=0, returned=3)]
    assert verdict(Mutex(), *acquires, op(1, "release", call=3)) is YES
    assert verdict(Mutex(), *acquires, op(2, "release", call=3)) is YES
    assert verdict(Mutex(), *acquires, op(1, "release", call=3.5)) is NO


def test_pending_operation_may_happen_at_any_time_later_or_never():
    assert verdict(Register(0), write(0, 1, 0), read(1, 0, 5, 6)) is YES
    assert verdict(Register(0), write(0, 1, 0), read(1, 1, 5, 6)) is YES
    assert verdict(Register(0), write(0, 1, 0), read(1, 0, 5, 6), read(1, 1, 7, 8)) is YES
    assert verdict(Register(0), write(0, 1, 0), read(1, 1, 5, 6), read(1, 0, 7, 8)) is NO
    assert verdict(Register(0), read(1, 1, 1, 2), write(0, 1, 3)) is NO  # not before its call
    assert verdict(Register(0), read(1, "anything", 1)) is YES  # its answer was never heard


def test_crashed_process_may_call_again():
    assert verdict(Register(0), write(0, 1, 0), read(0, 0, 5, 6), read(0, 1, 7, 8)) is YES


def test_compare_and_set_answers_are_binding():
    cas = op(1, "cas", (1, 2), True, 2, 3)
    assert verdict(CasRegister(0), write(0, 1, 0, 1), cas, read(0, 2, 4, 5)) is YES
    assert verdict(CasRegister(0), write(0, 7, 0, 1), cas) is NO
    assert verdict(CasRegister(1), op(1, "cas", (1, 2), False, 2, 3)) is NO
    assert verdict(CasRegister(1), op(1, "cas", (1, 2), UNKNOWN, 2, 3), read(0, 2, 4, 5)) is YES
    assert verdict(CasRegister(1), op(1, "cas", (1, 2), UNKNOWN, 2, 3), read(0, 1, 4, 5)) is NO


def test_lists_are_hashable_values():
    assert verdict(Register(), write(0, [1, {"a": [2]}], 0, 1), read(0, [1, {"a": [2]}], 2, 3)) is YES


def test_key_value_appends_in_order_and_keys_apart():
    def put(f, value, call, key):
        return op(call % 2, f, value, None, call, call + 0.5, key)

    history = [put("put", "a", 0, "x"), put("append", "b", 1, "x"), put("append", "c", 2, "y")]
    assert (
        verdict(KeyValueMap(), *history, op(3, "get", None, "ab", 4, 5, "x"), op(3, "get", None, "c", 6, 7, "y")) is YES
    )
    assert verdict(KeyValueMap(), *history, op(3, "get", None, "ba", 4, 5, "x")) is NO
    assert verdict(KeyValueMap(), op(3, "get", None, "", 4, 5, "z")) is YES


def test_queue_is_first_in_first_out():
    put = [op(0, "enqueue", 1, None, 0, 1), op(0, "enqueue", 2, None, 2, 3)]
    assert verdict(Queue(), *put, op(1, "dequeue", None, 1, 4, 5), op(1, "dequeue", None, 2, 6, 7)) is YES
    assert verdict(Queue(), *put, op(1, "dequeue", None, 2, 4, 5)) is NO
    assert verdict(Queue(), *put, op(1, "dequeue", None, None, 4, 5)) is NO
    assert verdict(Queue(), put[0], op(1, "dequeue", None, 1, 4, 5), op(2, "dequeue", None, 1, 4, 5)) is NO
    assert verdict(Queue(), op(1, "dequeue", None, None, 4, 5)) is YES
    assert verdict(Queue(), put[0], op(2, "dequeue", call=1), op(1, "dequeue", None, None, 4, 5)) is YES


def test_log_reads_are_whole_and_indices_hold():
    put = [op(0, "append", "a", 0, 0, 1), op(0, "append", "b", 1, 2, 3)]
    assert verdict(AppendOnlyLog(), *put, op(1, "read", None, ["a", "b"], 4, 5), op(1, "get", 1, "b", 6, 7)) is YES
    assert verdict(AppendOnlyLog(), *put, op(1, "read", None, ["b", "a"], 4, 5)) is NO
    assert verdict(AppendOnlyLog(), *put, op(1, "read", None, ["a"], 4, 5)) is NO
    assert verdict(AppendOnlyLog(), *put, op(1, "get", 5, None, 4, 5)) is YES
    assert verdict(AppendOnlyLog(), op(0, "append", "a", 1, 0, 1)) is NO


def test_together_describes_every_key():
    both = Together(Register(0))
    state = both.step(both.initial, write(0, 3, 0, 1, key="x"))
    assert both.describe(state) == "'x' holds 3" and both.describe(both.initial) == "holds nothing"


# -- evidence --------------------------------------------------------------------------------------


def stuck_result() -> Linearizability:
    operations = [write(0, 1, 0, 1), write(1, 2, 2, 9), read(2, 3, 3, 5), read(0, 1, 10, 11)]
    return check(operations, Register(0))


def test_says_which_operation_and_why():
    result = stuck_result()
    part = result.decisive
    assert part.stuck.operation.label == "read → 3" and part.prefix == 1
    assert [o.label for o in part.order] == ["write 1", "write 2"]
    assert {partial.state for partial in part.stuck.partials} == {"holds 1", "holds 2"}
    text = result.explain()
    assert "process 2: read → 3, called at 3, returned at 5" in text
    assert "where the state holds 1: it answered 3, and should have answered 1" in text


def test_a_verdict_is_not_a_truth_value():
    with pytest.raises(TypeError, match=r"result\.verdict"):
        bool(stuck_result())


def test_timeline_is_plain_data():
    timeline = stuck_result().timeline()
    rows = timeline["operations"].set_index("label")
    assert list(rows.columns) == ["process", "call", "returned", "order", "fate", "why"]
    assert rows.fate.to_dict() == {
        "write 1": "placed", "write 2": "placed", "read → 3": "stuck", "read → 1": "not placed",
    }  # fmt: skip
    assert "no moment fits read → 3 of process 2" in timeline["headline"]


def test_timeline_of_a_chosen_key():
    result = check([write(0, 1, 0, 1, key="x"), write(1, 2, 0, 1, key="y")], Register())
    assert list(result.timeline("y")["operations"].label) == ["write 2"]
    with pytest.raises(KeyError, match="no operation has the key 'z'"):
        result.timeline("z")


# -- limits ----------------------------------------------------------------------------------------


def hard(key: str) -> list[Operation]:
    """Thirty concurrent writes of different values and a read of none of them: 30! orders, all wrong."""
    return [*(write((key, i), i, i, 100 + i, key) for i in range(30)), read((key, 99), "?", 40, 200, key)]


def test_configuration_limit_gives_unknown():
    result = check(hard("x"), Register(), configuration_limit=2_000)
    assert result.verdict is Verdict.UNKNOWN and 2_000 < result.configurations < 3_000
    assert "limit on configurations" in result.explain() and result.parts[0].stuck is None
    assert result.timeline()["headline"].startswith("Unknown")


def test_time_limit_gives_unknown():
    result = check(hard("x"), Register(), time_limit_s=1e-9)
    assert result.verdict is Verdict.UNKNOWN and "time limit" in result.limit


def test_a_hard_key_does_not_hide_an_easy_violation():
    easy = [write(0, 1, 0, 1, "easy"), read(0, 2, 2, 3, "easy")]
    for operations in (hard("hard") + easy, easy + hard("hard")):
        result = check(operations, Register(), configuration_limit=5_000)
        assert result.verdict is NO and result.decisive.key == "easy"


def test_long_register_history():
    """2,000 operations of 8 clients (seed 3): linearizable, and not with one stale answer."""
    rng, operations, held = random.Random(3), [], 0
    for number in range(2_000):
        at = float(number)
        if rng.random() < 0.4:
            held = rng.randrange(5)
            operations.append(write(number % 8, held, at - rng.random() * 3, at + rng.random() * 3))
        else:
            operations.append(read(number % 8, held, at - rng.random() * 3, at + rng.random() * 3))
    assert verdict(Register(0), *operations) is YES
    spoiled = [*operations[:1_500], read("late", 9, 1_500.0, 1_500.5), *operations[1_500:]]
    result = check(spoiled, Register(0))
    assert result.verdict is NO and result.decisive.stuck.operation.process == "late"


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("specification", "operation", "message"),
    [
        (Register(), op(0, "cas", (1, 2), True, 0, 1), "Register knows read, write, not 'cas'"),
        (CasRegister(), op(0, "cas", 3, True, 0, 1), r"cas needs the argument \[from, to\], got 3"),
        (KeyValueMap(), op(0, "append", 3, None, 0, 1), "append needs a string, got 3"),
        (Queue(), op(0, "enqueue", None, None, 0, 1), "enqueue needs a value"),
        (AppendOnlyLog(), op(0, "get", -1, None, 0, 1), "get needs an index from 0, got -1"),
        (Transactions({}), op(0, "txn", [["red", "x", 1]], None, 0, 1), "txn needs"),
        (Mutex(), op(0, "lock", None, None, 0, 1), "Mutex knows acquire, release, not 'lock'"),
        (Together(Queue()), op(0, "push", 1, None, 0, 1), "Queue knows enqueue, dequeue, not 'push'"),
    ],
)
def test_unknown_operations_and_wrong_arguments(specification, operation, message):
    with pytest.raises(ValueError, match=message):
        check([operation], specification)


@pytest.mark.parametrize("name", ["time_limit_s", "configuration_limit"])
def test_limits_must_be_positive(name):
    with pytest.raises(ValueError, match=f"{name} is 0; it takes a number above 0"):
        check([], Register(), **{name: 0})


def test_overlap_within_a_process():
    with pytest.raises(ValueError, match="process 0 called read → 1 at 3 while its write 1 was still open"):
        check([write(0, 1, 0, 5), read(0, 1, 3, 6)], Register())


def test_return_before_call():
    with pytest.raises(ValueError, match=r"write 1 of process 0 returned at 1, before its call at 2"):
        write(0, 1, 2, 1)
    with pytest.raises(ValueError, match="before its call"):
        write(0, 1, 2, math.nan)
    with pytest.raises(ValueError, match="call must be a finite time"):
        write(0, 1, math.inf)


def test_states_must_be_hashable():
    class Bag(Register):
        def step(self, state, operation):
            return [operation.argument]

    with pytest.raises(TypeError, match=r"Bag has the state \[3\]; a state must be hashable"):
        check([write(0, 3, 0, 1)], Bag())


def test_values_must_be_comparable():
    with pytest.raises(ValueError, match="argument must equal itself"):
        write(0, math.nan, 0, 1)
    with pytest.raises(TypeError, match="cannot be saved and compared"):
        write(0, object(), 0, 1)


# --- operations of one process at one instant: the order in which they are given is theirs ---------------------


def test_a_pending_operation_may_take_effect_before_the_next_of_its_process_at_the_same_time():
    never_heard = Operation("P", "write", 1, call=1.0)
    read = Operation("P", "read", None, 1, call=1.0, returned=1.0)
    assert check(History([never_heard, read]), Register()).verdict is Verdict.LINEARIZABLE


def test_a_pending_operation_between_two_others_does_not_hide_their_order():
    """The write came back and the read followed, both at 1; between them the process began what nobody heard of."""
    write = Operation("P", "write", 1, call=0.0, returned=1.0)
    never_heard = Operation("P", "read", None, call=1.0)
    read = Operation("P", "read", None, None, call=1.0, returned=1.0)
    assert check(History([write, never_heard, read]), Register()).verdict is Verdict.NOT_LINEARIZABLE


def test_operations_of_no_length_keep_the_order_in_which_they_are_given():
    write = Operation("P", "write", 1, call=1.0, returned=1.0)
    read = Operation("P", "read", None, None, call=1.0, returned=1.0)
    assert check(History([write, read]), Register()).verdict is Verdict.NOT_LINEARIZABLE
    assert check(History([read, write]), Register()).verdict is Verdict.LINEARIZABLE


def test_an_operation_that_begins_while_another_is_open_is_refused_also_at_the_same_time():
    first = Operation("P", "write", 1, call=1.0, returned=5.0)
    with pytest.raises(ValueError, match="while its write 1 was still open"):
        History([first, Operation("P", "read", None, 1, call=1.0, returned=1.0)])


def test_at_one_instant_two_keys_may_contradict_each_other():
    """P writes x and then finds y empty, Q writes y and then finds x empty: each key alone sees nothing wrong."""

    def at_one(process, f, argument, key):
        return Operation(process, f, argument, None, call=1.0, returned=1.0, key=key)

    crossed = [
        at_one("P", "write", 1, "x"), at_one("P", "read", None, "y"),
        at_one("Q", "write", 1, "y"), at_one("Q", "read", None, "x"),
    ]  # fmt: skip
    assert check(History(crossed), Register()).verdict is Verdict.NOT_LINEARIZABLE
    assert check(History(crossed[:3]), Register()).verdict is Verdict.LINEARIZABLE


def test_equal_times_of_two_processes_order_nothing():
    write = Operation("P", "write", 1, call=0.0, returned=1.0)
    read = Operation("Q", "read", None, None, call=1.0, returned=1.0)
    assert check(History([write, read]), Register()).verdict is Verdict.LINEARIZABLE
