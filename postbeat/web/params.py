"""What the API and the pages take: queries, bodies and forms are checked by these models. Pure.

Times are in seconds, instants in seconds since the epoch.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from postbeat.elements import NAME_PATTERN, REGION_PATTERN
from postbeat.figures import TIMINGS
from postbeat.web.rows import Wanted

LATEST_S = 253_402_300_799  # the end of the calendar
LONGEST_S = 400 * 86_400  # what is kept of days; of hours there is less
HOURS_S = 35 * 86_400

Moment = Annotated[float, Field(ge=0, le=LATEST_S)]
Glob = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._*?\[\]!-]+$")]
RegionName = Annotated[str, Field(pattern=REGION_PATTERN)]
ElementName = Annotated[str, Field(pattern=NAME_PATTERN)]
Number = Annotated[int, Field(ge=1, le=100_000)]


class Params(BaseModel):
    """What is not known is refused: a misspelled filter would otherwise match everything."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, str_strip_whitespace=True)


class SearchParams(Params):
    """Which elements."""

    q: str = Field("", max_length=200, description="Words that all stand in names, texts or messages.")
    level: Literal["", "GOOD", "MARGINAL", "DEGRADED", "FAILED", "UNKNOWN"] = Field(
        "", description="A verdict, or the level of a region."
    )
    region: str = Field("", max_length=32, pattern=rf"^$|{REGION_PATTERN}")
    group: str = Field("", max_length=64, pattern=rf"^$|{NAME_PATTERN}")
    kind: Literal["", "smtp", "imap4", "pop3"] = ""
    page: Number = 1
    limit: int = Field(200, ge=1, le=5000, description="Elements of a page.")

    @property
    def wanted(self) -> Wanted:
        """The search itself."""
        return Wanted(self.q, self.level, self.region, self.group, self.kind)


class ListParams(Params):
    """Which results or events: the newest, of these names."""

    element: Glob = "*"
    region: Glob = "*"
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

    region: Glob = "*"
    start: Moment = Field(alias="from")
    end: Moment = Field(alias="to")
    step: Literal["hour", "day"] = "hour"
    timing: list[Literal[TIMINGS]] = Field([], description="These timings only; all where none is named.")  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _bounded(self) -> RollupParams:
        longest_s = HOURS_S if self.step == "hour" else LONGEST_S
        if not 0 < self.end - self.start <= longest_s:
            raise ValueError(
                f"expected from before to, at most {longest_s} seconds for steps of a {self.step}"
            )
        return self


class ReportParams(Params):
    """Which month, of which elements."""

    month: str = Field(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$", description="Such as 2026-11, in UTC.")
    element: Glob = "*"
    group: str = Field("", max_length=64, pattern=rf"^$|{NAME_PATTERN}")
    page: Number = 1
    limit: int = Field(50, ge=1, le=200)


class MaintenanceBody(Params):
    """A window of maintenance. It begins now where no ``from`` is given, and ends after ``seconds``."""

    element: Glob
    region: Glob = "*"
    start: Moment | None = Field(None, alias="from")
    seconds: int = Field(ge=60, le=30 * 86_400)
    why: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")


class ProbeBody(Params):
    """A poll that is made now, from where the page runs, and that is not recorded."""

    element: ElementName
    region: RegionName | None = Field(
        None, description="To speak for; the element's first where none is given."
    )
    read: bool = Field(False, description="Also look for the message in the mailbox.")
