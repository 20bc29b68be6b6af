"""Alerts: rows in the style of OMNIbus's alerts.status, and what an occurrence makes of a row. Pure.

What rules say of a result is an occurrence. The first of an Identifier inserts a row; those that follow raise
its Tally. A resolution (Type 2) clears the problems (Type 1) of the same Node, AlertGroup, AlertKey and
Manager. A row of Severity 0 is cleared: its matter is over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from math import isfinite
from operator import attrgetter
from typing import Any, Self

from postbeat.model import Level, Pair

Value = str | int | float

PROBLEM, RESOLUTION, INFORMATION = 1, 2, 13  # Types
INDETERMINATE = 1  # the Severity of what names none, where no level is known
MANAGER = "Postbeat"

TEXT_LIMIT = 4096  # characters of one text
IDENTIFIER_LIMIT = 1024  # characters of an Identifier
NAMES_LIMIT = 200  # other fields of a row, and details of it
TOTAL_LIMIT = 32_768  # characters of all other fields and details of a row together
_TYPE_MOST = 999
_LATEST_S = 1 << 33  # of a time that rules set: the year 2242
_FORM = 1  # of a packed row

_LEVELS = (Level.GOOD, Level.GOOD, Level.UNKNOWN, Level.MARGINAL, Level.FAILED, Level.FAILED)
_SEVERITIES = {Level.GOOD: 1, Level.UNKNOWN: 2, Level.MARGINAL: 3, Level.FAILED: 5}


class Change(StrEnum):
    """What became of a row."""

    INSERTED = "inserted"
    REPEATED = "repeated"  # only Tally, times and Summary are others
    CHANGED = "changed"  # its Severity, its Type, or another field that rules have updated
    CLEARED = "cleared"  # its Severity is 0 now
    DELETED = "deleted"  # cleared an hour ago; or there were too many rows


@dataclass(frozen=True, slots=True)
class Alert:
    """One row of the table, or one occurrence before it is merged into one.

    ``element``, ``region`` and ``poll`` say what was polled, "" where it was nothing. ``others`` has the
    fields that are not here, ``details`` what rules attached besides.
    """

    identifier: str
    node: str
    manager: str
    agent: str
    alert_group: str
    alert_key: str
    severity: int  # 0 clear, 1 indeterminate, 2 warning, 3 minor, 4 major, 5 critical
    summary: str
    type: int
    first_occurrence_us: int
    last_occurrence_us: int
    tally: int
    state_change_us: int
    others: Mapping[str, Value] = field(default_factory=dict)
    element: str = ""
    region: str = ""
    poll: str = ""
    details: Mapping[str, Value] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether its matter is not over."""
        return self.severity > 0

    @property
    def is_passing(self) -> bool:
        """Whether it may go once it does not change any more: nothing would end information."""
        return not self.is_open or self.type == INFORMATION

    @property
    def level(self) -> Level:
        """The level that its Severity stands for."""
        return level_of(self.severity)

    @property
    def matter(self) -> tuple[str, str, str, str]:
        """What a resolution and the problems that it clears have in common."""
        return self.node, self.alert_group, self.alert_key, self.manager

    def as_data(self) -> dict[str, Any]:
        """The row for JSON: fields by their names in alerts.status, times in whole seconds."""
        columns: dict[str, Any] = {name: getattr(self, attribute) for name, attribute in _COLUMNS.items()}
        columns |= {name: getattr(self, attribute) // 1_000_000 for name, attribute in _TIMES.items()}
        columns |= {"Tally": self.tally, "Element": self.element, "Region": self.region, "PollId": self.poll}
        return {**columns, **self.others, "Details": dict(self.details)}

    def dumps(self) -> str:
        """The text that :meth:`loads` reads back."""
        return _encoded([_FORM, *_values_of(self)])

    @classmethod
    def loads(cls, text: str) -> Self:
        """The row of a text.

        Raises:
            ValueError: it is none, or one of another version.
        """
        form, *values = json.loads(text)
        if form != _FORM or len(values) != len(_NAMES):
            raise ValueError(f"not a row of form {_FORM}")
        return cls(*values)


_NAMES = tuple(Alert.__dataclass_fields__)
_values_of = attrgetter(*_NAMES)
_encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An alert that has come up; ``update`` names the fields that a row takes over from it."""

    alert: Alert
    update: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """A change of a row, and the row after it. ``was`` is the Severity before, None where there was no row.

    ``id`` is that of the entry in the stream of alerts.
    """

    change: Change
    alert: Alert
    was: int | None = None
    id: str = ""


# Field -> attribute. What rules give for one of OURS is not taken.
_TEXTS: Mapping[str, str] = {
    "Identifier": "identifier",
    "Node": "node",
    "Manager": "manager",
    "Agent": "agent",
    "AlertGroup": "alert_group",
    "AlertKey": "alert_key",
    "Summary": "summary",
}
_NUMBERS: Mapping[str, str] = {"Severity": "severity", "Type": "type"}
_COLUMNS: Mapping[str, str] = {**_TEXTS, **_NUMBERS}
_TIMES: Mapping[str, str] = {
    "FirstOccurrence": "first_occurrence_us",
    "LastOccurrence": "last_occurrence_us",
    "StateChange": "state_change_us",
}
OURS = frozenset({"Tally", "StateChange", "InternalLast", "Element", "Region", "PollId", "Details"})
COLUMNS = tuple(_COLUMNS)  # what rules are to set of a row
_TYPED = frozenset(_COLUMNS) | frozenset(_TIMES) | OURS
# The least and the most that a field which is a number may be; times are seconds since the epoch.
BOUNDS: Mapping[str, tuple[int, int]] = {
    "Severity": (0, len(_LEVELS) - 1),
    "Type": (0, _TYPE_MOST),
    "FirstOccurrence": (0, _LATEST_S),
    "LastOccurrence": (0, _LATEST_S),
}
# The columns that rules can have updated. The Summary is taken over in any case, and is no news.
_UPDATABLE = {name: it for name, it in _COLUMNS.items() if name not in ("Identifier", "Summary")}


def level_of(severity: int) -> Level:
    """The level that a Severity stands for."""
    return _LEVELS[severity]


def alert_of(
    fields: Mapping[str, Value],
    details: Mapping[str, Value] | None = None,
    *,
    at_us: int,
    pair: Pair | None = None,
    poll: str = "",
    agent: str = "",
    level: Level | None = None,
) -> Alert:
    """The alert of the fields that rules have set. Total: what is missing or too large is mended.

    Without Node it is the element, without AlertKey the pair. Without Identifier it is Node, AlertKey,
    AlertGroup, Type, Agent and Manager, one after another. Without Severity that is the one of ``level``, the
    level of the result (1 GOOD, 2 UNKNOWN, 3 MARGINAL, 5 FAILED; 1 without a result); without Type 0; without
    FirstOccurrence or LastOccurrence they are ``at_us``. An empty text counts as none.
    """
    given = {name: _text(fields.get(name, ""), TEXT_LIMIT) for name in _TEXTS}
    node = given["Node"] or (pair.element if pair else "")
    key = given["AlertKey"] or (str(pair) if pair else "")
    by = given["Manager"] or MANAGER
    of = given["Agent"] or _text(agent, TEXT_LIMIT)
    type_ = _number(fields, "Type", 0)
    own = _text(fields.get("Identifier", ""), TOTAL_LIMIT)
    last_us = _time_us(fields, "LastOccurrence", at_us)
    others, left = _bounded(fields, _TYPED, TOTAL_LIMIT)
    return Alert(
        identifier=_identifier(own or f"{node}{key}{given['AlertGroup']}{type_}{of}{by}"),
        node=node,
        manager=by,
        agent=of,
        alert_group=given["AlertGroup"],
        alert_key=key,
        severity=_number(fields, "Severity", INDETERMINATE if level is None else _SEVERITIES[level]),
        summary=given["Summary"],
        type=type_,
        first_occurrence_us=_time_us(fields, "FirstOccurrence", last_us),
        last_occurrence_us=last_us,
        tally=1,
        state_change_us=at_us,
        others=others,
        element=pair.element if pair else "",
        region=pair.region if pair else "",
        poll=poll,
        details=_bounded(details or {}, frozenset(), left)[0],
    )


def resolves(resolution: Alert, problem: Alert) -> bool:
    """Whether an alert says that a problem is over: it is of Type 2, of the same matter, and not older."""
    return (
        resolution.type == RESOLUTION
        and problem.type == PROBLEM
        and resolution.matter == problem.matter
        and resolution.last_occurrence_us >= problem.last_occurrence_us
    )


def inserted(event: Alert) -> Alert:
    """The row that an alert begins. A resolution is over by its nature."""
    return event if event.type != RESOLUTION else _altered(event, severity=0)


def merged(row: Alert, event: Alert, update: frozenset[str]) -> tuple[Alert, Change]:
    """The row after an alert of its Identifier, and what that is.

    Tally rises by one; LastOccurrence, Summary, poll and details are those of the alert. Other fields stay as
    they are, but those in ``update``. A row that was cleared and comes again takes Severity and Type of the
    alert; one that the alert resolves is cleared.
    """
    again = not row.is_open and _severity(event) > 0
    taken = update | {"Severity", "Type"} if again else update
    values: dict[str, Any] = {
        _UPDATABLE[name]: getattr(event, _UPDATABLE[name]) for name in taken & _UPDATABLE.keys()
    }
    if "severity" in values or resolves(event, row):
        values["severity"] = _severity(event)
    others = {name: value for name, value in event.others.items() if name in taken}
    after = _altered(
        row,
        **values,
        summary=event.summary,
        last_occurrence_us=max(row.last_occurrence_us, event.last_occurrence_us),
        tally=row.tally + 1,
        state_change_us=max(row.state_change_us, event.state_change_us),
        others={**row.others, **others},
        element=event.element,
        region=event.region,
        poll=event.poll,
        details=event.details or row.details,
    )
    return after, _change(row, after, values)


def cleared(row: Alert, at_us: int) -> Alert:
    """The row, cleared at a moment."""
    return _altered(row, severity=0, state_change_us=max(row.state_change_us, at_us))


def _altered(row: Alert, **changes: Any) -> Alert:  # noqa: ANN401  as the columns are
    """The same as dataclasses.replace, in a third of the time: this is what a bridge does most."""
    return Alert(**{**dict(zip(_NAMES, _values_of(row), strict=True)), **changes})


def _severity(event: Alert) -> int:
    return 0 if event.type == RESOLUTION else event.severity


def _change(row: Alert, after: Alert, taken: Iterable[str]) -> Change:
    if row.is_open and not after.is_open:
        return Change.CLEARED
    if row.others != after.others or any(getattr(row, name) != getattr(after, name) for name in taken):
        return Change.CHANGED
    return Change.REPEATED


def decimal(number: float) -> str:
    """A number as the shortest decimal that reads back as the same, without an exponent."""
    text = repr(number)
    if "e" not in text:
        return text
    digits = format(Decimal(text), "f")
    return digits if "." in digits else f"{digits}.0"


def _text(value: Value, most: int) -> str:
    text = value if isinstance(value, str) else decimal(value)
    if text.isascii():
        return text[:most]
    # Half a character, as a server's reply may have become one, could not be written anywhere.
    return text[:most].encode("utf-8", "replace").decode()


def _identifier(text: str) -> str:
    """The text; where it is too long, two that differ anywhere still do."""
    if len(text) <= IDENTIFIER_LIMIT:
        return text
    return f"{text[: IDENTIFIER_LIMIT - 65]}~{sha256(text.encode()).hexdigest()}"


def _number(fields: Mapping[str, Value], name: str, default: int) -> int:
    """The whole number of a field, held within its bounds; ``default`` where it is none."""
    value, (least, most) = fields.get(name, ""), BOUNDS[name]
    try:
        return min(max(int(float(value[:40] if isinstance(value, str) else value)), least), most)
    except (ValueError, OverflowError):
        return default


def _time_us(fields: Mapping[str, Value], name: str, default_us: int) -> int:
    """The moment of a field of seconds since the epoch; 0 stands for none."""
    return _number(fields, name, 0) * 1_000_000 or default_us


def _bounded(values: Mapping[str, Value], but: frozenset[str], left: int) -> tuple[dict[str, Value], int]:
    """The first values as far as there is room for them, and how much room is left."""
    kept: dict[str, Value] = {}
    for name, value in values.items():
        if name in but or len(kept) == NAMES_LIMIT:
            continue
        sound: Value = value if isinstance(value, int) and abs(value) < 1 << 63 else _text(value, TEXT_LIMIT)
        if isinstance(value, float) and isfinite(value):
            sound = value
        room = len(name) + len(str(sound))
        if room <= left:
            kept[_text(name, TEXT_LIMIT)] = sound
            left -= room
    return kept, left
