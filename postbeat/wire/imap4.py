"""IMAP4rev1 as a client speaks it, without I/O (a subset of RFC 3501 and 9051): bytes in, replies out.

:class:`Imap4Client` keeps what the server said about itself and the selected mailbox. One command is under
way at a time: that is all a reader needs, and it leaves no doubt whose answer an untagged reply is.
"""

from __future__ import annotations

import base64
import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from postbeat.model import FaultCode, LocalFault, RemoteFault
from postbeat.wire import imap4reply
from postbeat.wire.imap4reply import Continuation, Data, Reply, Status
from postbeat.wire.line import LineBuffer, argument, malformed

# Bytes of one line. Protects memory; a SEARCH that finds 100,000 messages fits.
LINE_LIMIT = 1 << 20
# Bytes of one literal and of one reply. They protect memory; headers are asked for in parts far smaller, so
# only a server that ignores the request comes near.
LITERAL_LIMIT = 1 << 20
REPLY_LIMIT = 2 << 20
# Literals of one reply. Protects memory from millions of empty ones.
PARTS_LIMIT = 64

_ATOM = re.compile(rb"[A-Za-z0-9!#$&'+,./:;<=>?@^_`|~-]+")
_QUOTABLE = re.compile(rb"[ -~]*")
_ESCAPABLE = re.compile(rb'(["\\])')


@dataclass(frozen=True, slots=True)
class Literal:
    """A string that goes over the wire as a literal (RFC 3501 section 4.3)."""

    data: bytes


Argument: TypeAlias = bytes | Literal


@dataclass(slots=True)
class Folder:
    """The selected mailbox, as far as the server told. ``announced`` counts what came after the SELECT."""

    exists: int = 0
    announced: int = 0
    uidvalidity: int | None = None
    uidnext: int | None = None
    read_only: bool = False


@dataclass(slots=True)
class _UnderWay:
    tag: str = ""
    parts: deque[bytes] = field(default_factory=deque)


def astring(text: str, what: str, code: FaultCode = FaultCode.SECRET) -> Argument:
    """A string as a command's argument: an atom, quoted, or a literal where it is not ASCII.

    Raises:
        LocalFault: it holds CR, LF or NUL. The message names ``what``, never the text.
    """
    data = argument(text, what, code)
    if _ATOM.fullmatch(data) and data.upper() != b"NIL":
        return data
    if _QUOTABLE.fullmatch(data):
        return b'"' + _ESCAPABLE.sub(rb"\\\1", data) + b'"'
    return Literal(data)


def folder_name(text: str) -> Argument:
    """A mailbox name in modified UTF-7 (RFC 3501 section 5.1.3).

    Raises:
        LocalFault: it holds CR, LF or NUL.
    """
    argument(text, "the folder", FaultCode.INTERNAL)
    encoded = []
    for run in re.findall(r"[ -~]+|[^ -~]+", text):
        if run.isascii() and run.isprintable():
            encoded.append(run.replace("&", "&-"))
        else:
            packed = base64.b64encode(run.encode("utf-16-be")).decode("ascii")
            encoded.append(f"&{packed.rstrip('=').replace('/', ',')}-")
    return astring("".join(encoded), "the folder", FaultCode.INTERNAL)


def uid_set(uids: Iterable[int]) -> bytes:
    """UIDs as a sequence set (RFC 3501 section 9)."""
    return b",".join(b"%d" % uid for uid in uids)


def header_fields(fields: Sequence[str], limit: int) -> bytes:
    """The data item for these fields of a header, at most ``limit`` bytes of them, that sets no flag.

    RFC 3501 section 6.4.5: PEEK does not set Seen. The partial ``<0.limit>`` bounds what a stranger's mail
    can make the server send.

    Raises:
        LocalFault: a name is not that of a header field (RFC 5322 section 2.2).
    """
    for name in fields:
        if not re.fullmatch(r"[!#$&'*+.0-9A-Z^_`a-z|~-]+", name):
            raise LocalFault(FaultCode.INTERNAL, f"{name!r} is no name of a header field")
    return b"BODY.PEEK[HEADER.FIELDS (%b)]<0.%d>" % (" ".join(fields).encode("ascii"), limit)


def body_beginning(limit: int) -> bytes:
    """The data item for the first ``limit`` bytes of a body (RFC 3501 section 6.4.5), that sets no flag."""
    return b"BODY.PEEK[TEXT]<0.%d>" % limit


