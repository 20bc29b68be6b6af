"""Folds the logs of results into rollups, in a thread beside beat's ticks and at their leisure."""

from __future__ import annotations

import logging
import signal
import threading
import time

from redis.exceptions import RedisError

from postbeat.store.connecting import trouble_text
from postbeat.store.fold import LIMIT, Covers, FoldStore, Retention
from postbeat.store.maintenance import MaintenanceStore

log = logging.getLogger(__name__)

ROUND_S = 300.0  # so often it is looked which pairs are due
BATCH = 100  # pairs looked at in one exchange
SHORTEST_REST_S = 0.02
REST = 2  # after each step the thread rests so many times as long as the step kept a processor busy
AWAY_S = 5.0
ENDING_S = 2.0
_AWAY = (RedisError, OSError)


class Folding:
    """Several may run at once, in one beat or another: each result counts once all the same."""

    def __init__(self, url: str, retention: Retention) -> None:
        self._store = FoldStore(url, retention)
        self._maintenance = MaintenanceStore(url)
        self._known: set[str] = set()
        self._is_away = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="folding", daemon=True)

    def start(self) -> None:
        """Starts the thread. It takes no signals: those are for the thread that ticks, when it is ready."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self._thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def close(self) -> None:
        """Ends it; a step that is under way may be cut off, which does no harm."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(ENDING_S)
        self._store.close()
        self._maintenance.close()

    def round(self) -> None:
        """Folds all that are due, and for the last time those that have left the profile.

        Raises:
            RedisError, OSError: Redis is away.
        """
        names = self._store.pairs()
        now_us = self._store.now_us()
        calendar = self._maintenance.calendar()
        left = sorted(self._known.difference(names))
        for name in left:
            self._fold(name, calendar)
        self._known = set(names)
        for begin in range(0, len(names), BATCH):
            began_s = time.thread_time()
            due = self._store.due(names[begin : begin + BATCH], now_us)
            self._rest(began_s)
            for name in due:
                self._fold(name, calendar)
            if self._ending.is_set():
                return

    def _run(self) -> None:
        wait_s = SHORTEST_REST_S
        while not self._ending.wait(wait_s):
            wait_s = ROUND_S
            try:
                self.round()
                self._is_away = False
            except _AWAY as error:
                if not self._is_away and not self._ending.is_set():
                    log.error("results are not folded for now: %s", trouble_text(error))
                self._is_away = True
                wait_s = AWAY_S
            except Exception:
                log.exception("results could not be folded")

    def _fold(self, name: str, calendar: Covers) -> None:
        """Folds a pair in short steps."""
        folded = LIMIT
        while folded == LIMIT and not self._ending.is_set():
            began_s = time.thread_time()
            try:
                folded = self._store.fold(name, calendar)
            except ValueError as error:
                log.error("the results of %s cannot be folded: %s", name, error)
                return
            self._rest(began_s)

    def _rest(self, began_s: float) -> None:
        self._ending.wait(max(SHORTEST_REST_S, REST * (time.thread_time() - began_s)))
