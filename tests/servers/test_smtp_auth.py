"""The login of the SMTP test, on a server that answers as its mechanism does, or as none should."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import secrets
import ssl
import time
from typing import Any

import pytest
import trustme

from postbeat.clock import Clock
from postbeat.elements import SmtpElement
from postbeat.model import (
    AuthenticationType,
    FaultCode,
    FaultError,
    LocalFault,
    RemoteFault,
    SecurityType,
    Side,
)
from postbeat.probes import smtp
from postbeat.probes.credentials import Access
from postbeat.probes.login import Login
from postbeat.probes.readings import Readings
from postbeat.wire.scram import ROUNDS_LIMIT
from tests.servers.conftest import Run
from tests.servers.scripted import (
    Certificates,
    Cut,
    Expect,
    Hang,
    ScriptedServer,
    Send,
    StartTls,
    Step,
    dialogue,
    scripted,
)
from tests.wire.scramserver import ScramServer

LOGIN = Login("user", "hunter2", token="ya29.hunter2", server="mail.example.com", port=587)
BYE = "C: QUIT\nS: 221 bye"
TOKENS = ("XOAUTH2", "OAUTHBEARER")
XOAUTH2 = base64.b64encode(b"user=user\x01auth=Bearer ya29.hunter2\x01\x01").decode()
OAUTHBEARER = base64.b64encode(
    b"n,a=user,\x01host=mail.example.com\x01port=587\x01auth=Bearer ya29.hunter2\x01\x01"
).decode()
EXPIRED = base64.b64encode(b'{"status":"401","schemes":"bearer"}').decode()


def hello(offer: str) -> str:
    return f"S: 220 ready\nC: EHLO ...\nS: 250-mail.example.com\nS: 250 {offer}\n"


def script(offer: str, exchange: str, end: str = BYE) -> list[Step]:
    return dialogue(f"{hello(offer)}{exchange}\n{end}")


async def log_in(
    server: ScriptedServer,
    method: str,
    login: Login = LOGIN,
    certificates: Certificates | None = None,
    **fields: Any,
) -> Readings:
    """A test that only connects and logs in."""
    element = SmtpElement(
        name="mail",
        server="localhost",
        port=server.port,
        authenticationtype=AuthenticationType(method),
        **{"plaintextlogin": True, **fields},
    )
    readings = Readings(Clock())
    tls = certificates.client() if certificates is not None else None
    await smtp.send(element, Access(login, tls), None, "probe.example.com", readings)
    return readings


async def refused(steps: list[Step], method: str, **how: Any) -> FaultError:
    """The fault of a login, and that nothing of it shows a secret."""
    async with scripted(steps) as server:
        with pytest.raises((RemoteFault, LocalFault)) as caught:
            await log_in(server, method, **how)
        await server.gone()
    shown = caught.value.message + repr(caught.value.__cause__)
    assert "hunter2" not in shown
    assert base64.b64encode(b"hunter2").decode()[:6] not in shown
    return caught.value


class ScramSmtp:
    """A server that speaks SCRAM: a script cannot compute. ``grants_at_once`` asks for no proof."""

    def __init__(
        self,
        scram: ScramServer,
        offer: str,
        certificates: Certificates | None = None,
        *,
        grants_at_once: bool = False,
    ) -> None:
        self.scram = scram
        self.lines: list[bytes] = []
        self._offer = offer
        self._certificates = certificates
        self._grants_at_once = grants_at_once

    async def log_in(self, method: str, **how: Any) -> Readings:
        """Serves one login, and has the monitor make it."""
        over = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                await self._serve(reader, writer)
            writer.transport.abort()
            over.set()

        listener = await asyncio.start_server(serve, "127.0.0.1", 0)
        server = ScriptedServer(port=listener.sockets[0].getsockname()[1])
        try:
            return await log_in(server, method, certificates=self._certificates, **how)
        finally:
            listener.close()
            await over.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        while line := (await reader.readline()).rstrip(b"\r\n"):
            self.lines.append(line)
            if line.startswith(b"EHLO"):
                writer.write(f"250-mail.example.com\r\n250-STARTTLS\r\n250 {self._offer}\r\n".encode())
            elif line == b"STARTTLS" and self._certificates is not None:
                writer.write(b"220 go\r\n")
                await writer.start_tls(self._certificates.server)
            elif line.startswith(b"AUTH"):
                await self._exchange(reader, writer, line.split()[2])
            elif line == b"QUIT":
                writer.write(b"221 bye\r\n")

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes
    ) -> None:
        for step in () if self._grants_at_once else (self.scram.challenge, self.scram.verdict):
            writer.write(b"334 " + base64.b64encode(step(base64.b64decode(answer))) + b"\r\n")
            answer = (await reader.readline()).rstrip(b"\r\n")
            self.lines.append(answer)
            if answer == b"*":
                return
        writer.write(b"235 welcome\r\n")


@pytest.fixture(scope="module")
def bound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Certificates, bytes]:
    """Certificates, and what ``tls-server-end-point`` (RFC 5929 section 4.1) makes of the server's."""
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    authority_file = tmp_path_factory.mktemp("bound") / "authority.pem"
    authority.cert_pem.write_to_path(str(authority_file))
    data = ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())
    return Certificates(authority_file, context), hashlib.sha256(data).digest()


