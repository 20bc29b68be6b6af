"""What a sink tells: one event, with what its receivers need to understand it alone. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

from postbeat.alerts import PROBLEM, AlertEvent, Change, Value, alert_of, level_of
from postbeat.model import Fault, Level, Pair
from postbeat.plain import reason_as_data
from postbeat.results import AnyEvent, Reason, VerdictEvent, region_texts

TEXT_LIMIT = 2000  # characters of an event's message that are told
_HEADLINE_LIMIT = 200


class EventKind(StrEnum):
    """What an event is about."""

    LEVEL = "level"  # an element in a region
    OUTCOME = "outcome"  # what became of one message, where the level stays
    VERDICT = "verdict"  # an element over all its regions
    ALERT = "alert"  # a row of the table of alerts; these have a stream of their own


OF_RESULTS = (EventKind.LEVEL, EventKind.OUTCOME, EventKind.VERDICT)


class State(StrEnum):
    """What an event means to a sink."""

    PROBLEM = "problem"  # something is wrong from now on, or is wrong in another way
    RECOVERY = "recovery"  # the problem that was told before is over
    NEWS = "news"  # neither


@dataclass(frozen=True, slots=True)
class Facts:
    """What the profile says of an element, as far as sinks need it."""

    group: str = ""
    server: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class Notice:
    """One event as it is told.

    ``id`` is that of the event in the stream: it stays the same however often the event is delivered.
    ``level`` and ``was`` are levels or verdicts, ``region`` is "" where all are meant, and ``regions`` then
    has the level of each, ``reasons`` why those are not GOOD that are not, as in documents. ``told_id``,
    ``told_level`` and ``told_at_us`` are those of the problem that the same sink was told before and that was
    not over yet. ``change`` is what became of an alert's row, ``alert`` the row as it stands in documents, {}
    for what is no alert.
    """

    id: str
    kind: EventKind
    element: str
    region: str
    was: str
    level: str
    at_us: int
    poll: str
    message: str
    phase: str = ""
    outcome: str = ""
    side: str = ""
    code: str = ""
    stage: str = ""
    regions: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    group: str = ""
    server: str = ""
    port: int = 0
    state: State = State.NEWS
    told_id: str = ""
    told_level: str = ""
    told_at_us: int = 0
    change: str = ""
    alert: Mapping[str, Any] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """What the event is about: all events of one subject follow from each other."""
        if self.kind is EventKind.ALERT:
            return f"alert:{self.alert['Identifier']}"
        return f"verdict:{self.element}" if self.kind is EventKind.VERDICT else f"level:{self.place}"

    @property
    def place(self) -> str:
        """The element, with its region where it is about one."""
        return f"{self.element}@{self.region}" if self.region else self.element

    @property
    def region_texts(self) -> list[str]:
        """Each region of a verdict in one line, the worst first: level, stage and message."""
        said = {region: (it["level"], it["stage"], it["message"]) for region, it in self.reasons.items()}
        return region_texts(self.regions, said)

    @property
    def is_monitor(self) -> bool:
        """Whether it is about ourselves: nothing is known of the service. What an alert means, rules say."""
        return (
            self.level == "UNKNOWN" and self.state is not State.RECOVERY and self.kind is not EventKind.ALERT
        )

    @property
    def severity(self) -> str:
        """The severity in the words of alerting."""
        return {"FAILED": "critical", "GOOD": "info"}.get(self.level, "warning")

    @property
    def at(self) -> str:
        """When, in UTC (RFC 3339)."""
        return timestamp(self.at_us)

    @property
    def headline(self) -> str:
        """One line that says what is the matter."""
        if self.kind is EventKind.ALERT:
            return self._alert_headline()
        if self.kind is EventKind.OUTCOME:
            return f"Message {self.outcome}: {self.place}"
        if self.is_monitor:
            return f"Monitor problem: nothing is known of {self.place}"
        if self.state is State.RECOVERY:
            others = {"GOOD": "GOOD again", "UNKNOWN": "Monitored no more"}
            return f"{others.get(self.level, f'{self.level}, no longer {self.told_level}')}: {self.place}"
        return f"{self.level}: {self.place}"

    def _alert_headline(self) -> str:
        parts = [str(self.alert[name]) for name in ("Node", "AlertGroup", "AlertKey")]
        about = " ".join(" ".join(parts).split()) or str(self.alert["Identifier"])
        word = {State.RECOVERY: "Cleared", State.NEWS: "Alert"}.get(self.state, self.level)
        return f"{word}: {about}"[:_HEADLINE_LIMIT]

    def as_data(self) -> dict[str, Any]:
        """The document that webhooks and commands get; docs/events.md describes it."""
        fault = {"side": self.side, "code": self.code, "stage": self.stage} if self.code else None
        return {
            "version": 1,
            "id": self.id,
            "kind": self.kind,
            "state": self.state,
            "headline": self.headline,
            "element": self.element,
            "region": self.region or None,
            "group": self.group or None,
            "was": self.was,
            "level": self.level,
            "severity": self.severity,
            "at": self.at_us / 1e6,
            "poll": self.poll,
            "phase": self.phase or None,
            "outcome": self.outcome or None,
            "message": self.message,
            "fault": fault,
            "regions": dict(self.regions),
            "reasons": {region: dict(reason) for region, reason in self.reasons.items()},
            "change": self.change or None,
            "alert": dict(self.alert) or None,
            "ends": self.told_id or None,
        }

    def dumps(self) -> str:
        """The text that :meth:`loads` reads back."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def loads(cls, text: str) -> Self:
        """The notice of a text."""
        known = cls.__dataclass_fields__
        data = {name: value for name, value in json.loads(text).items() if name in known}
        return cls(**data | {"kind": EventKind(data["kind"]), "state": State(data["state"])})


