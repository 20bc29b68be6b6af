"""Tables of binomial distributions, in whole numbers: all machines must find the same ones. Pure."""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from itertools import pairwise
from math import isqrt
from typing import NamedTuple

from postbeat.packing.coder import TOTAL

LARGEST = 1 << 15  # from here on a table would take more than it saves

_ONE = 1 << 24
_STEPS = 8  # of odds, for each power of two
_SPAN = 14 * _STEPS  # odds from 2 ** -14 to 2 ** 14
_CUT = 1 << 16  # what is so much rarer than the most frequent is left to the escape
_ENTRIES = 400_000  # of all tables that are kept: some 20 MB


class Table(NamedTuple):
    """The slices of ``base``, ``base + 1``, ...: each from one of ``starts`` up to the next, of TOTAL.

    There are ``size`` of them, and one more for the escape where not all values are in the table.
    """

    base: int
    starts: list[int]
    size: int


def root(step: int, unit: int) -> int:
    """``unit * 2 ** (step / 8)``, rounded down."""
    power: int = (unit**8) << step if step >= 0 else (unit**8) >> -step
    return isqrt(isqrt(isqrt(power)))


_ODDS = [root(step, _ONE) for step in range(-_SPAN, _SPAN + 1)]
_BETWEEN = [(low + high) // 2 for low, high in pairwise(_ODDS)]


def odds(one: int, other: int) -> int:
    """The number of the odds that are nearest to ``one : other``; ``other`` is not 0."""
    return bisect_left(_BETWEEN, one * _ONE // other)


def _trials() -> list[int]:
    """The numbers of trials that there are tables of: all small ones, and ever fewer of the large ones."""
    trials = list(range(33))
    while trials[-1] < LARGEST:
        trials.append(trials[-1] + trials[-1] // 8)
    return trials


_TRIALS = _trials()
_NO_TABLE = Table(0, [0, TOTAL], 0)
_tables: dict[tuple[int, int], Table] = {}
_entries = 0


@lru_cache(maxsize=1 << 15)
def table(trials: int, place: int) -> Table:
    """The distribution of how many of some trials come out one way, by the number of its odds.

    Of a large number of trials it is about that, with the same mean.
    """
    if trials > LARGEST:
        return _NO_TABLE
    nearest = _TRIALS[bisect_left(_TRIALS, trials)]
    if nearest != trials:
        share = _ODDS[place] * trials
        place = odds(share, (_ODDS[place] + _ONE) * nearest - share)
    found = _tables.get((nearest, place))
    return found if found is not None else _kept(nearest, place)


def _kept(trials: int, place: int) -> Table:
    global _entries  # noqa: PLW0603  bounds what the process keeps
    made = _made(trials, _ODDS[place], _ONE)
    if _entries > _ENTRIES:
        _tables.clear()
        table.cache_clear()
        _entries = 0
    _entries += made.size
    _tables[trials, place] = made
    return made


def _made(trials: int, one: int, other: int) -> Table:
    """The table of ``one : other``, from the most frequent value outwards."""
    mode = min(trials, (trials + 1) * one // (one + other))
    up = [_ONE * _CUT]
    for value in range(mode, trials):
        weight = up[-1] * (trials - value) * one // ((value + 1) * other)
        if weight < _ONE:
            break
        up.append(weight)
    down = [up[0]]
    for value in range(mode, 0, -1):
        weight = down[-1] * value * other // ((trials - value + 1) * one)
        if weight < _ONE:
            break
        down.append(weight)
    weights = [*down[:0:-1], *up]
    base = mode - len(down) + 1
    escape = 0 if len(weights) == trials + 1 else 1
    room = TOTAL - len(weights) - escape
    whole = sum(weights)
    freqs = [1 + weight * room // whole for weight in weights]
    freqs[len(down) - 1] += TOTAL - escape - sum(freqs)
    starts = [0]
    for freq in freqs:
        starts.append(starts[-1] + freq)
    if escape:
        starts.append(TOTAL)
    return Table(base, starts, len(freqs))
