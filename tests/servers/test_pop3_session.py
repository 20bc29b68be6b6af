"""What a session does in a POP3 mailbox: only unknown messages are looked at, and only ours are deleted."""

from __future__ import annotations

import pytest

from postbeat.delivery import MailboxFacts
from postbeat.model import FaultCode, FaultError, Side
from postbeat.probes import pop3login
from postbeat.probes.login import Login
from postbeat.probes.pop3 import MESSAGE_LINES
from postbeat.probes.session import HEADER_LIMIT, MESSAGE_LIMIT, Found, Memory, Place
from tests.servers.conftest import Run
from tests.servers.openings import open_pop3, pop3_script
from tests.servers.pop3drop import places, uids_of
from tests.servers.scripted import Cut, Expect, Send, Step, dialogue, scripted

QUIT = "C: QUIT\nS: +OK bye"


def listing(*uids: str) -> str:
    """STAT and UIDL and their answers."""
    lines = [f"S: {number} {uid}" for number, uid in enumerate(uids, 1)]
    return "\n".join([stat(len(uids)), "C: UIDL", "S: +OK", *lines, "S: ."])


def stat(count: int) -> str:
    """STAT and its answer."""
    return f"C: STAT\nS: +OK {count} {320 * count}"


def top(number: int, *lines: str) -> str:
    """TOP and its answer."""
    return "\n".join([f"C: TOP {number} 0", "S: +OK", *(f"S: {line}" for line in lines), "S: ."])


def script(*rest: str) -> list[Step]:
    return pop3_script("\n".join(rest))


def without(capability: bytes, steps: list[Step]) -> list[Step]:
    """The same script, of a server that lacks a capability."""
    return [step for step in steps if step != Send(capability + b"\r\n")]


def test_of_a_new_message_only_the_fields_asked_for_are_kept(run: Run) -> None:
    async def test() -> None:
        steps = script(
            listing("b"),
            top(1, "Subject: X-Postbeat", "RECEIVED: from x", "\tby y", "x-postbeat : 1", "To: z", " x", ""),
            QUIT,
        )
        async with scripted(steps) as server:
            session = await open_pop3(server)
            header = b"RECEIVED: from x\r\n\tby y\r\nx-postbeat : 1\r\n\r\n"
            ((message,), _) = await session.scan(Memory())
            assert message == Found(Place("", "b"), header)
            await session.finish()

    run(test())


def test_a_message_of_a_stranger_is_remembered_without_its_header(run: Run) -> None:
    async def test() -> None:
        async with scripted(script(listing("a"), top(1, "Subject: x", ""))) as server:
            session = await open_pop3(server)
            ((message,), memory) = await session.scan(Memory())
            assert message == Found(Place("", "a"), b"\r\n")
            assert await session.scan(memory) == ([], memory)
            session.abort()

    run(test())


@pytest.mark.parametrize("answer", ["S: +OK\nS: .", "S: +OK\nS: \nS: .", "S: -ERR message is not there yet"])
def test_a_message_that_is_announced_before_it_is_there_is_tried_again(run: Run, answer: str) -> None:
    async def test() -> None:
        steps = script(listing("a", "b"), f"C: TOP 1 0\n{answer}", top(2, "X-Postbeat: 2", ""))
        async with scripted(steps) as server:
            session = await open_pop3(server)
            found, memory = await session.scan(Memory())
            assert uids_of(found) == ["b"]
            assert memory.unread == {"a": 1}
            session.abort()

    run(test())


def test_commands_are_sent_together_where_the_server_takes_them(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pop3login, "WINDOW", 2)

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
            assert uids_of(found) == ["a", "b", "c"]
            await session.delete(places("a", "b"))
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
            await session.delete(places("a", "gone"))
            await session.finish()

    run(test())


