"""What the connections of asyncio processes promise."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from postbeat.store.connecting import connections

STEPS = 40  # more than a call takes


def test_a_call_that_is_cancelled_never_goes_on(redis_url: str) -> None:
    async def cancelled_after(steps: int, redis: Redis) -> bool:
        """Whether a call could still be cancelled after so many steps of the loop; then it ends by that."""

        async def call() -> object:
            return await redis.set("name", "value")

        task = asyncio.create_task(call())
        for _ in range(steps):
            await asyncio.sleep(0)
        if not task.cancel():
            return False
        with pytest.raises(asyncio.CancelledError):
            await task
        return True

    async def play() -> None:
        async with Redis.from_pool(connections(redis_url, 2)) as redis:
            await redis.ping()
            cancelled = [await cancelled_after(steps, redis) for steps in range(STEPS) for _ in range(5)]
            assert cancelled[0]
            assert await redis.get("name") == "value"

    asyncio.run(play())
