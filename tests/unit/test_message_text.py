"""What a message says: our own words, any text, or a whole message out of a file."""

from __future__ import annotations

import email
import email.policy
import os
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat import mailtext
from postbeat.mailtext import FILE_LIMIT, MailText
from postbeat.message import Envelope, Outgoing, Template, Token, display_name, padding, recognise
from postbeat.model import FaultCode, LocalFault, Poll

KEY = b"k" * 32
TOKEN = Token(Poll("mail", "eu", 5666666), 2, 1_700_000_000_123_456)
ENVELOPE = Envelope("sender@example.com", "probe@example.com", "worker.example.com")
WHOLE = (
    b"Return-Path: <old@example.org>\r\n"
    b"Received: from a by b\r\n\twith ESMTP\r\n"
    b"Delivered-To: old@example.org\r\n"
    b"From: Old <old@example.org>\r\n"
    b"To: old@example.org\r\n"
    b"Date: Mon, 1 Jan 2001 00:00:00 +0000\r\n"
    b"Message-ID: <old@example.org>\r\n"
    b"X-Postbeat: forged\r\n"
    b"Subject: Quarterly\r\n report\r\n"
    b"X-Kept: yes\r\n"
    b"MIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="x"\r\n'
    b"\r\n"
    b"--x\r\n\r\nHello\r\n--x--\r\n"
)


def outgoing(text: MailText, *, payload: int = 0, in_body: bool = False) -> Outgoing:
    return Template(ENVELOPE, text, payload=payload, in_body=in_body).outgoing(TOKEN, KEY)


def whole(made: Outgoing) -> bytes:
    return made.data + b"".join(padding(made.padding))


def ours(header: bytes) -> Token | None:
    """The token in a header, without what it says of the text."""
    token = recognise(header, [KEY]).token
    return replace(token, body="", subject="") if token else None


def parsed(data: bytes) -> EmailMessage:
    mail = email.message_from_bytes(data, policy=email.policy.default)
    assert mail.defects == []
    return mail


def sent(data: bytes, **options: bool | int) -> EmailMessage:
    return parsed(whole(outgoing(mailtext.parse(data), **options)))  # type: ignore[arg-type]


def content(mail: EmailMessage) -> str:
    """The text of a message, with the line ends of this machine."""
    return str(mail.get_content()).replace("\r\n", "\n")


def fault_of(path: Path) -> str:
    with pytest.raises(LocalFault) as caught:
        mailtext.of(str(path))
    assert caught.value.code is FaultCode.FILE
    return caught.value.message


def test_a_text_is_the_body_under_our_own_subject() -> None:
    mail = sent(b"Hello,\nworld\n")
    assert mail["Subject"] == "SMTP Monitor Test Message"
    assert content(mail) == "Hello,\nworld\n"
    assert mail.get_content_charset() == "us-ascii"


@pytest.mark.parametrize("data", ["Grüße\n".encode(), "Grüße\n".encode("latin-1"), "\ufeffGrüße".encode()])
def test_a_text_is_utf_8_or_else_latin_1(data: bytes) -> None:
    mail = sent(data)
    assert content(mail) == "Grüße\n"
    assert mail.get_content_charset() == "utf-8"


@given(st.one_of(st.binary(max_size=3000), st.text(max_size=2000).map(str.encode)))
def test_whatever_a_text_holds_goes_out_in_seven_bits_and_short_lines(data: bytes) -> None:
    text = mailtext.parse(b"\n" + data)
    made = whole(outgoing(text))
    assert made.isascii()
    assert b"\0" not in made
    assert made.count(b"\r\n") == made.count(b"\r") == made.count(b"\n")
    assert all(len(line) <= 998 for line in made.split(b"\r\n"))
    try:
        expected = data.decode()
    except UnicodeDecodeError:
        expected = data.decode("latin-1")
    found = parsed(made).get_payload(decode=True)
    assert isinstance(found, bytes)
    lines = expected.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    assert found.decode().replace("\r\n", "\n").strip("\n") == lines.strip("\n")


def test_a_line_of_any_length_is_sent_in_short_ones() -> None:
    mail = sent(b"x" * 5000 + b"\n")
    assert mail["Content-Transfer-Encoding"] == "quoted-printable"
    assert content(mail) == "x" * 5000 + "\n"


