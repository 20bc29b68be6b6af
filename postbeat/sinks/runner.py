"""One sink at work: follows the stream of events, and tells each in order until the receiver has it.

The place in the stream moves after the receiver took an event. Where the process dies in between, the event
is told once more, with the same id; nothing else is ever told twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from redis.exceptions import RedisError

from postbeat.alerts import AlertEvent
from postbeat.clock import Clock
from postbeat.model import Pair, Poll
from postbeat.results import AnyEvent
from postbeat.sinks.channel import Channel, NotDeliveredError
from postbeat.sinks.config import AnySink
from postbeat.sinks.notice import EventKind, Facts, Notice, element_of, in_regions, notice_of, saying
from postbeat.sinks.rules import (
    NOTHING,
    Covering,
    Decision,
    Standing,
    after_maintenance,
    decide,
    ended,
    in_maintenance,
)
from postbeat.sinks.surroundings import Surroundings
from postbeat.store.connecting import trouble_text
from postbeat.store.outbox import LeaseLostError, Letter, Move, Outbox
from postbeat.store.streams import said_by_the_worst
from postbeat.store.summary import ElementVerdict
from postbeat.verdict import concerned

log = logging.getLogger(__name__)
T = TypeVar("T")

STANDBY_S = 1.0  # between two tries to take a sink that another process serves
RENEW_S = 3.0
REDIS_S = 1.0  # between two tries while Redis is away, or refuses what it is told
LOOK_S = 1.0  # between two looks whether maintenance is over, or an element has left the profile
REASON_LIMIT = 500


class _StoppedError(Exception):
    """The sink should stop; what was under way is told by whoever serves it next."""


@dataclass(frozen=True, slots=True)
class World:
    """What a sink takes from outside: time, and chance. ``clock`` is the one clock."""

    clock: Clock
    steady_us: Callable[[], int]
    sleep: Callable[[float], Awaitable[None]]
    random: Callable[[], float]


@dataclass
class Runner:
    """Serves one sink until :meth:`stop`."""

    sink: AnySink
    outbox: Outbox
    channel: Channel
    surroundings: Surroundings
    world: World
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _cursor: str = ""  # as Redis has it
    _through: str = ""  # what is dealt with; nothing was told in between
    _standings: dict[str, Standing] = field(default_factory=dict)
    _looked_at_us: int = 0
    _resent_us: int | None = None
    _away: bool = False  # Redis, or it refuses what it is told
    _gap: bool = False  # events were passed over; the end of a problem may have been among them

    def stop(self) -> None:
        """Has it end after what it is doing."""
        self._stopping.set()

    async def run(self) -> None:
        """Serves the sink, or waits until whoever serves it is gone."""
        try:
            while not self._stopping.is_set():
                with contextlib.suppress(_StoppedError):
                    await self._turn()
        finally:
            await self.channel.close()

    async def _turn(self) -> None:
        name = self.sink.name
        try:
            if not await self.outbox.acquire():
                return await self._pause(STANDBY_S)
            keeping = asyncio.create_task(self._keep())
            try:
                await self._serve()
            finally:
                keeping.cancel()
                await asyncio.wait((keeping,))
                with contextlib.suppress(RedisError):
                    await self.outbox.release()
        except LeaseLostError:
            log.warning("Sink %s: another process serves it now", name)
        except RedisError as error:
            await self._without_redis(error)
        except _StoppedError:
            raise
        except Exception as error:
            log.error("Sink %s: a defect: %s", name, _defect(error))
            await self._pause(REDIS_S)
        return None

    async def _keep(self) -> None:
        """Renews the lease; a Redis that does not answer is asked again."""
        while True:
            await asyncio.sleep(RENEW_S)
            with contextlib.suppress(RedisError):
                await self.outbox.renew()

    async def _serve(self) -> None:
        self._cursor, turned = await self.outbox.begin(self._cursor)
        self._through, self._gap = self._cursor, self._gap or turned
        stored = await self.outbox.standings()
        self._standings = {subject: Standing.loads(text) for subject, text in stored.items()}
        self._away = False
        log.info("Sink %s: served from event %s on", self.sink.name, self._cursor)
        while not self._stopping.is_set():
            for letter in await self.outbox.letters_again():
                await self._again(letter)
            entries = await self.outbox.read(self._cursor)
            if entries and self._cursor != "0-0" and not await self.outbox.goes_back_to(self._cursor):
                log.warning("Sink %s: events may be lost, it was behind for too long", self.sink.name)
                self._gap = True
            about = {element_of(event) for _, event in entries if event is not None and self._concerns(event)}
            if about:  # Redis knows by now what came before these events: elements, and maintenance
                await self.surroundings.renew(about)
            for entry, event in entries:
                if event is not None:
                    await self._take(notice_of(event, self.surroundings.facts(element_of(event))))
                self._through = entry
            if self._through != self._cursor:
                await self._commit(Move(self._through))
            if not entries:
                await self._look(self.world.clock.now_us(), idle=True)
            await self._resend()

    def _concerns(self, event: AnyEvent | AlertEvent) -> bool:
        """Whether the sink may want an event, of whatever group its element is by now."""
        return replace(self.sink.filters, groups=()).match(notice_of(event, Facts()))

    async def _take(self, notice: Notice) -> None:
        if notice.at_us > self._looked_at_us:
            await self._look(notice.at_us)
        standing = self._standings.get(notice.subject, NOTHING)
        covered = in_maintenance(notice, self.surroundings.calendar, notice.at_us)
        decision = decide(notice, self.sink.filters, standing, covered=covered)
        await self._follow(notice.subject, decision, notice.id)

    async def _look(self, at_us: int, *, idle: bool = False) -> None:
        """Tells what was silenced and is not over, and ends what no event will end.

        ``idle``: there is no event left. Only then is it known what has ended by one that was passed over.
        """
        if abs(at_us - self._looked_at_us) < LOOK_S * 1e6:  # before it where the clock was set back
            return
        self._looked_at_us = at_us
        uncovered = await self._uncovered(at_us)
        for subject, standing in list(self._standings.items()):
            decision = await self._without_event(standing, uncovered.get(subject), at_us, idle=idle)
            await self._follow(subject, decision, self._through)
        if idle:
            self._gap = False

    async def _uncovered(self, at_us: int) -> dict[str, Notice]:
        """The problems that maintenance has silenced and does not cover any more, by subject."""
        silenced = {subject: it.silenced for subject, it in self._standings.items() if it.silenced}
        verdicts = await self._in_force(silenced)
        silenced |= {name: replace(silenced[name], regions=it.regions) for name, it in verdicts.items()}
        found = self._outside_maintenance(silenced, at_us)
        if found:  # other maintenance of them may have been announced a moment ago
            await self.surroundings.renew({notice.element for notice in found.values()})
            found = self._outside_maintenance(found, at_us)
        return found | {
            subject: _told_from_outside(found[subject], verdict, self.surroundings.calendar, at_us)
            for subject, verdict in verdicts.items()
            if subject in found
        }

    async def _in_force(self, silenced: Mapping[str, Notice]) -> dict[str, ElementVerdict]:
        """The verdicts of those that are of one and that still stand: their regions may be others by now."""
        of_verdicts = {name: it for name, it in silenced.items() if it.kind is EventKind.VERDICT}
        known = await self.outbox.verdicts_now([notice.element for notice in of_verdicts.values()])
        return {
            subject: known[notice.element]
            for subject, notice in of_verdicts.items()
            if notice.element in known and known[notice.element].since_us == notice.at_us
        }

    def _outside_maintenance(self, notices: Mapping[str, Notice], at_us: int) -> dict[str, Notice]:
        calendar = self.surroundings.calendar
        return {name: it for name, it in notices.items() if not in_maintenance(it, calendar, at_us)}

    async def _without_event(
        self, standing: Standing, uncovered: Notice | None, at_us: int, *, idle: bool
    ) -> Decision:
        """What follows for a subject from the passing of time, and from how things stand now.

        ``uncovered`` is the problem that was silenced, where it is in no maintenance any more.
        """
        about = standing.told or standing.silenced
        if about is not None and await self.surroundings.has_left(about):
            return ended(standing, at_us)
        if (
            about is not None
            and (self._is_elsewhere(about) or (self._gap and idle))
            and await self._level_now(about) == "GOOD"
        ):
            return ended(standing, at_us, "GOOD")
        if uncovered is not None and (idle or not self._gap):
            return after_maintenance(self.sink.filters, Standing(standing.told, uncovered))
        return Decision(None, standing)

    def _is_elsewhere(self, about: Notice) -> bool:
        """Whether its events are in a stream that the sink follows no more, as its kinds were changed."""
        return (about.kind is EventKind.ALERT) != (EventKind.ALERT in self.sink.kinds)

    async def _level_now(self, about: Notice) -> str:
        if about.kind is EventKind.ALERT:
            return await self.outbox.alert_level(str(about.alert["Identifier"]))
        return await self.outbox.level_now(about.element, about.region)

    async def _follow(self, subject: str, decision: Decision, through: str) -> None:
        """Does what was decided, and notes it."""
        changed = decision.standing != self._standings.get(subject, NOTHING)
        if decision.tell is None and not changed:
            return
        standings = {subject: decision.standing.dumps()} if changed else {}
        if decision.tell is None:
            move = Move(through, standings=standings)
        else:
            move = await self._told(decision.tell, through, standings)
        await self._commit(move)
        if decision.standing == NOTHING:
            self._standings.pop(subject, None)
        else:
            self._standings[subject] = decision.standing

    async def _again(self, letter: Letter) -> None:
        move = await self._told(Notice.loads(letter.notice), self._through, {}, letter.id)
        await self._commit(move)

    async def _told(
        self, notice: Notice, through: str, standings: Mapping[str, str], settles: str = ""
    ) -> Move:
        """Tells an event until it is taken, or given up; what is to be noted then."""
        reason = await self._undelivered(notice)
        if not reason:
            return Move(through, told=True, standings=standings, settles=settles)
        log.error("Sink %s: event %s was not delivered: %s", self.sink.name, notice.id, reason)
        return Move(through, True, notice.dumps(), reason[:REASON_LIMIT], settles, standings)

    async def _undelivered(self, notice: Notice) -> str:
        """Why an event was not delivered, "" where it was."""
        retry, failures = self.sink.retry, 0
        while True:
            if not self.outbox.holds():
                raise LeaseLostError
            try:
                await self.channel.deliver(notice)
            except NotDeliveredError as error:
                problem = error
            except (
                Exception
            ) as error:  # a defect must hold up neither other sinks nor the next events for good
                log.error("Sink %s: a defect: %s", self.sink.name, _defect(error))
                problem = NotDeliveredError(f"a defect of this sink: {type(error).__name__}")
            else:
                return ""
            failures += 1
            if problem.permanent:
                return str(problem)
            pause_s = retry.pause_s(failures, self.world.random, problem.retry_after_s)
            since_us = await self._noted(notice, str(problem))
            left_s = retry.giveup_s - (self.world.clock.now_us() - since_us) / 1e6
            if left_s <= 0:
                return f"given up after {retry.giveup_s:g} s: {problem}"
            log.log(
                logging.WARNING if failures == 1 else logging.DEBUG,
                "Sink %s: event %s is tried again: %s",
                self.sink.name,
                notice.id,
                problem,
            )
            await self._pause(min(pause_s, left_s))

    async def _noted(self, notice: Notice, problem: str) -> int:
        """When an event that was not taken was tried first; notes the problem for views."""
        now_us = self.world.clock.now_us()
        return await self._answered(
            lambda: self.outbox.first_tried(notice.id, now_us, problem[:REASON_LIMIT])
        )

    async def _commit(self, move: Move) -> None:
        """Notes what was dealt with, as soon as Redis is there: else events would be repeated."""
        await self._answered(lambda: self.outbox.commit(self._cursor, move, self.world.clock.now_us()))
        self._cursor = self._through = move.cursor

    async def _answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What Redis answers, as soon as it does."""
        while True:
            try:
                answer = await ask()
            except RedisError as error:
                await self._without_redis(error)
            else:
                if self._away:
                    log.warning("Sink %s: Redis answers again", self.sink.name)
                self._away = False
                return answer

    async def _without_redis(self, error: RedisError) -> None:
        """Says once what is the matter with Redis, and gives it time."""
        if not self._away:
            log.warning("Sink %s: %s; it is tried again", self.sink.name, trouble_text(error))
        self._away = True
        await self._pause(REDIS_S)

    async def _resend(self) -> None:
        """Tells of what is open again, to those who want that."""
        every_us, now_us = self.channel.resend_s * 1e6, self.world.steady_us()
        if not every_us or (self._resent_us is not None and now_us - self._resent_us < every_us):
            return
        self._resent_us = now_us
        notices = [standing.told for standing in self._standings.values() if standing.told is not None]
        try:
            await self.channel.still_open(notices)
        except NotDeliveredError as error:
            log.warning("Sink %s: what is open was not told again: %s", self.sink.name, error)

    async def _pause(self, seconds: float) -> None:
        """Sleeps, or raises as soon as the sink should stop."""
        waits = [
            asyncio.ensure_future(self.world.sleep(seconds)),
            asyncio.ensure_future(self._stopping.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        if self._stopping.is_set():
            raise _StoppedError


def _told_from_outside(silenced: Notice, verdict: ElementVerdict, calendar: Covering, at_us: int) -> Notice:
    """What was silenced, as it is now, by the worst region that is in no maintenance."""
    regions = {
        region: verdict.regions[region]
        for region in concerned(verdict.regions)
        if not calendar.covers(Pair(silenced.element, region), at_us)
    }
    reasons = {region: reason for region, reason in verdict.reasons.items() if region in regions}
    newest = Poll.parse(silenced.poll).region
    now = in_regions(silenced, verdict.regions, verdict.reasons)
    return saying(now, *said_by_the_worst(regions, reasons, newest, silenced.message))


def _defect(error: Exception) -> str:
    """What went wrong in our own code, and where. Its message is left out, as it may quote a secret."""
    where = "".join(
        f" in {it.name} ({it.filename}:{it.lineno})" for it in traceback.extract_tb(error.__traceback__)[-1:]
    )
    return type(error).__name__ + where
