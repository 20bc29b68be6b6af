"""Waiting for what a real server does a moment later."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
DEADLINE_S = 30.0


def until(look: Callable[[], T | None]) -> T:
    """Looks again and again until something is found; returns it."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not (found := look()):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    return found
