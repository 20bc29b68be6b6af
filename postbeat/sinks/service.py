"""All sinks of one process: they begin and end as their file changes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from postbeat.profile import ProfileError, fingerprint
from postbeat.sinks import loading
from postbeat.sinks.channels import channel_of
from postbeat.sinks.config import AnySink
from postbeat.sinks.notice import EventKind
from postbeat.sinks.runner import Runner, World
from postbeat.sinks.surroundings import StoredSurroundings
from postbeat.store import keys
from postbeat.store.connecting import trouble_text
from postbeat.store.outbox import Outbox, connect

log = logging.getLogger(__name__)

LOOK_S = 2.0  # between two looks at the file and at maintenance
GRACE_S = 10.0  # what a delivery under way may take when the process ends


def stream_of(sink: AnySink) -> str:
    """The stream that has what a sink tells."""
    if EventKind.ALERT not in sink.kinds:
        return keys.EVENTS
    return keys.ALERTS_ALL if sink.repeats else keys.ALERTS


@dataclass
class Service:
    """Serves the sinks of a file."""

    path: Path
    redis_url: str
    helo_name: str
    world: World
    _running: dict[str, tuple[Runner, asyncio.Task[None]]] = field(default_factory=dict)

    async def run(self, stopping: asyncio.Event) -> None:
        """Serves until ``stopping`` is set.

        Raises:
            ProfileError: the file is not valid at the start. A change that is not valid is only logged.
        """
        mark = fingerprint(self.path)
        sinks = loading.load(self.path)
        redis = connect(self.redis_url)
        surroundings = StoredSurroundings(redis, self.redis_url, self.world.steady_us, self.world.clock)
        try:
            known = False  # a sink without the facts of the profile would let pass what it should tell
            while not stopping.is_set():
                try:
                    await surroundings.refresh()
                    known = True
                except RedisError as error:
                    if not known:
                        log.warning("%s", trouble_text(error))
                if fingerprint(self.path) != mark:
                    mark = fingerprint(self.path)
                    sinks = self._reloaded(sinks)
                if known:
                    await self._serve(sinks, redis, surroundings)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await stopping.wait()
        finally:
            await self._end(list(self._running))
            surroundings.close()
            await redis.aclose()

    def _reloaded(self, before: tuple[AnySink, ...]) -> tuple[AnySink, ...]:
        try:
            sinks = loading.load(self.path)
        except ProfileError as error:
            log.error("The sinks stay as they were, as the new file is not valid:\n%s", error)
            return before
        log.info("The file of sinks was read again")
        return sinks

    async def _serve(self, sinks: Sequence[AnySink], redis: Redis, surroundings: StoredSurroundings) -> None:
        """Ends the sinks that are no more as they were, and begins those that are new."""
        wanted = {sink.name: sink for sink in sinks if sink.active}
        await self._end(
            [name for name, (runner, _) in self._running.items() if wanted.get(name) != runner.sink]
        )
        for name, sink in wanted.items():
            if name not in self._running:
                outbox = Outbox(redis, name, self.world.steady_us, stream_of(sink))
                channel = channel_of(sink, self.helo_name, surroundings.hosts)
                runner = Runner(sink, outbox, channel, surroundings, self.world)
                self._running[name] = runner, asyncio.create_task(runner.run())

    async def _end(self, names: Sequence[str]) -> None:
        tasks = []
        for name in names:
            runner, task = self._running.pop(name)
            runner.stop()
            tasks.append(task)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=GRACE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
