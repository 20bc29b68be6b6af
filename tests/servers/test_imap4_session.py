"""What a session does in an IMAP4 mailbox: only what is new is fetched, and only what is ours is deleted."""

from __future__ import annotations

import pytest

from postbeat.model import FaultCode, FaultError, Side
from postbeat.probes import imap4delete, imap4folder
from postbeat.probes.session import HEADER_LIMIT, Found, Memory, Place, Seen
from tests.servers.conftest import Run
from tests.servers.openings import IMAP4_IN, STARTTLS, imap4_script, open_imap4
from tests.servers.scripted import Certificates, Cut, Send, Step, dialogue, scripted

ITEM = "(UID BODY.PEEK[HEADER.FIELDS (X-Postbeat Received)]<0.65536>)"
NOOP = "C: {tag} NOOP\nS: {tag} OK nothing"
LOGOUT = "C: {tag} LOGOUT\nS: * BYE see you\nS: {tag} OK done"


def shown(number: int, uid: int) -> str:
    """A line that shows a message with the header field ``A`` holding its UID."""
    return f'S: * {number} FETCH (UID {uid} BODY[HEADER.FIELDS (X-POSTBEAT RECEIVED)]<0> "A: {uid}")'


def fetch(messages: str, *lines: str) -> str:
    """A UID FETCH of headers and its answer."""
    return "\n".join([f"C: {{tag}} UID FETCH {messages} {ITEM}", *lines, "S: {tag} OK fetched"])


def found(*uids: int) -> list[Found]:
    """What a scan finds of :func:`shown`."""
    return [Found(Place("INBOX", str(uid)), f"A: {uid}".encode()) for uid in uids]


def knowing(highest: int, validity: int = 7) -> Memory:
    return Memory({"INBOX": Seen(str(validity), highest)})


def places(*uids: int) -> list[Place]:
    return [Place("INBOX", str(uid)) for uid in uids]


def script(*rest: str, exists: int = 0, uidnext: int = 1) -> list[Step]:
    return imap4_script("\n".join(rest), exists=exists, uidnext=uidnext)


def test_a_mailbox_without_news_costs_one_noop_and_no_fetch(run: Run) -> None:
    async def test() -> None:
        async with scripted(script(NOOP, NOOP, LOGOUT, exists=900, uidnext=5001)) as server:
            session = await open_imap4(server)
            for _ in range(3):
                assert await session.scan(knowing(5000)) == ([], knowing(5000))
            await session.finish()

    run(test())


def test_a_first_look_shows_everything_oldest_first(run: Run) -> None:
    async def test() -> None:
        steps = script(fetch("1:*", shown(2, 9), shown(1, 4)), NOOP, exists=2, uidnext=10)
        async with scripted(steps) as server:
            session = await open_imap4(server)
            assert await session.scan(Memory()) == (found(4, 9), knowing(9))
            assert await session.scan(knowing(9)) == ([], knowing(9))
            session.abort()

    run(test())


def test_what_arrives_later_is_fetched_alone(run: Run) -> None:
    async def test() -> None:
        arrival = "C: {tag} NOOP\nS: * 3 EXISTS\nS: * 1 RECENT\nS: {tag} OK news"
        steps = script(arrival, fetch("10:*", shown(3, 10)), NOOP, exists=2, uidnext=10)
        async with scripted(steps) as server:
            session = await open_imap4(server)
            assert await session.scan(knowing(9)) == ([], knowing(9))
            assert await session.scan(knowing(9)) == (found(10), knowing(10))
            assert await session.scan(knowing(10)) == ([], knowing(10))
            session.abort()

    run(test())


def test_an_arrival_between_departures_is_not_missed(run: Run) -> None:
    async def test() -> None:
        arrival = "C: {tag} NOOP\nS: * 1 EXPUNGE\nS: * 1 EXPUNGE\nS: * 1 EXISTS\nS: {tag} OK news"
        steps = script(arrival, fetch("10:*", shown(1, 10)), exists=2, uidnext=10)
        async with scripted(steps) as server:
            session = await open_imap4(server)
            await session.scan(knowing(9))
            assert await session.scan(knowing(9)) == (found(10), knowing(10))
            session.abort()

    run(test())


