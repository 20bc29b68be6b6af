"""A Celery application with tasks that show what the pool does; run by a worker process of its own."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from celery import Celery, Task
from kombu import Queue
from redis.asyncio import Redis

from postbeat import settings
from workers.app import make_app
from workers.pool import await_

QUEUE = "some"
config = settings.load()
app: Celery = make_app(config)
app.conf.update(
    include=["tests.workers.someapp"],
    task_queues=[Queue(QUEUE, routing_key=QUEUE)],
    task_default_queue=QUEUE,
    task_ignore_result=False,
    result_backend=config.needed_redis_url(),
)


class Here:
    """What the tasks of one worker share; made on the pool's loop."""

    barriers: dict[int, asyncio.Barrier] = {}  # noqa: RUF012
    redis: Redis | None = None


def redis() -> Redis:
    if Here.redis is None:
        Here.redis = Redis.from_url(config.needed_redis_url(), socket_timeout=None)
    return Here.redis


@app.task
def pid() -> int:
    """Without a coroutine."""
    return os.getpid()


@app.task
def meet(number: int) -> int:
    """Ends when so many of its kind are under way at the same time."""

    async def wait() -> int:
        await Here.barriers.setdefault(number, asyncio.Barrier(number)).wait()
        return number

    return await_(wait())


@app.task
def hold(name: str) -> str:
    """Ends when the test pushes something on ``go:NAME``; the lists ``began`` and ``ended`` tell of it."""

    async def wait() -> str:
        try:
            await redis().rpush("began", name)
            await redis().blmove(f"go:{name}", "gone", 0)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)  # cleaning up takes time and is not to be cancelled itself
            await redis().rpush("cancelled", name)
            raise
        await redis().rpush("ended", name)
        return name

    return await_(wait())


@app.task
def nap(seconds: float) -> None:
    await_(asyncio.sleep(seconds))


@app.task
def twice(first: int) -> list[int]:
    """Awaits more than once, with work of its own in between."""

    async def increased(value: int) -> int:
        await asyncio.sleep(0)
        return value + 1

    second = await_(increased(first))
    third = await_(increased(second))
    return [first, second, third]


@app.task(bind=True, max_retries=5)
def third_time(self: Task[Any, Any]) -> int:
    """Succeeds at its second retry."""
    await_(asyncio.sleep(0))
    retries = self.request.retries or 0
    if retries < 2:
        raise self.retry(countdown=0)
    return retries


@app.task
def fail(text: str) -> None:
    async def wrong() -> None:
        await asyncio.sleep(0)
        raise ValueError(text)

    await_(wrong())


@app.task
def cancel_yourself() -> None:

    async def cancelled() -> None:
        raise asyncio.CancelledError

    await_(cancelled())


@app.task(bind=True)
def who(self: Task[Any, Any]) -> list[str | None]:
    """The current task's id, before and after others have run."""
    before = self.request.id
    await_(asyncio.sleep(0.05))
    return [before, self.request.id]
