"""POP3 for the embedded mail server (RFC 1939, with CAPA of RFC 2449 and AUTH of RFC 5034)."""

# Large parts of Twisted have no types.
# mypy: disable-error-code="no-untyped-call, misc"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.mail import pop3
from zope.interface import implementer

from postbeat.embedded.maildrop import Drop, Mailbox, Message


@implementer(pop3.IMailbox)
class Maildrop:
    """What Twisted wants to call of a mailbox."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.drop = Drop(mailbox)

    def undeleteMessages(self) -> None:
        """Takes the marks away (RSET)."""
        self.drop.unmark_all()

    def sync(self) -> None:
        """Deletes what is marked (QUIT)."""
        self.drop.remove_marked()


class Pop3Session(pop3.POP3):
    """One POP3 connection.

    Messages are in memory, so every command is answered at once, and pipelining needs no queue.
    """

    mbox: Maildrop | None
    timeOut = 600  # RFC 1939 section 3

    def connectionMade(self) -> None:
        """Greets."""
        self.transport.setTcpNoDelay(True)
        super().connectionMade()

    def listCapabilities(self) -> list[bytes]:
        """What CAPA tells."""
        return [b"TOP", b"USER", b"UIDL", b"PIPELINING", b"SASL " + b" ".join(self.factory.challengers)]

    def authenticateUserAPOP(self, user: bytes, digest: bytes) -> Any:
        """APOP (RFC 1939 section 7). Twisted compares the digest with a text."""
        return super().authenticateUserAPOP(user, digest.decode("ascii", "replace"))

    def state_COMMAND(self, line: bytes) -> None:
        """Runs a command; whatever is wrong with it, the connection lasts."""
        try:
            self.processCommand(*line.split(b" "))
        except KeyError:
            self.failResponse(b"There is no such message")
        except (pop3.POP3Error, TypeError, ValueError):
            self.failResponse(b"The command is unknown, has wrong arguments, or is out of place")

    @property
    def _drop(self) -> Drop:
        if self.mbox is None:
            raise pop3.POP3Error(b"not logged in")
        return self.mbox.drop

    def do_STAT(self) -> None:
        """STAT (RFC 1939 section 5)."""
        sizes = [len(message.data) for _, message in self._drop.listing()]
        self.successResponse(b"%d %d" % (len(sizes), sum(sizes)))

    def do_LIST(self, number: bytes | None = None) -> None:
        """LIST (RFC 1939 section 5)."""
        self._tell(number, lambda message: b"%d" % len(message.data))

    def do_UIDL(self, number: bytes | None = None) -> None:
        """UIDL (RFC 1939 section 7)."""
        self._tell(number, lambda message: self._drop.unique_id(message).encode("ascii"))

    def do_RETR(self, number: bytes) -> None:
        """RETR (RFC 1939 section 5)."""
        self._send(self._drop[int(number)].data)

    def do_TOP(self, number: bytes, count: bytes) -> None:
        """TOP (RFC 1939 section 7)."""
        message = self._drop[int(number)]
        lines = message.body.splitlines(keepends=True)[: max(0, int(count))]
        self._send(message.header + b"".join(lines))

    def do_DELE(self, number: bytes) -> None:
        """DELE (RFC 1939 section 5)."""
        self._drop.mark(int(number))
        self.successResponse(b"marked")

    def _tell(self, number: bytes | None, show: Callable[[Message], bytes]) -> None:
        if number is not None:
            self.successResponse(b"%d %b" % (int(number), show(self._drop[int(number)])))
            return
        lines = [b"%d %b\r\n" % (each, show(message)) for each, message in self._drop.listing()]
        self.transport.write(b"+OK\r\n" + b"".join(lines) + b".\r\n")

    def _send(self, data: bytes) -> None:
        ended = data if data.endswith(b"\r\n") else data + b"\r\n"
        # A line that begins with a dot gets another one (RFC 1939 section 3).
        stuffed = (b"\r\n" + ended).replace(b"\r\n.", b"\r\n..")
        self.transport.write(b"+OK" + stuffed + b".\r\n")
