"""Moments and durations as options."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import click

_UNITS_S = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(rf"([0-9]{{1,6}})({'|'.join(_UNITS_S)})")
_EXAMPLES = "90s, 30m, 2h, 3d or 1w"


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
            self.fail(f"expected a duration such as {_EXAMPLES}, got {value!r}", param, ctx)
        return duration_us


class Moment(click.ParamType[int]):
    """A moment, or how long ago it was: ``2026-11-26T10:00`` or ``2h``, in microseconds since the epoch.

    It is in UTC unless it says otherwise.
    """

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
            self.fail(
                f"expected how long ago, such as {_EXAMPLES}, or a moment in UTC such as"
                f" 2026-11-26T10:00, got {value!r}",
                param,
                ctx,
            )
        return round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1e6)
