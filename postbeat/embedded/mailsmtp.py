"""SMTP for the embedded mail server: mail for its users, with or without a login (RFC 5321, RFC 4954)."""

# Large parts of Twisted have no types.
# mypy: disable-error-code="no-untyped-call, misc"

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import count
from typing import Any

from twisted.cred.credentials import CramMD5Credentials
from twisted.internet import defer, reactor
from twisted.mail import smtp
from twisted.mail.imap4 import IllegalClientResponse, PLAINCredentials
from twisted.mail.interfaces import IMessageDelivery, IMessageSMTP
from zope.interface import implementer

from postbeat.embedded.maildrop import MESSAGE_BYTES_LIMIT, Mailbox, MailboxFullError

HOST = b"localhost"

_SIZE = re.compile(rb"\sSIZE=([0-9]{1,20})(?:\s|$)", re.IGNORECASE)
_UNPRINTABLE = re.compile(rb"[^!-~]")


@implementer(IMessageSMTP)
class Incoming:
    """A message on its way into a mailbox, where it is seen after a delay."""

    def __init__(self, mailbox: Mailbox, delay_s: float) -> None:
        self._mailbox = mailbox
        self._delay_s = delay_s
        self._lines: list[bytes] = []
        self._size = 0

    def lineReceived(self, line: bytes) -> None:
        """Takes a line. Raises SMTPServerError beyond the limit for a message."""
        self._size += len(line) + 2
        if self._size > MESSAGE_BYTES_LIMIT:
            raise smtp.SMTPServerError(552, b"5.3.4 The message is too large")
        self._lines.append(line)

    def eomReceived(self) -> defer.Deferred[None]:
        """Delivers the message."""
        try:
            show = self._mailbox.hold(b"\r\n".join(self._lines) + b"\r\n")
        except MailboxFullError as error:
            return defer.fail(error)
        if self._delay_s > 0:
            reactor.callLater(self._delay_s, show)
        else:
            show()
        return defer.succeed(None)

    def connectionLost(self) -> None:
        """Forgets the message."""
        self._lines.clear()


@implementer(IMessageDelivery)
class Delivery:
    """Where mail for an address goes: to the user of that name, in whatever domain."""

    def __init__(self, find: Callable[[bytes], Mailbox | None], delay_s: float = 0) -> None:
        self._find = find
        self._delay_s = delay_s

    def validateFrom(self, helo: object, origin: smtp.Address) -> smtp.Address:
        """Takes every sender."""
        return origin

    def validateTo(self, user: smtp.User) -> Callable[[], Incoming]:
        """Takes a recipient. Raises SMTPServerError where there is no such user, or no room."""
        address = bytes(user.dest)
        mailbox = self._find(address) or self._find(address.rpartition(b"@")[0])
        if mailbox is None:
            raise smtp.SMTPServerError(550, "5.1.1 There is no such user here")
        if mailbox.full:
            raise smtp.SMTPServerError(452, "4.2.2 The mailbox is full")
        return lambda: Incoming(mailbox, self._delay_s)


class SmtpSession(smtp.ESMTP):
    """One SMTP connection."""

    noisy = False
    _counter = count(1)

    def __init__(self, delivery: Delivery) -> None:
        super().__init__({b"PLAIN": PLAINCredentials, b"CRAM-MD5": CramMD5Credentials})
        self.delivery = delivery
        self.host = HOST
        self._extended = False

    def connectionMade(self) -> None:
        """Greets."""
        self.transport.setTcpNoDelay(True)
        super().connectionMade()

    def greeting(self) -> bytes:
        """The text of the greeting."""
        return HOST + b" ESMTP Postbeat"

    def extensions(self) -> dict[bytes, list[bytes] | None]:
        """What EHLO offers."""
        offered: dict[bytes, list[bytes] | None] = super().extensions()
        return {**offered, b"8BITMIME": None, b"SIZE": [b"%d" % MESSAGE_BYTES_LIMIT]}

    def do_HELO(self, rest: bytes) -> None:
        """HELO (RFC 5321 section 4.1.1.1)."""
        self._extended = False
        super().do_HELO(rest)

    def do_EHLO(self, rest: bytes) -> None:
        """EHLO (RFC 5321 section 4.1.1.1)."""
        self._extended = True
        super().do_EHLO(rest)

    def do_MAIL(self, rest: bytes) -> None:
        """MAIL; a message that says it is too large is refused at once (RFC 1870 section 6.1)."""
        size = _SIZE.search(rest)
        if size and int(size[1]) > MESSAGE_BYTES_LIMIT:
            self.sendCode(552, b"5.3.4 The message is too large")
            return
        super().do_MAIL(rest)

    def lineReceived(self, line: bytes) -> None:
        """Takes a line. One that Twisted trips over, as AUTH without a mechanism, is refused."""
        try:
            super().lineReceived(line)
        except (IllegalClientResponse, IndexError, ValueError):
            self.mode = smtp.COMMAND
            self.sendCode(501, b"5.5.2 The command or its argument is malformed")

    def lineLengthExceeded(self, line: bytes) -> None:
        """Ends the connection: the rest of a message must not be taken for commands."""
        self.sendCode(500, b"5.5.2 The line is too long")
        self.transport.loseConnection()

    def receivedHeader(
        self, helo: tuple[bytes | None, bytes | str], origin: object, recipients: list[Any]
    ) -> bytes:
        """The trace field (RFC 5321 section 4.4)."""
        name, address = helo
        # A text where the client said neither HELO nor EHLO.
        host = address.encode("ascii") if isinstance(address, str) else address
        said = _UNPRINTABLE.sub(b"?", name or b"unknown")[:255]
        protocol = b"SMTP" if not self._extended else b"ESMTPA" if self.authenticated else b"ESMTP"
        return b"\r\n".join(
            (
                b"Received: from %b ([%b])" % (said, host),
                b"\tby %b (Postbeat) with %b id %d" % (HOST, protocol, next(self._counter)),
                b"\tfor <%b>;" % bytes(recipients[0]),
                b"\t" + format_datetime(datetime.now(UTC)).encode("ascii"),
            )
        )
