"""What commands say of a Redis that is named wrongly, refuses, or is full."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from postbeat.embedded.processes import Processes
from postbeat.embedded.redis import private_redis
from postbeat.store.connecting import trouble_text
from tests.cli.conftest import Run
from tests.ports import free_port

EXPECTED = (
    "--redis / POSTBEAT_REDIS_URL: expected redis://host:6379/0, with rediss:// for TLS, or"
    " unix:///path/of/the/socket; in a password write %2F for /, %23 for #, %3F for ? and %40 for @\n"
)
NO_URL = "no Redis: set POSTBEAT_REDIS_URL or give --redis, as redis://host:6379/0\n"
PROFILE = "elements: [{name: a, type: smtp, server: 127.0.0.1}]"


@pytest.fixture(scope="module")
def full(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Redis that takes nothing more."""
    url = private_redis(processes, tmp_path_factory.mktemp("full"), persistent=False)
    with redis.Redis.from_url(url) as client:
        client.config_set("maxmemory", "1")
    return url


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "p.yaml"
    path.write_text(PROFILE)
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("results",),
        ("mailboxes",),
        ("report",),
        ("maintenance", "list"),
        ("metrics", "--once"),
        ("notify", "sinks.yaml"),
        ("web",),
        ("ism", "alerts"),
    ],
    ids=" ".join,
)
def test_a_url_that_is_none_is_said_at_once_and_not_shown(inside: Run, arguments: tuple[str, ...]) -> None:
    for url in ("redis.example.com:6379", "redis://:hunter2/more@127.0.0.1:6379/0"):
        done = inside(*arguments, "--redis", url)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", EXPECTED)
    done = inside(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", NO_URL)


def test_no_worker_and_no_beat_waits_for_a_url_that_is_none(postbeat: Run, profile: Path) -> None:
    for arguments in (("worker", "--region", "eu"), ("beat", profile)):
        done = postbeat(*arguments, "--redis", "redis://:hunter2/more@127.0.0.1:6379/0")
        assert (done.returncode, done.stdout, done.stderr) == (2, "", EXPECTED)


def test_a_monitor_says_so_too(inside: Run, profile: Path, tmp_path: Path) -> None:
    url = "redis://:hunter2/more@127.0.0.1:6379/0"
    done = inside("monitor", "smtp", profile, "--state", tmp_path / "state", env={"POSTBEAT_REDIS_URL": url})
    expected = EXPECTED.removeprefix("--redis / ")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)


def test_a_redis_that_refuses_is_not_one_that_does_not_answer(inside: Run, redis_server: str) -> None:
    host = redis_server.rpartition("@")[2]
    for url, said in (
        (f"redis://{host}", "Redis wants a password: its URL has none"),
        (f"redis://:wrong@{host}", "Redis refuses the user or the password of its URL: invalid"),
        (redis_server.removesuffix("/0") + "/99", "Redis refuses: DB index is out of range"),
        (f"redis://127.0.0.1:{free_port()}/0", "Redis does not answer: "),
    ):
        done = inside("status", "--redis", url)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(said)


def test_a_full_redis_is_said_to_be_full_without_what_was_to_be_written(inside: Run, full: str) -> None:
    done = inside("maintenance", "start", "*", "--for", "2h", "--why", "hunter2", "--redis", full)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Redis is full, nothing was written: see its maxmemory\n"


def test_what_one_of_several_commands_wrote_is_not_shown(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client, client.pipeline(transaction=False) as pipe:
        client.set("name", "text")
        pipe.hset("name", "field", "hunter2) of pipeline caused error: ")
        with pytest.raises(redis.ResponseError, match="hunter2") as caught:
            pipe.execute()
    assert trouble_text(caught.value).startswith("Redis refuses: WRONGTYPE")
    assert "hunter2" not in trouble_text(caught.value)
