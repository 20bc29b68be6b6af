"""What an IMAP4 server says, as types, and the parser for it (RFC 3501 section 7).

A reply is the text and the literals of one response: ``parts`` holds text, literal, text, literal, ..., text.
Nothing here recurses, so no nesting that a server sends can exhaust the stack.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from postbeat.wire.line import TEXT_LIMIT, malformed, shown

# Levels of parentheses. A FETCH of flags and headers has two; it protects nothing but our patience.
DEPTH_LIMIT = 32

Value: TypeAlias = "bytes | tuple[Value, ...] | None"

_STATUS = re.compile(
    rb"(OK|NO|BAD|BYE|PREAUTH)(?: +(?:\[([A-Z0-9/._-]{1,64})(?: ([^\]]*))?\])?[ \t]*(.*))?",
    re.IGNORECASE | re.DOTALL,
)
_NUMBERED = re.compile(rb"([0-9]{1,10}) ([A-Za-z]{1,32})(?: (.*))?", re.DOTALL)
_WORD = re.compile(rb"([A-Za-z][!-~]{0,63})(?: +(.*))?", re.DOTALL)
# A literal8 (RFC 3516) has a tilde; it may hold NULs, which no literal of ours minds.
_LITERAL = re.compile(rb"~?\{([0-9]{1,10})\}$")
_NUMBER = re.compile(rb"[0-9]{1,10}")
_LARGE_NUMBER = re.compile(rb"[0-9]{1,19}")
# An atom may carry a section, BODY[HEADER.FIELDS (DATE "TO")]<0>, with spaces and parentheses of its own.
_TOKEN = re.compile(
    rb' *(?:(?P<open>\()|(?P<close>\))|"(?P<quoted>(?:[^"\\]|\\.)*)"'
    rb'|(?P<atom>[^\s()"\[]+(?:\[[^\]]*\][^\s()"]*)?|\[[^\]]*\][^\s()"]*))',
    re.DOTALL,
)
# Elsewhere a bracket is a character like any other: a folder may be called so.
_PLAIN_TOKEN = re.compile(
    rb' *(?:(?P<open>\()|(?P<close>\))|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<atom>[^\s()"]+))', re.DOTALL
)
_SECTION = re.compile(rb"BODY\[(HEADER|TEXT|)(?:\]|\.)")
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
# Answers that are lists of values; all others are words.
_VALUED = frozenset({"ESEARCH", "LIST", "STATUS", "NAMESPACE", "QUOTA", "QUOTAROOT"})


@dataclass(frozen=True, slots=True)
class Continuation:
    """The server waits for more of the command (RFC 3501 section 7.5); the text may be a challenge."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Status:
    """OK, NO, BAD, BYE or PREAUTH, with the response code in capitals (RFC 3501 section 7.1, RFC 5530).

    ``tag`` is empty for an untagged one. ``text`` is for people, printable and bounded.
    """

    tag: str
    status: str
    code: str = ""
    argument: str = ""
    text: str = ""

    @property
    def ok(self) -> bool:
        """Whether the command succeeded."""
        return self.status == "OK"


@dataclass(frozen=True, slots=True)
class Data:
    """An untagged answer: its word in capitals, its number if it has one, and its values.

    :mod:`postbeat.wire.imap4data` reads them. Values of an answer that is not known there are its words.
    """

    word: str
    number: int = 0
    values: tuple[Value, ...] = ()
    line: bytes = field(
        default=b"", repr=False, compare=False
    )  # its beginning, to be shown where it is wrong


@dataclass(frozen=True, slots=True)
class Fetch:
    """An untagged FETCH: what it tells of a message.

    ``header`` is None where the answer holds none (an announcement of flags, say), and empty where the
    server had none to give. ``text`` is the beginning of the body, or empty; ``message`` is the beginning of
    the whole message, or empty.
    """

    number: int
    uid: int | None
    header: bytes | None
    text: bytes = b""
    message: bytes = b""


Reply: TypeAlias = Continuation | Status | Data | Fetch


def literal_size(parts: Sequence[bytes]) -> int | None:
    """The size of the literal that the last part announces, or None where the reply is complete.

    The text of a status reply is for people and announces nothing, even if it ends like a literal.
    """
    first = parts[0]
    if not parts[-1].endswith(b"}") or not first.startswith(b"* ") or _STATUS.match(first, 2):
        return None
    match = _LITERAL.search(parts[-1])
    return int(match[1]) if match else None


def parse(parts: Sequence[bytes]) -> Reply:
    """The reply of these parts.

    Raises:
        RemoteFault: they are not in the protocol.
    """
    line = parts[0]
    if line.startswith(b"* "):
        return _untagged(parts)
    if line == b"+" or line.startswith(b"+ "):
        return Continuation(line[1:].strip())
    tag, _, rest = line.partition(b" ")
    match = _STATUS.fullmatch(rest)
    if match is None or not tag.isalnum() or match[1].upper() in (b"BYE", b"PREAUTH"):
        raise malformed("the server sent an answer that is not in the protocol", line)
    return _status(shown(tag), match)


