"""Files that appear whole, or not at all, and never in the place of another one by mistake."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

_PUBLIC_MODE = 0o666  # what the umask leaves of it


def write_text(path: Path, text: str, *, force: bool, private: bool) -> None:
    """Writes a file in UTF-8 in one step; ``private`` ones are only for their owner.

    Raises:
        FileExistsError: it exists, and ``force`` is not set.
        OSError: it cannot be written.
    """
    descriptor, place = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if not private:
            os.chmod(place, _PUBLIC_MODE & ~_umask())
        if force:
            os.replace(place, path)
        else:
            os.link(place, path)  # which, unlike a check before a rename, fails where something is by now
    finally:
        with suppress(FileNotFoundError):
            os.unlink(place)


def _umask() -> int:
    """The mask of new files, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