def test_the_last_message_is_not_taken_for_a_new_one(run: Run) -> None:
    # n:* means the last message even if its UID is below n: here UID 9 was deleted since.
    async def test() -> None:
        steps = script(fetch("9:*", shown(1, 8)), NOOP, exists=1, uidnext=10)
        async with scripted(steps) as server:
            session = await open_imap4(server)
            assert await session.scan(knowing(8)) == ([], knowing(8))
            assert await session.scan(knowing(8)) == ([], knowing(8))
            session.abort()

    run(test())


def test_a_new_uidvalidity_voids_the_memory(run: Run) -> None:
    async def test() -> None:
        async with scripted(script(fetch("1:*", shown(1, 3)), exists=1, uidnext=4)) as server:
            session = await open_imap4(server)
            assert await session.scan(knowing(5000, validity=6)) == (found(3), knowing(3))
            session.abort()

    run(test())


def test_messages_to_be_seen_again_are_shown_again_as_long_as_they_are_there(run: Run) -> None:
    async def test() -> None:
        steps = script(
            fetch("1:*", shown(1, 9), shown(2, 10)),
            *(NOOP, fetch("8,9", shown(1, 9))),
            *(
                "C: {tag} NOOP\nS: * 3 EXISTS\nS: {tag} OK news",
                fetch("11:*", shown(3, 11)),
                fetch("9", shown(1, 9)),
            ),
            exists=2,
            uidnext=11,
        )
        async with scripted(steps) as server:
            session = await open_imap4(server)
            _, memory = await session.scan(Memory())
            again = memory.showing(places(8, 9))
            assert await session.scan(again) == (found(9), again)
            again = memory.showing(places(9))
            assert await session.scan(again) == (found(9, 11), knowing(11).showing(places(9)))
            session.abort()

    run(test())


def test_many_to_be_seen_again_are_asked_for_some_at_a_time(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap4folder, "WINDOW", 2)

    async def test() -> None:
        steps = script(fetch("1,2", shown(1, 1), shown(2, 2)), fetch("3", shown(3, 3)), exists=3, uidnext=4)
        async with scripted(steps) as server:
            session = await open_imap4(server)
            assert (await session.scan(knowing(3).showing(places(3, 1, 2))))[0] == found(1, 2, 3)
            session.abort()

    run(test())


def test_a_new_uidvalidity_voids_what_should_be_seen_again(run: Run) -> None:
    async def test() -> None:
        async with scripted(script(exists=0, uidnext=1)) as server:
            session = await open_imap4(server)
            old = knowing(9, validity=6).showing([*places(9), Place("Junk", "9")])
            assert await session.scan(old) == ([], knowing(0).showing([Place("Junk", "9")]))
            session.abort()

    run(test())


def test_a_server_that_does_not_tell_uidnext_is_asked_once(run: Run) -> None:
    async def test() -> None:
        opening = dialogue(f"""{IMAP4_IN}
            C: {{tag}} SELECT INBOX
            S: * 1 EXISTS
            S: * OK [UIDVALIDITY 7] valid
            S: {{tag}} OK selected
            {fetch("6:*", shown(1, 5))}
            {NOOP}""")
        async with scripted(opening) as server:
            session = await open_imap4(server)
            assert await session.scan(knowing(5)) == ([], knowing(5))
            assert await session.scan(knowing(5)) == ([], knowing(5))
            session.abort()

    run(test())


@pytest.mark.parametrize("nothing", ["NIL", '""', "{0}\nS: "])
def test_a_message_that_is_announced_before_it_is_there_is_looked_at_again(run: Run, nothing: str) -> None:
    async def test() -> None:
        absent = f"S: * 1 FETCH (UID 8 BODY[HEADER.FIELDS (X-POSTBEAT RECEIVED)] {nothing})"
        steps = script(
            fetch("8:*", absent, shown(2, 9)),
            NOOP,
            fetch("8:*", shown(1, 8), shown(2, 9)),
            exists=2,
            uidnext=10,
        )
        async with scripted(steps) as server:
            session = await open_imap4(server)
            assert await session.scan(knowing(7)) == (found(9), knowing(7))
            assert await session.scan(knowing(7)) == (found(8, 9), knowing(9))
            session.abort()

    run(test())


def test_a_message_that_never_gets_there_is_given_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap4folder, "LOOKS_LIMIT", 3)

    async def test() -> None:
        look = fetch("8:*", "S: * 1 FETCH (UID 8 BODY[HEADER.FIELDS (X)] NIL)")
        steps = script(look, NOOP, look, NOOP, look, NOOP, exists=1, uidnext=9)
        async with scripted(steps) as server:
            session = await open_imap4(server)
            assert [(await session.scan(knowing(7)))[1].folders["INBOX"].highest for _ in range(3)] == [
                7,
                7,
                8,
            ]
            assert await session.scan(knowing(8)) == ([], knowing(8))
            session.abort()

    run(test())


