"""A beat may fire the polls of some monitors alone: the monitors of one Redis share the work between them."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from beat_schedule.scheduler import GridScheduler
from postbeat.model import Level
from postbeat.store import keys
from postbeat.store.beat import BeatStore
from postbeat.store.view import ViewStore
from tests.beat.beats import Beats

PROFILE = """regions: [lab]
elements:
  - {name: out, type: smtp, server: 127.0.0.1, poll: 1}
  - {name: imap, type: imap4, server: 127.0.0.1, username: u, password: {env: P}, poll: 1}
  - {name: pop, type: pop3, server: 127.0.0.1, username: u, password: {env: P}, poll: 1}
"""
MANY = "regions: [lab]\nelements:\n" + "".join(
    f"  - {{name: {kind}{number}, type: {kind}, server: here, username: u, password: {{env: P}}, poll: 5}}\n"
    for kind in ("smtp", "imap4", "pop3")
    for number in range(50)
)


@pytest.fixture
def monitors(beats: Beats, monkeypatch: pytest.MonkeyPatch) -> Monitors:
    beats.write(PROFILE)
    return Monitors(beats, monkeypatch)


class Monitors:
    """Beats of one Redis, each for some monitors."""

    def __init__(self, beats: Beats, patch: pytest.MonkeyPatch) -> None:
        self.beats = beats
        self._patch = patch

    def start(self, monitors: str) -> GridScheduler:
        self._patch.setenv("POSTBEAT_MONITORS", monitors)
        return self.beats.start()

    def fired(self) -> set[str]:
        """The elements that were polled since this was asked last."""
        return {poll.partition("@")[0] for poll in self.beats.taken_polls()}


def test_a_beat_for_one_monitor_fires_its_polls_alone(monitors: Monitors) -> None:
    monitors.start("imap4").tick()
    assert monitors.fired() == {"imap"}


def test_what_one_monitor_has_fired_is_still_to_be_fired_by_the_others(monitors: Monitors) -> None:
    monitors.start("smtp").tick()
    assert monitors.fired() == {"out"}
    monitors.start("pop3,imap4").tick()
    assert monitors.fired() == {"imap", "pop"}
    found = set(monitors.beats.redis.scan_iter(f"{keys.CURSOR}*"))
    assert found == {f"{keys.CURSOR}:{monitor}" for monitor in ("smtp", "imap4", "pop3")}


def test_monitors_that_two_beats_share_fire_no_poll_twice_and_leave_none_out(monitors: Monitors) -> None:
    redis = monitors.beats.redis
    monitors.beats.write(MANY)
    both = [monitors.start("smtp,imap4"), monitors.start("imap4,pop3")]
    begin_us = monitors.beats.now_us()
    for monitor in ("smtp", "imap4", "pop3"):
        redis.set(keys.cursor(monitor), begin_us)

    def tick_for_a_while(beat: GridScheduler) -> None:
        while monitors.beats.now_us() < begin_us + 1_500_000:
            beat.tick()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(tick_for_a_while, both))
    polls = Counter(monitors.beats.taken_polls())
    assert set(polls.values()) == {1}
    ends_us = [int(redis.get(keys.cursor(monitor)) or 0) for monitor in ("smtp", "imap4", "pop3")]
    wanted = monitors.beats.polls_between(begin_us, min(ends_us))
    assert len(wanted) > 20  # about 45 of the 150 fall due in 1.5 of 5 seconds
    assert wanted <= set(polls) <= monitors.beats.polls_between(begin_us, max(ends_us))


def test_a_monitor_that_does_not_run_is_seen_as_silence(monitors: Monitors, redis_url: str) -> None:
    beat = monitors.start("smtp")
    beat.tick()
    monitors.beats.redis.zadd(keys.EXPECTED, {"imap@lab": 1, "pop@lab": 1})
    beat.tick()
    view = ViewStore(redis_url)
    try:
        silent = {(one.poll.element, one.level) for one in view.results(10, lambda _: True)}
    finally:
        view.close()
    assert silent == {("imap", Level.UNKNOWN), ("pop", Level.UNKNOWN)}


def test_the_cursor_of_all_is_another_than_that_of_a_monitor(redis_url: str) -> None:
    store = BeatStore(redis_url)
    try:
        first = store.claim("smtp")
        assert store.fired_to_us("smtp") == first.to_us
        assert store.fired_to_us() is None
        assert store.claim().from_us is None
    finally:
        store.close()
