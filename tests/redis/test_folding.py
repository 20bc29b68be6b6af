"""Folding counts every result once: in any order, in any portions, by however many folders."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postbeat.model import Level, Pair
from postbeat.store import keys
from postbeat.store.fold import BACKLOG, DAY_US, FOLD_US, HOUR_US, LIMIT, STAYING, FoldStore, Retention
from tests.redis.logbook import PAIR, SOUTH, During, Logbook, by, check, results

KEPT_S = 20.0  # in which anything that should happen does


@pytest.fixture
def book(redis_url: str) -> Iterator[Logbook]:
    with Logbook.open(redis_url) as opened:
        yield opened


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_and_any_portions_give_the_same_history(book: Logbook, data: st.DataObject) -> None:
    ages_us = [0, HOUR_US, 26 * HOUR_US, 20 * DAY_US, 60 * DAY_US]
    entries = data.draw(st.lists(results(book.now_us, ages_us), max_size=20))
    mixed = data.draw(st.permutations(entries))
    ends = data.draw(st.sets(st.integers(0, len(entries))))
    book.redis.flushall()
    book.write(*entries)
    assert book.fold() == len(entries)
    for number, entry in enumerate(mixed):
        if number in ends:
            book.fold(SOUTH)
        book.write(entry, pair=SOUTH)
    counted = by(entries, DAY_US)
    assert book.days(70, SOUTH) == counted  # what is not folded counts too
    book.fold(SOUTH)
    assert book.packed(SOUTH) == book.packed()
    assert book.days(70) == book.days(70, SOUTH) == counted
    lately = [entry for entry in entries if book.now_us - entry.at_us < 30 * DAY_US]
    assert book.hours(30 * 24) == by(lately, HOUR_US)


def test_folding_again_changes_nothing(book: Logbook) -> None:
    book.write(check(book.now_us))
    assert book.fold() == 1
    before = book.redis.hgetall(keys.rollup(str(PAIR)))
    assert book.fold() == 0
    assert book.redis.hgetall(keys.rollup(str(PAIR))) == before


def test_several_folders_at_once_count_nothing_twice(book: Logbook, redis_url: str) -> None:
    count, ended = 200, threading.Event()
    taken: list[int] = []

    def fold_on() -> None:
        folder = FoldStore(redis_url)
        while not ended.is_set():
            taken.append(folder.fold(str(PAIR)))
        folder.close()

    threads = [threading.Thread(target=fold_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(count):
        book.write(check(book.now_us, us=number + 1))
    ended.set()
    for thread in threads:
        thread.join(KEPT_S)
    left = book.fold()
    assert sum(taken) + left == count
    assert book.total().counts["poll:GOOD"] == count


def test_a_fold_that_breaks_off_changes_nothing(book: Logbook) -> None:
    class Broken:
        def covers(self, _pair: Pair, _at_us: int) -> bool:
            raise ConnectionError

    book.write(check(book.now_us))
    before = {key: book.redis.dump(key) for key in book.redis.scan_iter()}
    with pytest.raises(ConnectionError):
        book.folder.fold(str(PAIR), Broken())
    assert {key: book.redis.dump(key) for key in book.redis.scan_iter()} == before
    assert book.fold() == 1
    assert book.total().counts["poll:GOOD"] == 1


def test_what_was_in_maintenance_counts_as_such(book: Logbook) -> None:
    book.write(check(book.now_us - HOUR_US, Level.FAILED), check(book.now_us))
    window = During(book.now_us - 2 * HOUR_US, book.now_us - 1)
    assert book.folder.fold(str(PAIR), window) == 2
    assert book.total().counts == {"maintenance": 1, "poll:GOOD": 1, "check:GOOD": 1}


def test_single_results_are_kept_for_a_day_whether_they_are_folded_or_not(book: Logbook) -> None:
    ages = (30, 25, 23, 3, 1)
    for hours in ages:
        at_us = book.now_us - hours * HOUR_US
        book.write(check(at_us, slot=hours), at_us=at_us)
        if hours > 3:
            book.fold()
    assert [figures.slot for figures in book.history.raw(PAIR, 0)] == [23, 3, 1]
    assert book.total().counts["poll:GOOD"] == len(ages)


def test_what_is_not_folded_stays_in_the_log_however_old_it_is(book: Logbook) -> None:
    at_us = book.now_us - 30 * HOUR_US
    book.write(*[check(at_us)] * (LIMIT + 3), at_us=at_us)
    assert book.fold() == LIMIT
    assert book.redis.xlen(keys.raw(str(PAIR))) == STAYING + 3
    assert book.total().counts["poll:GOOD"] == LIMIT + 3
    assert book.fold() == 3
    assert book.total().counts["poll:GOOD"] == LIMIT + 3


def test_single_results_are_kept_for_their_time_however_many_there_are(book: Logbook) -> None:
    for number in range(70):
        book.write(check(book.now_us, slot=number))
        book.fold()
    assert [figures.slot for figures in book.history.raw(PAIR, 0)] == list(range(70))
    assert book.total().counts["poll:GOOD"] == 70


def test_hours_and_days_are_kept_for_as_long_as_is_set(book: Logbook, redis_url: str) -> None:
    folder = FoldStore(redis_url, Retention(raw_hours=1, hours_days=2, days_days=5))
    ages = range(9)
    book.write(*[check(book.now_us - age * DAY_US) for age in ages])
    assert folder.fold(str(PAIR)) == len(ages)
    folder.close()
    today, now = book.now_us // DAY_US, book.now_us // HOUR_US
    assert sorted(book.days(9)) == [today - age for age in reversed(range(5))]
    assert sorted(book.hours(9 * 24)) == [now - 24 * age for age in reversed(range(2))]
    assert 4 * 86400 < book.redis.ttl(keys.rollup(str(PAIR))) <= 5 * 86400
    assert 6 * 86400 < book.redis.ttl(keys.raw(str(PAIR))) <= 7 * 86400


def test_an_entry_that_is_none_is_left_out(book: Logbook) -> None:
    book.redis.xadd(keys.raw(str(PAIR)), {"f": b"\0junk"})
    book.write(check(book.now_us))
    assert book.total().counts["poll:GOOD"] == 1
    assert book.fold() == 2
    assert book.total().counts["poll:GOOD"] == 1


def test_damaged_rollups_are_said_and_stay_as_they_are(book: Logbook) -> None:
    book.redis.hset(keys.rollup(str(PAIR)), mapping={"hours": b"x" * 50, "days": b"y" * 50, "upto": "1-1"})
    before = book.packed()
    book.write(check(book.now_us))
    with pytest.raises(ValueError, match=r".+"):
        book.fold()
    assert book.packed() == before


def test_each_pair_is_due_once_in_six_hours_at_a_moment_of_its_own(book: Logbook) -> None:
    pairs = [Pair(f"m{number}", "lab") for number in range(100)]
    for pair in pairs:
        book.write(check(book.now_us), pair=pair)
    names = book.folder.pairs()
    assert names == sorted(map(str, pairs))
    now_us = book.folder.now_us()
    assert book.folder.due(names, book.now_us) == []
    assert 25 < len(book.folder.due(names, now_us + FOLD_US // 2)) < 75
    assert book.folder.due(names, now_us + FOLD_US + 1000) == names
    for pair in pairs:
        book.fold(pair)
    assert book.folder.due(names, now_us + 2 * FOLD_US) == []  # there is nothing new


def test_a_pair_whose_log_grows_fast_is_due_earlier(book: Logbook) -> None:
    entry = check(book.now_us)
    book.write(*[entry] * BACKLOG)
    assert book.folder.due([str(PAIR)], book.now_us) == []
    book.write(entry)
    assert book.folder.due([str(PAIR)], book.now_us) == [str(PAIR)]
