"""Rollups: what many results come to, as whole numbers that add up in any order. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from postbeat.figures import Figures, bucket, representative
from postbeat.model import Level

__all__ = ["Rollup", "availability", "bucket", "representative"]


class Rollup:
    """The counts of some results, and how often each bucket of each timing was met.

    ``counts`` has ``poll:LEVEL`` for each poll, ``PHASE:LEVEL`` for each result (``send:GOOD``),
    ``fault:SIDE:CODE`` (``fault:REMOTE:timeout``) and ``outcome:OUTCOME``. Of what was in maintenance there
    is only ``maintenance``, the number of polls. ``timings`` is timing -> bucket -> count.
    """

    __slots__ = ("counts", "timings")

    def __init__(
        self, counts: Mapping[str, int] | None = None, timings: Mapping[str, Mapping[int, int]] | None = None
    ) -> None:
        self.counts = dict(counts or {})
        self.timings = {name: dict(buckets) for name, buckets in (timings or {}).items()}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rollup):
            return NotImplemented
        return self.counts == other.counts and self.timings == other.timings

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"Rollup({self.counts!r}, {self.timings!r})"

    def add(self, figures: Figures, *, maintenance: bool = False) -> None:
        """Counts a result."""
        if maintenance:
            if figures.terminal:
                self._count("maintenance")
            return
        if figures.terminal:
            self._count(f"poll:{figures.level}")
        self._count(f"{figures.phase}:{figures.level}")
        if figures.side is not None and figures.code is not None:
            self._count(f"fault:{figures.side}:{figures.code}")
        if figures.outcome is not None:
            self._count(f"outcome:{figures.outcome}")
        for name, us in figures.times_us.items():
            buckets = self.timings.setdefault(name, {})
            place = bucket(us)
            buckets[place] = buckets.get(place, 0) + 1

    def _count(self, key: str) -> None:
        self.counts[key] = self.counts.get(key, 0) + 1

    def merge(self, other: Rollup) -> None:
        """Adds what another rollup has counted."""
        for key, count in other.counts.items():
            self.counts[key] = self.counts.get(key, 0) + count
        for name, theirs in other.timings.items():
            ours = self.timings.setdefault(name, {})
            for place, count in theirs.items():
                ours[place] = ours.get(place, 0) + count

    def count(self, timing: str) -> int:
        """How many times of a timing were counted."""
        return sum(self.timings.get(timing, {}).values())

    def percentile(self, timing: str, q: float) -> int | None:
        """The time in microseconds that a share ``q`` (0..1) of all is not above, within 2 %.

        It is that of the nearest rank: the smallest whose rank is at least ``q`` of the count. None where
        nothing was counted.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"expected 0 to 1, not {q}")
        # A fraction of the number as it is written: 0.55 of 100 is 55, which floats miss.
        missing = max(1, math.ceil(Fraction(repr(q)) * self.count(timing)))
        for place, count in sorted(self.timings.get(timing, {}).items()):
            missing -= count
            if missing <= 0:
                return representative(place)
        return None


def availability(counts: Mapping[str, int]) -> float | None:
    """The share of polls that found the service working, or None where none has told.

    UNKNOWN polls and those in maintenance say nothing of the service, for or against it.
    """
    working = counts.get(f"poll:{Level.GOOD}", 0) + counts.get(f"poll:{Level.MARGINAL}", 0)
    told = working + counts.get(f"poll:{Level.FAILED}", 0)
    return working / told if told else None
