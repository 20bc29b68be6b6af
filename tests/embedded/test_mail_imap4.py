from __future__ import annotations

import asyncio
import imaplib

import pytest

from postbeat.delivery import MailboxFacts
from postbeat.elements import Imap4Element
from postbeat.embedded.maildrop import MESSAGE_BYTES_LIMIT
from postbeat.probes.imap4 import open_session
from postbeat.probes.login import Login
from postbeat.probes.session import Memory
from postbeat.timeline import Timeline
from tests.embedded.conftest import TIMEOUT_S, Box

THREE = [b"Subject: number %d\r\n\r\ntext\r\n" % number for number in (1, 2, 3)]


def fill(box: Box) -> None:
    for message in THREE:
        box.send(message)


def uids(client: imaplib.IMAP4, *criteria: str) -> list[bytes]:
    _, found = client.uid("SEARCH", *(criteria or ("ALL",)))
    return bytes(found[0] or b"").split()


def test_every_way_to_log_in_works(box: Box) -> None:
    def plain(challenge: bytes) -> bytes:
        return f"\0{box.user}\0{box.password}".encode()

    with box.imap4(login=False) as client:
        assert {"AUTH=PLAIN", "AUTH=CRAM-MD5", "IDLE", "UIDPLUS"} <= set(client.capabilities)
        assert client.authenticate("PLAIN", plain)[0] == "OK"
    with box.imap4(login=False) as client:
        assert client.login_cram_md5(box.user, box.password)[0] == "OK"
    with box.imap4(login=False) as client:
        assert client.login(box.user, box.password)[0] == "OK"


@pytest.mark.parametrize("user", ["", "nobody"])
def test_a_wrong_password_and_an_unknown_user_are_refused_alike(box: Box, user: str) -> None:
    name = user or box.user
    with box.imap4(login=False) as client:
        with pytest.raises(imaplib.IMAP4.error, match="LOGIN failed"):
            client.login(name, "wrong")
        with pytest.raises(imaplib.IMAP4.error, match="unauthorized"):
            client.login_cram_md5(name, "wrong")
        with pytest.raises(imaplib.IMAP4.error, match="unauthorized"):
            client.authenticate("PLAIN", lambda challenge: f"\0{name}\0wrong".encode())
        assert client.login(box.user, box.password)[0] == "OK"


def test_select_tells_what_is_there(box: Box) -> None:
    fill(box)
    with box.imap4(login=False) as client:
        client.login(box.user, box.password)
        assert client.select() == ("OK", [b"3"])
        assert client.response("UIDNEXT")[1] == [b"4"]
        assert int(client.response("UIDVALIDITY")[1][0]) > 0
        assert client.select("Other")[0] == "NO"


def test_noop_tells_of_new_mail(box: Box) -> None:
    with box.imap4() as client:
        box.send(THREE[0])
        client.response("EXISTS")
        client.noop()
        assert client.response("EXISTS")[1] == [b"1"]


def test_idle_tells_of_new_mail_at_once(box: Box) -> None:
    with box.imap4() as client:
        client.send(b"I1 IDLE\r\n")
        assert client.readline().startswith(b"+ ")
        box.send(THREE[0])
        assert client.readline() == b"* 1 EXISTS\r\n"
        client.send(b"DONE\r\n")
        assert client.readline().startswith(b"I1 OK")


def test_idle_tells_of_mail_that_came_before_it(box: Box) -> None:
    with box.imap4() as client:
        box.send(THREE[0])
        client.send(b"I1 IDLE\r\n")
        assert client.readline().startswith(b"+ ")
        assert client.readline() == b"* 1 EXISTS\r\n"


def test_uid_expunge_takes_only_what_is_named_and_flagged(box: Box) -> None:
    fill(box)
    with box.imap4() as client:
        client.uid("STORE", "1:2", "+FLAGS.SILENT", r"(\Deleted)")
        client.uid("EXPUNGE", "2:3")
        assert uids(client) == [b"1", b"3"]
        client.expunge()
        assert uids(client) == [b"3"]


def test_uids_are_never_used_again(box: Box) -> None:
    fill(box)
    with box.imap4() as client:
        client.store("3", "+FLAGS", r"(\Deleted)")
        client.expunge()
        box.send(THREE[0])
        client.noop()
        assert uids(client) == [b"1", b"2", b"4"]


