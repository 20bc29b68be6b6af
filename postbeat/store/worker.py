"""What a worker writes: results, pending messages, leases. Asyncio; one connection pool for each process."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import RedisError

from postbeat.clock import Clock
from postbeat.elements import SmtpElement
from postbeat.probes.session import Memory
from postbeat.results import Result
from postbeat.store import keys, records
from postbeat.store.records import Pending

LEASE_MS = 10_000  # a killed reader's mailbox is free again after this long
RENEW_S = 3.0
WAKING_MS = 3_000
MEMORY_S = 7 * 86400


class LeaseLostError(Exception):
    """The lease of a mailbox went to another reader."""


class WorkerStore:
    """The store as seen from a worker. Every method may raise ``redis.exceptions.RedisError``."""

    def __init__(self, url: str) -> None:
        self._redis: Redis = Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=10,
            socket_connect_timeout=5,
            # A pooled connection is stale after Redis was restarted. Every call may be made twice.
            retry=Retry(ConstantBackoff(0.1), 2),
        )
        self._record = self._redis.register_script(keys.script("record"))
        self._wake = self._redis.register_script(keys.script("wake"))

    async def record_send(
        self, element: SmtpElement, result: Result, mailbox: str = "", wake: str = ""
    ) -> bool:
        """Records a send, and its message as pending in ``mailbox`` when one went out.

        Returns:
            Whether a reader should be sent to the mailbox: nobody is there, and nobody was sent just now.
        """
        pending = records.pending_of(element, result) if mailbox else None
        names, values = records.send_call(element, result, pending=pending, mailbox=mailbox, wake=wake)
        reply = await self._record(keys=names, args=values)
        return records.recorded(reply) and pending is not None and await self.should_wake(mailbox)

    async def should_wake(self, mailbox: str) -> bool:
        """Whether the caller should send a reader to the mailbox."""
        names = [keys.pending(mailbox), keys.lease(mailbox), keys.waking(mailbox)]
        return bool(await self._wake(keys=names, args=[WAKING_MS]))

    async def desk(self, mailbox: str) -> Desk | None:
        """The desk of the mailbox's one reader, or None when another reader sits there."""
        token = secrets.token_hex(16)
        if not await self._redis.set(keys.lease(mailbox), token, nx=True, px=LEASE_MS):
            return None
        await self._redis.delete(keys.waking(mailbox))
        return Desk(self._redis, mailbox, token)

    async def sample_clock(self, clock: Clock) -> None:
        """Asks Redis for the time and gives the exchange to the clock."""
        before_us = clock.wall_us()
        seconds, micros = await self._redis.time()
        clock.sample(before_us, int(seconds) * 1_000_000 + int(micros), clock.wall_us())

    async def close(self) -> None:
        """Closes the connections."""
        await self._redis.aclose()


class Desk:
    """A mailbox's lease and what lies on its desk: pending messages, memory, results."""

    def __init__(self, redis: Redis, mailbox: str, token: str) -> None:
        self._redis = redis
        self._mailbox = mailbox
        self._token = token
        self._record = redis.register_script(keys.script("record"))
        self._release = redis.register_script(keys.script("release"))
        self._renew = redis.register_script(keys.script("renew"))

    async def pending(self) -> dict[str, Pending]:
        """The messages that should turn up, by poll id."""
        found = cast("Mapping[str, str]", await cast(Any, self._redis.hgetall(keys.pending(self._mailbox))))
        return {poll: Pending.loads(text) for poll, text in found.items()}

    async def record(self, result: Result) -> bool:
        """Records a read. Returns False when it was recorded before.

        Raises:
            LeaseLostError: somebody else reads this mailbox now; nothing was written.
        """
        names, values = records.read_call(result, self._mailbox, self._token)
        reply = await self._record(keys=names, args=values)
        if reply[0] < 0:
            raise LeaseLostError(self._mailbox)
        return records.recorded(reply)

    async def memory(self) -> Memory:
        """What the readers of this mailbox have looked at."""
        text = await self._redis.get(keys.memory(self._mailbox))
        if not text:
            return Memory()
        validity, highest, uidls = json.loads(text)
        return Memory(validity, highest, frozenset(uidls))

    async def remember(self, memory: Memory) -> None:
        """Keeps a memory for the next reader."""
        text = json.dumps([memory.validity, memory.highest, sorted(memory.uidls)])
        await self._redis.set(keys.memory(self._mailbox), text, ex=MEMORY_S)

    async def release(self, *, force: bool = False) -> bool:
        """Gives the lease back unless something is pending; ``force`` gives it back whatever is.

        Returns:
            Whether the caller's work is over: released, or lost already.
        """
        names = [keys.pending(self._mailbox), keys.lease(self._mailbox)]
        return bool(await self._release(keys=names, args=[self._token, int(force)]))

    async def keep(self) -> None:
        """Renews the lease until cancelled; returns when it is lost."""
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                if not await self._renew(keys=[keys.lease(self._mailbox)], args=[self._token, LEASE_MS]):
                    return
            except RedisError:
                return
