"""A cache that asks once for many, spreads the ends of its entries, and may serve stale."""

import numpy as np
import pytest

from distlib.resilience.fallback import CacheRule, Fetch, Hit, Join, StaleCache


def test_a_herd_asks_the_origin_once():
    cache = StaleCache(CacheRule(fresh_s=10.0, jitter=0.0))
    asked = 0
    for now in np.arange(0.0, 100.0, 0.01):
        found = cache.look("popular", now)
        if isinstance(found, Fetch):
            asked, until = asked + 1, now + 0.5
        elif asked and until is not None and now >= until:
            cache.fetched("popular", asked, now, 0.0)
            until = None
        if isinstance(found, Join):
            assert found.has_stale == (asked > 1)
    assert asked == 10


def test_whoever_joins_gets_the_old_answer_as_long_as_it_may_be_used():
    cache = StaleCache(CacheRule(fresh_s=10.0, jitter=0.0, stale_s=5.0))
    cache.fetched("k", "old", 0.0, 0.0)
    assert cache.look("k", 10.0) == Fetch()
    assert cache.look("k", 14.9) == Join(True, "old") and cache.look("k", 15.0) == Join(False)


def test_without_jitter_entries_end_together_and_with_it_spread_over_its_share():
    def ends(jitter):
        cache, rng = StaleCache(CacheRule(fresh_s=10.0, jitter=jitter)), np.random.default_rng(3)
        for k in range(2000):
            cache.fetched(str(k), k, 0.0, float(rng.random()))
        return [sum(isinstance(cache.look(str(k), t), Hit) for k in range(2000)) for t in (7.9, 9.0, 9.999)]

    assert ends(0.0) == [2000, 2000, 2000]
    early, half, late = ends(0.2)
    assert early == 2000 and half == pytest.approx(1000, abs=3 * 22.4) and late < 5


def test_there_is_room_for_so_many_and_what_was_fetched_longest_ago_goes():
    cache = StaleCache(CacheRule(most=3))
    for k, key in enumerate("abc"):
        cache.fetched(key, key, float(k), 0.0)
    cache.fetched("a", "again", 3.0, 0.0)
    cache.fetched("d", "d", 4.0, 0.0)
    assert len(cache) == 3 and cache.look("a", 5.0) == Hit("again") and cache.look("b", 5.0) == Fetch()


def test_an_entry_that_somebody_asks_for_is_not_dropped():
    cache = StaleCache(CacheRule(most=1))
    assert cache.look("a", 0.0) == Fetch() and cache.look("b", 0.0) == Fetch()
    cache.fetched("b", "b", 0.0, 0.0)
    assert cache.look("a", 0.0) == Join(False) and cache.look("b", 0.0) == Fetch()


def test_failures_leave_nothing_behind():
    cache = StaleCache(CacheRule())
    for k in range(100):
        assert cache.look(str(k), 0.0) == Fetch() and cache.failed(str(k), 0.0) is None
    assert len(cache) == 0


def test_a_lost_cache_knows_who_is_asking():
    cache = StaleCache(CacheRule())
    cache.fetched("a", 1, 0.0, 0.0)
    assert cache.look("b", 0.0) == Fetch()
    cache.clear()
    assert cache.look("b", 0.0) == Join(False) and cache.look("a", 0.0) == Fetch() and cache.failed("a", 0.0) is None
    cache.fetched("b", 2, 0.0, 0.0)
    assert cache.look("b", 0.0) == Hit(2)


def test_a_cache_needs_its_rule():
    with pytest.raises(TypeError, match="rule is 60"):
        StaleCache(60)
