"""What beat counts of its own work, and writes to Redis once a second."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence

from beat_schedule.grid import Due
from postbeat import slots
from postbeat.model import Pair
from postbeat.slots import Polled
from postbeat.store.beat import Stretch
from postbeat.store.facts import BeatFactsStore, Waits

WRITE_S = 1.0
ERROR_LENGTH = 2000


class Meter:
    """Counts in memory; ``write`` brings it to Redis when a second has passed.

    Args:
        profile: where the profile is.
        steady_s: a clock that nobody sets, in seconds.
    """

    def __init__(self, profile: str, steady_s: Callable[[], float] = time.monotonic) -> None:
        self._profile = profile
        self._steady_s = steady_s
        self._published = self._missed = 0
        self._lateness = Waits()
        self._reload: dict[str, str | int] = {}
        self._is_told = False  # of the reload
        self._write_at = 0.0

    def fired(self, polls: Iterable[Due], stretch: Stretch, took_s: float) -> None:
        """Polls were published, so long after their stretch was claimed.

        Those of the very first start were not due at any time, so none of them is late.
        """
        published_us = stretch.to_us + round(took_s * 1e6)
        for due in polls:
            self._published += 1
            if stretch.from_us is not None:
                self._lateness.add(max(0, published_us - due.due_us))

    def missed(self, count: int) -> None:
        """So many polls fell due and were not fired, or nobody knows whether they were."""
        self._missed += count

    def reloaded(self, error: str = "") -> None:
        """A profile was found; ``error`` says why it is not used.

        What the profile has in the faulty place is left out: it may be a secret in the wrong line.
        """
        shown = re.sub(r", got .*", "", error)[:ERROR_LENGTH]
        self._reload = {"reload_ok": int(not error), "reload_error": shown, "profile": self._profile}
        self._is_told = False

    def forgotten(self) -> None:
        """What was written may be lost: what is not counted is written again."""
        self._is_told = False

    def write(self, store: BeatFactsStore, now_us: int, pairs: int) -> None:
        """Writes what was counted, unless that was done less than a second ago.

        Raises:
            RedisError: Redis does not answer; what was counted is kept for the next time.
        """
        if self._steady_s() < self._write_at:
            return
        self._write_at = self._steady_s() + WRITE_S
        stands: dict[str, str | int] = {"at_us": now_us, "pairs": pairs}
        if self._reload and not self._is_told:
            self._reload.setdefault("reload_at_us", now_us)
            stands |= self._reload
        store.write(stands, self._lateness, published=self._published, missed=self._missed)
        self._is_told = True
        self._published = self._missed = 0
        self._lateness.clear()


def missed(pairs: Iterable[tuple[Pair, Polled]], stretch: Stretch, fired: Sequence[Due], grid_us: int) -> int:
    """How many polls of a stretch of time fell due and were not fired.

    A pair's latest poll speaks for those before it; after a longer absence, polls that are older than the
    grid, which begins at ``grid_us``, are not fired either.
    """
    from_us = stretch.from_us
    if from_us is None:
        return 0
    if from_us >= grid_us:
        return sum(due.poll.slot - _slot(due.poll.pair, due.element, from_us) - 1 for due in fired)
    due = sum(_slot(pair, one, stretch.to_us) - _slot(pair, one, from_us) for pair, one in pairs)
    return due - len(fired)


def _slot(pair: Pair, element: Polled, at_us: int) -> int:
    return slots.slot_at(pair, slots.poll_s(element), at_us)
