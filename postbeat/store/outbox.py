"""What sinks keep in Redis: who serves a sink, how far it is, what is open, what was not taken. Asyncio.

The letters of a sink are the events that its receiver did not take. They are seen and dealt with by commands,
which are not asyncio: :class:`Letters`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from postbeat import clock
from postbeat.alerts import Alert, AlertEvent
from postbeat.results import AnyEvent
from postbeat.store import keys
from postbeat.store.connecting import client, connections
from postbeat.store.scripts import Scripts
from postbeat.store.streams import parse_alert, parse_event
from postbeat.store.summary import ElementFacts, ElementVerdict, element_facts, element_verdicts

CONNECTIONS = 256
LEASE_MS = 10_000  # another process takes over from one that was killed after so long
MARGIN_US = 1_000_000  # so long before its end a lease is not relied on any more
BLOCK_MS = 500  # how long the stream is waited for at a time
PAGE = 500  # events read at a time
LETTERS_KEPT = 1000
LETTERS_AT_ONCE = 20


class LeaseLostError(Exception):
    """Another process serves the sink, or is the bridge, now."""


@dataclass(frozen=True, slots=True)
class Letter:
    """An event that a sink did not take: ``notice`` is its text as the sink had it."""

    id: str
    notice: str
    reason: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Move:
    """What was dealt with: up to which entry of the stream, and what follows from it.

    ``told`` is whether an event was told, or given up: then ``letter`` is its text and ``reason`` why.
    ``settles`` is the letter that it was taken from. ``standings`` has the subjects whose standing changed.
    ``name`` is by what Redis knows a move that comes once more, as its answer was lost.
    """

    cursor: str
    told: bool = False
    letter: str = ""
    reason: str = ""
    settles: str = ""
    standings: Mapping[str, str] = field(default_factory=dict)
    name: str = field(default_factory=lambda: secrets.token_hex(8))


def connect(url: str) -> AsyncRedis:
    """The connections of a process that serves sinks."""
    return AsyncRedis.from_pool(connections(url, CONNECTIONS))


async def facts_of(redis: AsyncRedis, elements: Collection[str]) -> dict[str, ElementFacts]:
    """What may be known of some elements, of those that are in the profile in force."""
    names = list(elements)
    texts = await redis.hmget(keys.PROFILE, names) if names else []
    return {
        name: element_facts(str(text)) for name, text in zip(names, texts, strict=True) if text is not None
    }


class Outbox:
    """One sink's part of the store. Every method may raise ``redis.exceptions.RedisError``.

    ``steady_us`` is a clock that nobody sets, in microseconds. ``stream`` is what the sink follows.
    """

    def __init__(
        self,
        redis: AsyncRedis,
        name: str,
        steady_us: Callable[[], int] = clock.steady_us,
        stream: str = keys.EVENTS,
    ) -> None:
        self._stream = stream
        self._ids = keys.ALERTS if stream == keys.ALERTS_ALL else stream  # they share their ids
        self._redis = redis
        self._scripts = Scripts(redis)
        self._token = secrets.token_hex(16)
        self._steady_us = steady_us
        self._until_us = 0
        self._lease, self._sink = keys.sink_lease(name), keys.sink(name)
        self._open, self._dead = keys.sink_open(name), keys.sink_dead(name)

    async def acquire(self) -> bool:
        """Takes the sink, if no other process has it."""
        asked_at_us = self._steady_us()
        if not await self._redis.set(self._lease, self._token, nx=True, px=LEASE_MS):
            return False
        self._renewed(asked_at_us)
        return True

    async def renew(self) -> bool:
        """Keeps the sink; False where it is lost."""
        asked_at_us = self._steady_us()
        if not await self._scripts.run("renew", [self._lease], [self._token, LEASE_MS]):
            return False
        self._renewed(asked_at_us)
        return True

    def holds(self) -> bool:
        """Whether the lease can be relied on, by our own clock."""
        return self._steady_us() < self._until_us

    async def release(self) -> None:
        """Gives the sink back."""
        self._until_us = 0
        await self._scripts.run("release", [self._sink, self._lease], [self._token, 1])

    async def begin(self, known: str = "") -> tuple[str, bool]:
        """The entry up to which the sink is through, and whether that was in another stream until now.

        A sink that is new, or comes from another stream, begins after the newest entry. One that is gone, as
        when Redis was emptied, begins at ``known``, where this process had it; "" stands for nowhere.
        """
        cursor, ids = await self._redis.hmget(self._sink, ["cursor", "stream"])
        turned = bool(cursor and ids and ids != self._ids)
        if turned or not cursor:
            newest = cast("list[Any]", await self._redis.xrevrange(self._stream, count=1))
            cursor = ("" if turned else known) or (newest[0][0] if newest else "0-0")
        if ids != self._ids:
            await self._redis.hset(self._sink, mapping={"cursor": cursor, "stream": self._ids})
        return str(cursor), turned

    async def standings(self) -> dict[str, str]:
        """The subjects that have problems, and how they stand."""
        return cast("dict[str, str]", await self._redis.hgetall(self._open))

    async def read(self, cursor: str) -> list[tuple[str, AnyEvent | AlertEvent | None]]:
        """The next entries after one, as events; empty where none comes for BLOCK_MS.

        An entry that is none, as another version may have written it, is None.
        """
        answer = cast(
            "list[Any]", await self._redis.xread({self._stream: cursor}, count=PAGE, block=BLOCK_MS)
        )
        return [(entry, _event(entry, fields)) for _, entries in answer for entry, fields in entries]

    async def goes_back_to(self, entry: str) -> bool:
        """Whether the stream has an entry up to this one; where not, some after it may be gone too."""
        return bool(await self._redis.xrange(self._stream, "-", entry, count=1))

    async def verdicts_now(self, elements: Sequence[str]) -> dict[str, ElementVerdict]:
        """The verdicts on elements as they are now, of those that have one."""
        if not elements:
            return {}
        texts = await self._redis.hmget(keys.VERDICTS, elements)
        found = {name: str(text) for name, text in zip(elements, texts, strict=True) if text is not None}
        return {verdict.element: verdict for verdict in element_verdicts(found)}

    async def level_now(self, element: str, region: str) -> str:
        """The level of an element in a region, or ("") the verdict on it, as it is now; "" for none."""
        if region:
            return str(await self._redis.hget(keys.pair(f"{element}@{region}"), "level") or "")
        verdicts = await self.verdicts_now([element])
        return verdicts[element].verdict if verdicts else ""

    async def alert_level(self, identifier: str) -> str:
        """The level of an alert as it is now: GOOD where it has no row any more, "" where nobody can tell."""
        text = await self._redis.hget(keys.ALERTS_TABLE, identifier)
        try:
            return str(Alert.loads(str(text)).level) if text is not None else "GOOD"
        except (ValueError, TypeError):  # another version's
            return ""

    async def first_tried(self, event: str, now_us: int, error: str) -> int:
        """Notes that an event was not taken just now; when it was tried first."""
        tried, since = await self._redis.hmget(self._sink, ["trying", "trying_since_us"])
        if tried == event and since:
            await self._redis.hset(self._sink, "error", error)
            return int(since)
        noted: Mapping[Any, Any] = {"trying": event, "trying_since_us": now_us, "error": error}
        await self._redis.hset(self._sink, mapping=noted)
        return now_us

    async def commit(self, before: str, move: Move, now_us: int) -> None:
        """Notes what was dealt with since the entry ``before``.

        Raises:
            LeaseLostError: another process has the sink, or has moved it on.
        """
        asked_at_us = self._steady_us()
        values: list[Any] = [self._token, LEASE_MS, before, move.cursor, int(move.told), move.settles]
        values += [move.letter, move.reason, now_us, LETTERS_KEPT, move.name, self._ids]
        for subject, standing in move.standings.items():
            values += [subject, standing]
        if await self._scripts.run("sink", [self._lease, self._sink, self._open, self._dead], values) < 0:
            self._until_us = 0
            raise LeaseLostError
        self._renewed(asked_at_us)

    async def letters_again(self) -> list[Letter]:
        """Some of the letters that should be delivered again, oldest first."""
        upto = await self._redis.hget(self._sink, "again")
        if not upto:
            return []
        found = cast("list[Any]", await self._redis.xrange(self._dead, "-", upto, count=LETTERS_AT_ONCE))
        if not found:
            await self._redis.hdel(self._sink, "again")
        return [_letter(*entry) for entry in found]

    def _renewed(self, asked_at_us: int) -> None:
        self._until_us = asked_at_us + LEASE_MS * 1000 - MARGIN_US


class Letters:
    """The letters of sinks, for commands. Every method may raise ``redis.exceptions.RedisError``."""

    def __init__(self, url: str) -> None:
        self._redis: Redis = client(url, decode_responses=True)

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()

    def known(self, sink: str) -> bool:
        """Whether a sink was ever served."""
        return bool(self._redis.exists(keys.sink(sink), keys.sink_dead(sink)))

    def listing(self, sink: str) -> list[Letter]:
        """The letters of a sink, oldest first."""
        entries = cast("list[Any]", self._redis.xrange(keys.sink_dead(sink)))
        return [_letter(*entry) for entry in entries]

    def requeue(self, sink: str) -> int:
        """Has the letters that are there now delivered again; how many they are."""
        letters = self.listing(sink)
        if letters:
            self._redis.hset(keys.sink(sink), "again", letters[-1].id)
        return len(letters)

    def drop(self, sink: str) -> int:
        """Throws the letters that are there now away; how many they were."""
        letters = self.listing(sink)
        if letters:
            self._redis.xdel(keys.sink_dead(sink), *(letter.id for letter in letters))
        return len(letters)


def _event(entry: str, fields: Mapping[str, str]) -> AnyEvent | AlertEvent | None:
    try:
        return parse_alert(entry, fields) if "alert" in fields else parse_event(entry, fields)
    except (ValueError, KeyError, AttributeError, TypeError):
        return None


def _letter(entry: str, fields: Mapping[str, str]) -> Letter:
    return Letter(entry, fields["notice"], fields["reason"], int(fields["at_us"]))
