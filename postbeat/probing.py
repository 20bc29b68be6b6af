"""One poll now, in this process: what ``postbeat probe`` does. Needs neither Redis nor Celery."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import suppress

from postbeat import attempts, mailbox, resolve
from postbeat.clock import Clock
from postbeat.elements import MailboxElement, SmtpElement
from postbeat.grade import level_of
from postbeat.lag import LagMeter
from postbeat.mailbox import FIELDS, Tools
from postbeat.model import Pair, Phase, Poll
from postbeat.probes import open_session
from postbeat.probes.credentials import access
from postbeat.probes.readings import Readings
from postbeat.probes.session import Memory
from postbeat.resolve import Resolver
from postbeat.results import Attempt, Result
from postbeat.roundtrip import RoundTrip
from postbeat.secrets import Keys
from postbeat.sending import Sender, describe
from postbeat.settings import Settings
from postbeat.store.records import Pending, pending_of


class Prober:
    """Polls elements by hand. Its polls have ids of their own, so that no worker takes them for its own.

    ``opening`` is the look that opened the mailbox, for those who want to see the whole conversation.
    """

    def __init__(self, config: Settings) -> None:
        # Without a site key the message is signed with one that nobody else has: it is found all the same.
        self._keys = config.keys() or Keys.new()
        self._config = config
        resolve.use(Resolver(config.resolver))
        self._clock = Clock()
        self._lag = LagMeter()
        self._worker = f"probe/{os.getpid()}"
        self.opening: Attempt | None = None

    async def round_trip(self, element: SmtpElement, reader: MailboxElement | None, region: str) -> RoundTrip:
        """Sends, and where a reader is given looks for the message until ``delivertimeout`` is over."""
        self._lag.start(asyncio.get_running_loop())
        config = self._config
        poll = self._poll(element.name, region)
        sender = Sender.of(config, self._keys, self._clock, self._lag, self._worker)
        sent = await sender.poll(element, poll)
        pending = pending_of(element, sent) if reader is not None else None
        read = None
        if reader is not None and pending is not None:
            desk = _Desk(pending)
            tools = Tools(
                self._keys,
                self._clock,
                self._lag,
                self._worker,
                orphans=False,
                use_body=config.use_body,
                tls=config.tls_defaults(),
                looked=self._looked,
            )
            await mailbox.read(reader, desk, tools)
            read = desk.result
        return RoundTrip(poll.pair, reader is not None, sent, read)

    async def log_in(self, element: MailboxElement, region: str) -> RoundTrip:
        """The service test of a mailbox alone: connects, logs in, and says goodbye."""
        self._lag.start(asyncio.get_running_loop())
        tls_defaults = self._config.tls_defaults()

        async def body(readings: Readings, number: int) -> None:
            way = await access(element, self._keys, readings.timeline, tls_defaults)
            session = await open_session(element, way.login, way.tls, readings.timeline, FIELDS)
            readings.over(session.stream, element)
            with readings.timeline.stage("quit"), suppress(TimeoutError):
                await session.finish()

        made = await attempts.run(element, body, self._clock, self._lag)
        fault = made[-1].fault
        poll = self._poll(element.name, region)
        warnings = made[-1].warnings
        text = "; ".join(("The mailbox can be read", *warnings)) if fault is None else describe(fault)
        now_us = self._clock.now_us()
        read = Result(
            poll=poll,
            phase=Phase.READ,
            kind=element.kind,
            level=level_of(fault, warnings),
            message=text,
            at_us=now_us,
            attempts=made,
            fault=fault,
            worker=self._worker,
        )
        return RoundTrip(Pair(element.name, region), True, None, read)

    def _poll(self, element: str, region: str) -> Poll:
        # Milliseconds as the slot: far beyond the slot of any interval.
        return Poll(element, region, time.time_ns() // 1_000_000)

    def _looked(self, made: tuple[Attempt, ...]) -> None:
        if self.opening is None:
            self.opening = made[-1]


class _Desk:
    """A desk for one message, held by nobody else."""

    def __init__(self, pending: Pending) -> None:
        self._pending = {str(pending.poll): pending}
        self._memory = Memory()
        self.result: Result | None = None

    async def pending(self) -> Mapping[str, Pending]:
        return dict(self._pending)

    async def record(self, result: Result) -> bool:
        self.result = result
        return self._pending.pop(str(result.poll), None) is not None

    async def memory(self) -> Memory:
        return self._memory

    async def remember(self, memory: Memory) -> None:
        self._memory = memory

    async def release(self, *, force: bool = False) -> bool:
        return not self._pending or force

    async def keep(self) -> None:
        await asyncio.Event().wait()
