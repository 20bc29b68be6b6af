"""What was changed in a message on the way, as far as its token tells."""

from __future__ import annotations

import base64
import binascii
import email
import email.policy
import time
from collections.abc import Callable
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbeat import mailtext
from postbeat.arrival import canonical
from postbeat.arrival.body import BANNER_LINES, PARTS_SHOWN, SHOWN_LIMIT, changes
from postbeat.arrival.fields import split
from postbeat.message import Envelope, Template, Token, padding, recognise
from postbeat.model import Poll
from tests.conftest import MANY
from tests.growth import is_linear

KEY = b"k" * 32
TOKEN = Token(Poll("mail", "eu", 5666666), 2, 1_700_000_000_123_456)
ENVELOPE = Envelope("sender@example.com", "probe@example.com", "worker.example.com")
MULTIPART = (
    b"From: a@example.org\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from\n afar\nMIME-Version: 1.0\n"
    b'Content-Type: multipart/alternative; boundary="x"\n\n'
    b"--x\n\nHello\n--x\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64\n\n"
    + base64.encodebytes("<p>Grüße</p>".encode())
    + b"--x--\n"
)
IN_BASE64 = b"Subject: x\nMIME-Version: 1.0\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(
    b"Hello\n" * 40
)
TEXTS = {
    "ours": b"",
    "empty": b"\n",
    "blanks": b"\n\n  two  blanks \t\n\n.\n..dots\n\n\n",
    "utf-8": "Grüße,\nund =20 und =\n".encode(),
    "8bit": "Subject: x\nContent-Type: text/plain; charset=utf-8\n\nGrüße\n".encode(),
    "multipart": MULTIPART,
    "base64": IN_BASE64,
}
ALL_TEXTS = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
IN_BODY = pytest.mark.parametrize("in_body", [False, True], ids=["in header", "in body"])


def sent(text: bytes = b"", *, payload: int = 0, in_body: bool = False) -> bytes:
    said = mailtext.parse(text) if text else mailtext.OURS
    made = Template(ENVELOPE, said, payload=payload, in_body=in_body).outgoing(TOKEN, KEY)
    return made.data + b"".join(padding(made.padding))


def altered(data: bytes, original: bytes | None = None, *, complete: bool = True) -> tuple[str, ...]:
    """What is said of a message whose token is that of the original."""
    token = recognise(data if original is None else original, [KEY]).token
    assert token is not None
    return changes(*split(data), token, complete=complete)


def body(data: bytes) -> bytes:
    return data.partition(b"\r\n\r\n")[2]


def with_body(data: bytes, text: bytes, fields: bytes = b"") -> bytes:
    """A message with another body, and the fields that describe it."""
    header = data.partition(b"\r\n\r\n")[0] + b"\r\n"
    if fields:
        lines = header.splitlines(keepends=True)
        header = b"".join(line for line in lines if not line.startswith((b"Content-", b"MIME-"))) + fields
    return header + b"\r\n" + text


def field(encoding: str, kind: str = "text/plain; charset=us-ascii") -> bytes:
    return f"MIME-Version: 1.0\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n".encode()


def wrapped(*parts: bytes) -> bytes:
    """Our message inside a multipart; "{}" stands for our own text."""
    ours = b"Content-Type: text/plain\r\n\r\n" + body(sent())
    inside = b"".join(b"--b\r\n" + (ours if part == b"{}" else part) + b"\r\n" for part in parts)
    return with_body(sent(), inside + b"--b--\r\n", field("7bit", "multipart/mixed; boundary=b"))


@ALL_TEXTS
@IN_BODY
@pytest.mark.parametrize("payload", [0, 1, 1000, 100_000])
def test_what_arrives_as_it_was_sent_is_not_altered(text: bytes, in_body: bool, payload: int) -> None:
    assert altered(sent(text, payload=payload, in_body=in_body)) == ()


