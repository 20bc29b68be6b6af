"""The schedulers of one site, and the queues that they publish to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import Celery
from redis import Redis

from beat_schedule.scheduler import GridScheduler
from postbeat import profile as profiles
from postbeat import queues, settings, slots
from postbeat.model import Poll
from postbeat.store import keys


def profile(count: int = 1, *, poll: int = 60, regions: str = "lab", extra: str = "") -> str:
    """A profile of smtp elements ``m0``, ``m1``, ..."""
    elements = "".join(
        f"  - {{name: m{number}, type: smtp, server: 127.0.0.1, poll: {poll}{extra}}}\n"
        for number in range(count)
    )
    return f"regions: [{regions}]\nelements:\n{elements}"


@dataclass(frozen=True)
class Beats:
    """``app`` is a Celery application as beat and the workers make it."""

    app: Celery
    redis: Redis
    path: Path
    _ends: ExitStack

    @classmethod
    @contextmanager
    def open(cls, url: str, path: Path) -> Iterator[Beats]:
        with ExitStack() as ends:
            redis = ends.enter_context(Redis.from_url(url, decode_responses=True))
            yield cls(make_app(ends), redis, path, ends)

    def start(self) -> GridScheduler:
        """A beat as a process of its own would have it."""
        app = make_app(self._ends)
        beat = GridScheduler(app=app)
        self._ends.callback(beat.close)
        return beat

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def taken(self, queue: str = "probe.lab") -> list[Any]:
        """Takes all messages out of a queue, as a worker's consumer does."""
        with self.app.connection_for_read() as connection:
            channel: Any = connection.channel()
            return list(iter(lambda: channel.basic_get(queue, no_ack=True), None))

    def taken_polls(self, region: str = "lab") -> list[str]:
        return [message.headers["id"] for message in self.taken(queues.probe(region))]

    def next_polls(self, beat: GridScheduler) -> list[str]:
        """Lets a beat tick until it has fired something."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            beat.tick()
            polls = self.taken_polls()
            if polls:
                return polls
        raise AssertionError("nothing was fired")

    def now_us(self) -> int:
        seconds, micros = self.redis.time()
        return int(seconds) * 1_000_000 + int(micros)

    def fired_to_us(self) -> int:
        return int(self.redis.get(keys.CURSOR) or 0)

    def let_pass(self, seconds: float) -> int:
        """Lets the grid stand where it stood some time ago; returns where, in us."""
        cursor_us = self.now_us() - round(seconds * 1e6)
        self.redis.set(keys.CURSOR, cursor_us)
        return cursor_us

    def polls_between(self, after_us: int, to_us: int) -> set[str]:
        """What the profile's grid has in a stretch of time, counted out one by one."""
        found = set()
        for pair, element in profiles.load(self.path).active():
            poll_s = slots.poll_s(element)
            first = slots.slot_at(pair, poll_s, after_us)
            for slot in range(first, slots.slot_at(pair, poll_s, to_us) + 1):
                if after_us < slots.due_us(pair, poll_s, slot) <= to_us:
                    found.add(str(Poll(pair.element, pair.region, slot)))
        return found


def make_app(ends: ExitStack) -> Celery:
    # The module makes the application of this process when it is imported, and needs the settings for that.
    from workers import app as workers_app

    app = workers_app.make_app(settings.load())
    ends.callback(app.close)
    return app
