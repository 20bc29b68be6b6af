"""What a site says of itself, through a real Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from postbeat import queues
from postbeat.store import keys
from postbeat.store.facts import (
    FORGOTTEN_US,
    SILENT_US,
    BeatFactsStore,
    FactsView,
    Waits,
    WorkerFacts,
    WorkerFactsStore,
)
from tests.e2e.running import Running


@pytest.fixture
def view(redis_url: str) -> Iterator[FactsView]:
    view = FactsView(redis_url)
    yield view
    view.close()


def worker(name: str, at_us: int, region: str = "lab") -> WorkerFacts:
    return WorkerFacts(name, region, at_us, at_us - 10, 3, 900, -20, 150, "1.0")


def waits(*us: int) -> Waits:
    made = Waits()
    for one in us:
        made.add(one)
    return made


def write(url: str, facts: WorkerFacts, wait: Waits, lag: Waits, expired: int = 0) -> None:
    async def once() -> None:
        store = WorkerFactsStore(url)
        try:
            await store.write(facts, wait, lag, expired)
        finally:
            await store.close()

    asyncio.run(once())


def test_a_worker_is_there_until_it_is_silent(redis_url: str, view: FactsView) -> None:
    now_us = view.now_us()
    for name, age_us in (("b/2", 0), ("a/1", SILENT_US // 2), ("c/3", SILENT_US + 1)):
        write(redis_url, worker(name, now_us - age_us), Waits(), Waits())
    assert view.workers() == [worker("a/1", now_us - SILENT_US // 2), worker("b/2", now_us)]


def test_a_worker_that_starts_forgets_those_that_ended_a_day_ago(redis_url: str, view: FactsView) -> None:
    now_us = view.now_us()
    write(redis_url, worker("old/1", now_us - FORGOTTEN_US - 1), Waits(), Waits())
    write(redis_url, worker("silent/1", now_us - FORGOTTEN_US // 2), Waits(), Waits())
    write(redis_url, worker("new/1", now_us), Waits(), Waits())
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        assert set(redis.hkeys(keys.WORKERS)) == {"silent/1", "new/1"}


def test_what_the_workers_of_a_region_count_adds_up(redis_url: str, view: FactsView) -> None:
    now_us = view.now_us()
    write(redis_url, worker("a/1", now_us), waits(10, 2_000_000), waits(5), expired=1)
    write(redis_url, worker("b/1", now_us), waits(12, 90), waits(), expired=2)
    write(redis_url, worker("c/1", now_us, region="far"), waits(7), waits())
    facts = view.region("lab")
    assert facts.wait == waits(10, 12, 90, 2_000_000)
    assert facts.lag == waits(5)
    assert facts.expired == 3
    assert view.region("nowhere").wait == Waits()


def test_what_beats_count_adds_up_and_the_last_reload_stands(redis_url: str, view: FactsView) -> None:
    assert view.beat() is None
    for number in (1, 2):
        store = BeatFactsStore(redis_url)
        stands: dict[str, Any] = {"at_us": number, "pairs": 5 * number}
        if number == 1:
            stands |= {"reload_ok": 0, "reload_at_us": 9, "reload_error": "no", "profile": "p.yaml"}
        store.write(stands, waits(1000 * number), published=number, missed=number - 1)
        store.close()
    facts = view.beat()
    assert facts is not None
    assert (facts.at_us, facts.pairs, facts.published, facts.missed) == (2, 10, 3, 1)
    assert facts.lateness == waits(1000, 2000)
    assert (facts.reload_ok, facts.reload_at_us, facts.reload_error, facts.profile) == (
        False,
        9,
        "no",
        "p.yaml",
    )


def test_the_length_of_every_queue_is_told(redis_url: str, view: FactsView) -> None:
    with Redis.from_url(redis_url) as redis:
        redis.lpush(queues.probe("lab"), *[json.dumps({})] * 3)
    assert view.queue_lengths(["lab", "far"]) == {
        "probe.lab": 3,
        "read.lab": 0,
        "probe.far": 0,
        "read.far": 0,
    }


def test_a_worker_is_there_before_its_first_poll(tmp_path: Path) -> None:
    with Running.open(tmp_path) as running:
        running.worker("lab")
        view = FactsView(running.site.redis_url)
        (facts,) = running.until(view.workers, "worker")
        assert (facts.region, facts.in_flight) == ("lab", 0)
        assert facts.at_us - 60_000_000 < facts.started_at_us <= facts.at_us
        view.close()
