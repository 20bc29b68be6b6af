"""Transport security of the SMTP test: what is negotiated, each way to fail, and what must not get past."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from postbeat.model import FaultCode, Secret, SecurityType, Side, TlsVersion
from postbeat.results import Attempt
from postbeat.tls.options import TlsDefaults
from tests.servers.conftest import Run
from tests.servers.scripted import (
    Cut,
    ExpectBytes,
    Hang,
    ScriptedServer,
    Send,
    StartTls,
    Step,
    dialogue,
    scripted,
)
from tests.servers.tlsservers import (
    AGREED,
    GREETING,
    SCRIPTS,
    SECURED,
    TO_STARTTLS,
    WITH_SSL,
    WITH_STARTTLS,
    Authority,
    alerting,
    attempt,
    between,
    stages,
)

SSL, STARTTLS = SecurityType.SSL, SecurityType.STARTTLS
BOTH = pytest.mark.parametrize("security", [SSL, STARTTLS])
OLD, NEW = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
HELLO = ExpectBytes(b"\x16\x03\x01")  # the first bytes of a ClientHello
PASSWORD = "correct horse"
AHEAD = {SSL: [], STARTTLS: ["greeting", "ehlo", "starttls"]}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.new(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.new(tmp_path_factory.mktemp("stranger"))


async def met(authority: Authority, tls: ssl.SSLContext, security: SecurityType, **fields: Any) -> Attempt:
    """An attempt that trusts the authority, against a server that plays its whole part."""
    async with scripted(SCRIPTS[security], tls=tls, implicit=security is SSL) as server:
        return await attempt(server, security, **{"tlscafile": str(authority.file), **fields})


async def heard(
    authority: Authority, tls: ssl.SSLContext, security: SecurityType, says: bytes = b"", **fields: Any
) -> Attempt:
    """The same against a server that sends alerts."""
    with alerting(tls, security, says) as server:
        return await attempt(server, security, **{"tlscafile": str(authority.file), **fields})


def fault_of(made: Attempt) -> tuple[Side, FaultCode, str]:
    assert made.fault is not None
    return made.fault.side, made.fault.code, made.fault.stage


def refused(made: Attempt, message: str) -> None:
    """The attempt failed in the handshake, by the service's fault, with this message."""
    assert fault_of(made) == (Side.REMOTE, FaultCode.TLS, "tls")
    assert made.fault is not None
    assert made.fault.message == f"the TLS handshake failed: {message}"


@BOTH
def test_the_result_says_what_was_negotiated_and_what_the_certificate_says(
    run: Run, authority: Authority, security: SecurityType
) -> None:
    async def test() -> None:
        made = await met(authority, authority.server(lives_days=100), security)
        tls = made.tls
        assert made.fault is None
        assert tls is not None
        assert (tls.version, tls.cipher, tls.verified) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384", True)
        assert tls.names == ("localhost", "127.0.0.1")
        assert tls.subject.startswith("OU=Testing cert")
        assert tls.issuer.endswith("O=authority")
        assert (tls.whole_chain, tls.expiring, tls.certificate_asked) == (True, tls.subject, False)
        assert tls.expires_at_us is not None
        left_us = tls.expires_at_us - made.started_at_us
        assert abs(left_us / 86_400e6 - 100) < 0.01
        assert made.warnings == ()
        assert made.times_us["SSLHandshakeTime"] > 0

    run(test())


def test_the_stages_are_those_of_the_conversation(run: Run, authority: Authority) -> None:
    async def test() -> None:
        implicit = await met(authority, authority.server(), SSL)
        assert stages(implicit) == ["lookup", "connect", "tls", "greeting", "ehlo", "quit"]
        explicit = await met(authority, authority.server(), STARTTLS)
        assert stages(explicit) == ["lookup", "connect", *AHEAD[STARTTLS], "tls", "ehlo", "quit"]
        assert all(stage.ended for made in (implicit, explicit) for stage in made.stages)

    run(test())


