"""How a session looks into folders beside the main one, and finds the spam folder."""

from __future__ import annotations

from typing import Any

import pytest

from postbeat.model import FaultCode, FaultError
from postbeat.probes import imap4
from postbeat.probes.session import Memory, Seen
from tests.servers.conftest import Run
from tests.servers.imap4scripts import (
    NOOP,
    fetch,
    found,
    knowing,
    logged_in,
    opened,
    place,
    shown,
    status,
)
from tests.servers.openings import open_imap4
from tests.servers.scripted import Step, dialogue, scripted

JUNK: dict[str, Any] = {"spamfolder": "Junk"}


def examined(folder: str, *, exists: int, uidnext: int, validity: int = 8) -> str:
    return opened(folder, exists=exists, uidnext=uidnext, validity=validity, command="EXAMINE")


def test_news_in_the_spam_folder_is_found_and_the_main_folder_is_selected_again(run: Run) -> None:
    async def test() -> None:
        steps = logged_in(
            "UIDPLUS",
            status("Junk", 2, 6),
            examined("Junk", exists=2, uidnext=6),
            fetch("1:*", shown(1, 4), shown(2, 5)),
            opened("INBOX"),
            *(NOOP, status("Junk", 2, 6)),
        )
        async with scripted(steps) as server:
            session = await open_imap4(server, **JUNK)
            seen = found(4, 5, folder="Junk", spam=True)
            assert await session.scan(knowing(0)) == (seen, knowing(0, Junk=5))
            assert await session.scan(knowing(0, Junk=5)) == ([], knowing(0, Junk=5))
            session.abort()

    run(test())


def test_only_the_main_folder_is_looked_into_if_not_everywhere(run: Run) -> None:
    async def test() -> None:
        async with scripted(logged_in("UIDPLUS", NOOP)) as server:
            session = await open_imap4(server, spamfolder="auto", folders=("Lists",))
            for _ in range(2):
                assert await session.scan(knowing(0), everywhere=False) == ([], knowing(0))
            session.abort()

    run(test())


def test_what_others_have_deleted_is_not_looked_for_again_and_again(run: Run) -> None:
    async def test() -> None:
        steps = logged_in(
            "UIDPLUS",
            status("Junk", 1, 9),
            *(examined("Junk", exists=1, uidnext=9), fetch("6:*", shown(1, 5)), opened("INBOX")),
            *(NOOP, status("Junk", 1, 9)),
        )
        async with scripted(steps) as server:
            session = await open_imap4(server, **JUNK)
            for _ in range(2):
                assert await session.scan(knowing(0, Junk=5)) == ([], knowing(0, Junk=5))
            session.abort()

    run(test())


def test_a_message_to_be_seen_again_is_shown_from_another_folder(run: Run) -> None:
    async def test() -> None:
        steps = logged_in(
            "UIDPLUS",
            status("Lists", 1, 6),
            *(examined("Lists", exists=1, uidnext=6), fetch("5", shown(1, 5)), opened("INBOX")),
        )
        async with scripted(steps) as server:
            session = await open_imap4(server, folders=("Lists",))
            memory = knowing(0, Lists=5).showing([place(5, "Lists"), place(5, "Gone")])
            assert await session.scan(memory) == (found(5, folder="Lists"), memory)
            session.abort()

    run(test())


def test_a_new_uidvalidity_of_another_folder_makes_everything_in_it_new(run: Run) -> None:
    async def test() -> None:
        steps = logged_in(
            "UIDPLUS",
            status("Junk", 1, 3),
            *(examined("Junk", exists=1, uidnext=3), fetch("1:*", shown(1, 2)), opened("INBOX")),
        )
        async with scripted(steps) as server:
            session = await open_imap4(server, **JUNK)
            old = Memory({"INBOX": Seen("7"), "Junk": Seen("3", 900)}).showing([place(700, "Junk")])
            assert await session.scan(old) == (found(2, folder="Junk", spam=True), knowing(0, Junk=2))
            session.abort()

    run(test())


@pytest.mark.parametrize(
    "gone",
    [
        "C: {tag} STATUS Junk ...\nS: {tag} NO [NONEXISTENT] no such folder",
        status("Junk", 1, 6) + "\nC: {tag} EXAMINE Junk\nS: {tag} NO [NONEXISTENT] gone\n" + opened("INBOX"),
        status("Junk", 1, 6)
        + "\n"
        + examined("Junk", exists=1, uidnext=6)
        + "\nC: {tag} UID FETCH 1:* ...\nS: {tag} NO [NONEXISTENT] gone meanwhile\n"
        + opened("INBOX"),
    ],
)
def test_another_folder_that_is_gone_is_passed_over(run: Run, gone: str) -> None:
    async def test() -> None:
        async with scripted(logged_in("UIDPLUS", gone, NOOP)) as server:
            session = await open_imap4(server, **JUNK)
            assert await session.scan(knowing(0)) == ([], knowing(0))
            assert await session.scan(knowing(0), everywhere=False) == ([], knowing(0))
            session.abort()

    run(test())


