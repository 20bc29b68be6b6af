"""The benchmark of the rules runs, and what it tells is consistent."""

from __future__ import annotations

import pytest

from tests.benchmarks.test_figures import figures


def test_the_slowest_rules_are_told_first() -> None:
    found = figures("benchmarks.rules", "--seconds=0.3")
    files = found["files"]
    assert files.keys() == {"smtp", "imap4", "pop3", "made_up"}
    assert found["evaluations_per_s"] == min(one["evaluations_per_s"] for one in files.values())
    assert found["us_per_evaluation"] == pytest.approx(1e6 / found["evaluations_per_s"], rel=0.01)
    assert found["load_ms"] > 0
