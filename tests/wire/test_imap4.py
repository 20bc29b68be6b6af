from __future__ import annotations

import pytest

from postbeat.model import FaultCode
from postbeat.wire import imap4
from postbeat.wire.imap4 import Imap4Client
from postbeat.wire.imap4args import Literal, astring
from postbeat.wire.imap4reply import Continuation, Fetch, Reply, Status
from tests.wire.feeding import replies as parsed


def replies(client: Imap4Client, pieces: list[bytes]) -> list[Reply]:
    """All replies, in order, with their type."""
    return parsed(client, pieces)


def test_a_command_has_a_tag_of_its_own() -> None:
    client = Imap4Client()
    assert client.send(b"NOOP") == b"A1 NOOP\r\n"
    assert client.send(b"UID FETCH", b"1:*", b"(UID)") == b"A2 UID FETCH 1:* (UID)\r\n"
    assert client.proceed() is None


def test_a_literal_waits_for_the_servers_consent() -> None:
    client = Imap4Client()
    user, password = (astring(text, "it") for text in ("jürgen", "päss wörd"))
    assert client.send(b"LOGIN", user, password) == b"A1 LOGIN {7}\r\n"
    assert client.proceed() == "jürgen".encode() + b" {11}\r\n"
    assert client.proceed() == "päss wörd\r\n".encode()
    assert client.proceed() is None


@pytest.mark.parametrize(
    ("offer", "size", "at_once"),
    [
        (b"IMAP4rev1 LITERAL+", 5000, True),
        (b"IMAP4rev1 LITERAL-", 4096, True),
        (b"IMAP4rev1 LITERAL-", 4097, False),
        (b"IMAP4rev2", 4096, True),
        (b"IMAP4rev1 IMAP4rev2", 1, False),
    ],
)
def test_a_literal_goes_at_once_where_the_server_takes_it_unasked(
    offer: bytes, size: int, at_once: bool
) -> None:
    client = Imap4Client()
    replies(client, [b"* CAPABILITY %b\r\n" % offer])
    data = b"x" * size
    if at_once:
        assert client.send(b"CREATE", Literal(data), b"NIL") == b"A1 CREATE {%d+}\r\n%b NIL\r\n" % (
            size,
            data,
        )
        assert client.proceed() is None
    else:
        assert client.send(b"CREATE", Literal(data), b"NIL") == b"A1 CREATE {%d}\r\n" % size
        assert client.proceed() == data + b" NIL\r\n"


@pytest.mark.parametrize("command", [b"LOGIN", b"AUTHENTICATE"])
def test_a_login_voids_the_capabilities_but_may_use_them(command: bytes) -> None:
    client = Imap4Client()
    replies(client, [b"* CAPABILITY IMAP4rev1 LITERAL+\r\n"])
    assert client.send(command, Literal(b"\xff")) == b"A1 %b {1+}\r\n\xff\r\n" % command
    assert client.capabilities is None


def test_imap4rev2_is_spoken_once_it_is_enabled_and_brings_its_extensions_along() -> None:
    client = Imap4Client()
    replies(client, [b"* CAPABILITY IMAP4rev1 IMAP4rev2 ENABLE\r\n"])
    before = client.rev2, client.offers("IDLE")
    client.send(b"ENABLE", b"IMAP4rev2")
    replies(client, [b"* ENABLED IMAP4rev2\r\nA1 OK done\r\n"])
    after = client.rev2, client.offers("IDLE"), client.offers("QUOTA")
    assert (before, after) == ((False, False), (True, True, False))


def test_imap4rev2_needs_no_enabling_where_there_is_nothing_else() -> None:
    client = Imap4Client()
    replies(client, [b"* CAPABILITY IMAP4rev2\r\n"])
    assert client.rev2


