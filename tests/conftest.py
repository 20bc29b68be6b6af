"""What tests of all folders share: private servers, and what happens where one is not installed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import NoReturn

import hypothesis
import pytest
import redis

from postbeat.embedded.processes import Processes
from postbeat.embedded.redis import private_redis
from postbeat.store.maintenance import MaintenanceStore
from tests import mailservers
from tests.mailservers import MailServers

# Set in CI: a test whose real server is not installed fails there instead of being skipped.
REQUIRE_SERVERS = "POSTBEAT_REQUIRE_SERVERS"

# Examples of the property tests that are to find what nobody thought of; of more, the search takes longer.
MANY = int(os.environ.get("POSTBEAT_EXAMPLES", "2000"))

# No example has a deadline of its own: on a busy machine any of them may take long.
hypothesis.settings.register_profile("ours", deadline=None)
hypothesis.settings.load_profile("ours")


def not_installed(what: str, packages: str) -> NoReturn:
    """Skips the test, or fails it where servers are required."""
    reason = f"{what} is not installed (Debian and Ubuntu: apt install {packages})"
    if os.environ.get(REQUIRE_SERVERS):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c() -> None:
    """Has Ctrl-C end what the tests start: where a shell runs us in the background, it is ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def processes() -> Iterator[Processes]:
    """A supervisor whose children end with the test run."""
    with Processes() as supervisor:
        yield supervisor


@pytest.fixture(scope="session")
def redis_server(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a private Redis."""
    return private_redis(processes, tmp_path_factory.mktemp("redis"), persistent=False)


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of a private Redis that is empty."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture
def windows(redis_url: str) -> Iterator[MaintenanceStore]:
    """The windows of maintenance in the private Redis."""
    windows = MaintenanceStore(redis_url)
    yield windows
    windows.close()


@pytest.fixture(scope="session")
def servers() -> Iterator[MailServers]:
    """A real Postfix and Dovecot, shared by all tests: each takes accounts of its own."""
    missing = mailservers.missing()
    if missing is not None:
        not_installed(*missing)
    with mailservers.running() as running:
        yield running
