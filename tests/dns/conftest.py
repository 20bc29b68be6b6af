from __future__ import annotations

from collections.abc import Iterator

import pytest

from postbeat import resolve
from postbeat.embedded.processes import Processes
from postbeat.resolve import Resolver
from tests.dns.world import World, make_world, restore
from tests.servers.conftest import run

__all__ = ["run"]


@pytest.fixture(scope="session")
def world(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(processes, tmp_path_factory.mktemp("dns"))


@pytest.fixture
def resolver(world: World) -> Iterator[Resolver]:
    """The resolver of this process: it asks the validating name server, and its cache is empty."""
    made = world.resolver()
    resolve.use(made)
    yield made
    restore()
