"""The benchmark of the reader runs, and prints the figures that it promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import mailservers
from tests.conftest import not_installed

pytestmark = [pytest.mark.mailservers, pytest.mark.slow]

PASSES = {"pass_bytes", "pass_cpu_ms", "empty_pass_bytes", "empty_pass_cpu_ms"}


def test_a_pass_over_other_peoples_mail_costs_little_more_than_one_over_none() -> None:
    missing = mailservers.missing()
    if missing is not None:
        not_installed(*missing)
    root = Path(__file__).parents[2]
    options = ["--foreign=500", "--messages=20", "--seconds=1", "--json"]
    command = [sys.executable, "-m", "benchmarks.mailbox", *options]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    for kind in ("imap4", "pop3"):
        found = figures[kind]
        assert found.keys() >= PASSES | {"cpu_ms_per_message"}
        assert found["cpu_ms_per_message"] > 0
        # Bytes are the same each time; CPU time is not, on a busy machine.
        assert found["pass_bytes"] <= 2 * found["empty_pass_bytes"]
        assert found["pass_cpu_ms"] > 0
    assert all(row["per_s"] > 0 for row in figures["round_trips"].values())
    assert "peers" in figures