@pytest.mark.parametrize(
    ("method", "exchange"),
    [
        ("PLAIN", "C: AUTH PLAIN AHVzZXIAaHVudGVyMg=="),
        ("LOGIN", "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: dXNlcg==\nS: 334 UGFzc3dvcmQ6\nC: aHVudGVyMg=="),
        (
            "CRAM-MD5",
            "C: AUTH CRAM-MD5\nS: 334 PDFAeD4=\nC: dXNlciA3NGMxN2FhMmNmMzVjYTYwZGU1YzViMjI2NGI4MTNiMw==",
        ),
        ("XOAUTH2", f"C: AUTH XOAUTH2 {XOAUTH2}"),
        ("OAUTHBEARER", f"C: AUTH OAUTHBEARER {OAUTHBEARER}"),
    ],
)
def test_each_mechanism_logs_in_once(run: Run, method: str, exchange: str) -> None:
    async def test() -> None:
        async with scripted(script(f"AUTH {method}", f"{exchange}\nS: 235 2.7.0 welcome")) as server:
            readings = await log_in(server, method)
            await server.gone()
        assert [stage.name for stage in readings.timeline.stages()][-2:] == ["auth", "quit"]
        assert (readings.status, readings.reply) == (235, "235 2.7.0 welcome")
        assert server.connections == 1

    run(test())


@pytest.mark.parametrize(("method", "digest"), [("SCRAM-SHA-1", "sha1"), ("SCRAM-SHA-256", "sha256")])
def test_scram_logs_in_where_both_sides_know_the_password(run: Run, method: str, digest: str) -> None:
    async def test() -> None:
        readings = await ScramSmtp(ScramServer(b"hunter2", digest), f"AUTH {method}").log_in(method)
        assert readings.reply == "235 welcome"

    run(test())


def test_scram_over_tls_is_bound_to_the_servers_certificate(
    run: Run, bound: tuple[Certificates, bytes]
) -> None:
    async def test() -> None:
        certificates, binding = bound
        scram = ScramServer(b"hunter2", binding=binding, offered_plus=True)
        server = ScramSmtp(scram, "AUTH SCRAM-SHA-256 SCRAM-SHA-256-PLUS", certificates)
        await server.log_in("SCRAM-SHA-256", securitytype=SecurityType.STARTTLS)
        assert any(line.startswith(b"AUTH SCRAM-SHA-256-PLUS ") for line in server.lines)
        assert scram.header == "p=tls-server-end-point,,"

    run(test())


def test_a_binding_that_somebody_took_out_of_the_offer_is_found_out(
    run: Run, bound: tuple[Certificates, bytes]
) -> None:
    async def test() -> None:
        scram = ScramServer(b"hunter2", offered_plus=True)
        server = ScramSmtp(scram, "AUTH SCRAM-SHA-256", bound[0])
        with pytest.raises(RemoteFault, match="somebody stands between us and the server"):
            await server.log_in("SCRAM-SHA-256", securitytype=SecurityType.STARTTLS)

    run(test())


