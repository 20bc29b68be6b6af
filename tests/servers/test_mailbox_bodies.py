"""Readers of a mailbox whose messages carry their tracking information in the body."""

from __future__ import annotations

import pytest

from postbeat.message import Envelope, Template, Token, recognise
from postbeat.model import Poll
from postbeat.probes.session import BODY_LIMIT, Memory
from tests.servers.conftest import Run
from tests.servers.openings import imap4_script, open_imap4, open_pop3, pop3_script
from tests.servers.scripted import Send, Step, dialogue, scripted

KEY = b"k" * 32
TOKEN = Token(Poll("mail", "eu", 7), 1, 1_700_000_000_000_000)
ENVELOPE = Envelope("a@example.com", "b@example.com", "h")
BODY = Template(ENVELOPE, in_body=True).outgoing(TOKEN, KEY).data.partition(b"\r\n\r\n")[2]
RECEIVED = b"Received: from a by b\r\n\r\n"


def imap4(header: bytes, text: bytes) -> list[Step]:
    """A mailbox with one message."""
    shown = (
        b"* 1 FETCH (UID 4 BODY[HEADER.FIELDS (X-POSTBEAT RECEIVED)]<0> {%d}\r\n%b BODY[TEXT]<0> {%d}\r\n%b)"
    )
    fetch = "C: {tag} UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (X-Postbeat Received)]<0.65536>"
    return [
        *imap4_script(f"{fetch} BODY.PEEK[TEXT]<0.{BODY_LIMIT}>)", exists=1, uidnext=5),
        Send(shown % (len(header), header, len(text), text) + b"\r\n"),
        *dialogue("S: {tag} OK fetched"),
    ]


def pop3(header: bytes, text: bytes) -> list[Step]:
    """A maildrop with one message."""
    listed = "C: STAT\nS: +OK 1 99\nC: UIDL\nS: +OK\nS: 1 a\nS: .\nC: TOP 1 8\nS: +OK"
    return [
        *pop3_script(listed),
        Send(b"From: x\r\n" + header + text.replace(b"\r\n.", b"\r\n..") + b".\r\n"),
    ]


@pytest.mark.parametrize("kind", ["imap4", "pop3"])
def test_the_beginning_of_a_body_is_fetched_with_the_header(run: Run, kind: str) -> None:
    async def test() -> None:
        steps = imap4(RECEIVED, BODY) if kind == "imap4" else pop3(RECEIVED, BODY)
        async with scripted(steps) as server:
            opened = open_imap4 if kind == "imap4" else open_pop3
            session = await opened(server, usebody=1)
            (found,), _ = await session.scan(Memory())
            session.abort()
        token = recognise(found.header, [KEY]).token
        assert token is not None
        assert (token.poll, token.sent_at_us) == (TOKEN.poll, TOKEN.sent_at_us)

    run(test())


@pytest.mark.parametrize("kind", ["imap4", "pop3"])
def test_no_more_of_a_body_is_kept_than_was_asked_for(run: Run, kind: str) -> None:
    async def test() -> None:
        long = (b"y" * 70 + b"\r\n") * 800
        steps = imap4(RECEIVED, long) if kind == "imap4" else pop3(RECEIVED, long)
        async with scripted(steps) as server:
            opened = open_imap4 if kind == "imap4" else open_pop3
            session = await opened(server, usebody=1)
            (found,), _ = await session.scan(Memory())
            session.abort()
        assert len(found.header) == len(RECEIVED) + BODY_LIMIT

    run(test())
