"""POP3 as a client speaks it, without I/O (RFC 1939, 2449, 2595, 5034): bytes in, replies out.

Commands are functions of bytes; :class:`Pop3Client` remembers which of them were sent, as only the command
tells whether its reply has more than one line.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from postbeat.model import FaultCode, RemoteFault
from postbeat.wire.line import LineBuffer, argument, malformed, shown

# Bytes of a status line. RFC 2449 section 4 allows 512; challenges of AUTH may be longer.
LINE_LIMIT = 12 * 1024
# Bytes and lines of a listing (CAPA, UIDL). They protect memory, the lines against millions of empty ones;
# a mailbox of 200,000 messages fits.
LISTING_LIMIT = 8 << 20
LISTING_LINES = 200_000
# Characters kept of a status line's text: all that RFC 1939 allows, as the greeting's timestamp is in it.
STATUS_LIMIT = 512
# Bytes of a client's line, its end included (RFC 2449 section 4, RFC 5034 section 4).
COMMAND_LIMIT = 255

_STATUS = re.compile(
    rb"(\+OK|-ERR)(?:[ \t]+(?:\[([^\]\r\n]{1,64})\])?[ \t]*(.*))?", re.IGNORECASE | re.DOTALL
)
# The timestamp of APOP looks like a message id (RFC 1939 section 7). Nothing else is signed: MD5 lets a
# hostile server learn the password from crafted timestamps that are not (CVE-2007-1558).
_TIMESTAMP = re.compile(rb"<[!-;=?-\[\]-~]{1,250}@[!-;=?-\[\]-~]{1,250}>")
_UIDL = re.compile(rb"([0-9]{1,9})[ \t]+([!-~]{1,255})[ \t]*")


class State(Enum):
    """What a status line says."""

    OK = "+OK"
    ERR = "-ERR"
    CHALLENGE = "+"


class Shape(Enum):
    """How the reply to a command looks."""

    LINE = "one line"
    LISTING = "status and lines, all needed"
    HEADER = "status and a message's header, of which the beginning is enough"


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. ``code`` is a response code in capitals such as IN-USE (RFC 2449 section 8), or empty.

    ``text`` is for people, printable and bounded; ``challenge`` is the base64 of a ``+`` line (RFC 5034);
    ``lines`` are those of a multi-line reply, without their dot-stuffing.
    """

    state: State
    code: str = ""
    text: str = ""
    challenge: bytes = b""
    lines: tuple[bytes, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the command succeeded."""
        return self.state is State.OK


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its line, and the shape of the reply."""

    line: bytes
    shape: Shape = Shape.LINE


def user(name: str) -> Command:
    """USER (RFC 1939 section 7). Raises LocalFault where the name cannot stand in a line."""
    return Command(b"USER %b\r\n" % argument(name, "the user name"))


def password(secret: str) -> Command:
    """PASS (RFC 1939 section 7). Raises LocalFault where the password cannot stand in a line."""
    return Command(b"PASS %b\r\n" % argument(secret, "the password"))


def apop(name: str, timestamp: bytes, secret: bytes) -> Command:
    """APOP (RFC 1939 section 7): the MD5 of the greeting's timestamp and the shared secret."""
    # The digest is the protocol's; whether MD5 is safe enough is for the operator who chose APOP.
    digest = hashlib.md5(timestamp + secret, usedforsecurity=False).hexdigest()
    return Command(b"APOP %b %b\r\n" % (argument(name, "the user name"), digest.encode("ascii")))


def auth(mechanism: str, initial: bytes | None) -> Command:
    """AUTH, with an initial response in base64 where there is one (RFC 5034 section 4)."""
    line = b"AUTH " + mechanism.encode("ascii")
    return Command(line + b"\r\n" if initial is None else line + b" " + initial + b"\r\n")


def initial_room(mechanism: str) -> int:
    """The bytes that an initial response of AUTH may have; without it, the server asks for it."""
    return COMMAND_LIMIT - len(f"AUTH {mechanism} \r\n")


def answer(response: bytes) -> Command:
    """The answer to a challenge, in base64 (RFC 5034 section 4)."""
    return Command(response + b"\r\n")


CAPA = Command(b"CAPA\r\n", Shape.LISTING)
STLS = Command(b"STLS\r\n")
UIDL = Command(b"UIDL\r\n", Shape.LISTING)
QUIT = Command(b"QUIT\r\n")


def top(number: int, lines: int = 0) -> Command:
    """TOP: the header of a message and so many lines of its body (RFC 1939 section 7)."""
    return Command(b"TOP %d %d\r\n" % (number, lines), Shape.HEADER)


def dele(number: int) -> Command:
    """DELE (RFC 1939 section 5); the message goes when QUIT is answered, not before."""
    return Command(b"DELE %d\r\n" % number)


def timestamp(greeting: Reply) -> bytes | None:
    """The APOP timestamp of a greeting, or None where APOP is not offered (RFC 1939 section 7)."""
    found = _TIMESTAMP.search(greeting.text.encode("utf-8"))
    return found[0] if found else None


def capabilities(lines: Sequence[bytes]) -> dict[str, tuple[str, ...]]:
    """The capabilities of a CAPA reply in capitals, with their arguments (RFC 2449 section 5)."""
    found: dict[str, tuple[str, ...]] = {}
    for line in lines:
        name, *arguments = shown(line, LINE_LIMIT).upper().split() or [""]
        if name:
            found[name] = tuple(arguments)
    return found


def unique_ids(lines: Sequence[bytes]) -> list[tuple[int, str]]:
    """Message numbers and unique-ids of a UIDL reply (RFC 1939 section 7), in the server's order.

    Raises:
        RemoteFault: a line is not a number and 1 to 255 printable characters (the RFC allows 70, but an id
            that is longer does no harm).
    """
    found = []
    for line in lines:
        match = _UIDL.fullmatch(line)
        if match is None:
            raise malformed("the server sent a UIDL line that is not in the protocol", line)
        found.append((int(match[1]), match[2].decode("ascii")))
    return found


class Pop3Client:
    """The replies of one connection, in the order of the commands sent; the greeting comes first.

    ``header_limit`` is how many bytes of a header are kept; what exceeds it is read and dropped.
    """

    def __init__(self, header_limit: int) -> None:
        self._buffer = LineBuffer()
        self._pending: deque[Shape] = deque([Shape.LINE])
        self._header_limit = header_limit
        self._status: Reply | None = None
        self._lines: list[bytes] = []
        self._size = 0

    @property
    def unread(self) -> int:
        """Bytes received that belong to no reply yet."""
        return len(self._buffer)

    def send(self, *commands: Command) -> bytes:
        """The bytes of commands, whose replies are expected from now on.

        More than one at a time is for servers with PIPELINING (RFC 2449 section 6.6).
        """
        self._pending.extend(command.shape for command in commands)
        return b"".join(command.line for command in commands)

    def receive(self, data: bytes) -> None:
        """Takes bytes in, however they are split. Raises RemoteFault beyond the buffer's limit."""
        self._buffer.receive(data)

    def next_reply(self) -> Reply | None:
        """The next complete reply, or None while more bytes are needed.

        Raises:
            RemoteFault: the reply is not in the protocol, or nothing was asked.
        """
        if self._status is None:
            line = self._buffer.line(LINE_LIMIT)
            if line is None:
                return None
            if not self._pending:
                raise malformed("the server sent an answer to no command", line)
            shape = self._pending[0]
            reply = _status(line)
            if shape is Shape.LINE or not reply.ok:
                self._pending.popleft()
                return reply
            self._status = reply
        return self._multi_line(self._status)

    def _multi_line(self, status: Reply) -> Reply | None:
        header = self._pending[0] is Shape.HEADER
        limit = self._header_limit if header else LINE_LIMIT
        while True:
            line = self._buffer.line(limit, cut=header)
            if line is None:
                return None
            if line == b".":
                break
            self._keep(line.removeprefix(b"."), header=header)
        reply = Reply(status.state, status.code, status.text, lines=tuple(self._lines))
        self._pending.popleft()
        self._status = None
        self._lines = []
        self._size = 0
        return reply

    def _keep(self, line: bytes, *, header: bool) -> None:
        self._size += len(line) + 2
        if header:
            if self._size <= self._header_limit:
                self._lines.append(line)
            return
        self._lines.append(line)
        if self._size > LISTING_LIMIT or len(self._lines) > LISTING_LINES:
            raise RemoteFault(
                FaultCode.PROTOCOL,
                f"the server sent a listing of more than {LISTING_LIMIT} bytes or {LISTING_LINES} lines",
            )


def _status(line: bytes) -> Reply:
    if line == b"+" or line.startswith(b"+ "):
        return Reply(State.CHALLENGE, challenge=line[1:].strip())
    match = _STATUS.fullmatch(line)
    if match is None:
        raise malformed("the server sent neither +OK nor -ERR", line)
    state = State.OK if match[1].upper() == b"+OK" else State.ERR
    code = shown(match[2] or b"").upper()
    return Reply(state, code, shown(match[3] or b"", STATUS_LIMIT))