@pytest.mark.parametrize(
    ("server", "message"),
    [
        (ScramSmtp(ScramServer(b"hunter2", signature_of=b"a guess"), "AUTH SCRAM-SHA-256"), "does not know"),
        (ScramSmtp(ScramServer(b""), "AUTH SCRAM-SHA-256", grants_at_once=True), "without the proof"),
        (ScramSmtp(ScramServer(b"hunter2", rounds=10**9), "AUTH SCRAM-SHA-256"), "1000000000 rounds"),
    ],
    ids=["signature of another password", "no signature", "endless rounds"],
)
def test_a_server_that_does_not_prove_itself_is_not_believed(
    run: Run, server: ScramSmtp, message: str
) -> None:
    async def test() -> None:
        with pytest.raises(RemoteFault, match=message) as caught:
            await server.log_in("SCRAM-SHA-256")
        assert caught.value.code is FaultCode.PROTOCOL

    run(test())


def test_the_rounds_of_scram_do_not_stop_the_other_probes(run: Run) -> None:
    async def ticks(longest_s: list[float]) -> None:
        while True:
            before_s = time.perf_counter()
            await asyncio.sleep(0)
            longest_s.append(time.perf_counter() - before_s)

    async def longest_stop_s() -> tuple[float, float]:
        """How long the loop stood still at most, and how long the rounds take."""
        salt = secrets.token_bytes(16)  # the result of rounds that were made before is remembered
        scram = ScramServer(b"hunter2", rounds=ROUNDS_LIMIT, salt=salt, refuses=b"invalid-proof")
        started_s = time.perf_counter()
        hashlib.pbkdf2_hmac("sha256", b"hunter2", salt + b"x", ROUNDS_LIMIT)
        rounds_s = time.perf_counter() - started_s
        longest_s: list[float] = []
        watcher = asyncio.ensure_future(ticks(longest_s))
        with pytest.raises(RemoteFault, match="the server refused the login: invalid-proof"):
            await ScramSmtp(scram, "AUTH SCRAM-SHA-256").log_in("SCRAM-SHA-256")
        watcher.cancel()
        return max(longest_s), rounds_s

    async def test() -> None:
        # Several tries: a busy machine may stop the loop, too, but not each time.
        tries = [await longest_stop_s() for _ in range(5)]
        assert any(stopped_s < rounds_s * 0.5 for stopped_s, rounds_s in tries), tries

    run(test())


@pytest.mark.parametrize(
    ("answer", "side", "code"),
    [
        ("535 5.7.8 wrong", Side.REMOTE, FaultCode.AUTH),
        ("535-5.7.8 wrong\nS: 535 5.7.8 again", Side.REMOTE, FaultCode.AUTH),
        ("530 5.7.0 no", Side.REMOTE, FaultCode.AUTH),
        ("454 4.7.0 later", Side.REMOTE, FaultCode.REPLY),
        ("421 4.7.0 too many errors", Side.REMOTE, FaultCode.REPLY),
        ("503 5.5.1 not now", Side.REMOTE, FaultCode.REPLY),
        ("504 5.5.4 unknown", Side.REMOTE, FaultCode.NO_MECHANISM),
        ("534 5.7.9 too weak", Side.REMOTE, FaultCode.NO_MECHANISM),
        ("538 5.7.11 encryption required", Side.REMOTE, FaultCode.NO_MECHANISM),
        ("250 ok", Side.REMOTE, FaultCode.PROTOCOL),
        ("335 more", Side.REMOTE, FaultCode.PROTOCOL),
        ("welcome", Side.REMOTE, FaultCode.PROTOCOL),
    ],
)
def test_only_235_is_a_login_and_each_refusal_is_laid_at_its_door(
    run: Run, answer: str, side: Side, code: FaultCode
) -> None:
    async def test() -> None:
        steps = script("AUTH PLAIN", f"C: AUTH PLAIN AHVzZXIAaHVudGVyMg==\nS: {answer}", "")
        fault = await refused(steps, "PLAIN")
        assert (fault.side, fault.code) == (side, code)
        assert answer.rsplit(maxsplit=1)[-1] in fault.message

    run(test())


