"""What the API and the pages take: queries, bodies and forms are checked by these models. Pure.

Times are in seconds, instants in seconds since the epoch.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from postbeat.elements import NAME_PATTERN, REGION_PATTERN
from postbeat.figures import TIMINGS
from postbeat.settings import KEEP_DAYS_LIMIT
from postbeat.web.rows import COUNTED_AS, IN_MAINTENANCE, Wanted

LATEST_S = 253_402_300_799  # the end of the calendar
# Of a question, by its step. A year by the hour would keep the one process that serves everybody for seconds.
LONGEST_DAYS = {"hour": 35, "day": KEEP_DAYS_LIMIT}

GLOB_PATTERN = r"^[A-Za-z0-9._*?\[\]!-]+$"
LINE_PATTERN = r"^[^\x00-\x1f\x7f]+$"
MONTH_PATTERN = r"^20[0-9]{2}-(0[1-9]|1[0-2])$"
# What is expected, in the words of people.
EXPECTED = {
    GLOB_PATTERN: "letters, digits and . _ -, with * and ? for any others",
    LINE_PATTERN: "one line of text",
    MONTH_PATTERN: "a month such as 2026-11",
    NAME_PATTERN: "a name of letters, digits and . _ -",
    REGION_PATTERN: "a name of lower-case letters, digits and -",
}

Moment = Annotated[float, Field(ge=0, le=LATEST_S)]
Glob = Annotated[str, Field(min_length=1, max_length=64, pattern=GLOB_PATTERN)]
AnyGlob = Annotated[str, Field(min_length=1, max_length=64)]  # to search with: what no name has fits nothing
RegionName = Annotated[str, Field(pattern=REGION_PATTERN)]
ElementName = Annotated[str, Field(pattern=NAME_PATTERN)]
Number = Annotated[int, Field(ge=1, le=100_000)]


class Params(BaseModel):
    """What is not known is refused: a misspelled filter would otherwise match everything."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, str_strip_whitespace=True)

    @property
    def given(self) -> dict[str, object]:
        """What was asked for, for links and forms that keep it: all but the page."""
        return self.model_dump(by_alias=True, exclude_defaults=True, exclude={"page"})


class SearchParams(Params):
    """Which elements."""

    q: str = Field("", max_length=200, description="Words that all stand in names, texts or messages.")
    verdict: Literal[("", *COUNTED_AS)] = Field(  # type: ignore[valid-type]
        "",
        description=f"A verdict without those that maintenance excuses; {IN_MAINTENANCE} is for those.",
    )
    level: Literal["", "GOOD", "MARGINAL", "DEGRADED", "FAILED", "UNKNOWN"] = Field(
        "", description="A verdict, excused or not, or the level of a region."
    )
    region: str = Field("", max_length=32)
    group: str = Field("", max_length=64)
    kind: Literal["", "smtp", "imap4", "pop3"] = ""
    page: Number = 1
    limit: int = Field(200, ge=1, le=5000, description="Elements of a page.")

    @property
    def wanted(self) -> Wanted:
        """The search itself."""
        return Wanted(self.q, self.verdict, self.level, self.region, self.group, self.kind)


class ListParams(Params):
    """Which results or events: the newest, of these names."""

    element: AnyGlob = "*"
    region: AnyGlob = "*"
    level: Literal["", "GOOD", "MARGINAL", "FAILED", "UNKNOWN", "DEGRADED"] = ""
    since: Moment = 0
    limit: int = Field(50, ge=1, le=1000)


class EventParams(ListParams):
    """Which events."""

    kind: Literal["", "level", "outcome", "verdict"] = Field(
        "", description="Changes of levels or of verdicts, or what became of messages."
    )


class RollupParams(Params):
    """Which rollups of an element."""

    region: AnyGlob = "*"
    start: Moment = Field(alias="from")
    end: Moment = Field(
        alias="to",
        description=f"After from, by at most {LONGEST_DAYS['hour']} days for steps of an hour and "
        f"{LONGEST_DAYS['day']} for steps of a day; more is had by several questions.",
    )
    step: Literal["hour", "day"] = "hour"
    timing: list[Literal[TIMINGS]] = Field([], description="These timings only; all where none is named.")  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _bounded(self) -> RollupParams:
        longest_days = LONGEST_DAYS[self.step]
        if not 0 < self.end - self.start <= longest_days * 86_400:
            step = {"hour": "an hour", "day": "a day"}[self.step]
            raise ValueError(f"expected from before to, by at most {longest_days} days for steps of {step}")
        return self


class ReportParams(Params):
    """Which month, of which elements."""

    month: str = Field(pattern=MONTH_PATTERN, description="Such as 2026-11, in UTC.")
    element: AnyGlob = "*"
    group: str = Field("", max_length=64)
    page: Number = 1
    limit: int = Field(50, ge=1, le=200)


class MaintenanceBody(Params):
    """A window of maintenance. It begins now where no ``from`` is given, and ends after ``seconds``."""

    element: Glob
    region: Glob = "*"
    start: Moment | None = Field(None, alias="from")
    seconds: int = Field(ge=60, le=30 * 86_400)
    why: str = Field(min_length=1, max_length=200, pattern=LINE_PATTERN)


class ProbeBody(Params):
    """A poll that is made now, from where the page runs, and that is not recorded."""

    element: ElementName
    region: RegionName | None = Field(
        None, description="To speak for; the element's first where none is given."
    )
    read: bool = Field(False, description="Also look for the message in the mailbox.")
