"""The message on its way into a server: its envelope, its parameters, its bytes, and refusals on the way."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import email
import email.policy
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from postbeat.clock import Clock
from postbeat.elements import SmtpElement
from postbeat.lag import LagMeter
from postbeat.model import Fault, FaultCode, Level, Poll, Side
from postbeat.results import Result
from postbeat.secrets import Keys
from postbeat.sending import Sender
from postbeat.settings import Settings
from tests.servers.conftest import Run

KEYS = Keys.new()
POLL = Poll("mail", "eu", 7)
EVERYTHING = ("PIPELINING", "SIZE 60000000", "8BITMIME", "SMTPUTF8")


@dataclass(slots=True)
class Taker:
    """A server that takes mail, as it should, but for what a test asks of it.

    ``refuse_after`` is the number of bytes of the message after which it says 552; it then reads no more.
    ``accept_after`` says 250 instead, ``cut_after`` closes the connection.
    """

    offers: tuple[str, ...] = EVERYTHING
    replies: dict[str, bytes] = field(default_factory=dict)
    refuse_after: int | None = None
    accept_after: int | None = None
    cut_after: int | None = None
    port: int = 0
    commands: list[str] = field(default_factory=list)
    taken: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 taker\r\n")
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while line := (await reader.readline()).decode().rstrip("\r\n"):
                self.commands.append(line)
                verb = line[:4].upper()
                writer.write(self.replies.get(verb) or self.reply(verb))
                if verb == "DATA":
                    await self.take(reader, writer)
                if verb == "QUIT":
                    break
        writer.close()

    def reply(self, verb: str) -> bytes:
        if verb == "EHLO":
            return "\r\n".join(["250-taker", *(f"250-{name}" for name in self.offers), "250 X\r\n"]).encode()
        return {"DATA": b"354 go\r\n", "QUIT": b"221 bye\r\n"}.get(verb, b"250 ok\r\n")

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for limit, answer in ((self.refuse_after, b"552 too much\r\n"), (self.accept_after, b"250 ok\r\n")):
            if limit is not None:
                await reader.readexactly(limit)
                writer.write(answer)
                await asyncio.Event().wait()
        if self.cut_after is not None:
            await reader.readexactly(self.cut_after)
            writer.transport.abort()
            return
        data = bytearray()
        while not data.endswith(b"\r\n.\r\n"):
            more = await reader.read(1 << 20)  # nothing follows the end: the client waits for the answer
            if not more:
                return
            data += more
        self.taken.append(bytes(data))
        writer.write(self.replies.get(".") or b"250 taken\r\n")

    @property
    def wire(self) -> list[int]:
        """The sizes of the messages as they came."""
        return [len(data) for data in self.taken]

    @property
    def messages(self) -> list[bytes]:
        """The messages that came, without what the transfer adds (RFC 5321 section 4.5.2)."""
        return [re.sub(rb"^\.", b"", data[:-3], flags=re.MULTILINE) for data in self.taken]

    @property
    def mail(self) -> EmailMessage:
        """The one message that came, parsed."""
        (data,) = self.messages
        return email.message_from_bytes(data, policy=email.policy.default)

    def command(self, verb: str) -> str:
        """The one command with this verb."""
        (line,) = [line for line in self.commands if line.startswith(verb)]
        return line


@contextlib.asynccontextmanager
async def running(taker: Taker) -> AsyncIterator[Taker]:
    tasks = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(taker.serve(reader, writer))
        tasks.add(task)
        await asyncio.wait([task])

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    taker.port = listener.sockets[0].getsockname()[1]
    try:
        yield taker
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def sender(**fields: Any) -> Sender:
    config = Settings(helo_name="worker.example.com", **fields)
    return Sender.of(config, KEYS, Clock(), LagMeter(), "w")


async def poll(taker: Taker, by: Sender | None = None, **fields: Any) -> Result:
    given = {"email": "probe@example.com", "timeout": 10, **fields}
    element = SmtpElement(name="mail", server="127.0.0.1", port=taker.port, **given)
    return await (by or sender()).poll(element, POLL)


async def polled(taker: Taker, by: Sender | None = None, **fields: Any) -> Result:
    """The result of a poll that must be good."""
    async with running(taker):
        result = await poll(taker, by, **fields)
    assert (result.level, result.fault) == (Level.GOOD, None)
    return result


async def sent(taker: Taker, by: Sender | None = None, **fields: Any) -> None:
    """A poll that must be good."""
    await polled(taker, by, **fields)


async def refused(taker: Taker, by: Sender | None = None, **fields: Any) -> Fault:
    """The fault of a poll."""
    async with running(taker):
        result = await poll(taker, by, **fields)
    assert result.fault is not None
    assert result.attempts[-1].accepted_at_us is None
    return result.fault


@pytest.mark.parametrize(
    ("fields", "command"),
    [
        ({}, "MAIL FROM:<probe@example.com>"),
        ({"username": "login@example.com"}, "MAIL FROM:<login@example.com>"),
        ({"username": "a login@x> y"}, "MAIL FROM:<probe@example.com>"),
        ({"sender": "other@example.com", "username": "login@example.com"}, "MAIL FROM:<other@example.com>"),
        ({"sender": ""}, "MAIL FROM:<>"),
    ],
)
def test_the_sender_is_the_elements_own_or_the_login_or_the_mailbox(
    run: Run, fields: dict[str, Any], command: str
) -> None:
    taker = Taker(offers=())
    run(sent(taker, **fields))
    assert taker.command("MAIL") == command
    assert taker.command("RCPT") == "RCPT TO:<probe@example.com>"


@pytest.mark.parametrize(("own", "name"), [("", "worker.example.com"), ("[192.0.2.1]", "[192.0.2.1]")])
def test_the_element_may_greet_with_a_name_of_its_own(run: Run, own: str, name: str) -> None:
    taker = Taker()
    run(sent(taker, heloname=own))
    assert taker.command("EHLO") == f"EHLO {name}"
    assert str(taker.mail["Message-ID"]).endswith(f".postbeat@{name}>")


@pytest.mark.parametrize(
    ("setting", "own", "name"),
    [
        ("SMTP-Monitor", "", "SMTP-Monitor"),
        ("Site", "", "Site"),
        ("Site", 'Prüfer, "M" <x@y>', 'Prüfer, "M" <x@y>'),
    ],
)
def test_the_originator_is_the_name_of_the_author(run: Run, setting: str, own: str, name: str) -> None:
    taker = Taker()
    run(sent(taker, sender(originator=setting), originator=own))
    (author,) = taker.mail["From"].addresses
    assert (author.display_name, author.addr_spec) == (name, "probe@example.com")


def test_the_elements_message_file_wins_over_that_of_the_setting(run: Run, tmp_path: Path) -> None:
    (tmp_path / "site.txt").write_text("of the site\n")
    (tmp_path / "own.txt").write_text("of its own\n")
    by = sender(mail_message=str(tmp_path / "site.txt"))
    takers = Taker(), Taker()
    run(sent(takers[0], by))
    run(sent(takers[1], by, mailmessage=str(tmp_path / "own.txt")))
    assert [taker.mail.get_content().strip() for taker in takers] == ["of the site", "of its own"]


def test_a_message_file_that_has_changed_is_sent_as_it_is_now(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        path, by = tmp_path / "m.txt", sender()
        taker = Taker()
        async with running(taker):
            for text in ("first\n", "second text\n"):
                path.write_text(text)
                await poll(taker, by, mailmessage=str(path))
        assert [data.rpartition(b"\r\n\r\n")[2] for data in taker.messages] == [
            b"first\r\n",
            b"second text\r\n",
        ]

    run(test())


def test_a_message_file_that_is_missing_is_our_own_fault_and_nothing_is_sent(
    run: Run, tmp_path: Path
) -> None:
    async def test() -> None:
        taker = Taker()
        fault = await refused(taker, mailmessage=str(tmp_path / "missing"))
        assert (fault.side, fault.code) == (Side.LOCAL, FaultCode.FILE)
        assert taker.commands == []

    run(test())


@pytest.mark.parametrize(
    ("setting", "own", "in_body"),
    [(False, None, False), (True, None, True), (True, 0, False), (False, 1, True)],
)
def test_tracking_is_in_the_header_or_in_the_body(
    run: Run, setting: bool, own: int | None, in_body: bool
) -> None:
    taker = Taker()
    run(sent(taker, sender(use_body=setting), usebody=own))
    assert (taker.mail["X-Postbeat"] is None) is in_body
    assert taker.mail.get_content().startswith("X-Postbeat: v=2; poll=mail@eu#7;") is in_body


def test_lines_that_begin_with_a_dot_arrive_as_they_were(run: Run, tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text(".\n..\n.x\nend")
    taker = Taker()
    run(sent(taker, mailmessage=str(tmp_path / "m.txt")))
    assert taker.mail.get_content() == ".\r\n..\r\n.x\r\nend\r\n"


@pytest.mark.parametrize("payload", [0, 1, 1000, 64 * 1024, 300_001])
def test_size_is_that_of_the_message_and_bytes_are_those_on_the_wire(run: Run, payload: int) -> None:
    async def test() -> None:
        taker = Taker()
        result = await polled(taker, payload=payload)
        (data,) = taker.messages
        assert taker.command("MAIL").endswith(f" SIZE={len(data)}")
        assert result.attempts[-1].bytes_transferred == taker.wire[0] == len(data) + 3

    run(test())


@pytest.mark.parametrize("size", ["SIZE", "SIZE 0", "SIZE many", "SIZE " + "9" * 5000])
def test_a_server_may_have_no_limit_that_it_could_tell(run: Run, size: str) -> None:
    taker = Taker(offers=(size[:900],))
    run(sent(taker, payload=1000))
    assert len(taker.messages) == 1


def test_a_message_that_is_larger_than_the_server_takes_is_our_own_fault(run: Run) -> None:
    async def test() -> None:
        taker = Taker(offers=("SIZE 1000",))
        fault = await refused(taker, payload=1000)
        assert (fault.side, fault.code, fault.stage) == (Side.LOCAL, FaultCode.TOO_LARGE, "mail")
        assert re.fullmatch(r"our message has 1\d\d\d bytes, and the server takes 1000", fault.message)
        assert not any(line.startswith("MAIL") for line in taker.commands)

    run(test())


def test_parameters_are_used_only_where_they_are_needed(run: Run) -> None:
    taker = Taker()
    run(sent(taker))
    assert re.fullmatch(r"MAIL FROM:<probe@example\.com> SIZE=\d+", taker.command("MAIL"))


def test_a_mailbox_that_is_not_ascii_is_sent_with_smtputf8(run: Run) -> None:
    taker = Taker()
    run(sent(taker, email="prüfer@example.com"))
    assert taker.command("MAIL").startswith("MAIL FROM:<prüfer@example.com>")
    assert taker.command("MAIL").endswith(" SMTPUTF8")
    assert taker.command("RCPT") == "RCPT TO:<prüfer@example.com>"


def test_a_body_of_eight_bits_is_announced(run: Run, tmp_path: Path) -> None:
    (tmp_path / "m.eml").write_text("Subject: x\n\nGrüße\n")
    taker = Taker()
    run(sent(taker, mailmessage=str(tmp_path / "m.eml")))
    assert taker.command("MAIL").endswith(" BODY=8BITMIME")
    assert "Grüße".encode() in taker.messages[0]


@pytest.mark.parametrize(
    ("text", "email_", "code", "name"),
    [
        ("Hello\n", "prüfer@example.com", FaultCode.NO_SMTPUTF8, "SMTPUTF8"),
        ("Subject: Grüße\n\nHello\n", "probe@example.com", FaultCode.NO_SMTPUTF8, "SMTPUTF8"),
        ("Subject: x\n\nGrüße\n", "probe@example.com", FaultCode.NO_8BITMIME, "8BITMIME"),
    ],
)
def test_what_the_message_needs_and_the_server_does_not_offer_is_named(
    run: Run, tmp_path: Path, text: str, email_: str, code: FaultCode, name: str
) -> None:
    async def test() -> None:
        (tmp_path / "m").write_text(text)
        fault = await refused(Taker(offers=()), email=email_, mailmessage=str(tmp_path / "m"))
        assert (fault.side, fault.code, fault.stage) == (Side.REMOTE, code, "mail")
        assert fault.message.startswith(f"the server does not offer {name}")

    run(test())


@pytest.mark.parametrize(
    ("verb", "stage"), [("MAIL", "mail"), ("RCPT", "rcpt"), ("DATA", "data"), (".", "upload")]
)
@pytest.mark.parametrize("payload", [0, 100_000])
def test_a_refusal_is_named_with_its_stage_and_its_status(
    run: Run, verb: str, stage: str, payload: int
) -> None:
    async def test() -> None:
        fault = await refused(Taker(replies={verb: b"550 5.7.1 no\r\n"}), payload=payload)
        assert (fault.side, fault.code, fault.stage) == (Side.REMOTE, FaultCode.REPLY, stage)
        assert "550 5.7.1 no" in fault.message

    run(test())


@pytest.mark.parametrize("status", [250, 251, 252])
def test_a_recipient_may_be_taken_in_three_ways(run: Run, status: int) -> None:
    taker = Taker(replies={"RCPT": b"%d ok\r\n" % status})
    run(sent(taker))
    assert len(taker.messages) == 1


def test_a_server_that_refuses_in_the_middle_and_reads_no_more_is_heard(run: Run) -> None:
    async def test() -> None:
        taker = Taker(refuse_after=100_000)
        async with running(taker):
            result = await poll(taker, payload=20_000_000)
        assert result.fault is not None
        assert (result.fault.side, result.fault.stage) == (Side.REMOTE, "upload")
        assert "552 too much" in result.fault.message
        assert 100_000 <= result.attempts[-1].bytes_transferred < 20_000_000

    run(test())


def test_a_server_that_accepts_what_it_does_not_have_is_not_believed(run: Run) -> None:
    async def test() -> None:
        fault = await refused(Taker(accept_after=100_000), payload=20_000_000)
        assert (fault.side, fault.code, fault.stage) == (Side.REMOTE, FaultCode.PROTOCOL, "upload")

    run(test())


@pytest.mark.parametrize(
    ("verb", "answers", "stage"),
    [
        ("MAIL", b"250 ok\r\n250 ok\r\n", "mail"),
        ("RCPT", b"250 ok\r\n354 go\r\n", "rcpt"),
        ("DATA", b"354 go\r\n250 taken\r\n", "data"),
    ],
)
def test_an_answer_that_comes_before_its_command_is_not_believed(
    run: Run, verb: str, answers: bytes, stage: str
) -> None:
    async def test() -> None:
        fault = await refused(Taker(replies={verb: answers, ".": b"552 no\r\n"}))
        assert (fault.side, fault.code, fault.stage) == (Side.REMOTE, FaultCode.PROTOCOL, stage)

    run(test())


def test_a_connection_that_ends_in_the_middle_is_the_servers_fault(run: Run) -> None:
    async def test() -> None:
        fault = await refused(Taker(cut_after=100_000), payload=20_000_000)
        assert (fault.side, fault.code, fault.stage) == (Side.REMOTE, FaultCode.DISCONNECTED, "upload")

    run(test())


def test_the_loop_stays_free_while_fifty_megabytes_are_sent(run: Run) -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        longest_s, last_s = 0.0, loop.time()

        async def watch() -> None:
            nonlocal longest_s, last_s
            while True:
                await asyncio.sleep(0)
                longest_s, last_s = max(longest_s, loop.time() - last_s), loop.time()

        watcher = asyncio.ensure_future(watch())
        taker = Taker()
        result = await polled(taker, payload=50 << 20)
        watcher.cancel()
        assert result.attempts[-1].bytes_transferred > 50 << 20
        assert longest_s < 1

    run(test())


def test_every_attempt_has_an_id_of_its_own(run: Run) -> None:
    async def test() -> None:
        taker = Taker(replies={".": b"451 later\r\n"})
        async with running(taker):
            await poll(taker, failureretests=2, retestinterval=0)
        ids = [re.search(rb"^Message-ID: (.*)\r$", data, re.MULTILINE) for data in taker.messages]
        assert len({match[1] for match in ids if match}) == 3

    run(test())


def test_a_message_is_signed_where_the_element_says_so(run: Run, tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    public = base64.b64encode(key.public_key().public_bytes_raw())
    taker = Taker()
    signed: dict[str, Any] = {
        "dkimdomain": "example.com",
        "dkimselector": "s",
        "dkimkeyfile": str(tmp_path / "key.pem"),
    }
    run(sent(taker, payload=1000, **signed))
    assert dkim.verify(taker.messages[0], dnsfunc=lambda name, timeout=5: b"v=DKIM1; k=ed25519; p=" + public)


def test_a_key_that_cannot_be_used_is_our_own_fault(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        (tmp_path / "key").write_text("none")
        fault = await refused(
            Taker(), dkimdomain="example.com", dkimselector="s", dkimkeyfile=str(tmp_path / "key")
        )
        assert (fault.side, fault.code) == (Side.LOCAL, FaultCode.FILE)

    run(test())
