"""What a session does in a POP3 mailbox: only unknown messages are looked at, and only ours are deleted."""

from __future__ import annotations

import pytest

from postbeat.model import FaultCode, FaultError, Side
from postbeat.probes import pop3
from postbeat.probes.session import HEADER_LIMIT, Found, Memory
from tests.servers.conftest import Run
from tests.servers.openings import open_pop3, pop3_script
from tests.servers.scripted import Cut, Expect, Send, Step, dialogue, scripted

QUIT = "C: QUIT\nS: +OK bye"


def listing(*uids: str) -> str:
    """UIDL and its answer."""
    lines = [f"S: {number} {uid}" for number, uid in enumerate(uids, 1)]
    return "\n".join(["C: UIDL", "S: +OK", *lines, "S: ."])


def top(number: int, *lines: str) -> str:
    """TOP and its answer."""
    return "\n".join([f"C: TOP {number} 0", "S: +OK", *(f"S: {line}" for line in lines), "S: ."])


def knowing(*uids: str) -> Memory:
    return Memory(uidls=frozenset(uids))


def script(*rest: str) -> list[Step]:
    return pop3_script("\n".join(rest))


def without(capability: bytes, steps: list[Step]) -> list[Step]:
    """The same script, of a server that lacks a capability."""
    return [step for step in steps if step != Send(capability + b"\r\n")]


def test_known_messages_are_not_looked_at_and_departed_ones_are_forgotten(run: Run) -> None:
    async def test() -> None:
        async with scripted(script(listing("a", "c"), QUIT)) as server:
            session = await open_pop3(server)
            assert await session.scan(knowing("a", "b", "c")) == ([], knowing("a", "c"))
            await session.finish()

    run(test())


def test_of_a_new_message_only_the_fields_asked_for_are_kept(run: Run) -> None:
    async def test() -> None:
        steps = script(
            listing("a", "b"),
            top(2, "Subject: X-Postbeat", "RECEIVED: from x", "\tby y", "x-postbeat : 1", "To: z", " x", ""),
            QUIT,
        )
        async with scripted(steps) as server:
            session = await open_pop3(server)
            header = b"RECEIVED: from x\r\n\tby y\r\nx-postbeat : 1\r\n\r\n"
            assert await session.scan(knowing("a")) == ([Found("b", header)], knowing("a", "b"))
            await session.finish()

    run(test())


def test_a_message_of_a_stranger_is_remembered_without_its_header(run: Run) -> None:
    async def test() -> None:
        async with scripted(script(listing("a"), top(1, "Subject: x", ""))) as server:
            session = await open_pop3(server)
            assert await session.scan(Memory()) == ([Found("a", b"\r\n")], knowing("a"))
            session.abort()

    run(test())


@pytest.mark.parametrize("answer", ["S: +OK\nS: .", "S: +OK\nS: \nS: .", "S: -ERR message is not there yet"])
def test_a_message_that_is_announced_before_it_is_there_is_not_remembered(run: Run, answer: str) -> None:
    async def test() -> None:
        steps = script(listing("a", "b"), f"C: TOP 1 0\n{answer}", top(2, "X-Postbeat: 2", ""))
        async with scripted(steps) as server:
            session = await open_pop3(server)
            found, memory = await session.scan(Memory())
            assert [message.uid for message in found] == ["b"]
            assert memory == knowing("b")
            session.abort()

    run(test())


def test_a_backlog_is_taken_oldest_first_over_several_looks(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pop3, "SCAN_LIMIT", 2)

    async def test() -> None:
        steps = script(
            listing("a", "b", "c"), top(1, "To: 1", ""), top(2, "To: 2", ""), top(3, "To: 3", ""), QUIT
        )
        async with scripted(steps) as server:
            session = await open_pop3(server)
            found, memory = await session.scan(Memory())
            assert [message.uid for message in found] == ["a", "b"]
            found, memory = await session.scan(memory)
            assert [message.uid for message in found] == ["c"]
            assert memory == knowing("a", "b", "c")
            await session.finish()

    run(test())


def test_commands_are_sent_together_where_the_server_takes_them(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pop3, "WINDOW", 2)

    async def test() -> None:
        steps = script(
            listing("a", "b", "c"),
            "C: TOP 1 0\nC: TOP 2 0\nS: +OK\nS: To: 1\nS: \nS: .\nS: +OK\nS: To: 2\nS: \nS: .",
            top(3, "To: 3", ""),
            "C: DELE 1\nC: DELE 2\nS: +OK\nS: +OK",
            QUIT,
        )
        offer = steps.index(Send(b"TOP\r\n"))
        steps.insert(offer, Send(b"PIPELINING\r\n"))
        async with scripted(steps) as server:
            session = await open_pop3(server)
            found, _ = await session.scan(Memory())
            assert [message.uid for message in found] == ["a", "b", "c"]
            await session.delete(["a", "b"])
            await session.finish()

    run(test())


