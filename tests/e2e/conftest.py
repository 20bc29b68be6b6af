from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import Running


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Running.open(tmp_path) as running:
        yield running
