from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbeat.slo import BURN_ALERTS, Slo, slo_of, window_us

few = settings(max_examples=60)
numbers = st.integers(0, 10**12)
percents = st.decimals(50, Decimal("99.9999"), places=4)


def counts_of(good: int, marginal: int, failed: int) -> dict[str, int]:
    return {"poll:GOOD": good, "poll:MARGINAL": marginal, "poll:FAILED": failed}


counts = st.builds(counts_of, numbers, numbers, numbers)


def test_of_1000_polls_and_three_nines_one_may_fail() -> None:
    slo = slo_of(counts_of(900, 99, 1), 99.9)
    assert slo == Slo(0.999, 1000, 1)
    assert (slo.availability, slo.budget_left, slo.burn_rate) == (0.999, 0.0, 1.0)


def test_a_budget_is_untouched_half_spent_or_overspent() -> None:
    left = [slo_of(counts_of(100_000 - failed, 0, failed), 99.9).budget_left for failed in (0, 50, 100, 300)]
    assert left == [1.0, 0.5, 0.0, -2.0]


@pytest.mark.parametrize(
    ("length_s", "poll_s", "expected_s"),
    [(300, None, 300), (300, 60, 300), (300, 600, 2100), (3600, 600, 3600), (3600, 3600, 12_600)],
)
def test_a_window_is_never_narrower_than_three_polls(
    length_s: int, poll_s: float | None, expected_s: int
) -> None:
    assert window_us(length_s, poll_s) == expected_s * 1_000_000


def test_without_polls_nothing_can_be_said() -> None:
    slo = slo_of({"poll:UNKNOWN": 5, "maintenance": 7}, 99.9)
    assert slo.polls == slo.failed == 0
    assert slo.availability is slo.budget_left is slo.burn_rate is None


@few
@given(counts, percents, numbers, numbers, numbers)
def test_what_is_unknown_or_in_maintenance_never_counts(
    counted: dict[str, int], percent: Decimal, unknown: int, maintenance: int, others: int
) -> None:
    more = {"poll:UNKNOWN": unknown, "maintenance": maintenance, "send:FAILED": others, "read:GOOD": others}
    assert slo_of(counted | more, float(percent)) == slo_of(counted, float(percent))


@few
@given(counts, percents)
def test_the_figures_are_the_exact_ones_as_near_as_a_float_comes(
    counted: dict[str, int], percent: Decimal
) -> None:
    slo = slo_of(counted, float(percent))
    good, marginal, failed = counted.values()
    assert (slo.polls, slo.failed) == (good + marginal + failed, failed)
    if slo.polls:
        target = Fraction(percent) / 100
        assert slo.availability == float(Fraction(good + marginal, slo.polls))
        assert slo.burn_rate == float(Fraction(failed, slo.polls) / (1 - target))
        assert slo.budget_left == float(1 - Fraction(failed, slo.polls) / (1 - target))


@few
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5), percents)
def test_the_budgets_of_parts_add_up_to_that_of_the_whole(
    parts: list[tuple[int, int]], percent: Decimal
) -> None:
    """Polls that may still fail, part by part: budget_left is their share of all that might have."""
    allowed = 1 - Fraction(percent) / 100
    whole = slo_of(counts_of(sum(good for good, _ in parts), 0, sum(bad for _, bad in parts)), float(percent))
    if whole.budget_left is None:
        return
    left = sum(
        (slo.budget_left or 0) * slo.polls * float(allowed)
        for slo in (slo_of(counts_of(good, 0, bad), float(percent)) for good, bad in parts)
    )
    assert left == pytest.approx(
        whole.budget_left * whole.polls * float(allowed), rel=1e-9, abs=1e-9 * whole.polls
    )


@few
@given(counts, percents)
def test_one_more_failure_leaves_less_and_one_more_success_never_does(
    counted: dict[str, int], percent: Decimal
) -> None:
    slo = slo_of(counted, float(percent))
    worse = Slo(slo.target, slo.polls + 1, slo.failed + 1)
    better = Slo(slo.target, slo.polls + 1, slo.failed)
    if slo.burn_rate is not None:
        assert (worse.burn_rate or 0) >= slo.burn_rate >= (better.burn_rate or 0)


def test_the_alerts_are_for_2_5_and_10_per_cent_of_the_budget_of_30_days() -> None:
    month_s = 30 * 86_400
    assert [alert.factor * alert.long_s / month_s for alert in BURN_ALERTS] == [0.02, 0.05, 0.1]
    assert [alert.short_s * 12 for alert in BURN_ALERTS] == [alert.long_s for alert in BURN_ALERTS]
