from __future__ import annotations

import smtplib

import pytest

from postbeat.embedded.maildrop import MESSAGE_BYTES_LIMIT
from tests.embedded.conftest import Box, body_of

MESSAGE = b"Subject: hello\r\nX-Folded: one\r\n two\r\n\r\nThe text.\r\n"
TOO_LARGE = b"Subject: large\r\n\r\n" + (b"x" * 998 + b"\r\n") * (MESSAGE_BYTES_LIMIT // 1000 + 1)


def read_by_imap4(box: Box) -> bytes:
    with box.imap4() as client:
        _, data = client.fetch("1", "(BODY.PEEK[])")
    assert isinstance(data[0], tuple)
    return bytes(data[0][1])


def read_by_pop3(box: Box) -> bytes:
    with box.pop3() as client:
        return b"".join(line + b"\r\n" for line in client.retr(1)[1])


def sizes(box: Box) -> list[bytes]:
    with box.pop3() as client:
        return list(client.list()[1])


def test_what_is_sent_is_read_by_both_protocols_behind_one_trace_field(box: Box) -> None:
    box.send(MESSAGE)
    message = read_by_imap4(box)
    assert message == read_by_pop3(box)
    trace, _, rest = message.partition(b"Subject:")
    assert b"Subject:" + rest == MESSAGE
    assert trace.startswith(
        b"Received: from client.test ([127.0.0.1])\r\n\tby localhost (Postbeat) with ESMTP"
    )
    assert f"\tfor <{box.address}>;\r\n".encode() in trace


@pytest.mark.parametrize("body", [b".\r\n", b"..\r\n.a\r\n\r\n.\r\n", b"a\r\n...b\r\n"])
def test_lines_that_begin_with_dots_arrive_as_they_were(box: Box, body: bytes) -> None:
    box.send(b"Subject: dots\r\n\r\n" + body)
    assert body_of(read_by_imap4(box)) == body_of(read_by_pop3(box)) == body


def test_bytes_that_are_not_ascii_arrive_as_they_were(box: Box) -> None:
    body = bytes(byte for byte in range(256) if byte not in b"\r\n") + b"\r\n"
    box.send(b"Subject: bytes\r\n\r\n" + body)
    assert body_of(read_by_imap4(box)) == body_of(read_by_pop3(box)) == body


def test_an_unknown_recipient_is_refused_and_the_others_get_the_message(box: Box) -> None:
    with box.smtp() as client:
        refused = client.sendmail("a@example.test", ["nobody@example.test", box.address], MESSAGE)
    assert refused["nobody@example.test"][0] == 550
    assert len(sizes(box)) == 1


def test_a_message_that_says_it_is_too_large_is_refused_before_it_is_sent(box: Box) -> None:
    with box.smtp() as client, pytest.raises(smtplib.SMTPSenderRefused) as caught:
        client.sendmail("a@example.test", [box.address], TOO_LARGE)
    assert caught.value.smtp_code == 552
    assert sizes(box) == []


def test_a_message_that_turns_out_too_large_is_refused_and_the_connection_lasts(box: Box) -> None:
    with box.smtp() as client:
        client.helo()
        client.mail("a@example.test")
        client.rcpt(box.address)
        assert client.data(TOO_LARGE)[0] == 552
        client.sendmail("a@example.test", [box.address], MESSAGE)
    assert len(sizes(box)) == 1


def test_what_follows_a_line_that_is_too_long_is_not_taken_for_commands(box: Box) -> None:
    commands = f"MAIL FROM:<a@b.test>\r\nRCPT TO:<{box.address}>\r\nDATA\r\nhello\r\n.\r\n".encode()
    said = box.talk(
        box.server.smtp, b"EHLO c.test\r\nMAIL FROM:<a@b.test>\r\n" + b"x" * 40_000 + b"\r\n" + commands
    )
    assert said.splitlines()[-1].startswith(b"500 ")
    assert sizes(box) == []


@pytest.mark.parametrize(
    "line", [b"\xff", b"AUTH", b"AUTH PLAIN YQ==", b"AUTH CRAM-MD5\r\nYQ==", b"AUTH PLAIN ?"]
)
def test_a_malformed_command_is_refused_and_the_connection_lasts(box: Box, line: bytes) -> None:
    *_, refusal, bye = box.talk(box.server.smtp, line + b"\r\nQUIT\r\n").splitlines()
    assert refusal.startswith(b"501 ")
    assert bye.startswith(b"221 ")


@pytest.mark.parametrize("mechanism", ["PLAIN", "CRAM-MD5"])
def test_a_login_shows_in_the_trace_field(box: Box, mechanism: str) -> None:
    with box.smtp() as client:
        client.ehlo()
        log_in(client, mechanism, box.user, box.password)
        client.sendmail("a@example.test", [box.address], MESSAGE)
    assert b" with ESMTPA id " in read_by_imap4(box)


@pytest.mark.parametrize("mechanism", ["PLAIN", "CRAM-MD5"])
@pytest.mark.parametrize("user", ["", "nobody"])
def test_a_wrong_password_and_an_unknown_user_are_refused_alike(box: Box, mechanism: str, user: str) -> None:
    with box.smtp() as client:
        client.ehlo()
        with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
            log_in(client, mechanism, user or box.user, "wrong")
        assert (caught.value.smtp_code, caught.value.smtp_error) == (535, b"Authentication failed")
        log_in(client, mechanism, box.user, box.password)


def log_in(client: smtplib.SMTP, mechanism: str, user: str, password: str) -> None:
    client.user, client.password = user, password
    if mechanism == "PLAIN":
        client.auth(mechanism, client.auth_plain)
    else:
        client.auth(mechanism, client.auth_cram_md5)