@ALL_TEXTS
@IN_BODY
def test_line_ends_trailing_blanks_and_empty_lines_do_not_count(text: bytes, in_body: bool) -> None:
    data = sent(text, in_body=in_body)
    assert altered(data.replace(b"\r\n", b"\n"), data) == ()
    assert altered(data + b"\r\n \t\r\n\r\n", data) == ()
    if b"base64" not in data and b"quoted-printable" not in data and b"multipart" not in data:
        assert altered(with_body(data, body(data).replace(b"\r\n", b" \t\r\n")), data) == ()


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("base64", base64.encodebytes),
        ("BASE64", lambda text: base64.b64encode(text).replace(b"V", b"V \r\n")),
        ("quoted-printable", binascii.b2a_qp),
        ("Quoted-Printable", lambda text: b"".join(b"=%02X" % byte for byte in text)),
        ("8bit", lambda text: text),
    ],
)
@IN_BODY
def test_another_transfer_encoding_does_not_count(
    encoding: str, encode: Callable[[bytes], bytes], in_body: bool
) -> None:
    data = sent(in_body=in_body)
    assert altered(with_body(data, encode(body(data)), field(encoding)), data) == ()


def test_another_character_set_does_not_count() -> None:
    data = sent(TEXTS["utf-8"])
    for charset in ("iso-8859-1", "windows-1252", "utf-16"):
        text = email.message_from_bytes(data, policy=email.policy.default).get_content()
        kind = f'text/plain; format=flowed; charset="{charset.upper()}"'
        assert altered(with_body(data, base64.encodebytes(text.encode(charset)), field("base64", kind))) == ()


def test_other_boundaries_and_encodings_inside_a_multipart_do_not_count() -> None:
    data = sent(MULTIPART)
    changed = data.replace(b"--x", b"--another").replace(b'"x"', b"another")
    changed = changed.replace(
        b"\r\n\r\nHello\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\nSGVsbG8K\r\n"
    )
    assert changed.count(b"another") == 4
    assert altered(changed) == ()


@pytest.mark.parametrize(
    "subject",
    [
        "=?utf-8?q?Gr=C3=BC=C3=9Fe_from?= afar",
        "=?UTF-8?B?R3LDvMOfZSBmcm9tIGFmYXI=?=",
        "=?iso-8859-1?Q?Gr=FC=DFe?=\r\n from\r\n\tafar",
        "=?utf-8*de?q?Gr=C3?=\r\n =?utf-8?q?=BC=C3=9Fe_from_?= =?us-ascii?q?afar?=",
        "Grüße  from afar",
    ],
)
def test_another_form_of_the_subject_does_not_count(subject: str) -> None:
    data = sent(MULTIPART)
    original = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from\r\n afar\r\n"
    assert original in data
    assert altered(data.replace(original, f"Subject: {subject}\r\n".encode())) == ()


def test_a_changed_subject_is_shown() -> None:
    tagged = sent().replace(b"Subject: ", b"Subject: =?utf-8?q?[W=C3=BCrger=00]?= ")
    assert altered(tagged) == ('the subject was changed to "[Würger?] SMTP Monitor Test Message"',)
    (long,) = altered(sent().replace(b"Subject: ", b"Subject: " + b"y" * 900))
    assert len(long) < SHOWN_LIMIT + 40


def test_a_subject_that_is_gone_is_told() -> None:
    assert altered(sent().replace(b"Subject:", b"X-Subject:")) == ("the subject was removed",)


@IN_BODY
@pytest.mark.parametrize(
    "text", [TEXTS["ours"], TEXTS["blanks"], TEXTS["8bit"]], ids=["ours", "blanks", "8bit"]
)
def test_text_after_ours_is_told_with_its_beginning(text: bytes, in_body: bool) -> None:
    data = sent(text, in_body=in_body)
    said = ('41 bytes were added to the text: "-- This message was scanned for viruses."',)
    assert altered(data + b"\r\n-- \r\nThis message was scanned for viruses.\r\n", data) == said


def test_text_in_the_same_last_line_is_text_after_ours() -> None:
    assert altered(sent().removesuffix(b"\r\n") + b" [scanned]\r\n") == (
        '9 bytes were added to the text: "[scanned]"',
    )


