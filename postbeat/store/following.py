"""The stream of results for one who must miss none: in order, from a place on, and how many are gone.

The stream keeps only its newest entries, so who was away for long finds some gone. From 7.0 on Redis counts
what was ever added to a stream, from which follows how many they are; before, it only shows that some are.
Not asyncio.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

from redis import Redis
from redis.exceptions import ResponseError

from postbeat import codec
from postbeat.results import Result
from postbeat.store import keys
from postbeat.store.connecting import results_client

PAGE = 500  # entries read at a time
KEPT = 10_000  # the stream keeps so many at least, see record.lua: with fewer in it none is gone
_START = "0-0"  # before the first entry of any stream


@dataclass(frozen=True, slots=True)
class Place:
    """Behind an entry of the stream; ``number`` is how many were ever added up to it, None if unknown.

    The text of a place is ``ENTRY`` or ``ENTRY NUMBER``.
    """

    entry: str
    number: int | None = None

    def __str__(self) -> str:
        return self.entry if self.number is None else f"{self.entry} {self.number}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The place of a text."""
        entry, _, number = text.partition(" ")
        return cls(entry, int(number) if number else None)

    def after(self, entry: str, count: int) -> Place:
        """Behind another entry, which comes so many after this one."""
        return Place(entry, None if self.number is None else self.number + count)


@dataclass(frozen=True, slots=True)
class Page:
    """What comes next in the stream: results with their entries, None for what this version cannot read.

    ``place`` is behind the last of them. ``gone`` is how many entries between the place that was asked for
    and the first of them are no more there, -1 for an unknown number of them.
    """

    results: tuple[tuple[str, Result | None], ...]
    place: Place
    gone: int = 0


class ResultStream:
    """The stream of results. Every method may raise ``redis.exceptions.RedisError``."""

    def __init__(self, url: str) -> None:
        self._redis: Redis = results_client(url)

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()

    def end(self) -> Place:
        """Behind the newest entry."""
        facts = self._facts()
        return Place(str(facts.get("last-generated-id", _START)), _added(facts) if facts else 0)

    def read(self, place: Place) -> Page:
        """The next entries, at most PAGE; it does not wait for any."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.xrange(keys.RESULTS, place.entry, place.entry, count=1)
            pipe.xrange(keys.RESULTS, f"({place.entry}", count=PAGE)
            pipe.xrange(keys.RESULTS, count=1)
            known, entries, first = cast("list[list[Any]]", pipe.execute())
        if known or not first or _order(first[0][0]) <= _order(place.entry):
            return _page(entries, place, 0)
        return self._page_after_gap(place)

    def wait(self, place: Place, wait_ms: int) -> None:
        """Until something comes behind a place, so long at most."""
        self._redis.xread({keys.RESULTS: place.entry}, count=1, block=wait_ms)

    def before(self, place: Place) -> Iterator[Result]:
        """The results up to a place, the newest first, as far as the stream goes back."""
        upto = place.entry
        while True:
            entries = cast("list[Any]", self._redis.xrevrange(keys.RESULTS, upto, count=PAGE))
            for _, fields in entries:
                result = _result(fields)
                if result is not None:
                    yield result
            if len(entries) < PAGE:
                return
            upto = f"({entries[-1][0]}"

    def _page_after_gap(self, place: Place) -> Page:
        """What comes next where the entry of the place is gone, and perhaps some after it."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.xrange(keys.RESULTS, f"({place.entry}", count=PAGE)
            pipe.xinfo_stream(keys.RESULTS)
            entries, facts = cast("tuple[list[Any], dict[str, Any]]", pipe.execute())
        added = _added(facts)
        if int(facts["length"]) < KEPT:
            return _page(entries, place, 0)
        if added is None:
            return _page(entries, Place(place.entry), -1)
        before = added - int(facts["length"])  # so many entries are gone from the beginning of the stream
        gone = -1 if place.number is None else max(0, before - place.number)
        return _page(entries, Place(place.entry, before), gone)

    def _facts(self) -> dict[str, Any]:
        try:
            return self._redis.xinfo_stream(keys.RESULTS)
        except ResponseError:  # there was no result yet
            return {}


def _order(entry: str) -> tuple[int, int]:
    milliseconds, _, count = entry.partition("-")
    return int(milliseconds), int(count)


def _added(facts: Mapping[str, Any]) -> int | None:
    added = facts.get("entries-added")
    return None if added is None else int(added)


def _page(entries: list[Any], place: Place, gone: int) -> Page:
    results = tuple((entry, _result(fields)) for entry, fields in entries)
    return Page(results, place.after(entries[-1][0], len(entries)) if entries else place, gone)


def _result(fields: Mapping[str, str]) -> Result | None:
    try:
        return codec.decode(fields["r"])
    except (ValueError, KeyError, TypeError):
        return None
