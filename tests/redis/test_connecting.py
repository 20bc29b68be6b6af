"""What the connections of asyncio processes promise."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from redis.asyncio import Redis

from postbeat.embedded.processes import Processes
from postbeat.embedded.redis import find_server
from postbeat.store.connecting import client, connections

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


def test_a_redis_may_be_at_a_unix_socket(processes: Processes, tmp_path: Path) -> None:
    async def stored(url: str) -> object:
        async with Redis.from_pool(connections(url, 2)) as redis:
            return await redis.get("name")

    with tempfile.TemporaryDirectory(prefix="redis") as folder:  # the path of a socket must be short
        socket = Path(folder, "socket")
        options = ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
        argv = [str(option) for option in (find_server(), *options)]
        child = processes.start("redis-socket", argv, env={}, log=tmp_path / "redis.log")
        child.wait_for(lambda: socket.exists() or None, 30)
        with client(f"unix://{socket}") as redis:
            redis.set("name", "value")
        assert asyncio.run(stored(f"unix://{socket}")) == "value"
        processes.end(child)
