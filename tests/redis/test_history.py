"""The past is answered from what is folded and what is not yet, merged over pairs and time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postbeat.model import Level, Pair
from postbeat.rollup import Rollup
from postbeat.store.fold import DAY_US, HOUR_US, FoldStore, Retention
from tests.redis.logbook import PAIR, SOUTH, During, Logbook, by, check, results


@pytest.fixture
def book(redis_url: str) -> Iterator[Logbook]:
    with Logbook.open(redis_url) as opened:
        yield opened


def merged(rollups: dict[int, Rollup], periods: range) -> Rollup:
    total = Rollup()
    for period, rollup in rollups.items():
        if period in periods:
            total.merge(rollup)
    return total


AGES_US = st.integers(0, 20 * 24).map(lambda hours: hours * HOUR_US)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_range_over_any_pairs_is_what_its_hours_add_up_to(book: Logbook, data: st.DataObject) -> None:
    ages_us = data.draw(st.lists(AGES_US, min_size=1, max_size=30))
    entries = data.draw(st.lists(st.tuples(results(book.now_us, ages_us), st.booleans()), max_size=30))
    folded = data.draw(st.integers(0, len(entries)))
    book.redis.flushall()
    for number, (entry, is_south) in enumerate(entries):
        book.write(entry, pair=SOUTH if is_south else PAIR)
        if number + 1 == folded:
            book.fold()
            book.fold(SOUTH)
    hours = by([entry for entry, _ in entries], HOUR_US)
    for _ in range(3):
        begin_us, end_us = sorted(book.now_us - data.draw(AGES_US) - 1 for _ in range(2))
        expected = merged(hours, range(begin_us // HOUR_US, -(-end_us // HOUR_US)))
        assert book.history.rollup([PAIR, SOUTH], begin_us, end_us) == expected


def test_a_range_reaches_back_by_whole_days_where_hours_are_not_kept(book: Logbook, redis_url: str) -> None:
    folder = FoldStore(redis_url, Retention(hours_days=1))
    midnight_us = (book.now_us // DAY_US - 5) * DAY_US
    book.write(check(midnight_us - 1), check(midnight_us + HOUR_US), check(midnight_us + 20 * HOUR_US))
    folder.fold(str(PAIR))
    folder.close()
    book.write(check(midnight_us + 2 * HOUR_US))  # comes late, and is not folded
    found = book.history.rollup([PAIR], midnight_us + 10 * HOUR_US, midnight_us + 23 * HOUR_US)
    assert found.counts["poll:GOOD"] == 3
    found = book.history.rollup([PAIR], midnight_us - 5 * HOUR_US, midnight_us)
    assert found.counts["poll:GOOD"] == 1


def test_a_series_has_every_step_and_nothing_else(book: Logbook) -> None:
    hour = book.now_us // HOUR_US
    book.write(check((hour - 2) * HOUR_US), check((hour - 2) * HOUR_US, Level.FAILED))
    book.fold()
    book.write(check(hour * HOUR_US), check((hour - 9) * HOUR_US))
    series = book.history.series([PAIR], (hour - 3) * HOUR_US, hour * HOUR_US + 1, step="hour")
    assert [at_us for at_us, _ in series] == [(hour - age) * HOUR_US for age in (3, 2, 1, 0)]
    assert [sum(rollup.counts.values()) for _, rollup in series] == [0, 5, 0, 2]


def test_a_series_without_bounds_is_refused(book: Logbook) -> None:
    with pytest.raises(ValueError, match="at most 10000 steps"):
        book.history.series([PAIR], 0, book.now_us, step="hour")
    assert len(book.history.series([PAIR], book.now_us - 400 * DAY_US, book.now_us, step="hour")) > 9600


def test_only_the_timings_that_are_wanted_are_given(book: Logbook) -> None:
    book.write(check(book.now_us, us=1000))
    book.fold()
    book.write(check(book.now_us, us=3000))
    for timings in ([], ["responseTime"]):
        found = book.history.rollup([PAIR], book.now_us - DAY_US, book.now_us, timings=timings)
        assert sorted(found.timings) == timings
        assert found.counts["poll:GOOD"] == 2
        ((_, day),) = book.history.series([PAIR], book.now_us - 1, book.now_us, step="day", timings=timings)
        assert (sorted(day.timings), day.counts["poll:GOOD"]) == (timings, 2)


def test_a_percentile_is_one_over_all_regions(book: Logbook) -> None:
    book.write(*(check(book.now_us, us=us) for us in range(1000, 51_000, 1000)))
    book.fold()
    book.write(*(check(book.now_us, us=us) for us in range(51_000, 101_000, 1000)), pair=SOUTH)
    median_us = book.total(PAIR, SOUTH).percentile("responseTime", 0.5)
    assert median_us == pytest.approx(50_000, rel=0.02)


def test_what_is_not_folded_is_judged_by_the_calendar_given(book: Logbook) -> None:
    book.write(check(book.now_us, Level.FAILED))
    window = During(book.now_us, book.now_us + 1)
    found = book.history.rollup([PAIR], book.now_us - HOUR_US, book.now_us + 1, calendar=window)
    assert found.counts == {"maintenance": 1}
    ((_, today),) = book.history.series([PAIR], book.now_us, book.now_us + 1, step="day", calendar=window)
    assert today.counts == {"maintenance": 1}
    assert book.total().counts["poll:FAILED"] == 1


def test_single_results_come_oldest_first_and_the_newest_of_too_many(book: Logbook) -> None:
    book.now_us -= book.now_us % 1_000_000
    entries = [check(book.now_us - age * HOUR_US, slot=age, us=52) for age in range(10)]
    for entry in reversed(entries):
        book.write(entry, at_us=entry.at_us)
    book.fold()

    def slots(from_us: int, to_us: int | None = None, count: int = 100) -> list[int]:
        return [figures.slot for figures in book.history.raw(PAIR, from_us, to_us, count)]

    assert slots(book.now_us - 3 * HOUR_US) == [3, 2, 1, 0]
    assert slots(book.now_us - 3 * HOUR_US, book.now_us - HOUR_US) == [3, 2]
    assert slots(0, count=2) == [1, 0]
    assert slots(0, book.now_us - HOUR_US, count=2) == [3, 2]
    assert book.history.raw(PAIR, 0) == entries[::-1]


def test_of_a_pair_that_was_never_heard_of_there_is_nothing(book: Logbook) -> None:
    nobody = [Pair("nobody", "lab")]
    assert book.history.rollup(nobody, 0, book.now_us) == Rollup()
    assert book.history.rollup([], 0, book.now_us) == Rollup()
    assert book.history.raw(nobody[0], 0) == []
