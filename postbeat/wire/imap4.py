"""IMAP4rev1 as a client speaks it, without I/O (a subset of RFC 3501 and 9051): bytes in, replies out.

:class:`Imap4Client` keeps what the server said about itself and the selected mailbox. One command is under
way at a time: that is all a reader needs, and it leaves no doubt whose answer an untagged reply is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from postbeat.model import FaultCode, RemoteFault
from postbeat.wire import imap4reply
from postbeat.wire.imap4args import Argument, Literal
from postbeat.wire.imap4reply import Continuation, Data, Reply, Status
from postbeat.wire.line import LineBuffer, malformed

# Bytes of one line. Protects memory; a SEARCH that finds 100,000 messages fits.
LINE_LIMIT = 1 << 20
# Bytes of one literal and of one reply. They protect memory; headers are asked for in parts far smaller, so
# only a server that ignores the request comes near.
LITERAL_LIMIT = 1 << 20
REPLY_LIMIT = 2 << 20
# Literals of one reply. Protects memory from millions of empty ones.
PARTS_LIMIT = 64
# Bytes of a literal that a server with LITERAL- takes without being asked (RFC 7888 section 5).
SMALL_LITERAL = 4096

# What IMAP4rev2 brings along, told or not (RFC 9051 appendix E), as far as we use it.
REV2_BRINGS = frozenset(
    [
        *("ESEARCH", "IDLE", "LIST-EXTENDED", "LITERAL-", "MOVE", "NAMESPACE", "SASL-IR", "SPECIAL-USE"),
        *("STATUS=SIZE", "UIDPLUS"),
    ]
)


@dataclass(slots=True)
class Folder:
    """The selected mailbox, as far as the server told.

    ``announced`` counts what came after the SELECT, until it is shown; ``arrived`` and ``expunged`` count all
    that ever came and went since.
    """

    exists: int = 0
    announced: int = 0
    arrived: int = 0
    expunged: int = 0
    uidvalidity: int | None = None
    uidnext: int | None = None
    read_only: bool = False


@dataclass(slots=True)
class _UnderWay:
    tag: str = ""
    parts: deque[bytes] = field(default_factory=deque)


class Imap4Client:
    """The replies of one connection, and the state that they amount to.

    ``capabilities`` is None while the server has not told them since the last change that could alter them
    (RFC 3501 sections 6.2.1 and 6.2.2). ``enabled`` is what ENABLE has switched on (RFC 5161).
    """

    def __init__(self) -> None:
        self.capabilities: frozenset[str] | None = None
        self.enabled: frozenset[str] = frozenset()
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

    @property
    def rev2(self) -> bool:
        """Whether IMAP4rev2 is spoken now: it is enabled, or all that there is (RFC 9051 section 6.3.1)."""
        offered = self.capabilities or frozenset()
        return "IMAP4REV2" in self.enabled or ("IMAP4REV2" in offered and "IMAP4REV1" not in offered)

    def offers(self, capability: str) -> bool:
        """Whether the server has this capability, given in capitals."""
        return capability in (self.capabilities or ()) or (self.rev2 and capability in REV2_BRINGS)

    def send(self, *words: Argument) -> bytes:
        """The bytes that begin a command; :meth:`proceed` has the rest where a literal must be asked for.

        A login may change the capabilities, and a SELECT leaves the folder: both are forgotten then.
        """
        self._count += 1
        tag = f"A{self._count}"
        parts = [tag.encode("ascii")]
        for word in words:
            if not isinstance(word, Literal):
                parts[-1] += b" " + word
            elif self._takes_unasked(len(word.data)):
                parts[-1] += b" {%d+}\r\n" % len(word.data) + word.data
            else:
                parts[-1] += b" {%d}\r\n" % len(word.data)
                parts.append(word.data)
        parts[-1] += b"\r\n"
        self._under_way = _UnderWay(tag, deque(parts[1:]))
        if words[0] in (b"LOGIN", b"AUTHENTICATE"):
            self.forget_capabilities()
        elif words[0] in (b"SELECT", b"EXAMINE"):
            self.folder = Folder()
        return parts[0]

    def _takes_unasked(self, size: int) -> bool:
        """Whether a literal may follow at once (RFC 7888)."""
        return self.offers("LITERAL+") or (self.offers("LITERAL-") and size <= SMALL_LITERAL)

    def proceed(self) -> bytes | None:
        """What the server's continuation asks for: the next literal, or None where there is none."""
        parts = self._under_way.parts
        return parts.popleft() if parts else None

    def is_answer(self, reply: Reply) -> bool:
        """Whether this reply ends the command under way."""
        return isinstance(reply, Status) and reply.tag != ""

    def forget_capabilities(self) -> None:
        """To be called after a TLS handshake, which changes them (RFC 3501 section 6.2.1)."""
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
        elif reply.code == "CLOSED":
            self.folder = Folder()  # what came before was about the folder that was left (RFC 9051 7.1)

    def _note_data(self, reply: Data) -> None:
        folder = self.folder
        if reply.word == "CAPABILITY":
            self.capabilities = _words(reply)
        elif reply.word == "ENABLED":
            self.enabled |= _words(reply)
        elif reply.word == "EXISTS":
            came = max(0, reply.number - folder.exists)
            folder.announced += came
            folder.arrived += came
            folder.exists = reply.number
        elif reply.word == "EXPUNGE":
            folder.expunged += 1
            folder.exists = max(0, folder.exists - 1)


def _words(reply: Data) -> frozenset[str]:
    return frozenset(
        word.decode("ascii", "replace").upper() for word in reply.values if isinstance(word, bytes)
    )


def goodbye(reply: Reply) -> RemoteFault | None:
    """The fault of a BYE, with which the server ends the connection (RFC 3501 section 7.1.5), or None."""
    return ended(reply) if isinstance(reply, Status) and reply.status == "BYE" else None


def ended(bye: Status) -> RemoteFault:
    """The fault of a BYE."""
    return RemoteFault(FaultCode.DISCONNECTED, f"the server ended the session: {bye.text}")
