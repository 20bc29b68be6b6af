"""The sink ``jsonlines``: a JSON document in a line of its own, at the end of a file or by a socket."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import select
import stat
import struct
import termios
from pathlib import Path

from postbeat.sinks.addresses import Target
from postbeat.sinks.channel import Channel, NotDeliveredError
from postbeat.sinks.config import JsonLinesSink
from postbeat.sinks.notice import Notice

_MODE = 0o640
_LOOKS_S = (0.0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)  # between two looks, the last for ever


def jsonlines_channel(sink: JsonLinesSink) -> Channel:
    """The way to the sink's file or socket."""
    target = sink.target
    return FileChannel(target.path) if target.path is not None else SocketChannel(target, sink.timeout)


class FileChannel(Channel):
    """Appends to a file. One that was moved away or deleted is begun anew, in a folder that must be there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    async def deliver(self, notice: Notice) -> None:
        """Appends the document; it counts as delivered when the system has taken all of it."""
        await asyncio.to_thread(self._append, line_of(notice))

    async def close(self) -> None:
        """Closes the file."""
        self._close()

    def _append(self, line: bytes) -> None:
        try:
            file = self._opened()
            size = os.fstat(file).st_size
            # What is no whole line, as a power cut may have left it, stays alone.
            whole = size == 0 or os.pread(file, 1, size - 1) == b"\n"
            data = line if whole else b"\n" + line
            written = os.write(file, data)
            if written < len(data):
                _cut_back(file, size, written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self._close()
            raise NotDeliveredError(f"{self._path}: {error.strerror or type(error).__name__}") from None

    def _opened(self) -> int:
        if self._file is not None and not self._is_there(self._file):
            self._close()
        if self._file is None:
            # Without O_NONBLOCK a pipe that nobody reads would hold us up; with it, it is an error.
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
            self._file = os.open(self._path, flags, _MODE)
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise OSError(errno.EINVAL, "not a file")
        return self._file

    def _is_there(self, file: int) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(file))
        except FileNotFoundError:
            return False

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                os.close(file)


def _cut_back(file: int, size: int, written: int) -> None:
    """Takes back what was written of a line, where nothing has come after it."""
    if os.fstat(file).st_size == size + written:
        os.ftruncate(file, size)


class SocketChannel(Channel):
    """Writes to a socket that stays connected.

    There is no answer to wait for. A line counts as delivered when the receiver's system has confirmed it
    (TCP), or the receiver has read it (a socket of this machine), and the connection has not failed.
    """

    def __init__(self, target: Target, timeout_s: float) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._line: _Line | None = None

    async def deliver(self, notice: Notice) -> None:
        """Writes the document, over a new connection where the last has ended."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._sent(line_of(notice))
        except TimeoutError:
            await self.close()
            raise NotDeliveredError(f"{self._target} did not take it in time") from None
        except (OSError, UnicodeError) as error:  # the latter where no name server can be asked for the host
            await self.close()
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise NotDeliveredError(f"{self._target}: {reason}") from None
        except BaseException:
            await self.close()  # half a line may have gone out
            raise

    async def close(self) -> None:
        """Ends the connection."""
        line, self._line = self._line, None
        if line is not None:
            line.transport.abort()

    async def _sent(self, data: bytes) -> None:
        if self._line is None or self._line.is_over():
            await self.close()
            self._line = await self._connected()
        await self._line.send(data)

    async def _connected(self) -> _Line:
        loop, target = asyncio.get_running_loop(), self._target
        if target.socket:
            _, line = await loop.create_unix_connection(_Line, target.socket)
        else:
            _, line = await loop.create_connection(_Line, target.host, target.port)
        return line


class _Line(asyncio.Protocol):
    """One connection; what the receiver sends is not looked at."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self.transport = transport

    def eof_received(self) -> bool:
        return True  # we close it ourselves, when we know what has become of the last line

    def is_over(self) -> bool:
        """Whether the receiver has ended its side: it may not read any more."""
        return self._has_failed() or bool(self._events() & (select.POLLRDHUP | select.POLLHUP))

    async def send(self, data: bytes) -> None:
        """Writes, and waits until nothing of it is on the way.

        Raises:
            ConnectionResetError: the connection has failed before that, as it does when a receiver goes that
                has not read everything.
        """
        self.transport.write(data)
        looks = iter(_LOOKS_S)
        pause_s = 0.0
        while self._on_the_way():
            pause_s = next(looks, pause_s)
            await asyncio.sleep(pause_s)
        if self._has_failed():
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))

    def _on_the_way(self) -> bool:
        if self._has_failed():
            return False
        if self.transport.get_write_buffer_size():
            return True
        answer = fcntl.ioctl(self._fileno(), termios.TIOCOUTQ, bytes(4))
        return bool(struct.unpack("i", answer)[0])

    def _has_failed(self) -> bool:
        # The event loop closes the transport when it hears of an error; the system may know of it before.
        return self.transport.is_closing() or bool(self._events() & select.POLLERR)

    def _events(self) -> int:
        poll = select.poll()
        poll.register(self._fileno(), select.POLLRDHUP)
        return sum(events for _, events in poll.poll(0))

    def _fileno(self) -> int:
        return int(self.transport.get_extra_info("socket").fileno())


def line_of(notice: Notice) -> bytes:
    """The document of an event, in one line; in ASCII, as Unicode has other ends of lines."""
    return json.dumps(notice.as_data()).encode() + b"\n"