class Imap4Client:
    """The replies of one connection, and the state that they amount to.

    ``capabilities`` is None while the server has not told them since the last change that could alter them
    (RFC 3501 sections 6.2.1 and 6.2.2).
    """

    def __init__(self) -> None:
        self.capabilities: frozenset[str] | None = None
        self.folder = Folder()
        self._buffer = LineBuffer()
        self._parts: list[bytes] = []
        self._size = 0
        self._literal: int | None = None
        self._count = 0
        self._under_way = _UnderWay()

    @property
    def unread(self) -> int:
        """Bytes received that belong to no reply yet."""
        return len(self._buffer) + self._size

    def send(self, *words: Argument) -> bytes:
        """The bytes that begin a command; :meth:`proceed` has the rest where an argument is a literal."""
        self._count += 1
        tag = f"A{self._count}"
        parts = [tag.encode("ascii")]
        for word in words:
            if isinstance(word, Literal):
                parts[-1] += b" {%d}\r\n" % len(word.data)
                parts.append(word.data)
            else:
                parts[-1] += b" " + word
        parts[-1] += b"\r\n"
        self._under_way = _UnderWay(tag, deque(parts[1:]))
        return parts[0]

    def proceed(self) -> bytes | None:
        """What the server's continuation asks for: the next literal, or None where there is none."""
        parts = self._under_way.parts
        return parts.popleft() if parts else None

    def is_answer(self, reply: Reply) -> bool:
        """Whether this reply ends the command under way."""
        return isinstance(reply, Status) and reply.tag != ""

    def forget_capabilities(self) -> None:
        """To be called before a login and after a TLS handshake, which change them."""
        self.capabilities = None

    def receive(self, data: bytes) -> None:
        """Takes bytes in, however they are split. Raises RemoteFault beyond the buffer's limit."""
        self._buffer.receive(data)

    def next_reply(self) -> Reply | None:
        """The next complete reply, or None while more bytes are needed.

        Raises:
            RemoteFault: the reply is not in the protocol, is too large, or answers a command that is not
                under way.
        """
        while True:
            part = (
                self._buffer.line(LINE_LIMIT) if self._literal is None else self._buffer.take(self._literal)
            )
            if part is None:
                return None
            self._parts.append(part)
            self._size += len(part)
            if self._literal is not None:
                self._literal = None
                continue
            self._literal = imap4reply.literal_size(self._parts)
            if self._literal is None:
                break
            self._check_sizes(self._literal)
        parts, self._parts, self._size = self._parts, [], 0
        reply = imap4reply.parse(parts)
        self._note(reply, parts[0])
        return reply

    def _check_sizes(self, literal: int) -> None:
        line = self._parts[0]
        if literal > LITERAL_LIMIT:
            raise malformed(f"the server sent a literal of {literal} bytes", line)
        if self._size + literal > REPLY_LIMIT or len(self._parts) > 2 * PARTS_LIMIT:
            raise malformed("the server sent a reply that does not end", line)

    def _note(self, reply: Reply, line: bytes) -> None:
        if isinstance(reply, Status):
            if reply.tag:
                if reply.tag != self._under_way.tag:
                    raise malformed("the server answered a command that is not under way", line)
                self._under_way = _UnderWay()
            self._note_code(reply, line)
        elif isinstance(reply, Data):
            self._note_data(reply)
        elif isinstance(reply, Continuation) and not self._under_way.tag:
            raise malformed("the server wants more of a command that is not under way", line)

    def _note_code(self, reply: Status, line: bytes) -> None:
        if reply.code == "CAPABILITY":
            self.capabilities = frozenset(reply.argument.upper().split())
        elif reply.code == "UIDVALIDITY":
            self.folder.uidvalidity = imap4reply.number_of(reply.argument.encode(), line)
        elif reply.code == "UIDNEXT":
            self.folder.uidnext = imap4reply.number_of(reply.argument.encode(), line)
        elif reply.code in ("READ-ONLY", "READ-WRITE"):
            self.folder.read_only = reply.code == "READ-ONLY"

    def _note_data(self, reply: Data) -> None:
        folder = self.folder
        if reply.word == "CAPABILITY":
            self.capabilities = frozenset(word.decode("ascii", "replace").upper() for word in reply.words)
        elif reply.word == "EXISTS":
            folder.announced += max(0, reply.number - folder.exists)
            folder.exists = reply.number
        elif reply.word == "EXPUNGE":
            folder.exists = max(0, folder.exists - 1)


def search_result(replies: Iterable[Reply]) -> list[int]:
    """The UIDs of a UID SEARCH (RFC 3501 section 7.2.5).

    Raises:
        RemoteFault: one of them is no number.
    """
    found: list[int] = []
    for reply in replies:
        if isinstance(reply, Data) and reply.word == "SEARCH":
            found.extend(imap4reply.number_of(word, b"SEARCH " + word) for word in reply.words)
    return found


def goodbye(reply: Reply) -> RemoteFault | None:
    """The fault of a BYE, with which the server ends the connection (RFC 3501 section 7.1.5), or None."""
    if isinstance(reply, Status) and reply.status == "BYE":
        return RemoteFault(FaultCode.DISCONNECTED, f"the server ended the session: {reply.text}")
    return None
