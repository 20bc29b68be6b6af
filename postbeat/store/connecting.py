"""How the processes connect to Redis."""

from __future__ import annotations

import asyncio
from typing import Any

from redis import Redis
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

WAIT_S = 20  # for a connection to be free
_LIMITS: dict[str, Any] = {"socket_timeout": 10, "socket_connect_timeout": 5}


def client(url: str, **options: Any) -> Redis:  # noqa: ANN401  as Redis takes them
    """What does not use asyncio: a client whose calls do not hang."""
    return Redis.from_url(url, **_LIMITS, **options)


def results_client(url: str) -> Redis:
    """The same for who reads results, which are bytes: ``surrogateescape`` keeps them within texts."""
    return client(url, decode_responses=True, encoding_errors="surrogateescape")


def connections(url: str, most: int) -> BlockingConnectionPool:
    """At most so many connections of an asyncio process, for which whoever finds none free waits."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=most,
        timeout=WAIT_S,
        decode_responses=True,
        **_LIMITS,
        # A pooled connection is stale after Redis was restarted. Every call may be made twice.
        retry=Retry(ConstantBackoff(0.1), 2),
    )
    pool.connection_class = type("Connection", (_Heeding, pool.connection_class), {})
    return pool


class _Heeding(AbstractConnection):
    """Heeds that its task is cancelled while it sends.

    redis-py sends by ``asyncio.wait_for``, which before Python 3.12 loses a cancellation that comes as the
    sending ends.
    """

    async def send_packed_command(self, *args: Any, **options: Any) -> None:  # noqa: ANN401  as redis-py has it
        before = _cancellations()
        await super().send_packed_command(*args, **options)
        if _cancellations() > before:
            await self.disconnect(nowait=True)  # nobody will read the answer
            raise asyncio.CancelledError


def _cancellations() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0
