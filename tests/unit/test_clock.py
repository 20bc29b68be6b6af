from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.clock import SAMPLES, Clock

NOW_US = 1_700_000_000_000_000
AHEAD_US = 123_456  # how far Redis is ahead of this host


def exchange(clock: Clock, there_us: int, back_us: int, ahead_us: int = AHEAD_US) -> None:
    """Redis is asked: the question travels for ``there_us``, the answer for ``back_us``."""
    clock.sample(NOW_US, NOW_US + there_us + ahead_us, NOW_US + there_us + back_us)


@pytest.fixture
def clock() -> Clock:
    return Clock(lambda: NOW_US)


def test_without_samples_it_is_this_hosts_time_of_unknown_certainty(clock: Clock) -> None:
    assert clock.now_us() == clock.wall_us() == NOW_US
    assert clock.uncertainty_us is None


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=SAMPLES))
def test_the_error_is_within_the_uncertainty_whatever_the_way(ways_us: list[tuple[int, int]]) -> None:
    clock = Clock(lambda: NOW_US)
    for there_us, back_us in ways_us:
        exchange(clock, there_us, back_us)
    assert clock.uncertainty_us is not None
    assert abs(clock.now_us() - (NOW_US + AHEAD_US)) <= clock.uncertainty_us + 1
    assert clock.uncertainty_us == min(sum(way_us) for way_us in ways_us) // 2


def test_a_slow_answer_does_not_spoil_a_quick_one(clock: Clock) -> None:
    exchange(clock, 50, 50)
    exchange(clock, 900_000, 0)
    assert clock.offset_us == AHEAD_US
    assert clock.uncertainty_us == 50


def test_the_last_samples_count_so_that_drift_is_followed(clock: Clock) -> None:
    exchange(clock, 1, 1, ahead_us=0)
    for _ in range(SAMPLES):
        exchange(clock, 50, 50)
    assert clock.offset_us == AHEAD_US
    assert clock.uncertainty_us == 50


def test_a_wall_clock_that_jumps_back_makes_no_negative_round_trip(clock: Clock) -> None:
    clock.sample(NOW_US, NOW_US, NOW_US - 10_000_000)
    assert clock.uncertainty_us == 0
