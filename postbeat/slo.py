"""The service level objective of an element: its error budget, and how fast that is used up. Pure.

The objective is that at least a share ``target`` of all polls does not fail. The error budget is the rest: of
1000 polls and a target of 0.999 one may fail. What counts are polls, not seconds, so that a change of the
interval changes no figure; polls whose outcome is unknown, and those of maintenance, do not count at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from postbeat.model import Level


@dataclass(frozen=True, slots=True)
class BurnAlert:
    """Alerts when the budget burns ``factor`` times too fast, over a long time and still over a short one.

    The long window says that it matters, the short one ends the alert soon after the trouble is over.
    """

    long_s: int
    short_s: int
    factor: float
    severity: str


# At these rates 2, 5 and 10 per cent of the budget of 30 days are gone after the long window.
BURN_ALERTS = (
    BurnAlert(3_600, 300, 14.4, "critical"),
    BurnAlert(21_600, 1_800, 6, "critical"),
    BurnAlert(259_200, 21_600, 1, "warning"),
)


# An alert takes so many failed polls: where there are few, one that fails is far above each factor. And no
# window is narrower than so many intervals, so that it has polls however seldom they are.
BURN_POLLS = 3


def window_us(length_s: int, poll_s: float | None) -> int:
    """How wide a window is: as long as its name says, and never narrower than BURN_POLLS polls.

    Half an interval more is for polls that take longer than the one before.
    """
    return round(max(length_s, (BURN_POLLS + 0.5) * (poll_s or 0)) * 1e6)


@dataclass(frozen=True, slots=True)
class Slo:
    """So many polls that count, so many of them failed, and the share of them that must not fail (0 to 1).

    What is None cannot be said without polls.
    """

    target: float
    polls: int
    failed: int

    @property
    def availability(self) -> float | None:
        """The share of polls that did not fail."""
        return float(1 - self._failure) if self.polls else None

    @property
    def budget_left(self) -> float | None:
        """What is left of the error budget: 1 where nothing failed, negative where it is overspent."""
        return float(1 - self._failure / self._allowed) if self.polls else None

    @property
    def burn_rate(self) -> float | None:
        """How many times faster than the target allows polls failed: at 1 the budget just lasts."""
        return float(self._failure / self._allowed) if self.polls else None

    @property
    def _failure(self) -> Fraction:
        return Fraction(self.failed, self.polls)

    @property
    def _allowed(self) -> Fraction:
        return 1 - Fraction(repr(self.target))  # as it is written: 0.999 leaves 1/1000, not a little more


def slo_of(counts: Mapping[str, int], target_percent: float) -> Slo:
    """The objective over what was counted under ``poll:LEVEL`` (:class:`postbeat.rollup.Rollup`)."""
    good, marginal, failed = (
        counts.get(f"poll:{level}", 0) for level in (Level.GOOD, Level.MARGINAL, Level.FAILED)
    )
    return Slo(float(Fraction(repr(target_percent)) / 100), good + marginal + failed, failed)


def percent(share: float | None) -> str:
    """A share in per cent, cut to three places and never rounded up to more than it is."""
    if share is None:
        return "–"  # noqa: RUF001  a dash is what stands for nothing in a table
    thousandths = int(abs(share) * 100_000 + 1e-6)
    sign = "-" if share < 0 and thousandths else ""
    return f"{sign}{thousandths // 1000}.{thousandths % 1000:03} %"
