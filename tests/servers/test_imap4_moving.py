"""Whole messages, moves into another folder, and what a server tells of a mailbox."""

from __future__ import annotations

import pytest

from postbeat.delivery import MailboxFacts
from postbeat.model import FaultCode, FaultError
from postbeat.probes import imap4folder
from postbeat.probes.session import MESSAGE_LIMIT
from tests.servers.conftest import Run
from tests.servers.imap4scripts import knowing, logged_in, opened, place
from tests.servers.openings import open_imap4
from tests.servers.scripted import Send, dialogue, scripted

WHOLE = "(UID BODY.PEEK[]<0.131072>)"


def whole(number: int, uid: int, text: str) -> str:
    return f"S: * {number} FETCH (UID {uid} BODY[]<0> {text})"


def test_whole_messages_are_fetched_a_few_at_a_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap4folder, "MESSAGES_WINDOW", 2)

    async def test() -> None:
        steps = logged_in(
            "UIDPLUS",
            f"C: {{tag}} UID FETCH 3,5 {WHOLE}",
            *(whole(1, 3, '"three"'), whole(9, 99, '"unasked"'), whole(2, 5, "NIL"), "S: {tag} OK"),
            *(f"C: {{tag}} UID FETCH 7 {WHOLE}", "S: {tag} OK nothing there"),
            opened("Junk", validity=8, command="EXAMINE"),
            *(f"C: {{tag}} UID FETCH 3 {WHOLE}", whole(1, 3, '"spam"'), "S: {tag} OK"),
            opened("INBOX"),
        )
        async with scripted(steps) as server:
            session = await open_imap4(server, spamfolder="Junk")
            wanted = [place(5), place(3), place(7), place(3, "Junk"), place(3, "Elsewhere")]
            assert await session.fetch(wanted) == {place(3): b"three", place(3, "Junk"): b"spam"}
            assert await session.fetch([]) == {}
            session.abort()

    run(test())


def test_a_message_longer_than_was_asked_for_is_cut(run: Run) -> None:
    async def test() -> None:
        size = MESSAGE_LIMIT + 1000
        steps = [
            *logged_in("UIDPLUS", f"C: {{tag}} UID FETCH 1 {WHOLE}"),
            Send(b"* 1 FETCH (UID 1 BODY[]<0> {%d}\r\n" % size + b"x" * size + b")\r\n{tag} OK\r\n"),
        ]
        async with scripted(steps) as server:
            session = await open_imap4(server)
            assert await session.fetch([place(1)]) == {place(1): b"x" * MESSAGE_LIMIT}
            session.abort()

    run(test())


MOVE = "C: {tag} UID MOVE 8,9 Done"
COPY = "C: {tag} UID COPY 8,9 Done"
FLAG = "C: {tag} UID STORE 8,9 +FLAGS.SILENT (\\Deleted)\nS: {tag} OK stored"
TRYCREATE = "\nS: {tag} NO [TRYCREATE] no such folder\nC: {tag} CREATE Done\nS: {tag} OK made\n"
OK = "\nS: {tag} OK done"


@pytest.mark.parametrize(
    ("capabilities", "said"),
    [
        ("UIDPLUS MOVE", MOVE + OK),
        ("UIDPLUS MOVE", MOVE + TRYCREATE + MOVE + OK),
        ("MOVE", MOVE + OK),
        ("UIDPLUS", "\n".join([COPY + OK, FLAG, "C: {tag} UID EXPUNGE 8,9" + OK])),
        ("UIDPLUS", "\n".join([COPY + TRYCREATE + COPY + OK, FLAG, "C: {tag} UID EXPUNGE 8,9" + OK])),
        (
            "ESEARCH",
            "\n".join(
                [
                    *(COPY + OK, FLAG, "C: {tag} UID SEARCH RETURN (ALL) DELETED"),
                    *('S: * ESEARCH (TAG "A1") UID ALL 8:9', "S: {tag} OK", "C: {tag} EXPUNGE" + OK),
                ]
            ),
        ),
        (
            "ESEARCH",
            "\n".join(
                [
                    *(COPY + OK, FLAG, "C: {tag} UID SEARCH RETURN (ALL) DELETED"),
                    *('S: * ESEARCH (TAG "A1") UID ALL 1:4294967295', "S: {tag} OK"),
                ]
            ),
        ),
    ],
)
def test_ours_are_moved_as_the_server_can(run: Run, capabilities: str, said: str) -> None:
    async def test() -> None:
        async with scripted(logged_in(capabilities, said, exists=2, uidnext=10)) as server:
            session = await open_imap4(server, movetofolder="Done")
            await session.delete([place(9), place(8)])
            session.abort()

    run(test())


@pytest.mark.parametrize(
    "twice", [TRYCREATE + MOVE + "\nS: {tag} NO [TRYCREATE] still none", "\nS: {tag} NO no"]
)
def test_a_folder_to_move_to_is_made_once(run: Run, twice: str) -> None:
    async def test() -> None:
        async with scripted(logged_in("MOVE", MOVE + twice)) as server:
            session = await open_imap4(server, movetofolder="Done")
            with pytest.raises(FaultError, match="refused to move") as caught:
                await session.delete([place(8), place(9)])
            session.abort()
        assert caught.value.code is FaultCode.REPLY

    run(test())