def test_an_announced_message_that_no_reply_shows_is_looked_for_a_while(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap4folder, "LOOKS_LIMIT", 2)

    async def test() -> None:
        arrival = "C: {tag} NOOP\nS: * 2 EXISTS\nS: {tag} OK news"
        look = fetch("9:*", shown(1, 8))
        steps = script(arrival, look, NOOP, look, NOOP, LOGOUT, exists=1, uidnext=9)
        async with scripted(steps) as server:
            session = await open_imap4(server)
            for _ in range(4):
                assert await session.scan(knowing(8)) == ([], knowing(8))
            await session.finish()

    run(test())


def by_number(first: int, last: int, *uids: int) -> str:
    """A FETCH of headers by message numbers."""
    lines = [shown(number, uid) for number, uid in zip(range(first, last + 1), uids, strict=True)]
    return "\n".join([f"C: {{tag}} FETCH {first}:{last} {ITEM}", *lines, "S: {tag} OK fetched"])


def uid_of(number: int, uid: int) -> str:
    return f"C: {{tag}} FETCH {number} (UID)\nS: * {number} FETCH (UID {uid})\nS: {{tag}} OK fetched"


def test_a_backlog_is_taken_in_bounded_windows_over_several_looks(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap4folder, "WINDOW", 2)
    monkeypatch.setattr(imap4folder, "SCAN_LIMIT", 4)

    async def test() -> None:
        steps = script(
            by_number(1, 2, 10, 20),
            by_number(3, 4, 30, 40),
            NOOP,
            uid_of(4, 40),
            uid_of(6, 60),
            uid_of(5, 50),
            by_number(5, 6, 50, 60),
            by_number(7, 7, 70),
            NOOP,
            exists=7,
            uidnext=1000,
        )
        async with scripted(steps) as server:
            session = await open_imap4(server)
            first, memory = await session.scan(Memory())
            assert (first, memory) == (found(10, 20, 30, 40), knowing(40))
            second, memory = await session.scan(memory)
            assert (second, memory) == (found(50, 60, 70), knowing(70))
            assert await session.scan(memory) == ([], knowing(70))
            session.abort()

    run(test())


def test_headers_of_one_look_are_bounded_in_bytes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap4folder, "WINDOW", 1)
    monkeypatch.setattr(imap4folder, "SCAN_BYTES", 8)

    async def test() -> None:
        steps = script(by_number(1, 1, 10), by_number(2, 2, 20), exists=3, uidnext=31)
        async with scripted(steps) as server:
            session = await open_imap4(server)
            assert await session.scan(Memory()) == (found(10, 20), knowing(20))
            session.abort()

    run(test())


def test_a_header_longer_than_was_asked_for_is_cut(run: Run) -> None:
    async def test() -> None:
        size = HEADER_LIMIT + 1000
        steps = [
            *script(exists=1, uidnext=2),
            *dialogue(f"C: {{tag}} UID FETCH 1:* {ITEM}"),
            Send(b"* 1 FETCH (UID 1 BODY[HEADER.FIELDS (X)] {%d}\r\n" % size + b"x" * size + b")\r\n"),
            Send(b"{tag} OK fetched\r\n"),
        ]
        async with scripted(steps) as server:
            session = await open_imap4(server)
            ((message,), _) = await session.scan(Memory())
            assert len(message.header) == HEADER_LIMIT
            session.abort()

    run(test())


def test_deleting_with_uidplus_expunges_these_uids_only(run: Run) -> None:
    async def test() -> None:
        steps = script(
            "C: {tag} UID STORE 8,9 +FLAGS.SILENT (\\Deleted)\nS: {tag} OK stored",
            "C: {tag} UID EXPUNGE 8,9\nS: * 1 EXPUNGE\nS: * 1 EXPUNGE\nS: {tag} OK expunged",
            LOGOUT,
            exists=2,
            uidnext=10,
        )
        async with scripted(steps) as server:
            session = await open_imap4(server)
            await session.delete([])
            await session.delete(places(8, 9))
            await session.finish()

    run(test())