def _untagged(parts: Sequence[bytes]) -> Reply:
    line = parts[0][2:]
    if match := _STATUS.fullmatch(line):
        return _status("", match)
    if match := _NUMBERED.fullmatch(line):
        number = int(match[1])
        word = match[2].upper().decode("ascii")
        if word == "FETCH":
            return _fetch(number, [match[3] or b"", *parts[1:]], parts[0])
        return Data(word, number)
    if match := _WORD.fullmatch(line):
        return _data(match[1].upper().decode("ascii"), [match[2] or b"", *parts[1:]], parts[0])
    raise malformed("the server sent an answer that is not in the protocol", parts[0])


def _data(word: str, parts: Sequence[bytes], line: bytes) -> Data:
    if word in _VALUED:
        return Data(word, values=values(parts, line, _PLAIN_TOKEN), line=line)
    return Data(word, values=tuple(parts[0].split()), line=line)


def _status(tag: str, match: re.Match[bytes]) -> Status:
    status, code, argument, text = match.groups(b"")
    return Status(
        tag,
        status.upper().decode("ascii"),
        code.upper().decode("ascii"),
        # Whole, as the CAPABILITY code is a list that decides what we may do; the line's limit bounds it.
        shown(argument, len(argument)),
        shown(text, TEXT_LIMIT),
    )


def _fetch(number: int, parts: Sequence[bytes], line: bytes) -> Fetch:
    parsed = values(parts, line)
    if len(parsed) != 1 or not isinstance(parsed[0], tuple) or len(parsed[0]) % 2:
        raise malformed("the server sent a FETCH that is not in the protocol", line)
    items = parsed[0]
    uid = None
    sections: dict[bytes, bytes] = {}
    for key, value in zip(items[::2], items[1::2], strict=True):
        name = key.upper() if isinstance(key, bytes) else b""
        if name == b"UID":
            uid = number_of(value, line)
        elif section := _SECTION.match(name):
            if isinstance(value, tuple):
                raise malformed("the server sent a part of a message that is a list", line)
            sections[section[1]] = value or b""
    header, text = sections.get(b"HEADER"), sections.get(b"TEXT", b"")
    return Fetch(number, uid, header, text, sections.get(b"", b""))


def number_of(value: Value, line: bytes) -> int:
    """A number of the protocol: at most ten digits (RFC 3501 section 9).

    Raises:
        RemoteFault: the value is none; the message shows ``line``.
    """
    if not isinstance(value, bytes) or not _NUMBER.fullmatch(value):
        raise malformed("the server sent no number where one belongs", line)
    return int(value)


def large_number_of(value: Value, line: bytes) -> int:
    """A number of 63 bits (RFC 9051 section 9, RFC 9208 section 4.2.1).

    Raises:
        RemoteFault: the value is none; the message shows ``line``.
    """
    if not isinstance(value, bytes) or not _LARGE_NUMBER.fullmatch(value) or int(value) >> 63:
        raise malformed("the server sent no number where one belongs", line)
    return int(value)


def values(parts: Sequence[bytes], line: bytes, token: re.Pattern[bytes] = _TOKEN) -> tuple[Value, ...]:
    """The values of a reply: atoms, strings and literals as bytes, NIL as None, lists as tuples.

    ``token`` is what one value looks like: by default those of a FETCH, whose sections have brackets.

    Raises:
        RemoteFault: parentheses or quotes do not match, or are nested too deeply; shows ``line``.
    """
    stack: list[list[Value]] = [[]]
    for index, part in enumerate(parts):
        if index % 2:
            stack[-1].append(part)
        else:
            last = index + 1 == len(parts)
            _tokens(part if last else _LITERAL.sub(b"", part), stack, line, token)
    if len(stack) != 1:
        raise malformed("the server left a parenthesis open", line)
    return tuple(stack[0])


def _tokens(text: bytes, stack: list[list[Value]], line: bytes, token: re.Pattern[bytes]) -> None:
    at = 0
    text = text.rstrip(b" ")
    while at < len(text):
        match = token.match(text, at)
        if match is None:
            raise malformed("the server sent a list that is not in the protocol", line)
        at = match.end()
        kind = match.lastgroup
        if kind == "open":
            stack.append([])
        elif kind == "close":
            inner = tuple(stack.pop())
            if not stack:
                raise malformed("the server closed a parenthesis that was not open", line)
            stack[-1].append(inner)
        elif kind == "quoted":
            stack[-1].append(_ESCAPED.sub(rb"\1", match["quoted"]))
        else:
            atom = match["atom"]
            stack[-1].append(None if atom.upper() == b"NIL" else atom)
        if len(stack) > DEPTH_LIMIT:
            raise malformed(f"the server nested more than {DEPTH_LIMIT} parentheses", line)