def test_an_element_without_verification_says_so(run: Run, authority: Authority) -> None:
    async def test() -> None:
        made = await met(authority, authority.server("else.test"), SSL, tlscafile="", tlsverify=False)
        assert made.fault is None
        assert made.tls is not None
        assert not made.tls.verified
        assert made.tls.names == ("else.test",)

    run(test())


CERTIFICATES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "for another name": (
        {"names": ["else.test"]},
        {},
        "IP address mismatch, certificate is not valid for '127.0.0.1'; it is for other names;"
        " see tlsservername",
    ),
    "for the name alone": (
        {"names": ["localhost"]},
        {},
        "IP address mismatch, certificate is not valid for '127.0.0.1'; it is for other names;"
        " see tlsservername",
    ),
    "for the wrong name": (
        {"names": ["127.0.0.1", "else.test"]},
        {"tlsservername": "mx.test"},
        "Hostname mismatch, certificate is not valid for 'mx.test'; it is for other names; see tlsservername",
    ),
    "expired": ({"age_days": 9, "lives_days": -1}, {}, "certificate has expired"),
    "not yet valid": ({"age_days": -1}, {}, "certificate is not yet valid"),
    "of a stranger": (
        {},
        {"tlscafile": ""},
        "unable to get local issuer certificate; its authority is not trusted here; see tlscafile",
    ),
}


@BOTH
@pytest.mark.parametrize("case", CERTIFICATES)
def test_each_certificate_that_does_not_verify_has_its_own_message(
    run: Run, authority: Authority, security: SecurityType, case: str
) -> None:
    how, fields, message = CERTIFICATES[case]

    async def test() -> None:
        tls = authority.server(*how.get("names", ()), **{key: how[key] for key in how if key != "names"})
        made = await met(authority, tls, security, **fields)
        assert fault_of(made) == (Side.REMOTE, FaultCode.CERTIFICATE, "tls")
        assert made.fault is not None
        assert made.fault.message == f"the server's certificate does not verify: {message}"

    run(test())


def test_the_name_to_verify_may_be_another_than_the_server(run: Run, authority: Authority) -> None:
    async def test() -> None:
        made = await met(authority, authority.server("mx.test"), SSL, tlsservername="mx.test")
        assert made.fault is None

    run(test())


def test_a_servers_own_certificate_may_be_what_is_trusted(
    run: Run, authority: Authority, tmp_path: Path
) -> None:
    leaf = authority.issued()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    pinned = tmp_path / "pinned.pem"
    leaf.cert_chain_pems[0].write_to_path(pinned)

    async def test() -> None:
        assert (await met(authority, context, SSL, tlscafile=str(pinned))).fault is None
        other = await met(authority, authority.server(), SSL, tlscafile=str(pinned))
        assert fault_of(other) == (Side.REMOTE, FaultCode.CERTIFICATE, "tls")

    run(test())


@BOTH
def test_a_certificate_that_expires_soon_is_warned_of(
    run: Run, authority: Authority, security: SecurityType
) -> None:
    async def test() -> None:
        tls = authority.server(lives_days=5.5)
        made = await met(authority, tls, security)
        assert made.fault is None
        (warning,) = made.warnings
        assert warning.startswith("the server's certificate expires in 5 days, on ")
        assert (await met(authority, tls, security, certificatewarndays=4)).warnings == ()

    run(test())


def test_a_certificate_that_has_expired_is_warned_of_where_it_is_not_verified(
    run: Run, authority: Authority
) -> None:
    async def test() -> None:
        made = await met(authority, authority.server(age_days=9, lives_days=-1), SSL, tlsverify=False)
        assert made.fault is None
        (warning,) = made.warnings
        assert warning.startswith("the server's certificate expired on ")

    run(test())