def test_numbers_stand_still_until_the_session_is_told(box: Box) -> None:
    fill(box)
    with box.imap4() as client, box.imap4() as other:
        other.store("1,3", "+FLAGS", r"(\Deleted)")
        other.expunge()
        _, data = client.fetch("3", "(UID)")
        assert data[0] == b"3 (UID 3)"
        client.noop()
        assert client.response("EXPUNGE")[1] == [b"1", b"2"]
        assert client.fetch("1", "(UID)")[1] == [b"1 (UID 2)"]


def test_an_examined_folder_cannot_be_changed(box: Box) -> None:
    fill(box)
    with box.imap4() as client:
        client.select(readonly=True)
        with pytest.raises(imaplib.IMAP4.error, match="read-only"):
            client.uid("STORE", "1", "+FLAGS", r"(\Deleted)")
        assert client.uid("EXPUNGE", "1")[0] == "NO"
        client.fetch("1", "(BODY[])")
        assert uids(client, "SEEN") == []


def test_header_fields_stand_as_they_came(box: Box) -> None:
    box.send(b"X-Two: a\r\n\tb\r\nSubject: x\r\nx-two: c\r\n\r\nX-Two: no field\r\n")
    with box.imap4() as client:
        _, data = client.fetch("1", "(BODY.PEEK[HEADER.FIELDS (X-Two X-None)])")
    assert isinstance(data[0], tuple)
    assert data[0][1] == b"X-Two: a\r\n\tb\r\nx-two: c\r\n\r\n"


def test_a_part_of_a_message_can_be_fetched(box: Box) -> None:
    box.send(THREE[0])
    with box.imap4() as client:
        _, data = client.fetch("1", "(BODY.PEEK[TEXT]<1.2>)")
    assert isinstance(data[0], tuple)
    assert data[0] == (b"1 (BODY[TEXT]<1> {2}", b"ex")


@pytest.mark.parametrize(
    ("criteria", "found"),
    [
        ("SUBJECT two", []),
        ('HEADER Subject "number 2"', [b"2"]),
        ("UID 2:*", [b"2", b"3"]),
        ("NOT UID 2", [b"1", b"3"]),
        ("OR UID 1 UID 3", [b"1", b"3"]),
        ("SEEN", [b"2"]),
        ("UNSEEN UID 1:2", [b"1"]),
    ],
)
def test_search_finds(box: Box, criteria: str, found: list[bytes]) -> None:
    fill(box)
    with box.imap4() as client:
        client.uid("FETCH", "2", "(BODY[])")
        assert uids(client, *criteria.split(" ")) == found


def test_a_session_of_the_product_counts_it_and_is_told_of_new_mail(box: Box) -> None:
    fill(box)
    element = Imap4Element(name="box", server=box.server.host, port=box.server.imap4)

    async def test() -> None:
        session = await open_session(element, Login(box.user, box.password), Timeline(), ("Subject",))
        assert await session.facts() == MailboxFacts(3, folders={"INBOX": 3})
        _, memory = await session.scan(Memory())
        waiting = asyncio.ensure_future(session.wait(TIMEOUT_S))
        await asyncio.to_thread(box.send, THREE[0])
        assert await waiting
        assert [found.place.uid for found in (await session.scan(memory))[0]] == ["4"]
        await session.finish()

    asyncio.run(test())


def test_a_search_key_that_is_not_known_is_refused_and_the_session_lasts(box: Box) -> None:
    with box.imap4() as client:
        with pytest.raises(imaplib.IMAP4.error):
            client.search(None, "FUZZY")
        assert client.noop()[0] == "OK"


def test_appended_mail_is_there_with_its_flags(box: Box) -> None:
    with box.imap4() as client:
        assert client.append("INBOX", r"(\Seen)", "", THREE[0])[0] == "OK"
        assert uids(client, "SEEN") == [b"1"]
        assert client.append("Other", "", "", THREE[0])[0] == "NO"


def test_a_literal_that_is_too_large_is_refused_before_it_is_sent(box: Box) -> None:
    with box.imap4() as client:
        client.send(b"L1 APPEND INBOX {%d}\r\n" % (MESSAGE_BYTES_LIMIT + 1))
        assert client.readline().startswith(b"L1 BAD")
        assert client.noop()[0] == "OK"
