"""Cumulative histograms for Prometheus: the bucket of a time. Pure.

The buckets are those of native histograms of schema 2: the upper bound of bucket ``index`` is
``2 ** (index / 4)`` seconds, inclusive. The classic bounds are every fourth of them.
"""

from __future__ import annotations

from bisect import bisect_left
from math import isqrt

LOWEST = -80  # about a microsecond
HIGHEST = 80  # about twelve days

# Classic ``le`` bounds: the powers of two from about a millisecond to 512 seconds.
CLASSIC = tuple(range(-40, 37, 4))


def _bound_us(index: int) -> int:
    """The whole microseconds up to a bound: the fourth root of ``(10 ** 6) ** 4 * 2 ** index``."""
    fourth_power = 10**24 << index if index >= 0 else 10**24 >> -index
    return isqrt(isqrt(fourth_power))


_BOUNDS_US = tuple(_bound_us(index) for index in range(LOWEST, HIGHEST))


def index(us: int) -> int:
    """The bucket of a time: the first whose upper bound is not below it.

    What is shorter than the first bound or longer than the last is counted in the bucket at that end:
    LOWEST or HIGHEST.
    """
    return LOWEST + bisect_left(_BOUNDS_US, us)


def upper_s(index: int) -> float:
    """The upper bound of a bucket in seconds, inclusive."""
    return float(2.0 ** (index / 4))
