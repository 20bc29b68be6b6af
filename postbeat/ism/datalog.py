"""The datalog: results as XML, one file for each element and day, in UTC.

``<folder>/<profile>/<element>/YYYYMMDD.xml``, as the ISM has it. The ISM's XML is not public; this one is
ours, and docs/ism-files.md describes it. :mod:`postbeat.ism.datalogfile` says how a file grows.
"""

from __future__ import annotations

import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from postbeat.ism.datalogfile import ENTRY_LIMIT, HEAD, HEAD_LIMIT, DatalogError, Known, Tell, add, silent
from postbeat.ism.datalogformat import DEFAULT, Format, xml_text
from postbeat.ism.values import Value

KEEP_DAYS = 30

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEYS_LIMIT = 500_000  # that are remembered, some 70 bytes each; other files are read anew for each entry
_FOLDER_MODE = 0o750
_KEY = re.compile(r"[A-Za-z0-9._@#/:+-]{1,200}")
_SAFE = re.compile(r"[A-Za-z0-9_@+=,-][A-Za-z0-9._@+=,-]*")
_SAFE_LENGTH = 200  # of the 255 bytes that names of files have
_NAME_SHOWN = 80  # characters of a name in the file itself: of ten bytes each, they fit into the head
_FILE = re.compile(r"([0-9]{8})\.xml")
_BEGUN = re.compile(r"\.([0-9]{8})\.xml\.[0-9]+\.new")  # what a process left that was killed


@dataclass(slots=True)
class _Trouble:
    """Why an element's entries cannot be written, and how many are missing by now."""

    why: str
    missing: int = 0


class Datalog:
    """The datalog of a profile. Not for use by several threads; several processes may share the folder.

    ``format`` may be replaced at any time, and is that of the entries from then on. Files of days that are
    more than ``keep_days`` before the newest result, or before ``now_s()``, are removed, and nothing else is.

    Nothing here raises for the files' sake: entries that cannot be written are counted (``lost``). ``tell``
    hears of the first of them, and how many there were as soon as its element's file can be written again.

    Raises:
        ValueError: ``keep_days`` is less than 1.
    """

    def __init__(
        self,
        folder: Path,
        profile: str,
        format: Format = DEFAULT,
        keep_days: int = KEEP_DAYS,
        now_s: Callable[[], float] = time.time,
        tell: Tell = silent,
    ) -> None:
        if keep_days < 1:
            raise ValueError("files of the datalog are kept for one day or more")
        self.format = format
        self.lost = 0
        self._root = Path(os.path.abspath(folder))
        self._profile = profile
        self._keep_days = keep_days
        self._now_s, self._tell = now_s, tell
        self._newest = date.min
        self._known: OrderedDict[Path, Known] = OrderedDict()
        self._keys = 0
        self._troubles: dict[str, _Trouble] = {}

    def path_of(self, element: str, at_us: int) -> Path:
        """The file that has an element's results of a moment (microseconds since the epoch).

        Raises:
            OverflowError: the moment is in no calendar.
        """
        return self._folder_of(element) / f"{_compact(_day(at_us))}.xml"

    def append(self, element: str, elements: Mapping[str, Value], at_us: int, key: str) -> Path:
        """Write a result, unless one with the same key is there already.

        Args:
            element: the name of the element; any text.
            elements: the ISM elements of its result.
            at_us: when it was there, in microseconds since the epoch. It decides the file.
            key: what tells the result from every other: letters, digits and ``._@#/:+-``, at most 200.

        Returns:
            The file, whether it could be written or not.

        Raises:
            ValueError: the key is none.
            OverflowError: the moment is in no calendar.
        """
        if _KEY.fullmatch(key) is None:
            raise ValueError(f"not a key: {key[:200]!r}")
        path = self.path_of(element, at_us)
        entry = self.format.entry(elements, key, at_us, ENTRY_LIMIT)
        self._sweep(_day(at_us))
        try:
            self._add(path, self._head(element, at_us), key, entry)
        except (OSError, DatalogError) as error:
            self._missed(element, path, error)
        else:
            self._written(element)
        return path

    def _folder_of(self, element: str) -> Path:
        return self._root / safe_name(self._profile) / safe_name(element)

    def _head(self, element: str, at_us: int) -> bytes:
        profile, name = (xml_text(text[:_NAME_SHOWN]) for text in (self._profile, element))
        start = f'<datalog version="1" profile="{profile}" element="{name}" day="{_day(at_us)}">'
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{start}\n'.encode()

    def _add(self, path: Path, head: bytes, key: str, entry: bytes) -> None:
        known = self._known.pop(path, None)
        self._keys -= len(known.keys) if known is not None else 0
        try:
            known = add(path, head, key, entry, known, self._tell)
        except FileNotFoundError:  # its folder, as the file itself is made
            for folder in (path.parent.parent, path.parent):
                folder.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
            known = add(path, head, key, entry, None, self._tell)
        self._known[path] = known
        self._keys += len(known.keys)
        while self._keys > _KEYS_LIMIT and len(self._known) > 1:
            _, forgotten = self._known.popitem(last=False)
            self._keys -= len(forgotten.keys)

    def _missed(self, element: str, path: Path, error: OSError | DatalogError) -> None:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        if all(trouble.why != why for trouble in self._troubles.values()):
            self._tell("ERROR", f"cannot write the datalog {path}: {why}")
        trouble = self._troubles.setdefault(element, _Trouble(why))
        trouble.why = why
        trouble.missing += 1
        self.lost += 1

    def _written(self, element: str) -> None:
        if (trouble := self._troubles.pop(element, None)) is not None:
            missing = f"entries missing: {trouble.missing} ({trouble.why})"
            self._tell("WARNING", f"the datalog of {element} is written again; {missing}")

    def _sweep(self, day: date) -> None:
        """Remove what is too old, once for each new day."""
        # A result of the far future, as of a wrong clock, must neither make everything old nor keep it.
        today = min(day, datetime.fromtimestamp(self._now_s(), UTC).date())
        if today <= self._newest:
            return
        self._newest = today
        oldest = _compact(date.fromordinal(max(today.toordinal() - self._keep_days, 1)))
        for path in [path for path in self._known if path.stem < oldest]:
            self._keys -= len(self._known.pop(path).keys)
        for folder in _folders(self._root / safe_name(self._profile)):
            try:
                _remove_old(folder, oldest)
            except OSError as error:
                self._tell("WARNING", f"cannot remove old files of the datalog in {folder}: {error.strerror}")


