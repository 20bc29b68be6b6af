"""The benchmarks of the store run, and what they tell is consistent."""

from __future__ import annotations

import pytest

from tests.benchmarks.test_figures import figures

STORE = {"record_us", "percentile_query_ms", "percentile_query_p95_ms", "overview_ms"}


def test_the_memory_of_a_pair_is_the_sum_of_its_keys() -> None:
    found = figures("benchmarks.memory", "--pairs=2", "--days=2", "--poll=3600")
    assert found["kb_per_pair"] == pytest.approx(sum(found["by_key_kind"].values()), abs=0.1)
    assert found["by_key_kind"].keys() >= {"rollup", "raw", "latest", "states"}
    assert found["global_streams_kb"].keys() == {"postbeat:results", "postbeat:events"}


def test_the_store_loses_nothing_and_answers() -> None:
    found = figures("benchmarks.store", "--results=600", "--elements=20")
    assert found.keys() >= STORE
    assert found["lost"] == 0
    assert (found["overview_rows"], 500 <= found["results"] <= 600) == (60, True)
    assert found["percentile_ms"] == pytest.approx(200, rel=0.5)
