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
from dataclasses import dataclass, field

from redis.exceptions import RedisError

from postbeat.sinks.channel import Channel, NotDeliveredError
from postbeat.sinks.config import AnySink
from postbeat.sinks.notice import EventKind, Notice, element_of, notice_of
from postbeat.sinks.rules import NOTHING, Decision, Standing, after_maintenance, decide, ended, in_maintenance
from postbeat.sinks.surroundings import Surroundings
from postbeat.store.outbox import LeaseLostError, Letter, Move, Outbox

log = logging.getLogger(__name__)

STANDBY_S = 1.0  # between two tries to take a sink that another process serves
RENEW_S = 3.0
REDIS_S = 1.0  # between two tries while Redis is away
LOOK_S = 1.0  # between two looks whether maintenance is over, or an element has left the profile
REASON_LIMIT = 500


class _StoppedError(Exception):
    """The sink should stop; what was under way is told by whoever serves it next."""


@dataclass(frozen=True, slots=True)
class World:
    """What a sink takes from outside: time, and chance."""

    now_us: Callable[[], int]
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
    _away: bool = False  # Redis
    _gap: bool = False  # events were lost; the end of a problem may have been among them

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
            if not self._away:
                log.warning("Sink %s: Redis does not answer (%s)", name, type(error).__name__)
            self._away = True
            await self._pause(REDIS_S)
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
        self._cursor = self._through = await self.outbox.begin()
        stored = await self.outbox.standings()
        self._standings = {subject: Standing.loads(text) for subject, text in stored.items()}
        self._away = False
        log.info("Sink %s: served from event %s on", self.sink.name, self._cursor)
        while not self._stopping.is_set():
            for letter in await self.outbox.letters_again():
                await self._again(letter)
            entries = await self.outbox.read(self._cursor)
            if entries and self._cursor != "0-0" and not await self.outbox.is_there(self._cursor):
                log.warning("Sink %s: events may be lost, it was behind for too long", self.sink.name)
                self._gap = True
            for entry, event in entries:
                if event is not None:
                    about = element_of(event)
                    if about:
                        await self.surroundings.learn(about)
                    await self._take(notice_of(event, self.surroundings.facts(about)))
                self._through = entry
            if self._through != self._cursor:
                await self._commit(Move(self._through))
            if not entries:
                await self._look(self.world.now_us())
                await self._mend()
            await self._resend()

    async def _take(self, notice: Notice) -> None:
        await self._look(notice.at_us)
        standing = self._standings.get(notice.subject, NOTHING)
        covered = in_maintenance(notice, self.surroundings.calendar, notice.at_us)
        decision = decide(notice, self.sink.filters, standing, covered=covered)
        await self._follow(notice.subject, decision, notice.id)

    async def _look(self, at_us: int) -> None:
        """Tells what was silenced and is not over, and ends what is monitored no more."""
        if at_us - self._looked_at_us < LOOK_S * 1e6:
            return
        self._looked_at_us = at_us
        for subject, standing in list(self._standings.items()):
            about = standing.told or standing.silenced
            if about is not None and await self.surroundings.has_left(about):
                await self._follow(subject, ended(standing, at_us), self._through)
            elif standing.silenced is not None and not in_maintenance(
                standing.silenced, self.surroundings.calendar, at_us
            ):
                await self._follow(subject, after_maintenance(self.sink.filters, standing), self._through)

    async def _mend(self) -> None:
        """Ends the problems whose end was among lost events, once there is no event left to say so."""
        if not self._gap:
            return
        for subject, standing in list(self._standings.items()):
            about = standing.told or standing.silenced
            if about is not None and await self._level_now(about) == "GOOD":
                await self._follow(subject, ended(standing, self.world.now_us(), "GOOD"), self._through)
        self._gap = False

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
            left_s = retry.giveup_s - (self.world.now_us() - since_us) / 1e6
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
        now_us = self.world.now_us()
        while True:
            try:
                return await self.outbox.first_tried(notice.id, now_us, problem[:REASON_LIMIT])
            except RedisError:
                await self._pause(REDIS_S)

    async def _commit(self, move: Move) -> None:
        """Notes what was dealt with, as soon as Redis is there: else events would be repeated."""
        while True:
            try:
                await self.outbox.commit(self._cursor, move, self.world.now_us())
            except RedisError:
                await self._pause(REDIS_S)
            else:
                self._cursor = self._through = move.cursor
                return

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


def _defect(error: Exception) -> str:
    """What went wrong in our own code, and where. Its message is left out, as it may quote a secret."""
    where = "".join(
        f" in {it.name} ({it.filename}:{it.lineno})" for it in traceback.extract_tb(error.__traceback__)[-1:]
    )
    return type(error).__name__ + where
