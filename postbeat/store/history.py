"""The past of pairs: single results of about a day, and rollups of hours and days. Not asyncio.

A question is answered from the packed rollups and from that part of the log which is not in them yet, so that
the newest result counts at once. Each pair is read as of one moment, all of them in one exchange.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from itertools import chain
from typing import Any, Literal, cast

from redis import Redis
from redis.exceptions import NoScriptError

from postbeat import figurelog, packing
from postbeat.figures import Figures
from postbeat.model import Pair
from postbeat.rollup import Rollup
from postbeat.store import keys
from postbeat.store.connecting import client
from postbeat.store.fold import DAY_US, HOUR_US, Covers, Unfolded, by_day, by_hour, loaded

PAIRS = 200  # read in one exchange: some 10 MB
UNFOLDED = 20_000  # entries of a log that are not folded, at most
STEPS = 10_000  # of a series, at most
SLACK_MS = 60_000  # a result may be stamped so much later than its entry in the log

_Found = tuple[Pair, Unfolded]


class History:
    """What came to pass. Every method may raise ``redis.exceptions.RedisError``.

    Methods that read rollups raise ValueError where those of a pair are damaged. ``timings`` are those that
    are wanted (:data:`postbeat.figures.TIMINGS`), None for all; an empty one is much the fastest.
    ``calendar`` says which of the newest results were in maintenance; for what is folded, that is settled.
    """

    def __init__(self, url: str) -> None:
        self._redis: Redis = client(url)
        self._recent = self._redis.register_script(keys.script("recent"))
        self._script = keys.script("unfolded")
        self._sha = hashlib.sha1(self._script.encode(), usedforsecurity=False).hexdigest()

    def raw(self, pair: Pair, from_us: int, to_us: int | None = None, count: int = 10_000) -> list[Figures]:
        """The results of a stretch of time (``from_us`` in it, ``to_us`` not), oldest first.

        Where there are more than ``count``, it is the newest of them. The instants of those that are folded
        are to the second.
        """
        names = [keys.rollup(str(pair)), keys.raw(str(pair))]
        since_ms = max(0, from_us // 1000 - SLACK_MS)
        stretches, newest = cast("list[Any]", self._recent(keys=names, args=[since_ms, UNFOLDED]))
        found: list[Figures] = []
        for stretch in chain((loaded(pair, newest[::-1]),), map(figurelog.unpack, reversed(stretches))):
            wanted = (one for one in stretch if from_us <= one.at_us and (to_us is None or one.at_us < to_us))
            found += sorted(wanted, key=_instant)[::-1]
            if len(found) >= count:
                break
        return sorted(found[:count][::-1], key=_instant)

    def rollup(
        self,
        pairs: Sequence[Pair],
        from_us: int,
        to_us: int,
        *,
        timings: Collection[str] | None = None,
        calendar: Covers | None = None,
    ) -> Rollup:
        """What a stretch of time came to, over all the pairs.

        It is widened to whole hours; to whole days where the hours are not kept any more, and where it
        reaches up to now.
        """
        total = Rollup()

        def take(found: _Found, now_us: int) -> None:
            end = -(-to_us // HOUR_US)
            if end * HOUR_US >= now_us:
                end = -(-end // 24) * 24
            _add(total, found, range(from_us // HOUR_US, end), timings, calendar)

        self._read(pairs, take)
        return total

    def series(
        self,
        pairs: Sequence[Pair],
        from_us: int,
        to_us: int,
        *,
        step: Literal["hour", "day"],
        timings: Collection[str] | None = None,
        calendar: Covers | None = None,
    ) -> list[tuple[int, Rollup]]:
        """What each hour or day (UTC) of a stretch of time came to, with the moment at which it begins.

        Hours that are not kept any more are empty.

        Raises:
            ValueError: there are more than 10,000 of them.
        """
        step_us = HOUR_US if step == "hour" else DAY_US
        first, end = from_us // step_us, -(-to_us // step_us)
        if end - first > STEPS:
            raise ValueError(f"a series has at most {STEPS} steps, not {end - first}")
        steps = {index: Rollup() for index in range(first, end)}

        def take(found: _Found, _now_us: int) -> None:
            pair, unfolded = found
            packed = unfolded.hours if step == "hour" else unfolded.days
            newest = by_hour(pair, loaded(pair, unfolded.figures), calendar, timings)
            known = packing.unpack(packed, timings, first=first, last=end - 1)
            for periods in (known, newest if step == "hour" else by_day(newest)):
                for index, rollup in periods.items():
                    if index in steps:
                        steps[index].merge(rollup)

        self._read(pairs, take)
        return [(index * step_us, rollup) for index, rollup in steps.items()]

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()

    def _read(self, pairs: Sequence[Pair], take: Callable[[_Found, int], None]) -> None:
        """Hands over what is known of each pair, and the time."""
        for begin in range(0, len(pairs), PAIRS):
            part = pairs[begin : begin + PAIRS]
            try:
                replies = self._asked(part)
            except NoScriptError:
                self._redis.script_load(self._script)
                replies = self._asked(part)
            (seconds, micros), *rows = replies
            for pair, row in zip(part, rows, strict=True):
                take((pair, Unfolded.parse(row)), seconds * 1_000_000 + micros)

    def _asked(self, pairs: Sequence[Pair]) -> list[Any]:
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            for pair in pairs:
                pipe.evalsha(self._sha, 2, keys.rollup(str(pair)), keys.raw(str(pair)), UNFOLDED)
            return pipe.execute()


def _instant(figures: Figures) -> int:
    return figures.at_us


def _add(
    total: Rollup,
    found: _Found,
    hours: range,
    timings: Collection[str] | None,
    calendar: Covers | None,
) -> None:
    """Adds a range of hours of a pair: by whole days as far as they go, and by hours at the edges."""
    pair, unfolded = found
    days = range(-(-hours.start // 24), hours.stop // 24)
    wanted = set(hours)
    rollups: list[Rollup] = []
    if days:
        rollups += packing.unpack(unfolded.days, timings, first=days.start, last=days.stop - 1).values()
    for day in {hours.start // 24, (hours.stop - 1) // 24}.difference(days) if hours else ():
        known = packing.unpack(unfolded.hours, timings, first=day * 24, last=day * 24 + 23)
        if not known:  # its hours are not kept any more, or there is nothing at all
            whole = packing.unpack(unfolded.days, timings, first=day, last=day)
            rollups += whole.values()
            wanted.update(range(day * 24, day * 24 + 24) if whole else ())
        rollups += [rollup for hour, rollup in known.items() if hour in hours]
    newest = by_hour(pair, loaded(pair, unfolded.figures), calendar, timings)
    for rollup in (*rollups, *(rollup for hour, rollup in newest.items() if hour in wanted)):
        total.merge(rollup)
