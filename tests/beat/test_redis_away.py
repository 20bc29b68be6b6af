"""A Redis that is away costs the polls of that time, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from postbeat.embedded.processes import Processes
from postbeat.store import keys
from tests.beat.beats import Beats, profile
from tests.redis.restarting import Server

# What is known of a profile with two elements.
KNOWN = [["m0@lab", "m1@lab"], ["m0@lab", "m1@lab"], ["m0", "m1"], ["m0", "m1"]]


def known(beats: Beats) -> list[list[str]]:
    redis: Any = beats.redis
    hashes = map(redis.hkeys, (keys.STATES, keys.PROFILE, keys.VERDICTS))
    return [sorted(names) for names in (redis.zrange(keys.EXPECTED, 0, -1), *hashes)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Processes() as processes:
        yield Server(processes, tmp_path)


@pytest.fixture
def redis_url(server: Server) -> str:
    return server.url


def test_a_tick_returns_and_says_so_once_and_polls_go_on_afterwards(
    beats: Beats, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    beats.write(profile(300, poll=1))
    beat = beats.start()
    beat.tick()
    server.stop()
    assert [beat.tick(), beat.tick()] == [1.0, 1.0]
    assert caplog.text.count("Redis does not answer") == 1
    server.start()
    beats.taken()
    assert beats.next_polls(beat)
    assert caplog.text.count("Redis answers again") == 1


def test_a_redis_that_is_full_is_not_said_to_be_away(beats: Beats, caplog: pytest.LogCaptureFixture) -> None:
    beats.write(profile(300, poll=1))
    beat = beats.start()
    beat.tick()
    beats.redis.config_set("maxmemory", 1)
    assert [beat.tick(), beat.tick()] == [1.0, 1.0]
    assert (
        caplog.text.count("Redis is full, nothing was written: see its maxmemory; polls are not fired") == 1
    )
    assert "does not answer" not in caplog.text


def test_a_profile_that_changes_meanwhile_is_taken_when_redis_is_back(beats: Beats, server: Server) -> None:
    beats.write(profile(1))
    beat = beats.start()
    server.stop()
    beats.write(profile(2))
    beat.tick()
    server.start()
    beat.tick()
    assert set(beats.redis.zrange(keys.EXPECTED, 0, -1)) == {"m0@lab", "m1@lab"}


def test_a_redis_that_comes_back_empty_is_told_what_is_expected(
    beats: Beats, server: Server, tmp_path: Path
) -> None:
    beats.write(profile(2))
    beat = beats.start()
    beat.tick()
    server.stop()
    shutil.rmtree(tmp_path / "appendonlydir")
    beat.tick()
    server.start()
    beat.tick()
    assert known(beats) == KNOWN


def test_a_redis_that_is_emptied_is_told_what_is_expected(beats: Beats) -> None:
    beats.write(profile(2))
    beat = beats.start()
    beat.tick()
    beats.redis.flushall()
    beat.tick()
    assert known(beats) == KNOWN