def test_a_huge_header_of_a_stranger_does_no_harm(run: Run) -> None:
    async def test() -> None:
        huge = b"+OK\r\nX-Postbeat: 1\r\nReceived: " + b"x" * 3_000_000 + b"\r\n\r\n.\r\n"
        steps = [*script(listing("a")), Expect(b"TOP 1 0"), Send(huge), *dialogue(QUIT)]
        async with scripted(steps) as server:
            session = await open_pop3(server)
            ((message,), _) = await session.scan(Memory())
            assert message.header.startswith(b"X-Postbeat: 1\r\n")
            assert len(message.header) <= HEADER_LIMIT
            await session.finish()

    run(test())


def test_copies_with_one_unique_id_are_deleted_together(run: Run) -> None:
    async def test() -> None:
        steps = script(
            listing("a", "b", "a"),
            top(1, "To: 1", ""),
            top(2, "To: 2", ""),
            "C: DELE 1\nS: +OK\nC: DELE 3\nS: +OK",
            QUIT,
        )
        async with scripted(steps) as server:
            session = await open_pop3(server)
            await session.scan(Memory())
            await session.delete(["a", "gone"])
            await session.finish()

    run(test())


@pytest.mark.parametrize(
    ("capability", "rest", "message"),
    [
        (b"UIDL", "C: UIDL\nS: -ERR what?", "no unique-ids"),
        (b"TOP", f"{listing('a')}\nC: TOP 1 0\nS: -ERR what?", "does not show headers"),
    ],
)
def test_a_server_without_what_reading_needs_is_at_fault(
    run: Run, capability: bytes, rest: str, message: str
) -> None:
    async def test() -> None:
        async with scripted(without(capability, script(rest))) as server:
            session = await open_pop3(server)
            with pytest.raises(FaultError, match=message) as caught:
                await session.scan(Memory())
            session.abort()
        assert (caught.value.side, caught.value.code) == (Side.REMOTE, FaultCode.REPLY)

    run(test())


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        ("C: UIDL\nS: +OK\nS: one a\nS: .", FaultCode.PROTOCOL),
        ("C: UIDL\nS: + YQ==", FaultCode.PROTOCOL),
        ("C: UIDL\nS: what?", FaultCode.PROTOCOL),
        ("C: UIDL\nS: -ERR [SYS/TEMP] later", FaultCode.REPLY),
    ],
)
def test_a_listing_that_goes_wrong_is_the_servers_fault(run: Run, rest: str, code: FaultCode) -> None:
    async def test() -> None:
        async with scripted(script(rest)) as server:
            session = await open_pop3(server)
            with pytest.raises(FaultError) as caught:
                await session.scan(Memory())
            session.abort()
        assert (caught.value.side, caught.value.code) == (Side.REMOTE, code)

    run(test())


def test_a_refused_deletion_is_the_servers_fault(run: Run) -> None:
    async def test() -> None:
        async with scripted(script(listing("a"), "C: DELE 1\nS: -ERR read-only")) as server:
            session = await open_pop3(server)
            with pytest.raises(FaultError, match="refused to delete our message: read-only"):
                await session.delete(["a"])
            session.abort()

    run(test())


@pytest.mark.parametrize(
    ("answer", "code"),
    [(dialogue("S: -ERR some messages not removed"), FaultCode.REPLY), ([Cut()], FaultCode.DISCONNECTED)],
)
def test_a_quit_that_is_not_confirmed_is_a_fault_as_it_deletes_nothing(
    run: Run, answer: list[Step], code: FaultCode
) -> None:
    async def test() -> None:
        steps = [*script(listing("a"), "C: DELE 1\nS: +OK", "C: QUIT"), *answer]
        async with scripted(steps) as server:
            session = await open_pop3(server)
            await session.delete(["a"])
            with pytest.raises(FaultError) as caught:
                await session.finish()
            await server.gone()
        assert (caught.value.side, caught.value.code) == (Side.REMOTE, code)

    run(test())


def test_a_server_without_capa_is_read_all_the_same(run: Run) -> None:
    async def test() -> None:
        steps = dialogue(f"""
            S: +OK ready
            C: CAPA
            S: -ERR what?
            C: USER user
            S: +OK
            C: PASS hunter2
            S: +OK in
            {listing("a")}
            {top(1, "X-Postbeat: 1", "")}
            {QUIT}""")
        async with scripted(steps) as server:
            session = await open_pop3(server)
            found, _ = await session.scan(Memory())
            assert [message.uid for message in found] == ["a"]
            await session.finish()

    run(test())


@pytest.mark.parametrize(
    ("greeting", "side", "code"),
    [
        ("-ERR [SYS/TEMP] later", Side.REMOTE, FaultCode.REPLY),
        ("-ERR too many connections from you", Side.LOCAL, FaultCode.IN_USE),
        ("* OK IMAP4rev1 ready", Side.REMOTE, FaultCode.PROTOCOL),
    ],
)
def test_a_refused_session_is_laid_at_the_right_door(
    run: Run, greeting: str, side: Side, code: FaultCode
) -> None:
    async def test() -> None:
        async with scripted(dialogue(f"S: {greeting}")) as server:
            with pytest.raises(FaultError) as caught:
                await open_pop3(server)
            await server.gone()
        assert (caught.value.side, caught.value.code) == (side, code)

    run(test())
