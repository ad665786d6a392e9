"""Idempotency keys: at most once while a key is kept, whatever comes in whatever order."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distlib.resilience.idempotency import Fresh, IdempotencyStore, InProgress, Mismatch, Replay

STEPS = st.lists(
    st.tuples(
        st.sampled_from(("request", "request", "other", "answer", "give up")), st.sampled_from("abc"),
        st.sampled_from((0.0, 0.5, 3.0)),
    ),
    max_size=60,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_no_key_is_executed_twice_while_it_is_kept(steps):
    store, now, running, answered = IdempotencyStore(keep_s=10.0), 0.0, set(), {}
    executed = Counter()
    for what, key, gap in steps:
        now += gap
        kept = key in answered and now - answered[key][1] < 10.0
        if what in ("request", "other"):
            found = store.begin(key, now, "" if what == "request" else "something else")
            if key not in running and not kept:
                assert found == Fresh()
                running.add(key)
                fingerprint = what
                answered[key] = (None, now, fingerprint)
            elif answered[key][2] != what:
                assert found == Mismatch()
            else:
                assert found == (InProgress() if key in running else Replay(answered[key][0]))
        elif key in running:
            running.remove(key)
            if what == "answer":
                executed[key] += 1
                store.finish(key, executed[key], now)
                answered[key] = (executed[key], now, answered[key][2])
            else:
                store.forget(key)
                del answered[key]
        else:
            with pytest.raises(KeyError, match="in progress"):
                store.finish(key, "a second answer", now) if what == "answer" else store.forget(key)


@pytest.mark.parametrize(("later_s", "times"), [(9.9, 1), (10.0, 2)])
def test_a_repetition_after_the_time_is_executed_again(later_s, times):
    store, executed = IdempotencyStore(keep_s=10.0), 0
    for now in (0.0, 0.0 + later_s):
        if store.begin("pay", now) == Fresh():
            executed += 1
            store.finish("pay", "paid", now)
    assert executed == times


def test_a_repetition_after_the_room_is_gone_is_executed_again():
    store = IdempotencyStore(most=2)
    for key in ("a", "b", "c"):
        assert store.begin(key, 0.0) == Fresh()
        store.finish(key, key, 0.0)
    assert len(store) == 2 and store.begin("c", 0.0) == Replay("c") and store.begin("a", 0.0) == Fresh()


def test_a_key_in_progress_outlives_its_time():
    store = IdempotencyStore(keep_s=1.0)
    assert store.begin("slow", 0.0) == Fresh() and store.begin("slow", 500.0) == InProgress()
    store.finish("slow", "done", 500.0)
    assert store.begin("slow", 500.9) == Replay("done")


def test_the_first_answer_stands():
    store = IdempotencyStore()
    store.begin("k", 0.0)
    store.finish("k", "first", 0.0)
    for wrong in (lambda: store.finish("k", "second", 1.0), lambda: store.forget("k")):
        with pytest.raises(KeyError, match="'k' is in progress"):
            wrong()
    assert store.begin("k", 1.0) == Replay("first")


@pytest.mark.parametrize(("key", "wrong"), [("", ValueError), (None, TypeError), (7, TypeError)])
def test_a_key_is_a_string_with_something_in_it(key, wrong):
    with pytest.raises(wrong, match="key is"):
        IdempotencyStore().begin(key, 0.0)