def moment(at_us: int) -> datetime:
    """A moment in UTC, in whole seconds."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC)


def timestamp(at_us: int) -> str:
    """A moment in UTC (RFC 3339), in milliseconds."""
    at = moment(at_us)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_us // 1000 % 1000:03}Z"


def element_of(event: AnyEvent | AlertEvent) -> str:
    """The name of the element that an event is about, "" for an alert that is about none."""
    if isinstance(event, AlertEvent):
        return event.alert.element
    return event.element if isinstance(event, VerdictEvent) else event.pair.element


def notice_of(event: AnyEvent | AlertEvent, facts: Facts) -> Notice:
    """The notice of an event, before rules say what it means to a sink."""
    if isinstance(event, AlertEvent):
        return replace(_of_alert(event), group=facts.group, server=facts.server, port=facts.port)
    if isinstance(event, VerdictEvent):
        about = Notice(
            id=event.id,
            kind=EventKind.VERDICT,
            element=event.element,
            region="",
            was=str(event.was),
            level=str(event.verdict),
            at_us=event.at_us,
            poll=str(event.poll),
            message="",
        )
        about = in_regions(about, event.regions, event.reasons)
    else:
        about = Notice(
            id=event.id,
            kind=EventKind.OUTCOME if event.was == event.level else EventKind.LEVEL,
            element=event.pair.element,
            region=event.pair.region,
            was=str(event.was),
            level=str(event.level),
            at_us=event.at_us,
            poll=str(event.poll),
            message="",
            phase=str(event.phase),
            outcome=str(event.outcome or ""),
        )
    about = replace(about, group=facts.group, server=facts.server, port=facts.port)
    return saying(about, event.message, event.fault)


def in_regions(notice: Notice, regions: Mapping[str, Level], reasons: Mapping[str, Reason]) -> Notice:
    """A verdict's notice with the level of each region, and why those are not GOOD that are not."""
    texts = {region: replace(it, message=_sendable(it.message)) for region, it in reasons.items()}
    return replace(
        notice,
        regions={region: str(level) for region, level in regions.items()},
        reasons={region: reason_as_data(reason) for region, reason in texts.items()},
    )


def saying(notice: Notice, message: str, fault: Fault | None) -> Notice:
    """A notice with what happened, in words, and the fault behind it."""
    side, code, stage = (str(fault.side), str(fault.code), fault.stage) if fault else ("", "", "")
    return replace(notice, message=_sendable(message), side=side, code=code, stage=stage)


def _sendable(text: str) -> str:
    """A text of bounded size, without half characters, which a server's reply may have: none can be sent."""
    return text[:TEXT_LIMIT].encode("utf-8", "replace").decode()


def _of_alert(event: AlertEvent) -> Notice:
    alert, gone = event.alert, event.change is Change.DELETED
    level = Level.GOOD if gone else alert.level
    # A row does not say when it was dropped; the id does, in milliseconds.
    at_us = int(event.id.partition("-")[0]) * 1000 if gone else alert.state_change_us
    return Notice(
        id=event.id,
        kind=EventKind.ALERT,
        element=alert.element,
        region=alert.region,
        was=str(Level.UNKNOWN if event.was is None else level_of(event.was)),
        level=str(level),
        at_us=at_us,
        poll=alert.poll,
        message=alert.summary[:TEXT_LIMIT],
        change=str(event.change),
        alert=alert.as_data(),
    )


def samples() -> Iterator[Notice]:
    """One notice of each sort, by which a template is tried before it is used."""
    level = Notice(
        id="1767225600000-0",
        kind=EventKind.LEVEL,
        element="mail",
        region="lab",
        was="GOOD",
        level="FAILED",
        at_us=1_767_225_600_000_000,
        poll="mail@lab#1",
        message="452 4.2.2 The mailbox is full",
        phase="send",
        side="REMOTE",
        code="reply",
        stage="data",
        group="head-office",
        state=State.PROBLEM,
    )
    reason = {"level": "FAILED", "phase": "send", "stage": "data", "code": "reply", "side": "REMOTE"}
    verdict = replace(
        level,
        kind=EventKind.VERDICT,
        region="",
        regions={"home": "GOOD", "lab": "FAILED"},
        reasons={"lab": reason | {"message": level.message}},
        phase="",
    )
    for notice in (level, verdict):
        yield notice
        yield replace(notice, level="UNKNOWN", side="LOCAL", code="silent", stage="")
        told = replace(notice, told_id=notice.id, told_level=notice.level, told_at_us=notice.at_us)
        yield replace(told, was="FAILED", level="GOOD", state=State.RECOVERY)
    fields: dict[str, Value] = {
        "AlertGroup": "SMTP",
        "Severity": 5,
        "Summary": level.message,
        "Type": PROBLEM,
    }
    row = alert_of(fields, at_us=level.at_us, pair=Pair("mail", "lab"), poll=level.poll)
    alert = notice_of(AlertEvent(Change.INSERTED, row, id=level.id), Facts(group=level.group))
    yield replace(alert, state=State.PROBLEM)
    yield replace(alert, was="FAILED", level="GOOD", state=State.RECOVERY, told_id=level.id)
    yield replace(
        level,
        kind=EventKind.OUTCOME,
        level="GOOD",
        outcome="duplicated",
        phase="after",
        side="",
        code="",
        state=State.NEWS,
    )
