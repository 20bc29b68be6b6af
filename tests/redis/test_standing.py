"""How a pair stands, for service levels that ask."""

from __future__ import annotations

from postbeat.model import Level
from postbeat.servicelevels import NOTHING_KNOWN, Standing
from postbeat.store.worker import WorkerStore
from tests.redis.site import INTERVAL_US, PAIR, Site


def test_a_pair_fails_since_the_first_of_its_failed_polls(site: Site) -> None:
    assert site.run(site.worker.standing(PAIR)) == NOTHING_KNOWN
    began_us = site.now_us()
    for slot, level in enumerate([Level.GOOD, Level.FAILED, Level.FAILED]):
        site.send(slot, level, at_us=began_us + slot * INTERVAL_US)
        if level is Level.GOOD:
            site.read(slot)
            assert site.run(site.worker.standing(PAIR)) == Standing(Level.GOOD)
    assert site.run(site.worker.standing(PAIR)) == Standing(Level.FAILED, began_us + INTERVAL_US)
    site.send(3, at_us=began_us + 3 * INTERVAL_US)
    site.read(3)
    assert site.run(site.worker.standing(PAIR)) == Standing(Level.GOOD)


def test_a_poll_goes_on_where_redis_does_not_answer(site: Site) -> None:
    store = WorkerStore("redis://127.0.0.1:1/0")
    assert site.run(store.standing(PAIR)) == NOTHING_KNOWN
    site.run(store.close())