def test_a_main_folder_that_is_gone_is_the_servers_fault(run: Run) -> None:
    async def test() -> None:
        steps = logged_in(
            "UIDPLUS",
            *(status("Junk", 1, 6), examined("Junk", exists=1, uidnext=6), fetch("1:*", shown(1, 5))),
            "C: {tag} SELECT INBOX\nS: {tag} NO [NONEXISTENT] gone",
        )
        async with scripted(steps) as server:
            session = await open_imap4(server, **JUNK)
            with pytest.raises(FaultError, match="the folder INBOX cannot be opened") as caught:
                await session.scan(knowing(0))
            session.abort()
        assert caught.value.code is FaultCode.REPLY

    run(test())


def test_what_came_to_the_main_folder_while_another_was_open_is_not_missed(run: Run) -> None:
    async def test() -> None:
        steps = logged_in(
            "UIDPLUS IDLE",
            status("Junk", 1, 6),
            *(examined("Junk", exists=1, uidnext=6), fetch("1:*", shown(1, 5))),
            opened("INBOX", exists=1, uidnext=2),
            *(NOOP, fetch("1:*", shown(1, 1)), status("Junk", 1, 6)),
        )
        async with scripted(steps) as server:
            session = await open_imap4(server, **JUNK)
            _, memory = await session.scan(knowing(0))
            assert await session.wait(60)
            assert await session.scan(memory) == (found(1), knowing(1, Junk=5))
            session.abort()

    run(test())


def test_what_is_announced_in_the_main_folder_and_not_there_is_remembered_while_another_is_open(
    run: Run,
) -> None:
    async def test() -> None:
        steps = logged_in(
            "UIDPLUS",
            *("C: {tag} NOOP\nS: * 2 EXISTS\nS: {tag} OK news", fetch("9:*", shown(1, 8))),
            *(status("Junk", 1, 6), examined("Junk", exists=1, uidnext=6), fetch("1:*", shown(1, 5))),
            opened("INBOX", exists=2, uidnext=9),
            *(NOOP, fetch("9:*", shown(1, 8), shown(2, 9))),
            exists=1,
            uidnext=9,
        )
        async with scripted(steps) as server:
            session = await open_imap4(server, **JUNK)
            await session.scan(knowing(8), everywhere=False)
            assert (await session.scan(knowing(8)))[1] == knowing(8, Junk=5)
            assert (await session.scan(knowing(8, Junk=5), everywhere=False))[0] == found(9)
            session.abort()

    run(test())


def test_others_wait_where_the_main_folder_has_a_backlog(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap4, "SCAN_LIMIT", 2)

    async def test() -> None:
        steps = logged_in(
            "UIDPLUS",
            *(fetch("1:*", shown(1, 1), shown(2, 2)), NOOP, status("Junk", 0, 1)),
            *(examined("Junk", exists=0, uidnext=1), opened("INBOX", exists=2, uidnext=3)),
            exists=2,
            uidnext=3,
        )
        async with scripted(steps) as server:
            session = await open_imap4(server, **JUNK)
            first, memory = await session.scan(knowing(0))
            assert (first, memory) == (found(1, 2), knowing(2))
            assert await session.scan(memory) == ([], knowing(2, Junk=0))
            session.abort()

    run(test())


def listed(*lines: str, pattern: str = "*", options: str = "") -> str:
    """A LIST and its answer."""
    said = [f"S: * LIST {line}" for line in lines]
    return "\n".join([f'C: {{tag}} LIST "" "{pattern}"{options}', *said, "S: {tag} OK listed"])


def namespace(told: str) -> str:
    return f"C: {{tag}} NAMESPACE\nS: * NAMESPACE {told}\nS: {{tag}} OK told"


