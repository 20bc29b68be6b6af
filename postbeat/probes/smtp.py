"""The SMTP send test: one attempt, every stage timed, through aiosmtplib on a socket of our own dialling."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import aiosmtplib
from aiosmtplib import SMTPResponse

from postbeat import dial
from postbeat.model import (
    AuthenticationType,
    FaultCode,
    FaultError,
    LocalFault,
    RemoteFault,
    SecurityType,
    SmtpElement,
)
from postbeat.probes.credentials import Access
from postbeat.probes.readings import Readings
from postbeat.probes.session import Login
from postbeat.timeline import Timeline

QUIT_S = 2.0  # the message is out: a server that is slow to say goodbye must not use up the attempt
_NO_CODE = -1  # aiosmtplib's status of a reply that is none


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that is ready for the wire (CRLF line ends, not dot-stuffed), and its envelope."""

    sender: str
    recipient: str
    data: bytes


async def send(
    element: SmtpElement, access: Access, outgoing: Outgoing | None, helo_name: str, readings: Readings
) -> None:
    """Sends the message, or only checks that the service accepts connections when there is none.

    The figures go into ``readings`` as they become known, so that what was measured before a fault or a
    deadline is kept. The caller owns the deadline.

    Raises:
        RemoteFault, LocalFault: why the attempt failed.
    """
    timeline = readings.timeline
    addresses = await dial.lookup(element.server, element.port, timeline)
    sock, address = await dial.connect(addresses, timeline)
    readings.connected(str(address))
    implicit = element.securitytype is SecurityType.SSL
    client = aiosmtplib.SMTP(
        hostname=element.server,
        sock=sock,
        use_tls=implicit,
        start_tls=False,
        tls_context=access.tls,
        local_hostname=helo_name,
        timeout=None,
    )
    try:
        await _converse(client, element, access.login, outgoing, readings)
    except aiosmtplib.SMTPResponseException as error:
        error.message = access.login.hidden_in(error.message)
        raise _refusal(error, timeline.open_stage) from None
    except aiosmtplib.SMTPException as error:
        raise _fault(error, timeline.open_stage) from error
    except OSError as error:
        raise dial.explained(error, f"in stage {timeline.open_stage}") from error
    finally:
        client.close()
        sock.close()


async def _converse(
    client: aiosmtplib.SMTP,
    element: SmtpElement,
    login: Login,
    outgoing: Outgoing | None,
    readings: Readings,
) -> None:
    timeline = readings.timeline
    if element.securitytype is SecurityType.SSL:
        dial.time_handshake(timeline, then="greeting")
    else:
        timeline.begin("greeting")
    readings.replied(await client.connect())
    timeline.end()
    await _hello(client, readings)
    if element.securitytype is SecurityType.STARTTLS:
        await _start_tls(client, readings)
        await _hello(client, readings)
    if client.transport is not None:
        readings.tls = dial.tls_facts(client.transport)
    if element.authenticationtype is not AuthenticationType.NONE:
        await _authenticate(client, element, login, readings)
    if outgoing is not None:
        await _deliver(client, outgoing, readings)
    await _quit(client, timeline)


async def _hello(client: aiosmtplib.SMTP, readings: Readings) -> None:
    """EHLO, or HELO where a server does not know EHLO (RFC 5321 section 3.2)."""
    with readings.timeline.stage("ehlo"):
        try:
            readings.replied(await client.ehlo())
        except aiosmtplib.SMTPHeloError as error:
            if error.code not in (500, 502, 504, 550) or not client.is_connected:
                raise
            readings.replied(await client.helo())


async def _start_tls(client: aiosmtplib.SMTP, readings: Readings) -> None:
    timeline = readings.timeline
    timeline.begin("starttls")
    if not client.supports_extension("starttls"):
        raise RemoteFault(FaultCode.NO_STARTTLS, "the server does not offer STARTTLS")
    dial.time_handshake(timeline)
    readings.replied(await client.starttls())
    timeline.end()


