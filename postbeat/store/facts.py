"""What a site says of itself: workers and beat write it, views read it.

Waits are counted in the buckets of :mod:`postbeat.histogram`. Counts are added to those in Redis, so that any
number of workers and beats may write. Where a connection breaks in the midst of an answer, what was written
with it may count twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from postbeat import histogram, queues
from postbeat.store import keys

SILENT_US = 30_000_000  # a worker that has not written for so long is not there any more
FORGOTTEN_US = 86_400_000_000  # and after this its facts are dropped
BEAT_SILENT_US = 60_000_000  # beat writes every second; a restart, and Redis away for a moment, take less
TIMEOUT_S = 5.0


@dataclass(slots=True)
class Waits:
    """Durations, counted by the index of their bucket, and their sum."""

    counts: dict[int, int] = field(default_factory=dict)
    sum_us: int = 0

    def add(self, us: int) -> None:
        """Counts one."""
        index = histogram.index(us)
        self.counts[index] = self.counts.get(index, 0) + 1
        self.sum_us += us

    def clear(self) -> None:
        """Begins anew."""
        self.counts.clear()
        self.sum_us = 0

    def fields(self, name: str) -> dict[str, int]:
        """The fields of a hash that have to grow by so much."""
        if not self.counts:
            return {}
        return {f"{name}:{index}": count for index, count in self.counts.items()} | {
            f"{name}:sum": self.sum_us
        }

    @classmethod
    def of(cls, name: str, stored: Mapping[str, str]) -> Waits:
        """What the fields of a hash say."""
        prefix, waits = f"{name}:", cls()
        for key, number in stored.items():
            if key.startswith(prefix):
                index = key.removeprefix(prefix)
                if index == "sum":
                    waits.sum_us = int(number)
                else:
                    waits.counts[int(index)] = int(number)
        return waits


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """How a worker process stands.

    ``in_flight`` tasks are under way, readers of mailboxes included. ``loop_lag_us`` is the worst lag of its
    event loop since it wrote before.
    """

    worker: str
    region: str
    at_us: int
    started_at_us: int
    in_flight: int
    loop_lag_us: int
    clock_offset_us: int
    clock_uncertainty_us: int
    version: str


@dataclass(frozen=True, slots=True)
class RegionFacts:
    """What the workers of a region have counted together since the first of them.

    ``wait`` is the time from when a poll was due until a worker began it; ``lag`` has the worst lag of the
    event loop in every few seconds of every worker; ``expired`` polls came too late to be run.
    """

    region: str
    wait: Waits
    lag: Waits
    expired: int


@dataclass(frozen=True, slots=True)
class BeatFacts:
    """How beat stands. All that run for one Redis count together.

    ``missed`` polls fell due and were not fired. ``reload_ok`` is whether the profile that was found last is
    in force; where it is not, ``reload_error`` says why.
    """

    at_us: int
    pairs: int
    published: int
    missed: int
    lateness: Waits
    reload_ok: bool
    reload_at_us: int
    reload_error: str
    profile: str

    def silent_since_us(self, now_us: int) -> int | None:
        """When it was last heard of, where that is too long ago: nothing is polled, nor is silence noted.

        Then all levels are of that moment. None where beat is there.
        """
        return self.at_us if now_us - self.at_us > BEAT_SILENT_US else None


class WorkerFactsStore:
    """Writes the facts of one worker. Asyncio; one connection."""

    def __init__(self, url: str) -> None:
        self._redis: AsyncRedis = AsyncRedis.from_url(
            url,
            decode_responses=True,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),  # counts that are written twice count twice
        )
        self._swept = False

    async def write(self, facts: WorkerFacts, wait: Waits, lag: Waits, expired: int) -> None:
        """Writes how the worker stands, and adds to what its region has counted.

        Raises:
            RedisError: Redis does not answer.
        """
        if not self._swept:
            await self._sweep(facts.at_us)
            self._swept = True
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(keys.WORKERS, facts.worker, json.dumps(asdict(facts)))
            if facts.region:
                key = keys.region(facts.region)
                for name, number in _grown(wait.fields("wait"), lag.fields("lag"), expired=expired):
                    pipe.hincrby(key, name, number)
            await pipe.execute()

    async def close(self) -> None:
        """Closes the connection."""
        await self._redis.aclose()

    async def _sweep(self, now_us: int) -> None:
        """Drops the facts of workers that ended long ago: each that starts cleans up after those before."""
        known = cast("dict[str, str]", await self._redis.hgetall(keys.WORKERS))
        gone = [worker for worker, text in known.items() if _at_us(text) < now_us - FORGOTTEN_US]
        if gone:
            await self._redis.hdel(keys.WORKERS, *gone)


class BeatFactsStore:
    """Writes the facts of a beat. Not asyncio; one connection."""

    def __init__(self, url: str) -> None:
        self._redis = _client(url)

    def write(self, stands: Mapping[str, str | int], lateness: Waits, **counts: int) -> None:
        """Writes how beat stands (fields of :class:`BeatFacts`), and adds to what beats have counted.

        Raises:
            RedisError: Redis does not answer.
        """
        with self._redis.pipeline(transaction=True) as pipe:
            fields: dict[Any, Any] = {**stands}
            pipe.hset(keys.BEAT, mapping=fields)
            for name, number in _grown(lateness.fields("lateness"), **counts):
                pipe.hincrby(keys.BEAT, name, number)
            pipe.execute()

    def close(self) -> None:
        """Closes the connection."""
        self._redis.close()


class FactsView:
    """Reads what a site says of itself. Not asyncio. Every method may raise ``RedisError``."""

    def __init__(self, url: str) -> None:
        self._redis = _client(url)

    def now_us(self) -> int:
        """The one clock."""
        seconds, micros = self._redis.time()
        return seconds * 1_000_000 + micros

    def workers(self) -> list[WorkerFacts]:
        """The workers that are there, by region and name."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.hgetall(keys.WORKERS)
            (seconds, micros), known = pipe.execute()
        oldest_us = int(seconds) * 1_000_000 + int(micros) - SILENT_US
        found = [WorkerFacts(**json.loads(text)) for text in known.values() if _at_us(text) >= oldest_us]
        return sorted(found, key=lambda facts: (facts.region, facts.worker))

    def beat(self) -> BeatFacts | None:
        """How beat stands, or None where none ever ran."""
        stored = cast("dict[str, str]", self._redis.hgetall(keys.BEAT))
        if "at_us" not in stored:
            return None
        return BeatFacts(
            at_us=int(stored["at_us"]),
            pairs=int(stored.get("pairs", 0)),
            published=int(stored.get("published", 0)),
            missed=int(stored.get("missed", 0)),
            lateness=Waits.of("lateness", stored),
            reload_ok=stored.get("reload_ok") != "0",
            reload_at_us=int(stored.get("reload_at_us", 0)),
            reload_error=stored.get("reload_error", ""),
            profile=stored.get("profile", ""),
        )

    def region(self, name: str) -> RegionFacts:
        """What the workers of a region have counted; nothing where there was none."""
        (facts,) = self.regions([name])
        return facts

    def regions(self, names: Sequence[str]) -> list[RegionFacts]:
        """The same of several regions, in one exchange."""
        with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(keys.region(name))
            found = cast("list[dict[str, str]]", pipe.execute())
        return [
            RegionFacts(
                name, Waits.of("wait", stored), Waits.of("lag", stored), int(stored.get("expired", 0))
            )
            for name, stored in zip(names, found, strict=True)
        ]

    def queue_lengths(self, regions: Iterable[str]) -> dict[str, int]:
        """The number of messages that wait in each queue of these regions, by the queue's name."""
        names = [name for region in regions for name in queues.of_region(region)]
        with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.llen(name)
            return dict(zip(names, cast("list[int]", pipe.execute()), strict=True))

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()


def _client(url: str) -> Redis:
    return Redis.from_url(
        url, decode_responses=True, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
    )


def _grown(*fields: Mapping[str, int], **counts: int) -> Iterable[tuple[str, int]]:
    for numbers in (*fields, counts):
        yield from ((name, number) for name, number in numbers.items() if number)


def _at_us(text: str) -> int:
    return int(json.loads(text)["at_us"])
