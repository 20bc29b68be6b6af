from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.clock import DRIFT_PPM, SAMPLES, UNSURE_US, Clock, own_us

NOW_US = 1_700_000_000_000_000
AHEAD_US = 123_456  # how far Redis is ahead of this host
ROUNDING_US = 2  # the stamps are whole microseconds
ways = st.integers(0, 10**6)


class Host:
    """A host whose time the test sets, and a Redis whose clock is ahead and runs at another rate."""

    def __init__(self, drift_ppm: int = 0) -> None:
        self.now_us = NOW_US
        self.ahead_us = AHEAD_US
        self._drift_ppm = drift_ppm
        self.clock = Clock(lambda: self.now_us)

    @property
    def true_us(self) -> int:
        """What Redis says now."""
        return self.now_us + self.ahead_us + (self.now_us - NOW_US) * self._drift_ppm // 1_000_000

    def exchange(self, there_us: int, back_us: int) -> None:
        """Redis is asked: the question travels for ``there_us``, the answer for ``back_us``."""
        before_us = self.now_us
        self.now_us += there_us
        theirs_us = self.true_us
        self.now_us += back_us
        self.clock.sample(before_us, theirs_us, self.now_us)

    def error_us(self) -> int:
        return abs(self.clock.now_us() - self.true_us)

    def uncertainty_us(self) -> int:
        uncertainty_us = self.clock.uncertainty_us
        assert uncertainty_us is not None
        return uncertainty_us


@pytest.fixture
def host() -> Host:
    return Host()


def test_without_samples_it_is_this_hosts_time_of_unknown_certainty(host: Host) -> None:
    assert host.clock.now_us() == host.clock.own_us() == NOW_US
    assert host.clock.uncertainty_us is None
    assert host.clock.worst_us() == UNSURE_US
    assert host.clock.worst_us(7) == 7


def test_once_samples_are_there_the_worst_is_the_uncertainty(host: Host) -> None:
    host.exchange(500, 500)
    assert host.clock.worst_us(7) == host.uncertainty_us()


@given(
    st.lists(st.tuples(ways, ways, st.integers(0, 60_000_000)), min_size=1, max_size=3 * SAMPLES),
    st.integers(-DRIFT_PPM, DRIFT_PPM),
)
def test_the_error_is_within_the_uncertainty_whatever_the_way_and_the_drift(
    exchanges: list[tuple[int, int, int]], drift_ppm: int
) -> None:
    host = Host(drift_ppm)
    for there_us, back_us, pause_us in exchanges:
        host.exchange(there_us, back_us)
        assert host.error_us() <= host.uncertainty_us() + ROUNDING_US
        host.now_us += pause_us
        assert host.error_us() <= host.uncertainty_us() + ROUNDING_US


def test_a_slow_answer_does_not_spoil_a_quick_one(host: Host) -> None:
    host.exchange(50, 50)
    host.exchange(900_000, 0)
    assert host.clock.offset_us == AHEAD_US
    assert host.uncertainty_us() < 200


def test_the_uncertainty_grows_with_the_age_of_what_is_known(host: Host) -> None:
    host.exchange(50, 50)
    before_us = host.uncertainty_us()
    host.now_us += 100_000_000
    assert host.uncertainty_us() == before_us + 100 * DRIFT_PPM


def test_a_young_sample_is_better_than_a_quick_one_of_long_ago(host: Host) -> None:
    host.exchange(50, 50)
    host.now_us += 1_000_000_000
    host.exchange(200, 200)
    assert host.uncertainty_us() < 250


def test_a_clock_that_was_set_is_followed_at_once_and_the_surprise_is_told_for_a_while(host: Host) -> None:
    host.exchange(50, 50)
    host.ahead_us += 5_000_000
    host.exchange(400, 400)
    assert host.error_us() <= ROUNDING_US
    for _ in range(SAMPLES - 1):
        assert host.uncertainty_us() > 4_990_000
        host.exchange(50, 50)
    host.exchange(50, 50)
    assert host.uncertainty_us() < 200


def test_clocks_that_drift_faster_than_allowed_for_are_told(host: Host) -> None:
    fast = Host(drift_ppm=500)
    for _ in range(SAMPLES):
        fast.exchange(50, 50)
        fast.now_us += 5_000_000
        assert fast.error_us() < 3_000
    assert fast.uncertainty_us() > 2_000


def test_times_that_run_backwards_make_no_negative_round_trip(host: Host) -> None:
    host.clock.sample(NOW_US, NOW_US, NOW_US - 10_000_000)
    assert host.uncertainty_us() >= 0


def test_this_hosts_time_is_that_of_its_wall_clock_at_our_start() -> None:

    assert abs(own_us() - time.time_ns() // 1000) < 60_000_000
