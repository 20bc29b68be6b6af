"""A worker outlives its Redis: what runs goes on, and tasks are taken again when Redis is back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from postbeat.embedded.processes import Processes
from tests.redis.restarting import Server
from tests.workers.conftest import Start


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Processes() as processes:
        yield Server(processes, tmp_path)


@pytest.fixture
def redis_url(server: Server) -> str:
    return server.url


def test_what_runs_goes_on_and_new_tasks_are_taken_when_redis_is_back(start: Start, server: Server) -> None:
    worker = start(10)
    running = worker.tasks.nap.delay(1.0)
    worker.until(lambda: worker.queued() == 0)
    server.stop()
    worker.until(lambda: "Connection refused" in worker.child.last_lines(50))
    server.start()
    later = worker.tasks.nap.delay(0.0)
    worker.until(lambda: (running.state, later.state) == ("SUCCESS", "SUCCESS"))
