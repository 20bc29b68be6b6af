from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbeat import figures as module
from postbeat.delivery import Outcome
from postbeat.figures import BUCKETS, TIMINGS, Figures, bucket, figures_of, representative
from postbeat.model import Fault, FaultCode, Level, Phase, Poll, Side
from postbeat.results import Attempt
from tests.unit.some_figures import AT_US, LONGEST_US, figures
from tests.unit.some_results import CHECK, LATE, OVERDUE, READ, SENT

TIMES_US = {
    "lookupTime": 3000,
    "connectTime": 21_000,
    "SSLHandshakeTime": 43_000,
    "responseTime": 180_000,
    "uploadTime": 90_000,
}
SEND = replace(
    SENT,
    poll=Poll("mail", "eu", 6_000_000),
    attempts=(Attempt(1, AT_US, 90_000, times_us=TIMES_US, status=250),),
)


def kept(figures: Figures) -> Figures:
    """Figures with their times as they are stored."""
    times_us = {name: representative(bucket(us)) for name, us in figures.times_us.items()}
    return replace(figures, times_us=times_us)


@settings(max_examples=80)
@given(figures)
def test_figures_come_back_as_they_were_stored(some: Figures) -> None:
    assert Figures.loads(some.dumps()) == kept(some)


@pytest.mark.parametrize("name", TIMINGS)
def test_every_timing_is_stored(name: str) -> None:
    some = Figures(AT_US, Phase.SEND, 1, Level.GOOD, False, times_us={name: 49})
    assert Figures.loads(some.dumps()) == some


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        (module.PHASES, Phase),
        (module.LEVELS, Level),
        (module.SIDES, Side),
        (module.OUTCOMES, Outcome),
        (module.FAULT_CODES, FaultCode),
    ],
)
def test_every_member_of_an_enumeration_has_a_number(members: Sequence[StrEnum], kind: type[StrEnum]) -> None:
    assert sorted(members) == sorted(kind)


def test_stored_figures_keep_their_meaning() -> None:
    # Numbers are given once and for all: where this fails, what is in stores can no longer be read.
    stored = Figures.loads(bytes.fromhex("101be5b6d27574bbe8a25fd78daa8c1913205af2fb42ba"))
    assert stored == Figures(
        AT_US,
        Phase.AFTER,
        6_000_000,
        Level.UNKNOWN,
        True,
        Side.LOCAL,
        FaultCode.INTERNAL,
        "read",
        Outcome.UNREADABLE,
        554,
        {"lookupTime": 44, "timeToDeliver": representative(bucket(2_500_000))},
        5,
    )


def test_a_send_takes_20_bytes_and_a_read_15() -> None:
    read = replace(READ, poll=SEND.poll)
    sizes = [len(figures_of(SEND, terminal=False).dumps()), len(figures_of(read, terminal=True).dumps())]
    assert sizes[0] <= 20
    assert sizes[1] <= 15


@settings(max_examples=80)
@given(st.binary(max_size=40) | st.binary(min_size=100, max_size=200))
def test_bytes_that_are_no_figures_are_refused(data: bytes) -> None:
    try:
        some = Figures.loads(data)
    except ValueError:
        return
    assert Figures.loads(some.dumps()) == some


@pytest.mark.parametrize("changed", [{"slot": -1}, {"at_us": -1}, {"status": 1000}, {"hop_count": 128}])
def test_numbers_out_of_bounds_are_not_stored(changed: dict[str, int]) -> None:
    some = replace(figures_of(READ, terminal=True), **changed)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not storable"):
        some.dumps()


@settings(max_examples=80)
@given(st.integers(1, LONGEST_US))
def test_a_bucket_stands_for_all_its_times_within_2_percent(us: int) -> None:
    assert abs(representative(bucket(us)) - us) * 50 <= us


def test_the_representative_of_a_bucket_is_in_it() -> None:
    assert [bucket(representative(place)) for place in range(BUCKETS)] == list(range(BUCKETS))


def test_times_beyond_all_buckets_are_in_the_one_at_that_end() -> None:
    assert [bucket(-5), bucket(0), bucket(1), bucket(10 * LONGEST_US)] == [0, 0, 0, BUCKETS - 1]


def test_a_send_has_the_times_of_its_last_attempt_and_the_whole_of_it() -> None:
    found = figures_of(SEND, terminal=False)
    assert set(found.times_us) == {*TIMES_US, "totalTime"}
    assert abs(found.times_us["totalTime"] - 90_000) <= 1800
    assert (found.status, found.slot, found.terminal) == (250, 6_000_000, False)


def test_a_check_has_a_login_time() -> None:
    assert "loginTime" in figures_of(CHECK, terminal=True).times_us


def test_an_attempt_that_went_wrong_has_no_times() -> None:
    fault = Fault(Side.REMOTE, FaultCode.TIMEOUT, "no reply in time", "upload")
    attempts = tuple(replace(attempt, fault=fault) for attempt in SEND.attempts)
    found = figures_of(replace(SEND, attempts=attempts, fault=fault), terminal=True)
    assert (found.times_us, found.side, found.code, found.stage) == ({}, fault.side, fault.code, "upload")


def test_a_read_has_the_time_of_the_delivery_alone() -> None:
    found = figures_of(READ, terminal=True)
    assert (set(found.times_us), found.hop_count, found.outcome) == ({"timeToDeliver"}, 3, Outcome.DELIVERED)
    assert set(figures_of(LATE, terminal=False).times_us) == {"timeToDeliver"}
    assert figures_of(OVERDUE, terminal=True).times_us == {}


def test_what_does_not_fit_is_cut_and_still_stored() -> None:
    fault = Fault(Side.REMOTE, FaultCode.REPLY, "", "ü" * 300)
    attempts = tuple(replace(attempt, status=7000) for attempt in SEND.attempts)
    found = figures_of(replace(SEND, attempts=attempts, fault=fault), terminal=True)
    assert (found.stage, found.status) == ("ü" * 20, None)
    assert Figures.loads(found.dumps()) == found
