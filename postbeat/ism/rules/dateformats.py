"""Formats of dates: reading and writing them. Pure.

There are two notations. Letters, as in LDML (Unicode Technical Standard 35, part 4): ``yyyy-MM-dd HH:mm:ss``.
And percent signs, as in POSIX: ``%Y-%m-%d %H:%M:%S``; a format with a ``%`` in it is of that kind. Names are
English.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from itertools import groupby

from postbeat.ism.rules.regexes import BadPatternError, Pattern

FORMAT_CHARS = 100
_READ_CHARS = 200  # of a text that can be a date
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

# Hours from UTC: the names of RFC 5322, section 4.3, and the European ones.
_ZONES = {
    **dict.fromkeys(("UT", "UTC", "GMT", "Z", "WET"), 0),
    **dict.fromkeys(("CET", "WEST", "BST"), 1),
    **dict.fromkeys(("CEST", "EET"), 2),
    **{"EEST": 3, "EDT": -4, "EST": -5, "CDT": -5, "CST": -6, "MDT": -6, "MST": -7, "PDT": -7, "PST": -8},
}

_WIDTHS: Mapping[str, tuple[int, ...]] = {
    "y": (1, 2, 4),
    "M": (1, 2, 3, 4),
    "d": (1, 2),
    "D": (1, 2, 3),
    "E": (1, 2, 3, 4),
    "a": (1,),
    "H": (1, 2),
    "h": (1, 2),
    "m": (1, 2),
    "s": (1, 2),
    "S": (1, 2, 3, 4, 5, 6),
    "z": (1, 2, 3, 4),
    "Z": (1, 2, 3, 4, 5),
    "X": (1, 2, 3),
}

_PERCENT: Mapping[str, str] = {
    "a": "EEE",
    "A": "EEEE",
    "b": "MMM",
    "h": "MMM",
    "B": "MMMM",
    "c": "EEE MMM d HH:mm:ss yyyy",
    "d": "dd",
    "D": "MM/dd/yy",
    "e": "d",
    "F": "yyyy-MM-dd",
    "H": "HH",
    "I": "hh",
    "j": "DDD",
    "m": "MM",
    "M": "mm",
    "p": "a",
    "r": "hh:mm:ss a",
    "R": "HH:mm",
    "S": "ss",
    "T": "HH:mm:ss",
    "x": "MM/dd/yy",
    "X": "HH:mm:ss",
    "y": "yy",
    "Y": "yyyy",
    "z": "Z",
    "Z": "z",
    "n": "\n",
    "t": "\t",
    "%": "%",
}

_QUOTED = re.compile(r"'((?:[^']|'')+)'")
_LITERAL = re.compile(r"([ \t]+)|([\\.^$*+?()\[\]{}|])")


class BadFormatError(Exception):
    """A format that is none. ``message`` says why."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Field:
    """A part of a format: a letter that stands ``width`` times, or (without a letter) ``text`` as it is.

    What is ``padded`` has a blank before it where it has one digit only.
    """

    letter: str
    width: int = 0
    text: str = ""
    padded: bool = False

    @property
    def numeric(self) -> bool:
        """Whether it is written in digits only."""
        return self.letter in "ydDHhmsS" if self.letter != "M" else self.width < 3


@dataclass(frozen=True, slots=True)
class DateFormat:
    """A format that was understood."""

    source: str
    fields: tuple[Field, ...]
    pattern: Pattern

    def written(self, at: datetime) -> str:
        """``at``, which knows its zone, in this format."""
        return "".join(
            _WRITTEN[field.letter](at, field.width).rjust(2 * field.padded) if field.letter else field.text
            for field in self.fields
        )

    def read(self, text: str, now: datetime) -> datetime | None:
        """The time that ``text`` is; None where it is none in this format.

        What the format leaves out comes from ``now``: the year, or the whole day where it has nothing of the
        date. Other parts are then the first there is. Without a zone the result is in that of ``now``.
        """
        found = self.pattern.all_groups(text) if len(text) <= _READ_CHARS else None
        if found is None:
            return None
        letters = (field.letter for field in self.fields if field.letter)
        try:
            return _time_of(dict(zip(letters, found, strict=True)), now)
        except (ValueError, OverflowError):
            return None


