"""The reader: the one session on a mailbox that resolves everything pending in it.

It looks, records what it found, and deletes only messages whose signature verifies, only after their result
is recorded. Between looks it waits: briefly at first, longer the longer nothing comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from postbeat import attempts, message
from postbeat.clock import Clock
from postbeat.elements import MailboxElement
from postbeat.grade import level_of
from postbeat.lag import LagMeter
from postbeat.model import Fault, FaultCode, FaultError, Phase, Side
from postbeat.probes import open_session
from postbeat.probes.credentials import access
from postbeat.probes.readings import Readings
from postbeat.probes.session import MailboxSession, Memory
from postbeat.results import Attempt, Delivery, Result
from postbeat.secrets import Keys
from postbeat.sending import describe
from postbeat.store.records import Pending
from postbeat.tls.options import TlsDefaults

log = logging.getLogger(__name__)

FIELDS = (message.FIELD, "Received")
DELIVERED = "Message Successfully Downloaded"
ORPHAN_US = 300 * 1_000_000  # a message of ours that nobody waits for is deleted at this age
SETTLED_LIMIT = 10_000  # polls whose further copies are recognised

# Between looks, in seconds: first, factor, longest. Every look of POP3 is a login, IMAP4 stays logged in.
_WAITS = {True: (0.02, 1.5, 1.0), False: (0.2, 1.5, 5.0)}


class Desk(Protocol):
    """Where the reader finds what is pending and puts its results; :class:`postbeat.store.worker.Desk`."""

    async def pending(self) -> Mapping[str, Pending]:
        """The messages that should turn up, by poll id."""
        ...

    async def record(self, result: Result) -> bool:
        """Records a read; False when it was recorded before. Raises when the lease is lost."""
        ...

    async def memory(self) -> Memory:
        """What earlier readers looked at."""
        ...

    async def remember(self, memory: Memory) -> None:
        """Keeps a memory."""
        ...

    async def release(self, *, force: bool = False) -> bool:
        """Gives the mailbox back unless something is pending; whether the work is over."""
        ...

    async def keep(self) -> None:
        """Holds the lease; returns when it is lost."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What all readers of a worker share.

    Once ``stopping`` is set, readers give their mailboxes back. ``orphans`` is whether old messages of ours
    that nobody waits for are deleted; ``use_body`` is whether bodies are looked at where the element does not
    say; ``looked`` is told of each look.
    """

    keys: Keys
    clock: Clock
    lag: LagMeter
    worker: str
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    orphans: bool = True
    use_body: bool = False
    tls: TlsDefaults = field(default_factory=TlsDefaults)
    looked: Callable[[tuple[Attempt, ...]], None] | None = None


@dataclass(frozen=True, slots=True)
class _Sighting:
    """A message of ours in the mailbox: when we saw it, and how long we had not looked before."""

    token: message.Token
    hop_count: int
    seen_at_us: int
    looked_before_us: int


async def read(element: MailboxElement, desk: Desk, tools: Tools) -> None:
    """Reads until nothing is pending, under the desk's lease; ends at once when the lease is lost."""
    if tools.use_body and element.usebody is None:
        element = replace(element, usebody=1)
    visit = _Visit(element, desk, tools)
    keeper = asyncio.ensure_future(desk.keep())
    work = asyncio.ensure_future(visit.run())
    try:
        await asyncio.wait((keeper, work), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
        else:
            log.warning("the lease of %s was lost", element.mailbox)
    finally:
        for task in (work, keeper):
            task.cancel()
        await asyncio.gather(work, keeper, return_exceptions=True)
        visit.abort()
        if not visit.over:
            with contextlib.suppress(Exception):
                await desk.release(force=True)


class _Visit:
    """One reader's stay in a mailbox."""

    def __init__(self, element: MailboxElement, desk: Desk, tools: Tools) -> None:
        self._element = element
        self._desk = desk
        self._tools = tools
        self._session: MailboxSession | None = None
        self._memory = Memory()
        self._sightings: dict[str, _Sighting] = {}  # messages of ours that are still in the mailbox
        self._settled: dict[str, None] = {}  # polls that this visit has recorded
        self._looked_at_us = 0
        self.over = False

    async def run(self) -> None:
        """Looks again and again until nothing is pending, or the worker stops."""
        self._memory = saved = await self._desk.memory()
        known: set[str] = set()
        wait_s = 0.0
        while True:
            pending = await self._desk.pending()
            stopping = self._tools.stopping.is_set()
            if (stopping or not pending) and await self._desk.release(force=stopping):
                self.over = True
                await self._finish()
                return
            made = await attempts.run(self._element, self._look, self._tools.clock, self._tools.lag)
            if self._tools.looked is not None:
                self._tools.looked(made)
            settled = await self._settle(pending, made)
            await self._tidy(pending)
            memory = self._memory.without(self._sightings)
            if memory != saved:
                await self._desk.remember(memory)
                saved = memory
            if settled or not pending.keys() <= known:
                wait_s = 0.0
            known = set(pending)
            wait_s = self._longer(wait_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._tools.stopping.wait()

    def abort(self) -> None:
        """Drops the session, if one is open."""
        if self._session is not None:
            self._session.abort()
            self._session = None

    def _longer(self, wait_s: float) -> float:
        live = self._session is not None and self._session.live
        first, factor, longest = _WAITS[live]
        return min(max(first, wait_s * factor), longest)

    async def _look(self, readings: Readings, number: int) -> None:
        """One look into the mailbox, over the open session if there is one."""
        before_us = self._looked_at_us
        if self._session is not None:
            try:
                await self._scan(self._session, readings, before_us)
                return
            except FaultError:
                # Servers end idle sessions as they like; only a session that cannot be had is a fault.
                self.abort()
        way = await access(self._element, self._tools.keys, readings.timeline, self._tools.tls)
        session = await open_session(self._element, way.login, way.tls, readings.timeline, FIELDS)
        self._session = session
        try:
            await self._scan(session, readings, before_us)
        except BaseException:
            self.abort()
            raise

    async def _scan(self, session: MailboxSession, readings: Readings, before_us: int) -> None:
        readings.over(session.stream, self._element)
        with readings.timeline.stage("find"):
            validity = self._memory.validity
            found, self._memory = await session.scan(self._memory)
            if self._memory.validity != validity:
                self._sightings.clear()  # the ids may belong to other messages now (RFC 3501 section 2.3.1.1)
        now_us = self._tools.clock.now_us()
        for item in found:
            recognised = message.recognise(item.header, self._tools.keys.signing)
            if recognised.token is not None:
                self._sightings[item.uid] = _Sighting(
                    recognised.token, recognised.hop_count, now_us, before_us
                )
        self._looked_at_us = now_us

    async def _settle(self, pending: Mapping[str, Pending], made: tuple[Attempt, ...]) -> int:
        """Records what this look decided. Returns the number of results."""
        fault = made[-1].fault
        now_us = self._tools.clock.now_us()
        settled = 0
        found = {(str(s.token.poll), s.token.attempt): s for s in reversed(self._sightings.values())}
        for poll, expected in pending.items():
            sighting = found.get((poll, expected.attempt))
            if sighting is not None:
                result = self._delivered(expected, sighting, made)
            elif fault is not None and (
                fault.code is not FaultCode.IN_USE or now_us > expected.expires_at_us
            ):
                result = self._result(expected, made, fault)
            elif fault is None and now_us > expected.expires_at_us:
                result = self._result(expected, made, self._lost(expected))
            else:
                continue
            settled += await self._desk.record(result)
            self._settled[poll] = None
        while len(self._settled) > SETTLED_LIMIT:
            del self._settled[next(iter(self._settled))]
        return settled

    def _delivered(self, expected: Pending, sighting: _Sighting, made: tuple[Attempt, ...]) -> Result:
        took_us = max(0, sighting.seen_at_us - expected.accepted_at_us)
        unseen_us = sighting.seen_at_us - max(sighting.looked_before_us, expected.accepted_at_us)
        delivery = Delivery(took_us, max(0, unseen_us), sighting.hop_count)
        allowed_us = expected.expires_at_us - expected.accepted_at_us
        late = None
        if took_us - delivery.resolution_us > allowed_us:
            late = self._fault(f"the message arrived late, after {took_us / 1e6:.0f} s")
        return self._result(expected, made, late, delivery)

    def _lost(self, expected: Pending) -> Fault:
        allowed_s = (expected.expires_at_us - expected.accepted_at_us) / 1e6
        return self._fault(f"the message did not arrive within {allowed_s:g} s")

    def _fault(self, text: str) -> Fault:
        return Fault(Side.REMOTE, FaultCode.NOT_ARRIVED, text, "find")

    def _result(
        self,
        expected: Pending,
        made: tuple[Attempt, ...],
        fault: Fault | None,
        delivery: Delivery | None = None,
    ) -> Result:
        return Result(
            poll=expected.poll,
            phase=Phase.READ,
            kind=self._element.kind,
            level=level_of(fault, made[-1].warnings),
            message="; ".join((DELIVERED, *made[-1].warnings)) if fault is None else describe(fault),
            at_us=self._tools.clock.now_us(),
            attempts=made,
            fault=fault,
            delivery=delivery,
            worker=self._tools.worker,
        )

    async def _tidy(self, pending: Mapping[str, Pending]) -> None:
        """Deletes our messages that nobody waits for any more, and closes what must be closed."""
        session = self._session
        if session is None:
            return
        done = [uid for uid, sighting in self._sightings.items() if self._is_done(sighting, pending)]
        try:
            async with asyncio.timeout(self._element.timeout):
                if done:
                    await session.delete(done)
                if not session.live:
                    self._session = None
                    await session.finish()
        except (FaultError, TimeoutError) as error:
            log.warning("could not tidy up %s: %s", self._element.mailbox, error)
            session.abort()
            self._session = None
            return
        for uid in done:
            del self._sightings[uid]

    def _is_done(self, sighting: _Sighting, pending: Mapping[str, Pending]) -> bool:
        """Recorded, a copy of what was recorded, another attempt's copy, or an orphan."""
        poll = str(sighting.token.poll)
        if poll in self._settled:
            return True
        if poll in pending:
            return pending[poll].attempt != sighting.token.attempt
        age_us = self._tools.clock.now_us() - sighting.token.sent_at_us
        return self._tools.orphans and age_us > ORPHAN_US

    async def _finish(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        try:
            async with asyncio.timeout(self._element.timeout):
                await session.finish()
        except (FaultError, TimeoutError):
            session.abort()