def test_what_lies_in_the_folder_to_move_to_stays_there(run: Run) -> None:
    async def test() -> None:
        async with scripted(logged_in("MOVE")) as server:
            session = await open_imap4(server, folders=("Done",), movetofolder="Done")
            await session.delete([place(8, "Done")])
            session.abort()

    run(test())


def test_messages_in_another_folder_are_deleted_there(run: Run) -> None:
    async def test() -> None:
        steps = logged_in(
            "UIDPLUS",
            opened("Junk", exists=2, uidnext=10, validity=8),
            *(FLAG, "C: {tag} UID EXPUNGE 8,9" + OK),
            opened("INBOX"),
        )
        async with scripted(steps) as server:
            session = await open_imap4(server, spamfolder="Junk")
            await session.delete([place(8, "Junk"), place(9, "Junk"), place(1, "Unknown")])
            session.abort()

    run(test())


@pytest.mark.parametrize("answer", ["S: {tag} NO [NONEXISTENT] gone", "S: {tag} NO [INUSE] busy"])
def test_a_folder_that_is_gone_has_nothing_to_delete(run: Run, answer: str) -> None:
    async def test() -> None:
        steps = logged_in("UIDPLUS", f"C: {{tag}} SELECT Junk\n{answer}", opened("INBOX"))
        async with scripted(steps) as server:
            session = await open_imap4(server, spamfolder="Junk")
            await session.delete([place(8, "Junk")])
            session.abort()

    run(test())


def test_a_refusal_to_delete_in_another_folder_is_told(run: Run) -> None:
    async def test() -> None:
        steps = logged_in(
            "UIDPLUS", opened("Junk", command="SELECT"), "C: {tag} UID STORE ...\nS: {tag} NO no"
        )
        async with scripted(steps) as server:
            session = await open_imap4(server, spamfolder="Junk")
            with pytest.raises(FaultError, match="refused to flag"):
                await session.delete([place(8, "Junk")])
            session.abort()

    run(test())


def test_nothing_is_touched_in_a_folder_that_is_another_one_now(run: Run) -> None:
    async def test() -> None:
        status = "C: {tag} STATUS Junk ...\nS: * STATUS Junk (UIDNEXT 1 UIDVALIDITY 8)\nS: {tag} OK"
        steps = logged_in(
            "UIDPLUS",
            *(status, opened("Junk", validity=8, command="EXAMINE"), opened("INBOX", validity=70)),
            *(opened("Junk", validity=9), opened("INBOX", validity=70)),
            *(opened("Junk", validity=9, command="EXAMINE"), opened("INBOX", validity=70)),
        )
        async with scripted(steps) as server:
            session = await open_imap4(server, spamfolder="Junk")
            await session.scan(knowing(0))
            await session.delete([place(3), place(3, "Junk")])
            assert await session.fetch([place(3), place(3, "Junk")]) == {}
            session.abort()

    run(test())


QUOTA = """C: {tag} GETQUOTAROOT INBOX
    S: * QUOTAROOT INBOX user domain
    S: * QUOTA user (MESSAGE 5 10 STORAGE 20 2000)
    S: * QUOTA domain (STORAGE 3 1000)
    S: {tag} OK"""


@pytest.mark.parametrize(
    ("capabilities", "said", "facts"),
    [
        ("X", [("Junk", "(MESSAGES)", "(MESSAGES 2)")], MailboxFacts(5, folders={"INBOX": 3, "Junk": 2})),
        (
            "QUOTA STATUS=SIZE",
            [
                ("INBOX", "(MESSAGES SIZE)", "(MESSAGES 4 SIZE 5000000000)"),
                ("Junk", "(MESSAGES SIZE)", "(SIZE 10 MESSAGES 2)"),
            ],
            MailboxFacts(6, 5_000_000_010, 3 * 1024, 1000 * 1024, folders={"INBOX": 4, "Junk": 2}),
        ),
        (
            "STATUS=SIZE",
            [("INBOX", "(MESSAGES SIZE)", ""), ("Junk", "(MESSAGES SIZE)", "")],
            MailboxFacts(3, folders={"INBOX": 3}),
        ),
    ],
)
def test_a_mailbox_is_counted(
    run: Run, capabilities: str, said: list[tuple[str, str, str]], facts: MailboxFacts
) -> None:
    async def test() -> None:
        steps = logged_in(capabilities, exists=3, uidnext=9)
        for folder, asked, told in said:
            answer = f"S: * STATUS {folder} {told}\nS: {{tag}} OK" if told else "S: {tag} NO not today"
            steps += dialogue(f"C: {{tag}} STATUS {folder} {asked}\n{answer}")
        steps += dialogue(QUOTA) if "QUOTA" in capabilities else []
        async with scripted(steps) as server:
            session = await open_imap4(server, spamfolder="Junk")
            assert await session.facts() == facts
            session.abort()

    run(test())


def test_a_quota_that_is_refused_is_no_fault(run: Run) -> None:
    async def test() -> None:
        steps = logged_in("QUOTA", "C: {tag} GETQUOTAROOT INBOX\nS: {tag} NO [NOPERM] no")
        async with scripted(steps) as server:
            session = await open_imap4(server)
            assert await session.facts() == MailboxFacts(0, folders={"INBOX": 0})
            session.abort()

    run(test())
