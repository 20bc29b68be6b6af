"""SEARCH for the embedded mail server: the keys of RFC 3501 section 6.4.4 that a mail program uses first.

Twisted's own search fails at HEADER, and answers nothing where nothing is found.
"""

# Large parts of Twisted have no types.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from twisted.mail.imap4 import IllegalQueryError, parseIdList

from postbeat.embedded.maildrop import Message

Words: TypeAlias = "list[bytes | Words]"
_Test: TypeAlias = Callable[[int, Message], bool]

_FLAGS = {
    key: f"\\{key.capitalize().decode('ascii')}"
    for key in (b"ANSWERED", b"DELETED", b"DRAFT", b"FLAGGED", b"SEEN")
}
_FIELDS = (b"BCC", b"CC", b"FROM", b"SUBJECT", b"TO")


def numbers_found(query: Words, messages: Sequence[Message]) -> list[int]:
    """The numbers of the messages that the query finds.

    Raises:
        IllegalQueryError: it is none, or has a key that is not known here.
    """
    test = _all_of(query, messages)
    return [number for number, message in enumerate(messages, 1) if test(number, message)]


def _all_of(query: Words, messages: Sequence[Message]) -> _Test:
    words = list(query)
    tests = []
    while words:
        tests.append(_next(words, messages))
    return lambda number, message: all(test(number, message) for test in tests)


def _next(words: Words, messages: Sequence[Message]) -> _Test:  # noqa: C901, PLR0911  a table, in code
    """Takes one key with its arguments off the words."""
    if not words:
        raise IllegalQueryError("a search key is missing")
    word = words.pop(0)
    if isinstance(word, list):
        return _all_of(word, messages)
    key = word.upper()
    if key == b"ALL":
        return lambda number, message: True
    if key == b"NOT":
        refused = _next(words, messages)
        return lambda number, message: not refused(number, message)
    if key == b"OR":
        one, other = _next(words, messages), _next(words, messages)
        return lambda number, message: one(number, message) or other(number, message)
    if key == b"HEADER":
        return _has_text(_text(words), _text(words))
    if key in _FIELDS:
        return _has_text(key, _text(words))
    if key.removeprefix(b"UN") in _FLAGS:
        flag, wanted = _FLAGS[key.removeprefix(b"UN")], not key.startswith(b"UN")
        return lambda number, message: (flag in message.flags) is wanted
    if key == b"UID":
        uids = parseIdList(_text(words), messages[-1].uid if messages else 0)
        return lambda number, message: message.uid in uids
    if key[:1].isdigit() or key[:1] == b"*":
        numbers = parseIdList(key, len(messages))
        return lambda number, message: number in numbers
    raise IllegalQueryError(f"the search key {key!r} is not known here")


def _text(words: Words) -> bytes:
    word = words.pop(0) if words else None
    if not isinstance(word, bytes):
        raise IllegalQueryError("a search key has no argument")
    return word


def _has_text(name: bytes, text: bytes) -> _Test:
    """Whether a field of that name holds the text, in whatever case; every value holds the empty one."""
    names, wanted = (name.lower(),), text.lower()

    def test(number: int, message: Message) -> bool:
        fields = message.fields(names).split(b"\r\n" + b"\r\n")[0].lower()
        return any(wanted in line.partition(b":")[2] for line in fields.split(b"\r\n"))

    return test
