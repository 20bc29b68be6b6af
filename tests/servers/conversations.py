"""A whole conversation of the SMTP test, to be broken off or twisted at any of its stages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from postbeat.clock import Clock
from postbeat.elements import SmtpElement
from postbeat.lag import LagMeter
from postbeat.model import AuthenticationType, Fault, Level, Poll, Secret, SecurityType, Side
from postbeat.results import Result
from postbeat.secrets import Keys
from postbeat.sending import Sender
from postbeat.settings import Settings
from tests.servers.scripted import Expect, ExpectUntil, ScriptedServer, Send, Step, scripted

KEYS = Keys.new()
TIMEOUT_S = 5.0

# What the client says in each stage, and the answer to it.
EXCHANGES: dict[str, tuple[list[Step], bytes]] = {
    "greeting": ([], b"220 mx.test ready\r\n"),
    "ehlo": ([Expect(b"EHLO probe.test")], b"250-mx.test\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n"),
    "starttls": ([Expect(b"STARTTLS")], b"220 go ahead\r\n"),
    "auth": ([Expect(b"AUTH PLAIN .*")], b"235 welcome\r\n"),
    "mail": ([Expect(b"MAIL FROM:.*")], b"250 ok\r\n"),
    "rcpt": ([Expect(b"RCPT TO:.*")], b"250 ok\r\n"),
    "data": ([Expect(b"DATA")], b"354 go ahead\r\n"),
    "upload": ([ExpectUntil(b"\r\n.\r\n")], b"250 taken\r\n"),
    "quit": ([Expect(b"QUIT")], b"221 bye\r\n"),
}
STAGES = tuple(stage for stage in EXCHANGES if stage != "quit")


def up_to(stage: str, *steps: Step, **answers: bytes) -> list[Step]:
    """The conversation up to the server's answer in a stage, and then these steps.

    ``answers`` are the server's in other stages.
    """
    script: list[Step] = []
    for name, (expected, answer) in EXCHANGES.items():
        if name == "starttls" != stage:
            continue
        script += expected
        if name == stage:
            return [*script, *steps]
        script.append(Send(answers.get(name, answer)))
    raise ValueError(stage)


def whole(**answers: bytes) -> list[Step]:
    """The conversation without TLS, with other answers than usual in some stages."""
    return up_to("quit", Send(answers.get("quit", b"221 bye\r\n")), **answers)


def sender(lag: LagMeter) -> Sender:
    return Sender.of(Settings(helo_name="probe.test"), KEYS, Clock(), lag, "w")


def element(port: int, stage: str = "", **fields: Any) -> SmtpElement:
    """An element whose test comes to this stage."""
    security = SecurityType.STARTTLS if stage == "starttls" else SecurityType.NONE
    given: dict[str, Any] = {
        "email": "probe@example.com",
        "timeout": TIMEOUT_S,
        "securitytype": security,
        "authenticationtype": AuthenticationType.PLAIN,
        "username": "user",
        "password": Secret("literal", "hunter2"),
        "plaintextlogin": True,
        **fields,
    }
    return SmtpElement(name="mail", server="127.0.0.1", port=port, **given)


async def poll(server: ScriptedServer, stage: str = "", **fields: Any) -> Result:
    """One poll; it never takes much longer than its timeout, whatever the server does."""
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    polled = element(server.port, stage, **fields)
    result = await sender(LagMeter()).poll(polled, Poll("mail", "eu", 7))
    assert loop.time() - started_s < polled.timeout + 1
    return result


async def fault_of(script: Sequence[Step], stage: str = "", **fields: Any) -> Fault:
    """The fault of a poll of this server: the service's own, in the stage, and told in a short line."""
    async with scripted(script) as server:
        result = await poll(server, stage, **fields)
        await server.gone()
    fault = result.fault
    assert fault is not None
    assert (result.level, fault.side, fault.stage) == (Level.FAILED, Side.REMOTE, stage), fault
    assert result.attempts[-1].accepted_at_us is None
    assert not result.attempts[-1].stages[-1].ended
    assert fault.message.isprintable()
    assert len(fault.message) < 400
    return fault
