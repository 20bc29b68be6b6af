"""What the API gives. The OpenAPI document is made of these. Pure.

Times are in seconds, instants in seconds since the epoch, under the names of ``--json``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from postbeat.delivery import Outcome
from postbeat.model import Kind, Level, Phase
from postbeat.verdict import Verdict


@dataclass(slots=True)
class RegionStanding:
    """An element in a region: its level now, and why."""

    region: str
    level: Level
    confirmed: Level
    since: float | None
    at: float | None
    message: str
    phase: Phase | None
    stage: str
    side: str
    code: str
    outcome: Outcome | None
    failures: int
    failedSince: float | None
    responseTime: float | None
    uploadTime: float | None
    timeToDeliver: float | None
    totalTime: float | None
    certificateExpires: float | None
    polls: int


@dataclass(slots=True)
class ElementStanding:
    """An element over all its regions, the worst region first.

    ``inMaintenance`` is whether every region that is FAILED or MARGINAL is in maintenance, and there is one.
    ``reasons`` tells of each region that counts as another level than GOOD why it does, as in events.
    """

    element: str
    kind: Kind
    group: str
    description: str
    verdict: Verdict
    since: float | None
    inMaintenance: bool
    regions: list[RegionStanding]
    reasons: dict[str, dict[str, Any]]


@dataclass(slots=True)
class Overview:
    """One page of elements, worst first, and how many there are in all.

    ``beatSilentSince`` is when beat was last heard of, where that is so long ago that everything is as it was
    then: nothing is polled any more. ``counts`` are of all elements by their verdict, without those that are
    ``inMaintenance``, whose number stands beside it.
    """

    at: float
    beatSilentSince: float | None
    counts: dict[Verdict, int]
    inMaintenance: int
    total: int
    page: int
    pages: int
    elements: list[ElementStanding]


@dataclass(slots=True)
class ElementPublic:
    """What the profile says of an element, without its secrets and users."""

    element: str
    kind: Kind
    server: str
    port: int
    description: str
    group: str
    regions: list[str]
    poll: float | None
    read: str
    email: str
    quorum: str | int
    confirmpolls: int
    availabilitytarget: float
    maintenance: list[str]
    servicelevels: list[str]
    active: bool


@dataclass(slots=True)
class Elements:
    """One page of the elements of the profile."""

    total: int
    page: int
    pages: int
    elements: list[ElementPublic]


@dataclass(slots=True)
class Objective:
    """The service level objective, in shares of 1. A budget of which less than 0 is left is overspent."""

    target: float
    polls: int
    failed: int
    availability: float | None
    budgetLeft: float | None
    burnRate: float | None


@dataclass(slots=True)
class ElementDetail:
    """All of an element: its standing, the latest round trip of each region, its objective over 30 days."""

    element: str
    facts: ElementPublic | None
    standing: ElementStanding | None
    latest: list[dict[str, Any]]
    objective: Objective
    maintenance: bool
    beatSilentSince: float | None


@dataclass(slots=True)
class PairDetail:
    """An element in one region: its latest round trip, and the last results that were not GOOD."""

    element: str
    region: str
    standing: RegionStanding
    latest: dict[str, Any]
    notable: list[dict[str, Any]]
    maintenance: bool
    beatSilentSince: float | None


@dataclass(slots=True)
class Listing:
    """Documents as ``--json`` prints them, oldest first."""

    items: list[dict[str, Any]]


@dataclass(slots=True)
class TimingFigures:
    """The percentiles of a timing, within 2 %."""

    count: int
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(slots=True)
class Period:
    """A stretch of time: counts (``poll:GOOD``, ``fault:REMOTE:timeout``, ...), availability, timings."""

    at: float
    counts: dict[str, int]
    availability: float | None
    timings: dict[str, TimingFigures]


@dataclass(slots=True)
class Rollups:
    """A series of periods, oldest first, and all of them together."""

    element: str
    regions: list[str]
    step: Literal["hour", "day"]
    periods: list[Period]
    whole: Period


@dataclass(slots=True)
class ReportRow:
    """An element's month, over all its regions."""

    element: str
    group: str
    objective: Objective
    unknown: int
    maintenance: int
    timings: dict[str, TimingFigures]


@dataclass(slots=True)
class Report:
    """One page of a month."""

    month: str
    total: int
    page: int
    pages: int
    elements: list[ReportRow]


@dataclass(slots=True)
class Window:
    """A window of maintenance that was announced by hand."""

    id: str
    element: str
    region: str
    start: Annotated[float, Field(serialization_alias="from")]
    end: Annotated[float, Field(serialization_alias="to")]
    why: str
    by: str


@dataclass(slots=True)
class Windows:
    """All windows that are kept."""

    windows: list[Window] = field(default_factory=list)


@dataclass(slots=True)
class Probed:
    """What the poll found; ``trip`` is as ``postbeat probe --json`` prints it."""

    level: Level
    trip: dict[str, Any]


@dataclass(slots=True)
class RegionFigures:
    """A region: its workers, and how far behind they are. Times in seconds."""

    region: str
    workers: list[dict[str, Any]]
    queued: int
    queuedReads: int
    expired: int


@dataclass(slots=True)
class Regions:
    """All regions, and beat."""

    regions: list[RegionFigures]
    beat: dict[str, Any] | None
    beatSilentSince: float | None
