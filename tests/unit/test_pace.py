"""How long a reader waits before it looks again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from postbeat.mailbox import pace
from postbeat.model import FaultCode

AGES = st.floats(0, 86400)


@given(st.floats(0, 9.99))
def test_a_delivery_of_the_first_ten_seconds_is_known_to_50_ms_over_an_open_session(age_s: float) -> None:
    wait = pace.live(age_s, pushes=True)
    assert 0 < wait.longest_s < 0.05
    assert not wait.pushed


@given(AGES, st.booleans())
def test_looks_over_an_open_session_never_cost_more_than_30_seconds_of_accuracy(
    age_s: float, pushes: bool
) -> None:
    assert 0 < pace.live(age_s, pushes=pushes).longest_s <= 30


@given(st.floats(pace.PUSH_AFTER_S, 86400))
def test_after_a_minute_the_server_is_asked_to_tell_where_it_can(age_s: float) -> None:
    assert pace.live(age_s, pushes=True).pushed
    assert not pace.live(age_s, pushes=False).pushed


@given(AGES, AGES)
def test_a_reader_never_looks_more_often_the_longer_it_has_waited(one_s: float, other_s: float) -> None:
    younger, older = sorted((one_s, other_s))
    assert pace.logins(younger, 0).longest_s <= pace.logins(older, 0).longest_s
    assert pace.live(younger, pushes=True).longest_s <= pace.live(older, pushes=True).longest_s


@given(AGES, st.floats(0, 3600))
def test_two_logins_are_as_far_apart_as_the_server_wants_them(age_s: float, interval_s: float) -> None:
    assert pace.logins(age_s, interval_s).longest_s >= interval_s


@given(st.integers(1, 10_000), st.sampled_from((FaultCode.IN_USE, FaultCode.THROTTLED)))
def test_each_refusal_doubles_the_time_until_the_next_login_up_to_a_limit(
    times: int, code: FaultCode
) -> None:
    first_s, longest_s = pace.BACK_OFF_S[code]
    wait_s = pace.backing_off(times, (first_s, longest_s))
    assert wait_s == min(first_s * 2 ** min(times - 1, 30), longest_s)
