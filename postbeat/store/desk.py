"""A mailbox's one reader, as the store knows it: its lease, and what lies on its desk. Asyncio."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from postbeat import codec
from postbeat.delivery import MailboxFacts
from postbeat.probes.session import Memory
from postbeat.results import Result
from postbeat.store import keys, records
from postbeat.store.bells import Bell
from postbeat.store.records import Expected, Noted, Pending
from postbeat.store.scripts import Scripts
from postbeat.store.streams import readable

LEASE_MS = 10_000  # a killed reader's mailbox is free again after this long
MARGIN_US = 1_000_000  # so long before its end a lease is not relied on any more
RENEW_S = 3.0
MEMORY_S = 7 * 86400
SETTLED_S = 3600
# Redis is asked for all that is expected so often, even where the bell has told of everything; where that
# takes long, it takes no more than one part in ASKING_SHARE of the time.
ASK_US = 1_000_000
ASKING_SHARE = 20
LATELY_LIMIT = 2000  # polls whose bell may come late


class LeaseLostError(Exception):
    """The lease of a mailbox went to another reader."""


class Lease:
    """The lease of a mailbox, and until when it can be relied on by our own clock.

    ``token`` is its value in Redis; ``asked_at_us`` is when it was asked for, by ``steady_us``.
    """

    def __init__(self, mailbox: str, token: str, asked_at_us: int, steady_us: Callable[[], int]) -> None:
        self.mailbox = mailbox
        self.key = keys.lease(mailbox)
        self.token = token
        self.steady_us = steady_us
        self._until_us = 0
        self.renewed(asked_at_us)

    def renewed(self, asked_at_us: int) -> None:
        """Redis has given it, or prolonged it, when it was asked at this moment."""
        self._until_us = asked_at_us + LEASE_MS * 1000 - MARGIN_US

    def ended(self) -> None:
        """It was given back, or lost."""
        self._until_us = 0

    def left_s(self) -> float:
        """How long it can be relied on, in seconds; 0 where it cannot."""
        return max(0.0, (self._until_us - self.steady_us()) / 1e6)


class Desk:
    """A mailbox's lease and what lies on its desk: messages that should turn up, memory, results.

    Every method may raise ``redis.exceptions.RedisError``. Those that write raise LeaseLostError, and write
    nothing, once the lease is lost. ``bell`` is set when something became pending or a check wants the
    mailbox; better once too often, and whoever listens to it clears it.
    """

    def __init__(self, redis: Redis, scripts: Scripts, lease: Lease, bell: Bell, worker: str = "") -> None:
        self.bell = bell.rung
        self._bell = bell
        self._redis = redis
        self._scripts = scripts
        self._lease = lease
        self._mailbox = lease.mailbox
        self._worker = worker
        self._known: Expected | None = None
        self._asked_us = 0
        self._asking_us = 0
        self._notes = 0
        self._recorded_lately: dict[str, None] = {}

    async def expected(self) -> Expected:
        """The messages that should turn up, and whether a check wants the mailbox.

        The mappings are the desk's own: what is recorded leaves them. Redis is asked for all of them now and
        then; in between the bell brings what is new, so that the cost of each does not grow with the rest.
        """
        bell, now_us = self._bell, self._lease.steady_us()
        rest_us = max(ASK_US, ASKING_SHARE * self._asking_us)
        if self._known is None or bell.missed or now_us - self._asked_us >= rest_us:
            bell.missed = False
            bell.entries.clear()
            self._known = await self._asked(self._known)
            self._asked_us = self._lease.steady_us()
            self._asking_us = self._asked_us - now_us
        else:
            entries, bell.entries = bell.entries, []
            for entry in map(Pending.loads, entries):
                poll = str(entry.poll)
                if poll not in self._recorded_lately and poll not in self._known.awaited:
                    self._known.pending[poll] = entry
        return self._known

    async def _asked(self, known: Expected | None) -> Expected:
        """What Redis knows; what is awaited only once, as while the lease lasts only this desk changes it."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.exists(keys.turns(self._mailbox))
            pipe.hgetall(keys.pending(self._mailbox))
            if known is None:
                pipe.hgetall(keys.awaited(self._mailbox))
            waiting, pending, *rest = await pipe.execute()
        awaited = known.awaited if known is not None else _messages(rest[0])
        return Expected(_messages(pending), awaited, bool(waiting))

    async def settled(self) -> dict[str, tuple[int, str]]:
        """The messages that were found lately, by poll id, oldest first: attempt and place."""
        seconds, _ = await self._redis.time()
        found = cast("list[str]", await self._redis.lrange(keys.settled(self._mailbox), 0, -1))
        parts = (entry.split(" ", 3) for entry in found)
        return {
            poll: (int(attempt), place)
            for at_s, poll, attempt, place in parts
            if int(at_s) >= int(seconds) - SETTLED_S
        }

    async def record(self, result: Result, following: Pending | None = None, place: str = "") -> bool:
        """Records a read: its message is pending no more.

        Args:
            result: of phase ``read``.
            following: as what the message is awaited from now on, for it may still turn up; without it the
                message is settled.
            place: where the message was found.

        Returns:
            False when it was recorded before.
        """
        return await self._recorded(result, following=following, place=place)

    async def record_after(self, result: Result, attempt: int = 0, copy: str = "", place: str = "") -> bool:
        """Records what became of a message after its read.

        Args:
            result: of phase ``after``. Of the outcome ``duplicated`` there is one for each ``copy``. Any
                other is taken only while the message is awaited, and then it is awaited no more.
            attempt: whose message was found, where it is not the one that was awaited.
            copy: a name for the copy.
            place: where the message was found.

        Returns:
            False when it was recorded before, or nobody awaits the message.
        """
        return await self._recorded(result, attempt=attempt, copy=copy, place=place)

    async def _recorded(self, result: Result, **details: Any) -> bool:  # noqa: ANN401  as message_call has them
        known, self._known = self._known, None  # unknown until the answer is there
        names, values = records.message_call(result, self._mailbox, self._lease.token, **details)
        reply = await self._scripts.run("record", names, values)
        if reply[0] < 0:
            raise LeaseLostError(self._mailbox)
        if known is not None:
            self._note_recorded(
                known, str(result.poll), details.get("following"), copy=details.get("copy", "")
            )
            self._known = known
        return records.recorded(reply)

    def _note_recorded(self, known: Expected, poll: str, following: Pending | None, *, copy: str) -> None:
        """What was recorded just now, or was before, is pending no more; the bell may still bring it."""
        if copy:
            return
        known.pending.pop(poll, None)
        if following is not None:
            known.awaited[poll] = following
        else:
            known.awaited.pop(poll, None)
        self._recorded_lately[poll] = None
        if len(self._recorded_lately) > LATELY_LIMIT:
            del self._recorded_lately[next(iter(self._recorded_lately))]

    async def memory(self) -> Memory:
        """What the readers of this mailbox have looked at."""
        text = await self._redis.get(keys.memory(self._mailbox))
        return Memory.loads(text) if text else Memory()

    async def remember(self, memory: Memory) -> None:
        """Keeps a memory for the next reader."""
        await self._written("remember", keys.memory(self._mailbox), [memory.dumps(), MEMORY_S])

    async def note(self, tally: Mapping[str, int], noted: Noted, facts: MailboxFacts | None = None) -> None:
        """Adds to the counters of the mailbox, and keeps what is known of it, for views and later readers.

        Args:
            tally: how much to add, by the names of :class:`postbeat.delivery.Tally`.
            noted: what the next reader should know.
            facts: what the server told; None leaves what it told before.
        """
        self._notes += 1
        text = json.dumps(asdict(facts)) if facts is not None else ""
        counters = [part for name, number in tally.items() if number for part in (str(name), number)]
        named = f"{self._lease.token}#{self._notes}"
        times_us = (noted.looked_at_us, noted.not_before_us)
        fault = codec.encode_fault(noted.fault) if noted.fault is not None else ""
        values = [named, *times_us, self._worker, text, fault, MEMORY_S, *counters]
        await self._written("note", keys.mailbox(self._mailbox), values)

    async def noted(self) -> Noted:
        """What an earlier reader noted."""
        names = ["looked_at_us", "not_before_us", "fault"]
        looked, not_before, fault = await self._redis.hmget(keys.mailbox(self._mailbox), names)
        known = readable("the fault of the last look", codec.decode_fault, fault) if fault else None
        return Noted(int(looked or 0), int(not_before or 0), known)

    async def take_tally(self) -> dict[str, int]:
        """The counters since they were last taken: for a check, which tells them. They start anew."""
        names = [self._lease.key, keys.mailbox(self._mailbox)]
        reply = await self._scripts.run("take", names, [self._lease.token])
        if reply[0] < 0:
            raise LeaseLostError(self._mailbox)
        return {name: int(number) for name, number in zip(reply[1::2], reply[2::2], strict=True)}

    async def release(self, *, force: bool = False) -> bool:
        """Gives the lease back unless something is pending; ``force`` gives it back whatever is.

        Returns:
            Whether the caller's work is over: released, or lost already.
        """
        names = [keys.pending(self._mailbox), self._lease.key]
        is_over = bool(await self._scripts.run("release", names, [self._lease.token, int(force)]))
        if is_over:
            self._lease.ended()
        else:
            self._bell.missed = True  # what is pending is news, whether or not the bell rings
        return is_over

    async def keep(self) -> None:
        """Renews the lease until cancelled; returns when it is lost.

        A Redis that does not answer is asked again, as long as the lease can be relied on.
        """
        lease = self._lease
        while True:
            await asyncio.sleep(RENEW_S)
            asked_at_us = lease.steady_us()
            try:
                async with asyncio.timeout(lease.left_s()):
                    if not await self._scripts.run("renew", [lease.key], [lease.token, LEASE_MS]):
                        break
                lease.renewed(asked_at_us)
            except (RedisError, TimeoutError):
                if not self.holds():
                    break
        lease.ended()

    def holds(self) -> bool:
        """Whether the lease can be relied on, by our own clock.

        A process that was stopped for long knows so, without asking, that its lease is over.
        """
        return self._lease.left_s() > 0

    async def _written(self, script: str, key: str, values: list[Any]) -> None:
        if await self._scripts.run(script, [self._lease.key, key], [self._lease.token, *values]) < 0:
            raise LeaseLostError(self._mailbox)


def _messages(entries: Mapping[str, str]) -> dict[str, Pending]:
    return {poll: Pending.loads(text) for poll, text in entries.items()}
