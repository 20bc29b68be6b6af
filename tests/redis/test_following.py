"""Who follows the results from a place on misses none, and learns how many are gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from redis import Redis

from postbeat import codec
from postbeat.model import Level, Phase
from postbeat.results import Result
from postbeat.store import keys
from postbeat.store.following import KEPT, PAGE, Place, ResultStream
from tests.redis.site import Site, result


@pytest.fixture
def stream(redis_url: str) -> Iterator[ResultStream]:
    opened = ResultStream(redis_url)
    yield opened
    opened.close()


def add(redis: Redis, count: int, first: int = 0) -> list[str]:
    """Entries as record.lua makes them; the same text does for all but the first."""
    text = codec.encode(result(first, Phase.SEND, Level.GOOD, 1))
    with redis.pipeline(transaction=False) as pipe:
        for _ in range(count):
            pipe.xadd(keys.RESULTS, {"r": text}, maxlen=KEPT, approximate=True)
        return [str(entry) for entry in pipe.execute()]


def counts_what_was_added(redis: Redis) -> bool:
    return "entries-added" in redis.xinfo_stream(keys.RESULTS)


def found(stream: ResultStream, place: Place) -> tuple[list[Result | None], Place]:
    """All results after a place, and the place behind them."""
    results: list[Result | None] = []
    while (page := stream.read(place)).results:
        assert page.gone == 0
        results += [one for _, one in page.results]
        place = page.place
    return results, place


def test_what_is_recorded_is_read_in_its_order(site: Site, stream: ResultStream) -> None:
    begin = stream.end()
    for slot in range(3):
        site.send(slot)
    results, _ = found(stream, begin)
    assert [one.poll.slot for one in results if one is not None] == [0, 1, 2]


def test_the_end_is_behind_what_is_there_already(site: Site, stream: ResultStream) -> None:
    site.send(1)
    begin = stream.end()
    assert stream.read(begin).results == ()
    site.send(2)
    ((_, only),) = stream.read(begin).results
    assert only is not None
    assert only.poll.slot == 2


def test_many_results_come_in_pages_and_none_twice(site: Site, stream: ResultStream) -> None:
    begin = stream.end()
    added = add(site.redis, 2 * PAGE + 3)
    entries, place = [], begin
    while (page := stream.read(place)).results:
        assert len(page.results) <= PAGE
        entries += [entry for entry, _ in page.results]
        place = page.place
    assert entries == added
    assert place == Place(added[-1], len(added))


def test_a_place_is_kept_as_a_text(site: Site, stream: ResultStream) -> None:
    add(site.redis, 5)
    for place in (stream.end(), Place("7-1"), Place("0-0", 0)):
        assert Place.parse(str(place)) == place


def test_an_entry_that_is_no_result_is_told_apart(site: Site, stream: ResultStream) -> None:
    begin = stream.end()
    site.redis.xadd(keys.RESULTS, {"r": "{"})
    site.redis.xadd(keys.RESULTS, {"another": "field"})
    site.send(1)
    results, _ = found(stream, begin)
    assert [one is None for one in results] == [True, True, False]


def test_how_many_results_are_gone_is_counted_where_redis_counts(site: Site, stream: ResultStream) -> None:
    place = stream.read(stream.end()).place
    add(site.redis, 7)
    place = found(stream, place)[1]
    added = add(site.redis, 2 * KEPT)
    page = stream.read(place)
    first = page.results[0][0]
    if counts_what_was_added(site.redis):
        assert page.gone == added.index(first) > 0
        assert found(stream, page.place)[1] == Place(added[-1], 7 + len(added))
    else:
        assert page.gone == -1
        assert found(stream, page.place)[1] == Place(added[-1])


def test_nothing_is_gone_where_the_stream_was_never_full(site: Site, stream: ResultStream) -> None:
    add(site.redis, 20)
    results, _ = found(stream, Place("0-0", 0))
    assert len(results) == 20
    assert len(found(stream, Place("0-0"))[0]) == 20


def test_the_results_before_a_place_come_newest_first(site: Site, stream: ResultStream) -> None:
    for slot in range(3):
        site.send(slot)
    place = stream.end()
    site.send(3)
    assert [one.poll.slot for one in stream.before(place)] == [2, 1, 0]
    add(site.redis, 2 * PAGE)
    assert len(list(stream.before(stream.end()))) == 2 * PAGE + 4


def test_waiting_ends_with_the_next_result(site: Site, stream: ResultStream) -> None:
    place = stream.end()
    began = time.monotonic()
    stream.wait(place, 20)
    assert stream.read(place).results == ()
    later = threading.Timer(0.1, add, (site.redis, 1))
    later.start()
    stream.wait(place, 8_000)
    later.join()
    assert len(stream.read(place).results) == 1
    assert time.monotonic() - began < 7


def test_places_are_in_the_order_of_numbers_and_not_of_texts(site: Site, stream: ResultStream) -> None:
    text = codec.encode(result(1, Phase.SEND, Level.GOOD, 1))
    entries = [str(site.redis.xadd(keys.RESULTS, {"r": text}, id=f"5-{number}")) for number in range(1, 12)]
    site.redis.xdel(keys.RESULTS, entries[1])
    for before, after in pairwise(entries):
        page = stream.read(Place(before, 0))
        assert page.gone == 0
        if after != entries[1]:
            assert page.results[0][0] == after
