"""Mails by relays that refuse some recipients, or do not answer to the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from postbeat.elements import Imap4Element, SmtpElement
from postbeat.model import Level, Phase
from postbeat.results import Stage
from postbeat.sinks import email
from postbeat.sinks.channel import NotDeliveredError
from postbeat.sinks.config import EmailSink, Relay
from postbeat.sinks.email import EmailChannel
from postbeat.sinks.notice import Notice, samples
from postbeat.store import keys
from postbeat.store.worker import WorkerStore
from tests.redis.site import result
from tests.sinks.rig import Rig
from tests.sinks.test_maintenance import publish

NOTICE = next(samples())
FIRST, SECOND = "first@example.test", "second@example.test"


@dataclass
class Relaying:
    """A relay that refuses some recipients, each with a reply, and may not answer QUIT."""

    refuses: dict[str, str] = field(default_factory=dict)
    quits: bool = True
    mails: list[list[str]] = field(default_factory=list)  # the recipients of each
    port: int = 0
    _sessions: list[asyncio.Task[None]] = field(default_factory=list)

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Relay]:
        server = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield Relay(server="127.0.0.1", port=self.port)
        finally:
            server.close()
            await asyncio.gather(*self._sessions)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._sessions.append(asyncio.ensure_future(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        recipients: list[str] = []
        writer.write(b"220 relay.test ESMTP\r\n")
        while line := (await reader.readline()).decode().strip():
            reply = "250 fine"
            if line.startswith("RCPT"):
                address = line.partition("<")[2].partition(">")[0]
                reply = self.refuses.get(address, reply)
                if reply.startswith("250"):
                    recipients.append(address)
            elif line == "DATA":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                self.mails.append(recipients)
            elif line == "QUIT":
                if not self.quits:
                    await reader.read()
                break
            writer.write(f"{reply}\r\n".encode())
        writer.close()


def channel(*relays: Relay) -> EmailChannel:
    to, timeout = (FIRST, SECOND), 5.0
    sink = EmailSink(name="ops", to=to, sender="postbeat@example.test", relays=relays, timeout=timeout)
    return EmailChannel(sink, "client.test", no_hosts)


async def no_hosts(_: Notice) -> tuple[str, ...]:
    return ()


async def refusal(channel: EmailChannel) -> NotDeliveredError:
    with pytest.raises(NotDeliveredError) as caught:
        await channel.deliver(NOTICE)
    return caught.value


def test_a_relay_that_takes_a_mail_and_does_not_answer_quit_gets_it_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(email, "_QUIT_S", 0.05)
    hanging, other = Relaying(quits=False), Relaying()

    async def run() -> None:
        async with hanging.up() as first, other.up() as second:
            await channel(first, second).deliver(NOTICE)

    asyncio.run(run())
    assert (hanging.mails, other.mails) == ([[FIRST, SECOND]], [])


def test_a_recipient_whom_one_relay_refuses_gets_the_mail_through_the_next() -> None:
    refusing, other = Relaying({SECOND: "550 no such user"}), Relaying()

    async def run() -> None:
        async with refusing.up() as first, other.up() as second:
            await channel(first, second).deliver(NOTICE)

    asyncio.run(run())
    assert (refusing.mails, other.mails) == ([[FIRST]], [[SECOND]])


@pytest.mark.parametrize(("reply", "permanent"), [("550 no such user", True), ("450 greylisted", False)])
def test_a_recipient_who_is_refused_is_named(reply: str, permanent: bool) -> None:
    relaying = Relaying({SECOND: reply})

    async def run() -> NotDeliveredError:
        async with relaying.up() as relay:
            return await refusal(channel(relay))

    error = asyncio.run(run())
    assert str(error) == f"127.0.0.1:{relaying.port} refused {SECOND} ({reply[:3]})"
    assert error.permanent is permanent


def test_who_has_a_mail_does_not_get_it_again_with_who_was_refused_for_now() -> None:
    relaying = Relaying({SECOND: "450 greylisted"})

    async def run() -> None:
        async with relaying.up() as relay:
            ops = channel(relay)
            await refusal(ops)
            await refusal(ops)
            relaying.refuses.clear()
            await ops.deliver(NOTICE)
            await ops.deliver(NOTICE)  # as somebody wants it once more

    asyncio.run(run())
    assert relaying.mails == [[FIRST], [SECOND], [FIRST, SECOND]]


@pytest.mark.parametrize(
    ("refuses", "ends"), [({SECOND: "452 full"}, True), ({FIRST: "451", SECOND: "451"}, False)]
)
def test_who_is_refused_for_now_holds_those_up_who_have_the_mail_for_a_few_tries(
    refuses: Mapping[str, str], ends: bool
) -> None:
    relaying = Relaying(dict(refuses))

    async def run() -> list[bool]:
        async with relaying.up() as relay:
            ops = channel(relay)
            return [(await refusal(ops)).permanent for _ in range(5)]

    assert asyncio.run(run()) == [False, False, False, False, ends]


MAIL = SmtpElement(name="mail", server="example.test", poll=60, regions=("lab",))
BOX = Imap4Element(name="box", server="localhost.", username="probe")


@pytest.mark.parametrize(
    ("mail", "exchangers"),
    [
        pytest.param(
            replace(MAIL, mx=True, email="probe@example.test"), "mx.invalid LOCALHOST", id="exchanger"
        ),
        pytest.param(replace(MAIL, email="probe@example.test", read="box"), "", id="mailbox"),
    ],
)
def test_a_mail_goes_last_through_the_mail_exchanger_or_the_server_of_the_mailbox_that_may_have_failed(
    rig: Rig, mail: SmtpElement, exchangers: str
) -> None:
    publish(rig, mail, BOX)
    failing, other = Relaying(), Relaying()

    async def run() -> None:
        store = WorkerStore(rig.redis_url)
        async with failing.up() as first, other.up() as second:
            relays = [
                {"server": "localhost", "port": first.port},
                {"server": second.server, "port": second.port},
            ]
            sink = {"name": "ops", "type": "email", "to": FIRST, "sender": SECOND, "relays": relays}
            async with rig.serving(sink):
                failed = result(1, Phase.SEND, Level.FAILED, rig.clock.now_us())
                (attempt,) = failed.attempts
                looked_up = replace(attempt, stages=(Stage("mx", 0, 1, exchangers),) if exchangers else ())
                await store.record_send(mail, replace(failed, attempts=(looked_up,)))
                await rig.settled("ops")
        await store.close()

    asyncio.run(run())
    assert (failing.mails, other.mails) == ([], [[FIRST]])


def test_a_mail_waits_until_redis_tells_what_may_have_failed(rig: Rig) -> None:
    publish(rig, MAIL)
    relaying = Relaying()

    async def run() -> None:
        async with relaying.up() as relay:
            relays = [{"server": relay.server, "port": relay.port}]
            sink = {"name": "ops", "type": "email", "to": FIRST, "sender": SECOND, "relays": relays}
            async with rig.serving(sink):
                rig.redis.set(keys.latest(Phase.SEND), "Redis refuses to read this as results")
                rig.verdict("GOOD", "FAILED")
                await rig.until(lambda: rig.redis.hget(keys.sink("ops"), "error"))
                error = str(rig.redis.hget(keys.sink("ops"), "error"))
                assert error == "Redis does not tell what may have failed (ResponseError)"
                assert not relaying.mails
                rig.redis.delete(keys.latest(Phase.SEND))
                await rig.settled("ops")

    asyncio.run(run())
    assert relaying.mails == [[FIRST]]