@lru_cache(256)
def date_format(text: str) -> DateFormat:
    """The format that ``text`` is.

    Raises:
        BadFormatError: it is none, or has what is not known here.
    """
    if len(text) > FORMAT_CHARS:
        raise BadFormatError(f"it has more than {FORMAT_CHARS} characters")
    fields = tuple(_joined(_percent_fields(text) if "%" in text else _letter_fields(text)))
    if not any(field.letter for field in fields):
        raise BadFormatError("it has no part of a date or a time, such as yyyy or %Y")
    try:
        return DateFormat(text, fields, Pattern(_pattern_of(fields)))
    except BadPatternError:
        raise BadFormatError("it has too many parts") from None


def _letter_fields(text: str) -> Iterator[Field]:
    at = 0
    while at < len(text):
        char = text[at]
        if text.startswith("''", at):
            yield Field("", text="'")
            at += 2
        elif char == "'":
            if (found := _QUOTED.match(text, at)) is None:
                raise BadFormatError("a text in it is not closed: two ' are needed around it")
            yield Field("", text=found[1].replace("''", "'"))
            at = found.end()
        elif char.isascii() and char.isalpha():
            width = len(text) - at - len(text[at:].lstrip(char))
            yield _field(char, width)
            at += width
        else:
            yield Field("", text=char)
            at += 1


def _field(letter: str, width: int) -> Field:
    if not (widths := _WIDTHS.get(letter)):
        raise BadFormatError(
            f"{letter} is not known; known are {' '.join(_WIDTHS)}. Texts stand between two '"
        )
    if width not in widths:
        raise BadFormatError(
            f"{letter * min(width, 10)} is not known; {letter} may stand {widths[-1]} times at most"
        )
    return Field(letter, width)


def _percent_fields(text: str) -> Iterator[Field]:
    at = 0
    while at < len(text):
        if text[at] != "%":
            yield Field("", text=text[at])
            at += 1
            continue
        code = text[at + 1 : at + 2]
        if not (letters := _PERCENT.get(code)):
            raise BadFormatError(f"%{code} is not known; known are % and one of {' '.join(_PERCENT)}")
        for field in _letter_fields(letters):
            yield replace(field, padded=field == Field("d", 1))  # as %e has it, and %c
        at += 2


def _joined(fields: Iterable[Field]) -> Iterator[Field]:
    """The parts, with texts that follow one another as one."""
    for has_letter, some in groupby(fields, key=lambda field: bool(field.letter)):
        if has_letter:
            yield from some
        else:
            yield Field("", text="".join([field.text for field in some]))


def _pattern_of(fields: tuple[Field, ...]) -> str:
    """A regular expression with a group for each part of a date or a time.

    Blanks take as little as they can: one may belong to the day that follows.
    """
    parts = [
        f"({_readable(field, abuts=bool(after.letter) and field.numeric and after.numeric)})"
        if field.letter
        else _literal(field.text)
        for field, after in zip(fields, (*fields[1:], Field("")), strict=True)
    ]
    return r"(?i)^[ \t]*?" + "".join(parts) + r"[ \t]*$"


def _readable(field: Field, *, abuts: bool) -> str:
    """What a field may look like. Where digits follow directly, only its width tells where it ends."""
    match field.letter:
        case "M" if not field.numeric:
            return "|".join(f"{name}|{name[:3]}" for name in _MONTHS)
        case "E":
            return "|".join(f"{name}|{name[:3]}" for name in _DAYS)
        case "a":
            return "AM|PM"
        case "z" | "Z" | "X":
            return r"(?:GMT|UTC)?[+-][0-9]{1,2}(?::?[0-9]{2})?|[A-Z]{1,5}"
        case "y":
            return "[0-9]{2}" if field.width == 2 else "[0-9]{4}"
        case letter:
            most = {"D": 3, "S": 9}.get(letter, 2)
            digits = f"[0-9]{{{field.width + field.padded}}}" if abuts else f"[0-9]{{1,{most}}}"
            return f" [0-9]|{digits}" if field.padded else digits


