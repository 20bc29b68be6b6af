"""The reader's session on a real Dovecot, and what the standard library's client sees before and after."""

from __future__ import annotations

import asyncio
import poplib

import pytest

from postbeat.elements import Pop3Element
from postbeat.model import FaultCode, FaultError, Side
from postbeat.probes.login import Login
from postbeat.probes.pop3 import Pop3Session, open_session
from postbeat.probes.session import Memory
from postbeat.timeline import Timeline
from tests.mailservers import Account, MailServers
from tests.servers.pop3drop import uids_of


async def opened(servers: MailServers, account: Account) -> Pop3Session:
    element = Pop3Element(name="box", server="127.0.0.1", port=servers.ports["pop3"])
    login = Login(account.name, account.password)
    return await open_session(element, login, Timeline(), ("X-Postbeat", "Message-ID"))


def message(number: int) -> bytes:
    return b"Message-ID: <%d@x>\r\nSubject: hello\r\n\r\nThis is number %d.\r\n" % (number, number)


def listed(servers: MailServers, account: Account) -> list[str]:
    """The unique-ids, as an independent client sees them."""
    client = poplib.POP3("127.0.0.1", servers.ports["pop3"], timeout=10)
    client.user(account.name)
    client.pass_(account.password)
    uids = [line.split()[1].decode() for line in client.uidl()[1]]
    client.quit()
    return uids


def test_what_is_seen_fetched_and_left_is_what_another_client_sees(servers: MailServers) -> None:
    account = servers.account()
    servers.put(account, map(message, range(120)))
    before = listed(servers, account)

    async def test() -> None:
        session = await opened(servers, account)
        found, _ = await session.scan(Memory())
        assert uids_of(found) == before
        assert found[7].header == b"Message-ID: <7@x>\r\n\r\n"
        texts = await session.fetch([found[3].place, found[119].place])
        assert list(texts.values()) == [message(3), message(119)]
        facts = await session.facts()
        assert facts.messages == facts.folders[""] == 120
        assert facts.size_bytes == sum(len(message(number)) for number in range(120))
        await session.delete([found[5].place, found[119].place])
        await session.finish()

    asyncio.run(test())
    assert listed(servers, account) == [uid for place, uid in enumerate(before) if place not in (5, 119)]
    assert sorted(servers.messages(account)) == sorted(message(n) for n in range(120) if n not in (5, 119))


def test_a_broken_session_deletes_nothing(servers: MailServers) -> None:
    account = servers.account()
    servers.put(account, [message(1)])

    async def test() -> None:
        session = await opened(servers, account)
        found, _ = await session.scan(Memory())
        await session.delete([found[0].place])
        session.abort()

    asyncio.run(test())
    assert len(servers.messages(account)) == 1


def test_a_pass_over_two_thousand_strangers_costs_hardly_more_than_an_empty_mailbox(
    servers: MailServers,
) -> None:
    empty, full = servers.account(), servers.account()
    servers.put(full, map(message, range(2000)))

    async def look(account: Account, memory: Memory) -> tuple[int, int, Memory]:
        session = await opened(servers, account)
        found, memory = await session.scan(memory)
        await session.finish()
        return len(found), session.stream.read_bytes + session.stream.written_bytes, memory

    async def test() -> None:
        _, free_bytes, _ = await look(empty, Memory())
        memory = Memory()
        seen = []
        for _ in range(5):
            found, pass_bytes, memory = await look(full, memory)
            seen.append(found)
        assert seen == [500, 500, 500, 500, 0]
        assert pass_bytes - free_bytes < 200
        assert pass_bytes < 2 * free_bytes

    asyncio.run(test())


def test_a_second_session_finds_the_mailbox_in_use(servers: MailServers) -> None:
    account = servers.account()
    servers.put(account, [message(1)])

    async def test() -> None:
        holder = await opened(servers, account)
        with pytest.raises(FaultError) as caught:
            await opened(servers, account)
        await holder.finish()
        assert (caught.value.side, caught.value.code) == (Side.LOCAL, FaultCode.IN_USE)

    asyncio.run(test())
