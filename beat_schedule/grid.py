"""Which polls are due when. Pure: time is an argument."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from postbeat import slots
from postbeat.model import Pair, Poll
from postbeat.slots import Polled


@dataclass(frozen=True, slots=True)
class Due:
    """A poll whose time has come."""

    poll: Poll
    element: Polled
    due_us: int
    expires_us: int


class Grid:
    """The polls of a profile from a moment on, in the order of their times."""

    def __init__(self, pairs: Iterable[tuple[Pair, Polled]], from_us: int) -> None:
        self._pairs = list(pairs)
        self._heap: list[tuple[int, int]] = []
        for index, (pair, element) in enumerate(self._pairs):
            poll_s = slots.poll_s(element)
            slot = slots.slot_at(pair, poll_s, from_us) + 1
            self._heap.append((slots.due_us(pair, poll_s, slot), index))
        heapq.heapify(self._heap)

    def __len__(self) -> int:
        return len(self._pairs)

    def next_us(self) -> int | None:
        """When the next poll is due, or None for a grid without pairs."""
        return self._heap[0][0] if self._heap else None

    def due(self, to_us: int) -> Iterator[Due]:
        """The polls that are due up to a moment, and not expired by it.

        A pair gives at most one: its latest. A poll expires one interval after it was due, for then the next
        one speaks for it.
        """
        while self._heap and self._heap[0][0] <= to_us:
            due_us, index = self._heap[0]
            pair, element = self._pairs[index]
            poll_s = slots.poll_s(element)
            slot = slots.slot_at(pair, poll_s, to_us)
            next_us = slots.due_us(pair, poll_s, slot + 1)
            heapq.heapreplace(self._heap, (next_us, index))
            latest_us = max(due_us, slots.due_us(pair, poll_s, slot))
            yield Due(Poll(pair.element, pair.region, slot), element, latest_us, next_us)

    def current(self, at_us: int) -> Iterator[Due]:
        """The poll of every pair that is current at a moment, due or not: for the very first start."""
        for pair, element in self._pairs:
            poll_s = slots.poll_s(element)
            slot = slots.slot_at(pair, poll_s, at_us)
            due_us = slots.due_us(pair, poll_s, slot)
            expires_us = due_us + 2 * slots.interval_us(poll_s)
            yield Due(Poll(pair.element, pair.region, slot), element, due_us, expires_us)
