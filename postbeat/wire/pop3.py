"""POP3 as a client speaks it, without I/O (RFC 1939, 2449, 2595, 5034, 6856): bytes in, replies out.

Commands are functions of bytes; :class:`Pop3Client` remembers which of them were sent, as only the command
tells whether its reply has more than one line.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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

_CRLF = b"\r\n"

_STATUS = re.compile(
    rb"(\+OK|-ERR)(?:[ \t]+(?:\[([^\]\r\n]{1,64})\])?[ \t]*(.*))?", re.IGNORECASE | re.DOTALL
)
# The timestamp of APOP looks like a message id (RFC 1939 section 7). Nothing else is signed: MD5 lets a
# hostile server learn the password from crafted timestamps that are not (CVE-2007-1558).
_TIMESTAMP = re.compile(rb"<[!-;=?-\[\]-~]{1,250}@[!-;=?-\[\]-~]{1,250}>")
_UIDL = re.compile(rb"([0-9]{1,9})[ \t]+([!-~]{1,255})[ \t]*")
# A server may say more behind the two numbers (RFC 1939 section 5).
_STAT = re.compile(r"([0-9]{1,9})[ \t]+([0-9]{1,18})(?:[ \t].*)?")
_SECONDS = re.compile(r"[0-9]{1,6}")


class State(Enum):
    """What a status line says."""

    OK = "+OK"
    ERR = "-ERR"
    CHALLENGE = "+"


class Shape(Enum):
    """How the reply to a command looks."""

    LINE = "one line"
    LISTING = "status and lines, all needed"
    ENTRY = "one line of a listing; or the listing, where a server does not see that only one was asked for"
    TEXT = "status and a message, of which the beginning is enough"


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. ``code`` is a response code in capitals such as IN-USE (RFC 2449 section 8), or empty.

    ``text`` is for people, printable and bounded; ``challenge`` is the base64 of a ``+`` line (RFC 5034);
    ``lines`` are those of a multi-line reply, without their dot-stuffing, or the one of a listing.
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
    """One command: its line, the shape of the reply, and how many bytes are kept of a TEXT."""

    line: bytes
    shape: Shape = Shape.LINE
    keep: int = 0


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
STAT = Command(b"STAT\r\n")
UIDL = Command(b"UIDL\r\n", Shape.LISTING)
UTF8 = Command(b"UTF8\r\n")
QUIT = Command(b"QUIT\r\n")


def uidl(number: int) -> Command:
    """UIDL of one message (RFC 1939 section 7)."""
    return Command(b"UIDL %d\r\n" % number, Shape.ENTRY)


def top(number: int, lines: int, keep: int) -> Command:
    """TOP: the header of a message and so many lines of its body (RFC 1939 section 7).

    Of these, ``keep`` bytes are kept; what exceeds them is read and dropped.
    """
    return Command(b"TOP %d %d\r\n" % (number, lines), Shape.TEXT, keep)


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


def login_delay_s(capabilities: Mapping[str, tuple[str, ...]]) -> float:
    """How long logins must lie apart (RFC 2449 section 6.5), 0 where the server does not say it."""
    seconds, *_ = capabilities.get("LOGIN-DELAY") or ("",)
    return float(seconds) if _SECONDS.fullmatch(seconds) else 0.0


def varies_by_user(capabilities: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether the delay of this user is told only after the login (RFC 2449 section 6.5)."""
    return "USER" in capabilities.get("LOGIN-DELAY", ())


def statistics(reply: Reply) -> tuple[int, int]:
    """The number of messages and of their bytes in a reply to STAT (RFC 1939 section 5).

    Raises:
        RemoteFault: it has no two numbers.
    """
    match = _STAT.fullmatch(reply.text)
    if match is None:
        raise malformed("the server's answer to STAT is not in the protocol", reply.text.encode("utf-8"))
    return int(match[1]), int(match[2])


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
    """The replies of one connection, in the order of the commands sent; the greeting comes first."""

    def __init__(self) -> None:
        self._buffer = LineBuffer()
        self._pending: deque[Command] = deque([Command(b"")])
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
        self._pending.extend(commands)
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
            status = _status(line)
            reply = _whole(status, self._pending[0].shape)
            if reply is not None:
                self._pending.popleft()
                return reply
            self._status = status
        return self._multi_line(self._status)

    def _multi_line(self, status: Reply) -> Reply | None:
        command = self._pending[0]
        text = command.shape is Shape.TEXT
        limit = command.keep if text else LINE_LIMIT
        while True:
            line = self._buffer.line(limit, cut=text)
            if line is None:
                return None
            if line == b".":
                break
            self._keep(line.removeprefix(b"."), command)
        reply = Reply(status.state, status.code, status.text, lines=tuple(self._lines))
        self._pending.popleft()
        self._status = None
        self._lines = []
        self._size = 0
        return reply

    def _keep(self, line: bytes, command: Command) -> None:
        if command.shape is Shape.TEXT:
            room = command.keep - self._size - len(_CRLF)
            if room > 0 or (room == 0 and not line):
                self._lines.append(line[:room])
            self._size += len(line) + len(_CRLF)
            return
        self._size += len(line) + len(_CRLF)
        self._lines.append(line)
        if self._size > LISTING_LIMIT or len(self._lines) > LISTING_LINES:
            raise RemoteFault(
                FaultCode.PROTOCOL,
                f"the server sent a listing of more than {LISTING_LIMIT} bytes or {LISTING_LINES} lines",
            )


def _whole(status: Reply, shape: Shape) -> Reply | None:
    """The reply of which this is the status line, if it has no other lines."""
    if shape is Shape.LINE or not status.ok:
        return status
    line = status.text.encode("utf-8")
    if shape is Shape.ENTRY and _UIDL.fullmatch(line):
        return replace(status, lines=(line,))
    return None


def _status(line: bytes) -> Reply:
    if line == b"+" or line.startswith(b"+ "):
        return Reply(State.CHALLENGE, challenge=line[1:].strip())
    match = _STATUS.fullmatch(line)
    if match is None:
        raise malformed("the server sent neither +OK nor -ERR", line)
    state = State.OK if match[1].upper() == b"+OK" else State.ERR
    code = shown(match[2] or b"").upper()
    return Reply(state, code, shown(match[3] or b"", STATUS_LIMIT))
