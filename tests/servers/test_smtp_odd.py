"""Servers that are odd and mean well: mail goes through them."""

from __future__ import annotations

from typing import Any

import pytest

from postbeat.model import AuthenticationType, Level, SecurityType
from postbeat.results import Result
from tests.servers.conftest import Run
from tests.servers.conversations import EXCHANGES, poll, up_to, whole
from tests.servers.scripted import (
    Certificates,
    Cut,
    Hang,
    Repeat,
    ScriptedServer,
    Send,
    StartTls,
    Step,
    dialogue,
    scripted,
)

NO_LOGIN: dict[str, Any] = {"authenticationtype": AuthenticationType.NONE}


async def good(server: ScriptedServer, **fields: Any) -> Result:
    """The result of a poll that must find nothing wrong."""
    result = await poll(server, **fields)
    assert (result.level, result.fault) == (Level.GOOD, None)
    assert result.attempts[-1].accepted_at_us is not None
    return result


@pytest.mark.parametrize(
    "answers",
    [
        {"greeting": b"220-mx.test\r\n220-no spam\r\n220-\r\n220\r\n"},
        {"greeting": b"220\r\n", "mail": b"250\r\n", "data": b"354 \r\n"},
        {"greeting": b"220 mx.test ready\n", "ehlo": b"250-mx.test\n250 AUTH PLAIN\n", "data": b"354 go\n"},
        {"greeting": b"220 mx.test\r\r\n", "ehlo": b"250-mx.test\r\r\n250-auth plain\r\r\n250 X\r\r\n"},
        {"greeting": b"220 mx.test\tr\x00e\x1b[31mady\rnow\r\n"},
        {
            "greeting": b"220 gr\xfc\xdfe\r\n",
            "ehlo": b"250-\xe9\xff\r\n250-X-\x80 \xc3\r\n250 AUTH PLAIN\r\n",
        },
        {"greeting": b"220 " + b"x" * 8000 + b"\r\n", "upload": b"250 " + b"\xff" * 8000 + b"\r\n"},
        {"ehlo": b"250-MX.TEST\r\n250 Auth Plain\r\n"},
        {"ehlo": b"250-mx.test\r\n250 AUTH=plain\r\n"},
        {"ehlo": b"250-mx.test\r\n250-  AUTH   LOGIN   PLAIN  \r\n250 \r\n"},
        {"ehlo": b"250-mx.test\r\n" + b"250-X-%04d\r\n" * 500 % tuple(range(500)) + b"250 AUTH PLAIN\r\n"},
        {"ehlo": b"250-mx.test\r\n250-SIZE\r\n250-SIZE many\r\n250 AUTH PLAIN\r\n"},
        {"upload": b"250-taken\r\n250-really\r\n250 2.0.0 as 4711\r\n"},
    ],
    ids=" ".join,
)
def test_what_a_server_says_beside_the_codes_does_not_matter(run: Run, answers: dict[str, bytes]) -> None:
    async def test() -> None:
        async with scripted(whole(**answers)) as server:
            result = await good(server)
        assert all(stage.reply.isprintable() for stage in result.attempts[-1].stages)

    run(test())


def test_replies_may_come_one_byte_in_a_packet(run: Run) -> None:
    async def test() -> None:
        script = [Send(step.data, one_by_one=True) if isinstance(step, Send) else step for step in whole()]
        async with scripted(script) as server:
            await good(server)

    run(test())


@pytest.mark.parametrize("refusal", ["500 what?", "502 not here", "504 no", "550 no", "500-what\nS: 500 ?"])
def test_a_server_that_does_not_know_ehlo_is_greeted_with_helo(run: Run, refusal: str) -> None:
    script = dialogue(f"""
        S: 220 old.test SMTP
        C: EHLO probe.test
        S: {refusal}
        C: HELO probe.test
        S: 250 old.test
        C: MAIL FROM:<probe@example.com>
        S: 250 ok
        C: RCPT TO:<probe@example.com>
        S: 250 ok
        C: DATA
        S: 354 go
    """)

    async def test() -> None:
        async with scripted([*script, *up_to("quit", Send(b"221 bye\r\n"))[-4:]]) as server:
            await good(server, **NO_LOGIN)

    run(test())


@pytest.mark.parametrize(
    "offer",
    [
        b"250-mx.test\r\n250 STARTTLS\r\n",
        b"250-mx.test\r\n250-SIZE 1000000\r\n250 starttls\r\n",
        b"250-mx.test\r\n250-StartTLS \r\n250 HELP\r\n",
    ],
    ids=["alone", "last", "in the middle"],
)
def test_starttls_is_found_wherever_it_stands(run: Run, certificates: Certificates, offer: bytes) -> None:
    async def test() -> None:
        before = up_to("starttls", Send(b"220-go\r\n220 ahead\r\n"), ehlo=offer)
        script: list[Step] = [*before, StartTls(), *whole()[1:]]
        async with scripted(script, tls=certificates.server) as server:
            fields = {"securitytype": SecurityType.STARTTLS, "tlscafile": str(certificates.authority_file)}
            await good(server, **fields)

    run(test())


@pytest.mark.parametrize(
    ("steps", "reply"),
    [
        ([Send(b"221 bye\r\njunk\r\n"), Hang()], "no proper goodbye"),
        ([Send(b"221 bye\r\n" * 1000), Cut()], "no proper goodbye"),
        ([Repeat(b"junk" * 10_000)], "no proper goodbye"),
        ([Send(b"250 what?\r\n")], "no proper goodbye"),
        ([Send(b"421 bye\r\n")], "no proper goodbye"),
        ([Cut(reset=True)], "no proper goodbye"),
        ([Send(b"221 bye\r\n"), Cut(reset=True)], "221 bye"),
    ],
    ids=["junk behind", "many", "a flood", "another code", "421", "a reset", "a reset behind"],
)
def test_a_goodbye_that_goes_wrong_changes_nothing(run: Run, steps: list[Step], reply: str) -> None:
    async def test() -> None:
        async with scripted(up_to("quit", *steps)) as server:
            result = await good(server)
            await server.gone()
        stage = result.attempts[-1].stages[-1]
        assert (stage.name, stage.reply) == ("quit", reply)

    run(test())


def test_a_server_that_is_silent_after_the_message_has_taken_it(run: Run) -> None:
    async def test() -> None:
        async with scripted(up_to("quit", Hang())) as server:
            await good(server, timeout=0.3)

    run(test())


def test_421_behind_the_answer_to_the_message_does_not_take_it_back(run: Run) -> None:
    async def test() -> None:
        answer = EXCHANGES["upload"][1] + b"421 idle\r\n"
        async with scripted(up_to("upload", Send(answer), Cut())) as server:
            await good(server)

    run(test())
