"""What a sink is told, and when: filters, maintenance, and that a recovery follows its problem. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Protocol, Self

from postbeat.alerts import INFORMATION, Change
from postbeat.model import Pair
from postbeat.sinks.notice import OF_RESULTS, EventKind, Notice, State
from postbeat.verdict import concerned

LEVELS = ("GOOD", "MARGINAL", "DEGRADED", "FAILED", "UNKNOWN")


class Covering(Protocol):
    """What knows of maintenance, such as :class:`postbeat.store.maintenance.Calendar`."""

    def covers(self, pair: Pair, at_us: int) -> bool:
        """Whether an element in a region is in maintenance at a moment."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What a sink wants to be told; an empty ``groups`` stands for all of them.

    ``repeats`` is whether an alert that only comes up again is told.
    """

    elements: tuple[str, ...] = ("*",)
    regions: tuple[str, ...] = ("*",)
    groups: tuple[str, ...] = ()
    levels: frozenset[str] = frozenset(LEVELS)
    kinds: frozenset[EventKind] = frozenset(OF_RESULTS)
    repeats: bool = False

    def match(self, notice: Notice) -> bool:
        """Whether the sink wants events about this; its level is not looked at.

        A verdict is wanted where one of its regions is.
        """
        regions = (notice.region,) if notice.region else tuple(notice.regions) or ("",)
        return (
            notice.kind in self.kinds
            and any(fnmatchcase(notice.element, glob) for glob in self.elements)
            and (
                self.regions == ("*",)
                or any(fnmatchcase(it, glob) for it in regions for glob in self.regions)
            )
            and (not self.groups or notice.group in self.groups)
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """How a subject stands for a sink: the problem it was told, and the one that maintenance silenced."""

    told: Notice | None = None
    silenced: Notice | None = None

    def dumps(self) -> str:
        """The text that :meth:`loads` reads back; "" for a subject without problems."""
        parts = {"told": self.told, "silenced": self.silenced}
        data = {name: notice.dumps() for name, notice in parts.items() if notice is not None}
        return json.dumps(data, ensure_ascii=False) if data else ""

    @classmethod
    def loads(cls, text: str) -> Self:
        """The standing of a text."""
        return cls(**{name: Notice.loads(part) for name, part in json.loads(text).items()})


NOTHING = Standing()


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from an event for a sink: what to tell, or None, and how its subject stands then."""

    tell: Notice | None
    standing: Standing


def decide(notice: Notice, filters: Filters, standing: Standing, *, covered: bool) -> Decision:
    """What a sink is told of an event.

    A problem is a level that the sink wants and that is not GOOD; any other level ends it, except UNKNOWN,
    which is no news. The end of a problem that was told is always told; that of a silenced one never is.

    Args:
        notice: the event.
        filters: what the sink wants.
        standing: how the event's subject stood before.
        covered: whether it happened in maintenance.
    """
    wanted = filters.match(notice)
    tells = wanted and notice.level in filters.levels and not covered
    if _stands_alone(notice, standing):
        heard = notice.change != Change.DELETED and (filters.repeats or notice.change != Change.REPEATED)
        return Decision(notice if tells and heard else None, standing)
    if notice.change == Change.DELETED:
        return _no_problem(notice, standing, tells=False)
    if notice.kind is EventKind.VERDICT and not notice.regions:
        return ended(standing, notice.at_us)  # its last region has left the profile
    if not wanted and (standing == NOTHING or notice.level != "GOOD"):
        return Decision(None, standing)
    if wanted and notice.level in filters.levels and notice.level != "GOOD":
        return _problem(notice, standing, covered=covered)
    return _no_problem(notice, standing, tells=tells)


def _stands_alone(notice: Notice, standing: Standing) -> bool:
    """Whether an event neither begins a problem nor ends one."""
    return (
        notice.kind is EventKind.OUTCOME
        or notice.change == Change.REPEATED
        or (notice.alert.get("Type") == INFORMATION and standing == NOTHING)
    )


def after_maintenance(filters: Filters, standing: Standing) -> Decision:
    """What a sink is told of a silenced problem when the maintenance is over, and it is not."""
    silenced = standing.silenced
    if silenced is None or not filters.match(silenced) or silenced.level not in filters.levels:
        return Decision(None, Standing(standing.told))
    return _problem(silenced, standing, covered=False)


def ended(standing: Standing, at_us: int, level: str = "UNKNOWN") -> Decision:
    """What a sink is told where a problem is over and no event says so, or none that it can see.

    Args:
        standing: how the subject stood.
        at_us: when that was found.
        level: GOOD where the event was lost, UNKNOWN where the subject is monitored no more.
    """
    told = standing.told
    if told is None:
        return Decision(None, NOTHING)
    message = "It is over; when is not known" if level == "GOOD" else "It is monitored no more"
    last = replace(told, id=f"{told.id}-ended", was=told.level, level=level, at_us=at_us, message=message)
    # What was wrong is so no more.
    last = replace(last, side="", code="", stage="", regions={}, reasons={})
    return Decision(_following(last, State.RECOVERY, told), NOTHING)


def _problem(notice: Notice, standing: Standing, *, covered: bool) -> Decision:
    told = standing.told
    if told is not None and told.level == notice.level and notice.change != Change.CHANGED:
        return Decision(None, Standing(told))  # as it was told, whatever came in between
    if covered:
        return Decision(None, Standing(told, notice))
    tell = _following(notice, State.PROBLEM, told)
    return Decision(tell, Standing(tell))


def _no_problem(notice: Notice, standing: Standing, *, tells: bool) -> Decision:
    if notice.level == "UNKNOWN":
        return Decision(None, Standing(standing.told))
    if standing.told is not None:
        return Decision(_following(notice, State.RECOVERY, standing.told), NOTHING)
    return Decision(notice if tells and standing.silenced is None else None, NOTHING)


def _following(notice: Notice, state: State, told: Notice | None) -> Notice:
    if told is None:
        return replace(notice, state=state)
    return replace(notice, state=state, told_id=told.id, told_level=told.level, told_at_us=told.at_us)


def in_maintenance(notice: Notice, calendar: Covering, at_us: int) -> bool:
    """Whether maintenance explains an event: a verdict's where it covers each region that is not well.

    It never explains an alert that is about no element.
    """
    if not notice.element:
        return False
    regions: Mapping[str, str] = {notice.region: notice.level} if notice.region else notice.regions
    return all(calendar.covers(Pair(notice.element, region), at_us) for region in concerned(regions) or [""])