@pytest.mark.parametrize(
    ("method", "exchange"),
    [
        ("PLAIN", "C: AUTH PLAIN AHVzZXIAaHVudGVyMg==\nS: 334 "),
        ("LOGIN", "C: AUTH LOGIN\nS: 334 \nC: ...\nS: 334 \nC: ...\nS: 334 "),
        ("CRAM-MD5", "C: AUTH CRAM-MD5\nS: 334 PDFAeD4=\nC: ...\nS: 334 PDFAeD4="),
        ("SCRAM-SHA-256", "C: AUTH SCRAM-SHA-256 ...\nS: 334 "),
        ("XOAUTH2", f"C: AUTH XOAUTH2 {XOAUTH2}\nS: 334 {EXPIRED}\nC: \nS: 334 {EXPIRED}"),
        ("OAUTHBEARER", f"C: AUTH OAUTHBEARER {OAUTHBEARER}\nS: 334 {EXPIRED}\nC: AQ==\nS: 334 {EXPIRED}"),
        ("CRAM-MD5", "C: AUTH CRAM-MD5\nS: 334 not base64"),
        ("CRAM-MD5", "C: AUTH CRAM-MD5\nS: 334-PDFAeD4=\nS: 334 PDFAeD4="),
        ("CRAM-MD5", f"C: AUTH CRAM-MD5\nS: 334 {'A' * 8196}"),
    ],
)
def test_a_challenge_that_the_mechanism_does_not_have_ends_it_with_an_asterisk(
    run: Run, method: str, exchange: str
) -> None:
    async def test() -> None:
        fault = await refused(script(f"AUTH {method}", exchange, "C: *"), method)
        assert (fault.side, fault.code) == (Side.REMOTE, FaultCode.PROTOCOL)

    run(test())


@pytest.mark.parametrize(
    ("method", "message", "answer"), [("XOAUTH2", XOAUTH2, ""), ("OAUTHBEARER", OAUTHBEARER, "AQ==")]
)
def test_the_status_of_a_refused_token_is_shown(run: Run, method: str, message: str, answer: str) -> None:
    async def test() -> None:
        dropped: list[str] = []
        login = Login(
            "user",
            "",
            token=LOGIN.token,
            server="mail.example.com",
            port=587,
            refused=lambda: dropped.append("x"),
        )
        exchange = f"C: AUTH {method} {message}\nS: 334 {EXPIRED}\nC: {answer}\nS: 535 5.7.8 no"
        fault = await refused(script(f"AUTH {method}", exchange, ""), method, login=login)
        assert fault.code is FaultCode.AUTH
        assert fault.message == "the server refused the login: 535 5.7.8 no (status 401)"
        assert dropped == ["x"]

    run(test())


def test_a_token_that_makes_the_command_too_long_is_sent_when_it_is_asked_for(run: Run) -> None:
    async def test() -> None:
        login = Login("user", "", token="t" * 2000)
        message = base64.b64encode(b"user=user\x01auth=Bearer " + b"t" * 2000 + b"\x01\x01").decode()
        exchange = f"C: AUTH XOAUTH2\nS: 334 \nC: {message}\nS: 235 ok"
        async with scripted(script("AUTH XOAUTH2", exchange)) as server:
            await log_in(server, "XOAUTH2", login)
            await server.gone()

    run(test())


@pytest.mark.parametrize("size", [3, 4, 362, 363, 364, 365, 400])
def test_no_command_is_longer_than_512_bytes(run: Run, size: int) -> None:
    async def test() -> None:
        rest: list[Step] = [Expect(rb"AUTH PLAIN.*"), Send(b"535 no\r\n")]
        login = Login("user", "p" * size)
        async with scripted([*dialogue(hello("AUTH PLAIN")), *rest]) as server:
            with pytest.raises(RemoteFault):
                await log_in(server, "PLAIN", login)
        initial = len(base64.b64encode(b"\0user\0" + b"p" * size))
        fits = len("AUTH PLAIN \r\n") + initial <= 512
        assert len(server.lines[-1]) == len("AUTH PLAIN") + (1 + initial if fits else 0)

    run(test())


@pytest.mark.parametrize("offer", ["AUTH LOGIN PLAIN", "SIZE 1000", "AUTH", "AUTH CRAM-MD5X XCRAM-MD5"])
def test_a_mechanism_that_is_not_offered_is_not_tried_and_no_other_is(run: Run, offer: str) -> None:
    async def test() -> None:
        fault = await refused(dialogue(hello(offer)), "CRAM-MD5")
        assert (fault.side, fault.code) == (Side.REMOTE, FaultCode.NO_MECHANISM)

    run(test())