@BOTH
@pytest.mark.parametrize(
    ("version", "fields"),
    [
        (ssl.TLSVersion.TLSv1, {"tlslegacy": True}),
        (ssl.TLSVersion.TLSv1, {"tlsminversion": TlsVersion.V1}),
        (ssl.TLSVersion.TLSv1_1, {"tlslegacy": True, "ssldisabletls": 1}),
        (ssl.TLSVersion.TLSv1_2, {}),
        (ssl.TLSVersion.TLSv1_2, {"sslciphersuite": "RC4:3DES:DES:+EXP"}),
        (ssl.TLSVersion.TLSv1_3, {"sslciphersuite": "RC4:3DES:DES:+EXP"}),
    ],
)
def test_a_server_of_any_age_is_reached_by_an_element_that_allows_it(
    run: Run, authority: Authority, security: SecurityType, version: ssl.TLSVersion, fields: dict[str, Any]
) -> None:
    async def test() -> None:
        made = await met(authority, between(authority.server(), version, version), security, **fields)
        assert made.fault is None
        assert made.tls is not None
        assert made.tls.version == version.name.replace("_", ".")

    run(test())


@BOTH
@pytest.mark.parametrize("fields", [{}, {"tlslegacy": True, "ssldisabletls": 1}])
def test_a_server_that_is_too_old_is_told(
    run: Run, authority: Authority, security: SecurityType, fields: dict[str, Any]
) -> None:
    async def test() -> None:
        tls = between(authority.server(), ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1)
        refused(
            await heard(authority, tls, security, **fields),
            "tlsv1 alert protocol version; the server has no TLS version that the element accepts;"
            " see tlsminversion and tlslegacy",
        )

    run(test())


def test_a_highest_version_is_not_exceeded(run: Run, authority: Authority) -> None:
    async def test() -> None:
        made = await met(authority, authority.server(), SSL, tlsmaxversion=TlsVersion.V1_2)
        assert made.tls is not None
        assert made.tls.version == "TLSv1.2"

    run(test())


@BOTH
def test_a_server_without_a_cipher_of_ours_is_told(
    run: Run, authority: Authority, security: SecurityType
) -> None:
    async def test() -> None:
        tls = between(authority.server(), OLD, OLD, "AES128-SHA:@SECLEVEL=0")
        refused(
            await heard(authority, tls, security, sslciphersuite="ECDHE+AESGCM"),
            "sslv3 alert handshake failure; the server accepts none of our ciphers;"
            " see sslciphersuite and tlslegacy",
        )

    run(test())


def test_options_that_leave_nothing_to_offer_are_our_own_fault(run: Run, authority: Authority) -> None:
    async def test() -> None:
        fields = {"tlslegacy": True, "tlsmaxversion": TlsVersion.V1, "sslciphersuite": "AESGCM"}
        made = await met(authority, authority.server(), SSL, **fields)
        assert fault_of(made) == (Side.LOCAL, FaultCode.OPTION, "")

    run(test())


@pytest.mark.parametrize("name", ["mx..test", "x" * 64, "mx.test\N{REPLACEMENT CHARACTER}"])
def test_a_name_that_no_certificate_can_be_for_is_our_own_fault(run: Run, name: str) -> None:
    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            implicit = await attempt(ScriptedServer(port=port), SSL, tlsservername=name)
        async with scripted([*dialogue(TO_STARTTLS + AGREED), Hang()]) as server:
            explicit = await attempt(server, STARTTLS, tlsservername=name)
            await server.gone()
        for made in (implicit, explicit):
            assert fault_of(made)[:2] == (Side.LOCAL, FaultCode.OPTION)
            assert made.fault is not None
            assert made.fault.message == f"{name!r} is no name that a certificate can be for"

    run(test())


@BOTH
@pytest.mark.parametrize("password", ["", PASSWORD])
@pytest.mark.parametrize("traditional", [False, True])
@pytest.mark.parametrize("version", [OLD, NEW])
def test_a_client_certificate_gets_in(
    run: Run,
    authority: Authority,
    tmp_path: Path,
    security: SecurityType,
    password: str,
    traditional: bool,
    version: ssl.TLSVersion,
) -> None:
    files: dict[str, Any] = authority.client_files(tmp_path, password, traditional)
    if password:
        files["sslkeypassword"] = Secret("literal", password)

    async def test() -> None:
        tls = between(authority.asks(authority.server()), version, version)
        made = await met(authority, tls, security, **files)
        assert made.fault is None
        assert made.tls is not None
        assert made.tls.certificate_asked

    run(test())


