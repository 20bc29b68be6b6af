from __future__ import annotations

import os
from pathlib import Path

from redis import Redis, RedisError

from postbeat.embedded.processes import Child, Processes
from postbeat.embedded.redis import configuration, find_server
from tests.ports import free_port


class Server:
    """A Redis that can be stopped and started again at the same port."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._processes = processes
        self._config = folder / "redis.conf"
        port = free_port()
        self._config.write_text(configuration(port, "secret", folder, persistent=True))
        self.url = f"redis://:secret@127.0.0.1:{port}/0"
        self._child = self._started()

    def stop(self) -> None:
        self._processes.end(self._child)

    def start(self) -> None:
        self._child = self._started()

    def _started(self) -> Child:
        command = [str(find_server()), str(self._config)]
        log = self._config.with_suffix(".log")
        child = self._processes.start("redis", command, env=os.environ, log=log, grace_s=10)
        child.wait_for(self._answers, 10)
        return child

    def _answers(self) -> bool | None:
        try:
            with Redis.from_url(self.url) as client:
                return client.ping() or None
        except RedisError:
            return None
