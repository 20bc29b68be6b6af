"""The time of the grid is claimed in stretches: each is one beat's, however many beats there are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from postbeat.store import keys
from postbeat.store.beat import BeatStore, Stretch
from tests.redis.site import Site

CLAIMERS = 6
CLAIMS = 50


def test_the_first_claim_has_no_beginning(site: Site) -> None:
    assert site.beat.fired_to_us() is None
    stretch = site.beat.claim()
    assert stretch.from_us is None
    assert site.beat.fired_to_us() == stretch.to_us


def test_a_claim_begins_where_the_one_before_ended_and_ends_now(site: Site) -> None:
    first = site.beat.claim()
    before_us = site.now_us()
    second = site.beat.claim()
    assert second.from_us == first.to_us
    assert before_us <= second.to_us <= site.now_us()


def test_the_claims_of_many_beats_at_once_neither_overlap_nor_leave_a_gap(
    site: Site, redis_server: str
) -> None:
    def claims(_: int) -> list[Stretch]:
        store = BeatStore(redis_server)
        try:
            return [store.claim() for _ in range(CLAIMS)]
        finally:
            store.close()

    with ThreadPoolExecutor(CLAIMERS) as threads:
        found = [stretch for part in threads.map(claims, range(CLAIMERS)) for stretch in part]
    found.sort(key=lambda stretch: stretch.to_us)
    assert [stretch.from_us for stretch in found] == [None, *(stretch.to_us for stretch in found[:-1])]
    assert len(found) == CLAIMERS * CLAIMS


def test_a_clock_that_is_set_back_fires_nothing_again(site: Site) -> None:
    ahead_us = site.now_us() + 60_000_000
    site.redis.set(keys.CURSOR, ahead_us)
    stretch = site.beat.claim()
    assert stretch.from_us == ahead_us > stretch.to_us
    assert site.beat.fired_to_us() == ahead_us
