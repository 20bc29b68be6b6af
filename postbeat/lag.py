"""How late our own event loop is: a probe that ran under much lag measured us, not the service."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

TICK_S = 0.02
KEPT_S = 120.0

# A timeout or a late figure is not trusted when the loop stood still for this part of the deadline.
UNTRUSTED_SHARE = 0.1


class LagMeter:
    """Samples the lag of the loop it was started on, every TICK_S.

    Only peaks are kept: a sample stays until a later one is at least as large, so that the largest lag since
    any moment is found in a short deque, whatever the load.
    """

    def __init__(self, clock_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock_ns = clock_ns
        self._peaks: deque[tuple[int, int]] = deque()  # (ns at the sample, lag in us), lag falling
        self._due_ns = 0
        self._handle: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begins to sample; called on the loop's thread."""
        self._due_ns = self._clock_ns() + int(TICK_S * 1e9)
        self._handle = loop.call_later(TICK_S, self._tick, loop)

    def stop(self) -> None:
        """Ends the sampling."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now_ns = self._clock_ns()
        self.note(now_ns, max(0, now_ns - self._due_ns) // 1000)
        self.start(loop)

    def note(self, at_ns: int, lag_us: int) -> None:
        """Takes one sample."""
        while self._peaks and self._peaks[-1][1] <= lag_us:
            self._peaks.pop()
        self._peaks.append((at_ns, lag_us))
        while self._peaks[0][0] < at_ns - KEPT_S * 1e9:
            self._peaks.popleft()

    def since_us(self, at_ns: int) -> int:
        """The largest lag since a moment of the same clock, in microseconds; the sample that is due counts.

        What was ready during a standstill may run before the sample does, and end an attempt.
        """
        overdue_us = max(0, self._clock_ns() - self._due_ns) // 1000 if self._handle is not None else 0
        for sampled_ns, lag_us in self._peaks:
            if sampled_ns >= at_ns:
                return max(lag_us, overdue_us)
        return overdue_us
