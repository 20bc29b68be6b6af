"""IMAP4 for the embedded mail server: one folder, INBOX (RFC 3501, IDLE of RFC 2177, UIDPLUS of RFC 4315).

Twisted has the protocol. Here stands what a mailbox is, and what Twisted does not do: message numbers that
change only when a session is told, header fields as they came, parts of them, and UID EXPUNGE.
"""

# Large parts of Twisted have no types.
# mypy: disable-error-code="no-untyped-call, misc"

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Sequence
from email.utils import format_datetime
from typing import Any, BinaryIO, TypeAlias

from twisted.cred.credentials import CramMD5Credentials
from twisted.mail import imap4
from zope.interface import implementer

from postbeat.embedded.maildrop import DELETED, MESSAGE_BYTES_LIMIT, SEEN, Mailbox, Message, View
from postbeat.embedded.mailsearch import Words, numbers_found

FOLDER = "INBOX"
FLAGS = ("\\Answered", DELETED, "\\Draft", "\\Flagged", SEEN)

Write: TypeAlias = Callable[[bytes], None]

_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"(?: |$)')


class Shown:
    """A message as Twisted asks for it."""

    def __init__(self, message: Message) -> None:
        self.message = message

    def getUID(self) -> int:
        """The UID."""
        return self.message.uid

    def getFlags(self) -> list[str]:
        """The flags."""
        return sorted(self.message.flags)

    def getInternalDate(self) -> str:
        """When it was received."""
        return format_datetime(self.message.received_at)

    def getSize(self) -> int:
        """The size in bytes."""
        return len(self.message.data)

    def getHeaders(self, negate: bool, *names: str) -> dict[str, str]:
        """All fields, unfolded, by name in lower case. Twisted builds the ENVELOPE of them."""
        unfolded = self.message.header.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
        fields: dict[str, str] = {}
        for line in unfolded.decode("ascii", "replace").replace("\ufffd", "?").split("\r\n"):
            name, _, value = line.partition(":")
            fields.setdefault(name.strip().lower(), value.strip())
        return fields


@implementer(imap4.IMailbox, imap4.ISearchableMailbox)
class Inbox:
    """The folder as one session sees it."""

    def __init__(self, mailbox: Mailbox, *, writeable: bool) -> None:
        self.view = View(mailbox)
        self._mailbox = mailbox
        self._writeable = writeable

    def getFlags(self) -> tuple[str, ...]:
        """The flags that a message can have."""
        return FLAGS

    def getHierarchicalDelimiter(self) -> str:
        """What would stand between the names of folders."""
        return "/"

    def getUIDValidity(self) -> int:
        """UIDVALIDITY."""
        return self._mailbox.validity

    def getUIDNext(self) -> int:
        """UIDNEXT."""
        return self._mailbox.next_uid

    def getUID(self, number: int) -> int:
        """The UID of a message number."""
        return self.view.messages[number - 1].uid

    def getMessageCount(self) -> int:
        """The number of messages."""
        return len(self.view.messages)

    def getRecentCount(self) -> int:
        """RECENT is not kept; RFC 9051 has no such thing any more."""
        return 0

    def getUnseenCount(self) -> int:
        """The number of messages without the flag Seen."""
        return sum(SEEN not in message.flags for message in self.view.messages)

    def isWriteable(self) -> bool:
        """Whether it was opened by SELECT, not by EXAMINE."""
        return self._writeable

    def requestStatus(self, names: Sequence[str]) -> dict[str, int]:
        """What STATUS tells."""
        status: dict[str, int] = imap4.statusRequestHelper(self, names)
        return status

    def addListener(self, session: Imap4Session) -> None:
        """Has the session told of every change."""
        self._mailbox.watchers.add(session.changed)

    def removeListener(self, session: Imap4Session) -> None:
        """Ends that."""
        self._mailbox.watchers.discard(session.changed)

    def fetch(self, messages: imap4.MessageSet, uid: int) -> list[tuple[int, Shown]]:
        """The messages of a set, with their numbers."""
        return [(number, Shown(message)) for number, message in self._chosen(messages, uid)]

    def store(
        self, messages: imap4.MessageSet, flags: Sequence[str], mode: int, uid: int
    ) -> dict[int, list[str]]:
        """Takes flags away (mode -1), adds them (1) or replaces all (0): the flags by number then."""
        if not self._writeable:
            raise imap4.ReadOnlyMailbox
        given = frozenset(_spelled(flag) for flag in flags)
        now = {}
        for number, message in self._chosen(messages, uid):
            if mode < 0:
                message.flags -= given
            else:
                message.flags = message.flags | given if mode else given
            now[number] = sorted(message.flags)
        return now

    def expunge(self) -> list[int]:
        """Deletes what is flagged for it: the numbers."""
        return self.view.expunge()

    def search(self, query: Words, uid: int) -> list[int]:
        """The numbers of the messages that the query finds. Raises IllegalQueryError where it is none."""
        return numbers_found(query, self.view.messages)

    def _chosen(self, messages: imap4.MessageSet, uid: int) -> Iterator[tuple[int, Message]]:
        # The set is asked for each message, never iterated: it may name millions of UIDs.
        last = len(self.view.messages)
        messages.last = self.getUID(last) if uid and last else last
        for number, message in enumerate(self.view.messages, 1):
            if (message.uid if uid else number) in messages:
                yield number, message


