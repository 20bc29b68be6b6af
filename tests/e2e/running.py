"""A whole Postbeat as it runs in production: its own Redis, workers and beat, each a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from redis import Redis

from postbeat import codec
from postbeat.embedded.processes import Child, Processes
from postbeat.embedded.redis import private_redis
from postbeat.embedded.site import Site
from postbeat.model import Level, Phase
from postbeat.results import Event, Result
from postbeat.secrets import new_key
from postbeat.store import keys
from postbeat.store.view import ViewStore

T = TypeVar("T")
DEADLINE_S = 90.0
_LOOK_S = 0.05


class Running:
    """Starts the processes of one site, and shows what they did."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.redis: Redis = Redis.from_url(
            site.redis_url, decode_responses=True, encoding_errors="surrogateescape"
        )
        self.view = ViewStore(site.redis_url)
        self._results: list[Result] = []
        self._last = "-"

    @classmethod
    @contextmanager
    def open(cls, folder: Path, *, persistent: bool = False) -> Iterator[Running]:
        """A site without workers and beat; all that it starts ends with it."""
        with Processes() as processes:
            url = private_redis(processes, folder / "redis", persistent=persistent)
            running = cls(Site(processes, folder, url, new_key()))
            try:
                yield running
            finally:
                running.view.close()
                running.redis.close()

    def events(self) -> list[Event]:
        """The events of pairs, in their order."""
        return [event for event in self.view.events(1000, lambda _: True) if isinstance(event, Event)]

    def profile(self, *elements: dict[str, Any]) -> Path:
        """A profile file of these elements."""
        path = self.site.folder / "profile.yaml"
        path.write_text(json.dumps({"elements": elements}))
        return path

    def worker(self, region: str, name: str = "", *, queue: str = "", **environment: str) -> Child:
        """A worker for a region, or only for one of the region's queues."""
        if not queue:
            return self.site.worker(region, name)
        options = ["-n", f"{queue}@%h", "-Q", queue, "-l", "info", "--without-gossip", "--without-mingle"]
        return self.celery(queue, "worker", *options, POSTBEAT_REGION=region, **environment)

    def celery(self, name: str, *arguments: str, **environment: str) -> Child:
        """Celery's own command, as those use it who do not need ours."""
        return self.site.processes.start(
            name,
            [sys.executable, "-P", "-m", "workers", *arguments],
            env=self.site.environment() | environment,
            log=self.site.folder / f"{name}.log",
            grace_s=15.0,
        )

    def start(self, *elements: dict[str, Any], regions: tuple[str, ...] = ("lab",)) -> None:
        """One worker for each region, and beat for a profile of these elements."""
        for region in regions:
            self.worker(region)
        self.site.beat(self.profile(*elements))

    def command(self, *arguments: str) -> Any:
        """What a ``postbeat`` command prints with ``--json``."""
        return json.loads(self._printed(arguments))

    def listing(self, *arguments: str) -> list[dict[str, Any]]:
        """The documents that a listing command prints with ``--json``, one a line."""
        return [json.loads(line) for line in self._printed(arguments).splitlines()]

    def _printed(self, arguments: Sequence[str]) -> bytes:
        argv = [sys.executable, "-P", "-m", "postbeat", *arguments, "--json"]
        done = subprocess.run(
            argv, env=self.site.environment(), check=True, stdout=subprocess.PIPE, timeout=DEADLINE_S
        )
        return done.stdout

    def stop(self, child: Child) -> None:
        """An operator's SIGTERM, and the wait for the end."""
        self.site.processes.end(child)

    def results(self, element: str = "", phase: Phase | None = None) -> list[Result]:
        """All results so far, the oldest first."""
        new: Any = self.redis.xrange(keys.RESULTS, self._last)
        for entry, fields in new:
            self._results.append(codec.decode(fields["r"]))
            self._last = f"({entry}"
        return [
            result
            for result in self._results
            if element in ("", result.poll.element) and phase in (None, result.phase)
        ]

    def result(self, element: str, phase: Phase = Phase.SEND) -> Result:
        """The first result of an element, as soon as it is there."""
        return self.until(lambda: self.results(element, phase), f"a {phase} result of {element}")[0]

    def until(self, condition: Callable[[], T], what: str, deadline_s: float = DEADLINE_S) -> T:
        """The first value of ``condition`` that is true."""
        deadline = time.monotonic() + deadline_s
        while not (value := condition()):
            assert time.monotonic() < deadline, f"no {what} after {deadline_s:g} s\n{self.story()}"
            time.sleep(_LOOK_S)
        return value

    def story(self) -> str:
        """What happened, for the message of a test that fails."""
        counts = Counter(f"{one.phase} {one.level}: {one.message}" for one in self.results())
        ended = [child.how_it_ended() for child in self.site.processes.poll()]
        return "\n".join(
            [*(f"{count} x {text}" for text, count in counts.items()), *ended, self.logs()[-3000:]]
        )

    def logs(self) -> str:
        """What all processes wrote, Redis included."""
        return "".join(path.read_text() for path in sorted(self.site.folder.rglob("*.log")))

    def queued(self, queue: str) -> list[dict[str, Any]]:
        """The messages that wait in a queue, the newest first, as they lie in Redis."""
        return [json.loads(text) for text in self.redis.lrange(queue, 0, -1)]


def for_each_at_once(names: Sequence[str], make: Callable[[str], T]) -> dict[str, T]:
    """What a function makes of each name, all at the same time, as most of it is waiting.

    It opens and closes its site itself: children end with the thread that started them.
    """
    with ThreadPoolExecutor(len(names)) as pool:
        return dict(zip(names, pool.map(make, names), strict=True))


def kill(child: Child) -> None:
    """What the kernel does when memory runs out."""
    os.kill(child.pid, signal.SIGKILL)


def levels(results: list[Result]) -> set[Level]:
    return {result.level for result in results}


def doubled(results: list[Result]) -> list[tuple[str, Phase]]:
    """Every poll and phase that has more than one result."""
    counts = Counter((str(result.poll), result.phase) for result in results)
    return [key for key, count in counts.items() if count > 1]