def test_an_offer_in_the_old_form_is_one(run: Run) -> None:
    async def test() -> None:
        steps = script("AUTH=LOGIN PLAIN", "C: AUTH PLAIN AHVzZXIAaHVudGVyMg==\nS: 235 ok")
        async with scripted(steps) as server:
            await log_in(server, "PLAIN")
            await server.gone()

    run(test())


def test_an_offer_made_before_tls_does_not_count_after_it(run: Run, certificates: Certificates) -> None:
    async def test() -> None:
        steps = [
            *dialogue("S: 220 ready\nC: EHLO ...\nS: 250-x\nS: 250-AUTH PLAIN\nS: 250 STARTTLS"),
            *dialogue("C: STARTTLS\nS: 220 go"),
            StartTls(),
            *dialogue("C: EHLO ...\nS: 250-x\nS: 250 AUTH LOGIN"),
        ]
        async with scripted(steps, tls=certificates.server) as server:
            with pytest.raises(RemoteFault, match="does not offer AUTH PLAIN; it offers LOGIN"):
                await log_in(server, "PLAIN", certificates=certificates, securitytype=SecurityType.STARTTLS)

    run(test())


@pytest.mark.parametrize("method", ["PLAIN", "LOGIN", *TOKENS])
def test_no_secret_is_sent_in_the_clear_unless_the_element_allows_it(run: Run, method: str) -> None:
    async def test() -> None:
        fault = await refused(dialogue(hello(f"AUTH {method}")), method, plaintextlogin=False)
        assert (fault.side, fault.code) == (Side.LOCAL, FaultCode.NO_MECHANISM)

    run(test())


@pytest.mark.parametrize(
    ("method", "login"),
    [
        ("PLAIN", Login("user", "a\r\nhunter2")),
        ("SCRAM-SHA-256", Login("user", "hunter2\x07")),
        ("XOAUTH2", Login("user", "", token="hunter2 hunter2")),
        ("OAUTHBEARER", Login("user", "")),
    ],
)
def test_credentials_that_do_not_fit_are_our_fault(run: Run, method: str, login: Login) -> None:
    async def test() -> None:
        fault = await refused(dialogue(hello(f"AUTH {method}")), method, login=login)
        assert (fault.side, fault.code) == (Side.LOCAL, FaultCode.SECRET)

    run(test())


@pytest.mark.parametrize("echo", ["hunter2", "AHVzZXIAaHVudGVyMg==", "aHVudGVyMg==", "x" * 90 + "hunter2"])
def test_a_secret_that_the_server_repeats_is_shown_nowhere(run: Run, echo: str) -> None:
    async def test() -> None:
        command = "C: AUTH PLAIN AHVzZXIAaHVudGVyMg=="
        await refused(script("AUTH PLAIN", f"{command}\nS: 535 not {echo}", ""), "PLAIN")
        await refused(script("AUTH PLAIN", f"{command}\nS: not {echo}", ""), "PLAIN")
        await refused(script("AUTH CRAM-MD5", f"C: AUTH CRAM-MD5\nS: 334 ?{echo}", "C: *"), "CRAM-MD5")
        late = script("AUTH PLAIN", f"{command}\nS: 235 {echo}", f"C: QUIT\nS: 221 bye {echo}")
        async with scripted(late) as server:
            readings = await log_in(server, "PLAIN")
            await server.gone()
        assert "hunter2" not in repr(readings.timeline.stages()) + readings.reply
        assert "aHVudGVyMg" not in repr(readings.timeline.stages()) + readings.reply

    run(test())


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("said", ["C: AUTH CRAM-MD5", "C: AUTH CRAM-MD5\nS: 334 PDFAeD4=\nC: ..."])
def test_a_connection_that_is_cut_in_the_middle_is_the_servers_fault(
    run: Run, said: str, reset: bool
) -> None:
    async def test() -> None:
        fault = await refused([*dialogue(hello("AUTH CRAM-MD5") + said), Cut(reset)], "CRAM-MD5")
        assert (fault.side, fault.code) == (Side.REMOTE, FaultCode.DISCONNECTED)

    run(test())


def test_the_deadline_holds_while_the_server_says_nothing(run: Run) -> None:
    async def test() -> None:
        async with scripted([*dialogue(hello("AUTH CRAM-MD5") + "C: AUTH CRAM-MD5"), Hang()]) as server:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await log_in(server, "CRAM-MD5")
            await server.gone()

    run(test())
