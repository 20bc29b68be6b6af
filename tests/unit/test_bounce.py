from __future__ import annotations

import base64
import binascii

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postbeat.arrival.bounce import RECIPIENTS_LIMIT, SIZE_LIMIT, TEXT_LIMIT, Notice, read
from postbeat.arrival.mime import DEPTH_LIMIT, PARTS_LIMIT
from tests.conftest import MANY
from tests.unit.bounces import BOUNCES, POSTFIX, TOKEN, mail


def noticed(message: bytes) -> Notice:
    notice = read(message)
    assert notice is not None
    return notice


def report(status: str, *, fields: str = "Return-Path: <>", returned: str = "TOKEN") -> bytes:
    """A report with these groups of fields."""
    parts = [
        f"{fields}\nContent-Type: multipart/report; boundary=b1\n\n--b1",
        f"Content-Type: message/delivery-status\n\n{status}\n--b1",
        f"Content-Type: text/rfc822-headers\n\n{returned}\n--b1--\n",
    ]
    return mail("\n".join(parts))


def words(text: str, fields: str = "Return-Path: <>") -> bytes:
    """A message in a server's own words."""
    return mail(f"{fields}\n\n{text}\n\nReceived: by mx.example.com\nTOKEN\n")


@pytest.mark.parametrize("server", BOUNCES)
def test_each_servers_bounce_says_what_happened(server: str) -> None:
    message, bounce = BOUNCES[server]
    assert noticed(message).bounce == bounce


@pytest.mark.parametrize("server", BOUNCES)
def test_the_returned_header_is_handed_over_as_it_was(server: str) -> None:
    assert any(TOKEN.encode() in text for text in noticed(BOUNCES[server][0]).texts)


@pytest.mark.parametrize("server", BOUNCES)
def test_line_ends_of_one_character_change_nothing(server: str) -> None:
    message, bounce = BOUNCES[server]
    assert noticed(message.replace(b"\r\n", b"\n")).bounce == bounce


@pytest.mark.parametrize("server", BOUNCES)
def test_a_notification_without_its_end_says_the_same(server: str) -> None:
    message, bounce = BOUNCES[server]
    assert noticed(message[:-8]).bounce == bounce


def test_only_what_was_returned_is_searched_where_something_was() -> None:
    (text,) = noticed(POSTFIX).texts
    assert b"mail system at host" not in text


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_a_returned_message_is_decoded(encoding: str) -> None:
    returned = mail("TOKEN\n\nthe text = the text\n")
    coded = base64.encodebytes(returned) if encoding == "base64" else binascii.b2a_qp(returned)
    status = "Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.1.1\n"
    start, _, end = report(status, returned="HERE").partition(b"\r\n\r\nHERE")
    declared = f"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
    assert noticed(start + declared + coded + end).texts[0].rstrip() == returned.rstrip()


def test_of_several_recipients_the_one_that_fared_worst_counts() -> None:
    fates = [("there", "delivered", "2.0.0"), ("slow", "delayed", "4.4.1"), ("gone", "failed", "5.1.1")]
    groups = [
        f"Final-Recipient: rfc822; {name}@example.com\nAction: {action}\nStatus: {status}\n"
        for name, action, status in [*fates, fates[0], fates[1]]
    ]
    bounce = noticed(report("\n".join(["Reporting-MTA: dns; mx.example.com\n", *groups]))).bounce
    assert (bounce.action, bounce.status, bounce.recipient) == ("failed", "5.1.1", "gone@example.com")


@pytest.mark.parametrize(
    ("status", "action"), [("5.1.1", "failed"), ("4.4.1", "delayed"), ("2.1.5", "delivered"), ("", "failed")]
)
def test_an_action_that_is_missing_follows_from_the_status(status: str, action: str) -> None:
    assert (
        noticed(report(f"Final-Recipient: rfc822; a@example.com\nStatus: {status}\n")).bounce.action == action
    )


