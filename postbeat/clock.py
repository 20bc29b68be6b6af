"""One clock for all sites: Redis TIME, estimated with its uncertainty.

Stamps that are compared across hosts are made with this clock; durations inside one probe never are.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

SAMPLES = 8  # the best of the last eight: old enough to have met a quick answer, young enough to follow drift


class Clock:
    """Wall time in microseconds, shifted by the offset to Redis once samples are there.

    The offset is taken from the sample with the shortest round trip (as NTP's minimum filter, RFC 5905
    section 10); half that round trip bounds its error.
    """

    def __init__(self, wall_us: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._wall_us = wall_us
        self._samples: deque[tuple[int, int]] = deque(maxlen=SAMPLES)  # (round trip, offset)
        self.offset_us = 0
        self.uncertainty_us: int | None = None

    def now_us(self) -> int:
        """Microseconds since the epoch, as Redis would say."""
        return self._wall_us() + self.offset_us

    def wall_us(self) -> int:
        """This host's own time, for :meth:`sample`."""
        return self._wall_us()

    def sample(self, before_us: int, theirs_us: int, after_us: int) -> None:
        """Takes one exchange: our wall time before and after it, and what Redis said in between."""
        round_trip_us = max(0, after_us - before_us)
        self._samples.append((round_trip_us, theirs_us - (before_us + after_us) // 2))
        best_us, self.offset_us = min(self._samples)
        self.uncertainty_us = best_us // 2
