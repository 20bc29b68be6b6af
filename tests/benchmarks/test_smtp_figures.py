"""The benchmark of the SMTP probe runs, and prints the figures that it promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_each_mode_is_compared_with_a_bare_send() -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "benchmarks.smtp", "--runs=5", "--json"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    modes = json.loads(done.stdout)["modes"]
    assert [mode["mode"] for mode in modes] == ["plaintext", "STARTTLS + CRAM-MD5", "SSL + PLAIN"]
    for mode in modes:
        assert mode.keys() == {"mode", "cpu_ms", "bare_cpu_ms", "ratio", "peers"}
        assert mode["cpu_ms"] > 0
        assert mode["bare_cpu_ms"] > 0
