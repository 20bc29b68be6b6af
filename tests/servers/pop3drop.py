"""A POP3 mailbox in memory that lasts over sessions, and a stream that is a session on it, without a socket.

It may be as odd as the servers of this world: without PIPELINING, without ``UIDL n``, with new messages first
or anywhere, with messages that are announced and cannot be shown.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar, cast

from postbeat.dial import Stream
from postbeat.model import FaultCode, LoginType, RemoteFault
from postbeat.probes.login import Login
from postbeat.probes.pop3 import Pop3Session
from postbeat.probes.session import Found, Memory, Place

FIELDS = ("X-Postbeat", "Message-ID")
T = TypeVar("T")


class Singles(Enum):
    """What a server makes of ``UIDL n``."""

    TOLD = "told"
    REFUSED = "refused"
    ALL = "all are told"


@dataclass(slots=True)
class Drop:
    """The mailbox: its unique-ids in the order of their numbers, and what its server is like.

    Every session counts its bytes and commands in ``traffic`` and ``commands``.
    """

    uids: list[str] = field(default_factory=list)
    texts: dict[str, bytes] = field(default_factory=dict)
    pipelining: bool = True
    singles: Singles = Singles.TOLD
    empty: set[str] = field(default_factory=set)
    most: int = 0
    traffic: int = 0
    commands: list[bytes] = field(default_factory=list)

    def text(self, uid: str) -> bytes:
        return self.texts.get(uid, b"Message-ID: <%b@x>\r\n\r\nhello\r\n" % uid.encode())


class _Session:
    """The server's end of one session, spoken to as the product speaks to a stream."""

    transport = None

    def __init__(self, drop: Drop) -> None:
        self._drop = drop
        self._uids = list(drop.uids)
        self._marked: set[int] = set()
        self._said = [b"+OK ready\r\n"]

    def write(self, data: bytes) -> None:
        self._drop.traffic += len(data)
        lines = data.split(b"\r\n")[:-1]
        assert len(lines) == 1 or self._drop.pipelining, "several commands at a time"
        self._drop.most = max(self._drop.most, len(lines))
        for line in lines:
            self._drop.commands.append(line)
            answer = self._answer(*line.split(b" "))
            self._drop.traffic += len(answer)
            self._said.append(answer)

    async def read(self) -> bytes:
        if not self._said:
            raise RemoteFault(FaultCode.DISCONNECTED, "nothing was asked")
        said, self._said = b"".join(self._said), []
        return said

    def close(self) -> None:
        self._said = []

    def _answer(self, command: bytes, *arguments: bytes) -> bytes:
        if command == b"UIDL":
            return self._uidl(*arguments)
        if command == b"TOP":
            return self._top(arguments[0], int(arguments[1]))
        if command == b"CAPA":
            pipelining = b"PIPELINING\r\n" if self._drop.pipelining else b""
            return b"+OK\r\nUSER\r\nTOP\r\nUIDL\r\n%b.\r\n" % pipelining
        if command == b"STAT":
            left = len(self._uids) - len(self._marked)
            return b"+OK %d %d\r\n" % (left, 320 * left)
        if command == b"DELE":
            self._marked.add(int(arguments[0]))
        if command == b"QUIT":
            gone = {self._uids[number - 1] for number in self._marked}
            self._drop.uids = [uid for uid in self._drop.uids if uid not in gone]
        return b"+OK\r\n"

    def _uid(self, number: bytes) -> str | None:
        wrong = int(number) in self._marked or not 0 < int(number) <= len(self._uids)
        return None if wrong else self._uids[int(number) - 1]

    def _uidl(self, number: bytes = b"") -> bytes:
        if number and self._drop.singles is not Singles.ALL:
            uid = None if self._drop.singles is Singles.REFUSED else self._uid(number)
            return b"-ERR no\r\n" if uid is None else b"+OK %b %b\r\n" % (number, uid.encode())
        entries = [(n, uid) for n, uid in enumerate(self._uids, 1) if n not in self._marked]
        lines = b"".join(b"%d %b\r\n" % (n, uid.encode()) for n, uid in entries)
        return b"+OK unique-ids follow\r\n%b.\r\n" % lines

    def _top(self, number: bytes, count: int) -> bytes:
        uid = self._uid(number)
        if uid is None or uid in self._drop.empty:
            return b"-ERR no such message\r\n"
        header, _, body = self._drop.text(uid).partition(b"\r\n\r\n")
        lines = [b"+OK", *header.split(b"\r\n"), b"", *body.split(b"\r\n")[:-1][:count], b"."]
        return b"".join(line + b"\r\n" for line in lines)


async def session_on(drop: Drop) -> Pop3Session:
    """A session that is logged in."""
    session = Pop3Session(cast(Stream, _Session(drop)), FIELDS)
    await session.greet()
    await session.ask_capabilities()
    await session.log_in(LoginType.STANDARD, Login("user", "hunter2"))
    return session


async def look(drop: Drop, memory: Memory, delete: Sequence[str] = ()) -> tuple[list[str], Memory]:
    """One session: the unique-ids of what is found, and the memory afterwards; then these are deleted."""
    session = await session_on(drop)
    found, memory = await session.scan(memory)
    await session.delete(places(*delete))
    await session.finish()
    return uids_of(found), memory


def looked(drop: Drop, memory: Memory, delete: Sequence[str] = ()) -> tuple[list[str], Memory]:
    """The same, from outside of a loop; the memory is written down and read again in between."""
    found, memory = at_once(look(drop, memory, delete))
    return found, Memory.loads(memory.dumps())


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of what never has to wait, without a loop."""
    try:
        work.send(None)
    except StopIteration as end:
        return cast(T, end.value)
    raise AssertionError("it waits")


def places(*uids: str) -> list[Place]:
    return [Place("", uid) for uid in uids]


def uids_of(found: Sequence[Found]) -> list[str]:
    return [message.place.uid for message in found]
