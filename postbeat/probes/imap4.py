"""A session on an IMAP4 mailbox (RFC 3501, RFC 9051): what came, and the deletion of what is ours."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar, TypeVar

from postbeat.delivery import MailboxFacts
from postbeat.dial import Stream
from postbeat.elements import Imap4Element
from postbeat.model import FaultCode, FaultError
from postbeat.probes import imap4places
from postbeat.probes.imap4delete import remove
from postbeat.probes.imap4folder import Folder, shown_item
from postbeat.probes.imap4login import Imap4Login
from postbeat.probes.login import Login
from postbeat.probes.opening import open_mailbox
from postbeat.probes.session import SCAN_LIMIT, Found, Memory, Place, Seen
from postbeat.timeline import Timeline
from postbeat.wire.imap4args import Argument, folder_name

T = TypeVar("T")

# The longest that one IDLE lasts, in seconds: servers may log out who says nothing for 30 minutes (RFC 2177).
IDLE_LIMIT_S = 29 * 60.0
# How often a spam folder is looked for that was not there, in seconds: some are made for their first message.
LIST_AGAIN_S = 30.0


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
    item = shown_item(fields, body=bool(element.usebody))
    session = await open_mailbox(
        lambda stream: Imap4Session(stream, element, item), element, login, timeline, tls
    )
    try:
        if not session.knows_capabilities:
            with timeline.stage("capability"):
                timeline.reply(await session.ask_capabilities())
        if session.can_enable:
            with timeline.stage("enable"):
                await session.enable()
        with timeline.stage("select"):
            timeline.reply(await session.select())
    except BaseException:
        session.abort()
        raise
    return session


class Imap4Session(Imap4Login):
    """One logged-in session; see :class:`postbeat.probes.session.MailboxSession`.

    Between two calls the main folder is selected. Others are only opened where there is something to do.
    """

    live: ClassVar[bool] = True
    login_delay_s = 0.0

    def __init__(self, stream: Stream, element: Imap4Element, item: bytes) -> None:
        super().__init__(stream)
        self._element = element
        self._item = item
        self._main = Folder(self, element.folder, folder_name(element.folder), item)
        self._others: list[Folder] = []
        self._listed_at_s: float | None = None  # when they were asked for; None: not yet
        self._memory = Memory()  # as the last scan left it
        self._up_to_date = False  # the server has just told the newest state: no NOOP is needed

    async def select(self) -> str:
        """Selects the main folder; returns what the server said.

        Raises:
            RemoteFault: it cannot be opened, or has no UIDVALIDITY.
            LocalFault: IN_USE where another session of ours keeps it.
        """
        self._main.wire = folder_name(self._element.folder, utf8=self.client.rev2)
        text = await self._main.open()
        self._up_to_date = True
        return text

    @property
    def pushes(self) -> bool:
        """Whether :meth:`wait` may end before its time."""
        return self.can_idle and self.offers("IDLE")

    async def scan(self, memory: Memory, *, everywhere: bool = True) -> tuple[Sequence[Found], Memory]:
        """What is new in the main folder, and with ``everywhere`` in the others: about SCAN_LIMIT messages.

        NOOP shows what is new (RFC 3501 section 6.1.2), and STATUS what is new in another folder, which is
        opened only then. One that is gone is passed over.

        Raises:
            RemoteFault: the server refuses, ends the session, or answers out of the protocol.
        """
        if not self._up_to_date:
            await self.succeed("the server refused NOOP", b"NOOP")
        self._up_to_date = False
        found, memory = await self._look(self._main, memory)
        for folder in await self._further() if everywhere else ():
            if len(found) >= SCAN_LIMIT:
                break
            seen = memory.folders.get(folder.name, Seen())
            told = await imap4places.status(self, folder, b"MESSAGES UIDNEXT UIDVALIDITY")
            if told is None or not (_again(memory, folder) or folder.may_have_news(told, seen)):
                continue
            looked = await self._inside(folder, partial(self._look, folder, memory), read_only=True)
            if looked is not None:
                found, memory = [*found, *looked[0]], looked[1]
        self._memory = memory
        return found, memory

    async def _look(self, folder: Folder, memory: Memory) -> tuple[list[Found], Memory]:
        before = memory.folders.get(folder.name, Seen())
        found, seen = await folder.look(before, [int(place.uid) for place in _again(memory, folder)])
        again = memory.again
        if before.validity != seen.validity:
            again -= _again(memory, folder)
        return found, replace(memory, folders={**memory.folders, folder.name: seen}, again=again)

    async def _further(self) -> list[Folder]:
        now_s = asyncio.get_running_loop().time()
        missing = self._element.spamfolder == imap4places.AUTO and not any(f.spam for f in self._others)
        if self._listed_at_s is None or (missing and now_s - self._listed_at_s >= LIST_AGAIN_S):
            self._listed_at_s = now_s
            known = {folder.name: folder for folder in self._others if not folder.spam}
            listed = await imap4places.others(self, self._element, self._item)
            self._others = [f if f.spam else known.get(f.name, f) for f in listed]
        return self._others

    async def _inside(self, folder: Folder, work: Callable[[], Awaitable[T]], *, read_only: bool) -> T | None:
        """Works in a folder and goes back to the main one; None where another folder cannot be had.

        Raises:
            RemoteFault, LocalFault: in the main folder everything that goes wrong; elsewhere what ends the
                session, and refusals of changes.
        """
        if folder is self._main:
            return await work()
        self._main.leave()
        result = None
        try:
            await folder.open(read_only=read_only)
            result = await work()
            folder.leave()
        except FaultError as error:
            # It may have been deleted or renamed since it was listed, which is no fault of the service.
            refused = error.code in (FaultCode.REPLY, FaultCode.IN_USE)
            if not refused or not (read_only or self.client.folder.uidvalidity is None):
                raise
        await self._main.open()
        return result

    async def fetch(self, places: Sequence[Place]) -> Mapping[Place, bytes]:
        """These messages, each cut off at MESSAGE_LIMIT; what has vanished, or has no text yet, is not there.

        Raises:
            RemoteFault: the server refuses, ends the session, or answers out of the protocol.
        """
        fetched: dict[Place, bytes] = {}
        for folder, uids in await self._by_folder(places):
            messages = await self._inside(folder, partial(self._messages, folder, uids), read_only=True)
            fetched |= {Place(folder.name, str(uid)): text for uid, text in (messages or {}).items()}
        return fetched

    async def _messages(self, folder: Folder, uids: list[int]) -> dict[int, bytes]:
        return await folder.messages(uids) if self._is_known(folder) else {}

    def _is_known(self, folder: Folder) -> bool:
        """Whether the open folder is still the one that the places belong to (see the last scan's memory)."""
        seen = self._memory.folders.get(folder.name)
        return folder.is_the_same and (seen is None or seen.validity == folder.validity)

    async def delete(self, places: Sequence[Place]) -> None:
        """Deletes these messages and no others, or moves them to ``movetofolder``.

        Nothing is done in a folder whose UIDVALIDITY is not that of the last scan's memory: the places mean
        other messages there.

        Raises:
            RemoteFault: the folder is read-only, or the server refuses.
        """
        name = self._element.movetofolder
        into = folder_name(name, utf8=self.client.rev2) if name else None
        for folder, uids in await self._by_folder(places):
            if folder.name != name:  # otherwise they are there already
                await self._inside(folder, partial(self._remove, folder, uids, into), read_only=False)

    async def _remove(self, folder: Folder, uids: list[int], into: Argument | None) -> None:
        if self._is_known(folder):
            await remove(self, uids, into)

    async def _by_folder(self, places: Sequence[Place]) -> list[tuple[Folder, list[int]]]:
        """The UIDs in each of our folders."""
        names = {place.folder for place in places}
        folders = [self._main] if names <= {self._main.name} else [self._main, *await self._further()]
        uids = {folder: [int(p.uid) for p in places if p.folder == folder.name] for folder in folders}
        return [(folder, some) for folder, some in uids.items() if some]

    async def wait(self, longest_s: float) -> bool:
        """Waits for news in the main folder, by IDLE where the server has it; see the protocol's.

        Raises:
            RemoteFault: the server ends the session, or does not end IDLE.
        """
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + longest_s
        state = self.client.folder
        expunged = state.expunged

        def has_news() -> bool:
            return self._main.has_news or state.expunged > expunged

        while not has_news():
            rest_s = ends_s - loop.time()
            if rest_s <= 0:
                return False
            if self.pushes:
                await self.idle(min(rest_s, IDLE_LIMIT_S), self._element.timeout, has_news)
            else:
                await asyncio.sleep(rest_s)
        self._up_to_date = self._main.has_arrivals
        return True

    async def facts(self) -> MailboxFacts:
        """Messages and bytes of all folders that are searched together, and the quota that matters.

        Raises:
            RemoteFault: the server ends the session, or answers out of the protocol.
        """
        return await imap4places.facts(self, self._main, await self._further())

    async def finish(self) -> None:
        """Logs out (RFC 3501 section 6.1.3) and closes the connection.

        Raises:
            RemoteFault: the server did not confirm it.
        """
        await self.log_out()


def _again(memory: Memory, folder: Folder) -> frozenset[Place]:
    """The places in a folder that should be shown again."""
    return frozenset(place for place in memory.again if place.folder == folder.name)
