"""What an attempt has measured so far: kept whole when a fault or a deadline cuts the attempt off."""

from __future__ import annotations

from typing import Protocol

from postbeat.clock import Clock
from postbeat.dial import Stream, tls_facts
from postbeat.model import TlsFacts
from postbeat.timeline import REPLY_LIMIT, Timeline


class Reply(Protocol):
    """A status and its text."""

    @property
    def code(self) -> int:
        """The three digits."""
        ...

    @property
    def message(self) -> str:
        """The lines after them."""
        ...


class Readings:
    """Filled by a probe; :mod:`postbeat.attempts` makes an Attempt of it."""

    def __init__(self, clock: Clock) -> None:
        self.timeline = Timeline()
        self.started_at_us = clock.now_us()
        self.status: int | None = None
        self.reply = ""
        self.address = ""
        self.tls: TlsFacts | None = None
        self.bytes_transferred = 0
        self.accepted_at_us: int | None = None
        self._connected_us: int | None = None
        self._response_us: int | None = None

    def connected(self, address: str) -> None:
        """The connection is established: responseTime begins."""
        self.address = address
        self._connected_us = self.timeline.now_us()

    def over(self, stream: Stream) -> None:
        """The attempt goes over this connection: its address and what TLS negotiated on it."""
        self.address = stream.peer
        self.tls = tls_facts(stream.transport)

    def replied(self, reply: Reply) -> None:
        """The server answered in the open stage."""
        self.status = reply.code
        text = " ".join(reply.message.split())
        self.reply = "".join(c if c.isprintable() else "?" for c in f"{reply.code} {text}")[:REPLY_LIMIT]
        self.timeline.reply(self.reply)

    def may_send(self) -> None:
        """The reply that allows the first byte of the message is there: responseTime ends."""
        if self._connected_us is not None:
            self._response_us = self.timeline.now_us() - self._connected_us

    def accepted(self) -> None:
        """The server has taken the message over."""
        self.accepted_at_us = self.started_at_us + self.timeline.now_us()

    def times_us(self) -> dict[str, int]:
        """The timings of design section 5 under the ISM's element names, in microseconds."""
        timeline = self.timeline
        found = {
            "lookupTime": timeline.took_us("lookup"),
            "connectTime": timeline.took_us("connect"),
            "SSLHandshakeTime": timeline.took_us("tls"),
            "responseTime": self._response_us,
            "uploadTime": timeline.took_us("upload"),
        }
        return {name: value for name, value in found.items() if value is not None}
