"""Ports for servers of the tests, which no other process takes before they listen there."""

from __future__ import annotations

import os
import random
import socket

# Neither those of what is tested (see postbeat/embedded/redis.py) nor those that Linux gives to clients; of
# them every process of a test run has its own.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_PORTS = list(range(61_000 + _WORKER, 65_536, _WORKERS))
random.Random().shuffle(_PORTS)


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on, and that this process has not been given before."""
    while True:
        port = _PORTS.pop()
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
