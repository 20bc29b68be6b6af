"""The replies of an SMTP server (RFC 5321 section 4.2) out of bytes that come in any split."""

from __future__ import annotations

import re
from typing import NamedTuple

from postbeat.wire.line import LineBuffer, malformed

LINE_LIMIT = 8192  # bytes of a line; the RFC allows 512, and servers do not keep to it
# Bytes of a whole reply. Protects memory from endless continuation lines; a real EHLO has a few KB.
REPLY_LIMIT = 32 * 1024
LINES_LIMIT = 1000  # of a reply; protects the loop's time, as the shortest are no more than a code

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)
_WHITE = b" \t\r"


class Reply(NamedTuple):
    """A reply: its code, and its lines with LF between them."""

    code: int
    message: str


class Replies:
    """Bytes in, replies out. A line may end with CRLF or, leniently, with LF alone."""

    __slots__ = ("_code", "_lines", "_size", "_texts", "unread")

    def __init__(self) -> None:
        self._lines = LineBuffer()
        self._texts: list[bytes] = []
        self._code = b""
        self._size = 0  # bytes of the lines before the one that ends the reply
        self.unread = 0  # bytes that belong to no reply yet

    def begins(self, code: bytes) -> bool:
        """Whether what is unread can be the beginning of a reply with this code."""
        seen = self._code or self._lines.peek(len(code))
        return code.startswith(seen)

    def receive(self, data: bytes) -> None:
        """Takes bytes in, however they are split.

        What comes after more than a reply can have is dropped: that much is a fault, whatever follows.
        """
        if len(self._lines) <= REPLY_LIMIT:
            self._lines.receive(data)
            self.unread += len(data)

    def next_reply(self) -> Reply | None:
        """The next reply, or None while it is not all there.

        Raises:
            RemoteFault: PROTOCOL where it is none, or is too long.
        """
        while (line := self._lines.line(LINE_LIMIT)) is not None:
            match = _LINE.fullmatch(line)
            if match is None:
                raise malformed("the server's answer is not SMTP", line)
            code, more, text = match.groups()
            if self._code not in (b"", code):
                raise malformed(f"the server's answer begins with {self._code.decode()} and goes on", line)
            self._texts.append((text or b"").strip(_WHITE))
            if more != b"-":
                return self._complete(int(code))
            self._code = code
            self._size += len(line) + 1
            if self._size > REPLY_LIMIT:
                raise malformed(f"the server's answer has more than {REPLY_LIMIT} bytes", line)
            if len(self._texts) == LINES_LIMIT:
                raise malformed(f"the server's answer has more than {LINES_LIMIT} lines", line)
        return None

    def _complete(self, code: int) -> Reply:
        # As bytes that are no UTF-8 may be a challenge, they are kept.
        reply = Reply(code, b"\n".join(self._texts).decode("utf-8", "surrogateescape"))
        self._texts.clear()
        self._code, self._size = b"", 0
        self.unread = len(self._lines)
        return reply
