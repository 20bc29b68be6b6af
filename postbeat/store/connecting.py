"""How the processes connect to Redis."""

from __future__ import annotations

from typing import Any

from redis import Redis
from redis.asyncio import BlockingConnectionPool
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
    return BlockingConnectionPool.from_url(
        url,
        max_connections=most,
        timeout=WAIT_S,
        decode_responses=True,
        **_LIMITS,
        # A pooled connection is stale after Redis was restarted. Every call may be made twice.
        retry=Retry(ConstantBackoff(0.1), 2),
    )
