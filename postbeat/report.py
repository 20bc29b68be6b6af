"""The availability report of a month: its figures, and how they are written as HTML, CSV and JSON. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined

from postbeat.model import Level, Side
from postbeat.rollup import Rollup
from postbeat.slo import Slo, percent, slo_of

TIMINGS = ("responseTime", "timeToDeliver")
PERCENTILES = (50, 95, 99)
DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month, in UTC."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str) -> Month:
        """The month of ``2026-11``.

        Raises:
            ValueError: the text is none.
        """
        found = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
        if str(cls(found.year, found.month)) != text:
            raise ValueError(f"not a month such as 2026-11: {text!r}")
        return cls(found.year, found.month)

    @classmethod
    def last_full(cls, now_us: int) -> Month:
        """The month before that of a moment."""
        now = datetime.fromtimestamp(now_us / 1e6, UTC)
        return cls(now.year - 1, 12) if now.month == 1 else cls(now.year, now.month - 1)

    @property
    def from_us(self) -> int:
        """The moment at which it begins."""
        return round(datetime(self.year, self.month, 1, tzinfo=UTC).timestamp()) * 1_000_000

    @property
    def to_us(self) -> int:
        """The moment at which the next one begins."""
        return Month(self.year + self.month // 12, self.month % 12 + 1).from_us

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"


@dataclass(frozen=True, slots=True)
class Line:
    """What was counted of an element in a region, or ("") in all of its ``width`` regions together.

    ``poll_s`` is its interval; None where it is not known.
    """

    region: str
    rollup: Rollup
    target_percent: float
    poll_s: float | None
    width: int = 1

    @property
    def slo(self) -> Slo:
        """Its polls against its target."""
        return slo_of(self.rollup.counts, self.target_percent)

    @property
    def downtime_s(self) -> float | None:
        """How long it was down, by estimate: each failed poll stands for an interval, in its region."""
        return None if self.poll_s is None else round(self.slo.failed * self.poll_s / self.width, 3)

    def faults(self, side: Side) -> dict[str, int]:
        """How often each fault of a side was met, the most frequent first."""
        prefix = f"fault:{side}:"
        found = {
            key.removeprefix(prefix): count
            for key, count in self.rollup.counts.items()
            if key.startswith(prefix)
        }
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def percentile_s(self, timing: str, percent: int) -> float | None:
        """A percentile of a timing, in seconds."""
        found_us = self.rollup.percentile(timing, percent / 100)
        return None if found_us is None else found_us / 1e6

    def as_data(self) -> dict[str, Any]:
        """Its figures; durations in seconds."""
        slo, counts = self.slo, self.rollup.counts
        return {
            "region": self.region,
            "polls": slo.polls,
            "availability": slo.availability,
            "downtime": self.downtime_s,
            "failed": slo.failed,
            "marginal": counts.get(f"poll:{Level.MARGINAL}", 0),
            "unknown": counts.get(f"poll:{Level.UNKNOWN}", 0),
            "maintenance": counts.get("maintenance", 0),
            "target": slo.target,
            "budgetLeft": slo.budget_left,
            "faults": {side.value: self.faults(side) for side in Side},
            **{
                timing: {f"p{percent}": self.percentile_s(timing, percent) for percent in PERCENTILES}
                for timing in TIMINGS
            },
        }


@dataclass(frozen=True, slots=True)
class Day:
    """A day of an element, over all its regions."""

    date: date
    rollup: Rollup

    @property
    def state(self) -> str:
        """The worst that was told: ``failed``, ``marginal``, ``good``; ``none`` where nothing was."""
        if slo_of(self.rollup.counts, 99).polls == 0:
            return "none"
        for level in (Level.FAILED, Level.MARGINAL):
            if self.rollup.counts.get(f"poll:{level}"):
                return level.lower()
        return "good"

    @property
    def text(self) -> str:
        """The day in words."""
        slo = slo_of(self.rollup.counts, 99)
        if slo.availability is None:
            return f"{self.date}: no polls"
        return f"{self.date}: {percent(slo.availability)} of {slo.polls} polls"


@dataclass(frozen=True, slots=True)
class ElementReport:
    """An element: all regions together, each by itself, and each day."""

    name: str
    description: str
    group: str
    total: Line
    regions: Sequence[Line]
    days: Sequence[Day]

    @property
    def lines(self) -> tuple[Line, ...]:
        """All regions together, then each."""
        return (self.total, *self.regions)


@dataclass(frozen=True, slots=True)
class Report:
    """The report of a month."""

    month: Month
    made_at_us: int
    elements: Sequence[ElementReport]


def element_report(
    name: str,
    series: Mapping[str, Sequence[tuple[int, Rollup]]],
    *,
    target_percent: float,
    poll_s: float | None,
    description: str = "",
    group: str = "",
) -> ElementReport:
    """The report of an element from the days of each region: moments at which they begin, and rollups."""
    total = Rollup()
    days: dict[int, Rollup] = {}
    regions = []
    for region, steps in sorted(series.items()):
        of_region = Rollup()
        for at_us, rollup in steps:
            of_region.merge(rollup)
            days.setdefault(at_us, Rollup()).merge(rollup)
        total.merge(of_region)
        regions.append(Line(region, of_region, target_percent, poll_s))
    return ElementReport(
        name,
        description,
        group,
        Line("", total, target_percent, poll_s, max(1, len(regions))),
        regions,
        [
            Day(datetime.fromtimestamp(at_us / 1e6, UTC).date(), rollup)
            for at_us, rollup in sorted(days.items())
        ],
    )


def as_data(report: Report) -> dict[str, Any]:
    """The report as plain data."""
    return {
        "month": str(report.month),
        "madeAt": report.made_at_us / 1e6,
        "elements": [
            {
                "element": element.name,
                "description": element.description,
                "group": element.group,
                **element.total.as_data(),
                "regions": [line.as_data() for line in element.regions],
                "days": [
                    {"date": day.date.isoformat(), "counts": dict(sorted(day.rollup.counts.items()))}
                    for day in element.days
                ],
            }
            for element in report.elements
        ],
    }


_COLUMNS = (
    "polls",
    "availability",
    "downtime",
    "failed",
    "marginal",
    "unknown",
    "maintenance",
    "target",
    "budgetLeft",
)


def as_csv(report: Report) -> str:
    """A line for each element (without a region) and for each of its regions, as in RFC 4180."""
    text = io.StringIO()
    writer = csv.writer(text)
    percentiles = [(timing, f"p{percent}") for timing in TIMINGS for percent in PERCENTILES]
    head = [
        "month",
        "element",
        "group",
        "region",
        *_COLUMNS,
        *(f"{name} {place}" for name, place in percentiles),
    ]
    writer.writerow([*head, *(f"{side} faults" for side in Side)])
    for element in report.elements:
        for line in element.lines:
            data = line.as_data()
            row = [report.month, element.name, element.group, *(data[name] for name in ("region", *_COLUMNS))]
            row += [data[name][place] for name, place in percentiles]
            row += [
                " ".join(f"{code}={count}" for code, count in data["faults"][side.value].items())
                for side in Side
            ]
            writer.writerow(row)
    return text.getvalue()


def as_html(report: Report) -> str:
    """A page of its own: nothing is loaded from anywhere."""
    source = resources.files("postbeat").joinpath("report.html.j2").read_text("utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "seconds": seconds, "duration": duration}
    made_at = datetime.fromtimestamp(report.made_at_us / 1e6, UTC)
    return environment.from_string(source).render(
        report=report, made_at=f"{made_at:%Y-%m-%d %H:%M} UTC", sides=Side, timings=TIMINGS
    )


def seconds(value: float | None) -> str:
    """A time in seconds, to the millisecond."""
    return "–" if value is None else f"{value:.3f} s"  # noqa: RUF001


def duration(value: float | None) -> str:
    """A long time in days, hours, minutes and seconds, its first two parts."""
    if value is None:
        return "–"  # noqa: RUF001
    rest, parts = round(value), []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"
