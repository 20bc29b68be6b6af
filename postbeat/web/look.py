"""How figures look on pages: signs, durations, times. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from postbeat import slo
from postbeat.verdict import SIGNS

NOTHING = "\N{EN DASH}"


def sign(level: str) -> str:
    """The sign of a level or verdict."""
    return SIGNS.get(level, "·")


def word(level: str) -> str:
    """The word of a level or verdict, or of what stands in its place."""
    return "In maintenance" if level == "MAINTENANCE" else level


def duration(time_us: int | None) -> str:
    """A duration: ``850 µs``, ``12.3 ms``, ``1.20 s``, ``3 min``."""
    if time_us is None:
        return NOTHING
    if abs(time_us) < 1000:
        return f"{time_us} µs"
    if abs(time_us) < 1_000_000:
        return f"{time_us / 1000:.1f} ms"
    if abs(time_us) < 120_000_000:
        return f"{time_us / 1e6:.2f} s"
    return age(time_us)


def age(time_us: int | None) -> str:
    """How long ago or since when: ``3 s``, ``5 min``, ``2 h``, ``9 d``."""
    if time_us is None:
        return NOTHING
    seconds = max(0, time_us) // 1_000_000
    for unit_s, unit in ((172_800, "d"), (7200, "h"), (120, "min")):
        if seconds >= unit_s:
            return f"{seconds // (unit_s // 2)} {unit}"
    return f"{seconds} s"


def moment(at_us: int | None) -> str:
    """A moment in UTC: ``2026-11-26 10:00:00``."""
    return NOTHING if at_us is None else f"{_utc(at_us):%Y-%m-%d %H:%M:%S}"


def day(at_us: int) -> str:
    """The date in UTC."""
    return f"{_utc(at_us):%Y-%m-%d}"


def machine_time(at_us: int) -> str:
    """A moment for the ``datetime`` attribute."""
    return f"{_utc(at_us):%Y-%m-%dT%H:%M:%SZ}"


def percent(share: float | None) -> str:
    """A share of 1 in per cent, cut to three places at most: ``99.95 %``."""
    return re.sub(r"\.?0+(?= %)", "", slo.percent(share))


def size(count: int | None) -> str:
    """A number of bytes: ``812 B``, ``1.2 MB``."""
    if count is None:
        return NOTHING
    number = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"


def _utc(at_us: int) -> datetime:
    # What no calendar has (a hostile certificate, a wrong clock) must not end a page.
    return datetime.fromtimestamp(min(max(at_us, 0), 253_402_300_799_000_000) / 1e6, UTC)
