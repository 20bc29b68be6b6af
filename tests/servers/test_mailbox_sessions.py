"""What all openings have in common, whatever the protocol: security, one login, and whose fault it was."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from postbeat.model import FaultCode, FaultError, LocalFault, RemoteFault, Side
from postbeat.probes.login import Login
from postbeat.timeline import Timeline
from postbeat.tls.context import tls_context
from postbeat.tls.options import TlsOptions
from tests.servers.conftest import Run
from tests.servers.openings import (
    APOP,
    CRAM_MD5,
    IMAP4_IN,
    LOGIN,
    OPENERS,
    PLAIN,
    POP3_IN,
    SSL,
    STARTTLS,
    imap4_script,
    open_imap4,
    open_pop3,
    pop3_script,
    stages,
)
from tests.servers.scripted import (
    Certificates,
    Cut,
    Expect,
    ExpectBytes,
    Hang,
    Send,
    StartTls,
    Step,
    dialogue,
    scripted,
)

BOTH = pytest.mark.parametrize("kind", OPENERS)

IMAP4_BYE = """
    C: {tag} LOGOUT
    S: * BYE see you
    S: {tag} OK done
"""
POP3_BYE = """
    C: QUIT
    S: +OK bye
"""
IMAP4_TLS = """
    S: * OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready
    C: {tag} STARTTLS
    S: {tag} OK begin
"""
POP3_TLS = """
    S: +OK ready
    C: CAPA
    S: +OK
    S: STLS
    S: .
    C: STLS
    S: +OK begin
"""
# After the handshake there is no greeting, and the capabilities are asked for again.
IMAP4_SECURED = """
    C: {tag} CAPABILITY
    S: * CAPABILITY IMAP4rev1
    S: {tag} OK done
""" + IMAP4_IN.partition("ready\n")[2]
POP3_SECURED = POP3_IN.partition("<1@x>\n")[2]
IMAP4_SELECTED = """
    C: {tag} SELECT INBOX
    S: * 0 EXISTS
    S: * OK [UIDVALIDITY 7] valid
    S: {tag} OK [READ-WRITE] selected