def test_text_that_is_added_to_none_is_told() -> None:
    assert altered(sent(TEXTS["empty"]) + b"Hello\r\n") == ('5 bytes were added to the text: "Hello"',)


def test_text_before_ours_is_told_with_its_beginning() -> None:
    data = with_body(sent(), b"CAUTION: external\r\n\r\n" + body(sent()))
    assert altered(data) == ('21 bytes were put before the text: "CAUTION: external"',)


@pytest.mark.parametrize("lines", [1, BANNER_LINES])
def test_text_before_and_after_ours_is_told(lines: int) -> None:
    data = with_body(sent(), b"external\r\n" * lines + body(sent()) + b"-- \r\nscanned\r\n")
    before, after = altered(data)[0].split("; ")
    assert before.startswith(f'{lines * 10} bytes were put before the text: "external')
    assert after == '11 bytes were added to the text: "-- scanned"'


def test_a_changed_text_is_told_with_the_lengths() -> None:
    text = body(sent()).replace(b"Monitor", b"monitor").replace(b"A monitor", b"No monitor")
    assert altered(with_body(sent(), text)) == (
        "the text was rewritten: 156 bytes were sent, 157 are there:"
        ' "This message tests the mail service. No monitor sent it and will delete it once "',
    )


def test_a_text_that_is_gone_is_told() -> None:
    assert altered(with_body(sent(), b"\r\n")) == ("the text is gone: 156 bytes were sent",)


def test_what_was_put_beside_our_text_is_named() -> None:
    image = (
        b'Content-Type: image/png; name="logo.png"\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo='
    )
    note = b"Content-Type: text/plain\r\n\r\nList guidelines\r\n"
    page = b"Content-Type: text/html\r\n\r\n<p>Hello"
    begin = "the body was put into a multipart; added: "
    assert altered(wrapped(b"{}", image, page)) == (f'{begin}image/png "logo.png", text/html',)
    assert altered(wrapped(note, b"{}")) == (f'{begin}text/plain "List guidelines"',)
    assert altered(wrapped(b"{}", *[page] * 9)) == (
        f"{begin}{', '.join(['text/html'] * PARTS_SHOWN)}, 4 more",
    )


def test_a_multipart_of_ours_with_a_part_more_is_told() -> None:
    added = sent(MULTIPART).replace(b"--x--", b"--x\r\n\r\nscanned\r\n--x--")
    assert altered(added) == ('the body was put into a multipart; added: text/plain "scanned"',)


def test_a_multipart_with_nothing_but_our_text_reads_the_same() -> None:
    assert altered(wrapped(b"{}")) == ()


def test_a_header_that_ends_too_early_is_told() -> None:
    moved = sent().replace(b"MIME-Version", b"\r\nMIME-Version")
    (said,) = altered(moved)
    assert said.startswith('3 fields of the header are in the body: "MIME-Version: 1.0 Content-Type')


def test_a_banner_that_looks_like_a_field_is_text() -> None:
    data = with_body(sent(), b"Note: external\r\n\r\n" + body(sent()))
    assert altered(data) == ('18 bytes were put before the text: "Note: external"',)


def test_of_a_message_that_was_cut_off_what_is_there_is_judged() -> None:
    data = sent()
    for size in (len(data) - 60, len(data) - 1, len(data)):
        assert altered(data[:size], data, complete=False) == ()
    assert altered(data + b"scanned", complete=False) == (
        'at least 7 bytes were added to the text: "scanned"',
    )
    assert altered(data[:-60].replace(b"Subject: ", b"Subject: x "), data, complete=False) == (
        'the subject was changed to "x SMTP Monitor Test Message"',
    )
    assert "rewritten" in altered(data.replace(b"too.", b"two.") + b"\r\nmore", data, complete=False)[0]


def test_of_a_long_text_the_beginning_is_judged() -> None:
    data = sent(payload=1_000_000)[: 128 * 1024]
    assert altered(data, complete=False) == ()
    (said,) = altered(data.replace(b"mail service", b"male service"), complete=False)
    assert said.startswith(
        f"the text was rewritten: {canonical.BODY_LIMIT} bytes or more were sent, at least 1"
    )
    banner = with_body(data, b"external\r\n" + body(data))
    assert altered(banner, complete=False) == ('10 bytes were put before the text: "external"',)


