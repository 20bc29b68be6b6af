from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from postbeat.model import FaultCode, RemoteFault
from postbeat.wire import imap4data
from postbeat.wire.imap4 import Imap4Client
from postbeat.wire.imap4data import Listed, Quota
from postbeat.wire.imap4reply import Reply
from tests.wire.feeding import replies


def told(*lines: bytes) -> list[Reply]:
    """The replies of these lines."""
    return replies(Imap4Client(), [line + b"\r\n" for line in lines])


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ((b"* SEARCH 2 84 882", b"* 3 EXISTS", b"* SEARCH"), [2, 84, 882]),
        ((b'* ESEARCH (TAG "A1") UID ALL 1:3,7',), [1, 2, 3, 7]),
        ((b'* ESEARCH (TAG "A1") UID MIN 2 ALL 9:7 COUNT 3',), [7, 8, 9]),
        ((b'* ESEARCH (TAG "ALL") UID',), []),
        ((b"* ESEARCH",), []),
    ],
)
def test_a_search_tells_numbers_in_either_form(lines: tuple[bytes, ...], found: list[int]) -> None:
    assert [number for some in imap4data.search_result(told(*lines)) for number in some] == found


def test_a_range_as_long_as_there_are_uids_is_not_spelled_out() -> None:
    assert imap4data.search_result(told(b"* ESEARCH UID ALL 1:4294967295")) == [range(1, 4294967296)]


@pytest.mark.parametrize(
    ("line", "listed"),
    [
        (b'* LIST () "/" INBOX', Listed(b"INBOX", b"/")),
        (b"* LIST (\\Noselect) NIL foo", Listed(b"foo", b"", frozenset({"\\NOSELECT"}))),
        (
            b'* LIST (\\HasNoChildren \\Junk) "." "a b"',
            Listed(b"a b", b".", frozenset({"\\HASNOCHILDREN", "\\JUNK"})),
        ),
        (b'* LIST () "/" [Gmail]/Spam', Listed(b"[Gmail]/Spam", b"/")),
        (b'* LIST () "/" a[b', Listed(b"a[b", b"/")),
        (b'* LIST () "/" {3}\r\na"b', Listed(b'a"b', b"/")),
        (b'* LIST () "\\\\" "NIL"', Listed(b"NIL", b"\\")),
        (b'* LIST () "/" x ("CHILDINFO" ("SUBSCRIBED"))', Listed(b"x", b"/")),
    ],
)
def test_a_list_tells_a_name_its_delimiter_and_its_attributes(line: bytes, listed: Listed) -> None:
    assert imap4data.listing(told(line)) == [listed]


def test_a_status_tells_numbers_of_63_bits() -> None:
    lines = told(b'* STATUS "a b" (MESSAGES 3 UIDNEXT 5 SIZE 9223372036854775807)')
    assert imap4data.status_items(lines) == {"MESSAGES": 3, "UIDNEXT": 5, "SIZE": 2**63 - 1}
    assert imap4data.status_items(told(b"* STATUS x ()")) == {}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b'* NAMESPACE (("" "/")) NIL NIL', ([b""], [])),
        (b'* NAMESPACE NIL NIL (("" "."))', ([], [b""])),
        (
            b'* NAMESPACE (("INBOX." ".")("#mh/" "/" "X-PARAM" ("A" "B"))) (("~" "/")) (("#shared/" "/"))',
            ([b"INBOX.", b"#mh/"], [b"~", b"#shared/"]),
        ),
    ],
)
def test_a_namespace_tells_what_is_ours_and_what_is_not(
    line: bytes, found: tuple[list[bytes], list[bytes]]
) -> None:
    assert imap4data.namespaces(told(line)) == found


def test_a_quota_tells_use_and_limit_of_each_resource() -> None:
    lines = told(
        b'* QUOTAROOT INBOX "User quota" ""',
        b'* QUOTA "User quota" (STORAGE 10 512 MESSAGE 3 1000)',
        b'* QUOTA "" ()',
        b"* QUOTA # (STORAGE 0 9223372036854775807)",
    )
    assert imap4data.quotas(lines) == [
        Quota("STORAGE", 10, 512),
        Quota("MESSAGE", 3, 1000),
        Quota("STORAGE", 0, 2**63 - 1),
    ]


@pytest.mark.parametrize(
    ("read", "line"),
    [
        (imap4data.search_result, b"* SEARCH 2 x"),
        (imap4data.search_result, b"* ESEARCH UID ALL 1:*"),
        (imap4data.search_result, b"* ESEARCH UID ALL NIL"),
        (imap4data.listing, b'* LIST "/" INBOX'),
        (imap4data.listing, b'* LIST () "/" NIL'),
        (imap4data.status_items, b"* STATUS x (MESSAGES)"),
        (imap4data.status_items, b"* STATUS (MESSAGES 1)"),
        (imap4data.status_items, b"* STATUS x (MESSAGES 9223372036854775808)"),
        (imap4data.namespaces, b"* NAMESPACE NIL"),
        (imap4data.namespaces, b"* NAMESPACE ((NIL)) NIL NIL"),
        (imap4data.quotas, b'* QUOTA "" (STORAGE 1)'),
        (imap4data.quotas, b'* QUOTA "" (STORAGE 1 many)'),
    ],
)
def test_data_that_is_not_in_the_protocol_is_shown(read: Callable[[list[Reply]], Any], line: bytes) -> None:
    with pytest.raises(RemoteFault) as caught:
        read(told(line))
    assert caught.value.code is FaultCode.PROTOCOL
    assert caught.value.message.endswith(line.decode()) or "SEARCH" in caught.value.message
