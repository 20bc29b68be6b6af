"""Maintenance windows: the times for which an element's failures are announced. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Window:
    """A time of maintenance as it stands in a profile: weekly (``Sun 02:00-04:00``) or once, in UTC."""

    text: str

    @classmethod
    def parse(cls, raw: object) -> Self:
        """The window of a text.

        Raises:
            ValueError: it is none.
        """
        raise NotImplementedError

    def covers(self, at_us: int) -> bool:
        """Whether a moment (microseconds since the epoch) lies within."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.text