def test_what_a_token_says_nothing_of_is_not_judged() -> None:
    assert changes(*split(b"Subject: x\r\n\r\ny"), TOKEN, complete=True) == ()


@pytest.mark.parametrize("payload", [50_000_000])
def test_a_template_for_a_large_payload_is_made_at_once(payload: int) -> None:
    began = time.process_time()
    Template(ENVELOPE, payload=payload)
    assert time.process_time() - began < 0.2


WORDS = (
    b"Content-Type: |multipart/mixed; boundary=b|text/plain; charset=|utf-16|utf-7|idna|\r\n|\r\n\r\n|--b"
    b"|--b--|\n| |Content-Transfer-Encoding: |base64|quoted-printable|Subject: |=?utf-8?q?|=?x?b?|?=|=|A|\xff"
    b"|\0|X-Postbeat: "
).split(b"|")
PIECES = st.lists(st.sampled_from(WORDS), max_size=40).map(b"".join)


@st.composite
def overwritten(draw: st.DrawFn) -> bytes:
    """A message of ours in which something was overwritten."""
    data = draw(st.sampled_from(SENT))
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 100)))
    return data[:start] + draw(st.one_of(PIECES, st.binary(max_size=20))) + data[end:]


SENT = [sent(text, in_body=in_body) for text in TEXTS.values() for in_body in (False, True)]
SAID = [token for token in (recognise(data, [KEY]).token for data in SENT) if token]


@settings(max_examples=MANY)
@given(st.one_of(st.binary(max_size=300), PIECES, overwritten()), st.sampled_from(SAID), st.booleans())
def test_whatever_comes_is_told_in_some_printable_words(data: bytes, token: Token, complete: bool) -> None:
    for said in changes(*split(data), token, complete=complete):
        assert said.isprintable()
        assert 0 < len(said) < 1000


def nested(depth: int) -> bytes:
    data = b"Hello\r\n"
    for level in range(depth):
        data = b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n%b\r\n--b%d--\r\n" % (
            level,
            level,
            data,
            level,
        )
    return data


MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
HOSTILE: dict[str, Callable[[int], bytes]] = {
    "boundaries": lambda size: MIXED + b"--b\r\n" * (size // 5),
    "dashes": lambda size: MIXED + b"--" * (size // 2),
    "parts": lambda size: MIXED + b"--b\r\n\r\nx\r\n" * (size // 10),
    "nested": lambda size: nested(size // 90),
    "encoded words": lambda size: b"Subject: " + b"=?a?q?" * (size // 6) + b"\r\n\r\n",
    "long words": lambda size: b"Subject: " + b"=?a?q?b?= " * (size // 10) + b"\r\n\r\n",
    "blanks": lambda size: b"\r\n" + b" " * size,
    "blank lines": lambda size: b"\r\n" + b" \t\r\n" * (size // 4) + b"x",
    "base64": lambda size: b"Content-Transfer-Encoding: base64\r\n\r\n" + b"=A\r\n" * (size // 4),
    "quoted-printable": lambda size: (
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=\r\n" * (size // 3)
    ),
    "trackings": lambda size: b"\r\n" + b"X-Postbeat: v=2; poll=" * (size // 22),
    "names": lambda size: b"Content-Type: multipart/x;" + b"boundary = " * (size // 11) + b"\r\n\r\n",
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_the_time_follows_the_length(make: Callable[[int], bytes]) -> None:
    def work(data: bytes) -> None:
        changes(*split(data), SAID[0], complete=True)

    assert is_linear(work, make(32 * 1024), make(128 * 1024))


def test_parts_too_many_or_too_deep_are_not_looked_at() -> None:
    assert "rewritten" in altered(nested(50), sent())[-1]
    many = EmailMessage()
    many["Content-Type"] = "multipart/mixed; boundary=b"
    assert "text is gone" in altered(bytes(many) + b"--b\r\n\r\n" * 500, sent())[-1]
