"""The datalog's format: which ISM elements of a result stand in an entry, and how. Pure but for format files.

The ISM's DatalogFormat is not public; this one is ours. docs/ism-files.md describes it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from typing import Self

from postbeat.ism.elements import NAMES
from postbeat.ism.values import Value, as_text

FILE_LIMIT = 64 << 10  # bytes of a format file
KEY_LIMIT = 200  # characters of an entry's key

_PROPERTY = "DatalogFormat"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# How far texts are cut, in characters, where an entry is too long. Without any text, every entry fits.
_CUTS = (2000, 1000, 500, 200, 100, 50, 20, 10, 0)
_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_NEEDS_CARE = re.compile(r'[&<>"]')


class Style(StrEnum):
    """How an element stands in an entry."""

    ATTRIBUTES = "attributes"
    CHILDREN = "children"


class FormatError(ValueError):
    """A format has faults; ``str()`` has a line for each, with file and line where it is from a file."""


@dataclass(frozen=True, slots=True)
class Format:
    """The elements that an entry has, in this order, as attributes or as child elements."""

    names: tuple[str, ...]
    style: Style = Style.ATTRIBUTES

    @classmethod
    def parse(cls, text: str) -> Self:
        """The format of a property's text.

        It is ``default``, ``all``, names with commas or blanks between them, or the path of a file that has
        one of these, on as many lines as it likes and with ``#`` comments. A path is a text with a ``/`` in
        it. ``children:`` or ``attributes:`` may stand first.

        Raises:
            FormatError: it is none, names what is no element, or the file cannot be read.
        """
        if "/" in text:
            return cls._of_words(_words_of(_file_text(text), f"{text}:"))
        return cls._of_words((f"{_PROPERTY}: ", word) for _, word in _words_of(text, ""))

    @classmethod
    def _of_words(cls, found: Iterator[tuple[str, str]]) -> Self:
        words = list(found)
        style = Style.ATTRIBUTES
        if words and (first := words[0][1].removesuffix(":")) != words[0][1]:
            if first not in list(Style):
                raise FormatError(f"{words[0][0]}expected attributes: or children:, got {words[0][1]!r}")
            style = Style(first)
            words = words[1:]
        if not words:
            raise FormatError(f"{_PROPERTY}: expected default, all, or the names of elements")
        if len(words) == 1 and words[0][1] in _SETS:
            return cls(_SETS[words[0][1]], style)
        names: list[str] = []
        faults = []
        for where, word in words:
            name = word.removeprefix("$")
            if word in _SETS:
                faults.append(f"{where}{word!r} must stand alone")
            elif name not in NAMES:
                faults.append(f"{where}unknown element {word!r}{_hint(name)}")
            elif name in names:
                faults.append(f"{where}{word!r} is there twice")
            names.append(name)
        if faults:
            raise FormatError("\n".join(faults))
        return cls(tuple(names), style)

    def entry(self, elements: Mapping[str, Value], key: str, at_us: int, limit_bytes: int) -> bytes:
        """One entry as XML in a line, without its end.

        Where it would be longer than the limit, its texts are cut, and those that are end with ``...``.

        Args:
            elements: the ISM elements of a result; those that are not in the format are left out.
            key: what tells it from every other entry of its file.
            at_us: when it was there, in microseconds since the epoch.
            limit_bytes: the most bytes; 4,000 are enough for every format.
        """
        head = f'<entry id="{xml_text(key)}" at="{_instant(at_us)}"'
        there = [(name, elements[name]) for name in self.names if name in elements]
        lengths = [len(value) for _, value in there if isinstance(value, str)]
        for cut in (max(lengths, default=0), *_CUTS):
            if cut and sum(min(length, cut) for length in lengths) > limit_bytes:
                continue  # a character is a byte or more: escaping them all would be in vain
            pairs = [(name, xml_text(_cut(value, cut))) for name, value in there]
            data = self._entry(head, pairs).encode()
            if len(data) <= limit_bytes:
                break
        return data

    def _entry(self, head: str, pairs: list[tuple[str, str]]) -> str:
        if self.style is Style.CHILDREN:
            return "".join([head, ">", *(f"<{name}>{text}</{name}>" for name, text in pairs), "</entry>"])
        return "".join([head, *(f' {name}="{text}"' for name, text in pairs), "/>"])


DEFAULT = Format(
    (
        "message",
        "monitor",
        "poll",
        "phase",
        "host",
        "serviceLevel",
        "status",
        "totalTime",
        "lookupTime",
        "connectTime",
        "SSLHandshakeTime",
        "responseTime",
        "uploadTime",
        "bytesTransferred",
        "bytesPerSec",
        "timeToDeliver",
        "hopCount",
        "outcome",
        "attempts",
        "consecutiveFailures",
        "fault",
        "stage",
    )
)
_SETS = {"default": DEFAULT.names, "all": tuple(NAMES)}


def xml_text(text: str) -> str:
    """A text as it may stand in an attribute or an element (XML 1.0 section 2.2).

    What is not printable is a character reference, so that nothing moves the terminal of whoever looks at the
    file, and blanks other than the space stay as they are. What XML 1.0 cannot hold becomes U+FFFD.
    """
    if text.isprintable():
        return text if _NEEDS_CARE.search(text) is None else "".join(_MARKUP.get(c, c) for c in text)
    return "".join(_MARKUP.get(c) or (c if c.isprintable() else _reference(ord(c))) for c in text)


def _reference(code: int) -> str:
    is_allowed = (
        code in (0x9, 0xA, 0xD) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code > 0xFFFF
    )
    return f"&#{code};" if is_allowed else "\ufffd"


def _cut(value: Value, length: int) -> str:
    if isinstance(value, float):
        return repr(value)  # with an exponent where it is very small or great: it must not be long
    text = as_text(value)
    return text if isinstance(value, int) or len(text) <= length else f"{text[:length]}..."


def _instant(at_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=at_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _hint(name: str) -> str:
    close = get_close_matches(name, NAMES, 1)
    return f", did you mean {close[0]}?" if close else ""


def _words_of(text: str, file: str) -> Iterator[tuple[str, str]]:
    """Each word, and what tells where it stands."""
    for number, line in enumerate(text.splitlines(), 1):
        for word in line.partition("#")[0].replace(",", " ").split():
            yield f"{file}{number}: ", word


def _file_text(path: str) -> str:
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise FormatError(f"{_PROPERTY}: {path} is not a file")
            data = file.read(FILE_LIMIT + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        shown = path if path.isprintable() else repr(path)[1:-1]
        raise FormatError(f"{_PROPERTY}: cannot read {shown}: {reason}") from error
    if len(data) > FILE_LIMIT:
        raise FormatError(f"{_PROPERTY}: {path} is larger than {FILE_LIMIT} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{_PROPERTY}: {path} is not UTF-8") from error
