"""What a worker writes: results, pending messages, leases. Asyncio; one connection pool for each process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError

from postbeat import clock, codec
from postbeat.clock import Clock
from postbeat.elements import Imap4Element, Pop3Element, SmtpElement
from postbeat.model import Level, Pair
from postbeat.results import Result
from postbeat.servicelevels import NOTHING_KNOWN, Standing
from postbeat.store import keys, records
from postbeat.store.bells import Bells
from postbeat.store.connecting import connections, trouble_text
from postbeat.store.desk import LEASE_MS, Desk, Lease, LeaseLostError
from postbeat.store.scripts import Scripts
from postbeat.store.wake import needs_reader_call, wake_text

__all__ = ["Desk", "LeaseLostError", "WorkerStore"]

log = logging.getLogger(__name__)

CONNECTIONS = 32  # of one process; a call takes a fraction of a millisecond
TURN_S = 0.1  # between two questions whether it is one's turn
WAITER_MS = 1_500  # who has not asked for so long waits no more


class WorkerStore:
    """The store as seen from a worker. Its methods may raise ``redis.exceptions.RedisError``.

    ``worker`` is how views name this process; ``steady_us`` is a clock that nobody sets, in microseconds.
    """

    def __init__(self, url: str, worker: str = "", steady_us: Callable[[], int] = clock.steady_us) -> None:
        # Blocking: with thousands of polls in flight, whoever finds no connection free waits for one.
        self._redis: Redis = Redis.from_pool(connections(url, CONNECTIONS))
        self._worker = worker
        self._steady_us = steady_us
        self._process = secrets.token_hex(8)
        self._scripts = Scripts(self._redis)
        self._bells = Bells(self._redis, self._process)

    async def record_send(
        self,
        element: SmtpElement,
        result: Result,
        mailbox: str = "",
        wake: str = "",
        *,
        uncertainty_us: int = 0,
    ) -> bool:
        """Records a send, and its message as pending in ``mailbox`` when one went out.

        ``uncertainty_us`` is that of our clock when the server accepted the message.

        Returns:
            Whether a reader should be sent to the mailbox: nobody is there, and nobody was sent just now.
        """
        pending = records.pending_of(element, result, uncertainty_us) if mailbox else None
        if pending is None:
            mailbox = ""
        names, values = records.poll_call(element, result, pending=pending, mailbox=mailbox, wake=wake)
        reply = await self._scripts.run("record", names, values)
        return records.recorded(reply) and pending is not None and await self.should_wake(mailbox)

    async def record_check(self, element: Imap4Element | Pop3Element, result: Result) -> bool:
        """Records the check of a mailbox. Returns False when it was recorded before."""
        wake = wake_text(result.poll.region, element.mailbox, codec.encode_element(element))
        names, values = records.poll_call(element, result, mailbox=element.mailbox, wake=wake)
        return records.recorded(await self._scripts.run("record", names, values))

    async def should_wake(self, mailbox: str) -> bool:
        """Whether the caller should send a reader to the mailbox."""
        return bool(await self._scripts.run("wake", *needs_reader_call(mailbox)))

    async def desk(self, mailbox: str) -> Desk | None:
        """The desk of the mailbox's one reader; None while another sits there, or waits for its turn."""
        return await self._seated(mailbox, self._token(), waits=False)

    async def turn(self, mailbox: str, longest_s: float) -> Desk | None:
        """Waits for the desk of a mailbox, behind those who came before.

        Its present reader is told, and should leave. None when ``longest_s`` is over.
        """
        token = self._token()
        over_at_us = self._steady_us() + round(longest_s * 1e6)
        desk = None
        try:
            desk = await self._seated(mailbox, token, waits=True)
            while desk is None and self._steady_us() < over_at_us:
                await asyncio.sleep(TURN_S)
                desk = await self._seated(mailbox, token, waits=True)
        finally:
            if desk is None:
                with contextlib.suppress(RedisError):
                    await self._scripts.run("leave", [keys.lease(mailbox), keys.turns(mailbox)], [token])
        return desk

    async def standing(self, pair: Pair) -> Standing:
        """How a pair stands, as far as Redis tells: never raises, as a poll goes on without."""
        try:
            level, failed_since = await self._redis.hmget(keys.pair(str(pair)), ["level", "failed_since_us"])
        except RedisError as error:
            log.warning("cannot ask how %s stands: %s", pair, trouble_text(error))
            return NOTHING_KNOWN
        return Standing(Level(str(level)) if level else None, int(failed_since) if failed_since else None)

    async def sample_clock(self, clock: Clock) -> None:
        """Asks Redis for the time and gives the exchange to the clock."""
        before_us = clock.own_us()
        seconds, micros = await self._redis.time()
        clock.sample(before_us, int(seconds) * 1_000_000 + int(micros), clock.own_us())

    async def close(self) -> None:
        """Closes the connections."""
        await self._bells.close()
        await self._redis.aclose()

    def _token(self) -> str:
        return f"{self._process}.{secrets.token_hex(16)}"

    async def _seated(self, mailbox: str, token: str, *, waits: bool) -> Desk | None:
        asked_at_us = self._steady_us()
        names = [keys.lease(mailbox), keys.turns(mailbox), keys.waking(mailbox)]
        values = [token, LEASE_MS, int(waits), WAITER_MS, mailbox]
        if not await self._scripts.run("seat", names, values):
            return None
        lease = Lease(mailbox, token, asked_at_us, self._steady_us)
        return Desk(self._redis, self._scripts, lease, self._bells.hang(mailbox), self._worker)
