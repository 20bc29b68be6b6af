"""The entries of the streams of events and of alerts, as types. Pure."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from postbeat.alerts import Alert, AlertEvent, Change
from postbeat.delivery import Outcome
from postbeat.model import Fault, FaultCode, Level, Pair, Phase, Poll, Side
from postbeat.results import AnyEvent, Event, Reason, VerdictEvent
from postbeat.verdict import LEVELS_WORST_FIRST, Verdict

log = logging.getLogger(__name__)

T = TypeVar("T")


def readable(what: str, read: Callable[..., T], *stored: Any) -> T | None:  # noqa: ANN401
    """What is read of something stored; None, and a line in the log, where it cannot be read.

    It may be damaged, or a later version's: while a site is updated, two of them are at work.
    """
    try:
        return read(*stored)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        log.error("%s cannot be read, and is left out: %r", what, error)
        return None


def parse_event(entry: str, fields: Mapping[str, str]) -> AnyEvent:
    """The event of an entry of the stream: its id, and its fields."""
    if fields.get("kind") == "verdict":
        return _verdict_event(entry, fields)
    outcome = fields.get("outcome")
    return Event(
        pair=Pair.parse(fields["pair"]),
        was=Level(fields["was"]),
        level=Level(fields["level"]),
        at_us=int(fields["at_us"]),
        poll=Poll.parse(fields["poll"]),
        phase=Phase(fields["phase"]),
        message=fields["message"],
        outcome=Outcome(outcome) if outcome else None,
        id=entry,
        fault=_fault(fields),
    )


def _verdict_event(entry: str, fields: Mapping[str, str]) -> VerdictEvent:
    poll = Poll.parse(fields["poll"])
    regions = {region: Level(level) for region, level in sorted(json.loads(fields["regions"]).items())}
    verdict, message, fault = Verdict(fields["verdict"]), fields["message"], None
    reasons = reasons_of(json.loads(fields.get("reasons", "{}")))
    has_left = poll.region not in regions  # as the message says
    if "reasons" in fields and not (has_left and verdict in (Verdict.GOOD, Verdict.UNKNOWN)):
        message, fault = said_by_the_worst(regions, reasons, poll.region, message)
    return VerdictEvent(
        element=fields["element"],
        was=Verdict(fields["was"]),
        verdict=verdict,
        at_us=int(fields["at_us"]),
        poll=poll,
        regions=regions,
        message=message,
        id=entry,
        fault=fault,
        reasons=reasons,
    )


def reasons_of(stored: Mapping[str, Sequence[Any]]) -> dict[str, Reason]:
    """Why regions are not GOOD, by region: what the script stores is in the order of the fields."""
    return {region: _reason(*row) for region, row in sorted(stored.items())}


def _reason(level: str, phase: str | None, *texts: str) -> Reason:
    return Reason(Level(level), Phase(phase) if phase else None, *texts)


def said_by_the_worst(
    regions: Mapping[str, Level], reasons: Mapping[str, Reason], newest: str, message: str
) -> tuple[str, Fault | None]:
    """What the worst region says, and its fault.

    UNKNOWN has no vote, so it is the reason only where all are. Where the worst say nothing, it is told what
    each region is.

    Args:
        regions: the level of each region.
        reasons: why they are not GOOD.
        newest: the region that brought the change about; of equals, it is told.
        message: that of its poll.
    """
    if not regions:
        return message, None
    levels = set(regions.values())
    worst = min(levels - {Level.UNKNOWN} or levels, key=LEVELS_WORST_FIRST.index)
    saying = [region for region, reason in reasons.items() if reason.level is worst]
    if not saying:
        return _levels_text(regions), None
    reason = reasons[newest if newest in saying else saying[0]]
    cut = reason.message.endswith("…")
    if not cut or not message.startswith(reason.message[:-1]):  # else it is the same, and whole
        message = reason.message
    if not reason.code:
        return message, None
    return message, Fault(Side(reason.side), FaultCode(reason.code), message, reason.stage)


def _levels_text(regions: Mapping[str, Level]) -> str:
    """What each region is: ``GOOD in eu, us; UNKNOWN in asia``."""
    order = (Level.FAILED, Level.MARGINAL, Level.GOOD, Level.UNKNOWN)
    names = {level: ", ".join(it for it, found in regions.items() if found is level) for level in order}
    return "; ".join(f"{level} in {named}" for level, named in names.items() if named)


def parse_alert(entry: str, fields: Mapping[str, str]) -> AlertEvent:
    """The change of an alert of an entry of its stream: its id, and its fields."""
    was = fields["was"]
    return AlertEvent(
        Change(fields["change"]), Alert.loads(fields["alert"]), int(was) if was else None, id=entry
    )


def _fault(fields: Mapping[str, str]) -> Fault | None:
    """The fault of the result that brought an event about; its message is that of the event."""
    if "code" not in fields:
        return None
    return Fault(Side(fields["side"]), FaultCode(fields["code"]), fields["message"], fields["stage"])
