"""Looks into a mailbox: over one session, which is opened when it is needed, and from one memory."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from postbeat import attempts, message
from postbeat.delivery import MailboxFacts, Tally
from postbeat.elements import MailboxElement
from postbeat.mailbox.desk import Tools
from postbeat.mailbox.sightings import FIELDS, NO_DETAILS, Details, Sighting, details, notice
from postbeat.model import CONFLICTS, FaultCode, FaultError
from postbeat.probes import open_session
from postbeat.probes.credentials import access
from postbeat.probes.readings import Readings
from postbeat.probes.session import Found, MailboxSession, Memory, Place
from postbeat.results import Attempt
from postbeat.store.records import Expected

log = logging.getLogger(__name__)

CheckFails = Callable[[tuple[Attempt, ...], MailboxFacts | None], bool]

EVERYWHERE_US = 1_000_000  # folders other than the main one are looked into so often
NOTICES_LIMIT = 50  # possible bounces whose text is fetched in one look


class Looker:
    """One reader's eyes: its session, its memory, and what it has seen and not yet done away with.

    ``sightings`` are messages of ours that are still in the mailbox, in the order in which they came.
    ``looked_at_us`` is when the last look began that went everywhere and was not disturbed, by an earlier
    reader perhaps.
    """

    def __init__(self, element: MailboxElement, tools: Tools, tally: Counter[str]) -> None:
        self.element = element
        self.memory = Memory()
        self.sightings: dict[Place, Sighting] = {}
        self.details: dict[Place, Details] = {}
        self.session: MailboxSession | None = None
        self.looked_at_us = 0
        self.login_delay_s = 0.0
        self._tools = tools
        self._tally = tally
        self._seen = 0  # sightings so far
        self._glanced_at_us = 0  # as looked_at_us, of the main folder alone
        self._unread: dict[Place, None] = {}  # possible bounces that were not fetched yet
        self._announced = False

    def begin(self, memory: Memory, looked_at_us: int) -> None:
        """An earlier reader has left this memory, and looked everywhere at this moment."""
        self.memory = memory
        self.looked_at_us = self._glanced_at_us = looked_at_us

    async def look(self, expected: Expected) -> tuple[Attempt, ...]:
        """One look, with the element's retests where it fails; what it saw is in ``sightings``."""

        async def body(readings: Readings, _number: int) -> None:
            if self.session is not None:
                with contextlib.suppress(FaultError):
                    await self._look(self.session, readings, expected)
                    return
                # Servers end idle sessions as they like; only a session that cannot be had is a fault.
                self.abort()
            session = await self._open(readings)
            await self._guarded(session, readings, expected)

        made = await attempts.run(self.element, body, self._tools.clock, self._tools.lag)
        self._looked(made)
        return made

    async def check(
        self, expected: Expected, fails: CheckFails
    ) -> tuple[tuple[Attempt, ...], MailboxFacts | None]:
        """A look over a session of its own, from the first byte, and what the server tells of the mailbox."""
        facts: MailboxFacts | None = None

        async def body(readings: Readings, _number: int) -> None:
            nonlocal facts
            facts = None
            self.abort()
            session = await self._open(readings)
            await self._guarded(session, readings, expected)
            with readings.timeline.stage("facts"):
                facts = await session.facts()

        with contextlib.suppress(FaultError):
            await self.finish()
        clock, lag = self._tools.clock, self._tools.lag
        made = await attempts.run(self.element, body, clock, lag, lambda made: fails(made, facts))
        self._looked(made)
        return made, facts

    def _looked(self, made: tuple[Attempt, ...]) -> None:
        self._tally[Tally.LOOKS] += len(made)
        fault = made[-1].fault
        if fault is not None:
            self.abort()
            if fault.code in CONFLICTS:
                self._tally[Tally.CONFLICTS] += 1
        if self._tools.looked is not None:
            self._tools.looked(made)

    async def wait_for_news(self, longest_s: float) -> None:
        """Waits over the open session until the server announces something, or the time is over."""
        session = self.session
        if session is None:
            return
        try:
            self._announced = await session.wait(longest_s)
        except FaultError:
            self.abort()  # the next look opens another

    async def finish(self) -> None:
        """Ends the session in good order; with POP3 that is what deletes."""
        session, self.session = self.session, None
        if session is not None:
            await session.finish()

    def abort(self) -> None:
        """Drops the session, if one is open."""
        if self.session is not None:
            self.session.abort()
            self.session = None

    def kept(self) -> Memory:
        """What the next reader should know: everything but what still has to be done away with."""
        return self.memory.showing({*self.sightings, *self._unread})

    def deleted(self, places: Sequence[Place]) -> None:
        """These messages are gone."""
        self.memory = self.memory.without(places)
        for place in places:
            self.forget(place)

    def forget(self, place: Place) -> None:
        """A message is gone, or is not ours to care about."""
        self.sightings.pop(place, None)
        self.details.pop(place, None)

    async def _open(self, readings: Readings) -> MailboxSession:
        way = await access(self.element, self._tools.keys, readings.timeline, self._tools.tls)
        session = await open_session(self.element, way.login, way.tls, readings.timeline, FIELDS)
        self.session = session
        self._tally[Tally.LOGINS] += 1
        self.login_delay_s = session.login_delay_s
        readings.logged_in()
        return session

    async def _guarded(self, session: MailboxSession, readings: Readings, expected: Expected) -> None:
        try:
            await self._look(session, readings, expected)
        except BaseException:
            self.abort()
            raise

    async def _look(self, session: MailboxSession, readings: Readings, expected: Expected) -> None:
        readings.over(session.stream, self.element)
        began_us = self._tools.clock.now_us()
        everywhere = not session.live or began_us - self.looked_at_us >= EVERYWHERE_US
        before = self.memory
        with readings.timeline.stage("find"):
            known = replace(before, ours=frozenset(self.sightings))
            found, memory = await session.scan(known, everywhere=everywhere)
        self.memory = replace(memory, again=frozenset(), ours=frozenset())
        self._forget_moved(before)
        self._take(found, before)
        if self._unread or self._unexamined(expected):
            with readings.timeline.stage("fetch"):
                await self._examine(session, expected)
        self._glanced_at_us = began_us
        if everywhere:
            self.looked_at_us = began_us
        self._announced = False

    def _forget_moved(self, before: Memory) -> None:
        """Places in a folder whose UIDVALIDITY changed mean nothing now (RFC 3501 section 2.3.1.1)."""
        for name, seen in self.memory.folders.items():
            known = before.folders.get(name)
            if known is not None and known.validity != seen.validity:
                for place in [place for place in self.sightings if place.folder == name]:
                    self.forget(place)

    def _take(self, found: Sequence[Found], before: Memory) -> None:
        now_us = self._tools.clock.now_us()
        for item in found:
            if item.place in self.sightings:
                continue
            seen = message.recognise(item.header, self._tools.keys.signing)
            if seen.token is not None:
                self._seen += 1
                self.sightings[item.place] = Sighting(
                    place=item.place,
                    token=seen.token,
                    original=seen.original,
                    seen_at_us=now_us,
                    looked_before_us=self._looked_before_us(item.place, before),
                    number=self._seen,
                    pushed=self._announced,
                    spam=item.spam,
                )
            elif seen.may_be_bounce:
                self._unread[item.place] = None
            elif item.place not in before.again:
                kind = Tally.FORGED if seen.forged else Tally.DAMAGED if seen.damaged else Tally.FOREIGN
                self._tally[kind] += 1

    def _looked_before_us(self, place: Place, before: Memory) -> int:
        """When the last look began that did not show this message; 0 where that is not known."""
        if place in before.again:
            return 0  # an earlier reader saw it, and did not live to tell
        return self._glanced_at_us if place.folder == self.element.main_folder else self.looked_at_us

    def _unexamined(self, expected: Expected) -> list[Sighting]:
        """Messages that somebody waits for, and whose text was not fetched yet."""
        return [
            sighting
            for place, sighting in self.sightings.items()
            if sighting.notice is None
            and place not in self.details
            and (sighting.poll in expected.pending or sighting.poll in expected.awaited)
        ]

    async def _examine(self, session: MailboxSession, expected: Expected) -> None:
        wanted = self._unexamined(expected)
        notices = list(self._unread)[:NOTICES_LIMIT]
        texts = await _texts(session, [*(sighting.place for sighting in wanted), *notices])
        # Together: each may wait for name servers.
        read = await asyncio.gather(*(self._details(one, texts.get(one.place), expected) for one in wanted))
        self.details.update(zip((one.place for one in wanted), read, strict=True))
        for place in notices:
            del self._unread[place]
            self._take_notice(place, texts.get(place, b""))

    async def _details(self, sighting: Sighting, text: bytes | None, expected: Expected) -> Details:
        if text is None:
            return NO_DETAILS
        known = expected.pending.get(sighting.poll) or expected.awaited[sighting.poll]
        return await details(text, sighting, known, self.element, self._tools.txt)

    def _take_notice(self, place: Place, text: bytes) -> None:
        read = notice(text, self._tools.keys.signing)
        if read is None:
            self._tally[Tally.FOREIGN] += 1
            return
        token, said = read
        self._tally[Tally.BOUNCES] += 1
        now_us = self._tools.clock.now_us()
        self.sightings[place] = Sighting(place, token, True, now_us, self.looked_at_us, notice=said)


async def _texts(session: MailboxSession, places: Sequence[Place]) -> dict[Place, bytes]:
    """The whole messages; a server that refuses to show them costs what they would tell, not the look."""
    try:
        return dict(await session.fetch(places))
    except FaultError as error:
        if error.code is not FaultCode.REPLY:
            raise
        log.warning("cannot fetch messages: %s", error)
        return {}
