"""How a server is reached: which address, from where, and what goes first over the connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from postbeat import resolve
from postbeat.clock import Clock
from postbeat.elements import SmtpElement
from postbeat.lag import LagMeter
from postbeat.model import AddressFamily, FaultCode, Level, Poll, Side
from postbeat.resolve import Resolver
from postbeat.results import Result
from postbeat.secrets import Keys
from postbeat.sending import Sender
from tests.servers.conftest import Run
from tests.servers.scripted import Expect, ExpectBytes, ExpectUntil, ScriptedServer, Step, dialogue, scripted

SESSION = dialogue("S: 220 mx\nC: EHLO probe.test\nS: 250 mx\nC: QUIT\nS: 221 bye")


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Path]:
    """A hosts file in which the tests write; there is no name server that answers."""
    file = tmp_path / "hosts"
    with silent_udp() as port:
        resolve.use(Resolver([("127.0.0.1", port)], hosts=str(file)))
        yield file
    resolve.use(Resolver())


def known(hosts: Path, lines: str) -> None:
    hosts.write_text(lines, encoding="utf-8")


@contextlib.contextmanager
def silent_udp() -> Iterator[int]:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@contextlib.asynccontextmanager
async def silent_tcp(port: int) -> AsyncIterator[None]:
    """127.0.0.3 does not answer on this port: its queue of connections is full."""
    with socket.socket() as listener, contextlib.ExitStack() as clients:
        listener.bind(("127.0.0.3", port))
        listener.listen(0)
        for _ in range(4):
            client = clients.enter_context(socket.socket())
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(("127.0.0.3", port))
        yield


async def poll(at: ScriptedServer, /, **fields: Any) -> Result:
    element = SmtpElement(name="mail", **{"server": "127.0.0.1", "port": at.port, **fields})
    sender = Sender(Keys.new(), Clock(), LagMeter(), "SMTP-Monitor", "probe.test", "worker")
    return await sender.poll(element, Poll("mail", "eu", 1))


def connects(result: Result) -> list[str]:
    """The addresses that were tried."""
    assert result.decisive is not None
    return [stage.reply for stage in result.decisive.stages if stage.name == "connect"]


def test_addresses_are_tried_in_order_and_listed_and_one_is_measured(run: Run, hosts: Path) -> None:
    async def test() -> None:
        known(hosts, "127.0.0.2 mail.test\n127.0.0.1 mail.test\n127.0.0.9 mail.test\n")
        async with scripted(SESSION) as server:
            result = await poll(server, server="mail.test")
        assert result.level is Level.GOOD
        assert connects(result) == [f"127.0.0.2:{server.port}", f"127.0.0.1:{server.port}"]
        assert result.decisive is not None
        assert result.decisive.address == f"127.0.0.1:{server.port}"
        assert result.decisive.stages[0].reply.endswith("(from the hosts file)")

    run(test())


def test_an_address_that_is_silent_leaves_time_for_the_next_one(run: Run, hosts: Path) -> None:
    async def test() -> None:
        known(hosts, "127.0.0.3 mail.test\n127.0.0.1 mail.test\n")
        async with scripted(SESSION) as server, silent_tcp(server.port):
            result = await poll(server, server="mail.test", timeout=1)
        assert result.level is Level.GOOD
        assert connects(result) == [f"127.0.0.3:{server.port}", f"127.0.0.1:{server.port}"]

    run(test())


def test_an_address_without_a_way_to_it_does_not_hide_that_another_one_refused(run: Run, hosts: Path) -> None:
    async def test() -> None:
        known(hosts, "127.0.0.2 mail.test\n2001:db8::1 mail.test\n")
        async with scripted(SESSION) as server:
            result = await poll(server, server="mail.test", timeout=2)
        assert result.fault is not None
        assert (result.fault.side, len(connects(result))) == (Side.REMOTE, 2)

    run(test())


def test_a_fixed_address_is_connected_to_in_the_place_of_the_name(run: Run, hosts: Path) -> None:
    async def test() -> None:
        async with scripted(SESSION) as server:
            result = await poll(server, server="nowhere.test", address="127.0.0.1")
        assert (result.level, connects(result)) == (Level.GOOD, [f"127.0.0.1:{server.port}"])

    run(test())


def test_only_addresses_of_the_family_asked_for_are_tried(run: Run, hosts: Path) -> None:
    async def test() -> None:
        known(hosts, "::1 mail.test\n127.0.0.1 mail.test\n")
        async with scripted(SESSION) as server:
            result = await poll(server, server="mail.test", addressfamily=AddressFamily.IPV4)
        assert (result.level, connects(result)) == (Level.GOOD, [f"127.0.0.1:{server.port}"])

    run(test())


def test_a_connection_comes_from_the_source_address(run: Run, hosts: Path) -> None:
    async def test() -> None:
        header = Expect(rb"PROXY TCP4 127\.0\.0\.5 127\.0\.0\.1 \d+ \d+")
        known(hosts, "::1 mail.test\n127.0.0.1 mail.test\n")
        async with scripted([header, *SESSION]) as server:
            result = await poll(server, server="mail.test", sourceaddress="127.0.0.5", proxyprotocol=1)
        assert (result.level, connects(result)) == (Level.GOOD, [f"127.0.0.1:{server.port}"])

    run(test())


def test_a_source_address_that_is_not_ours_is_our_fault(run: Run) -> None:
    async def test() -> None:
        async with scripted(SESSION) as server:
            result = await poll(server, sourceaddress="192.0.2.1")
        assert result.level is Level.UNKNOWN
        assert result.fault is not None
        assert (result.fault.side, result.fault.code) == (Side.LOCAL, FaultCode.RESOURCES)
        assert "binding to 192.0.2.1" in result.fault.message

    run(test())


@pytest.mark.parametrize("timeout", [0.2, 3600])
def test_name_servers_that_are_silent_are_our_fault_whatever_the_deadline(
    run: Run, hosts: Path, timeout: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "TRY_S", 0.2)

    async def test() -> None:
        async with scripted(SESSION) as server:
            result = await poll(server, server="mail.test", timeout=timeout)
        # The question outlives its poll; uvloop would hang in close() where a socket is just being opened.
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)
        assert result.level is Level.UNKNOWN
        assert result.fault is not None
        assert (result.fault.code, result.fault.stage) == (FaultCode.RESOLVER, "lookup")

    run(test())


def test_the_header_of_the_proxy_protocol_goes_first_in_its_binary_form(run: Run) -> None:
    async def test() -> None:
        start = b"\r\n\r\n\0\r\nQUIT\n" + b"\x21\x11\x00\x0c" + socket.inet_aton("127.0.0.1") * 2
        steps: list[Step] = [ExpectBytes(start)]
        async with scripted(steps) as server:
            steps += [ExpectUntil(server.port.to_bytes(2, "big")), *SESSION]
            assert (await poll(server, proxyprotocol=2)).level is Level.GOOD

    run(test())


def lmtp(answer: str) -> list[Step]:
    """A session up to the one answer that there is for the one recipient."""
    return [*dialogue(LMTP), ExpectUntil(b"\r\n.\r\n"), *dialogue(f"S: {answer}\nC: QUIT\nS: 221 bye")]


LMTP = """
    S: 220 mx LMTP
    C: LHLO probe.test
    S: 250-mx
    S: 250 SIZE
    C: MAIL FROM:<probe@example.com> SIZE=...
    S: 250 ok
    C: RCPT TO:<probe@example.com>
    S: 250 ok
    C: DATA
    S: 354 go
"""


def test_lmtp_greets_with_lhlo_and_takes_the_reply_for_its_recipient(run: Run) -> None:
    async def test() -> None:
        async with scripted(lmtp("250 delivered")) as server:
            result = await poll(server, lmtp=True, email="probe@example.com")
        assert (result.level, result.message) == (Level.GOOD, "Message sent")

    run(test())


def test_lmtp_that_cannot_deliver_to_the_recipient_is_failed(run: Run) -> None:
    async def test() -> None:
        async with scripted(lmtp("552 mailbox full")[:-2]) as server:
            result = await poll(server, lmtp=True, email="probe@example.com")
        assert result.level is Level.FAILED
        assert "552 mailbox full" in result.message

    run(test())


def test_a_server_that_does_not_know_lhlo_is_failed(run: Run) -> None:
    async def test() -> None:
        async with scripted(dialogue("S: 220 mx\nC: LHLO probe.test\nS: 500 what?")) as server:
            result = await poll(server, lmtp=True)
        assert result.level is Level.FAILED
        assert "500 what?" in result.message

    run(test())
