from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from celery import Celery
from redis import Redis

from postbeat.embedded.processes import Child, Processes

T = TypeVar("T")
QUEUE = "some"
DEADLINE_S = 60.0


@dataclass(frozen=True)
class Worker:
    """A worker process with the tasks of ``someapp``, and this process's side of the application."""

    child: Child
    app: Celery
    redis: Redis

    @property
    def tasks(self) -> Any:
        """The module of the tasks."""
        return importlib.import_module("tests.workers.someapp")

    def until(self, condition: Callable[[], T]) -> T:
        """The first value of ``condition`` that is true."""
        return self.child.wait_for(lambda: condition() or None, DEADLINE_S)

    def names(self, key: str) -> list[str]:
        """What tasks wrote under ``began``, ``ended`` or ``cancelled``."""
        return [str(name) for name in self.redis.lrange(key, 0, -1)]

    def let_go(self, names: Iterable[str]) -> None:
        """Lets tasks end that hold."""
        for name in names:
            self.redis.rpush(f"go:{name}", "go")

    def queued(self) -> int:
        return int(self.redis.llen(QUEUE))

    def stop(self) -> None:
        """A warm shutdown: what an operator's SIGTERM does."""
        os.kill(self.child.pid, signal.SIGTERM)

    def ended(self) -> int:
        """Waits for its end; the exit code."""
        deadline = time.monotonic() + DEADLINE_S
        while (code := self.child.exit_code) is None:
            assert time.monotonic() < deadline, self.child.last_lines()
            time.sleep(0.02)
        return code


Start = Callable[..., Worker]


@pytest.fixture
def start(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a worker and waits until it answers."""
    monkeypatch.setenv("POSTBEAT_REDIS_URL", redis_url)
    app = fresh_app()
    with Processes() as processes, Redis.from_url(redis_url, decode_responses=True) as client:

        def started(concurrency: int = 1000, **settings: str) -> Worker:
            env = {**os.environ, **settings, "POSTBEAT_CONCURRENCY": str(concurrency)}
            command = [sys.executable, "-m", "celery", "-A", "tests.workers.someapp", "worker"]
            command += ["--without-mingle", "--without-gossip", "--loglevel=info"]
            child = processes.start("worker", command, env=env, log=tmp_path / "worker.log", grace_s=0)
            worker = Worker(child, app, client)
            worker.tasks.pid.delay().get(timeout=DEADLINE_S)
            return worker

        yield started
        backend: Any = app.backend
        backend.result_consumer.stop()
        backend.client.close()
        app.close()


def fresh_app() -> Celery:
    """The application of ``someapp`` with the settings of this test."""
    module = sys.modules.get("tests.workers.someapp")
    module = importlib.reload(module) if module else importlib.import_module("tests.workers.someapp")
    app: Celery = module.app
    return app
