"""The service level objectives of elements, which take longer to compute than a scrape should."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redis.exceptions import RedisError

from postbeat.model import Pair
from postbeat.rollup import Rollup
from postbeat.slo import BURN_ALERTS, Slo, slo_of, window_us
from postbeat.store.connecting import trouble_text
from postbeat.store.facts import FactsView
from postbeat.store.history import History
from postbeat.store.maintenance import Calendar, MaintenanceStore
from postbeat.store.view import ViewStore

log = logging.getLogger(__name__)

FRESH_S = 60.0
MONTH_US = 30 * 86_400_000_000
# Of shorter windows, the single results tell; rollups are of whole hours.
ROLLED_US = 7_200_000_000

WINDOWS_S = tuple(sorted({seconds for alert in BURN_ALERTS for seconds in (alert.long_s, alert.short_s)}))


def window_name(seconds: int) -> str:
    """The name of a window, as PromQL writes durations."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


@dataclass(frozen=True, slots=True)
class Objective:
    """The objective of an element over 30 days, and over WINDOWS_S, as wide as :func:`window_us` says."""

    month: Slo
    windows: Mapping[int, Slo]


def objective(
    history: History,
    pairs: Sequence[Pair],
    calendar: Calendar,
    now_us: int,
    *,
    target_percent: float,
    poll_s: float | None,
) -> Objective:
    """The objective of an element over all its pairs, as of now.

    Raises:
        RedisError: Redis does not answer.
        ValueError: what is stored of a pair is damaged.
    """
    widths_us = {seconds: window_us(seconds, poll_s) for seconds in WINDOWS_S}
    longest_raw_us = max((us for us in widths_us.values() if us <= ROLLED_US), default=0)
    newest = [
        (pair, figures)
        for pair in (pairs if longest_raw_us else ())
        for figures in history.raw(pair, now_us - longest_raw_us)
        if figures.terminal
    ]

    def over(width_us: int) -> Slo:
        from_us = now_us - width_us
        if width_us > ROLLED_US:
            rollup = history.rollup(pairs, from_us, now_us, timings=(), calendar=calendar)
        else:
            rollup = Rollup()
            for pair, figures in newest:
                if figures.at_us >= from_us:
                    rollup.add(figures, maintenance=calendar.covers(pair, figures.at_us))
        return slo_of(rollup.counts, target_percent)

    return Objective(over(MONTH_US), {seconds: over(us) for seconds, us in widths_us.items()})


class Objectives:
    """Computes the objectives of all elements, at most once a minute. Thread-safe.

    The first time, who asks has to wait; from then on what was found last is told at once, and where it is
    older than a minute, a thread computes it anew.
    """

    def __init__(self, url: str, view: ViewStore, facts: FactsView) -> None:
        self._view = view
        self._facts = facts
        self._history = History(url)
        self._maintenance = MaintenanceStore(url)
        self._lock = threading.Lock()
        self._found: Mapping[str, Objective] | None = None
        self._fresh_until = 0.0
        self._thread: threading.Thread | None = None

    def current(self) -> Mapping[str, Objective]:
        """The objectives by element.

        Raises:
            RedisError: it is the first time, and Redis does not answer.
        """
        with self._lock:
            if self._found is None:
                self._refresh()
            elif time.monotonic() >= self._fresh_until and not self._is_busy():
                self._thread = threading.Thread(target=self._refresh_quietly, daemon=True)
                self._thread.start()
            return self._found or {}

    def close(self) -> None:
        """Waits for what is computed, and closes the connections."""
        with self._lock:
            if self._thread is not None:
                self._thread.join()
        self._history.close()
        self._maintenance.close()

    def _is_busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _refresh_quietly(self) -> None:
        try:
            self._refresh()
        except RedisError as error:
            log.warning("objectives are not up to date: %s", trouble_text(error))

    def _refresh(self) -> None:
        calendar = self._maintenance.calendar()
        now_us = self._facts.now_us()
        found: dict[str, Objective] = {}
        for facts in self._view.profile().values():
            if facts.active and facts.poll is not None:
                try:
                    found[facts.name] = objective(
                        self._history,
                        [Pair(facts.name, region) for region in facts.regions],
                        calendar,
                        now_us,
                        target_percent=facts.availabilitytarget,
                        poll_s=facts.poll,
                    )
                except ValueError as error:
                    log.warning("the history of %s cannot be read: %s", facts.name, error)
        self._found = found
        self._fresh_until = time.monotonic() + FRESH_S
