"""Files that appear whole, or not at all, and never in the place of another one by mistake."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

PRIVATE_MODE = 0o600
_PUBLIC_MODE = 0o666  # what the umask leaves of it


def write_text(path: Path, text: str, *, force: bool, mode: int | None = None) -> None:
    """Writes a file in UTF-8 in one step. Its mode is what the umask leaves, where none is given.

    With ``force``, a link stays one, as what it leads to is written; and a file that was there keeps its
    owner and its group, as far as we may give them.

    Raises:
        FileExistsError: it exists, and ``force`` is not set.
        OSError: it cannot be written.
    """
    before = None
    if force:
        path = Path(os.path.realpath(path))
        with suppress(FileNotFoundError):
            before = path.stat()
    descriptor, place = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if before is not None:
            for owner, group in ((-1, before.st_gid), (before.st_uid, -1)):
                with suppress(OSError):
                    os.chown(place, owner, group)
        os.chmod(place, _PUBLIC_MODE & ~_umask() if mode is None else mode)
        if force:
            os.replace(place, path)
        else:
            _claim(Path(place), path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(place)


def _claim(place: Path, path: Path) -> None:
    """Gives a file another name, unless something has that by now, which no check before a rename tells."""
    try:
        os.link(place, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without such links: here a crash may leave an empty file
        with path.open("x"):
            os.replace(place, path)


def mode_of(path: Path, default: int) -> int:
    """The permissions of a file, or the default where there is none.

    Raises:
        OSError: it cannot be looked at.
    """
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return default


def _umask() -> int:
    """The mask of new files, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
