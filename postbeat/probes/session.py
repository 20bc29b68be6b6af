"""What a reader needs of a mailbox, whatever the protocol."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, Self

from postbeat.dial import Stream

BODY_LIMIT = 2048  # bytes of a body in which a reader looks for the tracking information
HEADER_LIMIT = 64 * 1024  # bytes of one message's header that are looked at; the rest is not fetched
SCAN_LIMIT = 500  # messages handled by one scan; a scan that finds so many has probably more to find


@dataclass(frozen=True, slots=True)
class Found:
    """A message that was not known before: its id in the mailbox and its raw header, bounded.

    ``uid`` is the IMAP4 UID in decimal (RFC 3501 section 2.3.1.1) or the POP3 unique-id (RFC 1939
    section 7). ``header`` holds at least the fields asked for, unfolded or not, as the server sent them.
    Where the element says ``usebody``, an empty line and the beginning of the body follow.
    """

    uid: str
    header: bytes


@dataclass(frozen=True, slots=True)
class Memory:
    """Which messages of a mailbox were looked at already, so that a look costs no more than its new mail.

    IMAP4 needs the UIDVALIDITY and the highest UID, POP3 the set of unique-ids.
    """

    validity: str = ""
    highest: int = 0
    uidls: frozenset[str] = frozenset()

    def without(self, uids: Collection[str]) -> Self:
        """A memory that will show these messages again (and, for IMAP4, what came after them)."""
        if not uids:
            return self
        if self.validity:
            return replace(self, highest=min(self.highest, min(int(uid) for uid in uids) - 1))
        return replace(self, uidls=self.uidls - frozenset(uids))


class MailboxSession(Protocol):
    """One logged-in session on a mailbox. Every method raises RemoteFault or LocalFault."""

    stream: Stream
    live: ClassVar[bool]  # whether new mail shows up in an open session (IMAP4) or in the next one (POP3)

    async def scan(self, memory: Memory) -> tuple[Sequence[Found], Memory]:
        """The messages that the memory does not know, oldest first, and the memory with them in it."""
        ...

    async def delete(self, uids: Sequence[str]) -> None:
        """Deletes exactly these messages; for good once :meth:`finish` has returned."""
        ...

    async def finish(self) -> None:
        """Logs out and waits until the server has confirmed it."""
        ...

    def abort(self) -> None:
        """Closes the connection at once."""
        ...
