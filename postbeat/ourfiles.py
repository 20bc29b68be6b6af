"""What is made of files of ours: read within a limit, kept, and made anew when the file changes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Generic, TypeVar

from postbeat.model import FaultCode, LocalFault

KEPT = 256  # files; more of them are read anew each time, so that memory stays bounded

T = TypeVar("T")
_Stamp = tuple[int, int, int, int]


class Made(Generic[T]):
    """What ``make(data, path)`` makes of each file, kept until the file changes.

    ``what`` names the kind of file in messages: "the message file". ``make`` raises LocalFault for a file
    that cannot be used.
    """

    def __init__(self, what: str, limit_bytes: int, make: Callable[[bytes, str], T]) -> None:
        self._what = what
        self._limit_bytes = limit_bytes
        self._make = make
        self._kept: dict[str, tuple[_Stamp, T]] = {}

    def of(self, path: str) -> T:
        """What the file makes; the same object as long as the file is the same.

        Raises:
            LocalFault: it is missing, unreadable, too large, or cannot be used.
        """
        try:
            found = os.stat(path)
            if not stat.S_ISREG(found.st_mode):
                raise LocalFault(FaultCode.FILE, f"{self._what} {path} is not a file")
            stamp = _stamp(found)
            kept = self._kept.get(path)
            if kept is not None and kept[0] == stamp:
                return kept[1]
            data, stamp = self._read(path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a path"
            raise LocalFault(FaultCode.FILE, f"cannot read {self._what} {path}: {reason}") from error
        made = self._make(data, path)
        if len(self._kept) < KEPT or path in self._kept:
            self._kept[path] = (stamp, made)
        return made

    def _read(self, path: str) -> tuple[bytes, _Stamp]:
        # Should it be a named pipe by now, without O_NONBLOCK this would wait for whoever writes to it.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            stamp = _stamp(os.fstat(file.fileno()))
            data = file.read(self._limit_bytes + 1)
        if len(data) > self._limit_bytes:
            raise LocalFault(FaultCode.FILE, f"{self._what} {path} is larger than {self._limit_bytes} bytes")
        return data, stamp


def _stamp(found: os.stat_result) -> _Stamp:
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
