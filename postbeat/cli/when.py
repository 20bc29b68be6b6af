"""Moments and durations as options."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import click

_UNITS_S = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,6})(s|min|h|d)")


def _duration_us(text: str) -> int | None:
    match = _DURATION.fullmatch(text)
    return int(match[1]) * _UNITS_S[match[2]] * 1_000_000 if match is not None else None


class Duration(click.ParamType[int]):
    """A duration such as ``2h``, in microseconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Reads it; click's message says what is wrong."""
        if isinstance(value, int):
            return value
        duration_us = _duration_us(str(value))
        if not duration_us:
            self.fail(f"expected a duration such as 90s, 30min, 2h or 3d, got {value!r}", param, ctx)
        return duration_us


class Moment(click.ParamType[int]):
    """A moment, or how long ago it was: ``2026-11-26T10:00Z`` or ``2h``, in microseconds since the epoch."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Reads it; click's message says what is wrong."""
        if isinstance(value, int):
            return value
        text = str(value)
        ago_us = _duration_us(text)
        if ago_us is not None:
            return time.time_ns() // 1000 - ago_us
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"expected a moment such as 2h (ago) or 2026-11-26T10:00Z, got {value!r}", param, ctx)
        return round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1e6)
