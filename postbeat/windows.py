"""Maintenance windows: the times for which an element's failures are announced. Pure.

A weekly window is in UTC, or in the local time of a zone. It belongs to the day on which it begins, and may
end on the next. When the clock of its zone is put forward or back, a time can mean two moments: a window then
begins at the earlier and ends at the later one, as work that a clock starts may fall on either.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo

TEXT_LIMIT = 100  # more than seven days and the longest name of a zone take
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

_MINUTE_US = 60_000_000
_DAY_MINUTES = 1440
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()

_WEEKLY = re.compile(r"(\S+) ([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})(?: (\S+))?")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:Z|[+-][0-9]{2}:[0-9]{2})")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}")

Bounds = tuple[int, int]  # microseconds since the epoch; the second is not within any more


@dataclass(frozen=True, slots=True)
class _Once:
    """From one moment to another."""

    from_us: int
    to_us: int

    def covers(self, at_us: int) -> bool:
        return self.from_us <= at_us < self.to_us


@dataclass(frozen=True, slots=True)
class _Weekly:
    """On some days of the week (0 is Monday), from one minute of a day to another, maybe of the next."""

    days: frozenset[int]
    from_minute: int
    to_minute: int
    zone: ZoneInfo | None

    def covers(self, at_us: int) -> bool:
        today = self._day_of(at_us)
        for day in (today, today - 1, today + 1):  # tomorrow's may have begun: see the module
            found = self._of_day(day)
            if found is not None and found[0] <= at_us < found[1]:
                return True
        return False

    def _of_day(self, day: int) -> Bounds | None:
        """The window that begins on a day, counted from the epoch."""
        if (day + 3) % 7 not in self.days:  # 1970-01-01 was a Thursday
            return None
        return min(self._moments(day, self.from_minute)), max(self._moments(day, self.to_minute))

    def _day_of(self, at_us: int) -> int:
        if self.zone is None:
            return at_us // (_DAY_MINUTES * _MINUTE_US)
        return (_EPOCH + timedelta(microseconds=at_us)).astimezone(self.zone).toordinal() - _EPOCH_DAY

    def _moments(self, day: int, minute: int) -> Bounds:
        """The moments at which a clock of the zone can show a minute of a day: two where it is changed."""
        if self.zone is None:
            at_us = (day * _DAY_MINUTES + minute) * _MINUTE_US
            return at_us, at_us
        days, minute = divmod(minute, _DAY_MINUTES)
        shown = datetime.fromordinal(day + days + _EPOCH_DAY).replace(
            hour=minute // 60, minute=minute % 60, tzinfo=self.zone
        )
        return _microseconds(shown), _microseconds(shown.replace(fold=1))


@dataclass(frozen=True, slots=True)
class Window:
    """A time of maintenance as it stands in a profile: weekly (``Sun 02:00-04:00``), or once."""

    text: str
    rule: _Once | _Weekly

    @classmethod
    def parse(cls, raw: object) -> Self:
        """The window of a text.

        Weekly are ``Sun 02:00-04:00``, ``Mon-Fri 22:00-06:00``, ``Sat,Sun 00:00-24:00`` and ``daily
        02:00-02:30``, in UTC, or in the local time of a zone that follows, as in ``daily 02:00-02:30
        Europe/Berlin``; once is ``2026-12-01T02:00Z/2026-12-01T04:00Z``, maybe with seconds or an offset.

        Raises:
            ValueError: it is none; the message says why.
        """
        if isinstance(raw, cls):
            return raw
        if not isinstance(raw, str):
            raise ValueError("not a text")
        text = " ".join(raw.split())
        if len(text) > TEXT_LIMIT:
            raise ValueError(f"longer than {TEXT_LIMIT} characters")
        return cls(text, _rule(text))

    def covers(self, at_us: int) -> bool:
        """Whether a moment (microseconds since the epoch) lies within."""
        return self.rule.covers(at_us)

    def __str__(self) -> str:
        return self.text


@functools.lru_cache(maxsize=1024)  # thousands of elements share a few windows
def _rule(text: str) -> _Once | _Weekly:
    return _once(text) if "/" in text.partition(" ")[0] else _weekly(text)


def _once(text: str) -> _Once:
    begin, _, end = text.partition("/")
    from_us, to_us = _moment(begin), _moment(end)
    if to_us <= from_us:
        raise ValueError("it ends before it begins")
    return _Once(from_us, to_us)


def _moment(text: str) -> int:
    if _MOMENT.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a moment such as 2026-12-01T02:00Z or 2026-12-01T03:00:00+01:00")
    try:
        return _microseconds(datetime.fromisoformat(text))
    except ValueError:
        raise ValueError(f"{text!r} is in no calendar") from None


def _weekly(text: str) -> _Weekly:
    match = _WEEKLY.fullmatch(text)
    if match is None:
        raise ValueError(
            "not days and times such as Mon-Fri 22:00-06:00, nor two moments with / between them"
        )
    days, *times, zone = match.groups()
    begin = _minute(times[0], times[1])
    end = _minute(times[2], times[3])
    if begin == _DAY_MINUTES:
        raise ValueError("a window begins at 00:00, and not at 24:00")
    if begin == end:
        raise ValueError("it ends when it begins; a whole day is 00:00-24:00")
    over_midnight = _DAY_MINUTES if end < begin else 0
    return _Weekly(_days(days), begin, end + over_midnight, _zone(zone) if zone else None)


def _minute(hour: str, minute: str) -> int:
    found = int(hour) * 60 + int(minute)
    if int(minute) > 59 or found > _DAY_MINUTES:
        raise ValueError(f"{hour}:{minute} is not a time of the day, 00:00 to 24:00")
    return found


def _days(text: str) -> frozenset[int]:
    if text.lower() == "daily":
        return frozenset(range(7))
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        begin = _day(first)
        length = (_day(last) - begin) % 7 if dash else 0
        some = {(begin + day) % 7 for day in range(length + 1)}
        if not found.isdisjoint(some):
            raise ValueError(f"{part} names a day that stands there already")
        found |= some
    return frozenset(found)


def _day(text: str) -> int:
    try:
        return DAYS.index(text.capitalize())
    except ValueError:
        raise ValueError(f"{text!r} is not a day: {', '.join(DAYS)}, or daily") from None


def _zone(name: str) -> ZoneInfo | None:
    if name == "UTC":
        return None
    try:
        if _ZONE.fullmatch(name) is None:
            raise ValueError
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: it is the name of a folder of zones
        raise ValueError(f"{name!r} is not a time zone such as Europe/Berlin or UTC") from None


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
