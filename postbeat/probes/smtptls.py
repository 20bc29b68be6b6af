"""STARTTLS in SMTP (RFC 3207), with nothing let through between the agreement and the handshake."""

from __future__ import annotations

import aiosmtplib

from postbeat.dial import Stream
from postbeat.model import FaultCode, LocalFault, RemoteFault
from postbeat.probes.readings import Readings
from postbeat.probes.smtpclient import Client, unasked

_READY = 220


async def start_tls(client: Client, readings: Readings) -> None:
    """Secures the connection and forgets what the server said before.

    The handshake is made over a stream of our own, which sees what somebody in the middle puts between it and
    the agreement (RFC 3207 section 6).

    Raises:
        RemoteFault: NO_STARTTLS, PROTOCOL where more came than was asked for, or the handshake's.
        SMTPResponseException: the server does not agree.
    """
    timeline = readings.timeline
    timeline.begin("starttls")
    protocol, transport = client.protocol, client.transport
    if protocol is None or transport is None:
        raise aiosmtplib.SMTPServerDisconnected("Connection lost")
    if not client.supports_extension("starttls"):
        raise RemoteFault(FaultCode.NO_STARTTLS, "the server does not offer STARTTLS")
    tls = client.tls_context
    if tls is None:
        # Going on without would send the credentials in the clear.
        raise LocalFault(FaultCode.INTERNAL, "the element asks for TLS and no TLS context was given")
    reply = await protocol.execute_command(b"STARTTLS")
    readings.replied(reply)
    if reply.code != _READY:
        raise aiosmtplib.SMTPResponseException(reply.code, reply.message)
    if protocol.unread:
        raise unasked()
    stream = Stream.over(transport)
    await stream.start_tls(tls, client.hostname or "", timeline)
    protocol.transport = client.transport = stream.hand_over(protocol)
    client._reset_server_state()
    timeline.end()
