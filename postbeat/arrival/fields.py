"""A message taken apart into header fields and a body (RFC 5322 section 2), whatever it looks like."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

FIELDS_LIMIT = 1000  # fields of one header that are looked at
VALUE_LIMIT = 8192  # characters of one value

_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r|\Z)")
_NAME = re.compile(rb"([!-9;-~]{1,100})[ \t]*:")


@dataclass(frozen=True, slots=True)
class Field:
    """A header field: its name in small letters and its value, unfolded, printable and bounded."""

    name: str
    value: str


def split(message: bytes) -> tuple[list[Field], bytes]:
    """The header fields of a message, from the top, and its body.

    A line that is neither a field nor a continuation is passed over. Where no empty line ends the header,
    the body is empty.
    """
    gathered: list[tuple[str, list[bytes]]] = []
    at = 0
    wanted = True
    while at < len(message):
        match = _LINE.match(message, at)
        line = match[0] if match else b""
        at += len(line) or 1
        text = line.rstrip(b"\r\n")
        if not text:
            return _fields(gathered), message[at:]
        if text[:1] in b" \t":
            if gathered and wanted:
                gathered[-1][1].append(text)
            continue
        name = _NAME.match(text)
        wanted = name is not None and len(gathered) < FIELDS_LIMIT
        if name is not None and wanted:
            gathered.append((name[1].lower().decode("ascii"), [text[name.end() :]]))
    return _fields(gathered), b""


def _fields(gathered: Iterable[tuple[str, list[bytes]]]) -> list[Field]:
    return [Field(name, printable(b" ".join(parts))) for name, parts in gathered]


def printable(data: bytes, limit: int = VALUE_LIMIT) -> str:
    """Text as far as it is printable; each run of blanks is one space."""
    text = " ".join(data[: 4 * limit].decode("utf-8", "replace").split())[:limit]
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def values(fields: Iterable[Field], name: str) -> Iterator[str]:
    """The values of the fields of a name (given in small letters), from the top."""
    return (field.value for field in fields if field.name == name)
