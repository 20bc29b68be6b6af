"""Whatever goes wrong has a result of its own, and only what the service did makes it FAILED."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from typing import Any

import pytest

from postbeat.model import FaultCode, Level, Phase, Side
from postbeat.results import Result
from tests.e2e.running import Running
from tests.mailservers import LOST, MailServers
from tests.ports import free_port

pytestmark = pytest.mark.mailservers

ONCE: dict[str, Any] = {
    "poll": 86400,
    "timeout": 5,  # a worker that stands still for a tenth of it calls nothing the service's fault
}  # beat fires every pair at its very first start, and then once a day


@contextmanager
def mute() -> Iterator[int]:
    """The port of a server that accepts and never says anything: the kernel accepts for it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def endless() -> Iterator[int]:
    """The port of a server whose greeting goes on for ever, a line at a time."""
    over = threading.Event()

    def greet(listener: socket.socket) -> None:
        with listener.accept()[0] as connection, suppress(OSError):
            while not over.wait(0.2):
                connection.sendall(b"220-wait for it\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            with suppress(OSError):
                socket.create_connection(listener.getsockname(), 1).close()  # for a greet that still waits
            thread.join()


@pytest.fixture(scope="module")
def site(servers: MailServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A site where everything goes wrong, each in its own way."""
    account, empty = servers.account(), servers.account()
    refusing = free_port()
    with ExitStack() as ends:
        running = ends.enter_context(Running.open(tmp_path_factory.mktemp("faults")))
        ports = {"mute": ends.enter_context(mute()), "endless": ends.enter_context(endless())}
        running.start(
            servers.mailbox("imap4", "box", empty),
            servers.mailbox("pop3", "locked-out", account, password="not-it"),
            servers.smtp("good", account, **ONCE),
            servers.smtp("wrong-password", account, password="not-it", **ONCE),
            servers.smtp("refused", account, port=refusing, **ONCE),
            servers.smtp("retested", account, port=refusing, failureretests=3, retestinterval=1, **ONCE),
            servers.smtp("unverified", account, "SSL", tlscafile="", **ONCE),
            servers.smtp("no-file", account, "SSL", sslcertificatefile="/nowhere/our.pem", **ONCE),
            servers.smtp("lost", account, email=LOST, read="box", delivertimeout=1, **ONCE),
            servers.smtp("unreadable", account, read="locked-out", delivertimeout=1, **ONCE),
            *(servers.smtp(name, account, port=port, **ONCE) for name, port in ports.items()),
            regions=("default",),
        )
        yield running


CASES = {
    "wrong-password": (
        FaultCode.AUTH,
        "auth",
        "The server refused the login: 535 5.7.8 Error: authentication",
    ),
    "refused": (FaultCode.REFUSED, "connect", "The connection was refused while connecting to 127.0.0.1:"),
    "unverified": (
        FaultCode.CERTIFICATE,
        "tls",
        "The server's certificate does not verify: self-signed certificate in certificate chain",
    ),
    "mute": (FaultCode.TIMEOUT, "greeting", "No answer within 5 s in stage greeting"),
    "endless": (FaultCode.TIMEOUT, "greeting", "No answer within 5 s in stage greeting"),
}


def said(result: Result) -> tuple[Level, Side, FaultCode, str]:
    assert result.fault is not None
    return result.level, result.fault.side, result.fault.code, result.fault.stage


@pytest.mark.parametrize("name", CASES)
def test_each_fault_of_the_service_has_its_own_message(site: Running, name: str) -> None:
    code, stage, message = CASES[name]
    result = site.result(name)
    assert said(result) == (Level.FAILED, Side.REMOTE, code, stage)
    assert result.message.startswith(message)


@pytest.mark.parametrize("name", ["mute", "endless"])
def test_one_deadline_covers_the_whole_attempt(site: Running, name: str) -> None:
    (attempt,) = site.result(name).attempts
    assert 5_000_000 <= attempt.total_us < 8_000_000
    assert (attempt.stages[-1].name, attempt.stages[-1].ended) == ("greeting", False)


def test_a_message_that_never_arrives_fails_the_read(site: Running, servers: MailServers) -> None:
    read = site.result("lost", Phase.READ)
    assert said(read) == (Level.FAILED, Side.REMOTE, FaultCode.NOT_ARRIVED, "find")
    assert read.message == "The message did not arrive within 1 s"
    assert site.result("lost").message == "Message sent"
    assert f"to=<{LOST}>, relay=none" in servers.log("postfix")


def test_a_mailbox_that_cannot_be_entered_fails_the_read(site: Running) -> None:
    read = site.result("unreadable", Phase.READ)
    assert said(read) == (Level.FAILED, Side.REMOTE, FaultCode.AUTH, "login")
    assert read.message == "The login was refused: [AUTH] Authentication failed."
    assert site.result("unreadable").level is Level.GOOD


def test_our_own_missing_certificate_is_unknown_and_never_failed(site: Running) -> None:
    result = site.result("no-file")
    assert said(result) == (Level.UNKNOWN, Side.LOCAL, FaultCode.FILE, "")
    assert result.message == (
        "Cannot read /nowhere/our.pem, which sslcertificatefile names: No such file or directory"
    )
    events = [(event.pair.element, event.level) for event in site.events()]
    assert [one for one in events if one[0] in ("good", "no-file")] == [("good", Level.GOOD)]


def test_retests_belong_to_one_poll_and_stand_in_its_one_result(site: Running) -> None:
    result = site.result("retested")
    assert [attempt.number for attempt in result.attempts] == [1, 2, 3, 4]
    assert {attempt.fault.code for attempt in result.attempts if attempt.fault} == {FaultCode.REFUSED}
    began_us = [attempt.started_at_us for attempt in result.attempts]
    waits = [after - before for before, after in pairwise(began_us)]
    assert all(1_000_000 <= wait_us < 3_000_000 for wait_us in waits)
    assert result.message.endswith("(attempt 4 of 4)")
    assert len(site.results("retested")) == 1


def test_nothing_else_goes_wrong_beside_the_faults(site: Running) -> None:
    assert site.result("good").message == "Message sent"