@pytest.mark.parametrize(
    ("field", "diagnostic", "status"),
    [
        ("5.0.0", "smtp; 550 5.1.1 no such user", "5.1.1"),
        ("5.0.0", "smtp; 450 4.1.1 no such user", "5.0.0"),
        ("5.2.1", "smtp; 550 5.1.1 no such user", "5.2.1"),
        ("", "smtp; 550 5.1.1 no such user", "5.1.1"),
        ("none", "smtp; 550 host 5.1.1.9 is not welcome", ""),
        ("5.1.1 (no such user)", "", "5.1.1"),
    ],
)
def test_the_more_precise_status_is_taken(field: str, diagnostic: str, status: str) -> None:
    group = f"Action: failed\nStatus: {field}\nDiagnostic-Code: {diagnostic}\n"
    assert noticed(report(group)).bounce.status == status


def test_a_diagnostic_without_a_type_is_taken_whole() -> None:
    bounce = noticed(report("Action: failed\nDiagnostic-Code: 550 5.1.1 no; not here\n")).bounce
    assert (bounce.text, bounce.status) == ("550 5.1.1 no; not here", "5.1.1")


def test_what_a_server_says_is_bounded_and_printable() -> None:
    long = "550 5.1.1 \x1b[31m" + "x" * 2000
    for message in (report(f"Action: failed\nDiagnostic-Code: smtp; {long}\n"), words(long)):
        text = noticed(message).bounce.text
        assert text.startswith("550 5.1.1 ?[31mxxx")
        assert len(text) == TEXT_LIMIT


@pytest.mark.parametrize(
    ("text", "action", "status"),
    [
        ("<a@example.com>:\nSorry, no mailbox here by that name. (#5.1.1)", "failed", "5.1.1"),
        ("554 delivery error: this user does not have an account", "failed", "5.0.0"),
        ("Warning: not delivered since 4 hours.\n451 4.3.0 try later", "delayed", "4.3.0"),
        ("The version 2.11.3 of 192.0.2.5 and 5.1.1.1\nmet 552-the mailbox is full", "failed", "5.0.0"),
    ],
)
def test_words_of_a_server_are_read_for_a_code(text: str, action: str, status: str) -> None:
    bounce = noticed(words(text)).bounce
    assert (bounce.action, bounce.status) == (action, status)
    assert bounce.text == text.splitlines()[-1]


@pytest.mark.parametrize("fields", ["Return-Path: <>", "Return-Path: < >", "From: MAILER-DAEMON@x.test"])
def test_words_of_a_server_come_from_nobody_or_from_a_mailer_daemon(fields: str) -> None:
    text = "554 5.7.1 no"
    assert noticed(words(text, fields)).bounce.status == "5.7.1"
    assert read(words(text, f"X-{fields}\nReturn-Path: <a@example.com>\nFrom: a@example.com")) is None


VACATION = "Return-Path: <>\nAuto-Submitted: auto-replied (vacation)"


@pytest.mark.parametrize(
    "message",
    [
        b"",
        words("I am away until room 550 is free: 550 5.1.1", VACATION),
        words("I am away until Monday."),
        mail("""
            Return-Path: <>
            Content-Type: multipart/report; report-type=disposition-notification; boundary=b1

            --b1

            550 5.1.1 was read
            --b1
            Content-Type: message/disposition-notification

            Final-Recipient: rfc822; a@example.com
            Disposition: automatic-action/MDN-sent-automatically; displayed

            --b1
            Content-Type: text/rfc822-headers

            TOKEN
            --b1--
            """),
        mail("""
            From: a@example.com
            Content-Type: multipart/mixed; boundary=b1

            --b1

            Look at this bounce!
            --b1
            Content-Type: message/rfc822

            """)
        + POSTFIX
        + b"\r\n--b1--\r\n",
        mail("From: a@example.com\nTOKEN\n\n550 5.1.1 said a person\n"),
    ],
    ids=["nothing", "vacation", "no code", "disposition", "forwarded", "person"],
)
def test_what_is_no_notification_of_a_delivery_is_none(message: bytes) -> None:
    assert read(message) is None


