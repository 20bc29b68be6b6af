"""Windows of maintenance: those of the profile, and those announced by hand."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from postbeat.metrics.objectives import objective
from postbeat.model import Level, Pair
from postbeat.profile import Profile
from postbeat.store import keys
from postbeat.store.beat import BeatStore
from postbeat.store.fold import DAY_US
from postbeat.store.maintenance import FORMER_KEPT_S, FORMER_LIMIT, KEPT_US, MaintenanceStore
from postbeat.windows import Window
from tests.redis.logbook import Logbook, check
from tests.redis.site import BOX, MAIL, PAIR, PROFILE, Site, answered_bytes

ALWAYS = Window.parse("daily 00:00-24:00")
MAINTAINED = Profile({"mail": replace(MAIL, maintenance=(ALWAYS,)), "box": BOX})
WITHOUT_MAIL = Profile({"box": BOX})
ONCE = Window.parse("2099-12-01T02:00Z/2099-12-01T04:00Z")
ONCE_US = 4_099_773_600_000_000  # 2099-12-01T02:00Z, a Tuesday


def test_a_window_by_hand_covers_what_its_globs_fit_from_its_beginning_up_to_its_end(
    windows: MaintenanceStore,
) -> None:
    windows.add("shop-*", "eu-?", from_us=100, to_us=200, why="A new disk", by="ann")
    calendar = windows.calendar({})
    inside = Pair("shop-mail", "eu-1")
    assert [calendar.covers(inside, at_us) for at_us in (99, 100, 199, 200)] == [False, True, True, False]
    assert not calendar.covers(Pair("mail", "eu-1"), 150)
    assert not calendar.covers(Pair("shop-mail", "us-1"), 150)
    assert calendar.reasons(inside, 150) == ["A new disk"]
    assert calendar.reasons(inside, 200) == []


def test_the_windows_of_the_profile_in_force_count(site: Site, windows: MaintenanceStore) -> None:
    site.beat.publish_profile(Profile({"mail": replace(MAIL, maintenance=(ONCE,)), "box": BOX}))
    calendar = windows.calendar()
    assert calendar.covers(PAIR, ONCE_US)
    assert calendar.reasons(PAIR, ONCE_US) == [str(ONCE)]
    assert not calendar.covers(PAIR, ONCE_US - 1)
    assert not calendar.covers(Pair("box", "lab"), ONCE_US)
    assert windows.calendar({"box": [ONCE]}).covers(Pair("box", "lab"), ONCE_US)


def test_of_many_pairs_at_one_moment_the_same_is_told(windows: MaintenanceStore) -> None:
    windows.add("mail*", "eu", from_us=ONCE_US + 100, to_us=ONCE_US + 200, why="a")
    windows.add("*", "us", from_us=ONCE_US - 200, to_us=ONCE_US - 100, why="b")
    calendar = windows.calendar({"mail": [ONCE], "other": [Window.parse("Tue 02:00-02:01")]})
    pairs = [Pair(element, region) for element in ("mail", "mails", "other") for region in ("eu", "us")]
    told = set()
    for at_us in (ONCE_US + us for us in (-200, -100, 0, 100, 200, 60_000_000, 7_200_000_000)):
        covers = calendar.covering(at_us)
        expected = [calendar.covers(pair, at_us) for pair in pairs]
        assert [covers(pair) for pair in pairs] == expected
        told.add(tuple(expected))
    assert len(told) > 3


def test_a_window_can_be_ended_and_one_to_come_be_dropped(windows: MaintenanceStore) -> None:
    now_us = windows.now_us()
    running = windows.add("*", from_us=now_us - 100, to_us=now_us + 100, why="a")
    coming = windows.add("*", from_us=now_us + 300, to_us=now_us + 400, why="b")
    assert windows.listing() == [running, coming]
    ended = replace(running, to_us=now_us + 50)
    assert windows.end(running.id, now_us + 50) == ended
    assert windows.end(running.id, now_us + 80) == ended
    assert windows.end(coming.id, now_us + 50) == replace(coming, to_us=coming.from_us)
    assert windows.listing() == [ended]
    assert windows.end("nothing", 1) is None


def test_windows_of_long_ago_are_dropped(site: Site, windows: MaintenanceStore) -> None:
    now_us = windows.now_us()
    ended_us = now_us - KEPT_US
    old = windows.add("*", from_us=ended_us - DAY_US, to_us=ended_us - 1, why="old")
    kept = windows.add("*", from_us=ended_us - DAY_US, to_us=ended_us + DAY_US, why="kept")
    windows.add("*", from_us=now_us, to_us=now_us + 1, why="new")
    assert old.id not in {window.id for window in windows.listing()}
    assert kept in windows.listing()
    assert {json.loads(text)["why"] for text in site.redis.hvals(keys.MAINTENANCE)} == {"kept", "new"}


@pytest.mark.parametrize(
    ("from_us", "to_us", "why"), [(2, 1, ""), (1, 1, ""), (0, 367 * DAY_US, ""), (1, 2, "x" * 501)]
)
def test_a_window_that_cannot_be_is_refused(
    windows: MaintenanceStore, from_us: int, to_us: int, why: str
) -> None:
    with pytest.raises(ValueError, match="expected"):
        windows.add("*", from_us=from_us, to_us=to_us, why=why)
    assert windows.listing() == []


def published(site: Site, profile: Profile) -> int:
    """Publishes a profile. Returns a moment before that."""
    before_us = site.now_us()
    while site.now_us() == before_us:
        pass
    site.beat.publish_profile(profile)
    return before_us


@pytest.mark.parametrize(
    "profile",
    [PROFILE, WITHOUT_MAIL, Profile({"mail": replace(MAIL, maintenance=(ONCE,)), "box": BOX})],
    ids=["no window any more", "no element any more", "another window"],
)
def test_the_past_keeps_the_windows_that_leave_the_profile(
    site: Site, windows: MaintenanceStore, profile: Profile
) -> None:
    site.beat.publish_profile(MAINTAINED)
    before_us = published(site, profile)
    calendar = windows.calendar()
    assert calendar.covers(PAIR, before_us)
    assert calendar.covering(before_us)(PAIR)
    assert calendar.reasons(PAIR, before_us) == [str(ALWAYS)]
    assert not calendar.covers(PAIR, site.now_us())
    assert windows.calendar({"mail": ()}).covers(PAIR, before_us)
    assert windows.listing() == []


@pytest.mark.parametrize("earlier", [PROFILE, WITHOUT_MAIL], ids=["an element that was there", "a new one"])
def test_windows_that_come_count_from_then_on_or_for_as_long_as_there_is_their_element(
    site: Site, windows: MaintenanceStore, earlier: Profile
) -> None:
    site.beat.publish_profile(earlier)
    before_us = published(site, MAINTAINED)
    calendar = windows.calendar()
    assert calendar.covers(PAIR, site.now_us())
    assert calendar.covers(PAIR, before_us) is (earlier is WITHOUT_MAIL)


def test_an_element_that_comes_back_brings_its_windows_for_the_time_from_then_on(
    site: Site, windows: MaintenanceStore
) -> None:
    site.beat.publish_profile(PROFILE)
    there_us = published(site, WITHOUT_MAIL)
    away_us = published(site, MAINTAINED)
    calendar = windows.calendar()
    times_us = (there_us, away_us, site.now_us())
    assert [calendar.covers(PAIR, at_us) for at_us in times_us] == [False, False, True]


def test_of_the_windows_of_before_only_those_of_elements_that_are_asked_about_are_fetched(
    site: Site, windows: MaintenanceStore
) -> None:
    crowd = {f"mail-{number}": replace(MAIL, name=f"mail-{number}") for number in range(2000)}
    site.beat.publish_profile(
        Profile({name: replace(one, maintenance=(ALWAYS,)) for name, one in crowd.items()})
    )
    before_us = published(site, Profile(crowd))
    begin = answered_bytes(site.redis)
    assert windows.calendar({"mail-7": (), "another": ()}).covers(Pair("mail-7", "lab"), before_us)
    assert not windows.calendar({}).former
    assert answered_bytes(site.redis) - begin < 20_000  # its statistics are some thousands of them


@pytest.mark.parametrize("damage", ["garbage", "5", "[5]", '[["then", []]]', '[[1, ["never"]]]'])
def test_windows_of_before_that_cannot_be_read_count_as_none_and_are_replaced(
    site: Site, windows: MaintenanceStore, damage: str
) -> None:
    site.beat.publish_profile(MAINTAINED)
    site.redis.hset(keys.FORMER_MAINTENANCE, "mail", damage)
    for calendar in (windows.calendar(), windows.calendar({"mail": (ALWAYS,)})):
        assert calendar.covers(PAIR, site.now_us())
    before_us = published(site, PROFILE)
    calendar = windows.calendar()
    assert [calendar.covers(PAIR, at_us) for at_us in (before_us, site.now_us())] == [True, False]


def test_what_came_to_pass_in_a_window_stays_in_maintenance_folded_or_not(
    site: Site, windows: MaintenanceStore, redis_url: str
) -> None:
    site.beat.publish_profile(MAINTAINED)
    with Logbook.open(redis_url) as book:
        book.write(*[check(book.now_us, Level.FAILED)] * 3)
        site.beat.publish_profile(PROFILE)
        book.write(check(site.now_us()))

        def told() -> list[int]:
            calendar, now_us = windows.calendar(), site.now_us()
            found = book.history.rollup([PAIR], now_us - DAY_US, now_us, timings=(), calendar=calendar)
            slo = objective(book.history, [PAIR], calendar, now_us, target_percent=99.9, poll_s=60)
            failed = slo.month.failed + sum(one.failed for one in slo.windows.values())
            return [found.counts["maintenance"], found.counts["poll:GOOD"], slo.month.polls, failed]

        assert told() == [3, 1, 1, 0]
        assert book.folder.fold(str(PAIR), windows.calendar()) == 4
        assert told() == [3, 1, 1, 0]


def test_a_profile_that_is_published_again_changes_nothing(site: Site) -> None:
    site.beat.publish_profile(PROFILE)
    site.beat.publish_profile(MAINTAINED)
    before = site.redis.hgetall(keys.FORMER_MAINTENANCE)
    assert list(before) == ["mail"]
    for _ in range(3):
        site.beat.publish_profile(MAINTAINED)
    assert site.redis.hgetall(keys.FORMER_MAINTENANCE) == before


def test_beats_that_publish_a_change_at_once_note_it_once(site: Site, redis_url: str) -> None:
    beats = [BeatStore(redis_url) for _ in range(4)]
    barrier = threading.Barrier(len(beats))

    def publish(beat: BeatStore) -> None:
        for profile in (PROFILE, MAINTAINED) * 10:
            barrier.wait(20)
            beat.publish_profile(profile)

    threads = [threading.Thread(target=publish, args=(beat,)) for beat in beats]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for beat in beats:
        beat.close()
    assert len(json.loads(site.redis.hget(keys.FORMER_MAINTENANCE, "mail") or "")) == 19


def test_a_profile_that_changes_all_the_time_leaves_little_behind(
    site: Site, windows: MaintenanceStore
) -> None:
    for _ in range(FORMER_LIMIT):
        site.beat.publish_profile(MAINTAINED)
        before_us = published(site, PROFILE)
    assert len(json.loads(site.redis.hget(keys.FORMER_MAINTENANCE, "mail") or "")) == FORMER_LIMIT
    assert windows.calendar().covers(PAIR, before_us)


def test_former_windows_are_dropped_when_all_from_their_time_is_folded(site: Site) -> None:
    site.beat.publish_profile(MAINTAINED)
    site.beat.publish_profile(PROFILE)
    assert 0 < site.redis.ttl(keys.FORMER_MAINTENANCE) <= FORMER_KEPT_S
    ((until_us, windows),) = json.loads(site.redis.hget(keys.FORMER_MAINTENANCE, "mail") or "")
    long_ago = json.dumps([[until_us - FORMER_KEPT_S * 1_000_000 - 1, windows]])
    site.redis.hset(keys.FORMER_MAINTENANCE, "mail", long_ago)
    site.beat.publish_profile(PROFILE)
    assert not site.redis.exists(keys.FORMER_MAINTENANCE)


def test_a_redis_that_has_lost_its_data_begins_without_former_windows(
    site: Site, windows: MaintenanceStore
) -> None:
    site.beat.publish_profile(MAINTAINED)
    site.beat.publish_profile(PROFILE)
    site.redis.flushall()
    before_us = published(site, MAINTAINED)
    assert not site.redis.exists(keys.FORMER_MAINTENANCE)
    assert windows.calendar().covers(PAIR, before_us)
