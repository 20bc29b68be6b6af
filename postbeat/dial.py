"""Lookup, TCP connect and TLS: the only place with sockets of our own.

Every error that leaves this module is a :class:`~postbeat.model.FaultError`, so the side of a fault is
decided once, here.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import ipaddress
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from postbeat import resolve
from postbeat.elements import Element
from postbeat.model import AddressFamily, FaultCode, FaultError, LocalFault, RemoteFault, Side
from postbeat.timeline import Timeline
from postbeat.tls.handshake import HANDSHAKE_S, asked_name, time_handshake, tls_fault

TCP_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
# With it many connections may share a port of ours; Python has no name for it before 3.12.
_BIND_WITHOUT_PORT = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)
READ_LIMIT = 1 << 20  # bytes held for a reader that is slower than the server; beyond it the server waits

# Errors of connect() and of a socket that speak of this machine, not of the service.
_OUR_ERRNOS = {
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOBUFS,
    errno.ENOMEM,
    errno.EAGAIN,
    errno.EADDRNOTAVAIL,
    errno.EADDRINUSE,
    errno.EACCES,
    errno.EPERM,
    errno.ENETUNREACH,
    errno.ENETDOWN,
    errno.EAFNOSUPPORT,
}


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a server."""

    family: int
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def reach(element: Element, timeline: Timeline) -> tuple[socket.socket, Address]:
    """A connected socket to an element's server, or to its fixed ``address``.

    Raises:
        RemoteFault, LocalFault: there is no way to it.
    """
    where = element.address or element.server
    addresses = await lookup(where, element.port, timeline, family_of(element))
    return await connect(addresses, timeline, element.sourceaddress, element.timeout)


def family_of(element: Element) -> AddressFamily:
    """The family of the addresses that an element's server is tried at."""
    if element.sourceaddress:
        return AddressFamily.IPV6 if ":" in element.sourceaddress else AddressFamily.IPV4
    return element.addressfamily


async def lookup(
    server: str, port: int, timeline: Timeline, family: AddressFamily = AddressFamily.ANY
) -> list[Address]:
    """The addresses of a server in the order in which to try them; an IP address is its own.

    Raises:
        RemoteFault: the name has no address.
        LocalFault: our resolver did not answer.
    """
    with timeline.stage("lookup"):
        literal = _literal(server, port)
        if literal is not None:
            return [literal]
        found = await resolve.shared().addresses(server, family)
        source = f" ({found.source})" if found.source else ""
        timeline.reply(" ".join(found.hosts) + source)
        return [
            Address(socket.AF_INET6 if ":" in host else socket.AF_INET, host, port) for host in found.hosts
        ]


@functools.lru_cache(maxsize=4096)
def _literal(server: str, port: int) -> Address | None:
    try:
        ip = ipaddress.ip_address(server.strip("[]"))
    except ValueError:
        return None
    return Address(socket.AF_INET if ip.version == 4 else socket.AF_INET6, str(ip), port)


async def connect(
    addresses: Sequence[Address], timeline: Timeline, source: str = "", timeout_s: float | None = None
) -> tuple[socket.socket, Address]:
    """A connected socket and the address it is connected to; addresses are tried in order.

    Each try is a stage ``connect`` of its own, so connectTime is that of the chosen address alone. All but
    the last have an equal share of ``timeout_s``, so that one that is silent does not hide the others.
    ``source`` is the address of ours to connect from.

    Raises:
        RemoteFault, LocalFault: what the service did wrong, or else our last error.
    """
    loop = asyncio.get_running_loop()
    # uvloop runs the handshake of a STARTTLS in the context that the plain connection was made in, so the
    # timeline must be in it before there is a connection.
    time_handshake(timeline)
    share_s = timeout_s / len(addresses) if timeout_s and addresses else None
    faults: list[FaultError] = []
    for index, address in enumerate(addresses):
        patience_s = share_s if index + 1 < len(addresses) else None
        timeline.end()
        timeline.begin("connect")
        timeline.reply(str(address))
        sock = _new_socket(address, source)
        try:
            await _connected(loop, sock, address, patience_s)
            timeline.end()
            return sock, address
        except OSError as error:
            sock.close()
            faults.append(explained(error, f"connecting to {address}"))
        except BaseException:
            sock.close()
            raise
    # An address that we have no way to must not hide what another one did wrong.
    remote = [fault for fault in faults if fault.side is Side.REMOTE]
    raise (remote or faults or [RemoteFault(FaultCode.LOOKUP, "the server has no address")])[-1]