def test_the_monitors_own_client_certificate_gets_an_element_in(
    run: Run, authority: Authority, tmp_path: Path
) -> None:
    files = authority.client_files(tmp_path, PASSWORD)
    password = Secret("literal", PASSWORD)
    ours = TlsDefaults(files["sslcertificatefile"], files["sslkeyfile"], password)

    async def test() -> None:
        tls = authority.asks(authority.server())
        assert (await met(authority, tls, SSL, defaults=ours)).fault is None

    run(test())


@BOTH
def test_a_server_that_asks_for_a_client_certificate_and_needs_none_is_noted(
    run: Run, authority: Authority, security: SecurityType
) -> None:
    async def test() -> None:
        made = await met(authority, authority.asks(authority.server(), requires=False), security)
        assert made.fault is None
        assert made.tls is not None
        assert made.tls.certificate_asked

    run(test())


@BOTH
def test_a_client_certificate_that_is_required_or_not_accepted_is_told_in_the_handshake_of_tls_1_2(
    run: Run, authority: Authority, stranger: Authority, tmp_path: Path, security: SecurityType
) -> None:
    async def test() -> None:
        tls = between(authority.asks(authority.server()), OLD, OLD)
        refused(
            await heard(authority, tls, security),
            "sslv3 alert handshake failure; the server requires a client certificate; see sslcertificatefile",
        )
        refused(
            await heard(authority, tls, security, b"", **stranger.client_files(tmp_path)),
            "tlsv1 alert unknown ca; the server refuses our client certificate",
        )

    run(test())


@BOTH
def test_a_client_certificate_that_is_required_is_told_after_the_handshake_of_tls_1_3(
    run: Run, authority: Authority, security: SecurityType
) -> None:
    async def test() -> None:
        made = await heard(authority, between(authority.asks(authority.server()), NEW, NEW), security)
        assert made.fault is not None
        assert made.fault.side is Side.REMOTE
        # The alert may be lost with a connection that is reset right after it.
        assert made.fault.message in (
            "the TLS handshake failed: tlsv13 alert certificate required; the server requires a client"
            " certificate; see sslcertificatefile",
            "the server closed the connection while in stage ehlo; it had asked for a client certificate",
            "the server closed the connection in stage ehlo; it had asked for a client certificate",
        )
        assert made.tls is not None
        assert (made.tls.version, made.tls.certificate_asked) == ("TLSv1.3", True)

    run(test())


@BOTH
@pytest.mark.parametrize("version", [OLD, NEW])
def test_a_server_that_says_goodbye_for_want_of_a_client_certificate_is_quoted(
    run: Run, authority: Authority, security: SecurityType, version: ssl.TLSVersion
) -> None:
    async def test() -> None:
        tls = between(authority.asks(authority.server(), requires=False), version, version)
        made = await heard(authority, tls, security, b"421 4.7.1 no certificate\r\n")
        stage, what = ("greeting", "the connection") if security is SSL else ("ehlo", "EHLO")
        assert fault_of(made) == (Side.REMOTE, FaultCode.REPLY, stage)
        assert made.fault is not None
        assert made.fault.message == (
            f"the server refused {what}: 421 4.7.1 no certificate; it had asked for a client certificate"
        )

    run(test())


NOT_TLS = "wrong version number; what the server sent is not TLS; the port may want another securitytype"


def test_a_port_that_speaks_in_the_clear_is_told(run: Run, authority: Authority) -> None:
    async def test() -> None:
        async with scripted([*dialogue(GREETING), Hang()]) as server:
            refused(await attempt(server, SSL), NOT_TLS)

    run(test())


def test_a_port_that_waits_for_tls_is_silent_in_the_greeting(run: Run, authority: Authority) -> None:
    async def test() -> None:
        async with scripted(WITH_SSL, tls=authority.server(), implicit=True) as server:
            made = await attempt(server, STARTTLS, timeout=0.3)
        assert fault_of(made) == (Side.REMOTE, FaultCode.TIMEOUT, "greeting")

    run(test())