@pytest.mark.parametrize(
    ("capabilities", "asked", "wire", "name"),
    [
        ("X", listed('() "/" INBOX', '() "/" Junk', '() "/" Spam'), "Junk", "Junk"),
        ("X", listed('() "/" "Bulk Mail"', '() "/" x/SPAM'), "x/SPAM", "x/SPAM"),
        ("X", listed('(\\Noselect) "/" Junk', '() "/" "[Gmail]/Spam"'), '"[Gmail]/Spam"', "[Gmail]/Spam"),
        (
            "X",
            listed('() "/" "Courrier ind&AOk-sirable"'),
            '"Courrier ind&AOk-sirable"',
            "Courrier indésirable",
        ),
        ("SPECIAL-USE", listed('() "/" Spam', '(\\Junk) "/" Werbung'), "Werbung", "Werbung"),
        (
            "SPECIAL-USE LIST-EXTENDED NAMESPACE",
            namespace('(("INBOX." ".")) (("user." ".")) (("" "."))')
            + "\n"
            + listed(
                '(\\Junk) "." user.bob.Junk',
                '(\\HasNoChildren \\Junk) "." INBOX.Unfug',
                pattern="INBOX.*",
                options=" RETURN (SPECIAL-USE)",
            ),
            "INBOX.Unfug",
            "INBOX.Unfug",
        ),
        (
            "NAMESPACE",
            namespace('(("" "/")) NIL (("Public/" "/"))')
            + "\n"
            + listed('() "/" Public/Junk', '() "/" a/Spam'),
            "a/Spam",
            "a/Spam",
        ),
    ],
)
def test_the_spam_folder_is_found(run: Run, capabilities: str, asked: str, wire: str, name: str) -> None:
    async def test() -> None:
        steps = logged_in(
            f"UIDPLUS {capabilities}",
            asked,
            *(status(wire, 1, 6), examined(wire, exists=1, uidnext=6), fetch("1:*", shown(1, 5))),
            opened("INBOX"),
        )
        async with scripted(steps) as server:
            session = await open_imap4(server, spamfolder="auto")
            assert (await session.scan(knowing(0)))[0] == found(5, folder=name, spam=True)
            session.abort()

    run(test())


@pytest.mark.parametrize(
    "asked",
    [
        listed('() "/" INBOX', '() "/" Trash'),
        listed('(\\Junk) "/" INBOX'),
        listed('(\\NonExistent \\Junk) "/" Junk'),
        'C: {tag} LIST "" "*"\nS: {tag} NO not now',
    ],
)
def test_without_a_spam_folder_there_is_none_and_it_is_asked_for_once(run: Run, asked: str) -> None:
    async def test() -> None:
        async with scripted(logged_in("UIDPLUS", asked, NOOP)) as server:
            session = await open_imap4(server, spamfolder="auto")
            for _ in range(2):
                assert await session.scan(knowing(0)) == ([], knowing(0))
            session.abort()

    run(test())


def test_a_spam_folder_that_is_made_for_its_first_message_is_found(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap4, "LIST_AGAIN_S", 0)

    async def test() -> None:
        looked = examined("Junk", exists=1, uidnext=6), fetch("1:*", shown(1, 5)), opened("INBOX")
        steps = logged_in(
            "UIDPLUS",
            listed('() "/" INBOX'),
            *(NOOP, listed('() "/" INBOX', '() "/" Junk'), status("Junk", 1, 6), *looked),
            *(NOOP, status("Junk", 1, 6)),
        )
        async with scripted(steps) as server:
            session = await open_imap4(server, spamfolder="auto")
            assert await session.scan(knowing(0)) == ([], knowing(0))
            assert (await session.scan(knowing(0)))[0] == found(5, folder="Junk", spam=True)
            assert (await session.scan(knowing(0, Junk=5)))[0] == []
            session.abort()

    run(test())


def test_a_folder_of_the_profile_may_be_the_spam_folder(run: Run) -> None:
    async def test() -> None:
        steps = logged_in(
            "UIDPLUS",
            *(status("Junk", 1, 6), examined("Junk", exists=1, uidnext=6), fetch("1:*", shown(1, 5))),
            opened("INBOX"),
        )
        async with scripted(steps) as server:
            session = await open_imap4(server, folders=("inbox", "Junk"), spamfolder="Junk")
            assert (await session.scan(knowing(0)))[0] == found(5, folder="Junk", spam=True)
            session.abort()

    run(test())


def test_names_are_in_utf_8_once_imap4rev2_is_enabled(run: Run) -> None:
    async def test() -> None:
        steps: list[Step] = dialogue(
            """
            S: * OK [CAPABILITY IMAP4rev1] ready
            C: {tag} LOGIN user hunter2
            S: {tag} OK [CAPABILITY IMAP4rev1 IMAP4rev2 ENABLE] in
            C: {tag} ENABLE IMAP4rev2
            S: * ENABLED IMAP4rev2
            S: {tag} OK enabled
            C: {tag} SELECT {9+}
            C: Entwürfe
            S: * 0 EXISTS
            S: * OK [UIDVALIDITY 7] valid
            S: * OK [UIDNEXT 1] next
            S: A3 OK [READ-WRITE] opened
            """
        )
        async with scripted(steps) as server:
            session = await open_imap4(server, folder="Entwürfe")
            assert session.pushes
            session.abort()

    run(test())
