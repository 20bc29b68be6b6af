"""How a session waits for news: by IDLE (RFC 2177), and in a way that it can be used afterwards."""

from __future__ import annotations

import asyncio

import pytest

from postbeat.model import FaultCode, FaultError, Side
from postbeat.probes import imap4
from tests.servers.conftest import Run
from tests.servers.imap4scripts import LOGOUT, NOOP, fetch, found, knowing, logged_in, shown
from tests.servers.openings import open_imap4
from tests.servers.scripted import Cut, Hang, scripted

IDLE = "C: {tag} IDLE\nS: + idling"
# The tag of an IDLE is not on the line that ends it; it is the third or the fourth command here.
DONE_3 = "C: DONE\nS: A3 OK done"
DONE_4 = "C: DONE\nS: A4 OK done"


def test_an_arrival_ends_the_wait_and_is_fetched_without_asking_again(run: Run) -> None:
    async def test() -> None:
        steps = logged_in("IDLE", IDLE, "S: * 1 EXISTS\nS: * 1 RECENT", DONE_3, fetch("1:*", shown(1, 1)))
        async with scripted(steps) as server:
            session = await open_imap4(server)
            assert session.pushes
            await session.scan(knowing(0))
            assert await session.wait(60)
            assert await session.scan(knowing(0)) == (found(1), knowing(1))
            session.abort()

    run(test())


@pytest.mark.parametrize("news", ["S: * 1 EXPUNGE", "S: * OK still here\nS: * 3 EXISTS"])
def test_a_departure_and_an_arrival_are_news(run: Run, news: str) -> None:
    async def test() -> None:
        async with scripted(logged_in("IDLE", IDLE, news, DONE_3, exists=2, uidnext=3)) as server:
            session = await open_imap4(server)
            await session.scan(knowing(2))
            assert await session.wait(60)
            session.abort()

    run(test())


def test_the_time_is_over_where_the_server_only_says_that_it_is_there(run: Run) -> None:
    async def test() -> None:
        chatter = "S: * OK still here\nS: * 2 EXISTS\nS: + still idling\nS: * 0 RECENT"
        steps = logged_in("IDLE", IDLE, chatter, DONE_3, NOOP, exists=2, uidnext=3)
        async with scripted(steps) as server:
            session = await open_imap4(server)
            await session.scan(knowing(2))
            assert not await session.wait(0.05)
            assert await session.scan(knowing(2)) == ([], knowing(2))
            session.abort()

    run(test())


def test_what_was_announced_since_the_last_look_needs_no_wait(run: Run) -> None:
    async def test() -> None:
        flagged = "C: {tag} UID STORE 1 ...\nS: * 3 EXISTS\nS: {tag} OK stored"
        steps = logged_in(
            "IDLE UIDPLUS",
            flagged,
            "C: {tag} UID EXPUNGE 1\nS: * 1 EXPUNGE\nS: {tag} OK",
            exists=2,
            uidnext=3,
        )
        async with scripted(steps) as server:
            session = await open_imap4(server)
            await session.scan(knowing(2))
            await session.delete([found(1)[0].place])
            assert await session.wait(60)
            session.abort()

    run(test())


def test_a_long_wait_is_made_of_several_short_ones(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap4, "IDLE_LIMIT_S", 0.02)

    async def test() -> None:
        steps = logged_in("IDLE", IDLE, DONE_3, IDLE, "S: * 1 EXISTS", DONE_4)
        async with scripted(steps) as server:
            session = await open_imap4(server)
            await session.scan(knowing(0))
            assert await session.wait(60)
            session.abort()

    run(test())


@pytest.mark.parametrize("agreed", [False, True])
def test_a_session_can_be_used_after_its_wait_was_cancelled(run: Run, agreed: bool) -> None:
    async def test() -> None:
        async with scripted(logged_in("IDLE", IDLE, "S: * OK hello", DONE_3, NOOP, LOGOUT)) as server:
            session = await open_imap4(server)
            await session.scan(knowing(0))
            waiting = asyncio.ensure_future(session.wait(60))
            # After one turn of the loop IDLE was sent, and the server cannot have answered.
            await asyncio.sleep(0.05 if agreed else 0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert await session.scan(knowing(0)) == ([], knowing(0))
            await session.finish()

    run(test())


def test_an_end_of_waiting_that_is_cancelled_is_not_said_twice(run: Run) -> None:
    async def test() -> None:
        steps = [*logged_in("IDLE", IDLE, "S: * 1 EXISTS", "C: DONE"), Hang()]
        async with scripted(steps) as server:
            session = await open_imap4(server)
            await session.scan(knowing(0))
            for work in (session.wait(60), session.finish()):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await work
            await server.gone()
            assert server.lines.count(b"DONE") == 1

    run(test())


@pytest.mark.parametrize(
    "refusal", ["S: {tag} NO not here", "S: {tag} BAD what?", "S: + ok\nS: {tag} OK enough"]
)
def test_a_server_that_does_not_want_to_idle_is_not_asked_again(run: Run, refusal: str) -> None:
    async def test() -> None:
        steps = logged_in("IDLE", f"C: {{tag}} IDLE\n{refusal}", NOOP)
        async with scripted(steps) as server:
            session = await open_imap4(server)
            await session.scan(knowing(0))
            for _ in range(2):
                assert not await session.wait(0.03)
            assert not session.pushes
            await session.scan(knowing(0))
            session.abort()

    run(test())


def test_without_idle_it_is_only_time_that_passes(run: Run) -> None:
    async def test() -> None:
        async with scripted(logged_in("X", NOOP)) as server:
            session = await open_imap4(server)
            assert not session.pushes
            await session.scan(knowing(0))
            assert not await session.wait(0.01)
            await session.scan(knowing(0))
            session.abort()

    run(test())


@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_that_ends_meanwhile_is_disconnected(run: Run, reset: bool) -> None:
    async def test() -> None:
        for end in (logged_in("IDLE", IDLE, "S: * BYE too long"), [*logged_in("IDLE", IDLE), Cut(reset)]):
            async with scripted(end) as server:
                session = await open_imap4(server)
                await session.scan(knowing(0))
                with pytest.raises(FaultError) as caught:
                    await session.wait(60)
                session.abort()
            assert (caught.value.side, caught.value.code) == (Side.REMOTE, FaultCode.DISCONNECTED)

    run(test())


def test_a_server_that_never_ends_idle_is_not_waited_for_without_end(run: Run) -> None:
    async def test() -> None:
        async with scripted([*logged_in("IDLE", IDLE), Hang()]) as server:
            session = await open_imap4(server, timeout=0.05)
            await session.scan(knowing(0))
            with pytest.raises(FaultError, match="did not end IDLE") as caught:
                await session.wait(0.01)
            session.abort()
        assert (caught.value.side, caught.value.code) == (Side.REMOTE, FaultCode.TIMEOUT)

    run(test())
