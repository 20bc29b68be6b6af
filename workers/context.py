"""What the tasks of one worker process share: made once, on the pool's event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from celery.signals import worker_ready, worker_shutting_down
from redis.exceptions import RedisError

from postbeat import resolve, settings
from postbeat.clock import Clock
from postbeat.lag import LagMeter
from postbeat.mailbox import Tools
from postbeat.resolve import Resolver
from postbeat.sending import Sender
from postbeat.store.connecting import trouble_text
from postbeat.store.facts import WorkerFactsStore
from postbeat.store.worker import WorkerStore
from workers import pool
from workers.metering import Meter

log = logging.getLogger(__name__)

CLOCK_S = 5.0  # between two questions for the time
FIRST_SAMPLES = 5  # before any poll: the first question also makes the connection, and is the worst by far


@dataclass(frozen=True, slots=True)
class Context:
    """The store and what sends and reads need."""

    loop: asyncio.AbstractEventLoop
    store: WorkerStore
    sender: Sender
    tools: Tools
    clock_set: asyncio.Event
    meter: Meter
    facts: WorkerFactsStore


class _Holder:
    context: Context | None = None
    keeper: asyncio.Task[None] | None = None


async def current() -> Context:
    """The context of this process, its clock set; called on the pool's loop.

    Raises:
        SettingsError: the site key or Redis is not named.
    """
    context = _Holder.context
    if context is None:
        context = _Holder.context = _make()
        _Holder.keeper = context.loop.create_task(_keep_time(context))
    await context.clock_set.wait()
    return context


def _make() -> Context:
    config = settings.load()
    keys = config.needed_keys()
    clock, lag = Clock(), LagMeter()
    loop = asyncio.get_running_loop()
    lag.start(loop)
    worker = f"{socket.gethostname()}/{os.getpid()}"
    store = WorkerStore(config.needed_redis_url(), worker)
    resolver = Resolver(config.resolver)
    resolve.use(resolver)
    sender = Sender.of(config, keys, clock, lag, worker, store.standing)
    tools = Tools(
        keys,
        clock,
        lag,
        worker,
        use_body=config.use_body,
        tls=config.tls_defaults(),
        txt=resolver.txt,
        standing=store.standing,
    )
    meter = Meter(worker, config.region, clock, lag, metadata.version("postbeat"))
    facts = WorkerFactsStore(config.needed_redis_url())
    return Context(loop, store, sender, tools, asyncio.Event(), meter, facts)


@worker_ready.connect
def _begin(sender: Any, **_details: object) -> None:  # noqa: ANN401  Celery's consumer
    """Makes the context before there is work: a worker that waits for it is there, too.

    What keeps it from being made is said by the first task.
    """
    if isinstance(sender.pool, pool.TaskPool):
        asyncio.run_coroutine_threadsafe(current(), sender.pool.loop)


@worker_shutting_down.connect
def _stop_readers(**_details: object) -> None:
    """Has readers give their mailboxes back: they would otherwise hold up a warm shutdown."""
    context = _Holder.context
    if context is not None:
        context.loop.call_soon_threadsafe(context.tools.stopping.set)


async def _keep_time(context: Context) -> None:
    while True:
        try:
            for _ in range(1 if context.clock_set.is_set() else FIRST_SAMPLES):
                await context.store.sample_clock(context.tools.clock)
            await context.meter.write(context.facts, pool.running())
        except RedisError as error:
            log.warning("cannot ask Redis for the time: %s", trouble_text(error))
        context.clock_set.set()  # where Redis is away, this host's own time must do
        await asyncio.sleep(CLOCK_S)
