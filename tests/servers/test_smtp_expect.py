"""Servers that refuse, as they should or as they should not, for now or for good."""

from __future__ import annotations

from typing import Any

import pytest

from postbeat.clock import Clock
from postbeat.elements import Expectation, SmtpElement
from postbeat.lag import LagMeter
from postbeat.model import AuthenticationType, Fault, FaultCode, Level, Poll, Secret, SecurityType, Side
from postbeat.results import Result
from postbeat.secrets import Keys
from postbeat.sending import Sender
from tests.servers.conftest import Run
from tests.servers.scripted import (
    Certificates,
    Cut,
    Expect,
    ExpectUntil,
    Hang,
    ScriptedServer,
    Send,
    StartTls,
    Step,
    dialogue,
    scripted,
)

EMAIL: dict[str, Any] = {"email": "probe@example.com"}
LOGIN: dict[str, Any] = {
    "authenticationtype": AuthenticationType.PLAIN,
    "plaintextlogin": True,
    "username": "user",
    "password": Secret("literal", "hunter2"),
}
STARTTLS: dict[str, Any] = {"securitytype": SecurityType.STARTTLS}
TO_RCPT = """
    S: 220 mx
    C: EHLO probe.test
    S: 250-mx
    S: 250-STARTTLS
    S: 250 AUTH PLAIN
    C: MAIL FROM:...
    S: 250 2.1.0 sender ok
    C: RCPT TO:<probe@example.com>
"""
HELLO, _, _ = TO_RCPT.partition("    C: MAIL")
BYE = "C: QUIT\nS: 221 bye"
ALERT = b"\x15\x03\x03\x00\x02\x02\x46"  # fatal: protocol_version (RFC 8446 section 6)
MESSAGE = ExpectUntil(b"\r\n.\r\n")

# Each stage with the way to its refusal, and what the element needs for it.
STAGES: dict[str, tuple[list[Step], dict[str, Any]]] = {
    "greeting": ([], {}),
    "ehlo": (dialogue("S: 220 mx\nC: EHLO probe.test"), {}),
    "starttls": (dialogue(f"{HELLO}C: STARTTLS"), STARTTLS),
    "auth": (dialogue(f"{HELLO}C: AUTH PLAIN ..."), LOGIN),
    "mail": (dialogue(f"{HELLO}C: MAIL FROM:<probe@example.com>"), EMAIL),
    "rcpt": (dialogue(TO_RCPT), EMAIL),
    "data": (dialogue(f"{TO_RCPT}S: 250 ok\nC: DATA"), EMAIL),
    "upload": ([*dialogue(f"{TO_RCPT}S: 250 ok\nC: DATA\nS: 354 go"), MESSAGE], EMAIL),
}
ACCEPTING = {"greeting": "220 mx", "starttls": "220 go", "auth": "235 in", "data": "354 go"}
EACH = pytest.mark.parametrize("stage", STAGES)


async def poll(at: ScriptedServer, stage: str = "", *statuses: str, **fields: Any) -> Result:
    """A poll of an element that expects a refusal, or none."""
    expected = Expectation(stage, statuses) if stage else None
    given = {"server": "127.0.0.1", "retestinterval": 0, "timeout": 5, **fields}
    element = SmtpElement(name="mail", port=at.port, expect=expected, **given)
    sender = Sender(Keys.new(), Clock(), LagMeter(), "SMTP-Monitor", "probe.test", "worker")
    return await sender.poll(element, Poll("mail", "eu", 1))


def fault_of(result: Result) -> Fault:
    assert result.fault is not None
    assert result.fault.side is Side.REMOTE
    return result.fault


def said(reply: str) -> list[Step]:
    return [Send(reply.encode() + b"\r\n")]


