from __future__ import annotations

import poplib

import pytest

from tests.embedded.conftest import Box

MESSAGE = b"Subject: hello\r\n\r\none\r\n.two\r\nthree\r\n"


def count(box: Box) -> int:
    with box.pop3() as client:
        return client.stat()[0]


def test_the_password_and_apop_log_in(box: Box) -> None:
    with box.pop3() as client:
        assert client.stat() == (0, 0)
    with box.pop3(login=False) as client:
        client.apop(box.user, box.password)
        assert client.stat() == (0, 0)


@pytest.mark.parametrize("user", ["", "nobody"])
def test_a_wrong_password_and_an_unknown_user_are_refused_alike(box: Box, user: str) -> None:
    name = user or box.user
    with box.pop3(login=False) as client:
        client.user(name)
        with pytest.raises(poplib.error_proto, match="-ERR Authentication failed"):
            client.pass_("wrong")
        with pytest.raises(poplib.error_proto, match="-ERR Authentication failed"):
            client.apop(name, "wrong")
        client.user(box.user)
        client.pass_(box.password)


def test_before_the_login_nothing_is_told(box: Box) -> None:
    with box.pop3(login=False) as client:
        for command in (client.stat, client.list, client.uidl, client.rset):
            with pytest.raises(poplib.error_proto, match="-ERR"):
                command()
        assert {"UIDL", "TOP", "PIPELINING", "SASL"} <= set(client.capa())


def test_marked_mail_goes_at_the_end(box: Box) -> None:
    box.send(MESSAGE)
    box.send(MESSAGE)
    with box.pop3() as client:
        client.dele(1)
        assert client.stat()[0] == 1
        assert count(box) == 2
        with pytest.raises(poplib.error_proto, match="-ERR"):
            client.retr(1)
        client.quit()
    assert count(box) == 1


def test_marked_mail_stays_where_the_marks_are_taken_away_or_the_connection_breaks(box: Box) -> None:
    box.send(MESSAGE)
    with box.pop3() as client:
        client.dele(1)
        client.rset()
        client.quit()
    with box.pop3() as client:
        client.dele(1)
    assert count(box) == 1


def test_unique_ids_last_and_differ(box: Box) -> None:
    box.send(MESSAGE)
    box.send(MESSAGE)
    with box.pop3() as client:
        first = client.uidl()[1]
        client.dele(1)
        client.quit()
    box.send(MESSAGE)
    with box.pop3() as client:
        second = [line.partition(b" ")[2] for line in client.uidl()[1]]
    ids = [line.partition(b" ")[2] for line in first]
    assert second[0] == ids[1]
    assert len({*ids, *second}) == 3


def test_top_gives_the_header_and_so_many_lines(box: Box) -> None:
    box.send(MESSAGE)
    with box.pop3() as client:
        assert client.top(1, 0)[1][-2:] == [b"Subject: hello", b""]
        assert client.top(1, 2)[1][-3:] == [b"", b"one", b".two"]
        assert client.top(1, 9)[1] == client.retr(1)[1]


def test_commands_may_be_sent_all_at_once(box: Box) -> None:
    box.send(MESSAGE)
    said = box.talk(
        box.server.pop3,
        f"USER {box.user}\r\nPASS {box.password}\r\nSTAT\r\nRETR 1\r\nDELE 1\r\nLIST\r\nQUIT\r\n".encode(),
    )
    assert [line[:4] for line in said.splitlines() if line.startswith((b"+OK", b"-ERR"))] == [b"+OK "] * 4 + [
        b"+OK",
        b"+OK ",
        b"+OK",
        b"+OK ",
    ]
    assert b"\r\none\r\n..two\r\nthree\r\n.\r\n" in said
    assert count(box) == 0


@pytest.mark.parametrize(
    "command", ["RETR", "RETR 0", "RETR 2", "RETR -1", "RETR one", "DELE 1 1", "TOP 1", "\xff", "NONE", ""]
)
def test_a_wrong_command_is_refused_and_the_connection_lasts(box: Box, command: str) -> None:
    box.send(MESSAGE)
    with box.pop3() as client:
        with pytest.raises(poplib.error_proto, match="-ERR"):
            client._shortcmd(command)  # type: ignore[attr-defined]  # the only way to send any command
        assert client.stat()[0] == 1
