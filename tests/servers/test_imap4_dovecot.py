"""IMAP4 sessions on a real Dovecot, with the standard library's client as the witness of what is left."""

from __future__ import annotations

import asyncio
import imaplib
from typing import Any

import pytest

from postbeat.elements import Imap4Element
from postbeat.probes.imap4 import Imap4Session, open_session
from postbeat.probes.login import Login
from postbeat.probes.session import Memory, Place
from postbeat.timeline import Timeline
from tests.mailservers import JUNK, QUOTA_BYTES, Account, MailServers
from tests.servers.conftest import Run

OURS = b"X-Postbeat: ours %d\r\nSubject: ours\r\n\r\nbody %d\r\n"
FOREIGN = b"Subject: somebody else's\r\n\r\ntext %d\r\n"


@pytest.fixture
def account(servers: MailServers) -> Account:
    return servers.account()


async def opened(servers: MailServers, account: Account, **fields: Any) -> Imap4Session:
    element = Imap4Element(
        name="box", server="127.0.0.1", port=servers.ports["imap4"], username=account.name, **fields
    )
    login = Login(account.name, account.password, "")
    return await open_session(element, login, Timeline(), ("X-Postbeat", "Received"))


def seen_by_another(servers: MailServers, account: Account, folder: str = "INBOX") -> list[tuple[bytes, ...]]:
    """UID, flags and the whole of each message of a folder, as another client sees them.

    Without \\Recent, which says whether this is the first session that is told of a message.
    """
    with imaplib.IMAP4("127.0.0.1", servers.ports["imap4"]) as client:
        client.login(account.name, account.password)
        client.select(folder, readonly=True)
        _, found = client.uid("SEARCH", "ALL")
        messages = []
        for uid in found[0].split():
            _, data = client.uid("FETCH", uid, "(FLAGS BODY.PEEK[])")
            assert isinstance(data[0], tuple)
            flags = set(imaplib.ParseFlags(data[0][0])) - {b"\\Recent"}
            messages.append((uid, *sorted(flags), data[0][1]))
        return messages


def test_a_mailbox_is_read_and_tidied_and_strangers_mail_is_as_it_was(
    run: Run, servers: MailServers, account: Account
) -> None:
    servers.put(account, [FOREIGN % number for number in range(150)])
    before = seen_by_another(servers, account)

    async def test() -> None:
        servers.deliver(account, OURS % (1, 1))
        servers.deliver(account, OURS % (2, 2), JUNK)
        session = await opened(servers, account)
        found, memory = await session.scan(Memory())
        ours = [message for message in found if b"X-Postbeat" in message.header]
        assert [(message.place.folder, message.spam) for message in ours] == [("INBOX", False), (JUNK, True)]
        assert len(found) == 152
        places = [message.place for message in ours]
        texts = await session.fetch(places)
        assert [texts[place].rsplit(b"\r\n\r\n")[-1] for place in places] == [b"body 1\r\n", b"body 2\r\n"]
        assert ([message.place for message in (await session.scan(memory.showing(places)))[0]]) == places
        await session.delete(places)
        assert await session.fetch(places) == {}
        assert (await session.scan(memory.showing(places)))[0] == []
        await session.finish()

    run(test())
    assert seen_by_another(servers, account) == before
    assert seen_by_another(servers, account, JUNK) == []


def test_a_look_at_nothing_new_costs_the_same_however_much_is_there(
    run: Run, servers: MailServers, account: Account
) -> None:
    empty = servers.account()
    servers.put(account, [FOREIGN % number for number in range(2_000)])

    async def cost(account: Account) -> int:
        session = await opened(servers, account)
        memory = Memory()
        more = True
        while more:
            found, memory = await session.scan(memory)
            more = bool(found)
        before = session.stream.read_bytes + session.stream.written_bytes
        for _ in range(10):
            assert await session.scan(memory) == ([], memory)
        await session.finish()
        return session.stream.read_bytes + session.stream.written_bytes - before

    async def test() -> None:
        # A STATUS tells numbers with a few digits more.
        assert abs(await cost(account) - await cost(empty)) < 200

    run(test())


def test_an_arrival_ends_the_wait(run: Run, servers: MailServers, account: Account) -> None:
    async def test() -> None:
        session = await opened(servers, account)
        assert session.pushes
        _, memory = await session.scan(Memory())
        waiting = asyncio.ensure_future(session.wait(15))
        await asyncio.sleep(0.2)
        await asyncio.to_thread(servers.deliver, account, OURS % (1, 1))
        assert await waiting
        found, _ = await session.scan(memory)
        assert [message.place for message in found] == [Place("INBOX", "1")]
        await session.finish()

    run(test())


def test_a_cancelled_wait_leaves_a_session_that_works(
    run: Run, servers: MailServers, account: Account
) -> None:
    async def test() -> None:
        session = await opened(servers, account)
        _, memory = await session.scan(Memory())
        for pause_s in (0, 0.001, 0.05):
            waiting = asyncio.ensure_future(session.wait(15))
            await asyncio.sleep(pause_s)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            assert await session.scan(memory) == ([], memory)
        assert not await session.wait(0.05)
        await session.finish()

    run(test())


def test_ours_are_moved_into_a_folder_that_was_not_there(
    run: Run, servers: MailServers, account: Account
) -> None:
    servers.put(account, [FOREIGN % 1])

    async def test() -> None:
        servers.deliver(account, OURS % (1, 1))
        session = await opened(servers, account, movetofolder="Geprüft & gut")
        found, _ = await session.scan(Memory())
        await session.delete([message.place for message in found if b"X-Postbeat" in message.header])
        await session.finish()

    run(test())
    assert [message[-1] for message in seen_by_another(servers, account)] == [FOREIGN % 1]
    (moved,) = seen_by_another(servers, account, '"Gepr&APw-ft &- gut"')
    assert moved[-1].endswith(b"body 1\r\n")


def test_the_mailbox_is_counted(run: Run, servers: MailServers, account: Account) -> None:
    async def test() -> None:
        for _ in range(3):
            servers.deliver(account, OURS % (1, 1))
        servers.deliver(account, OURS % (2, 2), JUNK)
        session = await opened(servers, account, folders=("Nowhere",))
        facts = await session.facts()
        await session.finish()
        sizes = sum(len(text.replace(b"\r\n", b"\n")) for text in servers.messages(account))
        assert facts.folders == {"INBOX": 3, JUNK: 1}
        assert facts.messages == 4
        assert facts.size_bytes is not None
        assert facts.size_bytes > sizes
        assert facts.quota_limit_bytes == QUOTA_BYTES
        assert facts.quota_used_bytes is not None
        assert abs(facts.quota_used_bytes - facts.size_bytes) <= 1024

    run(test())
