"""Names of elements, and of environment variables: valid, and each only once. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from postbeat.elements import NAME_PATTERN

_NAME_LENGTH = 64


def is_valid(name: str) -> bool:
    """Whether an element may have this name."""
    return re.fullmatch(NAME_PATTERN.removeprefix("^").removesuffix("$"), name) is not None


def name_from(text: str) -> str:
    """A valid name that is as like a text as may be; "" where nothing of it can stand in a name."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    word = re.sub(r"[^A-Za-z0-9._-]+", "-", ascii_text).strip("._-")
    return word[:_NAME_LENGTH].rstrip("._-")


def variable_from(element: str, field: str) -> str:
    """The name of the environment variable for a secret of an element, such as ``INBOX_PASSWORD``."""
    word = re.sub(r"[^A-Z0-9]+", "_", f"{element}_{field}".upper())
    return f"_{word}" if word[0].isdigit() else word


class Taken:
    """Names that are in use."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = set(names)
        self._next: dict[tuple[str, str], int] = {}

    def unique(self, wanted: str, separator: str = "-") -> str:
        """The name, or the name with a number where it is in use; it is in use from now on."""
        name = wanted
        number = self._next.get((wanted, separator), 2)
        while name in self._names:
            suffix = f"{separator}{number}"
            name = wanted[: _NAME_LENGTH - len(suffix)] + suffix
            number += 1
        self._next[wanted, separator] = number
        self._names.add(name)
        return name
