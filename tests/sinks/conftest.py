from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from postbeat.sinks import runner, service, surroundings
from postbeat.store import outbox
from tests.sinks.rig import Rig


@pytest.fixture
def rig(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(outbox, "BLOCK_MS", 30)
    monkeypatch.setattr(service, "LOOK_S", 0.05)
    monkeypatch.setattr(runner, "LOOK_S", 0.0)
    monkeypatch.setattr(surroundings, "FACTS_S", 0.0)
    with Rig.open(redis_url, tmp_path) as rig:
        yield rig
