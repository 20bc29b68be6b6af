"""Lookup, TCP connect and TLS: the only place with sockets of our own.

Every error that leaves this module is a :class:`~postbeat.model.FaultError`, so the side of a fault is
decided once, here.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import ipaddress
import os
import socket
import ssl
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from postbeat.model import FaultCode, FaultError, LocalFault, RemoteFault, TlsFacts
from postbeat.timeline import Timeline

TCP_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
READ_LIMIT = 1 << 20  # bytes held for a reader that is slower than the server; beyond it the server waits

# Errors of connect() and of a socket that speak of this machine, not of the service.
_OUR_ERRNOS = {
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOBUFS,
    errno.ENOMEM,
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


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """What an element asks of TLS. Paths are as the element names them; empty means not given."""

    verify: bool = True
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    key_password: str = ""


_HANDSHAKE: ContextVar[tuple[Timeline, str] | None] = ContextVar("handshake", default=None)


def time_handshake(timeline: Timeline, then: str = "") -> None:
    """Has the next handshake of this task written into the timeline as its stage ``tls``.

    The stage begins with the first byte that TLS writes and ends the open one; when the handshake is
    complete the stage ``then`` begins, if one is named.
    """
    _HANDSHAKE.set((timeline, then))


class _TimedObject(ssl.SSLObject):
    """Marks its own handshake in the timeline of the task that asked for it."""

    _marks: tuple[Timeline, str] | None = None
    _started = False

    def do_handshake(self) -> None:
        if not self._started:
            self._started = True
            self._marks = _HANDSHAKE.get()
            if self._marks is not None:
                self._marks[0].switch("tls")
        super().do_handshake()
        if self._marks is not None:
            timeline, then = self._marks
            cipher = self.cipher()
            timeline.reply(f"{self.version()} {cipher[0] if cipher else ''}")
            timeline.switch(then)
            self._marks = None


async def lookup(server: str, port: int, timeline: Timeline) -> list[Address]:
    """The addresses of a server in the resolver's order; an IP address is its own.

    Raises:
        RemoteFault: the name has no address.
        LocalFault: our resolver did not answer.
    """
    with timeline.stage("lookup"):
        literal = _literal(server, port)
        if literal is not None:
            return [literal]
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(server, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
                raise RemoteFault(FaultCode.LOOKUP, f"no address for {server}") from error
            raise LocalFault(FaultCode.RESOLVER, f"could not look up {server}: {error.strerror}") from error
        except UnicodeError as error:
            raise LocalFault(FaultCode.LOOKUP, f"{server} is not a valid host name") from error
        addresses = [Address(family, str(name[0]), port) for family, _, _, _, name in found]
        timeline.reply(" ".join(address.host for address in addresses))
        return addresses


def _literal(server: str, port: int) -> Address | None:
    try:
        ip = ipaddress.ip_address(server.strip("[]"))
    except ValueError:
        return None
    return Address(socket.AF_INET if ip.version == 4 else socket.AF_INET6, str(ip), port)


async def connect(addresses: Sequence[Address], timeline: Timeline) -> tuple[socket.socket, Address]:
    """A connected socket and the address it is connected to; addresses are tried in order.

    Each try is a stage ``connect`` of its own, so connectTime is that of the chosen address alone.

    Raises:
        RemoteFault, LocalFault: the last address's error.
    """
    loop = asyncio.get_running_loop()
    # uvloop runs the handshake of a STARTTLS in the context that the plain connection was made in, so the
    # timeline must be in it before there is a connection.
    time_handshake(timeline)
    for index, address in enumerate(addresses):
        sock = _new_socket(address)
        try:
            with timeline.stage("connect"):
                timeline.reply(str(address))
                await loop.sock_connect(sock, (address.host, address.port))
            quick_ack(sock)
            return sock, address
        except OSError as error:
            sock.close()
            if index + 1 < len(addresses):
                timeline.end()
                continue
            raise explained(error, f"connecting to {address}") from error
        except BaseException:
            sock.close()
            raise
    raise RemoteFault(FaultCode.LOOKUP, "the server has no address")


def _new_socket(address: Address) -> socket.socket:
    try:
        sock = socket.socket(address.family, socket.SOCK_STREAM)
    except OSError as error:
        raise explained(error, "opening a socket") from error
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def quick_ack(sock: socket.socket) -> None:
    """Acknowledges at once: a delayed ACK holds back an implicit-TLS Postfix's greeting by 40 ms."""
    if TCP_QUICKACK is not None:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_QUICKACK, 1)


