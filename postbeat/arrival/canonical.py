"""What a subject and a body say, whatever servers did to their form, and digests of that.

Transfer encodings, character sets, boundaries, line ends, folding and blanks are form: servers change them as
they need to, and nobody sees it. The rules for blanks are those of DKIM's relaxed form (RFC 6376
section 3.4.4).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from itertools import groupby

from postbeat.arrival.mime import Part, to_unicode
from postbeat.token import FIELD, PATTERN

BODY_LIMIT = 64 * 1024  # bytes of a text that its digest covers: less than is fetched of a message

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BLANKS = re.compile(rb"[ \t]+")
_BLANK_END = re.compile(rb" (?=\r\n)")
_WORD = re.compile(r"=\?([^?\s]{1,60})\?([BbQq])\?([^?\s]*)\?=")
# The line that carries our token, where it begins a body, folded or not; it does not belong to the text.
_TRACKING = re.compile(rf"\s*{FIELD}:\s*{PATTERN}(?:\r\n)?".encode(), re.IGNORECASE)


def text(parts: Iterable[Part]) -> bytes:
    """The text of a message's parts in UTF-8, with CRLF line ends, without blanks where nobody sees them."""
    return b"".join(map(part_text, parts))


def part_text(part: Part) -> bytes:
    """The same of one part; what is no text is taken as it is."""
    if not part.kind.startswith("text/"):
        return part.content
    lines = _LINE_END.sub(b"\r\n", to_unicode(part.content, part.charset))
    lines = _BLANK_END.sub(b"", _BLANKS.sub(b" ", lines + b"\r\n"))
    if tracking := _TRACKING.match(lines):
        lines = lines[tracking.end() :]
    lines = lines.rstrip(b" \r\n")
    return lines + b"\r\n" if lines else b""


def body_digest(text: bytes) -> str:
    """``LENGTH:HASH`` of a text; where the length is :data:`BODY_LIMIT`, the text may be longer than that."""
    text = text[:BODY_LIMIT]
    return f"{len(text)}:{_hash(text, 16)}"


def subject_digest(subject: str) -> str:
    """A digest of the subject's value in the header."""
    return _hash(subject_text(subject).encode("utf-8", "replace"), 8)


def _hash(data: bytes, length: int) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest())[:length].decode()


def subject_text(subject: str) -> str:
    """A subject as people read it: encoded words (RFC 2047) decoded, each run of blanks one space."""
    pieces: list[str] = []
    end = 0
    words: list[tuple[str, bytes]] = []
    for match in _WORD.finditer(subject):
        between = subject[end : match.start()]
        if not words or between.strip():  # blanks between encoded words are not shown
            pieces.extend((_decoded(words), between))
            words = []
        words.append((match[1].partition("*")[0].lower(), _content(match[2], match[3])))
        end = match.end()
    return " ".join("".join((*pieces, _decoded(words), subject[end:])).split())


def _content(encoding: str, word: str) -> bytes:
    data = word.encode("utf-8", "replace")
    if encoding in "Qq":
        return binascii.a2b_qp(data, header=True)
    try:
        return binascii.a2b_base64(data + b"==")
    except binascii.Error:
        return data


def _decoded(words: Iterable[tuple[str, bytes]]) -> str:
    """Words next to each other; a character may begin in one and end in the next, though it must not."""
    runs = (
        (charset, b"".join(data for _, data in run)) for charset, run in groupby(words, lambda word: word[0])
    )
    return "".join(to_unicode(data, charset).decode("utf-8", "replace") for charset, data in runs)
