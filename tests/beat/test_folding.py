"""Results are folded beside beat's ticks, by a thread that nothing stops but the end of beat."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from beat_schedule import folding
from beat_schedule.folding import Folding
from postbeat.embedded.processes import Processes
from postbeat.store import keys
from postbeat.store.fold import FOLD_US, LIMIT, Retention
from tests.beat.beats import Beats, profile
from tests.redis.logbook import PAIR, SOUTH, Logbook, check
from tests.redis.restarting import Server


@pytest.fixture
def book(redis_url: str) -> Iterator[Logbook]:
    with Logbook.open(redis_url) as opened:
        yield opened


@pytest.fixture
def beside(redis_url: str) -> Iterator[Folding]:
    made = Folding(redis_url, Retention())
    yield made
    made.close()


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_beat_folds_beside_its_ticks_and_ends_at_once(book: Logbook, beside: Folding) -> None:
    book.write(*[check(book.now_us)] * (LIMIT + 1), at_us=book.now_us - FOLD_US)
    beside.start()
    info: Any = book.redis.xinfo_stream(keys.raw(str(PAIR)))
    wait_for(lambda: book.redis.hget(keys.rollup(str(PAIR)), "upto") == info["last-generated-id"])
    began = time.monotonic()
    beside.close()
    assert time.monotonic() - began < 5
    assert not any(thread.name == "folding" for thread in threading.enumerate())
    assert book.total().counts["poll:GOOD"] == LIMIT + 1


def test_a_beat_folds_and_keeps_what_its_settings_say(
    beats: Beats, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTBEAT_KEEP_DAYS", "5")
    beats.write(profile())
    with Logbook.open(redis_url) as book:
        book.write(check(book.now_us), at_us=book.now_us - FOLD_US)
        beats.start()
        wait_for(lambda: book.redis.exists(keys.rollup(str(PAIR))) == 1)
        assert 4 * 86400 < book.redis.ttl(keys.rollup(str(PAIR))) <= 5 * 86400
        assert book.total().counts["poll:GOOD"] == 1


def test_signals_are_left_to_the_thread_that_ticks(beside: Folding) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _frame: heard.append(number))
    try:
        beside.start()
        (thread,) = (thread for thread in threading.enumerate() if thread.name == "folding")
        assert thread.ident is not None
        signal.pthread_kill(thread.ident, signal.SIGUSR1)
        beside.close()
        assert heard == []
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_pair_that_leaves_the_profile_is_folded_for_the_last_time(book: Logbook, beside: Folding) -> None:
    book.write(check(book.now_us))
    beside.round()
    book.write(check(book.now_us))
    book.redis.delete(keys.EXPECTED)
    beside.round()
    assert book.fold() == 0
    assert book.total().counts["poll:GOOD"] == 2


def test_one_pair_that_cannot_be_folded_does_not_hold_up_the_others(
    book: Logbook, beside: Folding, caplog: pytest.LogCaptureFixture
) -> None:
    book.redis.hset(keys.rollup(str(PAIR)), mapping={"hours": b"x" * 50, "days": b"", "upto": "1-1"})
    for pair in (PAIR, SOUTH):
        book.write(check(book.now_us), pair=pair, at_us=book.now_us - FOLD_US)
    beside.round()
    assert book.fold(SOUTH) == 0
    assert book.total(SOUTH).counts["poll:GOOD"] == 1
    assert f"the results of {PAIR} cannot be folded" in caplog.text


def test_a_redis_that_is_away_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(folding, "AWAY_S", 0.02)
    monkeypatch.setattr(folding, "ROUND_S", 0.02)
    with Processes() as processes:
        server = Server(processes, tmp_path)
        server.stop()
        beside = Folding(server.url, Retention())
        beside.start()
        wait_for(lambda: "results are not folded for now" in caplog.text)
        server.start()
        with Logbook.open(server.url) as book:
            book.write(check(book.now_us), at_us=book.now_us - FOLD_US)
            wait_for(lambda: book.redis.exists(keys.rollup(str(PAIR))) == 1)
            assert book.total().counts["poll:GOOD"] == 1
        beside.close()
    assert caplog.text.count("results are not folded for now") == 1
