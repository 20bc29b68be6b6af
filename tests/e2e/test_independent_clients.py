"""The standard library's mail clients agree with what our reader saw in a mailbox, and what it left there."""

from __future__ import annotations

import imaplib
import poplib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from postbeat.delivery import MailboxFacts
from postbeat.model import Level, Phase
from postbeat.results import Result
from tests.e2e.running import Running, for_each_at_once
from tests.mailservers import Account, MailServers

pytestmark = [pytest.mark.mailservers, pytest.mark.slow]

LETTERS = [
    f"From: friend{number}@example.org\nSubject: {number}\n\nHello,\n.\n".encode() for number in range(30)
]
READ, FLAGGED = "5", "9"  # the messages that their owner has read, and marked


@contextmanager
def imap4(servers: MailServers, account: Account) -> Iterator[imaplib.IMAP4]:
    with imaplib.IMAP4("127.0.0.1", servers.ports["imap4"], timeout=5) as client:
        client.login(account.name, account.password)
        yield client


@dataclass(frozen=True)
class Shown:
    """What a mailbox is to a client: messages with their ids, and their flags where there are such."""

    count: int
    ids: list[str]
    flags: dict[str, str]
    texts: list[bytes]


def shown_by_imap4(servers: MailServers, account: Account) -> Shown:
    with imap4(servers, account) as client:
        count = int(client.select("INBOX", readonly=True)[1][0] or 0)
        found: list[Any] = client.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[])")[1]
        heads = [item[0].decode() for item in found if isinstance(item, tuple)]
        ids = [match[1] for head in heads if (match := re.search(r"UID (\d+)", head))]
        flags = [match[1] for head in heads if (match := re.search(r"FLAGS \(([^)]*)\)", head))]
        seen = [" ".join(word for word in text.split() if word != "\\Recent") for text in flags]
        return Shown(
            count, ids, dict(zip(ids, seen, strict=True)), [item[1] for item in found if item != b")"]
        )


def shown_by_pop3(servers: MailServers, account: Account) -> Shown:
    client = poplib.POP3("127.0.0.1", servers.ports["pop3"], timeout=5)
    try:
        client.user(account.name)
        client.pass_(account.password)
        count, _ = client.stat()
        ids = [line.split()[1].decode() for line in client.uidl()[1]]
        # Not by RETR, for which Dovecot marks a message as read.
        texts = [b"\r\n".join(client.top(number + 1, 100)[1]) for number in range(count)]
        return Shown(count, ids, {}, texts)
    finally:
        client.quit()


SHOWN: dict[str, Callable[[MailServers, Account], Shown]] = {"imap4": shown_by_imap4, "pop3": shown_by_pop3}


@dataclass(frozen=True)
class Witnessed:
    """A mailbox before and after our reader was there, and what the reader told."""

    before: Shown
    after: Shown
    flags_before: dict[str, str]
    flags_after: dict[str, str]
    reads: list[Result]
    facts: MailboxFacts


@pytest.fixture(scope="module")
def sites(servers: MailServers, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Witnessed]:
    """A site for each protocol, at the same time."""
    folder = tmp_path_factory.mktemp("witnessed")
    return for_each_at_once([*SHOWN], lambda kind: _witnessed(servers, folder / kind, kind))


@pytest.fixture(params=SHOWN)
def witnessed(request: pytest.FixtureRequest, sites: dict[str, Witnessed]) -> Witnessed:
    return sites[request.param]


def _witnessed(servers: MailServers, folder: Path, kind: str) -> Witnessed:
    account = servers.account()
    folder.mkdir()
    servers.put(account, LETTERS)
    with imap4(servers, account) as client:
        client.select("INBOX")
        client.store(READ, "+FLAGS", r"(\Seen)")
        client.store(FLAGGED, "+FLAGS", r"(\Flagged \Answered)")
    flags_before = shown_by_imap4(servers, account).flags
    before = SHOWN[kind](servers, account)
    with Running.open(folder) as running:
        running.worker("default")
        box = servers.mailbox(kind, "box", account, poll=2)
        sends = [servers.smtp(f"send{number}", account, read="box", poll=2) for number in range(3)]
        beat = running.site.beat(running.profile(box, *sends))
        running.until(lambda: len(running.results(phase=Phase.READ)) >= 9, "nine reads")
        running.stop(beat)
        running.until(lambda: _all_read(running), "read of every send")
        running.until(lambda: len(servers.messages(account)) == len(LETTERS), "mailbox without ours")
        beat = running.site.beat(running.profile(box))
        count = len(running.results("box"))
        running.until(lambda: len(running.results("box")) > count, "check of the mailbox as it is left")
        running.stop(beat)
        facts = running.results("box")[-1].mailbox
        assert facts is not None
        reads = running.results(phase=Phase.READ)
    after = SHOWN[kind](servers, account)
    return Witnessed(before, after, flags_before, shown_by_imap4(servers, account).flags, reads, facts)


def _all_read(running: Running) -> bool:
    sent = {one.poll for one in running.results(phase=Phase.SEND)}
    return sent == {one.poll for one in running.results(phase=Phase.READ)}


def test_our_reader_saw_its_messages(witnessed: Witnessed) -> None:
    assert {one.level for one in witnessed.reads} == {Level.GOOD}


def test_the_count_that_we_tell_is_the_one_that_they_see(witnessed: Witnessed) -> None:
    assert witnessed.facts.messages == witnessed.after.count == len(LETTERS)


def test_the_messages_of_others_keep_their_ids_and_their_text(witnessed: Witnessed) -> None:
    assert witnessed.after == witnessed.before


def test_no_message_of_others_was_marked(witnessed: Witnessed) -> None:
    assert witnessed.flags_after == witnessed.flags_before
    assert sorted(filter(None, witnessed.flags_after.values())) == [r"\Answered \Flagged", r"\Seen"]
