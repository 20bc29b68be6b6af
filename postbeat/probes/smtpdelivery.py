"""The delivery of one message in an SMTP session: MAIL, RCPT, DATA and the upload, each timed.

The commands are ours and not those of aiosmtplib's client: it parses and formats what is ready here, and its
data() hides the moment between 354 and the first byte of the message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol

from postbeat.message import Outgoing, padding
from postbeat.model import FaultCode, LocalFault, RemoteFault
from postbeat.probes.readings import Readings

# Bytes that are written before the socket must have room for more. It bounds the memory that an upload takes,
# and the time that TLS takes at once.
CHUNK = 64 * 1024

_TAKEN = (250, 251, 252)  # RCPT may also answer that the message will be forwarded (RFC 5321 section 4.3.2)


async def deliver(
    client: aiosmtplib.SMTP, outgoing: Outgoing, readings: Readings, passed: Callable[[str], None]
) -> None:
    """Sends the message in the session of ``client``, which has said EHLO; calls ``passed`` after each stage.

    Raises:
        RemoteFault, LocalFault: the server and the message do not fit.
        aiosmtplib.SMTPException: the server refused, or broke the session.
    """
    protocol = client.protocol
    if protocol is None:
        raise aiosmtplib.SMTPServerDisconnected("Connection lost")
    timeline = readings.timeline
    with timeline.stage("mail"):
        options = _options(client, outgoing)
        await _command(protocol, readings, f"MAIL FROM:<{outgoing.sender}>{options}", (250,))
    passed("mail")
    with timeline.stage("rcpt"):
        await _command(protocol, readings, f"RCPT TO:<{outgoing.recipient}>", _TAKEN)
    passed("rcpt")
    with timeline.stage("data"):
        await _command(protocol, readings, "DATA", (354,))
        readings.may_send()
    passed("data")
    wire = stuffed(outgoing.data, last=not outgoing.padding)
    with timeline.stage("upload"):
        if outgoing.padding or len(wire) > CHUNK:
            accepted = await _upload(protocol, _chunks(wire, outgoing.padding), readings)
        else:
            readings.bytes_transferred = len(wire)
            protocol.write(wire)
            accepted = await protocol.read_response()
        readings.replied(accepted)
        if accepted.code != 250:
            raise aiosmtplib.SMTPDataError(accepted.code, accepted.message)
        readings.accepted()
    passed("upload")


async def _command(
    protocol: SMTPProtocol, readings: Readings, command: str, expected: tuple[int, ...]
) -> None:
    reply = await protocol.execute_command(command.encode())
    readings.replied(reply)
    if reply.code not in expected:
        raise aiosmtplib.SMTPResponseException(reply.code, reply.message)


def _options(client: aiosmtplib.SMTP, outgoing: Outgoing) -> str:
    """The parameters of MAIL that the message needs; only what the server offers is used."""
    options = ""
    offered = client.esmtp_extensions
    limit = offered.get("size")
    if limit is not None:
        size = len(outgoing.data) + outgoing.padding
        # No number, or 0: there is no limit that the server could tell (RFC 1870 section 4).
        if limit.isdecimal() and len(limit) < 20 and 0 < int(limit) < size:
            raise LocalFault(
                FaultCode.TOO_LARGE, f"our message has {size} bytes, and the server takes {int(limit)}"
            )
        options += f" SIZE={size}"
    if outgoing.eightbit:
        if "8bitmime" not in offered:
            raise RemoteFault(
                FaultCode.NO_8BITMIME, "the server does not offer 8BITMIME, which our message needs"
            )
        options += " BODY=8BITMIME"
    if outgoing.utf8:
        if "smtputf8" not in offered:
            raise RemoteFault(
                FaultCode.NO_SMTPUTF8, "the server does not offer SMTPUTF8, which an address needs"
            )
        options += " SMTPUTF8"
    return options


async def _upload(
    protocol: SMTPProtocol, chunks: Iterator[bytes], readings: Readings
) -> aiosmtplib.SMTPResponse:
    """Writes as fast as the server reads, and listens meanwhile: it may refuse before it has all."""
    reply = asyncio.ensure_future(protocol.read_response())
    writing = asyncio.ensure_future(_write(protocol, chunks, readings))
    try:
        await asyncio.wait((reply, writing), return_when=asyncio.FIRST_COMPLETED)
        unfinished = not writing.done()
        if not unfinished and not isinstance(writing.exception(), OSError):
            writing.result()
        # Where the connection is gone, the server may have said why before it went.
        response = await reply
    finally:
        for task in (reply, writing):
            task.cancel()
        await asyncio.gather(reply, writing, return_exceptions=True)
    if unfinished and response.code == 250:
        raise RemoteFault(FaultCode.PROTOCOL, "the server accepted the message before it had all of it")
    return response


async def _write(protocol: SMTPProtocol, chunks: Iterator[bytes], readings: Readings) -> None:
    for chunk in chunks:
        protocol.write(chunk)
        readings.bytes_transferred += len(chunk)
        # What StreamWriter.drain() calls. A writer of our own would close the connection when it is freed.
        await protocol._drain_helper()
        await asyncio.sleep(0)  # a server that reads quickly must not keep the loop from everything else


def _chunks(wire: bytes, padding_size: int) -> Iterator[bytes]:
    for at in range(0, len(wire), CHUNK):
        yield wire[at : at + CHUNK]
    if padding_size:
        yield from padding(padding_size)
        yield b".\r\n"


def stuffed(data: bytes, *, last: bool = True) -> bytes:
    """A message as DATA takes it (RFC 5321 section 4.5.2): dots doubled at line begins, and the end mark.

    Where more follows, ``last`` is false and the data is in whole lines.
    """
    if data.startswith(b"."):
        data = b"." + data
    data = data.replace(b"\r\n.", b"\r\n..")
    if not last:
        return data
    return data + (b".\r\n" if data.endswith(b"\r\n") else b"\r\n.\r\n")
