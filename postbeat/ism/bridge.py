"""Brings results to log, datalog and alerts, in the ISM's way.

A bridge follows the stream of results for one monitor. One at a time does so, by a lease, and its place in
the stream moves in one transaction with what the results did to the table of alerts: each result counts
there exactly once. Where a bridge is killed in the midst of some results, the lines of its log for them may
come twice; entries of the datalog do not. Not asyncio.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from redis.exceptions import RedisError

from postbeat import clock
from postbeat.alerts import Occurrence
from postbeat.elements import SmtpElement
from postbeat.ism.elements import Surroundings
from postbeat.ism.lane import Lane
from postbeat.model import Level, Phase
from postbeat.profile import Profile
from postbeat.results import Result
from postbeat.store.alerts import AlertStore
from postbeat.store.connecting import trouble_text
from postbeat.store.following import Page, Place, ResultStream
from postbeat.store.outbox import LeaseLostError

RENEW_US = 3_000_000
_AWAY = (RedisError, OSError)


@dataclass(frozen=True, slots=True)
class _Batch:
    """What some results came to, and the places in the stream before and behind them."""

    before: Place
    behind: Place
    occurrences: list[Occurrence]
    results: int


class Bridge:
    """Takes the results of a lane; those of other monitors are passed over.

    ``around`` is what no result says; ``profile`` gives the profile in force, or None where it is not known.
    ``steady_us`` is a clock that nobody sets.
    """

    def __init__(
        self,
        redis_url: str,
        lane: Lane,
        around: Surroundings,
        profile: Callable[[], Profile | None],
        *,
        steady_us: Callable[[], int] = clock.steady_us,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.lane = lane
        self._store = AlertStore(redis_url, lane.monitor)
        self._stream = ResultStream(redis_url)
        self._around, self._profile = around, profile
        self._steady_us, self._sleep = steady_us, sleep
        self._levels: dict[tuple[str, Phase], Level] = {}  # of the newest result of each pair and phase
        self._known_to: Place | None = None  # the levels are those of the results up to here
        self._place: Place | None = None  # None while another bridge has the lease
        self._batch: _Batch | None = None  # not yet known to be in the table
        self._announced: list[Occurrence] = []  # the same, of the monitor itself
        self._renew_at_us = 0
        self._stands_by = self._away = False

    def begin(self) -> bool:
        """Takes its place in the stream, which is behind the newest result at the very first time.

        False where another bridge has it, or Redis is away: then :meth:`step` tries again.
        """
        return self._guarded(self._acquire)

    def step(self, wait_s: float) -> int:
        """Brings what is new to log, datalog and alerts; waits at most so long for it.

        Returns how many results there were. While Redis is away it waits too, and goes on where it was.
        """
        done = 0

        def forward() -> bool:
            nonlocal done
            self._publish()
            if not self._renewed():
                return False
            done = self._forward(wait_s)
            return True

        if not self._guarded(forward):
            self._sleep(wait_s)
        return done

    def announce(self, text: str) -> None:
        """Has the rules see that the monitor begins (RUNNING) or ends (GOING_DOWN), also where it stands by.

        What they make of it comes to the table at once, or with the first :meth:`step` when Redis answers.
        """
        self._announced += self.lane.watched(text, self._around, time.time_ns() // 1000)
        self._guarded(self._publish)

    def close(self) -> None:
        """Gives its place to another, and closes the connections. Log and datalog stay open."""
        if self._place is not None:
            with suppress(*_AWAY):  # the lease ends by itself
                self._store.release()
        self._store.close()
        self._stream.close()

    def _guarded(self, action: Callable[[], bool]) -> bool:
        """What an action says; False where Redis is away, which is told once."""
        try:
            answer = action()
        except LeaseLostError:
            answer = self._lost()
        except _AWAY as error:
            if not self._away:
                self.lane.tell("ERROR", f"{trouble_text(error)}; results wait")
            self._away = True
            return False
        if self._away:
            self._away = False
            self.lane.tell("WARNING", "Redis answers again")
        return answer

    def _publish(self) -> bool:
        if self._announced:
            self._store.announce(self._announced)
            self._announced = []
        return True

    # --- the place in the stream ---

    def _acquire(self) -> bool:
        asked_at_us = self._steady_us()
        if not self._store.acquire():
            if not self._stands_by:
                self.lane.tell("WARNING", "Another bridge of this monitor is at work; this one stands by")
            self._stands_by = True
            return False
        self._stands_by = False
        self._renew_at_us = asked_at_us + RENEW_US
        place = Place.parse(self._store.cursor())
        if not place.entry:
            place = self._stream.end()
            self._store.apply("", str(place), [])
        self._take_up(place)
        return True

    def _take_up(self, place: Place) -> None:
        """Begins at a place, or goes on where the lease ended, as it does while Redis is away."""
        if self._batch is not None and self._batch.before != place:
            self._batch = None  # it is in the table, or another bridge has gone on from before it
        if self._batch is None and self._known_to != place:
            self._levels = {}
            for result in self._stream.before(place):
                self._levels.setdefault((str(result.poll.pair), result.phase), result.level)
            self._known_to = place
        self._place = place

    def _renewed(self) -> bool:
        """Whether this is the bridge."""
        if self._place is None:
            return self._acquire()
        now_us = self._steady_us()
        if now_us >= self._renew_at_us:
            if not self._store.renew():
                self._lost()
                return self._acquire()  # nobody may have taken it
            self._renew_at_us = now_us + RENEW_US
        return True

    def _lost(self) -> bool:
        """Another bridge may have taken over, and deal with what this one had begun."""
        self._place = None
        return False

    def _forward(self, wait_s: float) -> int:
        if self._place is None:
            return 0
        if self._batch is None:
            page = self._stream.read(self._place)
            if not page.results and wait_s:
                self._stream.wait(self._place, max(1, round(wait_s * 1000)))
                page = self._stream.read(self._place)
            if not page.results:
                return 0
            self._batch = self._dealt_with(self._place, page)
        return self._committed(self._batch)

    def _committed(self, batch: _Batch) -> int:
        """Applies a batch. Where that was done before, and only the answer was lost, it is not done again."""
        try:
            self._store.apply(str(batch.before), str(batch.behind), batch.occurrences)
        except LeaseLostError:
            done = self._store.cursor() == str(batch.behind)
            if not (self._store.renew() and done):
                self._lost()
                return 0
        self._place, self._batch = batch.behind, None
        return batch.results

    def _dealt_with(self, before: Place, page: Page) -> _Batch:
        if page.gone:
            some = f"{page.gone:,}" if page.gone > 0 else "Some"
            self.lane.tell("ERROR", f"{some} results were gone from Redis before they were read here")
        occurrences: list[Occurrence] = []
        for entry, result in page.results:
            if result is not None and self.lane.takes(result):
                occurrences += self.lane.taken(entry, result, self._surroundings(result))
                self._levels[str(result.poll.pair), result.phase] = result.level
        self._known_to = page.place
        return _Batch(before, page.place, occurrences, len(page.results))

    def _surroundings(self, result: Result) -> Surroundings:
        profile = self._profile()
        element = profile.elements.get(result.poll.element) if profile is not None else None
        reader = profile.reader_of(element) if profile and isinstance(element, SmtpElement) else None
        return replace(
            self._around,
            datalog_path=self.lane.datalog_path(result),
            last_level=self._levels.get((str(result.poll.pair), result.phase)),
            element=element,
            mailbox=reader,
        )
