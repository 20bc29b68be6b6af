"""One clock for all sites: Redis TIME, estimated with its uncertainty.

Stamps that are compared across hosts are made with this clock; durations inside one probe never are.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

SAMPLES = 8  # the best of the last eight: old enough to have met a quick answer, young enough to follow drift
UNSURE_US = 60_000_000  # how far a host's time may be off that was never compared
DRIFT_PPM = 50  # by how much the rates of two hosts' clocks may differ


def _steady_ns() -> int:
    """A counter that nobody sets, and that goes on while the host sleeps, where there is one."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return time.monotonic_ns()


def steady_us() -> int:
    """Microseconds since some moment, by a clock that nobody sets."""
    return _steady_ns() // 1000


_BEGAN_US = time.time_ns() // 1000 - steady_us()


def own_us() -> int:
    """This host's time in microseconds since the epoch: what it was at our start, and steady since then.

    A host whose time is set meanwhile (by NTP, by hand) thus spoils no estimate of the one clock.
    """
    return _BEGAN_US + steady_us()


@dataclass(frozen=True, slots=True)
class _Sample:
    """One exchange with Redis: ``offset_us`` is at most ``error_us`` wrong, at the moment ``at_us``."""

    at_us: int
    offset_us: int
    error_us: int

    def error_at(self, now_us: int) -> int:
        """How wrong the offset may be at another moment, as the clocks drift apart."""
        return self.error_us + abs(now_us - self.at_us) * DRIFT_PPM // 1_000_000


class Clock:
    """This host's time in microseconds, shifted by the offset to Redis once samples are there.

    The offset is that of the sample that is least wrong: half its round trip bounds its error when it is made
    (as NTP's minimum filter has it, RFC 5905 section 10), and drift adds to that with time. A sample that all
    this does not explain shows that Redis's clock was set, or that the clocks drift faster: what was known
    before is dropped, and what is unexplained adds to the uncertainty while it is among the last SAMPLES.
    """

    def __init__(self, own_us: Callable[[], int] = own_us) -> None:
        self._own_us = own_us
        self._samples: deque[_Sample] = deque(maxlen=SAMPLES)
        self._surprises_us: deque[int] = deque(maxlen=SAMPLES)
        self.offset_us = 0

    def now_us(self) -> int:
        """Microseconds since the epoch, as Redis would say."""
        return self._own_us() + self.offset_us

    def own_us(self) -> int:
        """This host's own time, for :meth:`sample`."""
        return self._own_us()

    @property
    def uncertainty_us(self) -> int | None:
        """How far :meth:`now_us` may be off by now, to either side; None where Redis never answered."""
        if not self._samples:
            return None
        now_us = self._own_us()
        return self._best(now_us).error_at(now_us) + max(self._surprises_us)

    def worst_us(self, default: int = UNSURE_US) -> int:
        """The uncertainty, or ``default`` where it is not known."""
        uncertainty_us = self.uncertainty_us
        return default if uncertainty_us is None else uncertainty_us

    def sample(self, before_us: int, theirs_us: int, after_us: int) -> None:
        """Takes one exchange: our own time before and after it, and what Redis said in between."""
        round_trip_us = max(0, after_us - before_us)
        # Rounded up, and one more: the three times are whole microseconds.
        sample = _Sample(after_us, theirs_us - (before_us + after_us) // 2, (round_trip_us + 1) // 2 + 1)
        surprise_us = 0
        if self._samples:
            best = self._best(after_us)
            explained_us = best.error_at(after_us) + sample.error_us
            surprise_us = max(0, abs(sample.offset_us - best.offset_us) - explained_us)
        if surprise_us:
            self._samples.clear()
        self._samples.append(sample)
        self._surprises_us.append(surprise_us)
        self.offset_us = self._best(after_us).offset_us

    def _best(self, now_us: int) -> _Sample:
        return min(self._samples, key=lambda sample: sample.error_at(now_us))
