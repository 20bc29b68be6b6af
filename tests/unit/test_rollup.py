from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbeat.delivery import Outcome
from postbeat.figures import Figures
from postbeat.model import FaultCode, Level, Phase, Side
from postbeat.rollup import Rollup, availability, bucket
from tests.unit.some_figures import AT_US, LONGEST_US, figures, times_us

READ = Figures(
    AT_US,
    Phase.READ,
    7,
    Level.FAILED,
    True,
    Side.REMOTE,
    FaultCode.SPAM,
    outcome=Outcome.SPAM,
    times_us={"timeToDeliver": 1_500_000},
)


def rollup_of(*some: Figures) -> Rollup:
    rollup = Rollup()
    for one in some:
        rollup.add(one)
    return rollup


@settings(max_examples=30)
@given(st.lists(figures, max_size=12), st.data())
def test_any_order_and_any_splitting_gives_the_same_rollup(some: list[Figures], data: st.DataObject) -> None:
    parts = [Rollup() for _ in range(3)]
    for one in data.draw(st.permutations(some)):
        data.draw(st.sampled_from(parts)).add(one)
    merged = Rollup()
    for part in data.draw(st.permutations(parts)):
        merged.merge(part)
    assert merged == rollup_of(*some)


@settings(max_examples=60)
@given(
    st.lists(times_us, min_size=1, max_size=60),
    st.floats(0, 1) | st.sampled_from((0.0, 0.5, 0.9, 0.95, 0.99, 1.0)),
)
def test_a_percentile_is_within_2_percent_of_the_exact_one(times: list[int], q: float) -> None:
    rollup = rollup_of(*(replace(READ, times_us={"timeToDeliver": us}) for us in times))
    exact = sorted(times)[max(1, math.ceil(Fraction(repr(q)) * len(times))) - 1]
    found = rollup.percentile("timeToDeliver", q)
    assert found is not None
    assert abs(found - exact) * 50 <= exact


@pytest.mark.parametrize("us", [1, 2, 49, 50, 1000, LONGEST_US])
def test_the_percentile_of_one_time_is_that_time(us: int) -> None:
    found = rollup_of(replace(READ, times_us={"totalTime": us})).percentile("totalTime", 0.5)
    assert found is not None
    assert abs(found - us) * 50 <= us


def test_the_rank_of_a_percentile_is_not_spoilt_by_fractions() -> None:
    # 0.55 * 100 is 55.00000000000001 in floats.
    rollup = Rollup(timings={"totalTime": {bucket(1000): 55, bucket(5000): 45}})
    found = rollup.percentile("totalTime", 0.55)
    assert found is not None
    assert abs(found - 1000) <= 20


def test_where_nothing_was_counted_there_is_no_percentile() -> None:
    assert Rollup().percentile("totalTime", 0.5) is None


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan])
def test_a_share_is_from_0_to_1(q: float) -> None:
    with pytest.raises(ValueError, match="expected 0 to 1"):
        Rollup().percentile("totalTime", q)


def test_a_result_is_counted_by_poll_phase_fault_and_outcome() -> None:
    rollup = rollup_of(READ, replace(READ, terminal=False))
    assert rollup.counts == {
        "poll:FAILED": 1,
        "read:FAILED": 2,
        "fault:REMOTE:spam": 2,
        "outcome:spam": 2,
    }
    assert rollup.timings == {"timeToDeliver": {bucket(1_500_000): 2}}
    assert rollup.count("timeToDeliver") == 2


@settings(max_examples=20)
@given(st.lists(figures, max_size=12))
def test_in_maintenance_polls_are_counted_and_nothing_else(some: list[Figures]) -> None:
    rollup = Rollup()
    for one in some:
        rollup.add(one, maintenance=True)
    polls = sum(one.terminal for one in some)
    assert rollup == Rollup({"maintenance": polls} if polls else {})


@pytest.mark.parametrize(
    ("counts", "share"),
    [
        ({}, None),
        ({"poll:UNKNOWN": 5, "maintenance": 3}, None),
        ({"poll:FAILED": 1, "poll:UNKNOWN": 9}, 0.0),
        ({"poll:GOOD": 2, "poll:MARGINAL": 1, "poll:FAILED": 1, "poll:UNKNOWN": 9, "maintenance": 3}, 0.75),
    ],
)
def test_what_says_nothing_of_the_service_is_not_in_its_availability(
    counts: dict[str, int], share: float | None
) -> None:
    assert availability(counts) == share


def test_a_merged_rollup_stays_as_it_is_when_the_sum_grows() -> None:
    part, whole = rollup_of(READ), Rollup()
    whole.merge(part)
    whole.merge(part)
    assert part == rollup_of(READ)
    assert whole == rollup_of(READ, READ)