async def _authenticate(
    client: aiosmtplib.SMTP, element: SmtpElement, login: Login, readings: Readings
) -> None:
    """One AUTH command with the configured mechanism: a wrong password counts once at the server."""
    with readings.timeline.stage("auth"):
        mechanism = element.authenticationtype
        offered = client.server_auth_methods
        if mechanism.value.lower() not in offered:
            names = ", ".join(sorted(offered)).upper() or "none"
            raise RemoteFault(
                FaultCode.NO_MECHANISM, f"the server does not offer AUTH {mechanism}; it offers {names}"
            )
        if mechanism is AuthenticationType.PLAIN:
            response = await client.auth_plain(login.username, login.password)
        else:
            response = await client.auth_crammd5(login.username, login.sharedsecret or login.password)
        readings.replied(SMTPResponse(response.code, login.hidden_in(response.message)))


async def _deliver(client: aiosmtplib.SMTP, outgoing: Outgoing, readings: Readings) -> None:
    timeline = readings.timeline
    wire = _stuffed(outgoing.data)
    with timeline.stage("mail"):
        options = [f"SIZE={len(outgoing.data)}"] if client.supports_extension("size") else None
        readings.replied(await client.mail(outgoing.sender, options=options))
    with timeline.stage("rcpt"):
        readings.replied(await client.rcpt(outgoing.recipient))
    protocol = client.protocol
    if protocol is None:
        raise aiosmtplib.SMTPServerDisconnected("Connection lost")
    # DATA in two steps of our own: client.data() would hide the moment between 354 and the first byte.
    with timeline.stage("data"):
        go_ahead = await protocol.execute_command(b"DATA")
        readings.replied(go_ahead)
        if go_ahead.code != 354:
            raise aiosmtplib.SMTPDataError(go_ahead.code, go_ahead.message)
        readings.may_send()
    with timeline.stage("upload"):
        readings.bytes_transferred = len(wire)
        protocol.write(wire)
        accepted = await protocol.read_response()
        readings.replied(accepted)
        if accepted.code != 250:
            raise aiosmtplib.SMTPDataError(accepted.code, accepted.message)
        readings.accepted()


def _stuffed(data: bytes) -> bytes:
    """A message as DATA takes it (RFC 5321 section 4.5.2): dots doubled at line begins, and the end mark."""
    if data.startswith(b"."):
        data = b"." + data
    data = data.replace(b"\r\n.", b"\r\n..")
    return data + (b".\r\n" if data.endswith(b"\r\n") else b"\r\n.\r\n")


async def _quit(client: aiosmtplib.SMTP, timeline: Timeline) -> None:
    """Says goodbye. What goes wrong here is seen in the stages and is no fault: the test is over."""
    timeline.begin("quit")
    try:
        async with asyncio.timeout(QUIT_S):
            response = await client.quit()
        timeline.reply(f"{response.code} {response.message}")
        timeline.end()
    except (aiosmtplib.SMTPException, OSError, TimeoutError):
        timeline.reply("no proper goodbye")


_REFUSED = {
    "greeting": "the server refused the connection",
    "ehlo": "the server refused EHLO",
    "starttls": "the server refused STARTTLS",
    "mail": "the server refused the sender",
    "rcpt": "the server refused the recipient",
    "data": "the server refused DATA",
    "upload": "the server refused the message",
}


def _fault(error: aiosmtplib.SMTPException, stage: str) -> FaultError:
    """The fault that an error of aiosmtplib without a reply stands for."""
    if isinstance(error.__cause__, OSError):
        return dial.explained(error.__cause__, f"in stage {stage}")
    if isinstance(error, ConnectionError):
        return RemoteFault(FaultCode.DISCONNECTED, f"the server closed the connection in stage {stage}")
    return LocalFault(FaultCode.INTERNAL, f"{type(error).__name__} in stage {stage}")


def _refusal(error: aiosmtplib.SMTPResponseException, stage: str) -> FaultError:
    reply = _one_line(SMTPResponse(error.code, error.message))
    if error.code == _NO_CODE:
        return RemoteFault(FaultCode.PROTOCOL, f"the server's answer is not SMTP: {error.message[:100]!r}")
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return RemoteFault(FaultCode.AUTH, f"the server refused the login: {reply}", status=error.code)
    what = _REFUSED.get(stage, f"the server refused stage {stage}")
    return RemoteFault(FaultCode.REPLY, f"{what}: {reply}", status=error.code)


def _one_line(response: SMTPResponse) -> str:
    """A reply as one printable line of at most 200 characters."""
    text = " ".join(response.message.split())
    return "".join(c if c.isprintable() else "?" for c in f"{response.code} {text}")[:200]
