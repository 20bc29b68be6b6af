"""aiosmtplib's client with replies that are read strictly: one for each command, and none beside.

aiosmtplib takes what a server says too early for the answer to the next command, or drops it, as the packets
happen to fall. A message could then seem accepted that is not.
"""

from __future__ import annotations

import asyncio
from typing import cast

import aiosmtplib
from aiosmtplib import SMTPResponse
from aiosmtplib.protocol import COMMAND_INJECTION_REGEX, SMTPProtocol

from postbeat.dial import quick_ack_soon
from postbeat.model import FaultCode, RemoteFault
from postbeat.wire.smtp import Replies

_GOING = 421  # which a server may say at any time, before it closes the connection (RFC 5321 section 3.8)


class Conversation(SMTPProtocol):
    """The protocol: a command, its one reply, the next command."""

    def __init__(self, client: Client) -> None:
        super().__init__(connection_lost_callback=client._on_connection_lost)
        self._replies = Replies()

    @property
    def unread(self) -> int:
        """Bytes that the server has said beyond its last reply."""
        return self._replies.unread

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._replies.receive(data)
        waiter = self._response_waiter
        if waiter is None or waiter.done() or not self._response_pending:
            return
        try:
            reply = self._replies.next_reply()
        except RemoteFault as fault:
            self._set_response_exception(waiter, fault)
        else:
            if reply is not None:
                waiter.set_result(SMTPResponse(*reply))

    async def execute_command(self, *args: bytes, timeout: float | None = None) -> SMTPResponse:  # noqa: ASYNC109
        """Sends a command, and returns its reply, or the 421 that was there before it.

        ``timeout`` is not used: an attempt has one deadline for all.

        Raises:
            RemoteFault: PROTOCOL where the server said what is no reply, or more than one.
        """
        if self._replies.unread and (goodbye := self._goodbye()):
            return goodbye
        command = b" ".join(args)
        if COMMAND_INJECTION_REGEX.search(command):
            raise ValueError("a command holds a control character")
        self._response_pending = True
        self.write(command + b"\r\n")
        return await self.read_response()

    async def read_response(self, timeout: float | None = None) -> SMTPResponse:  # noqa: ASYNC109
        """The reply to what was sent last; the rest is as with :meth:`execute_command`."""
        if self._replies.unread and not self._response_pending and (goodbye := self._goodbye()):
            return goodbye
        waiter = self._response_waiter
        if waiter is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        self._response_pending = True
        try:
            response = await waiter
        finally:
            self._response_pending = False
            self._response_waiter = None if self.transport is None else self._loop.create_future()
        # Where it has said 421 to who has no client certificate, Postfix still greets.
        if self._replies.unread and response.code != _GOING:
            self._refuse_unasked()
        return response

    def _goodbye(self) -> SMTPResponse | None:
        self._refuse_unasked()
        reply = self._replies.next_reply()
        return SMTPResponse(*reply) if reply is not None else None

    def _refuse_unasked(self) -> None:
        if not self._replies.begins(b"%d" % _GOING):
            raise unasked()


def unasked() -> RemoteFault:
    """The fault for what follows a reply."""
    return RemoteFault(FaultCode.PROTOCOL, "the server sent more than one answer to a command")


class Client(aiosmtplib.SMTP):
    """A client on a connected socket that has :class:`Conversation`, and closes at once.

    A server that does not end TLS on its side must not keep the socket.
    """

    protocol: Conversation | None
    closed: asyncio.BaseTransport | None = None

    async def _create_connection(self, timeout: float | None) -> SMTPResponse:  # noqa: ASYNC109
        protocol = Conversation(self)
        try:
            self.transport, self.protocol = await asyncio.get_running_loop().create_connection(
                lambda: protocol,
                sock=self.sock,
                ssl=self.tls_context if self.use_tls else None,
                server_hostname=self.hostname if self.use_tls else None,
                ssl_handshake_timeout=timeout if self.use_tls else None,
            )
        except OSError as error:
            raise aiosmtplib.SMTPConnectError("Error connecting") from error
        if self.use_tls:
            quick_ack_soon(self.transport)
        greeting = await protocol.read_response()
        if greeting.code != 220:
            raise aiosmtplib.SMTPConnectResponseError(greeting.code, greeting.message)
        return greeting

    def close(self) -> None:
        """Closes the connection; what TLS negotiated on it can still be asked of ``closed``."""
        transport = self.transport
        self.closed = transport or self.closed
        super().close()
        if transport is not None:
            cast(asyncio.Transport, transport).abort()  # uvloop's are no subclasses of asyncio's
