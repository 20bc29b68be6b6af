"""Functions of dates and times. Times are whole seconds since 1 January 1970, UTC."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from postbeat.ism.rules.dateformats import BadFormatError, DateFormat, date_format
from postbeat.ism.rules.functions_form import Function, Make
from postbeat.ism.rules.machine import Machine
from postbeat.ism.values import Value, as_number, as_text

_SHOWN = 60  # characters of a value in a message


def _getdate(machine: Machine, _values: list[Value]) -> Value:
    return int(machine.now_s())


def _timetodate(machine: Machine, values: list[Any]) -> Value:
    given, form = values
    machine.spend(len(form.fields))
    time_s = as_number(given)
    try:
        at = None if time_s is None else _local(machine, time_s)
        if at is not None and at.tzinfo is None:
            at = at.astimezone()  # the machine's zone, whose offset and name it had then
    except (ValueError, OverflowError, OSError):
        at = None
    if at is None:
        machine.log("WARNING", f'timetodate: "{_shown(given)}" is no time in seconds')
        return ""
    return machine.text(form.written(at))


def _datetotime(machine: Machine, values: list[Any]) -> Value:
    given, form = values
    machine.spend(len(form.fields))
    try:
        at = form.read(as_text(given), _local(machine, machine.now_s()))
        if at is not None:
            return int(at.timestamp() // 1)
    except (ValueError, OverflowError, OSError):
        pass
    said = f'datetotime: "{_shown(given)}" is no time in the format "{_shown(form.source)}"'
    machine.log("WARNING", said)
    return 0


def _local(machine: Machine, time_s: float) -> datetime:
    """The time in the zone that TZ names; without it in that of this machine, and then without a zone."""
    return datetime.fromtimestamp(time_s, _zone(machine.environ.get("TZ", "")))


@lru_cache(16)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name.removeprefix(":"))
    except (ValueError, LookupError, OSError):
        return None


def _format_for(name: str) -> Make:
    """What makes a format of an argument of that function."""

    def make(machine: Machine, value: Value) -> DateFormat:
        try:
            form = date_format(as_text(value))
        except BadFormatError as error:
            machine.fault(f'{name}: format "{_shown(value)}": {error.message}')
        form.pattern.settle(machine.spend)
        return form

    return make


def _shown(value: Value) -> str:
    text = as_text(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


TIMES = (
    Function("getdate", 0, 0, _getdate, "the time now"),
    Function(
        "timetodate",
        2,
        2,
        _timetodate,
        "the time as a text in the format; the empty text for what is no time",
        (1, _format_for("timetodate")),
    ),
    Function(
        "datetotime",
        2,
        2,
        _datetotime,
        "the time that a text in the format is; 0 for what is none",
        (1, _format_for("datetotime")),
    ),
)