def alert(number: int) -> Send:
    """A fatal alert (RFC 8446 section 6)."""
    return Send(bytes([0x15, 3, 1, 0, 2, 2, number]))


# What may come in the place of the server's part of the handshake.
BREAKS: dict[str, tuple[list[Step], FaultCode, str]] = {
    "hangs": ([Hang()], FaultCode.TIMEOUT, "no answer within 0.3 s in stage tls"),
    "closes": ([Cut(), Hang()], FaultCode.DISCONNECTED, "the server closed the connection while "),
    "resets": ([Cut(reset=True), Hang()], FaultCode.DISCONNECTED, "the server closed the connection while "),
    "says what is no TLS": (
        [Send(b"500 what?\r\n"), Hang()],
        FaultCode.TLS,
        f"the TLS handshake failed: {NOT_TLS}",
    ),
    "alerts of an error of its own": (
        [alert(80), Hang()],
        FaultCode.TLS,
        "the TLS handshake failed: tlsv1 alert internal error",
    ),
    "does not know the name": (
        [alert(112), Hang()],
        FaultCode.TLS,
        "the TLS handshake failed: tlsv1 unrecognized name; the server does not know the name",
    ),
}


@BOTH
@pytest.mark.parametrize("case", BREAKS)
def test_a_handshake_that_breaks_off_has_its_own_fault_in_stage_tls(
    run: Run, authority: Authority, security: SecurityType, case: str
) -> None:
    steps, code, message = BREAKS[case]
    ahead = dialogue(TO_STARTTLS + AGREED) if security is STARTTLS else []

    async def test() -> None:
        async with scripted([*ahead, HELLO, *steps]) as server:
            made = await attempt(server, security, timeout=0.3 if case == "hangs" else 5)
            await server.gone()
        assert fault_of(made) == (Side.REMOTE, code, "tls")
        assert made.fault is not None
        assert made.fault.message.startswith(message)
        assert stages(made) == ["lookup", "connect", *AHEAD[security], "tls"]

    run(test())


def test_an_expired_client_certificate_is_our_own_fault(run: Run) -> None:
    async def test() -> None:
        async with scripted([HELLO, alert(45), Hang()]) as server:
            made = await attempt(server, SSL)
        assert fault_of(made) == (Side.LOCAL, FaultCode.FILE, "tls")

    run(test())


@pytest.mark.parametrize(
    "agreement",
    [
        [Send(b"220 go ahead\r\n250 mx.test\r\n")],
        [Send(b"220-go\r\n220 ahead\r\n250-mx.test\r\n")],
        [Send(b"220 go ahead\r\nx")],
    ],
)
def test_what_is_slipped_in_behind_the_agreement_is_refused(
    run: Run, authority: Authority, agreement: list[Step]
) -> None:
    script = [*dialogue(TO_STARTTLS + "C: STARTTLS"), *agreement, Hang()]

    async def test() -> None:
        async with scripted(script, tls=authority.server()) as server:
            made = await attempt(server, STARTTLS)
            await server.gone()
        assert fault_of(made) == (Side.REMOTE, FaultCode.PROTOCOL, "starttls")
        assert made.fault is not None
        assert made.fault.message == "the server sent more than one answer to a command"

    run(test())


def test_what_is_slipped_in_later_is_never_taken_for_a_reply(run: Run, authority: Authority) -> None:
    script = [*dialogue(TO_STARTTLS + AGREED), Send(b"250 mx.test\r\n"), StartTls(), *dialogue(SECURED)]

    async def test() -> None:
        async with scripted(script, tls=authority.server()) as server:
            made = await attempt(server, STARTTLS, tlscafile=str(authority.file))
            await server.gone()
        assert made.fault is not None
        assert made.fault.side is Side.REMOTE
        assert made.fault.code in (FaultCode.PROTOCOL, FaultCode.TLS)
        assert server.lines == [b"EHLO probe.test", b"STARTTLS"]

    run(test())


