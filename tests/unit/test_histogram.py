from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbeat.histogram import CLASSIC, HIGHEST, LOWEST, index, upper_s


@pytest.mark.parametrize("power", range(-6, 20))
def test_a_power_of_two_of_seconds_is_the_last_of_its_bucket(power: int) -> None:
    us = 10**6 * 2**power if power >= 0 else 10**6 // 2**-power
    assert [index(us), index(us + 1)] == [4 * power, 4 * power + 1]
    assert upper_s(4 * power) == 2.0**power


@settings(max_examples=80)
@given(st.integers(1, 2**39))
def test_a_time_is_above_the_bound_before_and_not_above_its_own(us: int) -> None:
    # To the fourth power, the bounds are rational.
    assert 2 ** Fraction(index(us) - 1) < Fraction(us, 10**6) ** 4 <= 2 ** Fraction(index(us))


def test_what_is_shorter_or_longer_than_all_bounds_is_counted_at_the_end() -> None:
    assert [index(-1), index(0), index(10**15)] == [LOWEST, LOWEST, HIGHEST]


def test_classic_bounds_are_the_powers_of_two_from_a_millisecond_to_512_seconds() -> None:
    assert [upper_s(bound) for bound in CLASSIC] == [2.0**power for power in range(-10, 10)]
