"""Redis is away for some seconds while everything runs: no service becomes FAILED by it, and all goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import BusyLoadingError, ConnectionError

from postbeat.embedded.redis import find_server
from postbeat.model import Level, Phase
from tests.e2e.running import DEADLINE_S, Running, doubled
from tests.mailservers import MailServers

pytestmark = [pytest.mark.mailservers, pytest.mark.slow]

AWAY_S = 4.0
ELEMENTS = 6


def stands_still(running: Running) -> None:
    """As when its machine has no memory left, or writes to a slow disk: connections stay, nothing answers."""
    pid = int(running.redis.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    time.sleep(AWAY_S)
    os.kill(pid, signal.SIGCONT)


def is_restarted(running: Running) -> None:
    """Every connection breaks, new ones are refused, and it comes back with what it had written."""
    running.redis.shutdown()
    time.sleep(AWAY_S)
    folder = running.site.folder / "redis"
    command = [str(find_server()), str(folder / "redis.conf")]
    again = running.site.processes.start("redis-again", command, env=os.environ, log=folder / "again.log")
    again.wait_for(partial(_answers, running), DEADLINE_S)


def _answers(running: Running) -> bool | None:
    try:
        return bool(running.redis.ping())
    except (ConnectionError, BusyLoadingError):
        return None


@pytest.mark.parametrize("away", [stands_still, is_restarted])
def test_nothing_fails_while_redis_is_away(
    servers: MailServers, tmp_path: Path, away: Callable[[Running], None]
) -> None:
    account = servers.account()
    with Running.open(tmp_path, persistent=True) as running:
        common: dict[str, Any] = {"read": "box", "poll": 1, "delivertimeout": 30, "regions": "lab"}
        sends = [servers.smtp(f"send{number}", account, **common) for number in range(ELEMENTS)]
        running.start(servers.mailbox("imap4", "box", account), *sends)
        running.until(lambda: _good(running, after_us=0), "good read of every element")
        away(running)
        back_us = time.time_ns() // 1000
        running.until(lambda: _good(running, after_us=back_us), "good read of every element afterwards", 60)
        results = running.results()
        assert not [result.message for result in results if result.level is Level.FAILED]
        assert doubled(results) == []


def _good(running: Running, after_us: int) -> bool:
    reads = running.results(phase=Phase.READ)
    good = {one.poll.element for one in reads if one.level is Level.GOOD and one.at_us > after_us}
    return len(good) == ELEMENTS
