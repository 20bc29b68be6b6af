"""What all sinks of a process know besides events: the facts of the profile in force, and maintenance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from redis.asyncio import Redis

from postbeat.clock import Clock
from postbeat.sinks.notice import Facts, Notice
from postbeat.sinks.rules import Covering
from postbeat.store.maintenance import Calendar, MaintenanceStore
from postbeat.store.outbox import facts_of
from postbeat.store.summary import ElementFacts
from postbeat.store.view import ViewStore

FACTS_S = 30.0  # the profile is read again after so long: thousands of elements take a while


class Surroundings(Protocol):
    """What a sink asks for beside events."""

    @property
    def calendar(self) -> Covering:
        """What knows of maintenance."""

    async def learn(self, element: str) -> None:
        """Makes sure of the facts of an element."""

    def facts(self, element: str) -> Facts:
        """What the profile says of an element."""

    async def has_left(self, notice: Notice) -> bool:
        """Whether what a notice is about is in the profile no more."""


@dataclass
class StoredSurroundings:
    """As Redis has them; :meth:`refresh` reads them anew, and sets the clock. Until then nothing is known."""

    redis: Redis
    redis_url: str
    steady_us: Callable[[], int]
    clock: Clock

    def __post_init__(self) -> None:
        self.calendar: Covering = Calendar({})
        self._elements: dict[str, ElementFacts] = {}
        self._read_at_us: int | None = None
        self._view = ViewStore(self.redis_url)
        self._maintenance = MaintenanceStore(self.redis_url)

    async def refresh(self) -> None:
        """Reads what may have changed.

        Raises:
            redis.exceptions.RedisError: Redis does not answer.
        """
        now_us = self.steady_us()
        if self._read_at_us is None or now_us - self._read_at_us >= FACTS_S * 1e6:
            elements = dict(await asyncio.to_thread(self._view.profile))
            if elements:  # none is there until beat publishes it anew, where Redis lost its data
                self._elements = elements
                self._read_at_us = now_us
        windows = {name: facts.maintenance for name, facts in self._elements.items() if facts.maintenance}
        self.calendar = await asyncio.to_thread(self._maintenance.calendar, windows)
        before_us = self.clock.own_us()
        theirs_us = await asyncio.to_thread(self._maintenance.now_us)
        self.clock.sample(before_us, theirs_us, self.clock.own_us())

    async def learn(self, element: str) -> None:
        """Asks Redis where an element is not known, as it may have come a moment ago."""
        if element not in self._elements:
            known = await facts_of(self.redis, element)
            if known is not None:
                self._elements[element] = known

    def facts(self, element: str) -> Facts:
        """What the profile says of an element."""
        known = self._elements.get(element)
        return Facts(known.group, known.server, known.port) if known is not None else Facts()

    async def has_left(self, notice: Notice) -> bool:
        """Whether what a notice is about is in the profile no more; where none was published, it is not."""
        if not self._elements or not notice.element or self._is_in(notice):
            return False
        # What is known may be older than what changed a moment ago.
        known = await facts_of(self.redis, notice.element)
        if known is None:
            self._elements.pop(notice.element, None)
        else:
            self._elements[notice.element] = known
        return not self._is_in(notice)

    def _is_in(self, notice: Notice) -> bool:
        known = self._elements.get(notice.element)
        return known is not None and known.active and (not notice.region or notice.region in known.regions)

    def close(self) -> None:
        """Closes the connections."""
        self._view.close()
        self._maintenance.close()