def test_a_whole_message_keeps_its_own_fields_and_its_body() -> None:
    mail = sent(WHOLE)
    assert mail["Subject"] == "Quarterly report"
    assert mail["X-Kept"] == "yes"
    assert mail["Auto-Submitted"] == "auto-generated"
    (part,) = mail.iter_parts()
    assert isinstance(part, EmailMessage)
    assert part.get_content() == "Hello"


def test_what_a_message_may_have_only_once_is_ours() -> None:
    mail = sent(WHOLE)
    for name in ("From", "To", "Date", "Message-ID", "X-Postbeat"):
        (value,) = mail.get_all(name, [])
        assert "old" not in value
        assert "forged" not in value


def test_the_traces_of_an_earlier_journey_are_left_out() -> None:
    made = whole(outgoing(mailtext.parse(WHOLE)))
    assert b"Received" not in made
    assert b"Return-Path" not in made
    assert b"Delivered-To" not in made


def test_a_whole_message_without_a_subject_has_ours() -> None:
    assert sent(b"From: a@example.org\n\nHello\n")["Subject"] == "SMTP Monitor Test Message"


@pytest.mark.parametrize("text", ["Note: hello\n\nworld\n", "Hello\nFrom: me\n\nworld\n", "", "\n"])
def test_a_text_that_only_looks_like_a_header_is_a_text(text: str) -> None:
    assert content(sent(text.encode())).rstrip("\n") == text.rstrip("\n")


@pytest.mark.parametrize(
    ("data", "utf8", "eightbit"),
    [
        ("Subject: Grüße\n\nHello\n".encode(), True, False),
        ("Subject: x\n\nGrüße\n".encode(), False, True),
        (b"Subject: x\n\nHello\n", False, False),
        ("Grüße\n".encode(), False, False),
    ],
)
def test_a_message_says_what_it_needs_of_the_server(data: bytes, utf8: bool, eightbit: bool) -> None:
    made = outgoing(mailtext.parse(data))
    assert (made.utf8, made.eightbit) == (utf8, eightbit)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"Subject: x\n\n" + b"y" * 999 + b"\n", "a line of more than 998 bytes"),
        (b"Subject: " + b"y" * 990 + b"\n\nHello\n", "a line of more than 998 bytes"),
        (b"Subject: x\n\na\0b\n", "NUL"),
        (b"Subject: Gr\xfc\xdfe\n\nHello\n", "not text in UTF-8"),
    ],
)
def test_a_whole_message_that_cannot_be_sent_is_our_own_fault(data: bytes, what: str, tmp_path: Path) -> None:
    (tmp_path / "m.eml").write_bytes(data)
    assert what in fault_of(tmp_path / "m.eml")


def test_a_file_is_read_once_and_again_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "m.txt"
    path.write_text("one\n")
    first = mailtext.of(str(path))
    assert mailtext.of(str(path)) is first
    (tmp_path / "new").write_text("two\n")
    os.replace(tmp_path / "new", path)
    assert mailtext.of(str(path)).body == b"two\r\n"


