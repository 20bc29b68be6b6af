"""One poll now, in this process: what ``postbeat probe`` does. Needs neither Redis nor Celery."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

from postbeat import attempts, mailbox, resolve
from postbeat.clock import Clock
from postbeat.delivery import MailboxFacts
from postbeat.elements import MailboxElement, SmtpElement
from postbeat.lag import LagMeter
from postbeat.mailbox import Tools
from postbeat.model import Poll
from postbeat.probes import open_session
from postbeat.probes.credentials import access
from postbeat.probes.readings import Readings
from postbeat.probes.session import Memory
from postbeat.resolve import Resolver
from postbeat.results import Attempt, Result
from postbeat.roundtrip import RoundTrip
from postbeat.secrets import Keys
from postbeat.sending import Sender, judge_of
from postbeat.settings import Settings
from postbeat.store.records import Expected, Noted, Pending, pending_of


class Prober:
    """Polls elements by hand. Its polls have ids of their own, so that no worker takes them for its own.

    ``opening`` is the look that opened the mailbox, for those who want to see the whole conversation.
    """

    def __init__(self, config: Settings) -> None:
        # Without a site key the message is signed with one that nobody else has: it is found all the same.
        self._keys = config.keys() or Keys.new()
        self._config = config
        self._resolver = Resolver(config.resolver)
        resolve.use(self._resolver)
        self._clock = Clock()
        self._lag = LagMeter()
        self._worker = f"{socket.gethostname()}/{os.getpid()}"
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
            await mailbox.read(reader, desk, self._tools())
            read = desk.result
        return RoundTrip(poll.pair, reader is not None, sent, read)

    async def check(self, element: MailboxElement, region: str) -> RoundTrip:
        """The service test of a mailbox alone: connects, logs in, asks what is there, and says goodbye."""
        self._lag.start(asyncio.get_running_loop())
        tools = self._tools()
        poll = self._poll(element.name, region)
        judge = await judge_of(element, poll, None)
        facts: MailboxFacts | None = None

        async def body(readings: Readings, _number: int) -> None:
            nonlocal facts
            facts = None
            way = await access(element, self._keys, readings.timeline, tools.tls)
            session = await open_session(element, way.login, way.tls, readings.timeline, ())
            readings.logged_in()
            readings.over(session.stream, element)
            with readings.timeline.stage("facts"):
                facts = await session.facts()
            with readings.timeline.stage("quit"), suppress(TimeoutError):
                await session.finish()

        def checked(made: tuple[Attempt, ...]) -> Result:
            return mailbox.checked(element, poll, tools, made, facts, None)

        made = await attempts.run(
            element, body, self._clock, self._lag, lambda made: judge.fails(checked(made))
        )
        return RoundTrip(poll.pair, reads=False, check=judge.graded(checked(made)))

    def _tools(self) -> Tools:
        return Tools(
            self._keys,
            self._clock,
            self._lag,
            self._worker,
            orphans=False,
            use_body=self._config.use_body,
            tls=self._config.tls_defaults(),
            txt=self._resolver.txt,
            looked=self._looked,
        )

    def _poll(self, element: str, region: str) -> Poll:
        # Milliseconds as the slot: far beyond the slot of any interval.
        return Poll(element, region, time.time_ns() // 1_000_000)

    def _looked(self, made: tuple[Attempt, ...]) -> None:
        if self.opening is None:
            self.opening = made[-1]


class _Desk:
    """A desk for one message, held by nobody else."""

    def __init__(self, pending: Pending) -> None:
        self.bell = asyncio.Event()
        self._pending = {str(pending.poll): pending}
        self._memory = Memory()
        self.result: Result | None = None

    async def expected(self) -> Expected:
        return Expected(self._pending, {}, wanted=False)

    async def settled(self) -> Mapping[str, tuple[int, str]]:
        return {}

    async def record(self, result: Result, following: Pending | None = None, place: str = "") -> bool:
        self.result = result
        return self._pending.pop(str(result.poll), None) is not None

    async def record_after(self, result: Result, attempt: int = 0, copy: str = "", place: str = "") -> bool:
        return True

    async def memory(self) -> Memory:
        return self._memory

    async def remember(self, memory: Memory) -> None:
        self._memory = memory

    async def note(self, tally: Mapping[str, int], noted: Noted, facts: MailboxFacts | None = None) -> None:
        return

    async def noted(self) -> Noted:
        return Noted()

    async def take_tally(self) -> Mapping[str, int]:
        return {}

    async def release(self, *, force: bool = False) -> bool:
        return not self._pending or force

    async def keep(self) -> None:
        await asyncio.Event().wait()

    def holds(self) -> bool:
        return True