async def _connected(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, address: Address, patience_s: float | None
) -> None:
    async with asyncio.timeout(patience_s):
        await _established(loop, sock, _socket_address(address))
    quick_ack(sock)


async def _established(loop: asyncio.AbstractEventLoop, sock: socket.socket, where: Any) -> None:  # noqa: ANN401
    """What sock_connect() does.

    That of uvloop first has a thread look up what is an address already: it takes longer than a connect() to
    a server in the same building, and would be counted with it.
    """
    error = sock.connect_ex(where)
    if error == errno.EINPROGRESS:
        writable: asyncio.Future[None] = loop.create_future()
        loop.add_writer(sock, _wake, writable)
        try:
            await writable
        finally:
            loop.remove_writer(sock)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


@functools.lru_cache(maxsize=4096)
def _socket_address(address: Address) -> Any:  # noqa: ANN401  a tuple of the family's own
    """An address as connect() takes it, with the scope that a link-local one names."""
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    found = socket.getaddrinfo(address.host, address.port, address.family, socket.SOCK_STREAM, flags=flags)
    return found[0][4]


def _new_socket(address: Address, source: str = "") -> socket.socket:
    try:
        sock = socket.socket(address.family, socket.SOCK_STREAM)
    except OSError as error:
        raise explained(error, "opening a socket") from error
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if source:
        try:
            sock.setsockopt(socket.IPPROTO_IP, _BIND_WITHOUT_PORT, 1)
            sock.bind((source, 0))
        except OSError as error:
            sock.close()
            raise explained(error, f"binding to {source}") from error
    return sock


def quick_ack(sock: socket.socket) -> None:
    """Acknowledges what comes next at once.

    A server that writes twice before it listens, as Postfix does with session tickets and its greeting, may
    wait for it: a delayed ACK adds 40 ms. What we write ends the effect (tcp(7), TCP_QUICKACK).
    """
    if TCP_QUICKACK is not None:
        with contextlib.suppress(OSError):  # the connection is gone, which others see as well
            sock.setsockopt(socket.IPPROTO_TCP, TCP_QUICKACK, 1)


def quick_ack_soon(transport: asyncio.BaseTransport) -> None:
    """The same when the loop has written what it has for the server: the end of the handshake above all."""
    asyncio.get_running_loop().call_soon(quick_ack, transport.get_extra_info("socket"))


def explained(error: BaseException, doing: str) -> FaultError:  # noqa: PLR0911  a table, in code
    """The fault that an error of a socket or of TLS stands for."""
    if isinstance(error, FaultError):
        return error
    if isinstance(error, ssl.SSLError):
        return tls_fault(error)
    if isinstance(error, ConnectionRefusedError):
        return RemoteFault(FaultCode.REFUSED, f"the connection was refused while {doing}")
    if isinstance(error, ConnectionError):
        return RemoteFault(FaultCode.DISCONNECTED, f"the server closed the connection while {doing}")
    if isinstance(error, TimeoutError) and error.errno is None:
        return RemoteFault(FaultCode.TIMEOUT, f"no answer while {doing}")
    if isinstance(error, OSError) and error.errno in _OUR_ERRNOS:
        return LocalFault(FaultCode.RESOURCES, f"this machine failed while {doing}: {error.strerror}")
    if isinstance(error, OSError):
        return RemoteFault(FaultCode.UNREACHABLE, f"{error.strerror or error} while {doing}")
    return LocalFault(FaultCode.INTERNAL, f"{type(error).__name__} while {doing}")