def test_a_file_that_is_missing_or_is_none_is_our_own_fault(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "No such file" in fault_of(tmp_path / "missing")
    assert "is not a file" in fault_of(tmp_path)
    assert "is not a file" in fault_of(tmp_path / "pipe")


def test_a_file_that_was_good_and_is_gone_is_our_own_fault(tmp_path: Path) -> None:
    path = tmp_path / "m.txt"
    path.write_text("one\n")
    mailtext.of(str(path))
    path.unlink()
    assert "No such file" in fault_of(path)


def test_a_file_may_have_a_mebibyte_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "m.txt"
    path.write_bytes(b"x" * 63 + b"\n")
    os.truncate(path, FILE_LIMIT)
    assert mailtext.of(str(path))
    os.truncate(path, FILE_LIMIT + 1)
    assert f"larger than {FILE_LIMIT} bytes" in fault_of(path)


@given(st.one_of(st.integers(0, 400), st.integers(65_000, 66_500)))
def test_a_payload_pads_the_body_with_whole_lines(payload: int) -> None:
    bare, padded = whole(outgoing(mailtext.OURS)), whole(outgoing(mailtext.OURS, payload=payload))
    bare, padded = bare.partition(b"\r\n\r\n")[2], padded.partition(b"\r\n\r\n")[2]
    assert len(padded) - len(bare) == (max(3, payload) if payload else 0)
    assert padded.endswith(b"\r\n")
    assert all(len(line) <= 78 for line in padded.split(b"\r\n"))


@pytest.mark.parametrize(
    "data",
    [
        b"Hello\n",
        "Grüße\n".encode(),
        WHOLE,
        b"Subject: x\nMIME-Version: 1.0\nContent-Transfer-Encoding: base64\n\nSGVsbG8K\n",
        b"Subject: x\nMIME-Version: 1.0\nContent-Transfer-Encoding: quoted-printable\n\nHello=20\n",
    ],
    ids=["text", "text in UTF-8", "multipart", "base64", "quoted-printable"],
)
def test_tracking_in_the_body_is_recognised_and_leaves_the_text_readable(data: bytes) -> None:
    made = whole(outgoing(mailtext.parse(data), in_body=True))
    mail = parsed(made)
    assert mail["X-Postbeat"] is None
    assert ours(made) == TOKEN
    text = mail.preamble if mail.is_multipart() else mail.get_payload(decode=True).decode()  # type: ignore[union-attr]
    assert "v=2; poll=mail@eu#5666666; attempt=2;" in str(text)


@pytest.mark.parametrize("before", [b"", b"\r\n\r\n", b"--b\r\nContent-Type: text/plain\r\n\r\n"])
@pytest.mark.parametrize("width", [30, 60, 200])
def test_tracking_in_the_body_survives_what_gateways_do(before: bytes, width: int) -> None:
    body = whole(outgoing(mailtext.OURS, in_body=True)).partition(b"\r\n\r\n")[2]
    words, lines = body.split(b" "), [b""]
    for word in words:
        lines = [*lines, word] if len(lines[-1]) > width else [*lines[:-1], lines[-1] + b" " + word]
    assert ours(b"Received: x\r\n\r\n" + before + b"\r\n".join(lines)) == TOKEN


@pytest.mark.parametrize("quote", ["The mail system:\r\n\r\n", "> ", "On Monday you wrote:\r\n"])
def test_a_message_that_quotes_ours_is_not_ours(quote: str) -> None:
    body = whole(outgoing(mailtext.OURS, in_body=True)).partition(b"\r\n\r\n")[2]
    assert recognise(b"\r\n" + quote.encode() + body, [KEY]).token is None


def test_a_bounce_that_holds_our_header_is_not_ours() -> None:
    bounce = b"From: MAILER-DAEMON\r\n\r\n" + whole(outgoing(mailtext.OURS))
    assert recognise(bounce, [KEY]).token is None


@given(st.binary(max_size=400))
def test_no_strangers_body_is_ours(data: bytes) -> None:
    assert recognise(b"\r\n" + data, [KEY]).token is None


@pytest.mark.parametrize("name", ["SMTP-Monitor", "Mail Monitor", "a.b", 'The "Monitor"', "a\\b", "x, y"])
def test_a_display_name_is_read_as_it_was_written(name: str) -> None:
    mail = parsed(Template(Envelope("a@example.com", "b@example.com", "h", name)).outgoing(TOKEN, KEY).data)
    assert mail["From"].addresses[0].display_name == name
    assert mail["From"].defects == ()


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=64))
def test_a_display_name_is_ascii_and_in_short_lines(name: str) -> None:
    shown = display_name(name)
    assert shown.isascii()
    assert all(len(line) <= 78 for line in shown.split("\r\n"))
    assert "\r" not in shown.replace("\r\n ", "")
    assert "\n" not in shown.replace("\r\n ", "")


def test_a_mailbox_that_is_not_ascii_needs_smtputf8_and_a_domain_does_not() -> None:
    made = [
        Template(Envelope("a@example.com", address, "h")).outgoing(TOKEN, KEY)
        for address in ("prüfer@example.com", "probe@büro.example")
    ]
    assert [one.utf8 for one in made] == [True, False]
    assert made[1].recipient == "probe@xn--bro-hoa.example"
    assert "\r\nTo: <prüfer@example.com>\r\n" in made[0].data.decode()


def test_with_the_null_sender_the_mailbox_itself_is_the_author() -> None:
    made = Template(Envelope("", "probe@example.com", "h")).outgoing(TOKEN, KEY)
    assert made.sender == ""
    assert parsed(made.data)["From"].addresses[0].addr_spec == "probe@example.com"
