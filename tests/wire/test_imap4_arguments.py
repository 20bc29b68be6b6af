from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.model import LocalFault
from postbeat.wire import imap4args, imap4reply
from postbeat.wire.imap4args import Literal

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"))


def unquoted(argument: imap4args.Argument) -> str:
    """What a server makes of an argument."""
    if isinstance(argument, Literal):
        return argument.data.decode()
    (value,) = imap4reply.values([argument], argument)
    assert isinstance(value, bytes)
    return value.decode()


@given(TEXT.filter(lambda text: "[" not in text))
def test_a_string_comes_through_as_an_argument_unchanged(text: str) -> None:
    assert unquoted(imap4args.astring(text, "the text")) == text


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
def test_a_string_is_sent_in_the_simplest_form_that_carries_it(text: str, sent: imap4args.Argument) -> None:
    assert imap4args.astring(text, "the text") == sent


@given(TEXT, st.sampled_from("\r\n\0"), TEXT)
def test_a_string_that_could_inject_a_command_is_our_fault(before: str, char: str, after: str) -> None:
    for quote in (lambda text: imap4args.astring(text, "the password"), imap4args.folder_name):
        with pytest.raises(LocalFault):
            quote(before + char + after)


@given(TEXT)
def test_no_argument_but_a_literal_ends_a_line(text: str) -> None:
    for argument in (imap4args.astring(text, "the text"), imap4args.folder_name(text)):
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
    assert imap4args.folder_name(name) == sent


@given(TEXT.filter(lambda text: "[" not in text), st.booleans())
def test_a_folder_name_round_trips(name: str, utf8: bool) -> None:
    sent = unquoted(imap4args.folder_name(name, utf8=utf8)).encode()
    assert imap4args.folder_text(sent, utf8=utf8) == name


def test_a_folder_is_named_in_utf_8_where_that_is_spoken() -> None:
    assert imap4args.folder_name("A & Entwürfe", utf8=True) == Literal("A & Entwürfe".encode())
    assert imap4args.folder_text("Entwürfe".encode(), utf8=True) == "Entwürfe"
    assert imap4args.folder_text(b"Entw&APw-rfe", utf8=True) == "Entw&APw-rfe"


def test_a_server_that_sends_utf_8_unasked_is_understood() -> None:
    assert imap4args.folder_text("Entwürfe &-".encode()) == "Entwürfe &-"


@pytest.mark.parametrize("name", [b"&A-", b"&2AA-", b"a&b", b"&", b"&AA-x&APw-", b"&!!!-"])
def test_a_folder_name_that_cannot_be_read_stays_as_it_is(name: bytes) -> None:
    assert imap4args.folder_text(name) == name.decode()


@given(st.one_of(st.binary(), st.text("&-,+/AZaz09=\xff").map(str.encode)), st.booleans())
def test_any_folder_name_of_a_server_is_read_somehow(name: bytes, utf8: bool) -> None:
    text = imap4args.folder_text(name, utf8=utf8)
    assert len(text) <= 4 * len(name)
    text.encode()


def test_the_header_is_asked_for_without_a_trace_and_bounded() -> None:
    item = imap4args.header_fields(["X-Postbeat", "Received"], 65536)
    assert item == b"BODY.PEEK[HEADER.FIELDS (X-Postbeat Received)]<0.65536>"


def test_a_message_and_a_body_are_asked_for_without_a_trace_and_bounded() -> None:
    assert imap4args.message_beginning(131072) == b"BODY.PEEK[]<0.131072>"
    assert imap4args.body_beginning(2048) == b"BODY.PEEK[TEXT]<0.2048>"


def test_uids_are_named_one_by_one() -> None:
    assert imap4args.uid_set([5, 7, 4294967295]) == b"5,7,4294967295"


@pytest.mark.parametrize("name", ["", "a b", "a)", "a\r\nb", "ä", "a:"])
def test_a_field_name_that_is_none_is_our_fault(name: str) -> None:
    with pytest.raises(LocalFault):
        imap4args.header_fields([name], 1)
