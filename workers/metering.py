"""What a worker process counts of its own work, and writes to Redis now and then."""

from __future__ import annotations

import time
from collections.abc import Callable

from postbeat import slots
from postbeat.clock import Clock
from postbeat.lag import LagMeter
from postbeat.model import Poll
from postbeat.slots import Polled
from postbeat.store.facts import Waits, WorkerFacts, WorkerFactsStore


class Meter:
    """Counts in memory; all of it on the pool's event loop.

    Args:
        worker: how views name this process.
        region: the region it probes from, "" for none.
        clock: the one clock.
        lag: the lag of the event loop.
        version: that of Postbeat.
        steady_ns: the clock of ``lag``.
    """

    def __init__(
        self,
        worker: str,
        region: str,
        clock: Clock,
        lag: LagMeter,
        version: str,
        steady_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self.expired = 0
        self._worker, self._region, self._version = worker, region, version
        self._clock, self._lag, self._steady_ns = clock, lag, steady_ns
        self._waits = Waits()
        self._began_ns = self._written_ns = steady_ns()

    def begins(self, element: Polled, poll: Poll, expires_us: int) -> None:
        """A poll begins: how long after it was due?

        Only of a poll that lives for one interval: those of the very first start are fired at any time.
        """
        poll_s = slots.poll_s(element)
        due_us = slots.due_us(poll.pair, poll_s, poll.slot)
        if expires_us - due_us <= slots.interval_us(poll_s):
            self._waits.add(max(0, self._clock.now_us() - due_us))

    async def write(self, store: WorkerFactsStore, in_flight: int) -> None:
        """Writes how the process stands, and what it has counted since this went well before.

        Raises:
            RedisError: Redis does not answer; what was counted is kept for the next time.
        """
        now_ns, now_us = self._steady_ns(), self._clock.now_us()
        lag_us = self._lag.since_us(self._written_ns)
        facts = WorkerFacts(
            worker=self._worker,
            region=self._region,
            at_us=now_us,
            started_at_us=now_us - (now_ns - self._began_ns) // 1000,
            in_flight=in_flight,
            loop_lag_us=lag_us,
            clock_offset_us=self._clock.offset_us,
            clock_uncertainty_us=self._clock.worst_us(),
            version=self._version,
        )
        lag = Waits()
        lag.add(lag_us)
        waits, expired = self._waits, self.expired
        self._waits, self.expired = Waits(), 0
        try:
            await store.write(facts, waits, lag, expired)
        except BaseException:
            for index, count in self._waits.counts.items():
                waits.counts[index] = waits.counts.get(index, 0) + count
            waits.sum_us += self._waits.sum_us
            self._waits = waits
            self.expired += expired
            raise
        self._written_ns = now_ns
