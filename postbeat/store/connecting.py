"""How the processes connect to Redis."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from redis import Redis
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    InvalidResponse,
    OutOfMemoryError,
    RedisError,
    TimeoutError,
)

WAIT_S = 20  # for a connection to be free
_LIMITS: dict[str, Any] = {"socket_timeout": 10, "socket_connect_timeout": 5}
_TROUBLES: tuple[tuple[type[Exception], str], ...] = (  # the first that fits, as some are kinds of others
    (AuthenticationError, "Redis refuses the user or the password of its URL"),
    (BusyLoadingError, "Redis is not ready yet"),
    (ConnectionError, "Redis does not answer"),
    (TimeoutError, "Redis does not answer"),
    (InvalidResponse, "What answers is no Redis"),
    (RedisError, "Redis refuses"),
    (Exception, "Redis does not answer"),
)
_OF_PIPELINE = re.compile(r"Command # \d+ \(.*\) of pipeline caused error: ", re.DOTALL)


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


def trouble_text(error: Exception) -> str:
    """What is wrong with Redis, for people; without what a command wrote, which is nobody's affair.

    ``error`` is one of Redis, of its socket, or of who sends tasks by it.
    """
    said = _OF_PIPELINE.sub("", str(error))
    if isinstance(error, AuthenticationError) and error.status_code == "NOAUTH":
        return "Redis wants a password: its URL has none"
    if isinstance(error, OutOfMemoryError) or "OOM command not allowed" in said:  # of a script, before 7.0
        return "Redis is full, nothing was written: see its maxmemory"
    trouble = next(text for kind, text in _TROUBLES if isinstance(error, kind))
    return f"{trouble}: {said}"


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
