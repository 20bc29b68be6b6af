from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beat_schedule.grid import Due, Grid
from postbeat import slots
from postbeat.elements import Pop3Element, SmtpElement
from postbeat.model import Pair, Poll
from postbeat.slots import Polled

START_US = 1_700_000_000_000_000
SHORTEST_US = 1_000_000
polls_s = st.sampled_from([1, 1.5, 2, 7, 10])
moments = st.integers(START_US, START_US + 10**12)


def elements(intervals_s: Iterable[float], region_count: int = 2) -> list[tuple[Pair, Polled]]:
    regions = tuple(f"r{number}" for number in range(region_count))
    made = [
        SmtpElement(name=f"mail-{number}", server="h", poll=poll_s, regions=regions)
        for number, poll_s in enumerate(intervals_s)
    ]
    return [(Pair(element.name, region), element) for element in made for region in element.regions]


def ids(due: Iterable[Due]) -> list[str]:
    return [str(item.poll) for item in due]


def expected_ids(pairs: list[tuple[Pair, Polled]], from_us: int, to_us: int) -> set[str]:
    """The same from the definition of a slot: every one whose time is after one moment, up to another."""
    return {
        str(Poll(pair.element, pair.region, slot))
        for pair, element in pairs
        for slot in range(
            slots.slot_at(pair, slots.poll_s(element), from_us) + 1,
            slots.slot_at(pair, slots.poll_s(element), to_us) + 1,
        )
    }


@given(st.lists(polls_s, min_size=1, max_size=4), st.lists(st.integers(0, SHORTEST_US), max_size=30))
def test_polls_are_the_same_whatever_the_ticks(intervals_s: list[float], steps_us: list[int]) -> None:
    pairs = elements(intervals_s)
    grid = Grid(pairs, START_US)
    now_us = START_US
    fired: list[str] = []
    for step_us in steps_us:
        now_us += step_us
        fired += ids(grid.due(now_us))
    assert Counter(fired) == Counter(expected_ids(pairs, START_US, now_us))


@given(st.lists(polls_s, min_size=1, max_size=4), st.integers(0, 20_000_000), st.integers(0, 1_000_000))
def test_a_beat_that_starts_in_between_fires_the_same_polls(
    intervals_s: list[float], before_us: int, after_us: int
) -> None:
    pairs = elements(intervals_s)
    first = Grid(pairs, START_US)
    list(first.due(START_US + before_us))
    second = Grid(pairs, START_US + before_us)
    to_us = START_US + before_us + after_us
    assert sorted(ids(first.due(to_us))) == sorted(ids(second.due(to_us)))


@given(st.lists(polls_s, min_size=1, max_size=4), st.lists(st.integers(0, 50_000_000), max_size=8))
def test_after_a_pause_each_pair_gives_only_its_latest_poll(
    intervals_s: list[float], steps_us: list[int]
) -> None:
    pairs = elements(intervals_s)
    element_of = dict(pairs)
    grid = Grid(pairs, START_US)
    now_us = START_US
    for step_us in steps_us:
        now_us += step_us
        due = list(grid.due(now_us))
        assert max(Counter(item.poll.pair for item in due).values(), default=0) <= 1
        for item in due:
            poll_s = slots.poll_s(item.element)
            assert item.poll.slot == slots.slot_at(item.poll.pair, poll_s, now_us)
            assert item.due_us <= now_us < item.expires_us
            assert item.expires_us - item.due_us == slots.interval_us(poll_s)
            assert item.element is element_of[item.poll.pair]


@given(st.lists(polls_s, min_size=1, max_size=4), st.integers(0, 3_000_000))
def test_the_next_poll_is_due_just_then_and_not_earlier(intervals_s: list[float], after_us: int) -> None:
    grid = Grid(elements(intervals_s), START_US)
    list(grid.due(START_US + after_us))
    next_us = grid.next_us()
    assert next_us is not None
    assert next_us > START_US + after_us
    assert list(grid.due(next_us - 1)) == []
    assert {item.due_us for item in grid.due(next_us)} == {next_us}


def test_polls_come_in_the_order_of_their_times() -> None:
    times_us = [item.due_us for item in Grid(elements([10] * 50), START_US).due(START_US + 10_000_000)]
    assert len(times_us) == 100
    assert times_us == sorted(times_us)


def test_a_mailbox_is_polled_like_anything_else() -> None:
    box = Pop3Element(name="box", server="h", poll=10)
    (due,) = Grid([(Pair("box", "eu"), box)], START_US).due(START_US + 10_000_000)
    assert (due.element, due.poll.pair) == (box, Pair("box", "eu"))


def test_a_mailbox_that_is_only_read_has_no_place_in_the_grid() -> None:
    with pytest.raises(ValueError, match="box is not polled"):
        Grid([(Pair("box", "eu"), Pop3Element(name="box", server="h"))], START_US)


def test_a_grid_without_pairs_waits_for_nothing() -> None:
    grid = Grid([], START_US)
    assert grid.next_us() is None
    assert list(grid.due(START_US + 10**9)) == []
    assert len(grid) == 0


def test_the_very_first_start_has_the_current_poll_of_every_pair() -> None:
    pairs = elements([1, 7, 300])
    current = list(Grid(pairs, START_US).current(START_US))
    assert [item.poll.pair for item in current] == [pair for pair, _ in pairs]
    for item in current:
        interval_us = slots.interval_us(slots.poll_s(item.element))
        assert item.due_us <= START_US < item.due_us + interval_us
        assert item.expires_us > START_US + interval_us


@given(polls_s, moments)
def test_a_slot_lasts_from_its_time_to_the_next(poll_s: float, at_us: int) -> None:
    pair = Pair("mail", "eu")
    slot = slots.slot_at(pair, poll_s, at_us)
    assert slots.due_us(pair, poll_s, slot) <= at_us < slots.due_us(pair, poll_s, slot + 1)
    assert slots.slot_at(pair, poll_s, slots.due_us(pair, poll_s, slot)) == slot


def test_pairs_are_spread_evenly_over_the_interval() -> None:
    """Of 20,000 pairs in 100 bins, each bin holds 200 with a standard deviation of 14."""
    phases = [slots.phase_us(Pair(f"mail-{number}", "eu"), 300) for number in range(20_000)]
    bins = Counter(phase * 100 // slots.interval_us(300) for phase in phases)
    assert set(bins) == set(range(100))
    assert min(bins.values()) > 130
    assert max(bins.values()) < 270


def test_the_phase_follows_from_names_and_interval_alone() -> None:
    """Fixed figures: an update that moved every poll would be seen as silence."""
    assert slots.phase_us(Pair("mail", "eu"), 300) == 181_027_356
    assert slots.phase_us(Pair("mail", "us"), 300) == 271_596_811


def test_another_field_keeps_the_phase() -> None:
    before = SmtpElement(name="mail", server="a.example.com", timeout=5, regions=("eu",))
    after = SmtpElement(name="mail", server="b.example.com", timeout=9, port=587, regions=("eu", "us"))
    pair = Pair("mail", "eu")
    to_us = START_US + 300_000_000
    first = [(item.poll, item.due_us) for item in Grid([(pair, before)], START_US).due(to_us)]
    second = [(item.poll, item.due_us) for item in Grid([(pair, after)], START_US).due(to_us)]
    assert first == second
    assert len(first) == 1
