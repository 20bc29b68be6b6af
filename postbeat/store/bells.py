"""The bells of a worker process's desks: Redis tells when there is something to do in a mailbox."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from weakref import WeakValueDictionary

from redis.asyncio import Redis
from redis.exceptions import RedisError

from postbeat.store import keys

log = logging.getLogger(__name__)

LISTEN_S = 5.0
AGAIN_S = 1.0  # between two attempts to subscribe


class Bells:
    """One subscription for all desks of a process, opened with the first desk.

    Whatever might have been missed rings: all bells ring when the subscription begins, and whenever it had
    to be made again. So whoever answers a bell must be able to find nothing.
    """

    def __init__(self, redis: Redis, process: str) -> None:
        self._redis = redis
        self._channel = keys.bell(process)
        self._bells: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()
        self._listener: asyncio.Task[None] | None = None

    def hang(self, mailbox: str) -> asyncio.Event:
        """The bell of a mailbox's new desk, in force as long as somebody keeps it."""
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen())
        bell = self._bells[mailbox] = asyncio.Event()
        return bell

    async def close(self) -> None:
        """Ends the subscription."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listener

    async def _listen(self) -> None:
        while True:
            try:
                await self._subscribed()
            except (RedisError, OSError) as error:
                log.debug("the subscription of %s was lost: %s", self._channel, error)
            self._ring_all()
            await asyncio.sleep(AGAIN_S)

    async def _subscribed(self) -> None:
        async with self._redis.pubsub() as subscription:
            await subscription.subscribe(self._channel)
            while True:
                told = await subscription.get_message(timeout=LISTEN_S)
                if told is None:
                    continue
                if told["type"] != "message":
                    self._ring_all()  # the client subscribes anew by itself when a connection breaks
                elif bell := self._bells.get(told["data"]):
                    bell.set()

    def _ring_all(self) -> None:
        for bell in list(self._bells.values()):
            bell.set()
