"""A session on a POP3 mailbox (RFC 1939): what came, and the deletion of what is ours."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from postbeat.delivery import MailboxFacts
from postbeat.dial import Stream
from postbeat.elements import Pop3Element
from postbeat.probes.login import Login
from postbeat.probes.opening import open_mailbox
from postbeat.probes.pop3listing import Listing
from postbeat.probes.pop3login import Pop3Conversation, refused
from postbeat.probes.pop3memory import plan
from postbeat.probes.session import (
    BODY_LIMIT,
    HEADER_LIMIT,
    MESSAGE_LIMIT,
    TAIL_LIMIT,
    Found,
    Memory,
    Place,
)
from postbeat.timeline import Timeline
from postbeat.wire import pop3

# Lines of a body in which a reader looks for the tracking information: what a gateway puts before it, too.
BODY_LINES = 8
# Lines of the body of a whole message. POP3 can only be asked for lines (RETR has no limit at all): of these,
# 32 bytes long on the average, there are enough for MESSAGE_LIMIT.
MESSAGE_LINES = MESSAGE_LIMIT // 32
# How often a message is asked for that the server announces and cannot show (Exchange does so for a moment).
TRIES_LIMIT = 50

_CRLF = b"\r\n"


async def open_session(
    element: Pop3Element,
    login: Login,
    timeline: Timeline,
    fields: Sequence[str],
    tls: ssl.SSLContext | None = None,
) -> Pop3Session:
    """A session that holds the lock on its mailbox (RFC 1939 section 4).

    ``fields`` are the header fields that a scan shows; ``tls`` is needed for SSL and STARTTLS. One attempt to
    log in is made. The caller owns the deadline.

    Raises:
        RemoteFault, LocalFault: it could not be opened; the connection is closed.
    """
    lines = BODY_LINES if element.usebody else 0
    session = await open_mailbox(
        lambda stream: Pop3Session(stream, fields, lines), element, login, timeline, tls
    )
    try:
        if session.tells_more_after_login:
            with timeline.stage("capability"):
                timeline.reply(await session.ask_capabilities())
    except BaseException:
        session.abort()
        raise
    return session


class Pop3Session(Pop3Conversation):
    """One logged-in session; see :class:`postbeat.probes.session.MailboxSession`.

    The mailbox is locked and does not change while the session lasts, so nothing is asked twice. Another scan
    shows what the one before left.
    """

    live: ClassVar[bool] = False

    def __init__(self, stream: Stream, fields: Sequence[str], body_lines: int = 0) -> None:
        super().__init__(stream)
        self._names = tuple(name.lower().encode("ascii") for name in fields)
        self._body_lines = body_lines
        self._listing: Listing | None = None
        self._marked: set[int] = set()

    @property
    def pushes(self) -> bool:
        """POP3 announces nothing."""
        return False

    async def scan(self, memory: Memory, *, everywhere: bool = True) -> tuple[Sequence[Found], Memory]:
        """What the memory does not know, oldest first, SCAN_LIMIT messages at most, and what it is to show.

        The memory returned has no places that are no longer in the mailbox. A message that has no header
        (yet), or cannot be shown, is not found; scans to come try it TRIES_LIMIT times in all.

        Raises:
            RemoteFault: the server has no UIDL or TOP, or answers out of the protocol.
        """
        planned = await plan(await self._listed(), memory)
        numbers = {uid: n for uid, n in planned.numbers.items() if n not in self._marked}
        headers = await self._shown(
            list(numbers.values()), self._body_lines, HEADER_LIMIT - len(_CRLF), self._fields_of
        )
        found, unread = [], {}
        for uid, header in zip(numbers, headers, strict=True):
            place = Place("", uid)
            if header is not None:
                found.append(Found(place, header))
            elif place not in memory.again:
                unread[uid] = memory.unread.get(uid, 0) + 1
        trying = [(uid, tries) for uid, tries in unread.items() if tries < TRIES_LIMIT]
        return found, replace(planned.memory, unread=dict(trying[-TAIL_LIMIT:]))

    async def fetch(self, places: Sequence[Place]) -> Mapping[Place, bytes]:
        """These messages; each is cut off at MESSAGE_LIMIT, and after MESSAGE_LINES lines of its body.

        Raises:
            RemoteFault: the server answers out of the protocol.
        """
        found = await self._numbers(places)
        numbers = [copies[-1] for copies in found.values()]
        texts = await self._shown(numbers, MESSAGE_LINES, MESSAGE_LIMIT + len(_CRLF), _joined)
        return {
            place: text[:MESSAGE_LIMIT] for place, text in zip(found, texts, strict=True) if text is not None
        }

    async def delete(self, places: Sequence[Place]) -> None:
        """Marks these messages; they go when :meth:`finish` returns (RFC 1939 sections 5 and 6).

        Raises:
            RemoteFault: the server refuses.
        """
        found = await self._numbers(places)
        marks = [number for numbers in found.values() for number in numbers]
        for number, reply in zip(marks, await self.run([pop3.dele(n) for n in marks]), strict=True):
            if not reply.ok:
                raise refused("the server refused to delete our message", reply)
            self._marked.add(number)

    async def wait(self, longest_s: float) -> bool:
        """Lets the time pass: nothing new shows before the next session."""
        await asyncio.sleep(longest_s)
        return False

    async def facts(self) -> MailboxFacts:
        """How many messages there are, and their size.

        Raises:
            RemoteFault: the server does not say, or answers out of the protocol.
        """
        listing = await self._listed()
        return MailboxFacts(listing.total, listing.size_bytes, folders={"": listing.total})

    async def finish(self) -> None:
        """Quits, which is what deletes, and closes the connection.

        Raises:
            RemoteFault: QUIT was not confirmed; the messages are still there (RFC 1939 section 6).
        """
        try:
            await self.succeed("the server did not carry out the deletions", pop3.QUIT)
        finally:
            self.abort()

    async def _listed(self) -> Listing:
        if self._listing is None:
            reply = await self.succeed("the server does not count its messages (STAT)", pop3.STAT)
            self._listing = Listing(self, *pop3.statistics(reply))
        return self._listing

    async def _numbers(self, places: Sequence[Place]) -> dict[Place, list[int]]:
        """The numbers of the messages that are still there; identical copies may share a unique-id."""
        found = await (await self._listed()).find({place.uid for place in places})
        numbers = {
            Place("", uid): [n for n in known if n not in self._marked] for uid, known in found.items()
        }
        return {place: left for place, left in numbers.items() if left}

    async def _shown(
        self, numbers: Sequence[int], lines: int, keep: int, take: Callable[[Sequence[bytes]], bytes]
    ) -> list[bytes | None]:
        """What is taken of each message; None of those that the server cannot show, or that are empty."""
        taken: list[bytes | None] = []
        for start in range(0, len(numbers), self.window):
            commands = [pop3.top(number, lines, keep) for number in numbers[start : start + self.window]]
            for reply in await self.run(commands):
                if not reply.ok and not self.offers("TOP"):
                    raise refused("the server does not show headers (TOP)", reply)
                taken.append(take(reply.lines) if reply.ok and any(reply.lines) else None)
        return taken

    def _fields_of(self, lines: Sequence[bytes]) -> bytes:
        """The lines of the named fields, continuations included, and the empty line that ends a header.

        What follows it is the beginning of the body, which is kept within its limit.
        """
        kept = []
        wanted = False
        end = lines.index(b"") if b"" in lines else len(lines)
        for line in lines[:end]:
            if line[:1] not in (b" ", b"\t"):
                wanted = line.partition(b":")[0].rstrip().lower() in self._names
            if wanted:
                kept.append(line)
        return _joined([*kept, b""]) + _joined(lines[end + 1 :])[:BODY_LIMIT]


def _joined(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + _CRLF for line in lines)