@EACH
def test_the_expected_refusal_is_good_and_ends_with_a_goodbye(run: Run, stage: str) -> None:
    way, fields = STAGES[stage]
    # aiosmtplib closes where the greeting is no 220.
    end = [] if stage == "greeting" else dialogue(BYE)

    async def test() -> None:
        async with scripted([*way, *said("554 5.7.1 not here"), *end]) as server:
            result = await poll(server, stage, "550", "554", failureretests=2, **fields)
            await server.gone()
        assert (result.level, result.fault) == (Level.GOOD, None)
        assert result.message == (
            f"Refused in stage {stage}, as expected: 554 5.7.1 not here (attempt 1 of 3)"
        )
        (attempt,) = result.attempts
        assert (attempt.status, attempt.enhanced, attempt.accepted_at_us) == (554, "5.7.1", None)
        assert all(one.ended for one in attempt.stages)

    run(test())


@EACH
def test_a_server_that_lets_pass_what_it_should_refuse_is_failed(
    run: Run, stage: str, certificates: Certificates
) -> None:
    way, fields = STAGES[stage]
    # After its agreement to DATA the server would take a goodbye for the message: there is none.
    end: list[Step] = [] if stage == "data" else [Expect(b"QUIT")]
    tls: list[Step] = [StartTls()] if stage == "starttls" else []
    answer = said(ACCEPTING.get(stage, "250 welcome"))
    cafile = {"server": "localhost", "tlscafile": str(certificates.authority_file)} if tls else {}

    async def test() -> None:
        async with scripted([*way, *answer, *tls, *end], tls=certificates.server) as server:
            result = await poll(server, stage, "5xx", **fields, **cafile)
            await server.gone()
        fault = fault_of(result)
        assert (result.level, fault.code) == (Level.FAILED, FaultCode.ACCEPTED)
        assert fault.message == f"the server accepted what it should have refused in stage {stage}"
        assert b"DATA" not in server.lines or stage in ("data", "upload")
        assert (b"QUIT" in server.lines) is (stage != "data")

    run(test())


@EACH
def test_a_refusal_with_another_status_is_failed(run: Run, stage: str) -> None:
    way, fields = STAGES[stage]

    async def test() -> None:
        async with scripted([*way, *said("451 4.7.1 later")]) as server:
            result = await poll(server, stage, "5xx", **fields)
        fault = fault_of(result)
        assert (result.level, fault.code, fault.stage) == (Level.FAILED, FaultCode.UNEXPECTED, stage)
        assert fault.message.startswith(f"expected 5xx in stage {stage}, and the server ")
        assert fault.message.endswith("451 4.7.1 later")

    run(test())


def test_a_refusal_in_another_stage_is_failed(run: Run) -> None:
    async def test() -> None:
        async with scripted([*STAGES["mail"][0], *said("550 5.7.1 no")]) as server:
            result = await poll(server, "rcpt", "550", **EMAIL)
        fault = fault_of(result)
        assert (result.level, fault.code, fault.stage) == (Level.FAILED, FaultCode.UNEXPECTED, "mail")
        assert fault.message == "expected 550 in stage rcpt, and the server refused the sender: 550 5.7.1 no"

    run(test())


def test_a_connection_that_breaks_is_no_refusal(run: Run) -> None:
    async def test() -> None:
        async with scripted([*dialogue(TO_RCPT), Cut()]) as server:
            result = await poll(server, "rcpt", "5xx", **EMAIL)
        assert (result.level, fault_of(result).code) == (Level.FAILED, FaultCode.DISCONNECTED)

    run(test())


def test_a_handshake_that_the_server_refuses_is_the_expected_one(
    run: Run, certificates: Certificates
) -> None:
    fields = {**STARTTLS, "server": "localhost", "tlscafile": str(certificates.authority_file)}
    agreed = dialogue(f"{HELLO}C: STARTTLS\nS: 220 go")

    async def test() -> None:
        async with scripted([*agreed, ExpectUntil(b"localhost"), Send(ALERT), Hang()]) as server:
            refused = await poll(server, "tls", **fields)
        async with scripted([*agreed, StartTls(), Expect(b"QUIT")], tls=certificates.server) as server:
            accepted = await poll(server, "tls", **fields)
            await server.gone()
        assert (refused.level, refused.message) == (Level.GOOD, "Refused in stage tls, as expected")
        assert accepted.attempts[0].tls is not None
        assert fault_of(accepted).message == "the server accepted what it should have refused in stage tls"

    run(test())


