"""The log file of a monitor, such as smtp.log: a line for every entry, rotated by size, reopened when moved.

What the lines look like is in :mod:`postbeat.ism.logline`.
"""

from __future__ import annotations

import fcntl
import io
import logging
import os
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from logging.handlers import RotatingFileHandler, WatchedFileHandler
from pathlib import Path
from typing import Self, TextIO

from postbeat.ism.logline import LineFormatter, level_number, record_of, told
from postbeat.ism.values import Value, as_int

_MODE = 0o640
_FOLDER_MODE = 0o750
# A line goes out in one write, so that two processes never mix theirs: it must fit in the buffer. A character
# takes ten bytes at most, as the escape \UXXXXXXXX.
_BUFFER_BYTES = 64 << 10


class LogFileError(Exception):
    """The log file cannot be opened; the message names it and says why."""


class LogFile:
    """A log file that is open. Its folder is created where it is missing. Threads may share it.

    Without a path it is standard error, which is neither rotated nor opened again.

    ``level`` is the least that is written. After ``max_bytes`` (0: never) the file becomes ``.1``, ``.1``
    becomes ``.2``, and so on; ``keep`` of these are kept, at least one. ``monitor`` stands in the lines;
    without it, it is the file's name without its ending.

    Once it is open nothing here raises for the file's sake: lines that cannot be written are counted
    (``lost``), and the file says how many are missing as soon as it can be written again.

    Raises:
        LogFileError: it cannot be opened.
        ValueError: ``level`` is no level, or a number is too small.
    """

    def __init__(
        self,
        path: Path | None,
        level: str = "info",
        max_bytes: int = 1 << 20,
        keep: int = 5,
        monitor: str = "",
    ) -> None:
        if max_bytes < 0 or keep < 1:
            raise ValueError("a log is rotated after 0 bytes (never) or more, and one file or more is kept")
        number = level_number(level)
        self._handler: _Handler | _Stderr
        try:
            self._handler = _Stderr() if path is None else _Handler(path, max_bytes, keep)
        except (OSError, ValueError) as error:
            raise LogFileError(f"cannot open the log {path}: {_reason(error)}") from error
        self._handler.setLevel(number)
        self._handler.setFormatter(LineFormatter(monitor or (path.stem if path is not None else "")))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    @property
    def lost(self) -> int:
        """Lines that could not be written since the last one that could."""
        return self._handler.lost

    def write(self, level: str, text: str, at_us: int | None = None) -> None:
        """Write one entry.

        Args:
            level: its name, such as ``INFO``.
            text: what happened, in any characters.
            at_us: when, in microseconds since the epoch; None is now.

        Raises:
            ValueError: ``level`` is no level.
        """
        self._emit(level, text, at_us, "")

    def result(self, elements: Mapping[str, Value], at_us: int | None = None) -> None:
        """Write one result, with its ``$message`` as text, at the time of the result.

        A GOOD one is INFO, a FAILED one ERROR; a MARGINAL or UNKNOWN one is WARNING.

        Args:
            elements: its ISM elements.
            at_us: when it was there, where that is known better than by ``$time``, which has no fraction.
        """
        level, about, text = told(elements)
        if at_us is None and "time" in elements:
            at_us = as_int(elements["time"]) * 1_000_000
        self._emit(level, text, at_us, about)

    def reopen(self) -> None:
        """Open the file anew, as it has been moved away; not within a signal handler."""
        self._handler.reopen()

    def close(self) -> None:
        """Close the file; what is written afterwards opens it again."""
        self._handler.close()

    def _emit(self, level: str, text: str, at_us: int | None, about: str) -> None:
        number = level_number(level)
        if number < self._handler.level:
            return
        self._handler.handle(record_of(number, text, at_us, about))


def _reason(error: BaseException | None) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


