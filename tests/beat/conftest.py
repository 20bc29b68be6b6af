from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from beat_schedule import scheduler
from postbeat.secrets import new_key
from tests.beat.beats import Beats


@pytest.fixture
def beats(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Beats]:
    """Beats of one site: an empty Redis, a profile to write, and a site key."""
    monkeypatch.setenv("POSTBEAT_REDIS_URL", redis_url)
    monkeypatch.setenv("POSTBEAT_PROFILE", str(tmp_path / "profile.yaml"))
    monkeypatch.setenv("POSTBEAT_KEY", new_key())
    # Every tick looks at the profile and sweeps, so that no test has to wait for that.
    monkeypatch.setattr(scheduler, "RELOAD_S", 0.0)
    monkeypatch.setattr(scheduler, "SWEEP_S", 0.0)
    with Beats.open(redis_url, tmp_path / "profile.yaml") as opened:
        yield opened
