"""The SMTP send test: one attempt, every stage timed, through aiosmtplib on a socket of our own dialling."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from functools import partial

import aiosmtplib
from aiosmtplib import SMTPResponse

from postbeat import dial, expect
from postbeat.elements import SmtpElement
from postbeat.message import Outgoing
from postbeat.model import AuthenticationType, FaultCode, FaultError, LocalFault, RemoteFault, SecurityType
from postbeat.probes import mx
from postbeat.probes.credentials import Access
from postbeat.probes.login import Login
from postbeat.probes.mx import Securing
from postbeat.probes.readings import Readings
from postbeat.probes.smtpauth import authenticate
from postbeat.probes.smtpclient import Client
from postbeat.probes.smtpdelivery import deliver
from postbeat.probes.smtptls import start_tls
from postbeat.tls.facts import certificates
from postbeat.tls.handshake import HANDSHAKE_S, asked_name, time_handshake
from postbeat.wire import proxy

QUIT_S = 2.0  # the message is out: a server that is slow to say goodbye must not use up the attempt


async def send(
    element: SmtpElement, access: Access, outgoing: Outgoing | None, helo_name: str, readings: Readings
) -> None:
    """Sends the message, or only checks that the service accepts connections when there is none.

    Where the element expects a refusal, the test ends with its stage, and that refusal is no fault.

    The figures go into ``readings`` as they become known, so that what was measured before a fault or a
    deadline is kept. The caller owns the deadline.

    Raises:
        RemoteFault, LocalFault: why the attempt failed.
    """
    readings.hide = access.login.hidden_in
    session = _Session(element, access.login, outgoing, helo_name, readings)
    if element.mx:
        await mx.send(element, access.context, session.run, readings)
        return
    sock, address = await dial.reach(element, readings.timeline)
    readings.connected(str(address))
    await session.run(sock, Securing(element.securitytype, access.tls, element.tls_name))


@dataclass(frozen=True, slots=True)
class _Session:
    """What one session is about; it owns the socket that it is run on."""

    element: SmtpElement
    login: Login
    outgoing: Outgoing | None
    helo_name: str
    readings: Readings

    async def run(self, sock: socket.socket, securing: Securing) -> None:
        """Has the session, from the greeting to the goodbye.

        Raises:
            RemoteFault, LocalFault: why it failed.
        """
        client = self._client(sock, securing)
        try:
            await self._spoken(client, sock, securing)
            await _quit(client, self.readings)
        except RemoteFault as fault:
            await self._judge(client, fault)
        finally:
            client.close()
            sock.close()

    async def _judge(self, client: Client, fault: RemoteFault) -> None:
        """Ends the session; raises the fault, unless it is the refusal that the element expects."""
        expected, timeline = self.element.expect, self.readings.timeline
        if expected is None:
            raise fault
        if (unmet := expect.unmet(expected, fault, timeline.open_stage)) is not None:
            raise unmet
        timeline.end()
        if client.is_connected:
            await _quit(client, self.readings)

    def passed(self, client: Client, stage: str) -> None:
        """The server let the stage pass.

        Raises:
            RemoteFault: ACCEPTED where it should not have; nothing more is done then, and no message is sent.
        """
        if self.element.expect is None or self.element.expect.stage != stage:
            return
        if client.transport is not None and self.readings.tls is None:
            self.readings.secured(client.transport, self.element)
        if client.protocol is not None and stage != "data":  # there the server waits for the message
            client.protocol.write(b"QUIT\r\n")
        raise expect.accepted(stage)

    def _client(self, sock: socket.socket, securing: Securing) -> Client:
        return Client(
            hostname=securing.server,
            sock=sock,
            use_tls=securing.type is SecurityType.SSL,
            start_tls=False,
            tls_context=securing.context,
            local_hostname=self.helo_name,
            timeout=None,
        )

    async def _spoken(self, client: Client, sock: socket.socket, securing: Securing) -> None:
        """The conversation up to the goodbye; what goes wrong in it becomes a fault."""
        try:
            if self.element.proxyprotocol:
                await _announce(sock, self.element.proxyprotocol)
            await _converse(client, self, securing)
        except aiosmtplib.SMTPResponseException as error:
            error.message = self.login.hidden_in(error.message)
            self.readings.replied(error)
            raise self._said_of_tls(_refusal(error, self.readings.timeline.open_stage), client) from None
        except aiosmtplib.SMTPException as error:
            raise self._said_of_tls(_fault(error, self.readings.timeline.open_stage), client) from error
        except OSError as error:
            raise dial.explained(error, f"in stage {self.readings.timeline.open_stage}") from error
        except RemoteFault as fault:  # which may show an answer that is none
            hidden = self.login.hidden_in(fault.message)
            if hidden == fault.message:
                raise
            raise RemoteFault(fault.code, hidden, status=fault.status) from None

    def _said_of_tls(self, fault: FaultError, client: Client) -> FaultError:
        """The fault, and whether TLS may be behind it: some servers hang up on who has no certificate."""
        readings, transport = self.readings, client.transport or client.closed
        if readings.tls is None and transport is not None:
            readings.secured(transport, self.element)
        asked = readings.tls is not None and readings.tls.certificate_asked
        if not asked or fault.code not in (FaultCode.REPLY, FaultCode.DISCONNECTED):
            return fault
        if readings.timeline.open_stage not in ("greeting", "ehlo"):
            return fault
        text = f"{fault.message}; it had asked for a client certificate"
        return type(fault)(fault.code, text, status=fault.status)


async def _announce(sock: socket.socket, version: int) -> None:
    header = proxy.header(version, sock.getsockname()[:2], sock.getpeername()[:2])
    await asyncio.get_running_loop().sock_sendall(sock, header)


async def _converse(client: Client, session: _Session, securing: Securing) -> None:
    element, readings = session.element, session.readings
    timeline = readings.timeline
    if securing.type is SecurityType.SSL:
        asked_name(securing.server)
        time_handshake(timeline, then="greeting")
        greeting = await client.connect(timeout=HANDSHAKE_S)
    else:
        timeline.begin("greeting")
        greeting = await client.connect()
    readings.replied(greeting)
    timeline.end()
    if securing.type is SecurityType.SSL:
        session.passed(client, "tls")
    session.passed(client, "greeting")
    hello = _lhlo if element.lmtp else _hello
    await hello(client, readings)
    session.passed(client, "ehlo")
    if securing.type is SecurityType.STARTTLS:
        await start_tls(client, readings)
        if client.transport is not None and securing.check is not None:
            securing.check(certificates(client.transport))
        session.passed(client, "starttls")
        session.passed(client, "tls")
        await hello(client, readings)
    if client.transport is not None:
        readings.secured(client.transport, element)
    if element.authenticationtype is not AuthenticationType.NONE:
        await authenticate(client, element, session.login, readings)
        session.passed(client, "auth")
    if session.outgoing is not None:
        await deliver(client, session.outgoing, readings, partial(session.passed, client))


async def _hello(client: aiosmtplib.SMTP, readings: Readings) -> None:
    """EHLO, or HELO where a server does not know EHLO (RFC 5321 section 3.2)."""
    with readings.timeline.stage("ehlo"):
        try:
            readings.replied(await client.ehlo())
        except aiosmtplib.SMTPHeloError as error:
            if error.code not in (500, 502, 504, 550) or not client.is_connected:
                raise
            readings.replied(await client.helo())


async def _lhlo(client: aiosmtplib.SMTP, readings: Readings) -> None:
    """LHLO, which LMTP has in the place of EHLO (RFC 2033 section 4.1).

    The reply for each recipient, which LMTP gives after the message, is one: there is one recipient.
    """
    with readings.timeline.stage("ehlo"):
        reply = await client.execute_command(b"LHLO", (client.local_hostname or "").encode())
        readings.replied(reply)
        if reply.code != 250:
            raise aiosmtplib.SMTPHeloError(reply.code, reply.message)
        client.last_ehlo_response = reply


async def _quit(client: aiosmtplib.SMTP, readings: Readings) -> None:
    """Says goodbye. What goes wrong here is seen in the stages and is no fault: the test is over."""
    timeline = readings.timeline
    timeline.begin("quit")
    try:
        async with asyncio.timeout(QUIT_S):
            response = await client.quit()
        timeline.reply(readings.hide(f"{response.code} {response.message}"))
        timeline.end()
    except (aiosmtplib.SMTPException, FaultError, OSError, TimeoutError):
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
_FOR_NOW = {FaultCode.GREYLISTED: " for now, by greylisting", FaultCode.TEMPORARY: " for now"}


def _fault(error: aiosmtplib.SMTPException, stage: str) -> FaultError:
    """The fault that an error of aiosmtplib without a reply stands for."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, OSError) and not isinstance(cause, aiosmtplib.SMTPException):
        return dial.explained(cause, f"in stage {stage}")
    if isinstance(error, ConnectionError):
        return RemoteFault(FaultCode.DISCONNECTED, f"the server closed the connection in stage {stage}")
    return LocalFault(FaultCode.INTERNAL, f"{type(error).__name__} in stage {stage}")


def _refusal(error: aiosmtplib.SMTPResponseException, stage: str) -> FaultError:
    reply = _one_line(SMTPResponse(error.code, error.message))
    if error.code < 400:  # such as 250 in the place of 354
        text = f"the server's answer has no meaning in stage {stage}: {reply}"
        return RemoteFault(FaultCode.PROTOCOL, text, status=error.code)
    what = _REFUSED.get(stage, f"the server refused stage {stage}")
    code = expect.refusal_code(stage, error.code, reply)
    return RemoteFault(code, f"{what}{_FOR_NOW.get(code, '')}: {reply}{_advice(reply)}", status=error.code)


def _advice(reply: str) -> str:
    """What to do about a server that wants something first (RFC 4954 section 6, RFC 3207 section 4)."""
    if not reply.startswith("530"):
        return ""
    return "; set securitytype STARTTLS" if "STARTTLS" in reply.upper() else "; set authenticationtype"


def _one_line(response: SMTPResponse) -> str:
    """A reply as one printable line of at most 200 characters."""
    text = " ".join(response.message.split())
    return "".join(c if c.isprintable() else "?" for c in f"{response.code} {text}")[:200]
