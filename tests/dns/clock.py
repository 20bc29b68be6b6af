"""A clock that stands where a test puts it."""

from __future__ import annotations


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s
