"""What a reader needs of a mailbox, whatever the protocol."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple, Protocol, Self

from postbeat.delivery import MailboxFacts
from postbeat.dial import Stream

BODY_LIMIT = 2048  # bytes of a body in which a reader looks for the tracking information
HEADER_LIMIT = 64 * 1024  # bytes of one message's header that are looked at; the rest is not fetched
MESSAGE_LIMIT = 128 * 1024  # bytes of a whole message that are looked at
SCAN_LIMIT = 500  # messages handled by one scan; a scan that finds so many has probably more to find
TAIL_LIMIT = 64  # unique-ids of the newest messages of a POP3 mailbox that are remembered


class Place(NamedTuple):
    """Where a message lies.

    ``folder`` is the name of an IMAP4 folder as the profile or the server writes it, "" for POP3. ``uid`` is
    the IMAP4 UID in decimal (RFC 3501 section 2.3.1.1) or the POP3 unique-id (RFC 1939 section 7).
    """

    folder: str
    uid: str


@dataclass(frozen=True, slots=True)
class Found:
    """A message that was not known before, and the part of its header that tells whether it concerns us.

    ``header`` is raw and bounded, and holds at least the fields that the session was opened for. Where the
    element says ``usebody``, an empty line and the beginning of the body follow. ``spam`` is whether it lies
    in the spam folder.
    """

    place: Place
    header: bytes
    spam: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a folder was looked through: its UIDVALIDITY, and the highest UID that was seen."""

    validity: str = ""
    highest: int = 0


@dataclass(frozen=True, slots=True)
class Memory:
    """Which messages of a mailbox were looked at already, so that a look costs no more than its new mail.

    IMAP4 needs ``folders``. Of a POP3 mailbox it is remembered how many messages were looked through
    (``count``), the unique-id of the first (``head``), and the unique-ids of the newest with the numbers that
    they had (``tail``, oldest first). ``others`` has a hash of each unique-id where a server does not put new
    messages last. Up to the number ``backlog`` the messages were not looked at yet, but for those with the
    unique-ids of ``edge``. ``unread`` are messages that could not be shown, and how often that was tried.
    ``again`` are messages that will be shown again as long as they are there. ``ours`` are known, and will go
    soon: nothing may rely on their being there; this is for one scan, and is not written down.
    """

    folders: Mapping[str, Seen] = field(default_factory=dict)
    count: int = 0
    tail: Mapping[str, int] = field(default_factory=dict)
    others: frozenset[str] = frozenset()
    again: frozenset[Place] = frozenset()
    head: str = ""
    backlog: int = 0
    edge: tuple[str, ...] = ()
    unread: Mapping[str, int] = field(default_factory=dict)
    ours: frozenset[Place] = frozenset()

    def showing(self, places: Collection[Place]) -> Self:
        """A memory that will show exactly these messages again, and what is new."""
        return replace(self, again=frozenset(places))

    def without(self, places: Collection[Place]) -> Self:
        """A memory that does not rely on these messages: they are deleted, and other people's are not."""
        gone = {place.uid for place in places}
        return replace(self, tail={uid: number for uid, number in self.tail.items() if uid not in gone})

    def dumps(self) -> str:
        """The memory as one line of JSON."""
        data = {
            "folders": {name: [seen.validity, seen.highest] for name, seen in self.folders.items()},
            "count": self.count,
            "tail": dict(self.tail),
            "others": sorted(self.others),
            "again": sorted(self.again),
            "head": self.head,
            "backlog": self.backlog,
            "edge": self.edge,
            "unread": dict(self.unread),
        }
        return json.dumps({key: value for key, value in data.items() if value}, separators=(",", ":"))

    @classmethod
    def loads(cls, text: str | bytes) -> Self:
        """What :meth:`dumps` wrote."""
        data = json.loads(text)
        return cls(
            {name: Seen(*seen) for name, seen in data.get("folders", {}).items()},
            data.get("count", 0),
            data.get("tail", {}),
            frozenset(data.get("others", ())),
            frozenset(Place(*place) for place in data.get("again", ())),
            data.get("head", ""),
            data.get("backlog", 0),
            tuple(data.get("edge", ())),
            data.get("unread", {}),
        )


class MailboxSession(Protocol):
    """One logged-in session on a mailbox. Every method raises RemoteFault or LocalFault.

    Where a folder's UIDVALIDITY has changed (RFC 3501 section 2.3.1.1), the memory that :meth:`scan` returns
    has the new one, everything in the folder is new, and places in it that were known before mean nothing.
    ``login_delay_s`` is how long the server wants logins apart (RFC 2449 section 6.5), 0 where it says none;
    ``pushes`` is whether it announces news unasked, by IDLE (RFC 2177).
    """

    stream: Stream
    live: ClassVar[bool]  # whether new mail shows up in an open session (IMAP4) or in the next one (POP3)
    login_delay_s: float

    @property
    def pushes(self) -> bool:
        """Whether :meth:`wait` may end before its time."""
        ...

    async def scan(self, memory: Memory, *, everywhere: bool = True) -> tuple[Sequence[Found], Memory]:
        """The messages that the memory does not know, oldest first in each folder, and the memory with them.

        Messages of ``memory.again`` that are still there are shown with them. Only the main folder is looked
        into unless ``everywhere``.
        """
        ...

    async def fetch(self, places: Sequence[Place]) -> Mapping[Place, bytes]:
        """These messages, each cut off at MESSAGE_LIMIT; what has vanished, or has no text yet, is not there.

        No message is marked as read.
        """
        ...

    async def delete(self, places: Sequence[Place]) -> None:
        """Deletes exactly these messages (or moves them to ``movetofolder``).

        For good once :meth:`finish` has returned.
        """
        ...

    async def wait(self, longest_s: float) -> bool:
        """Waits for news: True as soon as the server announces some, False when the time is over.

        Where the server announces nothing unasked, it is only the time that passes. May be cancelled; the
        session can be used afterwards.
        """
        ...

    async def facts(self) -> MailboxFacts:
        """What the server tells of the mailbox: counts, and sizes and quota where they are cheap to have."""
        ...

    async def finish(self) -> None:
        """Logs out and waits until the server has confirmed it."""
        ...

    def abort(self) -> None:
        """Closes the connection at once."""
        ...
