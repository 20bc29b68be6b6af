"""Windows of maintenance: those of the profile, and those announced by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from postbeat.model import Pair
from postbeat.profile import Profile
from postbeat.store import keys
from postbeat.store.maintenance import KEPT_US, MaintenanceStore
from postbeat.windows import Window
from tests.redis.site import BOX, MAIL, PAIR, Site

DAY_US = 86_400_000_000
ONCE = Window.parse("2026-12-01T02:00Z/2026-12-01T04:00Z")
ONCE_US = 1_796_090_400_000_000  # 2026-12-01T02:00Z


@pytest.fixture
def store(redis_url: str) -> Iterator[MaintenanceStore]:
    store = MaintenanceStore(redis_url)
    yield store
    store.close()


def test_a_window_by_hand_covers_what_its_globs_fit_from_its_beginning_up_to_its_end(
    store: MaintenanceStore,
) -> None:
    store.add("shop-*", "eu-?", from_us=100, to_us=200, why="A new disk", by="ann")
    calendar = store.calendar({})
    inside = Pair("shop-mail", "eu-1")
    assert [calendar.covers(inside, at_us) for at_us in (99, 100, 199, 200)] == [False, True, True, False]
    assert not calendar.covers(Pair("mail", "eu-1"), 150)
    assert not calendar.covers(Pair("shop-mail", "us-1"), 150)
    assert calendar.reasons(inside, 150) == ["A new disk"]
    assert calendar.reasons(inside, 200) == []


def test_the_windows_of_the_profile_in_force_count(site: Site, store: MaintenanceStore) -> None:
    site.beat.publish_profile(Profile({"mail": replace(MAIL, maintenance=(ONCE,)), "box": BOX}))
    calendar = store.calendar()
    assert calendar.covers(PAIR, ONCE_US)
    assert calendar.reasons(PAIR, ONCE_US) == [str(ONCE)]
    assert not calendar.covers(PAIR, ONCE_US - 1)
    assert not calendar.covers(Pair("box", "lab"), ONCE_US)
    assert store.calendar({"box": [ONCE]}).covers(Pair("box", "lab"), ONCE_US)


def test_a_window_can_be_ended_and_one_to_come_be_dropped(store: MaintenanceStore) -> None:
    now_us = store.now_us()
    running = store.add("*", from_us=now_us - 100, to_us=now_us + 100, why="a")
    coming = store.add("*", from_us=now_us + 300, to_us=now_us + 400, why="b")
    assert store.listing() == [running, coming]
    ended = replace(running, to_us=now_us + 50)
    assert store.end(running.id, now_us + 50) == ended
    assert store.end(running.id, now_us + 80) == ended
    assert store.end(coming.id, now_us + 50) == replace(coming, to_us=coming.from_us)
    assert store.listing() == [ended]
    assert store.end("nothing", 1) is None


def test_windows_of_long_ago_are_dropped(site: Site, store: MaintenanceStore) -> None:
    now_us = store.now_us()
    ended_us = now_us - KEPT_US
    old = store.add("*", from_us=ended_us - DAY_US, to_us=ended_us - 1, why="old")
    kept = store.add("*", from_us=ended_us - DAY_US, to_us=ended_us + DAY_US, why="kept")
    store.add("*", from_us=now_us, to_us=now_us + 1, why="new")
    assert old.id not in {window.id for window in store.listing()}
    assert kept in store.listing()
    assert {json.loads(text)["why"] for text in site.redis.hvals(keys.MAINTENANCE)} == {"kept", "new"}


@pytest.mark.parametrize(
    ("from_us", "to_us", "why"), [(2, 1, ""), (1, 1, ""), (0, 367 * DAY_US, ""), (1, 2, "x" * 501)]
)
def test_a_window_that_cannot_be_is_refused(
    store: MaintenanceStore, from_us: int, to_us: int, why: str
) -> None:
    with pytest.raises(ValueError, match="expected"):
        store.add("*", from_us=from_us, to_us=to_us, why=why)
    assert store.listing() == []
