"""What stands between Postfix and the mailboxes: it takes over each message and delivers it as a test wants.

Postfix hands over what comes for the domain ``SHAPED`` by LMTP (RFC 2033). The shape of a recipient says when
and how often a message is put into the mailbox, where, and what has become of it on the way.
"""

from __future__ import annotations

import re
import socketserver
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.listening import TcpServer, serving
from tests.mailservers import SHAPED, Account, MailServers

_POLL = re.compile(rb"^X-Postbeat: [^\n]*?poll=([^;\s]+)", re.M)


@dataclass(frozen=True)
class Drop:
    """A message that is put into the mailbox, so many seconds after it was taken over, in so many copies."""

    message: bytes
    after_s: float = 0.0
    folder: str = ""
    copies: int = 1


Shape: TypeAlias = Callable[[int, bytes], Iterable[Drop]]  # of the recipient's n-th message, and its text
Route: TypeAlias = tuple[Account, Shape]  # whose mailbox it is, and what comes into it


def held(*seconds: float) -> Shape:
    """Delivers as it came, the n-th message after the n-th time; all further ones after the last."""
    return lambda number, message: [Drop(message, seconds[min(number, len(seconds) - 1)])]


def address(recipient: str) -> str:
    """The address of a recipient whose mail is shaped."""
    return f"{recipient}@{SHAPED}"


@dataclass
class Shaper:
    """The routes by recipient, and when each poll's message was put into a mailbox, in microseconds."""

    servers: MailServers
    routes: Mapping[str, Route]
    delivered_us: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _taken: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _timers: list[threading.Timer] = field(default_factory=list)

    @classmethod
    @contextmanager
    def open(cls, servers: MailServers, routes: Mapping[str, Route]) -> Iterator[Shaper]:
        """Takes over what Postfix has for these recipients."""
        shaper = cls(servers, routes)

        class Handler(_Lmtp):
            take = shaper.take

        try:
            with serving(TcpServer(("127.0.0.1", servers.ports["shaper"]), Handler)):
                yield shaper
        finally:
            for timer in shaper._timers:
                timer.cancel()

    def take(self, recipient: str, message: bytes) -> None:
        """Takes over a message."""
        number = self._taken[recipient]
        self._taken[recipient] += 1
        account, shape = self.routes[recipient]
        for drop in shape(number, message):
            timer = threading.Timer(drop.after_s, self._deliver, [account, drop])
            timer.daemon = True
            self._timers.append(timer)
            timer.start()

    def _deliver(self, account: Account, drop: Drop) -> None:
        match = _POLL.search(drop.message)
        at_us = self.servers.deliver(account, drop.message, drop.folder, copies=drop.copies)
        self.delivered_us[match[1].decode() if match else ""].append(at_us)


class _Lmtp(socketserver.StreamRequestHandler):
    take: Callable[[str, bytes], None]

    def handle(self) -> None:
        recipients: list[str] = []
        self._say("220 shaper LMTP")
        while line := self.rfile.readline().decode().strip():
            verb = line[:4].upper()
            if verb == "RCPT":
                recipients.append(line.partition("<")[2].partition("@")[0])
            if verb == "DATA":
                self._say("354 go ahead")
                message = self._message()
                for recipient in recipients:
                    self.take(recipient, message)
                    self._say("250 2.0.0 taken over")
                recipients.clear()
            elif verb == "QUIT":
                self._say("221 2.0.0 bye")
                return
            else:
                self._say("250 2.0.0 ok")

    def _message(self) -> bytes:
        """The message with plain line ends, as it lies on a disk."""
        lines = []
        while (line := self.rfile.readline().rstrip(b"\r\n")) != b".":
            lines.append(line.removeprefix(b"."))
        return b"\n".join([*lines, b""])

    def _say(self, reply: str) -> None:
        self.wfile.write(f"{reply}\r\n".encode())