"""
WHOLE = {"imap4": imap4_script(IMAP4_BYE), "pop3": pop3_script(POP3_BYE)}
WITH_STARTTLS: dict[str, list[Step]] = {
    "imap4": [*dialogue(IMAP4_TLS), StartTls(), *dialogue(IMAP4_SECURED + IMAP4_SELECTED + IMAP4_BYE)],
    "pop3": [*dialogue(POP3_TLS), StartTls(), *dialogue(POP3_SECURED + POP3_BYE)],
}


async def refused(kind: str, script: list[Step], timeline: Timeline | None = None, **how: Any) -> FaultError:
    """The fault that the opening ends with; the connection must be closed by then."""
    async with scripted(script) as server:
        with pytest.raises(FaultError) as caught:
            await OPENERS[kind](server, timeline, **how)
        await server.gone()
        assert server.connections == 1
    return caught.value


def slowly(script: list[Step]) -> list[Step]:
    """The same script, one byte in each packet."""
    return [Send(step.data, one_by_one=True) if isinstance(step, Send) else step for step in script]


@BOTH
def test_a_session_opens_and_finishes(run: Run, kind: str) -> None:
    async def test() -> None:
        timeline = Timeline()
        async with scripted(WHOLE[kind]) as server:
            session = await OPENERS[kind](server, timeline)
            await session.finish()
            await server.gone()
        expected = ["lookup", "connect", "greeting", "login", "select"]
        if kind == "pop3":
            expected[3:] = ["capability", "login"]
        assert stages(timeline) == expected
        assert all(stage.ended for stage in timeline.stages())

    run(test())


@BOTH
def test_a_session_does_not_mind_how_the_bytes_are_split(run: Run, kind: str) -> None:
    async def test() -> None:
        async with scripted(slowly(WHOLE[kind])) as server:
            await (await OPENERS[kind](server)).finish()

    run(test())


@BOTH
def test_implicit_tls_comes_before_the_greeting(run: Run, kind: str, certificates: Certificates) -> None:
    async def test() -> None:
        timeline = Timeline()
        async with scripted(WHOLE[kind], tls=certificates.server, implicit=True) as server:
            await (await OPENERS[kind](server, timeline, tls=certificates.client(), **SSL)).finish()
        assert stages(timeline)[:4] == ["lookup", "connect", "tls", "greeting"]

    run(test())


@BOTH
def test_starttls_comes_before_the_login_and_voids_the_capabilities(
    run: Run, kind: str, certificates: Certificates
) -> None:
    async def test() -> None:
        timeline = Timeline()
        async with scripted(WITH_STARTTLS[kind], tls=certificates.server) as server:
            await (await OPENERS[kind](server, timeline, tls=certificates.client(), **STARTTLS)).finish()
        names = stages(timeline)
        assert names[names.index("starttls") :][:4] == ["starttls", "tls", "capability", "login"]

    run(test())


@BOTH
def test_without_starttls_on_offer_no_credentials_are_sent(
    run: Run, kind: str, certificates: Certificates
) -> None:
    async def test() -> None:
        script = {
            "imap4": dialogue("S: * OK [CAPABILITY IMAP4rev1] ready"),
            "pop3": dialogue("S: +OK ready\nC: CAPA\nS: -ERR what?"),
        }[kind]
        timeline = Timeline()
        fault = await refused(kind, script, timeline, tls=certificates.client(), **STARTTLS)
        assert (fault.side, fault.code) == (Side.REMOTE, FaultCode.NO_STARTTLS)
        assert timeline.open_stage == "starttls"

    run(test())


@BOTH
def test_bytes_slipped_in_before_the_handshake_are_refused(
    run: Run, kind: str, certificates: Certificates
) -> None:
    async def test() -> None:
        steps = WITH_STARTTLS[kind]
        before = steps[: steps.index(StartTls())]
        assert isinstance(before[-1], Send)
        script = [*before[:-1], Send(before[-1].data + b"* OK injected\r\n")]
        fault = await refused(kind, script, tls=certificates.client(), **STARTTLS)
        assert fault.code is FaultCode.PROTOCOL
        assert "between STARTTLS and the handshake" in fault.message

    run(test())


@BOTH
@pytest.mark.parametrize("security", [SSL, STARTTLS])
def test_tls_is_never_left_out(run: Run, kind: str, security: dict[str, Any]) -> None:
    async def test() -> None:
        async with scripted([]) as server:
            with pytest.raises(LocalFault):
                await OPENERS[kind](server, tls=None, **security)
            assert server.connections == 0

    run(test())


@BOTH
def test_a_certificate_of_a_stranger_is_the_servers_fault(
    run: Run, kind: str, certificates: Certificates
) -> None:
    async def test() -> None:
        timeline = Timeline()
        stranger = tls_context(TlsOptions())
        async with scripted([Hang()], tls=certificates.server, implicit=True) as server:
            with pytest.raises(RemoteFault) as caught:
                await OPENERS[kind](server, timeline, tls=stranger, **SSL)
        assert caught.value.code is FaultCode.CERTIFICATE
        assert timeline.open_stage == "tls"

    run(test())


@BOTH
@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_cut_anywhere_is_disconnected(run: Run, kind: str, reset: bool) -> None:
    async def test() -> None:
        script = imap4_script() if kind == "imap4" else pop3_script()
        for length in (0, 1, 2, 3, len(script) - 1):
            fault = await refused(kind, [*script[:length], Cut(reset)])
            assert (fault.side, fault.code) == (Side.REMOTE, FaultCode.DISCONNECTED)

    run(test())


@BOTH
@pytest.mark.parametrize("sent", [0, 1, 3])
def test_a_server_that_hangs_is_left_at_the_deadline_and_its_stage_is_known(
    run: Run, kind: str, sent: int
) -> None:
    async def test() -> None:
        timeline = Timeline()
        script = imap4_script() if kind == "imap4" else pop3_script()
        async with scripted([*script[:sent], Hang()]) as server:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await OPENERS[kind](server, timeline)
            await server.gone()
        expected = {
            "imap4": ["greeting", "login", "select"],
            "pop3": ["greeting", "capability", "capability"],
        }
        last = timeline.stages()[-1]
        assert last.name == expected[kind][{0: 0, 1: 1, 3: 2}[sent]]
        assert not last.ended

    run(test())


@BOTH
def test_a_handshake_that_hangs_is_left_at_the_deadline(
    run: Run, kind: str, certificates: Certificates
) -> None:
    async def test() -> None:
        timeline = Timeline()
        async with scripted([Hang()]) as server:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await OPENERS[kind](server, timeline, tls=certificates.client(), **SSL)
            await server.gone()
        assert timeline.open_stage == "tls"

    run(test())


@BOTH
def test_a_server_of_another_protocol_is_shown(run: Run, kind: str) -> None:
    async def test() -> None:
        fault = await refused(kind, dialogue("S: SSH-2.0-OpenSSH_9.2"))
        assert fault.code is FaultCode.PROTOCOL
        assert "SSH-2.0-OpenSSH_9.2" in fault.message

    run(test())


@BOTH
def test_a_refused_connection_is_the_servers_fault(run: Run, kind: str) -> None:
    async def test() -> None:
        async with scripted([]) as server:
            pass
        with pytest.raises(RemoteFault) as caught:
            await OPENERS[kind](server)
        assert caught.value.code is FaultCode.REFUSED

    run(test())


IMAP4_OFFER = "S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=CRAM-MD5] ready\n"
POP3_OFFER = POP3_IN.partition("    C: USER")[0]


@pytest.mark.parametrize(
    ("kind", "answer", "side", "code"),
    [
        ("imap4", "NO [AUTHENTICATIONFAILED] wrong", Side.REMOTE, FaultCode.AUTH),
        ("imap4", "NO wrong", Side.REMOTE, FaultCode.AUTH),
        ("imap4", "NO [UNAVAILABLE] later", Side.REMOTE, FaultCode.REPLY),
        (
            "imap4",
            "NO [UNAVAILABLE] Maximum number of connections from user+IP",
            Side.LOCAL,
            FaultCode.IN_USE,
        ),
        ("imap4", "NO [ALERT] Too many simultaneous connections. (Failure)", Side.LOCAL, FaultCode.IN_USE),
        ("imap4", "NO [LIMIT] enough", Side.LOCAL, FaultCode.THROTTLED),
        ("imap4", "NO [LIMIT] Too many simultaneous connections", Side.LOCAL, FaultCode.IN_USE),
        ("imap4", "NO too many login attempts, try again later", Side.LOCAL, FaultCode.THROTTLED),
        ("imap4", "NO [UNAVAILABLE] Login rate limit exceeded", Side.LOCAL, FaultCode.THROTTLED),
        ("imap4", "BAD Request is throttled. Suggested Backoff Time: 9 ms", Side.LOCAL, FaultCode.THROTTLED),
        ("imap4", "NO too many failed login attempts", Side.REMOTE, FaultCode.AUTH),
        ("imap4", "NO [UNAVAILABLE] out of order, try again later", Side.REMOTE, FaultCode.REPLY),
        ("imap4", "NO [INUSE] locked", Side.LOCAL, FaultCode.IN_USE),
        ("imap4", "NO [PRIVACYREQUIRED] not in the clear", Side.REMOTE, FaultCode.NO_MECHANISM),
        ("imap4", "BAD what?", Side.REMOTE, FaultCode.REPLY),
        ("pop3", "-ERR wrong", Side.REMOTE, FaultCode.AUTH),
        ("pop3", "-ERR [AUTH] too many failed logins", Side.REMOTE, FaultCode.AUTH),
        ("pop3", "-ERR [SYS/TEMP] later", Side.REMOTE, FaultCode.REPLY),
        ("pop3", "-ERR [IN-USE] another session", Side.LOCAL, FaultCode.IN_USE),
        ("pop3", "-ERR [LOGIN-DELAY] slow down", Side.LOCAL, FaultCode.THROTTLED),
        ("pop3", "-ERR maildrop already locked", Side.LOCAL, FaultCode.IN_USE),
        ("pop3", "-ERR unable to lock mailbox", Side.LOCAL, FaultCode.IN_USE),
    ],
)
def test_a_refused_login_is_laid_at_the_right_door(
    run: Run, kind: str, answer: str, side: Side, code: FaultCode
) -> None:
    async def test() -> None:
        script = {
            "imap4": f"{IMAP4_OFFER}C: {{tag}} LOGIN user hunter2\nS: {{tag}} {answer}",
            "pop3": f"{POP3_OFFER}C: USER user\nS: +OK\nC: PASS hunter2\nS: {answer}",
        }[kind]
        timeline = Timeline()
        fault = await refused(kind, dialogue(script), timeline)
        assert (fault.side, fault.code) == (side, code)
        assert fault.message.endswith(answer.rpartition("] ")[2].removeprefix("NO ").split()[-1])
        assert timeline.open_stage == "login"

    run(test())


@pytest.mark.parametrize(
    ("kind", "script", "how"),
    [
        ("imap4", "S: * OK [CAPABILITY IMAP4rev1 LOGINDISABLED] ready", {}),
        ("imap4", "S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready", CRAM_MD5),
        ("imap4", "S: * OK [CAPABILITY IMAP4rev1] ready", PLAIN),
        ("pop3", "S: +OK ready\nC: CAPA\nS: +OK\nS: TOP\nS: .", {}),
        ("pop3", "S: +OK ready\nC: CAPA\nS: +OK\nS: SASL PLAIN\nS: .", CRAM_MD5),
        ("pop3", "S: +OK ready\nC: CAPA\nS: -ERR what?", PLAIN),
        ("pop3", "S: +OK ready\nC: CAPA\nS: -ERR what?", APOP),
    ],
)
def test_a_method_that_is_not_offered_is_not_tried(
    run: Run, kind: str, script: str, how: dict[str, Any]
) -> None:
    async def test() -> None:
        fault = await refused(kind, dialogue(script), **how)
        assert (fault.side, fault.code) == (Side.REMOTE, FaultCode.NO_MECHANISM)

    run(test())


@BOTH
@pytest.mark.parametrize("login", [LOGIN, Login("user", "wrong", "hunter2")])
def test_cram_md5_uses_the_shared_secret_or_else_the_password(run: Run, kind: str, login: Login) -> None:
    # HMAC-MD5 of "<1@x>" with the key "hunter2".
    answer = Expect(b"dXNlciA3NGMxN2FhMmNmMzVjYTYwZGU1YzViMjI2NGI4MTNiMw==")

    async def test() -> None:
        ask = Send(b"+ PDFAeD4=\r\n")
        imap = dialogue(IMAP4_OFFER + "C: {tag} AUTHENTICATE CRAM-MD5")
        pop = dialogue(POP3_OFFER + "C: AUTH CRAM-MD5")
        # The tag of an AUTHENTICATE is not on the line of the answer.
        last = {"imap4": Send(b"A1 NO sorry\r\n"), "pop3": Send(b"-ERR sorry\r\n")}[kind]
        script = [*(imap if kind == "imap4" else pop), ask, answer, last]
        fault = await refused(kind, script, login=login, **CRAM_MD5)
        assert fault.code is FaultCode.AUTH

    run(test())


@BOTH
def test_a_secret_that_the_server_repeats_is_hidden(run: Run, kind: str) -> None:
    async def test() -> None:
        script = {
            "imap4": IMAP4_OFFER + "C: {tag} LOGIN user hunter2\nS: {tag} BAD unknown: LOGIN user hunter2",
            "pop3": POP3_OFFER + "C: USER user\nS: +OK\nC: PASS hunter2\nS: -ERR unknown: PASS hunter2",
        }[kind]
        timeline = Timeline()
        fault = await refused(kind, dialogue(script), timeline)
        assert "user ***" in fault.message or "PASS ***" in fault.message
        assert "hunter2" not in fault.message + repr(timeline.stages()) + repr(fault.__cause__)

    run(test())


@BOTH
def test_a_secret_that_the_server_repeats_in_a_greeting_after_the_login_is_hidden(
    run: Run, kind: str
) -> None:
    async def test() -> None:
        script = [
            Send(step.data.replace(b"in\r\n", b"welcome, hunter2\r\n")) if isinstance(step, Send) else step
            for step in WHOLE[kind]
        ]
        timeline = Timeline()
        async with scripted(script) as server:
            await (await OPENERS[kind](server, timeline)).finish()
        assert "hunter2" not in repr(timeline.stages())

    run(test())


@BOTH
def test_a_password_that_no_command_can_carry_is_our_fault(run: Run, kind: str) -> None:
    async def test() -> None:
        script = {"imap4": IMAP4_OFFER, "pop3": POP3_OFFER}[kind]
        fault = await refused(kind, dialogue(script), login=Login("user", "a\r\nb"))
        assert (fault.side, fault.code) == (Side.LOCAL, FaultCode.SECRET)

    run(test())


def test_the_login_shows_no_secret_in_its_repr() -> None:
    assert "hunter2" not in repr(Login("user", "hunter2", "hunter2"))


def test_pop3_logs_in_with_apop(run: Run) -> None:
    async def test() -> None:
        script = dialogue(
            """
            S: +OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>
            C: CAPA
            S: -ERR what?
            C: APOP mrose c4c9334bac560ecc979e58001b3e22fb
            S: +OK maildrop has 1 message (369 octets)
        """
            + POP3_BYE
        )
        async with scripted(script) as server:
            session = await open_pop3(server, login=Login("mrose", "", "tanstaaf"), **APOP)
            await session.finish()

    run(test())


@pytest.mark.parametrize(
    ("offer", "exchange"),
    [
        ("SASL-IR ", "C: {tag} AUTHENTICATE PLAIN AHVzZXIAaHVudGVyMg=="),
        ("", "C: {tag} AUTHENTICATE PLAIN\nS: +\nC: AHVzZXIAaHVudGVyMg=="),
    ],
)
def test_imap4_plain_saves_a_round_trip_where_it_may(run: Run, offer: str, exchange: str) -> None:
    async def test() -> None:
        script = dialogue(
            f"S: * OK [CAPABILITY IMAP4rev1 {offer}AUTH=PLAIN] ready\n{exchange}\nS: A1 OK [CAPABILITY X] in"
            + IMAP4_SELECTED
            + IMAP4_BYE
        )
        async with scripted(script) as server:
            await (await open_imap4(server, **PLAIN)).finish()

    run(test())


def test_imap4_sends_a_password_that_is_not_ascii_as_a_literal(run: Run) -> None:
    async def test() -> None:
        script = [
            *dialogue(IMAP4_OFFER + 'C: {tag} LOGIN "a b" {9}\nS: + go on'),
            ExpectBytes("gehäuse!\r\n".encode()),
            *dialogue("S: A1 NO wrong"),
        ]
        fault = await refused("imap4", script, login=Login("a b", "gehäuse!"))
        assert fault.code is FaultCode.AUTH

    run(test())