def test_a_certificate_that_we_refuse_is_no_refusal_of_the_server(
    run: Run, certificates: Certificates
) -> None:
    async def test() -> None:
        script = [*dialogue(f"{HELLO}C: STARTTLS\nS: 220 go"), StartTls()]
        async with scripted(script, tls=certificates.server) as server:
            result = await poll(server, "tls", server="localhost", **STARTTLS)
        assert (result.level, fault_of(result).code) == (Level.FAILED, FaultCode.CERTIFICATE)

    run(test())


def test_the_bad_password_of_a_negative_test_shows_nowhere(run: Run) -> None:
    async def test() -> None:
        script = [*STAGES["auth"][0], *said("535 5.7.8 hunter2 is wrong"), *dialogue(BYE)]
        async with scripted(script) as server:
            result = await poll(server, "auth", "535", **LOGIN)
        assert result.level is Level.GOOD
        assert "hunter2" not in repr(result)

    run(test())


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "upload"])
def test_greylisting_is_marginal_and_its_reply_is_quoted(run: Run, stage: str) -> None:
    async def test() -> None:
        async with scripted([*STAGES[stage][0], *said("450 4.7.1 Please come back")]) as server:
            result = await poll(server, failureretests=1, **EMAIL)
        fault = fault_of(result)
        assert (result.level, fault.code, fault.stage) == (Level.MARGINAL, FaultCode.GREYLISTED, stage)
        assert result.message.endswith("for now, by greylisting: 450 4.7.1 Please come back (attempt 2 of 2)")

    run(test())


def test_an_attempt_that_is_accepted_after_greylisting_makes_it_good_and_both_are_listed(run: Run) -> None:
    async def test() -> None:
        put_off = [*STAGES["rcpt"][0], *said("450 4.2.0 Greylisted")]
        taken = [*STAGES["upload"][0], *said("250 2.0.0 queued"), *dialogue(BYE)]
        async with scripted(put_off, taken) as server:
            result = await poll(server, failureretests=3, **EMAIL)
        assert (result.level, result.message) == (Level.GOOD, "Message sent (attempt 2 of 4)")
        codes = [attempt.fault.code if attempt.fault else None for attempt in result.attempts]
        assert codes == [FaultCode.GREYLISTED, None]
        assert [attempt.status for attempt in result.attempts] == [450, 250]

    run(test())


def test_a_full_mailbox_is_a_refusal_for_now_and_no_greylisting(run: Run) -> None:
    async def test() -> None:
        async with scripted([*STAGES["rcpt"][0], *said("452 4.2.2 Mailbox full")]) as server:
            result = await poll(server, **EMAIL)
        assert (result.level, fault_of(result).code) == (Level.MARGINAL, FaultCode.TEMPORARY)
        assert result.message == "The server refused the recipient for now: 452 4.2.2 Mailbox full"

    run(test())


@pytest.mark.parametrize(
    ("stage", "reply"),
    [("rcpt", "421 4.7.1 Greylisted, goodbye"), ("greeting", "450 busy"), ("auth", "454 4.7.0 later")],
)
def test_a_4xx_that_lets_nobody_through_is_failed(run: Run, stage: str, reply: str) -> None:
    way, fields = STAGES[stage]

    async def test() -> None:
        async with scripted([*way, *said(reply)]) as server:
            result = await poll(server, **fields)
        assert (result.level, fault_of(result).code) == (Level.FAILED, FaultCode.REPLY)

    run(test())


@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        ("530 5.7.0 Must issue a STARTTLS command first", "; set securitytype STARTTLS"),
        ("530 5.7.1 Authentication required", "; set authenticationtype"),
        ("550 5.7.1 STARTTLS is not the matter", ""),
    ],
)
def test_a_server_that_wants_something_first_is_told_of_with_what_to_set(
    run: Run, reply: str, advice: str
) -> None:
    async def test() -> None:
        async with scripted([*STAGES["mail"][0], *said(reply)]) as server:
            result = await poll(server, **EMAIL)
        assert result.message == f"The server refused the sender: {reply}{advice}"

    run(test())
