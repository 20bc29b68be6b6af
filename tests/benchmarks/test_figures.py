"""The benchmarks run, and print the figures that they promise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WORKER = {"polls_per_s", "cpu_ms_per_poll", "bare_cpu_ms", "ratio", "rss_mb"}
BEAT = {"pairs", "published", "p99_lateness_s", "max_lateness_s", "cpu_share", "rss_mb", "startup_s"}


def figures(*arguments: str) -> dict[str, Any]:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", *arguments, "--json"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


@pytest.mark.parametrize("kind", ["send", "roundtrip"])
def test_the_worker_is_compared_with_a_bare_loop(kind: str) -> None:
    options = [f"--kind={kind}", "--seconds=0.6", "--rounds=1", "--concurrency=20", "--mailboxes=5"]
    found = figures("benchmarks.worker", *options)
    assert found.keys() >= WORKER
    assert found["polls_per_s"] > 0
    assert found["bare_cpu_ms"] > 0


def test_beat_publishes_every_poll_once() -> None:
    found = figures("benchmarks.beat", "--pairs=100", "--poll=2", "--seconds=2", "--burst")
    assert found.keys() >= {*BEAT, "publish_rate_per_s"}
    assert found["published"] == 100
    assert (found["missed"], found["doubled"]) == (0, 0)
