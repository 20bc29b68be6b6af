"""How long those who ask wait for Redis: together for what several want, and not at all after it was away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from redis.exceptions import ConnectionError as AwayError
from redis.exceptions import TimeoutError as HangsError

THREADS = 20  # that may wait for Redis at a time
AGAIN_S = 2.0  # for so long after Redis did not answer nobody tries
TRY_S = 15.0  # and then one does, for whom the others do not wait; a call may take 10 s

T = TypeVar("T")


class Stores:
    """Asks the stores in threads of its own, so that what needs no Redis stays quick while Redis hangs.

    Args:
        clock: seconds, which nobody sets back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._limiter = CapacityLimiter(THREADS)
        self._lock = threading.Lock()
        self._is_away = False
        self._until_s = 0.0

    async def ask(self, question: Callable[[], T]) -> T:
        """The answer to a question that blocks.

        Raises:
            RedisError: Redis does not answer, or did not a moment ago.
        """
        return await to_thread.run_sync(self._asked, question, limiter=self._limiter)

    def _asked(self, question: Callable[[], T]) -> T:
        self._begin()
        try:
            answer = question()
        except (AwayError, HangsError):
            with self._lock:
                self._is_away, self._until_s = True, self._clock() + AGAIN_S
            raise
        except BaseException:  # that Redis answers, only an answer tells: let the next one try
            with self._lock:
                self._until_s = self._clock()
            raise
        with self._lock:
            self._is_away = False
        return answer

    def _begin(self) -> None:
        with self._lock:
            if not self._is_away:
                return
            if self._clock() < self._until_s:
                raise AwayError("Redis did not answer a moment ago")
            self._until_s = self._clock() + TRY_S


class Shared:
    """Has what several want at the same time made once, by the first. Where that fails, all are told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[Any]] = {}

    def get(self, name: str, make: Callable[[], T]) -> T:
        """What ``make`` gives, or gives another who asked for the same name."""
        with self._lock:
            is_first = name not in self._under_way
            future: Future[T] = self._under_way.setdefault(name, Future())
        if is_first:
            try:
                future.set_result(make())
            except BaseException as error:
                future.set_exception(error)
            finally:
                with self._lock:
                    del self._under_way[name]
        return future.result()