@pytest.mark.parametrize(
    ("capability", "rest", "message"),
    [
        (b"UIDL", f"{stat(1)}\nC: UIDL\nS: -ERR what?", "no unique-ids"),
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
        (f"{stat(1)}\nC: UIDL\nS: +OK\nS: one a\nS: .", FaultCode.PROTOCOL),
        (f"{stat(1)}\nC: UIDL\nS: + YQ==", FaultCode.PROTOCOL),
        ("C: STAT\nS: +OK many", FaultCode.PROTOCOL),
        ("C: STAT\nS: -ERR what?", FaultCode.REPLY),
        (f"{stat(1)}\nC: UIDL\nS: what?", FaultCode.PROTOCOL),
        (f"{stat(1)}\nC: UIDL\nS: -ERR [SYS/TEMP] later", FaultCode.REPLY),
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
                await session.delete(places("a"))
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
            await session.delete(places("a"))
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
            assert uids_of(found) == ["a"]
            await session.finish()

    run(test())


@pytest.mark.parametrize(
    ("greeting", "side", "code"),
    [
        ("-ERR [SYS/TEMP] later", Side.REMOTE, FaultCode.REPLY),
        ("-ERR too many connections from you", Side.LOCAL, FaultCode.IN_USE),
        ("-ERR [LOGIN-DELAY] wait", Side.LOCAL, FaultCode.THROTTLED),
        ("-ERR login rate limit exceeded", Side.LOCAL, FaultCode.THROTTLED),
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


def test_a_message_is_fetched_whole_up_to_the_limit(run: Run) -> None:
    async def test() -> None:
        body = b"z" * 70 + b"\r\n"
        long = b"+OK\r\nTo: 2\r\n\r\n" + body * 4000 + b".\r\n"
        steps = [
            *script(
                listing("a", "b", "c"), f"C: TOP 1 {MESSAGE_LINES}", "S: +OK\nS: To: 1\nS: \nS: ..x\nS: ."
            ),
            Expect(b"TOP 2 %d" % MESSAGE_LINES),
            Send(long),
            *dialogue(f"C: TOP 3 {MESSAGE_LINES}\nS: -ERR not yet\n{QUIT}"),
        ]
        async with scripted(steps) as server:
            session = await open_pop3(server)
            texts = await session.fetch(places("a", "b", "c", "gone"))
            assert texts[Place("", "a")] == b"To: 1\r\n\r\n.x\r\n"
            assert len(texts[Place("", "b")]) == MESSAGE_LIMIT
            assert len(texts) == 2
            await session.finish()

    run(test())


def test_the_facts_are_what_stat_tells(run: Run) -> None:
    async def test() -> None:
        async with scripted(script(stat(3), QUIT)) as server:
            session = await open_pop3(server)
            assert await session.facts() == MailboxFacts(3, 960, folders={"": 3})
            assert not session.pushes
            assert not await session.wait(0)
            await session.finish()

    run(test())


def offering(*capabilities: str) -> str:
    lines = "".join(f"S: {capability}\n" for capability in ("USER", "TOP", "UIDL", *capabilities))
    return f"C: CAPA\nS: +OK\n{lines}S: .\n"


LOGGED_IN = "C: USER user\nS: +OK\nC: PASS hunter2\nS: +OK in\n"


@pytest.mark.parametrize(
    ("told", "later", "delay_s"),
    [
        ("LOGIN-DELAY 60", "", 60.0),
        ("LOGIN-DELAY 60 USER", offering("LOGIN-DELAY 900"), 900.0),
        ("LOGIN-DELAY 60 USER", offering("LOGIN-DELAY 5"), 60.0),
        ("EXPIRE 0", "", 0.0),
    ],
)
def test_the_longest_delay_that_the_server_tells_is_kept(
    run: Run, told: str, later: str, delay_s: float
) -> None:
    async def test() -> None:
        steps = dialogue("S: +OK ready\n" + offering(told) + LOGGED_IN + later + QUIT)
        async with scripted(steps) as server:
            session = await open_pop3(server)
            assert session.login_delay_s == delay_s
            await session.finish()

    run(test())


@pytest.mark.parametrize(("offer", "announced"), [("UTF8", "C: UTF8\nS: +OK go on\n"), ("EXPIRE NEVER", "")])
def test_credentials_beyond_ascii_are_announced_where_the_server_knows_of_it(
    run: Run, offer: str, announced: str
) -> None:
    async def test() -> None:
        said = "S: +OK ready\n" + offering(offer) + announced
        steps = [
            *dialogue(said),
            Expect("USER jürgen".encode()),
            *dialogue("S: +OK\nC: PASS hunter2\nS: +OK in\n" + QUIT),
        ]
        async with scripted(steps) as server:
            await (await open_pop3(server, login=Login("jürgen", "hunter2"))).finish()

    run(test())


def test_a_refusal_of_utf8_is_named(run: Run) -> None:
    async def test() -> None:
        steps = dialogue("S: +OK ready\n" + offering("UTF8 USER") + "C: UTF8\nS: -ERR broken")
        async with scripted(steps) as server:
            with pytest.raises(FaultError, match="offers UTF8 and refused it: broken") as caught:
                await open_pop3(server, login=Login("jürgen", "hunter2"))
        assert (caught.value.side, caught.value.code) == (Side.REMOTE, FaultCode.REPLY)

    run(test())


@pytest.mark.parametrize(
    ("offer", "answer", "side", "code"),
    [
        ("AUTH-RESP-CODE", "-ERR [AUTH] wrong", Side.REMOTE, FaultCode.AUTH),
        ("AUTH-RESP-CODE", "-ERR not now", Side.REMOTE, FaultCode.REPLY),
        ("RESP-CODES", "-ERR wrong", Side.REMOTE, FaultCode.AUTH),
        ("RESP-CODES", "-ERR [AUTH] too many login attempts with it", Side.REMOTE, FaultCode.AUTH),
        ("RESP-CODES", "-ERR [SYS/PERM] no such mailbox", Side.REMOTE, FaultCode.REPLY),
        ("RESP-CODES", "-ERR [LOGIN-DELAY] wait", Side.LOCAL, FaultCode.THROTTLED),
        ("RESP-CODES", "-ERR too many login attempts", Side.LOCAL, FaultCode.THROTTLED),
        ("RESP-CODES", "-ERR [IN-USE] later", Side.LOCAL, FaultCode.IN_USE),
    ],
)
def test_a_refused_login_is_told_by_its_code_and_its_text(
    run: Run, offer: str, answer: str, side: Side, code: FaultCode
) -> None:
    async def test() -> None:
        said = "S: +OK ready\n" + offering(offer) + "C: USER user\nS: +OK\nC: PASS hunter2\nS: " + answer
        async with scripted(dialogue(said)) as server:
            with pytest.raises(FaultError) as caught:
                await open_pop3(server)
        assert (caught.value.side, caught.value.code) == (side, code)

    run(test())
