"""Every poll that is due is published once, whatever number of beats there are and however they restart."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from postbeat import slots
from postbeat.model import Pair, Poll
from postbeat.store import keys
from tests.beat.beats import Beats, profile


def test_the_very_first_tick_polls_every_pair_at_once(beats: Beats) -> None:
    beats.write(profile(3, regions="lab, attic"))
    beats.start().tick()
    for region in ("lab", "attic"):
        polls = [Poll.parse(poll) for poll in beats.taken_polls(region)]
        assert [poll.element for poll in polls] == ["m0", "m1", "m2"]
        assert all(poll.slot == slots.slot_at(poll.pair, 60, beats.fired_to_us()) for poll in polls)


def test_after_that_each_pair_waits_for_its_turn(beats: Beats) -> None:
    beats.write(profile(50, poll=86400))
    beat = beats.start()
    beat.tick()
    begin_us = beats.fired_to_us()
    beats.taken()
    beat.tick()
    assert set(beats.taken_polls()) == beats.polls_between(begin_us, beats.fired_to_us())


def test_large_profiles_begin_with_their_turns(beats: Beats) -> None:
    beats.write(profile(1001, poll=86400))
    beat = beats.start()
    begin_us = beats.now_us()
    beat.tick()
    polls = set(beats.taken_polls())
    assert polls <= beats.polls_between(begin_us - 1_000_000, beats.fired_to_us())


def test_a_restart_loses_none_and_fires_none_twice(beats: Beats) -> None:
    beats.write(profile(600))
    beats.start().close()
    beat = beats.start()
    stopped_us = beats.let_pass(5)
    beat.tick()
    polls = beats.taken_polls()
    assert Counter(polls) == Counter(beats.polls_between(stopped_us, beats.fired_to_us()))
    assert 20 < len(polls) < 100  # about 50 of the 600 fall due in 5 of 60 seconds


def test_what_fell_due_long_before_a_restart_is_not_fired(beats: Beats) -> None:
    beats.write(profile(600))
    beat = beats.start()
    beats.let_pass(40)
    before_us = beats.now_us()
    beat.tick()
    after_us = beats.fired_to_us()
    polls = set(beats.taken_polls())
    assert polls >= beats.polls_between(before_us - 5_000_000, after_us)
    assert polls <= beats.polls_between(before_us - 10_000_000, after_us)


def test_after_a_long_pause_no_pair_is_silent_that_was_not_polled(beats: Beats) -> None:
    beats.write(profile(2))
    beats.start().tick()
    beats.redis.zadd(keys.EXPECTED, {"m0@lab": 1, "m1@lab": 1})
    beats.let_pass(600)
    beats.start().tick()
    assert not beats.redis.exists(keys.RESULTS)
    assert beats.redis.zcount(keys.EXPECTED, beats.now_us(), "+inf") == 2


def test_a_beat_that_starts_beside_another_notes_silence_at_once(beats: Beats) -> None:
    beats.write(profile(2))
    beats.start().tick()
    second = beats.start()
    beats.redis.zadd(keys.EXPECTED, {"m0@lab": 1, "m1@lab": 1})
    second.tick()
    assert beats.redis.xlen(keys.RESULTS) == 2


def test_a_pair_that_was_due_several_times_gives_its_latest_poll(beats: Beats) -> None:
    beats.write(profile(50, poll=1))
    beats.let_pass(5)
    beats.start().tick()
    at_us = beats.fired_to_us()
    assert sorted(beats.taken_polls()) == sorted(
        str(Poll(f"m{number}", "lab", slots.slot_at(Pair(f"m{number}", "lab"), 1, at_us)))
        for number in range(50)
    )


def test_two_beats_at_once_publish_no_poll_twice_and_leave_none_out(beats: Beats) -> None:
    beats.write(profile(600, poll=5))
    both = [beats.start(), beats.start()]
    begin_us = beats.let_pass(0)

    def tick_for_a_while(beat: object) -> None:
        while beats.now_us() < begin_us + 1_500_000:
            beat.tick()  # type: ignore[attr-defined]

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(tick_for_a_while, both))
    both[0].tick()
    polls = beats.taken_polls()
    assert Counter(polls) == Counter(beats.polls_between(begin_us, beats.fired_to_us()))
    assert len(polls) > 100  # about 180 of the 600 fall due in 1.5 of 5 seconds


def test_a_poll_expires_when_the_next_one_is_due(beats: Beats) -> None:
    beats.write(profile(300, poll=30))
    beats.let_pass(5)
    beats.start().tick()
    messages = beats.taken()
    assert messages
    for message in messages:
        poll = Poll.parse(message.headers["id"])
        assert message.payload[0][3] == slots.due_us(poll.pair, 30, poll.slot + 1)


def test_an_inactive_element_is_not_polled(beats: Beats) -> None:
    beats.write(profile(2) + "  - {name: off, type: smtp, server: 127.0.0.1, active: false}\n")
    beats.start().tick()
    assert [Poll.parse(poll).element for poll in beats.taken_polls()] == ["m0", "m1"]


def test_a_tick_says_how_long_to_sleep(beats: Beats) -> None:
    beats.write(profile(1, poll=86400))
    beat = beats.start()
    beat.tick()
    assert beat.tick() == pytest.approx(0.5)  # no longer, so that a changed profile is seen soon
    beats.write(profile(1000, poll=1))
    beat.tick()
    assert beat.tick() == pytest.approx(0.02)  # no shorter, so that polls go out in batches
