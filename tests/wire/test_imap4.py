from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.model import FaultCode, LocalFault, RemoteFault
from postbeat.wire import imap4, imap4reply
from postbeat.wire.imap4 import Imap4Client, Literal
from postbeat.wire.imap4reply import Continuation, Data, Fetch, Reply, Status
from tests.wire.feeding import replies as parsed

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"))


def replies(client: Imap4Client, pieces: list[bytes]) -> list[Reply]:
    """All replies, in order, with their type."""
    return parsed(client, pieces)


def unquoted(argument: imap4.Argument) -> str:
    """What a server makes of an argument."""
    if isinstance(argument, Literal):
        return argument.data.decode()
    (value,) = imap4reply.values([argument], argument)
    assert isinstance(value, bytes)
    return value.decode()


def from_modified_utf_7(name: str) -> str:
    """A mailbox name as RFC 3501 section 5.1.3 reads it."""

    def run(match: re.Match[str]) -> str:
        packed = match[1].replace(",", "/")
        return base64.b64decode(packed + "=" * (-len(packed) % 4)).decode("utf-16-be") if packed else "&"

    return re.sub("&([^-]*)-", run, name)


@given(TEXT.filter(lambda text: "[" not in text))
def test_a_string_comes_through_as_an_argument_unchanged(text: str) -> None:
    assert unquoted(imap4.astring(text, "the text")) == text


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("user1@example.org", b"user1@example.org"),
        ("two words", b'"two words"'),
        ('say "x\\y"', rb'"say \"x\\y\""'),
        ("", b'""'),
        ("nil", b'"nil"'),
        ("a]b[c", b'"a]b[c"'),
        ("pässwörd", Literal("pässwörd".encode())),
        ("tab\there", Literal(b"tab\there")),
    ],
)
def test_a_string_is_sent_in_the_simplest_form_that_carries_it(text: str, sent: imap4.Argument) -> None:
    assert imap4.astring(text, "the text") == sent


@given(TEXT, st.sampled_from("\r\n\0"), TEXT)
def test_a_string_that_could_inject_a_command_is_our_fault(before: str, char: str, after: str) -> None:
    for quote in (lambda text: imap4.astring(text, "the password"), imap4.folder_name):
        with pytest.raises(LocalFault):
            quote(before + char + after)


@given(TEXT)
def test_no_argument_but_a_literal_ends_a_line(text: str) -> None:
    for argument in (imap4.astring(text, "the text"), imap4.folder_name(text)):
        assert isinstance(argument, Literal) or not set(argument) & set(b"\r\n\0")


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("INBOX", b"INBOX"),
        ("A & B", b'"A &- B"'),
        ("Entwürfe", b"Entw&APw-rfe"),
        ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
    ],
)
def test_a_folder_is_named_in_modified_utf_7(name: str, sent: bytes) -> None:
    assert imap4.folder_name(name) == sent


@given(TEXT.filter(lambda text: "[" not in text))
def test_a_folder_name_round_trips(name: str) -> None:
    assert from_modified_utf_7(unquoted(imap4.folder_name(name))) == name


def test_the_header_is_asked_for_without_a_trace_and_bounded() -> None:
    item = imap4.header_fields(["X-Postbeat", "Received"], 65536)
    assert item == b"BODY.PEEK[HEADER.FIELDS (X-Postbeat Received)]<0.65536>"


@pytest.mark.parametrize("name", ["", "a b", "a)", "a\r\nb", "ä", "a:"])
def test_a_field_name_that_is_none_is_our_fault(name: str) -> None:
    with pytest.raises(LocalFault):
        imap4.header_fields([name], 1)


def test_a_command_has_a_tag_of_its_own() -> None:
    client = Imap4Client()
    assert client.send(b"NOOP") == b"A1 NOOP\r\n"
    assert client.send(b"UID FETCH", b"1:*", b"(UID)") == b"A2 UID FETCH 1:* (UID)\r\n"
    assert client.proceed() is None


def test_a_literal_waits_for_the_servers_consent() -> None:
    client = Imap4Client()
    user, password = (imap4.astring(text, "it") for text in ("jürgen", "päss wörd"))
    assert client.send(b"LOGIN", user, password) == b"A1 LOGIN {7}\r\n"
    assert client.proceed() == "jürgen".encode() + b" {11}\r\n"
    assert client.proceed() == "päss wörd\r\n".encode()
    assert client.proceed() is None


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


def test_a_fetch_tells_uid_and_header() -> None:
    client = Imap4Client()
    header = b"Subject: {5}\r\n)\r\n\r\n"
    line = b'* 12 FETCH (UID 99 BODY[HEADER.FIELDS ("SUBJECT" DATE)]<0> {%d}\r\n%b FLAGS (\\Seen))\r\n'
    assert replies(client, [line % (len(header), header)]) == [Fetch(12, 99, header)]


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


def test_a_search_gives_numbers() -> None:
    told = replies(Imap4Client(), [b"* SEARCH 2 84 882\r\n* 3 EXISTS\r\n* SEARCH\r\n"])
    assert imap4.search_result(told) == [2, 84, 882]
    with pytest.raises(RemoteFault):
        imap4.search_result([Data("SEARCH", words=(b"2", b"x"))])


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
