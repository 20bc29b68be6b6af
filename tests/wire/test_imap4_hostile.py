from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postbeat.model import FaultCode, RemoteFault
from postbeat.wire import imap4data
from postbeat.wire.imap4 import LINE_LIMIT, LITERAL_LIMIT, REPLY_LIMIT, Imap4Client
from postbeat.wire.imap4reply import Reply
from tests.conftest import MANY
from tests.wire.feeding import fault_in, replies, splits

SESSION = (
    b"* OK [CAPABILITY IMAP4rev1] ready\r\n"
    b"* 3 EXISTS\r\n* OK [UIDVALIDITY 1] ok\r\n"
    b"* 1 FETCH (UID 5 BODY[HEADER.FIELDS (X)] {8}\r\nX: {9}\r\n FLAGS (\\Seen))\r\n"
    b"* 2 FETCH (BODY[HEADER.FIELDS (X)]<0> {0}\r\n UID 6)\r\n"
    b'* LIST (\\Junk \\HasNoChildren) "/" {4}\r\nSpam\r\n* STATUS Spam (MESSAGES 3 UIDNEXT 9)\r\n'
    b'* NAMESPACE (("" "/")) NIL NIL\r\n* QUOTA "" (STORAGE 5 9223372036854775807)\r\n'
    b'* ESEARCH (TAG "A1") UID ALL 1:3\r\n* 3 FETCH (UID 7 BODY[]<0> ~{3}\r\na\0b)\r\n'
    b"* SEARCH 1 2 3\r\n* 2 EXPUNGE\r\n+ go on\r\nA1 OK [READ-WRITE] done\r\n"
)
# Pieces of the protocol put together wrongly find more than bytes at random do.
WORDS = (
    b'*|+|A1|OK |NO|FETCH |1 |99999999999 |(|)|UID |BODY[HEADER]|[|]|<0>|"|\\|{3}\r\n|{0}\r\n|{5}|NIL|\r\n'
    b"|SEARCH |ESEARCH |ALL |1:3|LIST |STATUS |QUOTA |NAMESPACE |STORAGE |~{2}\r\n|EXISTS"
    b"|UIDVALIDITY |x|\0|\xff| "
).split(b"|")
PIECES = st.lists(st.sampled_from(WORDS), max_size=30).map(b"".join)


def listening() -> Imap4Client:
    client = Imap4Client()
    client.send(b"NOOP")
    return client


@given(st.data())
def test_a_whole_session_is_the_same_in_any_split(data: st.DataObject) -> None:
    whole, pieces = listening(), listening()
    assert replies(pieces, data.draw(splits(SESSION))) == replies(whole, [SESSION])
    assert pieces.folder == whole.folder
    assert pieces.unread == 0


READERS = (
    imap4data.search_result,
    imap4data.listing,
    imap4data.status_items,
    imap4data.namespaces,
    imap4data.quotas,
)


def everything_in(told: list[Reply]) -> None:
    for read in READERS:
        read(told)


@settings(max_examples=MANY)
@given(st.one_of(st.binary(max_size=200), PIECES))
@example(b"* 1 FETCH (UID 1) FETCH\r\n")
@example(b"* 1 FETCH (UID 1 2)\r\n")
@example(b"* 1 FETCH ((UID) 2)\r\n")
@example(b"* OK [UIDVALIDITY x]\r\n")
@example(b"* 1 FETCH )(\r\n")
@example(b"* 1 FETCH (BODY[HEADER] (A))\r\n")
@example(b"* ESEARCH (TAG A1) ALL (1)\r\n")
@example(b"* ESEARCH ALL\r\n")
@example(b"* SEARCH NIL (\r\n")
@example(b"* LIST x / y\r\n")
@example(b"* STATUS x (MESSAGES)\r\n")
@example(b"* STATUS x (MESSAGES NIL)\r\n")
@example(b"* NAMESPACE ((NIL)) NIL NIL\r\n")
@example(b"* QUOTA x (STORAGE 1 9223372036854775808)\r\n")
@example(b"A1 OK\r\nA1 OK\r\n")
@example(b"+ \r\nA1 OK\r\n+ \r\n")
def test_garbage_gives_replies_or_a_remote_fault_and_nothing_else(garbage: bytes) -> None:
    client = listening()
    fault = fault_in(lambda: everything_in(replies(client, [garbage])))
    assert fault is None or fault.code is FaultCode.PROTOCOL
    assert fault is None or (len(fault.message) < 250 and fault.message.isprintable())
    assert client.unread <= len(garbage)


def fault_of(data: bytes) -> str:
    with pytest.raises(RemoteFault) as caught:
        replies(listening(), [data])
    assert caught.value.code is FaultCode.PROTOCOL
    return caught.value.message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not in the protocol: SSH-2.0-OpenSSH_9.2"),
        (b"+OK POP3 ready\r\n", "not in the protocol: +OK POP3 ready"),
        (b"A7 OK done\r\n", "a command that is not under way: A7 OK done"),
        (b"A1 BYE\r\n", "not in the protocol: A1 BYE"),
        (b"* 1 FETCH (UID x)\r\n", "no number where one belongs: * 1 FETCH (UID x)"),
        (b"* 1 FETCH (UID 1\r\n", "left a parenthesis open"),
        (b"* 1 FETCH UID 1\r\n", "a FETCH that is not in the protocol"),
        (b'* 1 FETCH (UID "1)\r\n', "a list that is not in the protocol"),
        (b"* 1 FETCH " + b"(" * 100_000 + b"\r\n", "nested more than 32 parentheses"),
        (b"* 1 FETCH (BODY[HEADER] {99999999}\r\n", "a literal of 99999999 bytes"),
    ],
)
def test_what_is_not_in_the_protocol_is_shown(data: bytes, message: str) -> None:
    assert message in fault_of(data)


def test_a_line_without_end_is_the_servers_fault() -> None:
    assert "a line of more than" in fault_of(b"* OK " + b"x" * (LINE_LIMIT + 10))


def test_literals_without_end_are_the_servers_fault_before_they_fill_the_memory() -> None:
    client = listening()
    client.receive(b"* 1 FETCH (X {%d}\r\n" % LITERAL_LIMIT)

    def flood() -> None:
        for _ in range(10):
            client.next_reply()
            client.receive(b"x" * LITERAL_LIMIT + b" Y {%d}\r\n" % LITERAL_LIMIT)
            assert client.unread <= REPLY_LIMIT + LITERAL_LIMIT

    with pytest.raises(RemoteFault, match="does not end"):
        flood()


def test_empty_literals_without_end_are_the_servers_fault() -> None:
    assert "does not end" in fault_of(b"* 1 FETCH (" + b"A {0}\r\n " * 1000)


def test_parsing_takes_time_in_proportion_to_the_line() -> None:
    # Each of these made a backtracking expression or a recursive parser slow somewhere.
    for nasty in (b"[" * 200_000, b'"\\' * 100_000, b"a[" * 100_000, b"{" * 200_000, b" " * 200_000):
        fault_of(b"* 1 FETCH (" + nasty + b"\r\n")


def test_lists_take_time_in_proportion_to_the_line() -> None:
    for nasty in (b"[" * 200_000, b'"\\' * 100_000, b"a[" * 100_000, b"{" * 200_000, b" " * 200_000):
        data = b"* LIST (" + nasty + b"\r\n"
        assert "a parenthesis open" in fault_of(data) or "not in the protocol" in fault_of(data)