def test_many_are_deleted_with_commands_of_bounded_length(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap4delete, "WINDOW", 2)

    async def test() -> None:
        steps = script(
            "C: {tag} UID STORE 1,2 ...\nS: {tag} OK",
            "C: {tag} UID EXPUNGE 1,2\nS: {tag} OK",
            "C: {tag} UID STORE 3 ...\nS: {tag} OK",
            "C: {tag} UID EXPUNGE 3\nS: {tag} OK",
        )
        async with scripted(steps) as server:
            session = await open_imap4(server)
            await session.delete(places(1, 2, 3))
            session.abort()

    run(test())


@pytest.mark.parametrize(
    ("flagged", "expunged"), [("S: * SEARCH 8 9", True), ("S: * SEARCH", True), ("S: * SEARCH 5 8 9", False)]
)
def test_without_uidplus_nothing_is_expunged_while_a_strangers_mail_is_flagged(
    run: Run, flagged: str, expunged: bool
) -> None:
    async def test() -> None:
        steps = [
            Send(step.data.replace(b" UIDPLUS", b"")) if isinstance(step, Send) else step
            for step in script(
                "C: {tag} UID STORE 8,9 +FLAGS.SILENT (\\Deleted)\nS: {tag} OK stored",
                f"C: {{tag}} UID SEARCH DELETED\n{flagged}\nS: {{tag}} OK searched",
                "C: {tag} EXPUNGE\nS: {tag} OK expunged" if expunged else "",
                LOGOUT,
                exists=3,
                uidnext=10,
            )
        ]
        async with scripted(steps) as server:
            session = await open_imap4(server)
            await session.delete(places(8, 9))
            await session.finish()

    run(test())


def test_nothing_is_deleted_from_a_read_only_folder(run: Run) -> None:
    async def test() -> None:
        steps = [
            Send(step.data.replace(b"READ-WRITE", b"READ-ONLY")) if isinstance(step, Send) else step
            for step in script(exists=1, uidnext=2)
        ]
        async with scripted(steps) as server:
            session = await open_imap4(server)
            with pytest.raises(FaultError, match="the folder is read-only") as caught:
                await session.delete(places(1))
            session.abort()
        assert (caught.value.side, caught.value.code) == (Side.REMOTE, FaultCode.REPLY)

    run(test())


@pytest.mark.parametrize(
    ("answer", "side", "code"),
    [
        ("S: {tag} NO no such folder", Side.REMOTE, FaultCode.REPLY),
        ("S: {tag} NO [INUSE] somebody has it", Side.LOCAL, FaultCode.IN_USE),
        ("S: {tag} NO [OVERQUOTA] over command or bandwidth limits", Side.LOCAL, FaultCode.THROTTLED),
        ("S: * 1 EXISTS\nS: {tag} OK no uidvalidity", Side.REMOTE, FaultCode.REPLY),
        ("S: * BYE going down", Side.REMOTE, FaultCode.DISCONNECTED),
        ("S: + more?", Side.REMOTE, FaultCode.PROTOCOL),
    ],
)
def test_a_folder_that_cannot_be_used_is_laid_at_the_right_door(
    run: Run, answer: str, side: Side, code: FaultCode
) -> None:
    async def test() -> None:
        steps = dialogue(f"{IMAP4_IN}C: {{tag}} SELECT Entw&APw-rfe\n{answer}")
        async with scripted(steps) as server:
            with pytest.raises(FaultError) as caught:
                await open_imap4(server, folder="Entwürfe")
            await server.gone()
        assert (caught.value.side, caught.value.code) == (side, code)

    run(test())


@pytest.mark.parametrize(
    ("greeting", "side", "code"),
    [
        ("* BYE too busy", Side.REMOTE, FaultCode.DISCONNECTED),
        ("* BYE Too many connections", Side.LOCAL, FaultCode.IN_USE),
        ("* BYE [LIMIT] enough", Side.LOCAL, FaultCode.THROTTLED),
        ("* BYE connecting too fast", Side.LOCAL, FaultCode.THROTTLED),
        ("* NO not today", Side.REMOTE, FaultCode.REPLY),
        ("* 1 EXISTS", Side.REMOTE, FaultCode.PROTOCOL),
        ("A1 OK hello", Side.REMOTE, FaultCode.PROTOCOL),
    ],
)
def test_a_greeting_that_is_none_is_laid_at_the_right_door(
    run: Run, greeting: str, side: Side, code: FaultCode
) -> None:
    async def test() -> None:
        async with scripted(dialogue(f"S: {greeting}")) as server:
            with pytest.raises(FaultError) as caught:
                await open_imap4(server)
        assert (caught.value.side, caught.value.code) == (side, code)

    run(test())