def nested(depth: int, inside: bytes) -> bytes:
    for level in range(depth):
        boundary = b"b%d" % level
        start = b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n--%b\r\n" % (boundary, boundary)
        inside = start + inside + b"\r\n--%b--\r\n" % boundary
    return inside


def test_a_report_is_found_where_a_gateway_has_wrapped_it_but_not_at_any_depth() -> None:
    assert noticed(nested(DEPTH_LIMIT - 1, POSTFIX)).bounce.status == "5.1.1"
    assert read(nested(DEPTH_LIMIT, POSTFIX)) is None


def test_only_so_many_parts_and_recipients_are_looked_at() -> None:
    group = "Final-Recipient: rfc822; a@example.com\nAction: %s\nStatus: %s\n\n"
    few = group % ("delivered", "2.0.0") * (RECIPIENTS_LIMIT - 1)
    assert noticed(report(few + group % ("failed", "5.1.1"))).bounce.action == "failed"
    many = group % ("delivered", "2.0.0") * (RECIPIENTS_LIMIT + 1)
    assert noticed(report(many + group % ("failed", "5.1.1"))).bounce.action == "delivered"
    stuffed = report("Action: failed\n").replace(
        b"\r\n--b1\r\n", b"\r\n--b1\r\n\r\n" * PARTS_LIMIT + b"--b1\r\n", 1
    )
    assert read(stuffed) is None


def test_what_lies_beyond_the_limit_is_not_looked_at() -> None:
    assert read(b"X-Long: " + b"x" * SIZE_LIMIT + b"\r\n" + POSTFIX) is None


# Pieces of notifications put together wrongly find more than bytes at random do.
WORDS = (
    b"\r\n|\n|\r\n\r\n| |;|:|<>|\\x{110000}|\\x{E9}|\xff|\0|=|=3|--b1|--|b1|b1--|\r\n--b1\r\n|\r\n--b1--\r\n"
    b"|Return-Path: <>\r\n|From: MAILER-DAEMON\r\n|Content-Type: |multipart/report; boundary=b1|text/plain|"
    b'; boundary="b1"|message/delivery-status|message/rfc822|Content-Transfer-Encoding: base64\r\n|"|550 |'
    b"Content-Transfer-Encoding: quoted-printable\r\n|Reporting-MTA: dns; a\r\n|Final-Recipient: utf-8; |"
    b"YWJj|a@b|Action: |failed|delayed\r\n|Status: |5.1.1|4.0.0|Diagnostic-Code: smtp; |X-Failed-Recipients: "
).split(b"|")
PIECES = st.lists(st.sampled_from(WORDS), max_size=40).map(b"".join)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A real notification in which something was overwritten."""
    message = draw(st.sampled_from([message for message, _ in BOUNCES.values()]))
    start = draw(st.integers(0, len(message)))
    end = draw(st.integers(start, min(len(message), start + 200)))
    return message[:start] + draw(PIECES) + message[end:]


@settings(max_examples=MANY)
@given(st.one_of(st.binary(max_size=300), PIECES, damaged()))
@example(b"Content-Type: multipart/report; boundary=\r\n\r\n--\r\n\r\n--\r\n")
@example(report("Action: failed\nFinal-Recipient: utf-8; \\x{110000}\\x{0}\\x{D800}@x\n"))
def test_whatever_comes_gives_nothing_or_a_bounded_printable_notice(message: bytes) -> None:
    notice = read(message)
    if notice is None:
        return
    bounce = notice.bounce
    assert bounce.action in ("failed", "delayed", "expanded", "relayed", "delivered")
    for text in (bounce.status, bounce.text, bounce.recipient, bounce.reported_by, bounce.remote):
        assert text.isprintable()
        assert len(text) <= TEXT_LIMIT
        text.encode("utf-8")
    assert sum(map(len, notice.texts)) <= len(message)
