"""The sweep: what does not come is UNKNOWN by our own fault, once, and never FAILED."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postbeat import slots
from postbeat.delivery import Outcome
from postbeat.elements import SmtpElement
from postbeat.model import FaultCode, Kind, Level, Pair, Phase, Side
from postbeat.profile import Profile
from postbeat.results import Result
from postbeat.store import keys
from postbeat.store.beat import CATCH_UP_US, PAUSES_KEPT
from postbeat.store.records import silence_us
from postbeat.verdict import Verdict
from tests.redis.site import BOX, BOX_PAIR, INTERVAL_US, MAIL, PAIR, PROFILE, SILENCE_US, Site

ALONE = replace(MAIL, read=None)  # nothing is read, so that the send alone makes the level
ALONE_PROFILE = Profile({"mail": ALONE})
MARGIN_US = 5_000_000  # more than a test takes, less than an interval


def current_slot(site: Site, element: SmtpElement = MAIL) -> int:
    return slots.slot_at(PAIR, element.poll, site.now_us())


def silent(found: Result, phase: Phase, region: str, queue: str) -> bool:
    assert found.fault is not None
    assert (found.level, found.phase) == (Level.UNKNOWN, phase)
    assert (found.fault.side, found.fault.code) == (Side.LOCAL, FaultCode.SILENT)
    assert found.message == found.fault.message
    return region in found.message and queue in found.message


def pause(site: Site, pause_us: int, monitor: str = "") -> None:
    """What beats do that fired nothing for so long."""
    site.redis.set(keys.cursor(monitor), site.now_us() - pause_us)
    site.beat.claim(monitor)


def test_a_pair_is_silent_2_5_intervals_after_its_last_result(site: Site) -> None:
    quick = replace(ALONE, poll=100)  # its attempts end well within half an interval
    assert silence_us(quick) == 250_000_000
    site.send(1, element=quick, at_us=site.now_us() - 250_000_000 + MARGIN_US)
    assert site.beat.sweep(Profile({"mail": quick})) == 0
    site.redis.flushall()
    site.send(1, element=quick, at_us=site.now_us() - 250_000_000)
    assert site.beat.sweep(Profile({"mail": quick})) == 1


def test_a_poll_that_may_run_long_is_given_its_time() -> None:
    patient = replace(ALONE, poll=10, timeout=60, failureretests=2, retestinterval=10)
    assert silence_us(patient) > 20_000_000 + 1_000_000 * (3 * 60 + 2 * 10)


def test_silence_is_unknown_and_names_the_region_and_its_queue(site: Site) -> None:
    site.send(7, at_us=site.now_us() - SILENCE_US, element=ALONE)
    assert site.beat.sweep(ALONE_PROFILE) == 1
    last = site.results()[-1]
    assert silent(last, Phase.SEND, "region lab", "queue probe.lab")
    assert str(last.poll) == "mail@lab#8"
    assert [(event.was, event.level) for event in site.events()] == [
        (Level.UNKNOWN, Level.GOOD),
        (Level.GOOD, Level.UNKNOWN),
    ]
    assert site.events()[-1].message == last.message


def test_silence_after_a_failure_is_unknown_as_well(site: Site) -> None:
    site.send(7, Level.FAILED, at_us=site.now_us() - SILENCE_US, element=ALONE)
    site.beat.sweep(ALONE_PROFILE)
    assert site.level() is Level.UNKNOWN


def test_a_silence_is_said_once_an_interval(site: Site) -> None:
    site.send(7, at_us=site.now_us() - SILENCE_US, element=ALONE)
    assert [site.beat.sweep(ALONE_PROFILE) for _ in range(3)] == [1, 0, 0]
    expected_us = site.redis.zscore(keys.EXPECTED, str(PAIR))
    assert expected_us is not None
    assert 0 < float(expected_us) - site.now_us() <= INTERVAL_US


def test_a_silence_that_was_slept_over_counts_every_poll_and_is_one_event(site: Site) -> None:
    missed = 360
    last = current_slot(site) - missed - int(SILENCE_US // INTERVAL_US)
    at_us = site.now_us() - SILENCE_US - missed * INTERVAL_US + MARGIN_US
    site.send(last, at_us=at_us, element=ALONE)
    assert [site.beat.sweep(ALONE_PROFILE) for _ in range(3)] == [1, 0, 0]
    assert site.state().counts[Phase.SEND] == {Level.GOOD: 1, Level.UNKNOWN: missed}
    assert len(site.events()) == 2


def test_the_first_result_after_long_silence_is_the_level(site: Site) -> None:
    site.send(current_slot(site) - 1000, at_us=site.now_us() - 1000 * INTERVAL_US, element=ALONE)
    site.beat.sweep(ALONE_PROFILE)
    site.send(current_slot(site), element=ALONE)
    assert site.level() is Level.GOOD


def test_a_region_that_never_gave_a_result_is_silent(site: Site) -> None:
    site.beat.expect(PROFILE, site.now_us() - SILENCE_US)
    assert site.beat.sweep(PROFILE) == 1
    assert silent(site.results()[0], Phase.SEND, "region lab", "queue probe.lab")
    assert site.events() == []  # it was UNKNOWN all the time
    assert site.state().since_us == site.results()[0].at_us
    assert site.beat.sweep(PROFILE) == 0


@pytest.mark.parametrize("intervals", [0, 1, 1000])
def test_a_result_after_a_night_without_any_is_the_level(site: Site, intervals: int) -> None:
    site.beat.expect(ALONE_PROFILE, site.now_us() - SILENCE_US - intervals * INTERVAL_US)
    assert [site.beat.sweep(ALONE_PROFILE) for _ in range(3)] == [1, 0, 0]
    site.send(current_slot(site), element=ALONE)
    assert site.level() is Level.GOOD


def test_what_is_expected_already_is_not_put_off(site: Site) -> None:
    site.beat.expect(PROFILE, site.now_us() - SILENCE_US)
    site.beat.expect(PROFILE, site.now_us())
    assert site.beat.sweep(PROFILE) == 1


def test_a_late_result_of_a_silent_poll_is_not_recorded_twice(site: Site) -> None:
    site.send(7, at_us=site.now_us() - SILENCE_US, element=ALONE)
    site.beat.sweep(ALONE_PROFILE)
    site.send(8, element=ALONE)
    assert site.state().counts[Phase.SEND] == {Level.GOOD: 1, Level.UNKNOWN: 1}


def test_polls_that_were_passed_over_are_silent_when_their_time_is_over(site: Site) -> None:
    long_ago_us = site.now_us() - SILENCE_US
    site.send(1, at_us=long_ago_us, element=ALONE)
    site.send(5, at_us=long_ago_us, element=ALONE)
    site.send(3, at_us=long_ago_us, element=ALONE)  # it was only slow
    site.send(6, element=ALONE)
    assert [site.beat.sweep(ALONE_PROFILE) for _ in range(2)] == [2, 0]
    unknown = [found for found in site.results() if found.level is Level.UNKNOWN]
    assert {found.poll.slot for found in unknown} == {2, 4}
    assert all(silent(found, Phase.SEND, "region lab", "queue probe.lab") for found in unknown)
    assert site.level() is Level.GOOD  # they are history by now


def test_polls_that_were_passed_over_a_moment_ago_may_still_come(site: Site) -> None:
    site.send(1, element=ALONE)
    site.send(5, element=ALONE)
    assert site.beat.sweep(ALONE_PROFILE) == 0


@pytest.mark.parametrize(("before_s", "after_s"), [(10, 300), (300, 10)])
def test_silence_is_counted_in_the_interval_of_now(site: Site, before_s: int, after_s: int) -> None:
    before, after = replace(ALONE, poll=before_s), replace(ALONE, poll=after_s)
    begin_us = site.now_us() - 2 * max(silence_us(before), silence_us(after))
    first = slots.slot_at(PAIR, before_s, begin_us)
    for slot in (first, first + 3):
        site.send(slot, at_us=begin_us, element=before)
    site.beat.sweep(Profile({"mail": after}))
    assert site.level() is Level.UNKNOWN
    assert site.beat.sweep(Profile({"mail": after})) == 0
    site.send(current_slot(site, after), element=after)
    assert site.level() is Level.GOOD


def test_a_longer_interval_counts_from_the_last_result_on(site: Site) -> None:
    longer = replace(ALONE, poll=3600)
    profile = Profile({"mail": longer})
    site.send(current_slot(site), at_us=site.now_us() - SILENCE_US, element=ALONE)
    assert [site.beat.sweep(profile) for _ in range(2)] == [0, 0]
    assert site.level() is Level.GOOD
    silent_at_us = site.redis.zscore(keys.EXPECTED, str(PAIR))
    assert silent_at_us is not None
    assert 0 < float(silent_at_us) - site.now_us() < silence_us(longer)


def test_a_shorter_interval_counts_from_now_on(site: Site) -> None:
    longer = replace(ALONE, poll=3600)
    site.beat.expect(Profile({"mail": longer}), site.now_us())
    site.beat.expect(ALONE_PROFILE, site.now_us())
    silent_at_us = site.redis.zscore(keys.EXPECTED, str(PAIR))
    assert silent_at_us is not None
    assert 0 < float(silent_at_us) - site.now_us() <= SILENCE_US


def test_silence_after_a_longer_interval_is_of_the_time_when_a_poll_was_due(site: Site) -> None:
    longer = replace(ALONE, poll=3600)
    begin_us = site.now_us() - silence_us(longer)
    site.send(slots.slot_at(PAIR, ALONE.poll, begin_us), at_us=begin_us, element=ALONE)
    assert site.beat.sweep(Profile({"mail": longer})) == 1
    assert site.results()[-1].at_us == begin_us + slots.interval_us(longer.poll)
    assert site.level() is Level.UNKNOWN


@pytest.mark.parametrize("monitor", ["", Kind.SMTP, Kind.POP3])
def test_after_a_pause_of_beat_each_pair_has_its_time_anew(site: Site, monitor: str) -> None:
    site.send(7, at_us=site.now_us() - 2 * SILENCE_US, element=ALONE)
    pause(site, 2 * SILENCE_US, monitor)
    resumed_us = site.now_us()
    assert site.beat.sweep(ALONE_PROFILE) == 0
    assert site.level() is Level.GOOD
    silent_at_us = site.redis.zscore(keys.EXPECTED, str(PAIR))
    assert silent_at_us == pytest.approx(resumed_us + SILENCE_US, abs=MARGIN_US)


def test_a_pause_that_is_caught_up_puts_no_silence_off(site: Site) -> None:
    site.send(7, at_us=site.now_us() - SILENCE_US, element=ALONE)
    pause(site, CATCH_UP_US // 2)
    assert site.beat.sweep(ALONE_PROFILE) == 1


def test_a_region_that_is_still_silent_after_a_pause_of_beat_is_unknown_by_a_poll_that_was_fired(
    site: Site,
) -> None:
    resumed_us = site.now_us() - SILENCE_US
    begin_us = resumed_us - 100 * INTERVAL_US
    site.send(slots.slot_at(PAIR, ALONE.poll, begin_us), at_us=begin_us, element=ALONE)
    site.redis.set(keys.pause(""), f"{begin_us} {resumed_us}")
    assert [site.beat.sweep(ALONE_PROFILE) for _ in range(2)] == [1, 0]
    last = site.results()[-1]
    assert silent(last, Phase.SEND, "region lab", "queue probe.lab")
    assert slots.due_us(PAIR, ALONE.poll, last.poll.slot) > resumed_us - CATCH_UP_US


@pytest.mark.parametrize("poll_s", [3, 10, 30])
def test_polls_that_no_beat_fired_are_expected_of_nobody(site: Site, poll_s: int) -> None:
    element = replace(ALONE, poll=poll_s)
    resumed_us = site.now_us() - silence_us(element)
    begin_us = resumed_us - 100_000_000
    first = slots.slot_at(PAIR, poll_s, begin_us) - 2
    latest = slots.slot_at(PAIR, poll_s, resumed_us)
    last = latest + 2
    site.redis.set(keys.pause(""), f"{begin_us} {resumed_us}")
    site.send(first, at_us=resumed_us, element=element)
    site.send(last, at_us=resumed_us, element=element)
    site.send(last + 1, element=element)
    site.beat.sweep(Profile({"mail": element}))
    assert site.redis.zcard(keys.OPEN) == 0
    unknown = {found.poll.slot for found in site.results() if found.level is Level.UNKNOWN}
    is_caught_up = slots.due_us(PAIR, poll_s, latest) > resumed_us - CATCH_UP_US
    fired = {first + 1, first + 2, latest + 1} | ({latest} if is_caught_up else set())
    assert unknown == fired


def test_a_second_pause_does_not_bring_back_the_polls_of_the_first(site: Site) -> None:
    resumed_us = site.now_us() - silence_us(ALONE) - 5_000_000
    begin_us = resumed_us - 100 * INTERVAL_US
    site.send(slots.slot_at(PAIR, ALONE.poll, begin_us), at_us=begin_us, element=ALONE)
    site.redis.set(keys.pause(""), f"{begin_us} {resumed_us}")
    site.send(slots.slot_at(PAIR, ALONE.poll, resumed_us) + 1, at_us=resumed_us + 1_000_000, element=ALONE)
    site.send(current_slot(site, ALONE), element=ALONE)
    pause(site, CATCH_UP_US + 5_000_000)
    site.beat.sweep(ALONE_PROFILE)
    unknown = [found.poll for found in site.results() if found.level is Level.UNKNOWN]
    assert all(slots.due_us(PAIR, ALONE.poll, poll.slot) > resumed_us - CATCH_UP_US for poll in unknown), (
        unknown
    )


@pytest.mark.parametrize(("before", "then"), [("", Kind.SMTP), (Kind.SMTP, "")])
def test_polls_that_another_beat_did_not_fire_are_expected_of_nobody(
    site: Site, before: str, then: str
) -> None:
    site.send(7, at_us=site.now_us() - 2 * SILENCE_US, element=ALONE)
    site.redis.set(keys.cursor(before), site.now_us() - 2 * SILENCE_US)
    site.beat.claim(then)
    assert site.beat.sweep(ALONE_PROFILE) == 0
    assert site.level() is Level.GOOD


def test_of_many_pauses_the_last_ones_are_known(site: Site) -> None:
    for _ in range(2 * PAUSES_KEPT):
        pause(site, CATCH_UP_US + 1_000_000)
    assert len(str(site.redis.get(keys.pause(""))).split()) == 2 * PAUSES_KEPT


def test_messages_that_beat_sent_no_reader_for_are_given_time(site: Site) -> None:
    unread(site, range(1, 4), 1000)
    pause(site, 2 * SILENCE_US)
    assert site.beat.sweep(PROFILE) == 0
    assert site.pending() == {f"mail@lab#{slot}" for slot in range(1, 5)}
    silent_at_us = site.redis.zscore(keys.EXPECTED, f"{PAIR}/read")
    assert silent_at_us == pytest.approx(site.now_us() + SILENCE_US, abs=MARGIN_US)


def unread(site: Site, slots_: range, overdue_us: int) -> None:
    """Messages that are pending so long, and polls that go on."""
    sent_us = site.now_us() - round(MAIL.delivertimeout * 1e6) - SILENCE_US - overdue_us
    for slot in slots_:
        site.send(slot, at_us=sent_us)
    site.send(slots_.stop)


def test_messages_that_no_reader_looked_for_are_unknown(site: Site) -> None:
    unread(site, range(1, 4), 1000)
    assert [site.beat.sweep(PROFILE) for _ in range(2)] == [3, 0]
    found = [one for one in site.results() if one.phase is Phase.READ]
    assert {one.poll.slot for one in found} == {1, 2, 3}
    assert all(silent(one, Phase.READ, "box", "queue read.lab") for one in found)
    assert site.level() is Level.UNKNOWN
    assert site.pending() == {"mail@lab#4"}
    assert site.awaited() == {"mail@lab#1", "mail@lab#2", "mail@lab#3"}
    assert {one.outcome for one in found} == {Outcome.UNREADABLE}


def test_a_mailbox_that_was_good_turns_unknown_when_nobody_reads_it(site: Site) -> None:
    site.send(0, at_us=1)
    site.read(0)
    assert site.level() is Level.GOOD
    unread(site, range(1, 2), 1000)
    site.beat.sweep(PROFILE)
    assert [event.level for event in site.events()] == [Level.GOOD, Level.UNKNOWN]


def test_messages_that_a_reader_looks_for_are_left_to_it(site: Site) -> None:
    unread(site, range(1, 4), 1000)
    site.desk()
    assert site.beat.sweep(PROFILE) == 0
    site.lose_lease()
    assert site.beat.sweep(PROFILE) == 3


def test_messages_whose_time_comes_later_are_not_forgotten_where_no_more_are_sent(site: Site) -> None:
    unread(site, range(1, 2), 1000)
    assert site.beat.sweep(PROFILE) == 1
    assert site.redis.zscore(keys.EXPECTED, f"{PAIR}/read") is not None
    assert site.pending() == {"mail@lab#2"}


@pytest.mark.parametrize(
    "after",
    [
        Profile({"box": BOX}),
        Profile({"mail": replace(MAIL, active=False), "box": BOX}),
        Profile({"mail": replace(MAIL, regions=("elsewhere",)), "box": BOX}),
    ],
    ids=["removed", "inactive", "another region"],
)
def test_a_pair_that_left_the_profile_is_forgotten(site: Site, after: Profile) -> None:
    unread(site, range(1, 4), 1000)
    site.send(9, at_us=site.now_us() - SILENCE_US)
    assert site.beat.sweep(after) == 0
    site.read(9)  # the reader was at it
    site.beat.sweep(after)
    assert site.view.states() == []
    left = {key for key in site.redis.scan_iter() if not key.startswith(keys.seen(""))}
    kept = (keys.pending, keys.settled)
    log = keys.raw(str(PAIR))
    assert left <= {keys.EVENTS, keys.RESULTS, keys.MAILBOXES, log, *(key(BOX.mailbox) for key in kept)}
    assert site.redis.ttl(log) > 86_400


def test_a_pair_that_comes_back_begins_anew(site: Site) -> None:
    site.send(7, Level.FAILED, at_us=site.now_us() - SILENCE_US, element=ALONE)
    site.beat.sweep(Profile({}))
    site.beat.expect(ALONE_PROFILE, site.now_us())
    state = site.state(Pair("mail", "lab"))
    assert (state.level, state.since_us, state.counts[Phase.SEND]) == (Level.UNKNOWN, None, {})


def test_a_pair_that_is_out_of_the_profile_for_a_moment_begins_anew(site: Site) -> None:
    for slot in (7, 8):
        site.send(slot, Level.FAILED, element=ALONE)
        site.beat.retire(Profile({"box": BOX}))
        assert site.view.states() == []
        site.beat.expect(ALONE_PROFILE, site.now_us())
    site.send(9, Level.FAILED, element=ALONE)
    failures = [(event.was, event.level) for event in site.events()]
    assert failures == [(Level.UNKNOWN, Level.FAILED)] * 3
    told = [(event.was, event.verdict) for event in site.verdict_events()]
    gone, failed = (Verdict.FAILED, Verdict.UNKNOWN), (Verdict.UNKNOWN, Verdict.FAILED)
    assert told == [failed, gone, failed, gone, failed]


def test_what_is_in_the_profile_is_not_forgotten(site: Site) -> None:
    site.send(7)
    site.check(7)
    before = site.dump()
    site.beat.retire(PROFILE)
    assert site.dump() == before


def test_what_was_under_way_when_its_pair_left_is_not_counted_but_its_message_is_found(site: Site) -> None:
    site.send(7, Level.FAILED)
    site.beat.retire(Profile({"box": BOX}))
    known = len(site.results()), len(site.events()), len(site.verdict_events())
    site.send(8, Level.FAILED)
    site.send(9)
    assert site.pending() == {"mail@lab#9"}
    assert site.read(9)
    assert site.pending() == set()
    assert (site.view.states(), site.view.verdicts()) == ([], [])
    assert (len(site.results()), len(site.events()), len(site.verdict_events())) == known
    site.beat.expect(PROFILE, site.now_us())
    site.send(10, Level.FAILED)
    assert (site.level(), site.state().counts[Phase.SEND]) == (Level.FAILED, {Level.FAILED: 1})


def test_nothing_is_under_way_any_more_when_silence_would_have_counted(site: Site) -> None:
    site.send(7)
    site.beat.retire(Profile({"box": BOX}))
    assert 0 < site.redis.pttl(keys.pair(str(PAIR))) <= SILENCE_US // 1000


def test_a_beat_of_some_monitors_forgets_pairs_of_theirs_alone(site: Site) -> None:
    nothing = Profile({})
    site.send(7)
    site.check(7)
    site.beat.retire(nothing, ["imap4", "smtp"])
    assert site.redis.zrange(keys.EXPECTED, 0, -1) == [str(BOX_PAIR)]
    site.beat.retire(nothing, ["pop3"])
    assert site.redis.zrange(keys.EXPECTED, 0, -1) == []


def test_a_check_may_wait_an_interval_for_its_turn() -> None:
    assert silence_us(BOX) == silence_us(ALONE) + INTERVAL_US


def test_a_mailbox_that_is_checked_no_more_is_unknown(site: Site) -> None:
    site.check(7, at_us=site.now_us() - silence_us(BOX))
    profile = Profile({"box": BOX})
    assert [site.beat.sweep(profile) for _ in range(2)] == [1, 0]
    assert silent(site.results()[-1], Phase.CHECK, "region lab", "queue probe.lab")
    state = site.state(BOX_PAIR)
    assert (state.level, state.counts[Phase.CHECK]) == (
        Level.UNKNOWN,
        {Level.GOOD: 1, Level.UNKNOWN: 1},
    )


def test_of_a_mailbox_without_a_poll_of_its_own_nothing_is_expected(site: Site) -> None:
    site.check(7, at_us=site.now_us() - silence_us(BOX))
    assert site.beat.sweep(Profile({"box": replace(BOX, poll=None)})) == 0
    assert site.view.states() == []
