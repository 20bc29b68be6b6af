"""The table of alerts in memory: what occurrences make of its rows, one after another. Pure.

Time is that of each occurrence, and nothing but the rows is remembered: so the table is the same however
occurrences are divided into batches and processes.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterable, Iterator

from postbeat.alerts import (
    PROBLEM,
    RESOLUTION,
    Alert,
    AlertEvent,
    Change,
    Occurrence,
    cleared,
    inserted,
    merged,
    resolves,
)

ROWS_LIMIT = 100_000
KEPT_US = (
    3_600_000_000  # a cleared row, or one of information, is dropped when it has not changed for so long
)
_SLACK = 1000  # stale entries that a heap may hold in any case

Heap = list[tuple[int, str]]  # (state_change_us, identifier); entries that are not true any more stay a while


class AlertTable:
    """Rows by Identifier, at most ``limit``: the oldest passing ones make room first, then the oldest."""

    def __init__(self, rows: Iterable[Alert] = (), limit: int = ROWS_LIMIT) -> None:
        self.rows: dict[str, Alert] = {}
        self._limit = limit
        self._problems: dict[tuple[str, str, str, str], set[str]] = {}  # those that are open, by matter
        self._oldest: Heap = []
        self._over: Heap = []  # of passing rows
        self._undo: dict[str, Alert | None] = {}
        for row in rows:
            self.put(row)
        self.keep()

    def put(self, row: Alert) -> None:
        """Sets a row as it is."""
        self._set(row.identifier, row)

    def remove(self, identifier: str) -> None:
        """Drops a row, if it is there."""
        self._set(identifier, None)

    def apply(self, occurrence: Occurrence) -> Iterator[AlertEvent]:
        """What an occurrence changes, in order; each change is made when it is yielded."""
        event = occurrence.alert
        yield from self._expired(event.state_change_us)
        row = self.rows.get(event.identifier)
        if row is None:
            after, change = inserted(event), Change.INSERTED
        else:
            after, change = merged(row, event, occurrence.update)
        self._set(after.identifier, after)
        yield AlertEvent(change, after, None if row is None else row.severity)
        if event.type == RESOLUTION:
            yield from self._resolved(event)
        while len(self.rows) > self._limit:
            oldest = self._top(self._over, is_over=True) or self._top(self._oldest, is_over=False)
            if oldest is None:
                raise AssertionError("rows are in the heap of all")
            yield self._deleted(oldest)

    def left(self, pairs: Container[str], at_us: int) -> Iterator[AlertEvent]:
        """Clears what is open of pairs that are not among these; what is about no pair stays."""
        for row in list(self.rows.values()):
            if row.is_open and row.region and f"{row.element}@{row.region}" not in pairs:
                yield self._cleared(row, at_us)

    def keep(self) -> None:
        """What was changed up to now stays: :meth:`undo` goes back to here."""
        self._undo.clear()

    def undo(self) -> None:
        """Takes back what was changed since :meth:`keep`."""
        before, self._undo = self._undo, {}
        for identifier, row in before.items():
            self._set(identifier, row)
        self._undo.clear()

    def _resolved(self, resolution: Alert) -> Iterator[AlertEvent]:
        found = [self.rows[name] for name in self._problems.get(resolution.matter, ())]
        for row in sorted(found, key=lambda row: (row.first_occurrence_us, row.identifier)):
            if resolves(resolution, row):
                yield self._cleared(row, resolution.state_change_us)

    def _cleared(self, row: Alert, at_us: int) -> AlertEvent:
        after = cleared(row, at_us)
        self._set(row.identifier, after)
        return AlertEvent(Change.CLEARED, after, row.severity)

    def _expired(self, at_us: int) -> Iterator[AlertEvent]:
        while row := self._top(self._over, is_over=True):
            if row.state_change_us + KEPT_US > at_us:
                return
            yield self._deleted(row)

    def _deleted(self, row: Alert) -> AlertEvent:
        self._set(row.identifier, None)
        return AlertEvent(Change.DELETED, row, row.severity)

    def _set(self, identifier: str, row: Alert | None) -> None:
        before = self.rows.get(identifier)
        self._undo.setdefault(identifier, before)
        if before is not None and before.type == PROBLEM and before.is_open:
            same = self._problems[before.matter]
            same.discard(identifier)
            if not same:
                del self._problems[before.matter]
        if row is None:
            self.rows.pop(identifier, None)
            return
        self.rows[identifier] = row
        if row.type == PROBLEM and row.is_open:
            self._problems.setdefault(row.matter, set()).add(identifier)
        entry = (row.state_change_us, identifier)
        self._oldest = self._pushed(self._oldest, entry, is_over=False)
        if row.is_passing:
            self._over = self._pushed(self._over, entry, is_over=True)

    def _pushed(self, heap: Heap, entry: tuple[int, str], *, is_over: bool) -> Heap:
        heapq.heappush(heap, entry)
        if len(heap) <= 2 * len(self.rows) + _SLACK:
            return heap
        fresh = [
            (row.state_change_us, name) for name, row in self.rows.items() if row.is_passing or not is_over
        ]
        heapq.heapify(fresh)
        return fresh

    def _top(self, heap: Heap, *, is_over: bool) -> Alert | None:
        """The row of a heap's least entry that is true; what is true no more is dropped."""
        while heap:
            at_us, name = heap[0]
            row = self.rows.get(name)
            if row is not None and row.state_change_us == at_us and (row.is_passing or not is_over):
                return row
            heapq.heappop(heap)
        return None