def safe_name(text: str) -> str:
    """A text as the name of a folder: different for each, never ``..``, without ``/``, of any length.

    What is not safe is there as ``%`` and its bytes in hexadecimal.
    """
    if _SAFE.fullmatch(text) is not None and len(text) <= _SAFE_LENGTH:
        return text
    name = "".join(
        char
        if _SAFE.fullmatch(char) is not None or (char == "." and at)
        else "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
        for at, char in enumerate(text)
    )
    if not name or len(name) > _SAFE_LENGTH:
        digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        name = f"{name[:100]}%-{digest}"
    return name


def _day(at_us: int) -> date:
    return (_EPOCH + timedelta(microseconds=at_us)).date()


def _compact(day: date) -> str:
    return day.isoformat().replace("-", "")


def _folders(parent: Path) -> Iterator[str]:
    with suppress(OSError), os.scandir(parent) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                yield entry.path


def _remove_old(folder: str, oldest: str) -> None:
    """Remove the files of days before one (``YYYYMMDD``) in a folder, and the folder if nothing is left."""
    removed = 0
    with os.scandir(folder) as found:
        for entry in found:
            if not entry.is_file(follow_symlinks=False):
                continue
            day, begun = _FILE.fullmatch(entry.name), _BEGUN.fullmatch(entry.name)
            if (day and day[1] < oldest and _is_ours(entry.path)) or (begun and begun[1] < oldest):
                os.unlink(entry.path)
                removed += 1
    if removed:
        with suppress(OSError):
            os.rmdir(folder)


def _is_ours(path: str) -> bool:
    with open(path, "rb") as file:
        return HEAD.match(file.read(HEAD_LIMIT)) is not None
