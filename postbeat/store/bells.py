"""The bells of a worker process's desks: Redis tells when there is something to do in a mailbox."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from redis.asyncio import Redis
from redis.exceptions import RedisError

from postbeat.store import keys

log = logging.getLogger(__name__)

LISTEN_S = 5.0
ENTRIES_LIMIT = 1000  # that wait for a desk to be told; it asks for more
CANCEL_S = 0.1
AGAIN_S = 1.0  # between two attempts to subscribe


@dataclass(slots=True, weakref_slot=True)
class Bell:
    """What a desk was told since it last looked.

    ``rung`` is set with each news. ``entries`` became pending meanwhile. ``missed`` is whether there may be
    more to know than the entries: then Redis must be asked.
    """

    rung: asyncio.Event = field(default_factory=asyncio.Event)
    entries: list[str] = field(default_factory=list)
    missed: bool = True

    def ring(self, entry: str = "") -> None:
        """An entry has become pending, or else something has happened."""
        if not entry or len(self.entries) >= ENTRIES_LIMIT:
            self.missed = True
            self.entries.clear()
        elif not self.missed:
            self.entries.append(entry)
        self.rung.set()


class Bells:
    """One subscription for all desks of a process, opened with the first desk.

    Whatever might have been missed rings: all bells ring when the subscription begins, and whenever it had
    to be made again. So whoever answers a bell must be able to find nothing.
    """

    def __init__(self, redis: Redis, process: str) -> None:
        self._redis = redis
        self._channel = keys.bell(process)
        self._bells: WeakValueDictionary[str, Bell] = WeakValueDictionary()
        self._listener: asyncio.Task[None] | None = None

    def hang(self, mailbox: str) -> Bell:
        """The bell of a mailbox's new desk, in force as long as somebody keeps it."""
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen())
        bell = self._bells[mailbox] = Bell()
        return bell

    async def close(self) -> None:
        """Ends the subscription."""
        listener, self._listener = self._listener, None
        while listener is not None and not listener.done():
            # Again and again: the client may take a cancellation for the end of a subscription alone.
            listener.cancel()
            await asyncio.wait((listener,), timeout=CANCEL_S)

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
                else:
                    mailbox, _, entry = told["data"].partition("\n")
                    if bell := self._bells.get(mailbox):
                        bell.ring(entry)

    def _ring_all(self) -> None:
        for bell in list(self._bells.values()):
            bell.ring()
