"""What a line of the log looks like. Pure but for the clock.

The ISM's own line format is not public; this one is ours. docs/ism-files.md describes it::

    TIME LEVEL MONITOR: TEXT
    TIME LEVEL MONITOR POLL PHASE SERVICELEVEL SECONDS: MESSAGE

No entry makes a second line or moves a terminal, whatever a server wrote: what is not printable is escaped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from postbeat.ism.values import Value, as_int, as_text
from postbeat.model import Level
from postbeat.plain import LEVELS_BY_NUMBER

TEXT_LIMIT = 4_000  # characters of an entry's text; what is longer is cut

LEVELS: Mapping[str, int] = {
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.FATAL,
}

_SYNONYMS = {"WARN": "WARNING"}
_NAMES = {number: name for name, number in LEVELS.items()}
_LEVEL_OF = {Level.GOOD: "INFO", Level.MARGINAL: "WARNING", Level.FAILED: "ERROR", Level.UNKNOWN: "WARNING"}


def level_number(level: str) -> int:
    """The number (as of :mod:`logging`) of a level's name, in capitals or not; ``warn`` is ``WARNING``.

    Raises:
        ValueError: it is no level.
    """
    name = level.upper()
    number = LEVELS.get(_SYNONYMS.get(name, name))
    if number is None:
        raise ValueError(f"{level!r} is no level: expected DEBUG, INFO, WARNING, ERROR or FATAL")
    return number


def escaped(text: str) -> str:
    r"""A text in which what is not printable is an escape (``\n``, ``\x1b``, ``\u202e``), and \ is ``\\``."""
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(
        char if char.isprintable() and char != "\\" else char.encode("unicode_escape").decode()
        for char in text
    )


def record_of(number: int, text: str, at_us: int | None, about: str = "") -> logging.LogRecord:
    """A record of :mod:`logging`, with its moment, and with what it is about in place of the monitor."""
    record = logging.LogRecord(__name__, number, "", 0, text, None, None)
    record.at_us = time.time_ns() // 1_000 if at_us is None else at_us
    record.about = about
    return record


def told(elements: Mapping[str, Value]) -> tuple[str, str, str]:
    """What the line of a result says: its level, what it is about, and its text."""
    level = LEVELS_BY_NUMBER.get(as_int(elements.get("serviceLevel", 0)), Level.UNKNOWN)
    named = (_field(elements.get(name, "")) for name in ("monitor", "poll", "phase"))
    about = " ".join((*named, str(level), _seconds(elements)))
    return _LEVEL_OF[level], about, as_text(elements.get("message", ""))


def _seconds(elements: Mapping[str, Value]) -> str:
    """How long it took: a message that was found to be delivered, anything else in all."""
    for name in ("timeToDeliver", "totalTime"):
        if isinstance(time_s := elements.get(name), int | float):
            return f"{time_s:.3f}s"
    return "-"


def _field(value: Value) -> str:
    """A value as one word: ``-`` where it is empty, ``_`` for blanks."""
    return escaped(as_text(value)[:TEXT_LIMIT]).replace(" ", "_") or "-"


class LineFormatter(logging.Formatter):
    """Makes the line of a record."""

    def __init__(self, monitor: str) -> None:
        super().__init__()
        self._monitor = _field(monitor)

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        at_us: int = getattr(record, "at_us", int(record.created * 1_000_000))
        at = datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        level = _NAMES[min(max(record.levelno // 10 * 10, logging.DEBUG), logging.FATAL)]
        about = getattr(record, "about", "") or self._monitor
        text = record.getMessage()
        if len(text) > TEXT_LIMIT:
            text = f"{text[:TEXT_LIMIT]} [cut]"
        return f"{at}.{at_us // 1_000 % 1_000:03d}Z {level} {about}: {escaped(text)}"
