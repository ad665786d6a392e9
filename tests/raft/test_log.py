"""Raft's log as a value: indexes from 1, a base that a snapshot covers, and its errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distlib.raft.log import Entry, Log
from distlib.replication.message import NoOp

TERMS = st.lists(st.integers(1, 5), max_size=12).map(sorted)


def log_of(*terms: int) -> Log:
    return Log().append(*[Entry(term, f"c{index}") for index, term in enumerate(terms, 1)])


def test_an_empty_log_ends_at_index_0_of_term_0() -> None:
    assert (Log().last_index, Log().last_term, Log().term_at(0), Log().term_at(1)) == (0, 0, 0, None)


def test_the_first_entry_has_index_1() -> None:
    log = log_of(1, 2, 2)
    assert (log.last_index, log.last_term, log.term_at(1), log.entry(3).command) == (3, 2, 1, "c3")


def test_appending_leaves_the_old_log_alone() -> None:
    old = log_of(1)
    new = old.append(Entry(2, NoOp()))
    assert (old.last_index, new.last_index) == (1, 2)


@given(TERMS, st.integers(0, 14))
def test_truncating_keeps_exactly_what_stands_before(terms: list[int], index: int) -> None:
    log = log_of(*terms)
    assert log.truncated_from(index).entries == log.entries[: max(index - 1, 0)]


@given(TERMS, st.data())
def test_compacting_changes_no_index_and_no_term_of_what_is_left(terms: list[int], data: st.DataObject) -> None:
    log = log_of(*terms)
    base = data.draw(st.integers(0, log.last_index))
    short = log.compacted(base)
    assert (short.last_index, short.last_term, short.base_index) == (log.last_index, log.last_term, base)
    for index in range(base, log.last_index + 1):
        assert short.term_at(index) == log.term_at(index)
    for index in range(base):
        assert short.term_at(index) is None
    assert short.slice(1) == log.slice(base + 1)


def test_what_the_snapshot_covers_cannot_be_read() -> None:
    log = log_of(1, 1, 2).compacted(2)
    with pytest.raises(IndexError, match="no entry 2 in the log: it holds 3 to 3"):
        log.entry(2)
    with pytest.raises(IndexError, match="no entry 4"):
        log.entry(4)
    with pytest.raises(IndexError, match="cannot compact to 1"):
        log.compacted(1)


@given(TERMS, st.integers(1, 14), st.integers(0, 6))
def test_first_and_last_index_of_a_term_agree_with_a_plain_search(terms: list[int], before: int, term: int) -> None:
    log = log_of(*terms)
    holding = [index for index in range(1, log.last_index + 1) if log.term_at(index) == term and index < before]
    assert log.last_index_of(term, before) == max(holding, default=0)
    if holding:
        assert log.first_index_of(max(holding)) == min(holding)


def test_slices_are_limited() -> None:
    log = log_of(1, 1, 2, 3)
    assert [entry.command for entry in log.slice(2, 2)] == ["c2", "c3"]
    assert log.slice(5) == ()


def test_equal_logs_have_equal_hashes_and_read_well() -> None:
    assert hash(log_of(1, 2)) == hash(log_of(1, 2))
    assert log_of(1, 2) == log_of(1, 2) != log_of(1, 1)
    assert str(log_of(1, 2).compacted(1)) == "…1 [2:c2]"