class Stream(asyncio.Protocol):
    """A connection for the protocols that we speak ourselves: bytes in, bytes out, bounded.

    The server is made to wait when READ_LIMIT bytes lie unread.
    """

    def __init__(self) -> None:
        self._transport: Any = None
        self._unread = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._lost: BaseException | None = None
        self._ended = False
        self.read_bytes = 0
        self.written_bytes = 0

    @classmethod
    async def open(
        cls, sock: socket.socket, timeline: Timeline, tls: ssl.SSLContext | None = None, server: str = ""
    ) -> Stream:
        """A stream over a connected socket, with an implicit TLS handshake where ``tls`` is given.

        Raises:
            RemoteFault: the handshake failed.
        """
        loop = asyncio.get_running_loop()
        stream = cls()
        try:
            if tls is None:
                await loop.create_connection(lambda: stream, sock=sock)
                return stream
            time_handshake(timeline)
            await loop.create_connection(
                lambda: stream,
                sock=sock,
                ssl=tls,
                server_hostname=asked_name(server),
                ssl_handshake_timeout=HANDSHAKE_S,
            )
        except OSError as error:
            sock.close()
            raise explained(error, "making the TLS handshake") from error
        quick_ack_soon(stream.transport)
        return stream

    @classmethod
    def over(cls, transport: asyncio.BaseTransport) -> Stream:
        """A stream that takes a connection over from another protocol; :meth:`hand_over` gives it back."""
        stream = cls()
        transport.set_protocol(stream)
        stream.connection_made(transport)
        return stream

    def hand_over(self, protocol: asyncio.BaseProtocol) -> asyncio.Transport:
        """Gives the connection to another protocol, and returns its transport.

        Raises:
            RemoteFault: the server has closed it, or has said something that nobody had asked for.
        """
        if self._lost is not None or self._ended:
            raise explained(self._lost or ConnectionResetError(), "being handed over")
        if self._unread:
            raise RemoteFault(FaultCode.PROTOCOL, "the server spoke before it was asked")
        transport = self.transport
        transport.set_protocol(protocol)
        return transport

    async def start_tls(self, tls: ssl.SSLContext, server: str, timeline: Timeline) -> None:
        """Makes the TLS handshake on a stream whose server has just agreed to it.

        Raises:
            RemoteFault: the handshake failed, or the server had sent more than its agreement (RFC 3207
                section 4.2 and RFC 2595 section 2.4: such bytes could have been injected).
        """
        if self._unread:
            raise RemoteFault(FaultCode.PROTOCOL, "the server sent data between STARTTLS and the handshake")
        loop = asyncio.get_running_loop()
        time_handshake(timeline)
        try:
            self._transport = await loop.start_tls(
                self._transport,
                self,
                tls,
                server_hostname=asked_name(server),
                ssl_handshake_timeout=HANDSHAKE_S,
            )
        except OSError as error:
            raise explained(error, "making the TLS handshake") from error
        quick_ack_soon(self.transport)

    @property
    def transport(self) -> asyncio.Transport:
        """The transport below, for facts about TLS."""
        transport: asyncio.Transport = self._transport
        return transport

    @property
    def peer(self) -> str:
        """The server's address and port."""
        host, port, *_ = self._transport.get_extra_info("peername") or ("", 0)
        return str(Address(socket.AF_UNSPEC, host, port)) if host else ""

    def write(self, data: bytes) -> None:
        """Sends bytes; what the socket does not take at once is sent later."""
        self.written_bytes += len(data)
        self._transport.write(data)

    async def read(self) -> bytes:
        """All bytes that have come, at least one.

        Raises:
            RemoteFault: the server closed the connection.
        """
        while not self._unread:
            if self._lost is not None or self._ended:
                raise explained(self._lost or ConnectionResetError(), "waiting for an answer")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = bytes(self._unread)
        self._unread.clear()
        if len(data) >= READ_LIMIT:
            self._transport.resume_reading()
        return data

    def close(self) -> None:
        """Closes at once and waits for nothing."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self.read_bytes += len(data)
        self._unread += data
        if len(self._unread) >= READ_LIMIT:
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """Called by the loop."""
        self._ended = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._lost = exc or ConnectionResetError()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
