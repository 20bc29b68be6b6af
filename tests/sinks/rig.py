"""A Redis with events, receivers of ours, and sinks that are served with a clock that runs ahead."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from redis import Redis

from postbeat import clock
from postbeat.clock import Clock
from postbeat.sinks.runner import World
from postbeat.sinks.service import Service
from postbeat.sinks.surroundings import StoredSurroundings
from postbeat.store import keys
from postbeat.store.outbox import connect
from tests.ports import free_port

WAIT_S = 20.0


class RunningAhead(Clock):
    """The one clock, where every pause takes no time; ``random`` is none. The host's is ``host_us`` ahead."""

    def __init__(self) -> None:
        super().__init__(lambda: clock.own_us() + self.host_us)
        self.host_us = 0
        self.ahead_us = 0
        self.slept_s: list[float] = []

    def now_us(self) -> int:
        return super().now_us() + self.ahead_us

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.ahead_us += round(seconds * 1e6)
        await asyncio.sleep(0.005)

    def world(self) -> World:
        return World(self, clock.steady_us, self.sleep, lambda: 1.0)


@dataclass
class Receiver:
    """A receiver of webhooks; ``answer`` gives the status for the number of a request, from 0."""

    answer: Callable[[int], int] = lambda number: 200
    headers: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def taken(self) -> list[Any]:
        """What was answered with 2xx, as JSON."""
        return [
            json.loads(body)
            for (_, body), status in zip(self.requests, self.statuses, strict=True)
            if status < 300
        ]

    def taken_texts(self) -> list[str]:
        return [document["text"] for document in self.taken]

    def ids(self) -> list[str]:
        return [document["id"] for document in self.taken]

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Self]:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        status = self.answer(len(self.requests))
        self.requests.append((dict(request.headers), body))
        self.statuses.append(status)
        return web.Response(status=status, headers=self.headers)


@dataclass
class Rig:
    redis: Redis
    redis_url: str
    folder: Path
    clock: RunningAhead = field(default_factory=RunningAhead)
    _failing: bool = False

    @classmethod
    @contextmanager
    def open(cls, url: str, folder: Path) -> Iterator[Self]:
        with Redis.from_url(url, decode_responses=True) as client:
            yield cls(client, url, folder)

    @property
    def path(self) -> Path:
        return self.folder / "sinks.yaml"

    def write(self, *sinks: Mapping[str, Any]) -> Path:
        self.path.write_text(json.dumps({"sinks": sinks}), encoding="utf-8")
        return self.path

    @asynccontextmanager
    async def serving(self, *sinks: Mapping[str, Any]) -> AsyncIterator[Service]:
        """Serves sinks until the end of the block; new ones are ready for events when it begins."""
        path = self.write(*sinks) if sinks else self.path
        service = Service(path, self.redis_url, "client.test", self.clock.world())
        stopping = asyncio.Event()
        task = asyncio.create_task(service.run(stopping))
        try:
            names = [sink["name"] for sink in sinks]
            await self.until(lambda: task.done() or all(self.cursor(name) for name in names))
            yield service
        finally:
            stopping.set()
            async with asyncio.timeout(WAIT_S):
                await task

    @asynccontextmanager
    async def surroundings(self) -> AsyncIterator[StoredSurroundings]:
        """What all sinks of a process know of the site, where none is served."""
        async with connect(self.redis_url) as redis:
            with closing(StoredSurroundings(redis, self.redis_url, lambda: 0, self.clock)) as known:
                yield known

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not condition():  # noqa: ASYNC110  it is Redis and receivers that change
                await asyncio.sleep(0.01)

    async def settled(self, *names: str) -> None:
        """Until sinks are through with all events, or have given one up."""
        await self.until(lambda: all(self.cursor(name) == self.last() for name in names))

    def cursor(self, name: str) -> str:
        return str(self.redis.hget(keys.sink(name), "cursor") or "")

    def letters(self, name: str) -> list[dict[str, str]]:
        entries: Any = self.redis.xrange(keys.sink_dead(name))
        return [fields for _, fields in entries]

    def events(self) -> list[str]:
        """The ids of all events."""
        entries: Any = self.redis.xrange(keys.EVENTS)
        return [entry for entry, _ in entries]

    def last(self) -> str:
        entries: Any = self.redis.xrevrange(keys.EVENTS, count=1)
        return str(entries[0][0])

    def flip(self) -> str:
        """Adds an event that takes the level of a pair from GOOD to FAILED, or back; its id."""
        self._failing = not self._failing
        return self.level("GOOD", "FAILED") if self._failing else self.level("FAILED", "GOOD")

    def level(self, was: str, level: str, *, element: str = "mail", region: str = "lab", **more: Any) -> str:
        """Adds the event of a pair's level; its id."""
        outcome, message = more.pop("outcome", ""), more.pop("message", f"{was} to {level}")
        pair = f"{element}@{region}"
        at_us = more.pop("at_us", self.clock.now_us())
        fields = {"pair": pair, "was": was, "level": level, "at_us": at_us, "poll": f"{pair}#1"}
        return self._added(fields | {"phase": "send", "message": message, "outcome": outcome} | more)

    def verdict(
        self,
        was: str,
        verdict: str,
        *,
        element: str = "mail",
        regions: Mapping[str, str] | None = None,
        reasons: Mapping[str, Sequence[str]] | None = None,
    ) -> str:
        """Adds the event of an element's verdict; its id."""
        levels = {"lab": "GOOD" if verdict == "GOOD" else "FAILED"} if regions is None else regions
        fields = {"kind": "verdict", "element": element, "was": was, "verdict": verdict}
        fields |= {"at_us": str(self.clock.now_us()), "poll": f"{element}@lab#1"}
        if reasons is not None:
            fields["reasons"] = json.dumps(reasons)
        return self._added(fields | {"regions": json.dumps(levels), "message": f"{was} to {verdict}"})

    def _added(self, fields: Mapping[Any, Any]) -> str:
        return str(self.redis.xadd(keys.EVENTS, dict(fields)))
