"""A session on an IMAP4 mailbox (RFC 3501): what came, and the deletion of what is ours."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from postbeat.dial import Stream
from postbeat.elements import Imap4Element
from postbeat.model import FaultCode, FaultError, LocalFault, RemoteFault
from postbeat.probes.imap4login import Imap4Conversation, in_use, said
from postbeat.probes.login import Login
from postbeat.probes.opening import next_reply, open_mailbox
from postbeat.probes.session import BODY_LIMIT, HEADER_LIMIT, SCAN_LIMIT, Found, Memory
from postbeat.timeline import Timeline
from postbeat.wire import imap4
from postbeat.wire.imap4reply import Fetch, Reply

# Messages asked for by one FETCH, and named in one STORE. It bounds what a reply can bring, and keeps a
# command near the 1,000 bytes that RFC 2683 section 3.2.1.5 asks of clients.
WINDOW = 100
# Bytes of headers after which a scan leaves the rest to the next. Protects memory.
SCAN_BYTES = 4 << 20
# How often a session looks for what the server announces and cannot give (Exchange does so for a moment).
# Then it is counted as seen: otherwise everything behind it would be fetched again for ever.
LOOKS_LIMIT = 50


async def open_session(
    element: Imap4Element,
    login: Login,
    timeline: Timeline,
    fields: Sequence[str],
    tls: ssl.SSLContext | None = None,
) -> Imap4Session:
    """A session with the element's folder selected.

    ``fields`` are the header fields that a scan shows; ``tls`` is needed for SSL and STARTTLS. One attempt to
    log in is made. The caller owns the deadline.

    Raises:
        RemoteFault, LocalFault: it could not be opened; the connection is closed.
    """
    item = imap4.header_fields(fields, HEADER_LIMIT)
    if element.usebody:
        item += b" " + imap4.body_beginning(BODY_LIMIT)
    session = await open_mailbox(lambda stream: Imap4Session(stream, item), element, login, timeline, tls)
    try:
        if not session.knows_capabilities:
            with timeline.stage("capability"):
                timeline.reply(await session.ask_capabilities())
        with timeline.stage("select"):
            timeline.reply(await session.select(element.folder))
    except BaseException:
        session.abort()
        raise
    return session


class Imap4Session(Imap4Conversation):
    """One logged-in session; see :class:`postbeat.probes.session.MailboxSession`."""

    live: ClassVar[bool] = True

    def __init__(self, stream: Stream, item: bytes) -> None:
        super().__init__(stream)
        self._item = item
        self._fresh = False  # no command since the SELECT, which told the newest state
        self._top: int | None = None  # the highest UID that may exist, beside those announced; None: unknown
        self._looks: dict[int, int] = {}  # by UID; 0 stands for what was announced and is in no reply

    async def select(self, folder: str) -> str:
        """Selects the folder (RFC 3501 section 6.3.1); returns what the server said.

        Raises:
            RemoteFault: it cannot be opened, or has no UIDVALIDITY.
            LocalFault: IN_USE where another session of ours keeps it.
        """
        answer, _ = await self.run(b"SELECT", imap4.folder_name(folder))
        state = self.client.folder
        if not answer.ok:
            if in_use(answer):
                raise LocalFault(FaultCode.IN_USE, f"the folder {folder} is in use: {said(answer)}")
            raise RemoteFault(FaultCode.REPLY, f"the folder {folder} cannot be opened: {said(answer)}")
        if state.uidvalidity is None:
            raise RemoteFault(FaultCode.REPLY, f"the folder {folder} has no lasting UIDs (no UIDVALIDITY)")
        state.announced = 0
        self._fresh = True
        self._top = None if state.uidnext is None else state.uidnext - 1
        return f"{said(answer)} ({state.exists} messages)"

    async def scan(self, memory: Memory) -> tuple[Sequence[Found], Memory]:
        """The messages above the memory's highest UID, about SCAN_LIMIT at most, and what is known then.

        NOOP shows what is new (RFC 3501 section 6.1.2); nothing is fetched while nothing is. A change of
        UIDVALIDITY voids the memory (section 2.3.1.1).

        Raises:
            RemoteFault: the server refuses, ends the session, or answers out of the protocol.
        """
        state = self.client.folder
        if memory.validity != str(state.uidvalidity):
            memory = Memory(validity=str(state.uidvalidity))
        if not self._fresh:
            await self.succeed("the server refused NOOP", b"NOOP")
        self._fresh = False
        unknown = self._top is None or memory.highest < self._top
        if not state.exists or not (unknown or state.announced):
            return [], memory
        headers, complete = await self._headers_above(memory.highest)
        return self._taken(headers, memory, complete=complete)

    async def _headers_above(self, highest: int) -> tuple[dict[int, bytes], bool]:
        """Headers by UID, and whether these are all."""
        state = self.client.folder
        most = state.exists
        if self._top is not None:
            most = min(most, max(0, self._top - highest) + state.announced)
        if most <= WINDOW:
            headers = await self._headers(b"UID FETCH", b"%d:*" % (highest + 1))
            # n:* always means the last message, even if its UID is below n (RFC 3501 section 6.4.8).
            return {uid: header for uid, header in headers.items() if uid > highest}, True
        # UIDs may lie far apart, message numbers do not: windows of numbers bound each reply.
        headers = {}
        first = await self._first_above(highest)
        size = 0
        while first <= state.exists and len(headers) < SCAN_LIMIT and size < SCAN_BYTES:
            last = min(first + WINDOW - 1, state.exists)
            window = await self._headers(b"FETCH", b"%d:%d" % (first, last))
            headers.update(window)
            size += sum(map(len, window.values()))
            first = last + 1
        return {uid: header for uid, header in headers.items() if uid > highest}, first > state.exists

    async def _headers(self, command: bytes, messages: bytes) -> dict[int, bytes]:
        answer, told = await self.run(command, messages, b"(UID %b)" % self._item)
        if not answer.ok:
            raise RemoteFault(FaultCode.REPLY, f"the server refused to show headers: {said(answer)}")
        return {
            reply.uid: reply.header[:HEADER_LIMIT] + reply.text[:BODY_LIMIT]
            for reply in told
            if isinstance(reply, Fetch) and reply.uid is not None and reply.header is not None
        }

    async def _first_above(self, highest: int) -> int:
        """The number of the first message with a UID above ``highest``: both ascend together.

        Numbers stand still while only FETCH is sent (RFC 3501 section 7.4.1).
        """
        low, high = 1, self.client.folder.exists + 1
        while highest and low < high:
            middle = (low + high) // 2
            answer, told = await self.run(b"FETCH", b"%d" % middle, b"(UID)")
            uids = [reply.uid for reply in told if isinstance(reply, Fetch) and reply.number == middle]
            if not uids or uids[-1] is None:
                raise RemoteFault(FaultCode.REPLY, f"the server has no message {middle}: {said(answer)}")
            if uids[-1] > highest:
                high = middle
            else:
                low = middle + 1
        return low

    def _taken(
        self, headers: dict[int, bytes], memory: Memory, *, complete: bool
    ) -> tuple[list[Found], Memory]:
        highest = max(headers, default=memory.highest)
        if complete:
            self._note_arrivals(headers, highest, memory.highest)
        found = []
        # An empty header is not even the empty line that ends one: its message is announced, but not there.
        held_back = [uid for uid in headers if not headers[uid] and self._look_again(uid)]
        for uid in sorted(headers):
            if headers[uid]:
                found.append(Found(str(uid), headers[uid]))
        if held_back:
            highest = min(held_back) - 1
        return found, replace(memory, highest=highest)

    def _note_arrivals(self, headers: dict[int, bytes], highest: int, known: int) -> None:
        """After a complete look: what was announced and did not show up is looked for again, for a while."""
        state = self.client.folder
        before = known if self._top is None else max(self._top, known)
        self._top = highest
        state.announced = max(0, state.announced - sum(1 for uid in headers if uid > before))
        if state.announced and not self._look_again(0):
            state.announced = 0
        if not state.announced:
            self._looks.pop(0, None)

    def _look_again(self, uid: int) -> bool:
        self._looks[uid] = self._looks.get(uid, 0) + 1
        return self._looks[uid] < LOOKS_LIMIT

    async def delete(self, uids: Sequence[str]) -> None:
        """Deletes these messages and no others.

        With UIDPLUS by UID EXPUNGE (RFC 4315 section 2.1). Without it EXPUNGE would take all that anybody
        flagged: it is sent only if nothing else is flagged, otherwise ours stay flagged.

        Raises:
            RemoteFault: the folder is read-only, or the server refuses.
        """
        if not uids:
            return
        if self.client.folder.read_only:
            raise RemoteFault(FaultCode.REPLY, "the folder is read-only: nothing can be deleted from it")
        ours = [int(uid) for uid in uids]
        uidplus = self.offers("UIDPLUS")
        for start in range(0, len(ours), WINDOW):
            some = imap4.uid_set(ours[start : start + WINDOW])
            await self.succeed(
                "the server refused to flag our messages",
                *(b"UID STORE", some, b"+FLAGS.SILENT", b"(\\Deleted)"),
            )
            if uidplus:
                await self.succeed("the server refused to expunge our messages", b"UID EXPUNGE", some)
        if not uidplus:
            await self._expunge_if_all_are(set(ours))

    async def _expunge_if_all_are(self, ours: set[int]) -> None:
        answer, told = await self.run(b"UID SEARCH", b"DELETED")
        if not answer.ok:
            raise RemoteFault(FaultCode.REPLY, f"the server refused to search: {said(answer)}")
        if set(imap4.search_result(told)) <= ours:
            await self.succeed("the server refused to expunge our messages", b"EXPUNGE")

    async def finish(self) -> None:
        """Logs out (RFC 3501 section 6.1.3) and closes the connection.

        Raises:
            RemoteFault: the server did not confirm it.
        """
        said_goodbye = False
        try:
            self.stream.write(self.client.send(b"LOGOUT"))
            answered = False
            while not answered:
                reply: Reply = await next_reply(self.stream, self.client)
                said_goodbye = said_goodbye or imap4.goodbye(reply) is not None
                answered = self.client.is_answer(reply)
        except FaultError as error:
            # Some servers close after BYE without the tagged answer; nothing is lost by that.
            if not said_goodbye or error.code is not FaultCode.DISCONNECTED:
                raise
        finally:
            self.abort()
