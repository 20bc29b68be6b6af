"""Reading a text by a format like that of C's ``scanf``. Pure.

A blank in the format stands for any number of blanks, none too. ``%`` and a letter takes something out, any
other character stands for itself. Reading ends at the first part that does not fit. Unlike C's, ``%s`` ends
where the text behind it in the format begins, so that ``%s,`` does not swallow the comma.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from postbeat.ism.values import Value, as_int, as_real, bounded

FORMAT_CHARS = 500
_BLANKS = " \t\r\n\f\v"
_PIECE = re.compile(
    rf"(?P<blanks>[{_BLANKS}]+)|(?P<text>[^%{_BLANKS}]+)|%(?P<drop>\*?)(?P<width>[0-9]{{0,5}})(?:hh?|ll?|L)?"
    r"(?:(?P<kind>[%cdiuoxXfeEgGs])|\[(?P<but>\^?)(?P<set>\]?[^\]]*)\])"
)
_RANGE = re.compile(r"(.)-(.)|(.)", re.DOTALL)

# What a conversion reads, from where it stands.
_READS = {
    "c": re.compile(r".", re.DOTALL),
    "d": re.compile(r"[+-]?[0-9]+"),
    "u": re.compile(r"[0-9]+"),
    "o": re.compile(r"[+-]?[0-7]+"),
    "x": re.compile(r"[+-]?(?:0[xX](?=[0-9a-fA-F]))?[0-9a-fA-F]+"),
    "f": re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?"),
    "s": re.compile(rf"[^{_BLANKS}]+"),
}
_SAME = {"i": "d", "X": "x", "e": "f", "E": "f", "g": "f", "G": "f"}


class BadScanError(Exception):
    """A format that is none. ``message`` says why."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a format: a conversion (``kind``, its letter), or a text as it is (a blank: any blanks).

    A conversion reads what ``reads`` matches, ``width`` characters at most, and for ``s`` no further than to
    ``until``, the text behind it in the format. What is ``dropped`` is read and forgotten.
    """

    kind: str
    text: str = ""
    reads: re.Pattern[str] = _READS["s"]
    width: int | None = None
    dropped: bool = False
    until: str = ""


@lru_cache(256)
def scan_format(text: str) -> tuple[Part, ...]:
    """The parts of a format.

    Raises:
        BadScanError: it is none.
    """
    if len(text) > FORMAT_CHARS:
        raise BadScanError(f"it has more than {FORMAT_CHARS} characters")
    parts: list[Part] = []
    at = 0
    while at < len(text):
        found = _PIECE.match(text, at)
        if found is None:
            raise BadScanError(
                f"{text[at : at + 2]} is not known; known are %d %u %o %x %f %s %c %[...] and %%"
            )
        parts.append(_part(found))
        at = found.end()
    behind = (*parts[1:], Part("", " "))
    return tuple(
        replace(part, until=after.text) if part.kind == "s" and after.text.strip(_BLANKS) else part
        for part, after in zip(parts, behind, strict=False)
    )


def scanned(parts: tuple[Part, ...], text: str) -> list[Value]:
    """What the conversions of a format take out of ``text``, as far as it fits."""
    values: list[Value] = []
    at = 0
    for part in parts:
        if part.kind not in ("", "c", "["):
            at = _passed(text, at)
        if part.kind:
            end = _end(part, text, at)
        elif part.text == " ":
            end = _passed(text, at)
        else:
            end = at + len(part.text) if text.startswith(part.text, at) else None
        if end is None:
            break
        if part.kind not in ("", "%") and not part.dropped:
            values.append(_value(part.kind, text[at:end]))
        at = end
    return values


def wanted(parts: tuple[Part, ...]) -> int:
    """How many values a format takes out of a text that fits wholly."""
    return sum(part.kind not in ("", "%") and not part.dropped for part in parts)


def _part(found: re.Match[str]) -> Part:
    if found["blanks"]:
        return Part("", " ")
    if found["text"]:
        return Part("", found["text"])
    width = int(found["width"]) if found["width"] else None
    if width == 0:
        raise BadScanError(f"{found[0]} would read nothing")
    dropped = bool(found["drop"])
    if found["kind"] is None:
        return Part("[", reads=_set(found["set"], but=bool(found["but"])), width=width, dropped=dropped)
    kind = _SAME.get(found["kind"], found["kind"])
    if kind == "%":
        return Part("%", "%")
    if kind == "c":
        width = width or 1
        return Part("c", reads=re.compile(f".{{{width}}}", re.DOTALL), dropped=dropped)
    return Part(kind, reads=_READS[kind], width=width, dropped=dropped)


def _set(chars: str, *, but: bool) -> re.Pattern[str]:
    """A pattern for one or more characters of a set as it stands between ``[`` and ``]``."""
    if not chars:
        raise BadScanError("%[] has no characters")
    parts = []
    for found in _RANGE.finditer(chars):
        first, last = found[1] or found[3], found[2] or found[3]
        if first > last:
            raise BadScanError(f"{found[0]} is no range of characters")
        parts.append(f"{re.escape(first)}-{re.escape(last)}")
    return re.compile(f"[{'^' if but else ''}{''.join(parts)}]+")


def _passed(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at


def _end(part: Part, text: str, at: int) -> int | None:
    """Where that which a conversion reads from ``at`` on ends; None where there is nothing for it."""
    if part.kind == "%":
        return at + 1 if text.startswith("%", at) else None
    stop = len(text) if part.width is None else min(at + part.width, len(text))
    found = part.reads.match(text, at, stop)
    if found is None:
        return None
    until = text.find(part.until, at, found.end()) if part.until else -1
    return found.end() if until < 0 else until


def _value(kind: str, text: str) -> Value:
    if kind in "du":
        return as_int(text)
    if kind in "ox":
        return bounded(int(text, 8 if kind == "o" else 16))
    return as_real(text) if kind == "f" else text
