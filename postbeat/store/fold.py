"""Folding: takes what is new in the log of a pair's results into its hourly and daily rollups. Not asyncio.

Each pair has a log of compact figures (``postbeat:raw:PAIR``), and two packed values of rollups with the id
of the last entry that is in them (``postbeat:rollup:PAIR``). A fold reads both as of one moment, adds up, and
writes the rollups only if that id is still the same: so every entry counts once, whoever folds, however
often, and wherever it is interrupted. Entries that are folded leave the log, but for the newest, and are kept
for a day in packed stretches beside the rollups: a tenth of the size.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

from redis import Redis

from postbeat import figurelog, packing
from postbeat.figures import Figures
from postbeat.model import Pair
from postbeat.rollup import Rollup
from postbeat.store import keys
from postbeat.store.connecting import client

log = logging.getLogger(__name__)

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
FOLD_US = 6 * HOUR_US  # each pair is folded so often
BACKLOG = 3000  # and earlier where the log has more entries
STAYING = 8  # entries that stay in the log although they are folded, for those who look at the newest ones
LIMIT = 500  # entries taken in one fold: some 20 ms


class Covers(Protocol):
    """A calendar of maintenance."""

    def covers(self, pair: Pair, at_us: int) -> bool:
        """Whether a pair is in maintenance at a moment."""


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept: single results in hours; rollups of hours and of days in days, today included."""

    raw_hours: int = 24
    hours_days: int = 35
    days_days: int = 400


@dataclass(frozen=True, slots=True)
class Unfolded:
    """What is known of a pair's past as of one moment: rollups, and what of the log is not in them.

    ``upto`` is the id of the last entry that is in the rollups, ``last`` that of the last one in ``figures``;
    both are "" where there is none.
    """

    hours: bytes
    days: bytes
    upto: str
    last: str
    figures: Sequence[bytes]

    @classmethod
    def parse(cls, reply: list[Any]) -> Unfolded:
        """What ``unfolded.lua`` has returned, to a client that decodes nothing."""
        hours, days, upto, last, figures = reply
        return cls(hours, days, upto.decode(), last.decode(), figures)


def loaded(pair: Pair, entries: Iterable[bytes]) -> Iterator[Figures]:
    """The figures of a log's entries; what is none is left out."""
    for data in entries:
        try:
            yield Figures.loads(data)
        except ValueError:
            log.error("an entry in the log of %s is none, and does not count", pair)


def by_hour(
    pair: Pair, log: Iterable[Figures], calendar: Covers | None, timings: Collection[str] | None = None
) -> dict[int, Rollup]:
    """Rollups of results by their hour; only of these timings."""
    hours: dict[int, Rollup] = {}
    for figures in log:
        if timings is None:
            wanted = figures
        else:
            times_us = {name: us for name, us in figures.times_us.items() if name in timings}
            wanted = replace(figures, times_us=times_us)
        is_maintained = calendar is not None and calendar.covers(pair, figures.at_us)
        hours.setdefault(figures.at_us // HOUR_US, Rollup()).add(wanted, maintenance=is_maintained)
    return hours


def by_day(hours: dict[int, Rollup]) -> dict[int, Rollup]:
    """The rollups of days from those of their hours."""
    days: dict[int, Rollup] = {}
    for hour, rollup in hours.items():
        days.setdefault(hour // 24, Rollup()).merge(rollup)
    return days


class FoldStore:
    """The store as seen by who folds. Every method may raise ``redis.exceptions.RedisError``."""

    def __init__(self, url: str, retention: Retention | None = None) -> None:
        self._redis: Redis = client(url)
        self._retention = retention or Retention()
        self._unfolded = self._redis.register_script(keys.script("unfolded"))
        self._fold = self._redis.register_script(keys.script("fold"))

    def now_us(self) -> int:
        """The one clock."""
        seconds, micros = self._redis.time()
        return seconds * 1_000_000 + micros

    def pairs(self) -> list[str]:
        """The pairs that are expected to give results."""
        members = cast("list[bytes]", self._redis.zrange(keys.EXPECTED, 0, -1))
        return sorted({member.decode().removesuffix("/read") for member in members})

    def due(self, names: Sequence[str], now_us: int) -> list[str]:
        """Those of some pairs that should be folded now.

        Each has its own moment in every six hours; one whose log grows faster does not wait for that.
        """
        with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hget(keys.rollup(name), "upto")
                pipe.xlen(keys.raw(name))
                pipe.xrange(keys.raw(name), count=STAYING + 1)
            replies = iter(pipe.execute())
        found = zip(names, replies, replies, replies, strict=True)
        return [
            name
            for name, upto, length, oldest in found
            if length > BACKLOG or _is_waiting(upto, oldest, _moment_us(name, now_us))
        ]

    def fold(self, name: str, calendar: Covers | None = None) -> int:
        """Folds what is new of a pair, at most ``LIMIT`` entries.

        Returns their number: 0 when there is nothing, or another folder was faster.

        Raises:
            ValueError: the pair's rollups are damaged.
        """
        names = [keys.rollup(name), keys.raw(name)]
        found = Unfolded.parse(cast("list[Any]", self._unfolded(keys=names, args=[LIMIT])))
        if not found.figures:
            return 0
        pair = Pair.parse(name)
        figures = list(loaded(pair, found.figures))
        hours = by_hour(pair, figures, calendar)
        today = _id_us(found.last) // DAY_US
        kept = self._retention
        values: list[str | bytes | int] = [
            found.upto,
            found.last,
            # Whole days of hours, so that each day is known by all its hours or by itself alone.
            packing.merged(found.hours, hours, keep_from=(today + 1 - kept.hours_days) * 24),
            packing.merged(found.days, by_day(hours), keep_from=today + 1 - kept.days_days),
            figurelog.pack(figures),
            kept.days_days * 86400,
            kept.raw_hours * 3600,
            STAYING,
        ]
        return len(found.figures) if self._fold(keys=names, args=values) else 0

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()


def _is_waiting(upto: bytes | None, oldest: list[Any], moment_us: int) -> bool:
    """Whether one of the oldest entries of a log is not folded, and older than a moment."""
    folded = _number(upto.decode()) if upto else (-1, 0)
    waiting = (entry.decode() for entry, _ in oldest if _number(entry.decode()) > folded)
    return any(_id_us(entry) < moment_us for entry in waiting)


def _moment_us(name: str, now_us: int) -> int:
    """The last moment at which a pair was to be folded."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return now_us - (now_us - int.from_bytes(digest, "big")) % FOLD_US


def _number(entry: str) -> tuple[int, int]:
    """The id of an entry as what it is compared by."""
    at_ms, _, number = entry.partition("-")
    return int(at_ms), int(number)


def _id_us(entry: str) -> int:
    """When an entry was added, in microseconds."""
    return _number(entry)[0] * 1000
