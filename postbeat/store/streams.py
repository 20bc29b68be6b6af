"""The entries of the streams of events and of alerts, as types. Pure."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from postbeat.alerts import Alert, AlertEvent, Change
from postbeat.delivery import Outcome
from postbeat.model import Fault, FaultCode, Level, Pair, Phase, Poll, Side
from postbeat.results import AnyEvent, Event, VerdictEvent
from postbeat.verdict import Verdict

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
        return VerdictEvent(
            element=fields["element"],
            was=Verdict(fields["was"]),
            verdict=Verdict(fields["verdict"]),
            at_us=int(fields["at_us"]),
            poll=Poll.parse(fields["poll"]),
            regions={region: Level(level) for region, level in sorted(json.loads(fields["regions"]).items())},
            message=fields["message"],
            id=entry,
        )
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