def test_capabilities_are_taken_from_wherever_they_are_told() -> None:
    client = Imap4Client()
    replies(client, [b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\r\n"])
    assert client.capabilities == frozenset({"IMAP4REV1", "SASL-IR", "AUTH=PLAIN"})
    client.forget_capabilities()
    client.send(b"LOGIN")
    replies(client, [b"* CAPABILITY IMAP4rev1 UIDPLUS\r\nA1 OK done\r\n"])
    assert client.capabilities == frozenset({"IMAP4REV1", "UIDPLUS"})


def test_a_select_tells_the_state_of_the_folder() -> None:
    client = Imap4Client()
    client.send(b"SELECT", b"INBOX")
    told = replies(
        client,
        [
            b"* 172 EXISTS\r\n* 1 RECENT\r\n* OK [UNSEEN 12] Message 12 is first unseen\r\n",
            b"* OK [UIDVALIDITY 3857529045] UIDs valid\r\n* OK [UIDNEXT 4392] Predicted next UID\r\n",
            b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n",
            b"* OK [PERMANENTFLAGS (\\Deleted \\Seen \\*)] Limited\r\nA1 OK [READ-WRITE] done\r\n",
        ],
    )
    folder = client.folder
    assert (folder.exists, folder.uidvalidity, folder.uidnext, folder.read_only) == (
        172,
        3857529045,
        4392,
        False,
    )
    assert client.is_answer(told[-1])
    assert not any(client.is_answer(reply) for reply in told[:-1])


@pytest.mark.parametrize("command", [b"SELECT", b"EXAMINE"])
def test_another_folder_has_nothing_of_the_one_before(command: bytes) -> None:
    client = Imap4Client()
    client.send(b"SELECT", b"INBOX")
    replies(client, [b"* 5 EXISTS\r\n* OK [UIDVALIDITY 7] valid\r\nA1 OK [READ-ONLY] done\r\n"])
    client.send(command, b"Junk")
    replies(client, [b"* 7 EXISTS\r\n* 3 EXPUNGE\r\n* OK [CLOSED] left\r\n* 1 EXISTS\r\nA2 OK done\r\n"])
    folder = client.folder
    assert (folder.exists, folder.arrived, folder.expunged, folder.uidvalidity) == (1, 1, 0, None)
    assert not folder.read_only


def test_a_read_only_folder_is_known_as_such() -> None:
    client = Imap4Client()
    client.send(b"SELECT", b"INBOX")
    replies(client, [b"A1 OK [READ-ONLY] done\r\n"])
    assert client.folder.read_only


def test_arrivals_are_counted_and_departures_do_not_hide_them() -> None:
    client = Imap4Client()
    replies(client, [b"* 5 EXISTS\r\n"])
    client.folder.announced = 0
    replies(client, [b"* 2 EXPUNGE\r\n* 1 EXPUNGE\r\n* 5 EXISTS\r\n"])
    assert client.folder.exists == 5
    assert client.folder.announced == 2
    assert (client.folder.arrived, client.folder.expunged) == (7, 2)


def test_a_fetch_tells_uid_and_header() -> None:
    client = Imap4Client()
    header = b"Subject: {5}\r\n)\r\n\r\n"
    line = b'* 12 FETCH (UID 99 BODY[HEADER.FIELDS ("SUBJECT" DATE)]<0> {%d}\r\n%b FLAGS (\\Seen))\r\n'
    assert replies(client, [line % (len(header), header)]) == [Fetch(12, 99, header)]


def test_a_literal8_is_a_literal() -> None:
    line = b"* 12 FETCH (UID 99 BODY[] ~{5}\r\na\0\r\nb)\r\n"
    assert replies(Imap4Client(), [line]) == [Fetch(12, 99, None, message=b"a\0\r\nb")]


@pytest.mark.parametrize(
    ("line", "fetch"),
    [
        (b"* 1 FETCH (FLAGS (\\Seen $x))", Fetch(1, None, None)),
        (b"* 1 FETCH (UID 7)", Fetch(1, 7, None)),
        (b"* 1 FETCH (UID 7 BODY[HEADER.FIELDS (A)] NIL)", Fetch(1, 7, b"")),
        (b'* 1 FETCH (BODY[HEADER.FIELDS (A)] "" UID 7)', Fetch(1, 7, b"")),
        (b'* 1 fetch (uid 7 body[header.fields (A)]<0> "a\\"b")', Fetch(1, 7, b'a"b')),
        (b'* 1 FETCH (ENVELOPE ((NIL NIL) ("a" ())) UID 7)', Fetch(1, 7, None)),
    ],
)
def test_a_fetch_may_hold_less_or_more(line: bytes, fetch: Fetch) -> None:
    assert replies(Imap4Client(), [line + b"\r\n"]) == [fetch]


def test_a_refusal_tells_its_response_code() -> None:
    client = Imap4Client()
    client.send(b"LOGIN")
    (reply,) = replies(client, [b"A1 NO [AUTHENTICATIONFAILED] Authentication failed.\r\n"])
    assert reply == Status("A1", "NO", "AUTHENTICATIONFAILED", "", "Authentication failed.")


def test_a_text_that_ends_like_a_literal_is_still_a_text() -> None:
    client = Imap4Client()
    client.send(b"NOOP")
    first, second = replies(client, [b"* OK curious {5}\r\nA1 OK also {5}\r\n"])
    assert isinstance(first, Status)
    assert first.text == "curious {5}"
    assert client.is_answer(second)


def test_a_continuation_carries_its_text() -> None:
    client = Imap4Client()
    client.send(b"AUTHENTICATE", b"PLAIN")
    assert replies(client, [b"+ Zm9v\r\n+\r\n+ \r\n"]) == [Continuation(b"Zm9v"), *[Continuation(b"")] * 2]


def test_a_bye_is_a_fault_with_the_servers_words() -> None:
    (reply,) = replies(Imap4Client(), [b"* BYE Autologout; idle for too long\r\n"])
    fault = imap4.goodbye(reply)
    assert fault is not None
    assert fault.code is FaultCode.DISCONNECTED
    assert "Autologout; idle for too long" in fault.message
    assert imap4.goodbye(Status("", "OK")) is None
