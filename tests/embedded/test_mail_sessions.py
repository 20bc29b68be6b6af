"""The embedded mail server as the sessions of the product see it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from postbeat.elements import Imap4Element, MailboxElement, Pop3Element
from postbeat.message import FIELD, Envelope, Token, build, recognise
from postbeat.model import FaultCode, LoginType, Poll, RemoteFault
from postbeat.probes import open_session
from postbeat.probes.login import Login
from postbeat.probes.session import MailboxSession, Memory
from postbeat.timeline import Timeline
from tests.embedded.conftest import TIMEOUT_S, Box

KEY = b"the key of this site"
KINDS = pytest.mark.parametrize("kind", ["imap4", "pop3"])
STRANGERS = b"From: stranger@example.test\r\nSubject: keep me\r\n\r\nhello\r\n"


def run(test: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(TIMEOUT_S):
            await test

    asyncio.run(bounded())


def element(box: Box, kind: str, **fields: Any) -> MailboxElement:
    if kind == "imap4":
        return Imap4Element(name="box", server=box.server.host, port=box.server.imap4, **fields)
    return Pop3Element(name="box", server=box.server.host, port=box.server.pop3, **fields)


async def opened(box: Box, kind: str, password: str = "", **fields: Any) -> MailboxSession:
    login = Login(box.user, password or box.password)
    return await open_session(element(box, kind, **fields), login, None, Timeline(), (FIELD, "Received"))


def tracked(box: Box, slot: int) -> bytes:
    token = Token(Poll("box", "here", slot), 1, 1_700_000_000_000_000)
    return build(token, Envelope("monitor@example.test", box.address, "example.test"), KEY)


@KINDS
def test_what_is_ours_is_found_and_deleted_and_the_rest_stays(box: Box, kind: str) -> None:
    async def test() -> None:
        for message in (tracked(box, 1), STRANGERS, tracked(box, 2)):
            box.send(message)
        session = await opened(box, kind)
        found, memory = await session.scan(Memory())
        tokens = [recognise(each.header, [KEY]).token for each in found]
        assert [token and token.poll.slot for token in tokens] == [1, None, 2]
        places = [each.place for each in found]
        texts = (await session.fetch(places)).values()
        assert [text.count(b"Received: ") for text in texts] == [1, 1, 1]
        await session.delete([place for place, token in zip(places, tokens, strict=True) if token])
        await session.finish()

        session = await opened(box, kind)
        assert (await session.scan(memory))[0] == []
        left, _ = await session.scan(Memory())
        assert [each.place for each in left] == [places[1]]
        await session.finish()

    run(test())


@KINDS
def test_a_memory_shows_only_what_came_since(box: Box, kind: str) -> None:
    async def test() -> None:
        box.send(STRANGERS)
        session = await opened(box, kind)
        _, memory = await session.scan(Memory())
        await session.finish()
        box.send(tracked(box, 3))
        session = await opened(box, kind)
        found, _ = await session.scan(memory)
        await session.finish()
        assert len(found) == 1
        assert recognise(found[0].header, [KEY]).token

    run(test())


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("imap4", LoginType.STANDARD),
        ("imap4", LoginType.PLAIN),
        ("imap4", LoginType.CRAM_MD5),
        ("pop3", LoginType.STANDARD),
        ("pop3", LoginType.CRAM_MD5),
        ("pop3", LoginType.APOP),
    ],
)
def test_every_login_gets_in_with_the_password_and_only_with_it(
    box: Box, kind: str, method: LoginType
) -> None:
    async def test() -> None:
        await (await opened(box, kind, authenticationtype=method)).finish()
        with pytest.raises(RemoteFault) as caught:
            await opened(box, kind, "wrong", authenticationtype=method)
        assert caught.value.code is FaultCode.AUTH

    run(test())