def test_preauth_needs_no_login(run: Run) -> None:
    async def test() -> None:
        steps = dialogue(f"""
            S: * PREAUTH [CAPABILITY IMAP4rev1] welcome
            C: {{tag}} SELECT INBOX
            S: * OK [UIDVALIDITY 7] valid
            S: {{tag}} OK [READ-WRITE] selected
            {LOGOUT}""")
        async with scripted(steps) as server:
            await (await open_imap4(server)).finish()

    run(test())


def test_preauth_never_stands_in_for_starttls(run: Run, certificates: Certificates) -> None:
    async def test() -> None:
        async with scripted(dialogue("S: * PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] welcome")) as server:
            with pytest.raises(FaultError) as caught:
                await open_imap4(server, tls=certificates.client(), **STARTTLS)
        assert caught.value.code is FaultCode.NO_STARTTLS

    run(test())


def test_capabilities_are_asked_for_after_a_login_that_does_not_tell_them(run: Run) -> None:
    async def test() -> None:
        steps = dialogue(f"""
            S: * OK ready
            C: {{tag}} CAPABILITY
            S: * CAPABILITY IMAP4rev1
            S: {{tag}} OK done
            C: {{tag}} LOGIN user hunter2
            S: {{tag}} OK in
            C: {{tag}} CAPABILITY
            S: * CAPABILITY IMAP4rev1 UIDPLUS
            S: {{tag}} OK done
            C: {{tag}} SELECT INBOX
            S: * OK [UIDVALIDITY 7] valid
            S: {{tag}} OK [READ-WRITE] selected
            {LOGOUT}""")
        async with scripted(steps) as server:
            session = await open_imap4(server)
            assert session.offers("UIDPLUS")
            await session.finish()

    run(test())


def test_a_server_that_tells_no_capabilities_is_at_fault(run: Run) -> None:
    async def test() -> None:
        async with scripted(dialogue("S: * OK ready\nC: {tag} CAPABILITY\nS: {tag} OK done")) as server:
            with pytest.raises(FaultError, match="does not tell its capabilities"):
                await open_imap4(server)

    run(test())


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        ("S: * BYE shutting down", FaultCode.DISCONNECTED, "shutting down"),
        ("S: {tag} NO [SERVERBUG] oops", FaultCode.REPLY, r"\[SERVERBUG\] oops"),
        ("S: A99 OK done", FaultCode.PROTOCOL, "A99 OK done"),
    ],
)
def test_a_noop_that_goes_wrong_is_the_servers_fault(
    run: Run, answer: str, code: FaultCode, message: str
) -> None:
    async def test() -> None:
        async with scripted(script(f"C: {{tag}} NOOP\n{answer}")) as server:
            session = await open_imap4(server)
            await session.scan(knowing(0))
            with pytest.raises(FaultError, match=message) as caught:
                await session.scan(knowing(0))
            session.abort()
        assert (caught.value.side, caught.value.code) == (Side.REMOTE, code)

    run(test())


def test_an_answer_without_end_is_the_servers_fault(run: Run) -> None:
    async def test() -> None:
        flood = Send((b"* 1 FETCH (UID 1 BODY[HEADER] {60000}\r\n" + b"x" * 60000 + b")\r\n") * 300)
        steps = [*script(exists=1, uidnext=2), *dialogue(f"C: {{tag}} UID FETCH 1:* {ITEM}"), flood]
        async with scripted(steps) as server:
            session = await open_imap4(server)
            with pytest.raises(FaultError, match="does not end"):
                await session.scan(Memory())
            session.abort()

    run(test())


@pytest.mark.parametrize(
    ("answer", "confirmed"),
    [
        (dialogue("S: * BYE\nS: {tag} OK"), True),
        (dialogue("S: {tag} OK"), True),
        ([*dialogue("S: * BYE"), Cut()], True),
        ([Cut()], False),
        (dialogue("S: * nonsense (\nS: what?"), False),
    ],
)
def test_logging_out_is_confirmed_or_a_fault_and_closes_either_way(
    run: Run, answer: list[Step], confirmed: bool
) -> None:
    async def test() -> None:
        async with scripted([*script("C: {tag} LOGOUT"), *answer]) as server:
            session = await open_imap4(server)
            if confirmed:
                await session.finish()
            else:
                with pytest.raises(FaultError):
                    await session.finish()
            await server.gone()

    run(test())
