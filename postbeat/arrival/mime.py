"""The parts of a message (RFC 2045, RFC 2046), without their transfer encodings, whatever it looks like."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from postbeat.arrival.fields import Field, split, values

# Multiparts within each other, and parts in all of them together. They protect the loop's time.
DEPTH_LIMIT = 5
PARTS_LIMIT = 50

_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
_CHARSET = re.compile(r';\s*charset\s*=\s*"?([\w.:-]{1,40})', re.IGNORECASE | re.ASCII)
_FILENAME = re.compile(r';\s*(?:file)?name\s*=\s*(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
# Python has more, of which some are no character sets, some are slow, and some unpack.
_CHARSETS = re.compile(
    r"us-ascii|utf-8|utf-16(?:le|be)?|iso-8859-[0-9]{1,2}|windows-125[0-8]|koi8-[ru]|gb(?:2312|k|18030)|big5"
    r"|euc-(?:jp|kr)|shift_jis|iso-2022-(?:jp|kr)"
)
_SHIFTING = ("utf-16", "iso-2022")  # where what looks like ASCII may be something else
_DASHED = re.compile(rb"^--[^\n]*\n?", re.MULTILINE)
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")


@dataclass(frozen=True, slots=True)
class Part:
    """A part that has no parts: its media type in small letters, character set, file name and content."""

    kind: str
    content: bytes
    charset: str = ""
    filename: str = ""


def parts(fields: Sequence[Field], body: bytes) -> Iterator[Part]:
    """The parts of a message, from the top; a message that is no multipart is one itself.

    A multipart in which no boundary occurs, or that lies too deep, is a part of the type ``text/plain``.
    """
    waiting = [(0, fields, body)]
    for _ in range(PARTS_LIMIT):
        if not waiting:
            return
        depth, fields, body = waiting.pop()
        declared = next(values(fields, "content-type"), "text/plain")
        kind = declared.partition(";")[0].strip().lower()
        inside: list[bytes] = []
        if kind.startswith("multipart/"):
            boundary = _BOUNDARY.search(declared)
            if boundary is not None and depth < DEPTH_LIMIT:
                inside = _between(body, (boundary[1] or boundary[2]).rstrip().encode())
            kind = "text/plain"
        if inside:
            waiting.extend((depth + 1, *split(part)) for part in reversed(inside))
        else:
            yield _part(kind, declared, fields, body)


def _between(body: bytes, boundary: bytes) -> list[bytes]:
    """The parts of a multipart, each with its header (RFC 2046 section 5.1.1); the last may be cut off."""
    found = []
    start = None
    delimiter = b"--" + boundary
    for line in _DASHED.finditer(body):
        text = line[0].rstrip()
        if text not in (delimiter, delimiter + b"--"):
            continue
        if start is not None:
            found.append(body[start : line.start()])
        if text != delimiter or len(found) == PARTS_LIMIT:
            return found
        start = line.end()
    return found if start is None else [*found, body[start:]]


def _part(kind: str, declared: str, fields: Sequence[Field], body: bytes) -> Part:
    charset = _CHARSET.search(declared)
    disposition = next(values(fields, "content-disposition"), "")
    filename = _FILENAME.search(disposition) or _FILENAME.search(declared)
    return Part(
        kind,
        decoded(body, next(values(fields, "content-transfer-encoding"), "")),
        charset[1] if charset else "",
        (filename[1] or filename[2]) if filename else "",
    )


def decoded(body: bytes, encoding: str) -> bytes:
    """A body without its content transfer encoding (RFC 2045 section 6), as far as it can be decoded."""
    match encoding.strip().lower():
        case "quoted-printable":
            return binascii.a2b_qp(body)
        case "base64":
            letters = _NOT_BASE64.sub(b"", body)
            return binascii.a2b_base64(letters[: len(letters) - (len(letters) % 4 == 1)] + b"==")
        case _:
            return body


def to_unicode(data: bytes, charset: str) -> bytes:
    """Text of a character set in UTF-8; as it is where it is not of that set, or the set is unknown."""
    charset = charset.lower() or "utf-8"
    if _CHARSETS.fullmatch(charset) is None or (data.isascii() and not charset.startswith(_SHIFTING)):
        return data
    try:
        return data.decode(charset).encode()
    except (LookupError, ValueError):
        return data
