"""What all sinks of a process know besides events: the facts of the profile in force, and maintenance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from redis.asyncio import Redis

from postbeat.clock import Clock
from postbeat.model import Pair
from postbeat.results import Result
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

    async def renew(self, elements: Collection[str]) -> None:
        """Sees to it that the facts of some elements and the calendar are those of now."""

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
        self.calendar = Calendar({})
        self._elements: dict[str, ElementFacts] = {}
        self._read_at_us: int | None = None
        self._reading = asyncio.Lock()  # what was read first must not replace what was read later
        self._asked: set[str] = set()  # elements that the next read is to tell of
        self._next: asyncio.Task[None] | None = None  # that read, until it begins
        self._view = ViewStore(self.redis_url)
        self._maintenance = MaintenanceStore(self.redis_url)

    async def refresh(self) -> None:
        """Reads what may have changed.

        Raises:
            redis.exceptions.RedisError: Redis does not answer.
        """
        now_us = self.steady_us()
        async with self._reading:
            elements: dict[str, ElementFacts] = {}
            if self._read_at_us is None or now_us - self._read_at_us >= FACTS_S * 1e6:
                elements = dict(await asyncio.to_thread(self._view.profile))
            if elements:  # none is there until beat publishes it anew, where Redis lost its data
                self._elements = elements
                # Events may come late, too, of what has left the profile and had windows.
                self.calendar = await self._maintenance_of(elements.keys() | self.calendar.former.keys())
                self._read_at_us = now_us
            else:
                self.calendar = self.calendar.renewed(await self._maintenance_of(()))
        before_us = self.clock.own_us()
        theirs_us = await asyncio.to_thread(self._maintenance.now_us)
        self.clock.sample(before_us, theirs_us, self.clock.own_us())

    async def renew(self, elements: Collection[str]) -> None:
        """Reads what may have changed a moment ago: the facts and windows of some elements, and all by hand.

        Where the profile has no such element, as where Redis lost it, what was known of it stays. All who ask
        before a read begins share it: an event comes to many sinks at once.

        Raises:
            redis.exceptions.RedisError: Redis does not answer.
        """
        self._asked.update(elements)
        if self._next is None:
            self._next = asyncio.create_task(self._renew())
        await asyncio.shield(self._next)  # of those who share it, one may be cancelled

    async def _renew(self) -> None:
        async with self._reading:
            # Who asks from here on may know of a change that this read does not see: theirs is the next.
            asked, self._asked, self._next = self._asked, set(), None
            self._elements.update(await facts_of(self.redis, asked))
            self.calendar = self.calendar.renewed(await self._maintenance_of(asked))

    def facts(self, element: str) -> Facts:
        """What the profile says of an element."""
        known = self._elements.get(element)
        return Facts(known.group, known.server, known.port) if known is not None else Facts()

    async def has_left(self, notice: Notice) -> bool:
        """Whether what a notice is about is in the profile no more; where none was published, it is not."""
        if not self._elements or not notice.element or self._is_in(notice):
            return False
        # What is known may be older than what changed a moment ago.
        known = await facts_of(self.redis, [notice.element])
        if not known:
            self._elements.pop(notice.element, None)
        self._elements.update(known)
        self._asked.add(notice.element)  # its windows come with the next read
        return not self._is_in(notice)

    async def hosts(self, notice: Notice) -> set[str]:
        """The servers that a notice may be about, beside the one that its element names.

        That of the mailbox which the element's mail is read from, and the mail exchangers that its newest
        polls found in the regions concerned.

        Raises:
            redis.exceptions.RedisError: Redis does not answer.
        """
        known = self._elements.get(notice.element)
        if known is None:
            return set()
        found: set[str] = set()
        if known.read:
            mailbox = await facts_of(self.redis, [known.read])
            found.update(facts.server for facts in mailbox.values())
        for region in (notice.region,) if notice.region else known.regions:
            state = await asyncio.to_thread(self._view.state, Pair(known.name, region))
            if state is not None and state.round_trip.send is not None:
                found |= _exchangers(state.round_trip.send)
        return found - {""}

    async def _maintenance_of(self, elements: Collection[str]) -> Calendar:
        """The windows of some elements, once their facts are known, and all by hand."""
        known = {name: self._elements.get(name) for name in elements}
        windows = {name: facts.maintenance if facts else () for name, facts in known.items()}
        return await asyncio.to_thread(self._maintenance.calendar, windows)

    def _is_in(self, notice: Notice) -> bool:
        known = self._elements.get(notice.element)
        return known is not None and known.active and (not notice.region or notice.region in known.regions)

    def close(self) -> None:
        """Closes the connections."""
        self._view.close()
        self._maintenance.close()


def _exchangers(result: Result) -> set[str]:
    """The hosts that MX records named in a poll; where none was reached, only the stage tells them."""
    found = {attempt.host for attempt in result.attempts}
    for stage in (stage for attempt in result.attempts for stage in attempt.stages):
        if stage.name == "mx":
            found.update(stage.reply.split())
    return found
