"""What an attempt has measured so far: kept whole when a fault or a deadline cuts the attempt off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from postbeat.clock import Clock
from postbeat.dial import Stream
from postbeat.elements import Element
from postbeat.grade import expiry_warning
from postbeat.results import PolicyFacts, TlsFacts
from postbeat.timeline import REPLY_LIMIT, Timeline
from postbeat.tls.facts import tls_facts


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
        self.hide: Callable[[str], str] = str  # takes our secrets out of what the server says
        self.address = ""
        self.host = ""
        self.policies: tuple[PolicyFacts, ...] = ()
        self.warnings: list[str] = []
        self.tls: TlsFacts | None = None
        self.bytes_transferred = 0
        self.accepted_at_us: int | None = None
        self._connected_us: int | None = None
        self._response_us: int | None = None

    def connected(self, address: str) -> None:
        """The connection is established: responseTime begins."""
        self.address = address
        self._connected_us = self.timeline.now_us()

    def over(self, stream: Stream, element: Element) -> None:
        """The attempt goes over this connection: its address and what TLS negotiated on it."""
        self.address = stream.peer
        self.secured(stream.transport, element)

    def secured(self, transport: asyncio.BaseTransport, element: Element) -> None:
        """What TLS negotiated on the connection, if it has TLS, and whether a certificate expires soon."""
        self.tls = tls_facts(transport)
        if warning := expiry_warning(element, self.tls, self.started_at_us):
            self.warnings.append(warning)

    def replied(self, reply: Reply) -> None:
        """The server answered in the open stage."""
        self.status = reply.code
        text = self.hide(" ".join(reply.message.split()))
        line = f"{reply.code} {text}"[:REPLY_LIMIT]
        if not line.isprintable():
            line = "".join(c if c.isprintable() else "?" for c in line)
        self.reply = line
        self.timeline.reply(line)

    def logged_in(self) -> None:
        """The mailbox is open: responseTime, which began when the connection was established, ends."""
        if (connected_us := self.timeline.ended_us("connect")) is not None:
            self._response_us = self.timeline.now_us() - connected_us

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
            "loginTime": timeline.took_us("login"),
            "uploadTime": timeline.took_us("upload"),
        }
        return {name: value for name, value in found.items() if value is not None}
