"""One file of the datalog: an XML document that grows, and is well-formed at every moment.

An entry is added in two writes. The document ends with its end tag and a processing instruction (PI)::

    </datalog><?end?>

The first write appends the entry *within another PI*, followed by a new end. Whoever reads the file now sees
the document as it was, and after its end tag two PIs, which XML allows there (XML 1.0 section 2.8)::

    </datalog><?end?>
    <?next --><entry .../>
    </datalog><?end?>

The second write puts ``!--`` for three bytes of the old end tag. So it becomes a comment, which ends where
the entry begins, and the document has one entry more::

    <!--talog><?end?>
    <?next --><entry .../>
    </datalog><?end?>

- A process that is killed leaves one of these two. Each write lies within one page (blanks fill up the page
  before, where it would not), and the kernel completes a page before it heeds a signal.
- A reader that takes the file in pieces, while it grows, has read the old end tag or not. If so, all that
  comes later is PIs to it; if not, it has read nothing that changes any more. Pieces begin at pages too, or
  where the file ended.
- It costs the same however long the file is.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PAGE_BYTES = 4096

_END = b"</datalog><?end?>\n"
_SEAM = b"!--"  # what comes in the place of three bytes of the end tag, behind its <
_SHOWN = b"<" + _SEAM + _END[1 + len(_SEAM) :]  # what the end becomes
_NEXT = b"<?next -->"

HEAD_LIMIT = 2048  # bytes of what stands before the first entry
ENTRY_LIMIT = PAGE_BYTES - len(_NEXT) - len(_END) - 1

HEAD = re.compile(rb'<\?xml version="1\.0" encoding="UTF-8"\?>\n<datalog version="1"[^<>\n\0]*>\n')
_ENTRY = re.compile(rb' *<\?next --><entry id="([^"<>\n\0]*)" at=[^\n\0]*(?:/>|</entry>)\n')

_FILE_MODE = 0o640
_TRIES = 100  # for the lock, which is held for microseconds
_TRY_S = 0.005


Tell = Callable[[str, str], object]  # takes the name of a level, and what should be known


def silent(level: str, text: str) -> None:
    """Tells nobody."""


class DatalogError(Exception):
    """A file of the datalog cannot be written; the message does not name it."""


@dataclass(slots=True)
class Known:
    """What a file is known to hold, as long as its stamp is the same.

    ``end`` is the offset of its end tag; ``keys`` are the keys of its entries, as hashes: a day may have very
    many.
    """

    stamp: tuple[int, int, int]
    end: int
    size: int
    keys: set[int]


def add(path: Path, head: bytes, key: str, entry: bytes, known: Known | None, tell: Tell = silent) -> Known:
    """Add an entry to a file, unless one with its key is there already.

    A file that is missing begins with ``head``; one that is damaged is set right beforehand, and kept as it
    was as ``.damaged1``.

    Args:
        path: the file; its folder exists.
        head: the XML declaration and the start tag, as in HEAD.
        key: what tells the entry from every other in the file; it is its ``id``.
        entry: the XML of the entry, on one line.
        known: what this function returned for the file, or None.
        tell: is told of a file that was damaged.

    Raises:
        OSError: it cannot be written.
        DatalogError: it is not one of ours, or another process does not let go of it.
    """
    with _opened(path, head) as fd:
        is_whole = True
        if known is None or known.stamp != _stamp(fd):
            known, is_whole = _read(fd)
        if not is_whole:
            kept = _mend(fd, path, known.end)
            tell("WARNING", f"{path} was damaged; what could not be read of it is in {kept}")
        elif hash(key) not in known.keys:
            _append(fd, entry, known)
            known.keys.add(hash(key))
    return known if is_whole else add(path, head, key, entry, None, tell)


def _append(fd: int, entry: bytes, known: Known) -> None:
    body = _NEXT + entry + b"\n" + _END
    room = -known.size % PAGE_BYTES
    blanks = room if len(body) > room else 0
    try:
        _write(fd, b" " * blanks + body, known.size)
        _write(fd, _SEAM, known.end + 1)
    except OSError:
        # A disk is full. What is not shown yet must not stay there in part.
        with suppress(OSError):
            os.ftruncate(fd, known.size)
        known.stamp = (0, 0, 0)
        raise
    known.size += blanks + len(body)
    known.end = known.size - len(_END)
    known.stamp = _stamp(fd)


def _write(fd: int, data: bytes, offset: int) -> None:
    written = os.pwrite(fd, data, offset)
    if written != len(data):
        raise OSError(f"{written} of {len(data)} bytes could be written")


@contextmanager
def _opened(path: Path, head: bytes) -> Iterator[int]:
    """The file, and nobody else writes to it."""
    for _ in range(_TRIES):
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            _create(path, head)
            continue
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise DatalogError("it is not a file")
            if _is_locked(fd) and _is_still(fd, path):
                yield fd
                return
        finally:
            os.close(fd)
        time.sleep(_TRY_S)
    raise DatalogError("another process does not let go of it")


def _is_locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(fd: int, path: Path) -> bool:
    """Whether a file still has its name: it may have been replaced before we had the lock."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _create(path: Path, head: bytes) -> None:
    """Make a file without entries. It is whole when it appears."""
    new = _new(path, head + _END)
    try:
        os.link(new, path)
    except FileExistsError:
        pass  # another process was quicker
    finally:
        os.unlink(new)


def _new(path: Path, data: bytes) -> str:
    new = f"{path.parent}/.{path.name}.{os.getpid()}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(new, flags, _FILE_MODE)
    try:
        with open(fd, "wb") as file:
            file.write(data)
    except OSError:
        os.unlink(new)
        raise
    return new


def _read(fd: int) -> tuple[Known, bool]:
    """What a file holds, and whether nothing else is in it.

    An entry that was written but not shown, as a process was killed in between, is shown now.
    """
    size, keys = os.fstat(fd).st_size, set()
    with open(fd, "rb", closefd=False) as file:
        head = file.readline(HEAD_LIMIT) + file.readline(HEAD_LIMIT)
        if HEAD.fullmatch(head) is None:
            raise DatalogError("it is no datalog of ours")
        at = len(head)
        while True:
            mark = file.readline(len(_END))
            line = file.readline(2 * PAGE_BYTES)
            found = _ENTRY.fullmatch(line)
            after = at + len(mark) + len(line)
            if found is None:
                break
            if mark == _END and os.pread(fd, len(_END), after) == _END:
                _write(fd, _SEAM, at + 1)
            elif mark != _SHOWN:
                break
            keys.add(hash(found[1].decode("ascii", "replace")))
            at = after
    is_whole = mark == _END and not line.strip(b" ") and after == size
    return Known(_stamp(fd), at, size, keys), is_whole


def _mend(fd: int, path: Path, end: int) -> str:
    """Put another file in the place of one that is damaged behind an offset. Returns where it is kept."""
    new = _new(path, os.pread(fd, end, 0) + _END)
    try:
        kept = next(_kept(path))
        os.replace(new, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(new)
    return kept


def _kept(path: Path) -> Iterator[str]:
    """The first name under which a file could be kept as well."""
    for number in range(1, _TRIES):
        name = f"{path}.damaged{number}"
        with suppress(FileExistsError):
            os.link(path, name)
            yield name
    raise DatalogError("it is damaged, and it was too often")


def _stamp(fd: int) -> tuple[int, int, int]:
    found = os.fstat(fd)
    return found.st_ino, found.st_size, found.st_mtime_ns