def _literal(text: str) -> str:
    return _LITERAL.sub(lambda found: r"[ \t]+?" if found[1] else "\\" + found[0], text)


def _time_of(has: Mapping[str, str], now: datetime) -> datetime:
    """The time of parts as they were read, by letter. ValueError: there is no such time."""
    zone = next((_zone(has[letter]) for letter in "zZX" if letter in has), now.tzinfo)
    today = now if zone is now.tzinfo else now.astimezone(zone)
    year, month, day = today.year, today.month, today.day
    if has.keys() & {"y", "M", "d", "D"}:
        year = _year(has["y"]) if "y" in has else year
        month, day = _month(has.get("M", "1")), int(has.get("d", "1"))
    hour = int(has.get("H", "0"))
    if "h" in has:
        if not 1 <= int(has["h"]) <= 12:
            raise ValueError("no hour of twelve")
        hour = int(has["h"]) % 12 + (12 if has.get("a", "").upper() == "PM" else 0)
    fraction_us = int(has.get("S", "0").ljust(6, "0")[:6])
    at = datetime(year, month, day, hour, int(has.get("m", "0")), int(has.get("s", "0")), fraction_us, zone)
    return at + timedelta(days=int(has["D"]) - 1) if "D" in has else at


def _year(digits: str) -> int:
    """Two digits are a year from 1969 to 2068, as POSIX has it."""
    year = int(digits)
    return year if len(digits) > 2 else year + (2000 if year < 69 else 1900)


def _month(text: str) -> int:
    if text.isdigit():
        return int(text)
    return [name[:3].lower() for name in _MONTHS].index(text[:3].lower()) + 1


def _zone(text: str) -> timezone:
    """The zone of ``+0100``, ``+01:00``, ``GMT+1`` or a name. ValueError: it is none."""
    name = text.upper()
    if (hours := _ZONES.get(name)) is not None:
        return timezone(timedelta(hours=hours)) if hours else UTC
    offset = name.removeprefix("GMT").removeprefix("UTC")
    digits = offset[1:].replace(":", "")
    if not digits.isdigit():
        raise ValueError("no zone")
    minutes = int(digits[:-2]) * 60 + int(digits[-2:]) if len(digits) > 2 else int(digits) * 60
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))


def _padded(number: int, width: int) -> str:
    return str(number).rjust(width, "0")


def _offset(at: datetime, colon: str) -> str:
    """How far its zone is from UTC: ``+01:00``."""
    minutes = int((at.utcoffset() or timedelta()).total_seconds()) // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{colon}{abs(minutes) % 60:02}"


def _written_zone(at: datetime, width: int) -> str:
    name = at.tzname() or ""
    return name if width < 4 and name in _ZONES else "GMT" + _offset(at, ":")


def _written_offset(at: datetime, width: int) -> str:
    if width < 4:
        return _offset(at, "")
    return "GMT" + _offset(at, ":") if width == 4 else _iso_offset(at, 3)


def _iso_offset(at: datetime, width: int) -> str:
    if not at.utcoffset():
        return "Z"
    offset = _offset(at, ":" if width == 3 else "")
    return offset.removesuffix("00") if width == 1 else offset


_WRITTEN: Mapping[str, Callable[[datetime, int], str]] = {
    "y": lambda at, width: _padded(at.year % 100 if width == 2 else at.year, width),
    "M": lambda at, width: (
        _padded(at.month, width) if width < 3 else _MONTHS[at.month - 1][: 3 if width == 3 else None]
    ),
    "d": lambda at, width: _padded(at.day, width),
    "D": lambda at, width: _padded(at.timetuple().tm_yday, width),
    "E": lambda at, width: _DAYS[at.weekday()][: 3 if width < 4 else None],
    "a": lambda at, _width: "PM" if at.hour >= 12 else "AM",
    "H": lambda at, width: _padded(at.hour, width),
    "h": lambda at, width: _padded(at.hour % 12 or 12, width),
    "m": lambda at, width: _padded(at.minute, width),
    "s": lambda at, width: _padded(at.second, width),
    "S": lambda at, width: f"{at.microsecond:06}"[:width],
    "z": _written_zone,
    "Z": _written_offset,
    "X": _iso_offset,
}
