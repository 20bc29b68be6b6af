"""Mail in memory: one mailbox for each user, and how a session of IMAP4 or POP3 sees it.

Sessions come and go while mail arrives and is deleted by others. Each looks at the mailbox through a view
that changes only when its protocol allows it to.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

# They protect the memory of a machine where nobody reads what is sent.
MESSAGE_BYTES_LIMIT = 10 * 1024 * 1024
MESSAGES_LIMIT = 10_000
MAILBOX_BYTES_LIMIT = 256 * 1024 * 1024

DELETED = "\\Deleted"
SEEN = "\\Seen"

_HEADER_END = b"\r\n\r\n"
_FIELD = re.compile(rb"[^\r\n:]+:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*\r\n")


class MailboxFullError(Exception):
    """The mailbox has no room for the message."""


@dataclass(slots=True, eq=False)
class Message:
    """A message, its lines ended by CRLF. Only its flags ever change, for all sessions at once."""

    uid: int
    data: bytes
    received_at: datetime
    flags: frozenset[str] = frozenset()

    @property
    def header(self) -> bytes:
        """The header, with the empty line that ends it."""
        header, end, _ = self.data.partition(_HEADER_END)
        return header + end

    @property
    def body(self) -> bytes:
        """What follows the header."""
        return self.data.partition(_HEADER_END)[2]

    def fields(self, names: Container[bytes], *, others: bool = False) -> bytes:
        """The header fields with these names (in lower case), or all others, and an empty line.

        They stand as they came, folds and repetitions included (RFC 3501 section 6.4.5).
        """
        chosen = [
            line
            for line in _FIELD.findall(self.header)
            if (line.partition(b":")[0].strip().lower() in names) is not others
        ]
        return b"".join(chosen) + b"\r\n"


@dataclass(slots=True, eq=False)
class Mailbox:
    """The mailbox of a user.

    ``validity`` differs from that of every mailbox before it (RFC 3501 section 2.3.1.1). ``watchers`` are
    called whenever mail came or went.
    """

    validity: int = field(default_factory=lambda: int(time.time()))
    next_uid: int = 1
    watchers: set[Callable[[], None]] = field(default_factory=set)
    _messages: dict[int, Message] = field(default_factory=dict)
    _size: int = 0
    _held: int = 0

    @property
    def full(self) -> bool:
        """Whether it may refuse the next message."""
        return not self._has_room(MESSAGE_BYTES_LIMIT)

    def _has_room(self, size: int) -> bool:
        count = len(self._messages) + self._held
        return count < MESSAGES_LIMIT and self._size + size <= MAILBOX_BYTES_LIMIT

    def hold(self, data: bytes, flags: Iterable[str] = ()) -> Callable[[], None]:
        """Takes a message that nobody sees until the function returned is called, once.

        Raises:
            MailboxFullError: there is no room for it.
        """
        if not self._has_room(len(data)):
            raise MailboxFullError
        self._size += len(data)
        self._held += 1
        return partial(self._show, data, frozenset(flags))

    def _show(self, data: bytes, flags: frozenset[str]) -> None:
        self._held -= 1
        self._messages[self.next_uid] = Message(self.next_uid, data, datetime.now(UTC), flags)
        self.next_uid += 1
        self._tell()

    def remove(self, messages: Iterable[Message]) -> None:
        """Deletes these messages; those that are gone already do not matter."""
        for message in messages:
            if self._messages.pop(message.uid, None) is not None:
                self._size -= len(message.data)
        self._tell()

    def messages(self) -> list[Message]:
        """All messages, oldest first."""
        return list(self._messages.values())

    def has(self, message: Message) -> bool:
        """Whether the message is still there."""
        return message.uid in self._messages

    def _tell(self) -> None:
        for watcher in list(self.watchers):
            watcher()


class View:
    """What an IMAP4 session knows of a mailbox.

    Message numbers are positions in ``messages``, from 1. They stand still until the session is told
    otherwise (RFC 3501 section 7.4.1), even if another one deletes.
    """

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self.messages = mailbox.messages()

    def refresh(self) -> tuple[list[int], bool]:
        """Catches up with the mailbox: the numbers to announce as expunged, and whether mail came."""
        gone = self._drop([message for message in self.messages if not self.mailbox.has(message)])
        known = len(self.messages)
        # UIDs ascend, so what is new stands behind what is known.
        self.messages = self.mailbox.messages()
        return gone, len(self.messages) > known

    def expunge(self, uids: Container[int] | None = None) -> list[int]:
        """Deletes what is flagged for it, of these UIDs or of all: the numbers to announce."""
        flagged = [
            message
            for message in self.messages
            if DELETED in message.flags and (uids is None or message.uid in uids)
        ]
        numbers = self._drop(flagged)
        self.mailbox.remove(flagged)
        return numbers

    def _drop(self, messages: Iterable[Message]) -> list[int]:
        uids = {message.uid for message in messages}
        numbers = [number for number, message in enumerate(self.messages, 1) if message.uid in uids]
        self.messages = [message for message in self.messages if message.uid not in uids]
        # Each announcement renumbers what follows (RFC 3501 section 7.4.1).
        return [number - index for index, number in enumerate(numbers)]


class Drop:
    """A POP3 session's view: it never changes, and what is marked goes at the end (RFC 1939 section 6)."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._messages = mailbox.messages()
        self._marked: set[int] = set()

    def listing(self) -> list[tuple[int, Message]]:
        """The messages that are not marked, with their numbers."""
        return [(number, self[number]) for number in range(1, len(self._messages) + 1) if number in self]

    def __contains__(self, number: int) -> bool:
        return 1 <= number <= len(self._messages) and number not in self._marked

    def __getitem__(self, number: int) -> Message:
        if number not in self:
            raise KeyError(number)
        return self._messages[number - 1]

    def unique_id(self, message: Message) -> str:
        """The unique-id of a message (RFC 1939 section 7)."""
        return f"{self._mailbox.validity:x}.{message.uid}"

    def mark(self, number: int) -> None:
        """Marks a message. Raises KeyError where there is none."""
        if number not in self:
            raise KeyError(number)
        self._marked.add(number)

    def unmark_all(self) -> None:
        """Takes all marks away (RSET)."""
        self._marked.clear()

    def remove_marked(self) -> None:
        """Deletes what is marked (QUIT)."""
        self._mailbox.remove([self._messages[number - 1] for number in sorted(self._marked)])
