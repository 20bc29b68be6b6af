"""Lines and literals out of bytes that come in any split, with a limit on every size.

What a server sends is never trusted to be short: each limit says what it protects. Everything malformed
is a :class:`~postbeat.model.RemoteFault` that shows the offending line, bounded and printable.
"""

from __future__ import annotations

from postbeat.model import FaultCode, LocalFault, RemoteFault

# Bytes held of one connection. Protects the worker's memory where a server floods us: a stream hands over
# 1 MiB and one read of the loop at most, and it is asked for more only when no reply is complete.
HELD_LIMIT = 4 << 20
# Characters shown of an offending line. Protects results, events and logs, which all repeat it.
SHOWN_LIMIT = 100
# Characters kept of what a server says to people. Longer texts are advertising.
TEXT_LIMIT = 200

_FORBIDDEN = ("\r", "\n", "\0")


def shown(line: bytes, limit: int = SHOWN_LIMIT) -> str:
    """A line fit for a message: UTF-8 where it is that, printable, at most ``limit`` characters."""
    # A character has four bytes at most, so what is cut off here could not have been shown.
    text = line[: 4 * limit].decode("utf-8", "backslashreplace")
    if not text.isprintable():
        text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def malformed(what: str, line: bytes) -> RemoteFault:
    """The fault for an answer that is not in the protocol."""
    return RemoteFault(FaultCode.PROTOCOL, f"{what}: {shown(line)}")


def argument(text: str, what: str, code: FaultCode = FaultCode.SECRET) -> bytes:
    """The UTF-8 of a command's argument that cannot end the command's line.

    Raises:
        LocalFault: it holds CR, LF or NUL. The message names ``what``, never the text.
    """
    if any(char in text for char in _FORBIDDEN):
        raise LocalFault(code, f"{what} holds a line break or a NUL, which no command can carry")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise LocalFault(code, f"{what} holds a character that UTF-8 does not have") from None


class LineBuffer:
    """Bytes in, lines and literals out. A line may end with CRLF or, leniently, with LF alone."""

    __slots__ = ("_data", "_searched", "_skipping")

    def __init__(self) -> None:
        self._data = bytearray()
        self._searched = 0
        self._skipping = False

    def __len__(self) -> int:
        return len(self._data)

    def receive(self, data: bytes) -> None:
        """Takes bytes in, however they are split.

        Raises:
            RemoteFault: more than HELD_LIMIT bytes lie unread.
        """
        if len(self._data) + len(data) > HELD_LIMIT:
            raise RemoteFault(
                FaultCode.PROTOCOL, f"the server sent more than {HELD_LIMIT} bytes that were not asked for"
            )
        self._data += data

    def line(self, limit: int, *, cut: bool = False) -> bytes | None:
        """The next line without its end, or None while it is incomplete.

        A line of more than ``limit`` bytes is a fault, or is cut to ``limit`` bytes where ``cut`` is true:
        a stranger's mail may hold a line of any length, and must not make a mailbox unreadable.

        Raises:
            RemoteFault: the line is longer than ``limit`` bytes.
        """
        if self._skipping and not self._skip():
            return None
        end = self._data.find(b"\n", self._searched)
        # One byte more than the limit is let pass, as it may be the CR of the line's end.
        if (len(self._data) if end < 0 else end) > limit + 1:
            return self._over_long(limit, end, cut=cut)
        if end < 0:
            self._searched = len(self._data)
            return None
        line = bytes(self._data[: end - 1 if end and self._data[end - 1] == 0x0D else end])
        self._drop(end + 1)
        return line

    def peek(self, size: int) -> bytes:
        """The first ``size`` bytes, or as many as are there, which stay where they are."""
        return bytes(self._data[:size])

    def take(self, size: int) -> bytes | None:
        """Exactly ``size`` bytes (a literal), or None while they are not all there."""
        if len(self._data) < size:
            return None
        data = bytes(self._data[:size])
        self._drop(size)
        return data

    def _over_long(self, limit: int, end: int, *, cut: bool) -> bytes:
        head = bytes(self._data[:limit])
        if not cut:
            raise malformed(f"the server sent a line of more than {limit} bytes", head)
        if end < 0:
            self._skipping = True
            self._drop(len(self._data))
        else:
            self._drop(end + 1)
        return head

    def _skip(self) -> bool:
        end = self._data.find(b"\n")
        self._skipping = end < 0
        self._drop(len(self._data) if end < 0 else end + 1)
        return not self._skipping

    def _drop(self, size: int) -> None:
        del self._data[:size]
        self._searched = 0
