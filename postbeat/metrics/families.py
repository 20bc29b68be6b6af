"""Metrics with their values, before they are written in one of the formats. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from postbeat import histogram
from postbeat.metrics.names import METRICS, Metric

SCHEMA = 2  # of native histograms: that of postbeat.histogram

# The classic bucket that each native one lies in, by its place; the last is that of +Inf.
_PLACES = {
    index: bisect_left(histogram.CLASSIC, index) for index in range(histogram.LOWEST, histogram.HIGHEST + 1)
}


class Exemplar(NamedTuple):
    """A poll that took so long."""

    poll: str
    us: int
    at_us: int


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram of durations: counts by :func:`postbeat.histogram.index`, and their sum.

    ``exemplars`` are shown at the classic buckets that they lie in, the first one in each.
    """

    counts: Mapping[int, int]
    sum_us: int
    exemplars: Sequence[Exemplar] = ()

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    def cumulated(self) -> list[int]:
        """How many are at most as long as each of the classic bounds."""
        sizes = [0] * (len(histogram.CLASSIC) + 1)
        for index, count in self.counts.items():
            sizes[_PLACES[index]] += count
        return list(accumulate(sizes[:-1]))

    def exemplar_of_buckets(self) -> dict[int, Exemplar]:
        """The exemplar of each classic bucket that has one, by the bucket's place; +Inf is the last."""
        found: dict[int, Exemplar] = {}
        for one in self.exemplars:
            found.setdefault(_PLACES[histogram.index(one.us)], one)
        return found


@dataclass(slots=True)
class Family:
    """A metric's values by the values of its labels; each series is there once."""

    metric: Metric
    values: dict[tuple[str, ...], float] = field(default_factory=dict)
    distributions: dict[tuple[str, ...], Distribution] = field(default_factory=dict)


class Families:
    """All metrics, filled in."""

    def __init__(self) -> None:
        self._of: dict[str, Family] = {metric.name: Family(metric) for metric in METRICS}

    def __iter__(self) -> Iterator[Family]:
        return iter(self._of.values())

    def __getitem__(self, metric: Metric) -> Family:
        return self._of[metric.name]

    def put(self, metric: Metric, value: float | None, *labels: str) -> None:
        """Sets a value; None is none."""
        if value is not None:
            self._of[metric.name].values[labels] = value

    def put_states(self, metric: Metric, states: Iterable[str], current: str, *labels: str) -> None:
        """Sets one series for each state, its name being the last label: 1 for the current one, else 0."""
        values = self._of[metric.name].values
        for state in states:
            values[(*labels, state)] = int(state == current)

    def put_distribution(self, metric: Metric, distribution: Distribution, *labels: str) -> None:
        """Sets a histogram."""
        self._of[metric.name].distributions[labels] = distribution
