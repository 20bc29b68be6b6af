"""A changed profile is taken while beat runs; one that is not valid changes nothing and is said loudly."""

from __future__ import annotations

import logging

import pytest

from postbeat.model import Pair, Poll
from postbeat.store import keys
from postbeat.store.maintenance import MaintenanceStore
from tests.beat.beats import Beats, profile

INVALID = """
elements:
  - name: m0
    type: smtp
    server: 127.0.0.1
    prot: 25
"""


def elements(polls: list[str]) -> set[str]:
    return {Poll.parse(poll).element for poll in polls}


def named(count: int) -> set[str]:
    return {f"m{number}" for number in range(count)}


def test_a_new_element_is_polled_without_a_restart(beats: Beats) -> None:
    beats.write(profile(1))
    beat = beats.start()
    beat.tick()
    beats.taken()
    beats.write(profile(300, poll=1))
    assert elements(beats.next_polls(beat)) & (named(300) - {"m0"})


def test_a_removed_element_is_polled_no_more(beats: Beats) -> None:
    beats.write(profile(300, poll=1))
    beat = beats.start()
    beat.tick()
    beats.taken()
    beats.write(profile(20, poll=1))
    assert elements(beats.next_polls(beat)) <= named(20)


def test_a_first_result_of_a_new_element_is_expected(beats: Beats) -> None:
    beats.write(profile(1))
    beat = beats.start()
    beats.write(profile(2))
    beat.tick()
    assert set(beats.redis.zrange(keys.EXPECTED, 0, -1)) == {"m0@lab", "m1@lab"}


def test_a_removed_element_is_forgotten_at_once(beats: Beats) -> None:
    beats.write(profile(2, regions="lab, attic"))
    beat = beats.start()
    beat.tick()
    beats.write(profile(1))
    beat.tick()
    assert beats.redis.zrange(keys.EXPECTED, 0, -1) == ["m0@lab"]
    assert [beats.redis.hkeys(key) for key in (keys.STATES, keys.PROFILE)] == [["m0@lab"], ["m0"]]


def test_a_window_of_maintenance_that_is_removed_holds_for_the_time_it_was_there(
    beats: Beats, windows: MaintenanceStore
) -> None:
    beats.write(profile(extra=", maintenance: 'daily 00:00-24:00'"))
    beats.start().tick()
    in_force_us = beats.now_us()
    beats.start().tick()  # anew, with the same profile
    assert not beats.redis.exists(keys.FORMER_MAINTENANCE)
    beats.write(profile())
    beats.start().tick()
    calendar = windows.calendar()
    pair = Pair("m0", "lab")
    assert [calendar.covers(pair, at_us) for at_us in (in_force_us, beats.now_us())] == [True, False]


@pytest.mark.parametrize("key", [keys.PROFILE, keys.FORMER_MAINTENANCE])
def test_what_is_damaged_in_redis_does_not_stop_beat(beats: Beats, key: str) -> None:
    beats.write(profile(300, poll=1))
    beats.start().tick()
    beats.redis.hset(key, "m0", "garbage")
    assert beats.next_polls(beats.start())


@pytest.mark.parametrize(("text", "line"), [(INVALID, 6), ("", 1), ("elements: [", 2), (None, 1)])
def test_an_invalid_profile_leaves_the_one_before_in_force(
    beats: Beats, caplog: pytest.LogCaptureFixture, text: str | None, line: int
) -> None:
    beats.write(profile(300, poll=1))
    beat = beats.start()
    beat.tick()
    beats.taken()
    if text is None:
        beats.path.unlink()
    else:
        beats.write(text)
    for _ in range(3):
        assert elements(beats.next_polls(beat)) <= named(300)
    (error,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "is NOT used" in error.getMessage()
    assert f"{beats.path}:{line}: " in error.getMessage()


def test_after_a_mistake_the_corrected_profile_is_taken(beats: Beats) -> None:
    beats.write(profile(1))
    beat = beats.start()
    beats.write(INVALID)
    beat.tick()
    beats.write(profile(2))
    beats.taken()
    beat.tick()
    assert set(beats.redis.zrange(keys.EXPECTED, 0, -1)) == {"m0@lab", "m1@lab"}


def test_beat_does_not_start_with_an_invalid_profile(beats: Beats) -> None:
    beats.write(INVALID)
    with pytest.raises(SystemExit) as caught:
        beats.start()
    assert (
        str(caught.value) == f"beat cannot start:\n{beats.path}:6: " + str(caught.value).partition(":6: ")[2]
    )
    assert "prot" in str(caught.value)


def test_beat_does_not_start_without_a_profile(beats: Beats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSTBEAT_PROFILE")
    with pytest.raises(SystemExit, match="no profile: set POSTBEAT_PROFILE"):
        beats.start()


WITH_SECRET = profile(extra=", authenticationtype: CRAM-MD5, username: u, password: hunter2")


def test_secrets_in_plain_text_need_a_key(beats: Beats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSTBEAT_KEY")
    beats.write(WITH_SECRET)
    with pytest.raises(SystemExit) as caught:
        beats.start()
    assert f"{beats.path} holds secrets as plain text" in str(caught.value)
    assert "POSTBEAT_KEY_FILE" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_secrets_in_plain_text_that_come_later_need_a_key_too(
    beats: Beats, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("POSTBEAT_KEY")
    beats.write(profile())
    beat = beats.start()
    beats.write(WITH_SECRET)
    beat.tick()
    assert "holds secrets as plain text" in caplog.text
    assert "hunter2" not in caplog.text
    assert not any("hunter2" in str(message.payload) for message in beats.taken())


def test_secrets_by_reference_need_no_key(beats: Beats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSTBEAT_KEY")
    beats.write(WITH_SECRET.replace("hunter2", "{env: MAIL_PASSWORD}"))
    beats.start().tick()
    assert len(beats.taken()) == 1