class _Stderr(logging.StreamHandler[TextIO]):
    """Standard error. Nobody could be told of what cannot be written there."""

    lost = 0

    def handleError(self, record: logging.LogRecord) -> None:
        """Count a line that could not be written."""
        self.lost += 1

    def reopen(self) -> None:
        """Leave it as it is."""


class _Handler(RotatingFileHandler, WatchedFileHandler):
    """The library's two handlers in one, which several processes may share, and which nothing stops."""

    def __init__(self, path: Path, max_bytes: int, keep: int) -> None:
        self.lost = 0
        self._lost_why = ""
        self._kept_back = ""  # why the file could not be rotated
        self.dev = self.ino = -1
        RotatingFileHandler.__init__(self, path, maxBytes=max_bytes, backupCount=keep, encoding="utf-8")
        self._statstream()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record's line, in the file that has the name by now."""
        try:
            line = self.format(record)
            self._ready(len(line.encode()))
            if self.lost:
                self._put(self._told(f"lines missing here: {self.lost} ({self._lost_why})"))
                self.lost = 0
            self._put(line)
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Count a line that could not be written; the first one is told on standard error."""
        self._lost_why = _reason(sys.exc_info()[1])
        self.lost += 1
        self._let_go()
        if self.lost == 1:
            with suppress(Exception):
                print(f"cannot write the log {self.baseFilename}: {self._lost_why}", file=sys.stderr)

    def reopen(self) -> None:
        """Close the file, and open the one that has its name by now."""
        self.acquire()
        try:
            self._reopened()
        except OSError:
            pass  # the next line tells
        finally:
            self.release()

    def doRollover(self) -> None:
        """Rotate the files, unless another process is just doing it."""
        held = os.dup(self._fileno())  # holds the lock while the stream is closed
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.reopenIfNeeded()
            if os.path.samestat(os.fstat(held), os.fstat(self._fileno())):
                super().doRollover()
            self._kept_back = ""
        except BlockingIOError:
            return
        except OSError as error:
            self._reopened()
            if self._kept_back != _reason(error):
                self._kept_back = _reason(error)
                self._put(self._told(f"the log cannot be rotated: {self._kept_back}"))
        finally:
            os.close(held)
        self._statstream()

    def _ready(self, line_bytes: int) -> None:
        self.reopenIfNeeded()
        if self.maxBytes:
            found = os.fstat(self._fileno())
            if found.st_size and found.st_size + line_bytes >= self.maxBytes and stat.S_ISREG(found.st_mode):
                self.doRollover()

    def _reopened(self) -> io.TextIOWrapper:
        self._let_go()
        stream = self._open()
        self.stream = stream
        self._statstream()
        return stream

    def _put(self, line: str) -> None:
        stream = self._opened()
        stream.write(f"{line}\n")
        stream.flush()

    def _opened(self) -> io.TextIOWrapper:
        return self.stream or self._reopened()

    def _fileno(self) -> int:
        return self._opened().fileno()

    def _told(self, text: str) -> str:
        return self.format(record_of(logging.WARNING, text, None))

    def _let_go(self) -> None:
        stream, self.stream = self.stream, None
        if stream is not None:
            with suppress(OSError, ValueError):
                stream.close()

    def _open(self) -> io.TextIOWrapper:
        os.makedirs(os.path.dirname(self.baseFilename), _FOLDER_MODE, exist_ok=True)
        is_torn = _is_torn(self.baseFilename)
        stream = open(self.baseFilename, "a", _BUFFER_BYTES, encoding="utf-8", opener=_opener)  # noqa: SIM115
        if is_torn:
            stream.write("\n")
        return stream


def _opener(path: str, flags: int) -> int:
    # A named pipe that nobody reads must not make us wait.
    return os.open(path, flags | os.O_NONBLOCK, _MODE)


def _is_torn(path: str) -> bool:
    """Whether a file ends within a line, as after a full disk."""
    try:
        with open(path, "rb", opener=_opener) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode) or not file.seek(0, os.SEEK_END):
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:
        return False