def test_what_is_slipped_in_ahead_of_starttls_is_refused(run: Run, authority: Authority) -> None:
    script = [
        *dialogue(GREETING + "\nC: EHLO probe.test"),
        Send(b"250-mx.test\r\n250 STARTTLS\r\n220 go ahead\r\n"),
        Hang(),
    ]

    async def test() -> None:
        async with scripted(script, tls=authority.server()) as server:
            made = await attempt(server, STARTTLS)
            await server.gone()
        assert fault_of(made) == (Side.REMOTE, FaultCode.PROTOCOL, "ehlo")
        assert server.lines == [b"EHLO probe.test"]

    run(test())


@pytest.mark.parametrize("reply", ["454 4.7.0 not now", "502 what?", "220x", "250 fine", "hello"])
def test_a_server_that_does_not_agree_is_never_spoken_to_in_the_clear(
    run: Run, authority: Authority, reply: str
) -> None:
    async def test() -> None:
        script = dialogue(f"{TO_STARTTLS}C: STARTTLS\nS: {reply}")
        async with scripted(script, tls=authority.server()) as server:
            made = await attempt(server, STARTTLS)
        assert fault_of(made)[::2] == (Side.REMOTE, "starttls")
        assert server.lines == [b"EHLO probe.test", b"STARTTLS"]
        assert made.fault is not None
        if reply[3:4] == " " and reply[0] in "45":
            assert made.fault.message == f"the server refused STARTTLS: {reply}"
            assert made.status == int(reply[:3])

    run(test())


def test_a_server_that_does_not_offer_starttls_is_never_spoken_to_in_the_clear(run: Run) -> None:
    async def test() -> None:
        script = dialogue(GREETING + "\nC: EHLO probe.test\nS: 250-mx.test\nS: 250 AUTH PLAIN")
        async with scripted(script) as server:
            made = await attempt(server, STARTTLS)
        assert fault_of(made) == (Side.REMOTE, FaultCode.NO_STARTTLS, "starttls")
        assert server.lines == [b"EHLO probe.test"]

    run(test())


def test_an_endless_agreement_ends(run: Run) -> None:
    async def test() -> None:
        script = [*dialogue(TO_STARTTLS + "C: STARTTLS"), Send(b"220-and\r\n" * 5000), Hang()]
        async with scripted(script) as server:
            made = await attempt(server, STARTTLS)
        assert fault_of(made) == (Side.REMOTE, FaultCode.PROTOCOL, "starttls")

    run(test())


def test_what_was_offered_in_the_clear_is_forgotten(run: Run, authority: Authority) -> None:
    """The server offers AUTH before the handshake alone: it must not be believed."""

    async def test() -> None:
        before = "S: 220 mx\nC: EHLO probe.test\nS: 250-mx\nS: 250-STARTTLS\nS: 250 AUTH PLAIN\n"
        script = [*dialogue(before + AGREED), StartTls(), *dialogue("C: EHLO probe.test\nS: 250 mx")]
        fields: dict[str, Any] = {
            "authenticationtype": "PLAIN",
            "username": "user",
            "password": Secret("literal", PASSWORD),
        }
        async with scripted(script, tls=authority.server()) as server:
            made = await attempt(server, STARTTLS, tlscafile=str(authority.file), **fields)
        assert fault_of(made) == (Side.REMOTE, FaultCode.NO_MECHANISM, "auth")
        assert server.lines == [b"EHLO probe.test", b"STARTTLS", b"EHLO probe.test"]

    run(test())


def test_a_server_that_does_not_end_tls_does_not_keep_the_connection(run: Run, authority: Authority) -> None:
    async def test() -> None:
        script = [*dialogue(GREETING + SECURED), Hang()]
        async with scripted(script, tls=authority.server(), implicit=True) as server:
            assert (await attempt(server, SSL, tlscafile=str(authority.file))).fault is None
            await server.gone()

    run(test())


def test_a_reply_that_comes_byte_by_byte_is_an_agreement(run: Run, authority: Authority) -> None:
    script = [Send(step.data, one_by_one=True) if isinstance(step, Send) else step for step in WITH_STARTTLS]

    async def test() -> None:
        async with scripted(script, tls=authority.server()) as server:
            made = await attempt(server, STARTTLS, tlscafile=str(authority.file))
        assert made.fault is None

    run(test())
