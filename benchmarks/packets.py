"""What really went over the loopback interface, with the kernel's time of each packet. Linux, and root.

An attempt is found by the address of ours that it connects from. Commands and replies take turns, so that
what TLS hides is told by the order of its records, whose headers are in the clear (RFC 8446 section 5.1).
What came first is told by the numbers of TCP (RFC 9293 section 3.4), not by when it was captured: a busy
machine sends segments again, and hands them to the capture out of order.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

_ETH_P_IP = 0x0800
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 33, 35  # of asm-generic/socket.h; Python has no names for them
_SOL_PACKET, _PACKET_STATISTICS = 263, 6  # of linux/if_packet.h
_SYN = 0x02
_SEQUENCE = 1 << 32
_HANDSHAKE, _APPLICATION_DATA = 22, 23  # RFC 8446 section 5.1
_RECORD_HEADER = 5
_LOOK_S = 0.1


class CaptureError(Exception):
    """The capture does not show what it should."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One TCP segment."""

    at_ns: int
    flags: int
    seq: int
    ack: int
    payload: bytes
    from_client: bool

    @property
    def end(self) -> int:
        """The sequence number after its payload, which the other side acknowledges."""
        return (self.seq + len(self.payload)) % _SEQUENCE


class Capture:
    """Takes in the packets of some TCP ports of this machine while it is entered."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = frozenset(ports)
        self._packets: defaultdict[tuple[str, int], list[Packet]] = defaultdict(list)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._take_in)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 64 << 20)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.bind(("lo", _ETH_P_IP))
        self._socket.settimeout(_LOOK_S)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        _, dropped = struct.unpack("II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        self._socket.close()
        if dropped:
            raise CaptureError(f"the kernel dropped {dropped} packets of the capture")

    def connections(self) -> dict[str, list[list[Packet]]]:
        """The packets of each connection, by the client's address, in the order in which they were begun."""
        found: defaultdict[str, list[list[Packet]]] = defaultdict(list)
        for (host, _), packets in sorted(self._packets.items(), key=lambda item: item[1][0].at_ns):
            found[host].append(packets)
        return found

    def _take_in(self) -> None:
        while True:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(1 << 17, 64)
            except TimeoutError:
                if self._ended.is_set():
                    return
                continue
            self._take(data, ancillary[0][2])

    def _take(self, data: bytes, timestamp: bytes) -> None:
        header = (data[0] & 0xF) * 4
        if data[9] != socket.IPPROTO_TCP:
            return
        from_port, to_port, seq, ack, offset, flags = struct.unpack_from("!HHIIBB", data, header)
        if to_port in self._ports:
            client = (socket.inet_ntoa(data[12:16]), from_port)
        elif from_port in self._ports:
            client = (socket.inet_ntoa(data[16:20]), to_port)
        else:
            return
        seconds, nanoseconds = struct.unpack("ll", timestamp)
        payload = data[header + (offset >> 4) * 4 : int.from_bytes(data[2:4])]
        at_ns = seconds * 1_000_000_000 + nanoseconds
        self._packets[client].append(Packet(at_ns, flags, seq, ack, payload, to_port in self._ports))


@dataclass(frozen=True, slots=True)
class Shape:
    """What the client writes in a session: whether TLS comes first, and how many commands before the message.

    With TLS only the commands under it count; it is TLS 1.3, where the first encrypted record of the client
    is its Finished.
    """

    implicit_tls: bool
    tls: bool
    commands: int


@dataclass(slots=True)
class _Client:
    """The client's side of a session: the packet by which each thing that it wrote left it."""

    tls: bool
    clear: list[Packet] = field(default_factory=list)
    hello_ns: int = 0
    encrypted: list[Packet] = field(default_factory=list)
    _unparsed: bytes = b""

    def take(self, packet: Packet) -> None:
        """Takes in the next packet of the stream."""
        if not self.tls:
            self.clear.append(packet)
            self.tls = packet.payload.upper() == b"STARTTLS\r\n"
            return
        for kind in self._records(packet.payload):
            if kind == _HANDSHAKE and not self.hello_ns:
                self.hello_ns = packet.at_ns
            elif kind == _APPLICATION_DATA:
                self.encrypted.append(packet)

    def _records(self, data: bytes) -> Iterator[int]:
        self._unparsed += data
        while len(self._unparsed) >= _RECORD_HEADER:
            size = _RECORD_HEADER + int.from_bytes(self._unparsed[3:_RECORD_HEADER])
            if len(self._unparsed) < size:
                return
            yield self._unparsed[0]
            self._unparsed = self._unparsed[size:]


def times_us(packets: Sequence[Packet], shape: Shape) -> dict[str, int]:
    """The timings of a session under the names of ``Attempt.times_us``, in microseconds, from packets alone.

    ``SSLHandshakeTime`` is from the packet with the ClientHello to that with the client's Finished: in TLS
    1.3 the handshake is complete for the client when it sends that (RFC 8446 section 2).

    Raises:
        CaptureError: the session did not have this shape.
    """
    client = _Client(shape.implicit_tls)
    syn, *commands = _stream(packets, from_client=True)
    synack, *segments = _stream(packets, from_client=False)
    for command in commands:
        client.take(command)
    written = client.encrypted[1:] if shape.tls else client.clear
    if len(written) < shape.commands + 2:
        raise CaptureError(f"a session has only {len(written)} commands")
    message, farewell = written[shape.commands : shape.commands + 2]
    replies = {segment.end: segment for segment in segments}
    if message.ack not in replies or farewell.ack not in replies:
        raise CaptureError("of a session a reply was not captured")
    allowed, taken = replies[message.ack], replies[farewell.ack]
    if not shape.tls and not allowed.payload.startswith(b"354"):
        raise CaptureError(f"the message was not sent after 354, but after {allowed.payload!r}")
    found_ns = {
        "connectTime": synack.at_ns - syn.at_ns,
        "responseTime": allowed.at_ns - synack.at_ns,
        "uploadTime": taken.at_ns - message.at_ns,
    }
    if shape.tls:
        found_ns["SSLHandshakeTime"] = client.encrypted[0].at_ns - client.hello_ns
    return {name: took_ns // 1000 for name, took_ns in found_ns.items()}


def _stream(packets: Sequence[Packet], *, from_client: bool) -> list[Packet]:
    """The SYN of one side and the segments of its data, in their order, each as first captured."""
    found: dict[int, Packet] = {}
    for packet in packets:
        if packet.from_client is from_client and (packet.payload or packet.flags & _SYN):
            found.setdefault(packet.seq, packet)
    begins = [packet.seq for packet in found.values() if packet.flags & _SYN]
    if not begins:
        raise CaptureError("the begin of a session was not captured")
    return sorted(found.values(), key=lambda packet: (packet.seq - begins[0]) % _SEQUENCE)
