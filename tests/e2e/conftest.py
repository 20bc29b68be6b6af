from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import mailservers
from tests.conftest import not_installed
from tests.e2e.running import Running
from tests.mailservers import MailServers


@pytest.fixture(scope="session")
def servers() -> Iterator[MailServers]:
    """Postfix and Dovecot, shared by all tests: each takes accounts of its own."""
    missing = mailservers.missing()
    if missing is not None:
        not_installed(*missing)
    with mailservers.running() as running:
        yield running


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Running.open(tmp_path) as running:
        yield running
