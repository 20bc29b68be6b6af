"""What the tasks of one worker process share: made once, on the pool's event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from dataclasses import dataclass

from celery.signals import worker_shutting_down
from redis.exceptions import RedisError

from postbeat import settings
from postbeat.clock import Clock
from postbeat.lag import LagMeter
from postbeat.mailbox import Tools
from postbeat.sending import Sender
from postbeat.store.worker import WorkerStore

log = logging.getLogger(__name__)

CLOCK_S = 5.0  # between two questions for the time


@dataclass(frozen=True, slots=True)
class Context:
    """The store and what sends and reads need."""

    loop: asyncio.AbstractEventLoop
    store: WorkerStore
    sender: Sender
    tools: Tools


class _Holder:
    context: Context | None = None
    keeper: asyncio.Task[None] | None = None


def current() -> Context:
    """The context of this process; called on the pool's loop.

    Raises:
        SettingsError: the site key or Redis is not named.
    """
    if _Holder.context is None:
        config = settings.load()
        keys = config.needed_keys()
        clock, lag = Clock(), LagMeter()
        loop = asyncio.get_running_loop()
        lag.start(loop)
        store = WorkerStore(config.needed_redis_url())
        worker = f"{socket.gethostname()}/{os.getpid()}"
        sender = Sender(keys, clock, lag, config.originator, config.helo_name, worker)
        _Holder.context = Context(loop, store, sender, Tools(keys, clock, lag, worker))
        _Holder.keeper = loop.create_task(_keep_time(store, clock))
    return _Holder.context


@worker_shutting_down.connect
def _stop_readers(**_details: object) -> None:
    """Has readers give their mailboxes back: they would otherwise hold up a warm shutdown."""
    context = _Holder.context
    if context is not None:
        context.loop.call_soon_threadsafe(context.tools.stopping.set)


async def _keep_time(store: WorkerStore, clock: Clock) -> None:
    while True:
        try:
            await store.sample_clock(clock)
        except RedisError as error:
            log.warning("cannot ask Redis for the time: %s", error)
        await asyncio.sleep(CLOCK_S)
