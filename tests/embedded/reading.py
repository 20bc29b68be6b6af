"""A reader at work in a mailbox of the embedded server, at a desk that lies in memory."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

from postbeat import mailbox
from postbeat.clock import Clock
from postbeat.delivery import MailboxFacts
from postbeat.elements import Imap4Element, MailboxElement, Pop3Element
from postbeat.lag import LagMeter
from postbeat.mailbox import Tools
from postbeat.mailbox.desk import Txt
from postbeat.message import Envelope, Token, build
from postbeat.model import Phase, Poll, Secret
from postbeat.probes.session import Memory
from postbeat.results import Result
from postbeat.secrets import Keys
from postbeat.store.records import Expected, Noted, Pending
from tests.embedded.conftest import TIMEOUT_S, Box

KEYS = Keys.new()
SECOND = 1_000_000


class ShiftedClock(Clock):
    """A clock that a test can put forward."""

    def __init__(self) -> None:
        self.ahead_us = 0
        super().__init__(lambda: time.time_ns() // 1000 + self.ahead_us)


@dataclass
class MemoryDesk:
    """What :class:`postbeat.store.worker.Desk` keeps in Redis."""

    pending: dict[str, Pending] = field(default_factory=dict)
    awaited: dict[str, Pending] = field(default_factory=dict)
    found: dict[str, tuple[int, str]] = field(default_factory=dict)
    kept: Memory = field(default_factory=Memory)
    results: list[Result] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)
    notes: Noted = field(default_factory=Noted)
    held: bool = True
    bell: asyncio.Event = field(default_factory=asyncio.Event)

    def of_phase(self, phase: Phase) -> list[Result]:
        return [result for result in self.results if result.phase is phase]

    async def expected(self) -> Expected:
        return Expected(self.pending, self.awaited, wanted=False)

    async def settled(self) -> Mapping[str, tuple[int, str]]:
        return dict(self.found)

    async def record(self, result: Result, following: Pending | None = None, place: str = "") -> bool:
        known = self.pending.pop(str(result.poll))
        self.results.append(result)
        if following is not None:
            self.awaited[str(result.poll)] = following
        else:
            self.found[str(result.poll)] = (known.attempt, place)
        return True

    async def record_after(self, result: Result, attempt: int = 0, copy: str = "", place: str = "") -> bool:
        self.results.append(result)
        if not copy:
            del self.awaited[str(result.poll)]
            if place:
                self.found[str(result.poll)] = (attempt, place)
        return True

    async def memory(self) -> Memory:
        return Memory.loads(self.kept.dumps())

    async def remember(self, memory: Memory) -> None:
        self.kept = memory

    async def note(self, tally: Mapping[str, int], noted: Noted, facts: MailboxFacts | None = None) -> None:
        self.tally.update(tally)
        self.notes = replace(noted, looked_at_us=noted.looked_at_us or self.notes.looked_at_us)

    async def looked_at_us(self) -> int:
        return 0

    async def noted(self) -> Noted:
        return self.notes

    async def take_tally(self) -> Mapping[str, int]:
        return dict(self.tally)

    async def release(self, *, force: bool = False) -> bool:
        return force or not self.pending

    async def keep(self) -> None:
        await asyncio.Event().wait()

    def holds(self) -> bool:
        return self.held


class Reading:
    """One mailbox, its element and its desk. ``clock`` is the reader's."""

    def __init__(self, box: Box, kind: str, **fields: object) -> None:
        self.box = box
        self.clock = ShiftedClock()
        self.desk = MemoryDesk()
        self.txt: Txt | None = None
        made: type[Imap4Element] | type[Pop3Element] = Imap4Element if kind == "imap4" else Pop3Element
        port = box.server.imap4 if kind == "imap4" else box.server.pop3
        common: dict[str, object] = {
            "name": "box",
            "server": box.server.host,
            "port": port,
            "username": box.user,
            "password": Secret("literal", box.password),
        }
        self.element: MailboxElement = made(**(common | fields))  # type: ignore[arg-type]

    def sent(self, slot: int, *, ago_s: float = 0.0, attempt: int = 1) -> bytes:
        """The text of a message of ours."""
        token = Token(Poll("mail", "north", slot), attempt, self.clock.now_us() - round(ago_s * SECOND))
        envelope = Envelope("monitor@example.test", self.box.address, "example.test")
        return build(token, envelope, KEYS.signing[0])

    def expect(self, slot: int, *, within_s: float = 60.0, lost_s: float = 600.0, attempt: int = 1) -> None:
        """A message became pending just now."""
        now_us = self.clock.now_us()
        poll = Poll("mail", "north", slot)
        expires_us, lost_us = (now_us + round(after_s * SECOND) for after_s in (within_s, lost_s))
        self.desk.pending[str(poll)] = Pending(poll, attempt, now_us, expires_us, lost_us)
        self.desk.bell.set()

    async def read(self, port: int = 0) -> None:
        """One reader's visit, to its end; through another port if one is given."""
        element = replace(self.element, port=port or self.element.port)
        tools = Tools(KEYS, self.clock, LagMeter(), "test", txt=self.txt)
        async with asyncio.timeout(TIMEOUT_S):
            await mailbox.read(element, self.desk, tools)


@asynccontextmanager
async def locked() -> AsyncIterator[int]:
    """A POP3 server whose mailboxes are always locked; gives its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"+OK\r\n")
        while line := await reader.readline():
            replies = {b"PASS": b"-ERR [IN-USE] locked\r\n", b"CAPA": b"+OK\r\nUSER\r\n.\r\n"}
            writer.write(replies.get(line[:4].upper(), b"+OK\r\n"))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def cutting(host: str, port: int, after_bytes: int) -> AsyncIterator[int]:
    """A way to a server that breaks off once, after the server has said so many bytes; gives its port."""
    left = [after_bytes]

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if counted and left and len(data) >= left[0]:
                    writer.write(data[: left.pop()])
                    break
                if counted and left:
                    left[0] -= len(data)
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection(host, port)
        await asyncio.gather(forward(reader, ours, counted=False), forward(theirs, writer, counted=True))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
