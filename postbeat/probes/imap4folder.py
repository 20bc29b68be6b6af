"""One folder of an IMAP4 mailbox: what in it is new, and what of it can be trusted to be there (RFC 3501)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from postbeat.model import FaultCode, LocalFault, RemoteFault
from postbeat.probes.imap4talk import Imap4Conversation, in_use, refusal, said
from postbeat.probes.session import (
    BODY_LIMIT,
    HEADER_LIMIT,
    MESSAGE_LIMIT,
    SCAN_LIMIT,
    Found,
    Place,
    Seen,
)
from postbeat.wire.imap4args import Argument, body_beginning, header_fields, message_beginning, uid_set
from postbeat.wire.imap4reply import Fetch

# Messages asked for by one FETCH, and named in one STORE. It bounds what a reply can bring, and keeps a
# command near the 1,000 bytes that RFC 2683 section 3.2.1.5 asks of clients.
WINDOW = 100
# Bytes of headers after which a scan leaves the rest to the next. Protects memory.
SCAN_BYTES = 4 << 20
# How often a session looks for what the server announces and cannot give (Exchange does so for a moment).
# Then it is counted as seen: otherwise everything behind it would be fetched again for ever.
LOOKS_LIMIT = 50
# Whole messages asked for by one FETCH: a megabyte at most.
MESSAGES_WINDOW = 8


def shown_item(fields: Sequence[str], *, body: bool) -> bytes:
    """The data items that a look asks for: these fields of a header, and the beginning of the body.

    Raises:
        LocalFault: a name is not that of a header field.
    """
    item = header_fields(fields, HEADER_LIMIT)
    return item + b" " + body_beginning(BODY_LIMIT) if body else item


def windows(uids: Collection[int], size: int) -> Iterator[list[int]]:
    """These UIDs, some at a time, in rising order."""
    ordered = sorted(uids)
    return (ordered[start : start + size] for start in range(0, len(ordered), size))


class Folder:
    """A folder, as far as one session has come to know it; it is open whenever anything is done in it.

    ``name`` is for people and for places, ``wire`` is what the server calls it. ``validity`` is the
    UIDVALIDITY for which the places in it are good, "" as long as it was never open.
    """

    def __init__(
        self, talk: Imap4Conversation, name: str, wire: Argument, item: bytes, *, spam: bool = False
    ) -> None:
        self.name = name
        self.wire = wire
        self.spam = spam
        self.validity = ""
        self._talk = talk
        self._item = item
        self._top: int | None = None  # the highest UID that may exist, beside those announced; None: unknown
        self._told = -1  # the highest UID that the server had told of at the last complete look
        self._looked = 0  # arrivals that the server had announced then
        self._news = False  # the opening told of more than that
        self._held_back = False  # something is announced and not there yet
        self._announced = 0  # what was announced and not shown when the folder was left
        self._looks: dict[int, int] = {}  # by UID; 0 stands for what was announced and is in no reply

    async def open(self, *, read_only: bool = False) -> str:
        """SELECT or EXAMINE (RFC 3501 sections 6.3.1 and 6.3.2); returns what the server said.

        Raises:
            RemoteFault: it cannot be opened, or has no UIDVALIDITY.
            LocalFault: IN_USE where another session of ours keeps it.
        """
        answer, _ = await self._talk.run(b"EXAMINE" if read_only else b"SELECT", self.wire)
        state = self._talk.client.folder
        if not answer.ok:
            if in_use(answer):
                raise LocalFault(FaultCode.IN_USE, f"the folder {self.name} is in use: {said(answer)}")
            raise refusal(f"the folder {self.name} cannot be opened", answer)
        if state.uidvalidity is None:
            text = f"the folder {self.name} has no lasting UIDs (no UIDVALIDITY)"
            raise RemoteFault(FaultCode.REPLY, text)
        self.validity = self.validity or str(state.uidvalidity)
        if not self.is_the_same:
            self._begin_anew()
        if state.uidnext is None:
            self._top = None
        elif state.uidnext - 1 > self._told:
            self._top = state.uidnext - 1
            self._news = True
        state.announced = self._announced
        self._looked = state.arrived
        return f"{said(answer)} ({state.exists} messages)"

    def leave(self) -> None:
        """To be called before another folder is opened."""
        self._announced = self._talk.client.folder.announced

    @property
    def is_the_same(self) -> bool:
        """Whether the open folder is the one that places in it belong to (RFC 3501 section 2.3.1.1)."""
        return self.validity == str(self._talk.client.folder.uidvalidity)

    @property
    def has_news(self) -> bool:
        """Whether the server has told of something that no look has taken notice of."""
        return self._news or self.has_arrivals

    @property
    def has_arrivals(self) -> bool:
        """Whether the server has announced messages since the last look."""
        return self._talk.client.folder.arrived > self._looked

    def may_have_news(self, told: Mapping[str, int], seen: Seen) -> bool:
        """Whether a STATUS tells of anything that was not looked at."""
        if self._held_back or str(told.get("UIDVALIDITY", "")) != seen.validity:
            return True
        return "UIDNEXT" not in told or told["UIDNEXT"] - 1 > max(seen.highest, self._told)

    async def look(self, seen: Seen, again: Collection[int]) -> tuple[list[Found], Seen]:
        """What lies above the highest UID that was seen, about SCAN_LIMIT messages at most, and these UIDs.

        A change of UIDVALIDITY voids both. Nothing is fetched while nothing is new.

        Raises:
            RemoteFault: the server refuses, ends the session, or answers out of the protocol.
        """
        state = self._talk.client.folder
        self.validity = str(state.uidvalidity)
        if seen.validity != self.validity:
            seen, again = Seen(self.validity), ()
        self._news, self._looked = False, state.arrived
        headers: dict[int, bytes] = {}
        unknown = self._top is None or seen.highest < self._top
        if state.exists and (unknown or state.announced):
            headers, complete = await self._headers_above(seen.highest)
            seen = Seen(self.validity, self._taken(headers, seen.highest, complete=complete))
        elif self._top is not None:
            self._told = max(self._told, self._top)
        for some in windows(set(again) - headers.keys(), WINDOW):
            shown = await self._headers(b"UID FETCH", uid_set(some))
            headers |= {uid: header for uid, header in shown.items() if uid in some}
        return [self._found(uid, headers[uid]) for uid in sorted(headers) if headers[uid]], seen

    def _found(self, uid: int, header: bytes) -> Found:
        return Found(Place(self.name, str(uid)), header, self.spam)

    def _begin_anew(self) -> None:
        """The folder is another one: what was known of the old one does not hold."""
        self._told, self._announced, self._held_back = -1, 0, False
        self._looks.clear()

    async def _headers_above(self, highest: int) -> tuple[dict[int, bytes], bool]:
        """Headers by UID, and whether these are all."""
        state = self._talk.client.folder
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
        answer, told = await self._talk.run(command, messages, b"(UID %b)" % self._item)
        if not answer.ok:
            raise refusal("the server refused to show headers", answer)
        return {
            reply.uid: reply.header[:HEADER_LIMIT] + reply.text[:BODY_LIMIT]
            for reply in told
            if isinstance(reply, Fetch) and reply.uid is not None and reply.header is not None
        }

    async def _first_above(self, highest: int) -> int:
        """The number of the first message with a UID above ``highest``: both ascend together.

        Numbers stand still while only FETCH is sent (RFC 3501 section 7.4.1).
        """
        low, high = 1, self._talk.client.folder.exists + 1
        while highest and low < high:
            middle = (low + high) // 2
            answer, told = await self._talk.run(b"FETCH", b"%d" % middle, b"(UID)")
            uids = [reply.uid for reply in told if isinstance(reply, Fetch) and reply.number == middle]
            if not uids or uids[-1] is None:
                raise refusal(f"the server has no message {middle}", answer)
            if uids[-1] > highest:
                high = middle
            else:
                low = middle + 1
        return low

    def _taken(self, headers: dict[int, bytes], known: int, *, complete: bool) -> int:
        """Takes notice of what a look brought; returns the highest UID that need not be looked at again."""
        highest = max(headers, default=known)
        if complete:
            self._note_arrivals(headers, highest, known)
        # An empty header is not even the empty line that ends one: its message is announced, but not there.
        held_back = [uid for uid in headers if not headers[uid] and self._look_again(uid)]
        self._held_back = bool(held_back or self._talk.client.folder.announced)
        return min(held_back) - 1 if held_back else highest

    def _note_arrivals(self, headers: dict[int, bytes], highest: int, known: int) -> None:
        """After a complete look: what was announced and did not show up is looked for again, for a while."""
        state = self._talk.client.folder
        before = known if self._top is None else max(self._top, known)
        self._top = highest
        self._told = max(before, highest)
        state.announced = max(0, state.announced - sum(1 for uid in headers if uid > before))
        if state.announced and not self._look_again(0):
            state.announced = 0
        if not state.announced:
            self._looks.pop(0, None)

    def _look_again(self, uid: int) -> bool:
        self._looks[uid] = self._looks.get(uid, 0) + 1
        return self._looks[uid] < LOOKS_LIMIT

    async def messages(self, uids: Collection[int]) -> dict[int, bytes]:
        """The beginnings of these messages, without a trace; what has vanished or has no text is not there.

        Raises:
            RemoteFault: the server refuses, ends the session, or answers out of the protocol.
        """
        found: dict[int, bytes] = {}
        for some in windows(uids, MESSAGES_WINDOW):
            items = b"(UID %b)" % message_beginning(MESSAGE_LIMIT)
            answer, told = await self._talk.run(b"UID FETCH", uid_set(some), items)
            if not answer.ok:
                raise refusal("the server refused to show messages", answer)
            for reply in told:
                if isinstance(reply, Fetch) and reply.uid in some and reply.message:
                    found[reply.uid] = reply.message[:MESSAGE_LIMIT]
        return found
