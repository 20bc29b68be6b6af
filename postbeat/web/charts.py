"""The geometry of charts: what the templates draw as SVG. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from postbeat.results import Attempt
from postbeat.rollup import Rollup, availability
from postbeat.web import look

WIDTH, HEIGHT = 600, 120
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_BAR = 1000


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the availability bar; ``look`` is good, low, bad or none (no poll counts)."""

    at_us: int
    look: str
    availability: float | None
    failed: int
    polls: int
    unknown: int
    maintenance: int

    @property
    def text(self) -> str:
        """What the day is, in words."""
        parts = [look.day(self.at_us)]
        parts.append(
            "no polls" if self.availability is None else f"{look.percent(self.availability)} available"
        )
        for count, word in (
            (self.failed, "failed"),
            (self.unknown, "unknown"),
            (self.maintenance, "in maintenance"),
        ):
            if count:
                parts.append(f"{count} {word}")
        return ", ".join(parts)


def days(series: Sequence[tuple[int, Rollup]], target_percent: float) -> list[Day]:
    """The availability bar of a series of days. Low is under the target, bad under 90 %."""
    return [_day(at_us, rollup.counts, target_percent) for at_us, rollup in series]


def _day(at_us: int, counts: Mapping[str, int], target_percent: float) -> Day:
    share = availability(counts)
    shown = "none"
    if share is not None:
        shown = "good" if share * 100 >= target_percent else "low" if share >= 0.9 else "bad"
    failed = counts.get("poll:FAILED", 0)
    polls = failed + counts.get("poll:GOOD", 0) + counts.get("poll:MARGINAL", 0)
    return Day(
        at_us, shown, share, failed, polls, counts.get("poll:UNKNOWN", 0), counts.get("maintenance", 0)
    )


@dataclass(frozen=True, slots=True)
class Lines:
    """The percentiles of one timing over time: a path for each, in a box of WIDTH x HEIGHT."""

    timing: str
    paths: Mapping[str, str]
    whole: Mapping[str, int | None]  # over the whole range, in microseconds
    top_us: int
    count: int


def lines(series: Sequence[tuple[int, Rollup]], timing: str) -> Lines | None:
    """The chart of a timing, or None where nothing of it was measured."""
    count = sum(rollup.count(timing) for _, rollup in series)
    if not count:
        return None
    whole = Rollup()
    for _, rollup in series:
        whole.merge(rollup)
    points = {
        name: [rollup.percentile(timing, share) for _, rollup in series] for name, share in QUANTILES.items()
    }
    top_us = nice(max(value or 0 for values in points.values() for value in values))
    paths = {name: _path(values, top_us) for name, values in points.items()}
    return Lines(
        timing,
        paths,
        {name: whole.percentile(timing, share) for name, share in QUANTILES.items()},
        top_us,
        count,
    )


def nice(value: int) -> int:
    """The next 1, 2 or 5 times a power of ten: where an axis may end."""
    base = 1
    while True:
        for factor in (1, 2, 5):
            if factor * base >= value:
                return factor * base
        base *= 10


def _path(values: Sequence[int | None], top_us: int) -> str:
    """An SVG path; a step without measurements is a gap, a single one between gaps a short line."""
    step = WIDTH / max(1, len(values))
    parts: list[str] = []
    drawn = False
    for index, value in enumerate(values):
        if value is None:
            drawn = False
            continue
        x, y = (index + 0.5) * step, HEIGHT - value * HEIGHT / top_us
        parts.append(f"{'L' if drawn else 'M'}{x:.1f} {y:.1f}")
        follows = index + 1 < len(values) and values[index + 1] is not None
        if not drawn and not follows:
            parts.append(f"h{max(2.0, step / 2):.1f}")
        drawn = True
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class Bar:
    """A stage of an attempt in the waterfall: ``x`` and ``width`` are of 1000."""

    name: str
    at_us: int
    took_us: int
    reply: str
    ended: bool
    x: int
    width: int


def waterfall(attempt: Attempt) -> list[Bar]:
    """The stages of an attempt, one under the other."""
    whole_us = max((stage.at_us + stage.took_us for stage in attempt.stages), default=0) or 1
    bars = []
    for stage in attempt.stages:
        x = min(_BAR - 4, stage.at_us * _BAR // whole_us)
        width = min(_BAR - x, max(4, stage.took_us * _BAR // whole_us))
        bars.append(Bar(stage.name, stage.at_us, stage.took_us, stage.reply, stage.ended, x, width))
    return bars
