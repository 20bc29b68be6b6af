#!/usr/bin/env python
"""The health checks of the containers: ``postbeat-healthy worker``, ``beat``, ``flower``, ``web`` and so on.

Each asks for a sign of work, not only for a process: a worker must answer over Redis, beat must have fired
the grid a moment ago, a sink must be served, and what serves pages must serve. Exit code 0: healthy; 1: not.
"""

from __future__ import annotations

import socket
import sys
from urllib.request import urlopen

from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from postbeat import settings
from postbeat.store import keys
from postbeat.store.beat import BeatStore

WAIT_S = 5.0
SILENT_US = 15_000_000  # beat fires at least twice in a second, also where nothing is due


def worker() -> bool:
    """Whether a worker of this host answers."""
    from workers.app import app  # noqa: PLC0415  the others do not need Celery

    here = f"*@{socket.gethostname()}"
    answers = app.control.broadcast(
        "ping",
        reply=True,
        limit=1,
        timeout=WAIT_S,
        pattern=here,
        matcher="glob",  # type: ignore[arg-type]  # the name of a matcher, other than its stubs say
    )
    return bool(answers)


def beat() -> bool:
    """Whether the grid was fired up to now, by this beat or by the one that it stands by for."""
    store = BeatStore(settings.load().needed_redis_url())
    fired_to_us = store.fired_to_us()
    return fired_to_us is not None and store.now_us() - fired_to_us < SILENT_US


def flower() -> bool:
    """Whether Flower serves; its health page asks for no password."""
    return _serves(5555, "/healthcheck")


def web() -> bool:
    """Whether the page serves; that of the login asks for none."""
    return _serves(8025, "/login")


def metrics() -> bool:
    """Whether metrics are served."""
    return _serves(9795, "/metrics")


def notify() -> bool:
    """Whether some sink is served, by this process or by one that it stands by for."""
    return _is_leased(keys.sink_lease("*"))


def bridge() -> bool:
    """Whether results of some monitor are taken, by this process or by one that it stands by for."""
    return _is_leased(keys.bridge_lease("*"))


def _is_leased(glob: str) -> bool:
    with Redis.from_url(settings.load().needed_redis_url(), socket_timeout=WAIT_S) as client:
        return any(True for _ in client.scan_iter(match=glob, count=1000))


def _serves(port: int, path: str) -> bool:
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=WAIT_S) as answer:
        return bool(answer.status == 200)


CHECKS = {
    "worker": worker,
    "beat": beat,
    "flower": flower,
    "web": web,
    "metrics": metrics,
    "notify": notify,
    "bridge": bridge,
}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in CHECKS:
        sys.exit(f"usage: postbeat-healthy {'|'.join(CHECKS)}")
    try:
        sys.exit(0 if CHECKS[sys.argv[1]]() else 1)
    except (OSError, RedisError, OperationalError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")