@functools.lru_cache(maxsize=256)
def tls_context(options: TlsOptions) -> ssl.SSLContext:
    """The context for these options; cached, as loading the system's authorities costs 20 ms of CPU.

    Raises:
        LocalFault: a file of ours is missing or cannot be used.
    """
    for path in (options.ca_file, options.certificate_file, options.key_file):
        if path and not os.access(path, os.R_OK):
            raise LocalFault(FaultCode.FILE, f"cannot read {path}, which the element names for TLS")
    try:
        context = ssl.create_default_context(cafile=options.ca_file or None)
    except ssl.SSLError as error:
        raise LocalFault(
            FaultCode.FILE, f"{options.ca_file} holds no certificate in PEM: {_reason(error)}"
        ) from error
    context.sslobject_class = _TimedObject
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.certificate_file:
        _load_certificate(context, options)
    return context


def _load_certificate(context: ssl.SSLContext, options: TlsOptions) -> None:
    try:
        # A password must always be given, even an empty one: without it OpenSSL asks on the terminal.
        context.load_cert_chain(
            options.certificate_file, options.key_file or None, password=options.key_password
        )
    except (ssl.SSLError, OSError) as error:
        files = " and ".join(path for path in (options.certificate_file, options.key_file) if path)
        raise LocalFault(
            FaultCode.FILE, f"cannot use the client certificate in {files}: {_reason(error)}"
        ) from error


def tls_facts(transport: asyncio.BaseTransport) -> TlsFacts | None:
    """What was negotiated on a transport, or None on one without TLS."""
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if tls is None:
        return None
    cipher = tls.cipher()
    verified = tls.context.verify_mode is ssl.CERT_REQUIRED
    return TlsFacts(tls.version() or "", cipher[0] if cipher else "", verified)


def explained(error: BaseException, doing: str) -> FaultError:  # noqa: PLR0911  a table, in code
    """The fault that an error of a socket or of TLS stands for."""
    if isinstance(error, FaultError):
        return error
    if isinstance(error, ssl.SSLCertVerificationError):
        return RemoteFault(
            FaultCode.CERTIFICATE, f"the server's certificate does not verify: {error.verify_message}"
        )
    if isinstance(error, ssl.SSLError):
        return RemoteFault(FaultCode.TLS, f"the TLS handshake failed: {_reason(error)}")
    if isinstance(error, ConnectionRefusedError):
        return RemoteFault(FaultCode.REFUSED, f"the connection was refused while {doing}")
    if isinstance(error, ConnectionError):
        return RemoteFault(FaultCode.DISCONNECTED, f"the server closed the connection while {doing}")
    if isinstance(error, OSError) and error.errno in _OUR_ERRNOS:
        return LocalFault(FaultCode.RESOURCES, f"this machine failed while {doing}: {error.strerror}")
    if isinstance(error, OSError):
        return RemoteFault(FaultCode.UNREACHABLE, f"{error.strerror or error} while {doing}")
    return LocalFault(FaultCode.INTERNAL, f"{type(error).__name__} while {doing}")


def _reason(error: OSError) -> str:
    reason = getattr(error, "reason", None) or error.strerror or str(error)
    return str(reason).replace("_", " ").lower()


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
            await loop.create_connection(lambda: stream, sock=sock, ssl=tls, server_hostname=server)
        except OSError as error:
            sock.close()
            raise explained(error, "making the TLS handshake") from error
        return stream

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
            self._transport = await loop.start_tls(self._transport, self, tls, server_hostname=server)
        except OSError as error:
            raise explained(error, "making the TLS handshake") from error

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