def _spelled(flag: str) -> str:
    """A flag as it is spelled here; system flags are not case-sensitive (RFC 3501 section 2.3.2)."""
    return next((known for known in FLAGS if known.lower() == flag.lower()), flag)


@implementer(imap4.IAccount)
class Account:
    """What a user has: one folder."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox

    def select(self, name: str, rw: int = 1) -> Inbox | None:
        """Opens the folder; None where it is not INBOX."""
        return Inbox(self.mailbox, writeable=bool(rw)) if name.upper() == FOLDER else None

    def listMailboxes(self, ref: str, wildcard: str) -> list[tuple[str, Inbox]]:
        """The folder, where the pattern fits (RFC 3501 section 6.3.8)."""
        pattern = imap4.wildcardToRegexp((ref + wildcard).upper(), "/")
        return [(FOLDER, Inbox(self.mailbox, writeable=True))] if pattern.fullmatch(FOLDER) else []

    def isSubscribed(self, name: str) -> bool:
        """INBOX always is."""
        return True

    def create(self, name: str, *more: str) -> None:
        """Refuses, as do the other ways to change folders."""
        raise imap4.MailboxException("there is only INBOX here")

    delete = rename = subscribe = unsubscribe = create


class Imap4Session(imap4.IMAP4Server):
    """One IMAP4 connection."""

    IDENT = b"Postbeat"
    mbox: Inbox | None
    account: Account

    def __init__(self) -> None:
        super().__init__(
            {b"PLAIN": imap4.PLAINCredentials, b"CRAM-MD5": CramMD5Credentials},
        )

    def connectionMade(self) -> None:
        """Greets."""
        self.transport.setTcpNoDelay(True)
        super().connectionMade()

    def connectionLost(self, reason: object) -> None:
        """Lets go of the mailbox."""
        if self.mbox is not None:
            self.mbox.removeListener(self)
            self.mbox = None
        super().connectionLost(reason)

    def capabilities(self) -> dict[bytes, list[bytes] | None]:
        """What CAPABILITY tells."""
        offered: dict[bytes, list[bytes] | None] = super().capabilities()
        return {**offered, b"UIDPLUS": None}

    def changed(self) -> None:
        """Tells of what came and went, if the client waits for that (RFC 2177)."""
        if self.parseState == "idle":
            self._catch_up()

    def _catch_up(self) -> None:
        if self.mbox is None:
            return
        expunged, grown = self.mbox.view.refresh()
        self._tell_expunged(expunged)
        if grown:
            self.sendUntaggedResponse(b"%d EXISTS" % self.mbox.getMessageCount())

    def _tell_expunged(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.sendUntaggedResponse(b"%d EXPUNGE" % number)

    def _cbSelectWork(self, mbox: Inbox | None, cmdName: bytes, tag: bytes) -> None:
        if mbox is not None:
            self.sendPositiveResponse(None, b"[UIDNEXT %d]" % mbox.getUIDNext())
        super()._cbSelectWork(mbox, cmdName, tag)

    def sendContinuationRequest(self, msg: bytes | None = None) -> None:
        """Has the client go on. Twisted leaves the space out where nothing follows (RFC 3501 section 7.5)."""
        self.sendLine(b"+ " + (msg or b""))

    def arg_astring(self, line: bytes, final: bool = False) -> Any:
        """A string; Twisted would leave the quotes and backslashes in it escaped (RFC 3501 section 9)."""
        quoted = _QUOTED.match(line)
        if quoted is None:
            return super().arg_astring(line, final)
        return re.sub(rb"\\(.)", rb"\1", quoted[1]), line[quoted.end() :]

    unauth_LOGIN = (imap4.IMAP4Server.do_LOGIN, arg_astring, imap4.IMAP4Server.arg_finalastring)

    def do_NOOP(self, tag: bytes) -> None:
        """NOOP (RFC 3501 section 6.1.2): the moment at which new mail is told of."""
        self._catch_up()
        super().do_NOOP(tag)

    unauth_NOOP = auth_NOOP = select_NOOP = select_CHECK = (do_NOOP,)

    def do_IDLE(self, tag: bytes) -> None:
        """IDLE (RFC 2177)."""
        super().do_IDLE(tag)
        self._catch_up()

    auth_IDLE = select_IDLE = (do_IDLE,)

    def do_UID(self, tag: bytes, command: bytes, line: bytes) -> None:
        """UID (RFC 3501 section 6.4.8), and UID EXPUNGE (RFC 4315 section 2.1)."""
        if command.upper() != b"EXPUNGE" or self.mbox is None:
            super().do_UID(tag, command, line)
            return
        if not self.mbox.isWriteable():
            raise imap4.IllegalOperation("the folder is read-only")
        uids, _ = self.arg_seqset(line)
        uids.last = max((message.uid for message in self.mbox.view.messages), default=0)
        self._tell_expunged(self.mbox.view.expunge(uids))
        self.sendPositiveResponse(tag, b"EXPUNGE completed")

    select_UID = (do_UID, imap4.IMAP4Server.arg_atom, imap4.IMAP4Server.arg_line)

    def do_APPEND(
        self, tag: bytes, folder: bytes, flags: list[bytes] | None, date: object, file: BinaryIO
    ) -> None:
        """APPEND (RFC 3501 section 6.3.11). The date of arrival is now, whatever the client wishes."""
        if folder.upper() != FOLDER.encode("ascii"):
            self.sendNegativeResponse(tag, b"[TRYCREATE] There is only INBOX here")
            return
        if self.account.mailbox.full:
            self.sendNegativeResponse(tag, b"[OVERQUOTA] The mailbox is full")
            return
        given = [_spelled(flag.decode("ascii")) for flag in flags or ()]
        self.account.mailbox.hold(file.read(), given)()
        self._catch_up()
        self.sendPositiveResponse(tag, b"APPEND completed")

    auth_APPEND = select_APPEND = (
        do_APPEND,
        imap4.IMAP4Server.arg_astring,
        imap4.IMAP4Server.opt_plist,
        imap4.IMAP4Server.opt_datetime,
        imap4.IMAP4Server.arg_literal,
    )

    # There is nowhere to copy to.
    select_COPY = None

    def _fileLiteral(self, size: int) -> Any:
        if size > MESSAGE_BYTES_LIMIT:
            raise imap4.IllegalClientResponse("the message is too large")
        return super()._fileLiteral(size)

    def spew_rfc822(self, id: int, msg: Shown, _w: Write, _f: object) -> None:
        """RFC822: the message."""
        _w(b"RFC822 " + _literal(msg.message.data))

    def spew_rfc822header(self, id: int, msg: Shown, _w: Write, _f: object) -> None:
        """RFC822.HEADER."""
        _w(b"RFC822.HEADER " + _literal(msg.message.header))

    def spew_rfc822text(self, id: int, msg: Shown, _w: Write, _f: object) -> None:
        """RFC822.TEXT."""
        _w(b"RFC822.TEXT " + _literal(msg.message.body))

    def spew_bodystructure(self, id: int, msg: Shown, _w: Write, _f: object) -> None:
        """BODYSTRUCTURE: that of one text, as parts are not looked at."""
        _w(b"BODYSTRUCTURE " + _structure(msg.message))

    def spew_body(self, part: Any, id: int, msg: Shown, _w: Write, _f: object) -> None:
        """BODY, or a section of it: whole or partial (RFC 3501 section 6.4.5)."""
        if not (part.header or part.text or part.mime or part.empty):
            _w(b"BODY " + _structure(msg.message))
            return
        name = bytes(part).rpartition(b"]")[0] + b"]"
        data = _section(part, msg.message)
        if data is not None and part.partialBegin is not None:
            name += b"<%d>" % part.partialBegin
            data = data[part.partialBegin : part.partialBegin + part.partialLength]
        if not part.peek and self.mbox is not None and self.mbox.isWriteable():
            msg.message.flags |= {SEEN}
        _w(name + b" " + (b"NIL" if data is None else _literal(data)))


def _section(part: Any, message: Message) -> bytes | None:
    """The bytes of a section, or None where there is no such one. A message is one part, number 1."""
    if part.part not in ((), (0,)):
        return None
    if part.header and not part.part:
        names: Container[bytes] = {name.strip(b'"').lower() for name in part.header.fields}
        return message.fields(names, others=part.header.negate)
    if part.empty and not part.part:
        return message.data
    if (part.text and not part.part) or (part.empty and part.part):
        return message.body
    return None


def _structure(message: Message) -> bytes:
    body = message.body
    return b'("text" "plain" ("charset" "us-ascii") NIL NIL "8bit" %d %d)' % (len(body), body.count(b"\n"))


def _literal(data: bytes) -> bytes:
    return b"{%d}\r\n%b" % (len(data), data)
