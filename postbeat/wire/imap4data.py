"""What an IMAP4 server answers to a question, read out of its untagged data (RFC 3501 section 7.2)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from postbeat.wire.imap4reply import Data, Reply, Value, large_number_of, number_of
from postbeat.wire.line import malformed

STORAGE_UNIT = 1024  # octets in the numbers of the quota resource STORAGE (RFC 9208 section 5.1)


@dataclass(frozen=True, slots=True)
class Listed:
    """A mailbox of a LIST (RFC 3501 section 7.2.2): attributes in capitals, the name as it was sent."""

    name: bytes
    delimiter: bytes = b""
    attributes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Quota:
    """The use of a resource of a quota root, and its limit (RFC 9208 section 5.1), in the resource's unit."""

    resource: str
    used: int
    limit: int


def search_result(replies: Iterable[Reply]) -> list[range]:
    """The numbers or UIDs that a search found, as SEARCH or ESEARCH tells them (RFC 3501, RFC 4731).

    Raises:
        RemoteFault: one of them is no number.
    """
    found: list[range] = []
    for reply in _data(replies, "SEARCH"):
        found.extend(_range(word, word) for word in reply.values)
    for reply in _data(replies, "ESEARCH"):
        for key, value in itertools.pairwise(reply.values):
            if isinstance(key, bytes) and key.upper() == b"ALL":
                found.extend(_ranges(value))
    return found


def _ranges(value: Value) -> Iterator[range]:
    if not isinstance(value, bytes):
        raise malformed("the server found what is no set of numbers", b"ESEARCH")
    for part in value.split(b","):
        first, colon, last = part.partition(b":")
        yield _range(first, last if colon else first)


def _range(first: Value, last: Value) -> range:
    low, high = sorted((number_of(first, b"SEARCH"), number_of(last, b"SEARCH")))
    return range(low, high + 1)


def listing(replies: Iterable[Reply]) -> list[Listed]:
    """The mailboxes of a LIST.

    Raises:
        RemoteFault: a LIST is not in the protocol.
    """
    found = []
    for reply in _data(replies, "LIST"):
        match reply.values:
            case (tuple() as attributes, bytes() | None as delimiter, bytes() as name, *_):
                words = (word.decode("ascii", "replace") for word in attributes if isinstance(word, bytes))
                found.append(Listed(name, delimiter or b"", frozenset(word.upper() for word in words)))
            case _:
                raise malformed("the server sent a LIST that is not in the protocol", reply.line)
    return found


def status_items(replies: Iterable[Reply]) -> dict[str, int]:
    """The items of a STATUS, by name in capitals (RFC 3501 section 7.2.4, RFC 8438); empty without one.

    Raises:
        RemoteFault: it is not in the protocol.
    """
    items: dict[str, int] = {}
    for reply in _data(replies, "STATUS"):
        match reply.values:
            case (bytes(), tuple() as pairs) if not len(pairs) % 2:
                for key, value in zip(pairs[::2], pairs[1::2], strict=True):
                    items[_text(key)] = large_number_of(value, reply.line)
            case _:
                raise malformed("the server sent a STATUS that is not in the protocol", reply.line)
    return items


def namespaces(replies: Iterable[Reply]) -> tuple[list[bytes], list[bytes]]:
    """The prefixes of our personal namespaces, and those of other people's and shared ones (RFC 2342).

    Raises:
        RemoteFault: a NAMESPACE is not in the protocol.
    """
    personal: list[bytes] = []
    foreign: list[bytes] = []
    for reply in _data(replies, "NAMESPACE"):
        if len(reply.values) < 3:
            raise malformed("the server sent a NAMESPACE that is not in the protocol", reply.line)
        for kind, prefixes in zip(reply.values, (personal, foreign, foreign), strict=False):
            for namespace in kind if isinstance(kind, tuple) else ():
                match namespace:
                    case (bytes() as prefix, *_):
                        prefixes.append(prefix)
                    case _:
                        raise malformed("the server sent a NAMESPACE that is not in the protocol", reply.line)
    return personal, foreign


def quotas(replies: Iterable[Reply]) -> list[Quota]:
    """The resources of all quota roots that a server tells (RFC 9208 section 4.2.1, RFC 2087).

    Raises:
        RemoteFault: a QUOTA is not in the protocol.
    """
    found = []
    for reply in _data(replies, "QUOTA"):
        match reply.values:
            case (_, tuple() as triples) if not len(triples) % 3:
                for name, used, limit in zip(triples[::3], triples[1::3], triples[2::3], strict=True):
                    numbers = (large_number_of(number, reply.line) for number in (used, limit))
                    found.append(Quota(_text(name), *numbers))
            case _:
                raise malformed("the server sent a QUOTA that is not in the protocol", reply.line)
    return found


def _data(replies: Iterable[Reply], word: str) -> Iterator[Data]:
    return (reply for reply in replies if isinstance(reply, Data) and reply.word == word)


def _text(value: Value) -> str:
    return value.decode("ascii", "replace").upper() if isinstance(value, bytes) else ""
