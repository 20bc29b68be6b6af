from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import pytest
import uvloop

from tests.servers.scripted import Certificates

Run: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a test's coroutine on the standard loop and on the one that the product uses; never hangs."""

    def runner(test: Coroutine[Any, Any, None]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(20):
                await test

        with asyncio.Runner(loop_factory=request.param) as loop:
            loop.run(bounded())

    return runner


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority, and a server certificate for localhost and 127.0.0.1."""
    return Certificates.issue(tmp_path_factory.mktemp("certificates"))
