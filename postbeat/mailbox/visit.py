"""One reader's stay in a mailbox: it looks, records, tidies up and waits, until nothing is pending."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter

from postbeat.delivery import MailboxFacts
from postbeat.elements import MailboxElement, Pop3Element
from postbeat.mailbox import checks, pace
from postbeat.mailbox.desk import Desk, Tools
from postbeat.mailbox.looking import Looker
from postbeat.mailbox.settling import Settler
from postbeat.model import Fault, FaultCode, FaultError, Poll, Side
from postbeat.probes.session import Memory, Place
from postbeat.results import Attempt, Result
from postbeat.sending import judge_of
from postbeat.store.records import Noted

log = logging.getLogger(__name__)

REST_S = 1.0  # the desk is asked for what is expected so often, even where its bell does not ring
NOTE_S = 1.0


class Visit:
    """See the module's description. ``over`` is whether the mailbox was given back."""

    def __init__(self, element: MailboxElement, desk: Desk, tools: Tools) -> None:
        self._element = element
        self._desk = desk
        self._tools = tools
        self._clock = tools.clock
        self._tally: Counter[str] = Counter()
        self._looker = Looker(element, tools, self._tally)
        self._settler = Settler(element, desk, tools, self._tally)
        self._remembered = Memory()
        self._undeletable: set[Place] = set()  # not tried again in this visit
        self._refusals = 0
        self._not_before_us = 0
        self._fault: Fault | None = None  # of the last look, by an earlier reader perhaps
        self._noted_at = 0.0
        self._began = False
        self._looked = False
        self.over = False

    async def run(self) -> None:
        """Looks again and again until nothing is pending, a check wants the mailbox, or the worker stops."""
        await self._begin()
        while True:
            await self._ask()
            if self._leaving() and await self._leave():
                return
            began = time.monotonic()
            if self._clock.now_us() >= self._not_before_us:
                await self._conclude(await self._looker.look(self._settler.expected))
            await self._pause(began)

    async def check(self, poll: Poll) -> Result:
        """The service test of the mailbox: a session from the first byte, and what the mailbox tells."""
        await self._begin()
        await self._ask()
        away_s = (self._not_before_us - self._clock.now_us()) / 1e6
        if away_s > self._element.timeout:
            text = f"the server wants no login of ours for another {away_s:.0f} s"
            fault = Fault(Side.LOCAL, FaultCode.THROTTLED, text)
            return checks.kept_away(self._element, poll, self._tools, fault)
        await asyncio.sleep(max(0.0, away_s))
        judge = await judge_of(self._element, poll, self._tools.standing)

        def fails(made: tuple[Attempt, ...], facts: MailboxFacts | None) -> bool:
            return judge.fails(checks.checked(self._element, poll, self._tools, made, facts, None))

        made, facts = await self._looker.check(self._settler.expected, fails)
        await self._conclude(made)
        await self._note(facts)
        tally = await self._desk.take_tally()
        return judge.graded(checks.checked(self._element, poll, self._tools, made, facts, tally))

    def abort(self) -> None:
        """Drops the session, if one is open."""
        self._looker.abort()

    async def _begin(self) -> None:
        if self._began:
            return
        self._began = True
        self._remembered = await self._desk.memory()
        noted = await self._desk.noted()
        self._not_before_us = noted.not_before_us
        self._fault = noted.fault
        self._looker.begin(self._remembered, noted.looked_at_us)
        await self._settler.begin()

    async def _ask(self) -> None:
        self._desk.bell.clear()
        await self._settler.ask()

    def _leaving(self) -> bool:
        expected = self._settler.expected
        if self._tools.stopping.is_set() or expected.wanted:
            return True
        if expected.pending:
            return False
        return self._looked or not expected.awaited or self._clock.now_us() < self._not_before_us

    async def _leave(self) -> bool:
        """Ends the session before the mailbox is given back: there is never a second one."""
        await self._note()
        await self._end_session()
        force = self._tools.stopping.is_set() or self._settler.expected.wanted
        self.over = await self._desk.release(force=force)
        return self.over

    async def _conclude(self, made: tuple[Attempt, ...]) -> None:
        """After a look: records what it decided, deletes what is done with, remembers the rest."""
        self._looked = True
        self._fault = made[-1].fault
        self._note_conflict(self._fault)
        await self._settler.settle(self._looker, made)
        await self._tidy()
        memory = self._looker.kept()
        if memory != self._remembered:
            await self._desk.remember(memory)
            self._remembered = memory
        if self._tally and time.monotonic() - self._noted_at >= NOTE_S:
            await self._note()

    def _note_conflict(self, fault: Fault | None) -> None:
        conflict = pace.BACK_OFF_S.get(fault.code) if fault is not None else None
        if conflict is None:
            self._refusals = 0
            self._not_before_us = 0
        else:
            self._refusals += 1
            wait_us = round(pace.backing_off(self._refusals, conflict) * 1e6)
            self._not_before_us = self._clock.now_us() + wait_us

    async def _note(self, facts: MailboxFacts | None = None) -> None:
        self._noted_at = time.monotonic()
        tally = dict(self._tally)
        self._tally.clear()
        looked_at_us = self._looker.looked_at_us
        not_before_us = self._not_before_us
        if interval_s := self._interval_s():
            not_before_us = max(not_before_us, looked_at_us + round(interval_s * 1e6))
        await self._desk.note(tally, Noted(looked_at_us, not_before_us, self._fault), facts)

    def _interval_s(self) -> float:
        """How long two logins must be apart, in seconds."""
        ours = self._element.logininterval if isinstance(self._element, Pop3Element) else 0.0
        return max(ours, self._looker.login_delay_s)

    async def _tidy(self) -> None:
        """Deletes our messages that nobody waits for any more, and ends a session that shows nothing new."""
        session = self._looker.session
        if session is None or not self._desk.holds():
            return
        done = await self._settler.done(self._looker, self._undeletable)
        try:
            async with asyncio.timeout(self._element.timeout):
                if done:
                    await session.delete(done)
                if not session.live:
                    await self._looker.finish()
        except (FaultError, TimeoutError) as error:
            log.warning("could not tidy up %s: %s", self._element.mailbox, error)
            self._undeletable.update(done)
            self._looker.abort()
            return
        self._looker.deleted(done)

    async def _end_session(self) -> None:
        try:
            async with asyncio.timeout(self._element.timeout):
                await self._looker.finish()
        except (FaultError, TimeoutError):
            self._looker.abort()

    async def _pause(self, began: float) -> None:
        """Waits until the next look is due; what becomes pending meanwhile makes it due earlier."""
        while not self._leaving():
            wait = self._wait()
            rest_s = began + wait.longest_s - time.monotonic()
            if rest_s <= 0:
                return
            if wait.pushed:
                await self._rest_and_listen(rest_s)
                if not self._desk.bell.is_set():
                    return
            else:
                await self._rest(min(rest_s, REST_S))
            await self._ask()

    def _wait(self) -> pace.Wait:
        now_us = self._clock.now_us()
        if now_us < self._not_before_us:
            return pace.Wait((self._not_before_us - now_us) / 1e6 + 0.001)
        waiting = self._settler.expected.pending.values()
        age_s = max(0.0, (now_us - max((known.accepted_at_us for known in waiting), default=0)) / 1e6)
        if isinstance(self._element, Pop3Element):
            return pace.logins(age_s, self._interval_s())
        session = self._looker.session
        wait = pace.live(age_s, pushes=session is not None and session.pushes)
        # Not beyond the moment at which a message is overdue: that is found out by a look.
        ends_s = ((known.expires_at_us - now_us) / 1e6 for known in waiting if known.expires_at_us > now_us)
        return pace.Wait(min(wait.longest_s, min(ends_s, default=wait.longest_s) + 0.01), wait.pushed)

    async def _rest(self, longest_s: float) -> None:
        """Rests until the bell rings."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._desk.bell.wait()

    async def _rest_and_listen(self, longest_s: float) -> None:
        """Rests until the bell rings, the server has news, or the worker stops."""
        tasks = [
            asyncio.ensure_future(self._desk.bell.wait()),
            asyncio.ensure_future(self._tools.stopping.wait()),
            asyncio.ensure_future(self._looker.wait_for_news(longest_s)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
