"""The level of a pair, and an event for each of its changes and for nothing else."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postbeat.delivery import Outcome
from postbeat.grade import merged
from postbeat.model import Fault, FaultCode, Level, Phase, Side
from tests.redis.site import BOX, MAIL, WAKE, Site, result

LEVELS = st.sampled_from(Level)
HALVES = (Phase.SEND, Phase.READ)
# Slots are drawn from so few that sends come twice, late and out of order.
STEPS = st.lists(st.tuples(st.sampled_from(HALVES), st.integers(0, 6), LEVELS), max_size=30)


class Model:
    """What the store should say, in Python: each poll counts once, the newest of each half speaks."""

    def __init__(self) -> None:
        self.level = Level.UNKNOWN
        self.changes: list[tuple[Level, Level]] = []
        self.counts: dict[Phase, dict[Level, int]] = {phase: {} for phase in HALVES}
        self._newest = dict.fromkeys(HALVES, -1)
        self._halves = dict.fromkeys(HALVES, Level.UNKNOWN)
        self._sent: set[int] = set()
        self._pending: set[int] = set()

    def take(self, phase: Phase, slot: int, level: Level) -> bool:
        """Whether the result is new."""
        if phase is Phase.SEND:
            if slot in self._sent:
                return False
            self._sent.add(slot)
            if level in (Level.GOOD, Level.MARGINAL):
                self._pending.add(slot)
        elif slot not in self._pending:
            return False
        else:
            self._pending.remove(slot)
        self.counts[phase][level] = self.counts[phase].get(level, 0) + 1
        if slot >= self._newest[phase]:
            self._newest[phase] = slot
            self._halves[phase] = level
            self._change(merged(self._halves[Phase.SEND], self._halves[Phase.READ]))
        return True

    def _change(self, level: Level) -> None:
        if level is not self.level:
            self.changes.append((self.level, level))
            self.level = level


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_events_are_exactly_the_changes_of_the_level(
    site: Site, steps: list[tuple[Phase, int, Level]]
) -> None:
    site.redis.flushall()
    model = Model()
    taken = 0
    for phase, slot, level in steps:
        taken += model.take(phase, slot, level)
        if phase is Phase.SEND:
            site.send(slot, level)
        else:
            site.read(slot, level)
    assert [(event.was, event.level) for event in site.events()] == model.changes
    assert len(site.results()) == taken
    if taken:
        state = site.state()
        assert state.level is model.level
        assert {phase: state.counts[phase] for phase in HALVES} == model.counts


@pytest.mark.parametrize(("send", "read"), list(product(Level, Level)))
def test_both_halves_make_the_level_as_they_do_in_python(site: Site, send: Level, read: Level) -> None:
    site.send(1)
    site.read(1, read)
    site.send(2, send)
    assert site.level() is merged(send, read)


@pytest.mark.parametrize("level", Level)
def test_the_send_is_the_level_where_nothing_is_read(site: Site, level: Level) -> None:
    site.send(1, level, element=replace(MAIL, read=None))
    assert site.level() is merged(level, None)


def test_no_news_of_a_mailbox_is_unknown(site: Site) -> None:
    site.send(1)
    assert site.level() is Level.UNKNOWN
    assert site.events() == []


def test_a_send_that_is_put_off_is_told_before_anything_was_ever_read(site: Site) -> None:
    put_off = Fault(Side.REMOTE, FaultCode.GREYLISTED, "450 come back later")
    sent = result(1, Phase.SEND, Level.MARGINAL, site.now_us())
    attempts = (replace(sent.attempts[0], fault=put_off, accepted_at_us=None),)
    sent = replace(sent, attempts=attempts, fault=put_off, message=put_off.message)
    assert not site.run(site.worker.record_send(MAIL, sent, BOX.mailbox, WAKE))
    assert (site.state().level, site.state().why) == (Level.MARGINAL, "450 come back later")
    assert site.state().round_trip.level is Level.MARGINAL


def test_an_event_tells_what_changed_when_and_why(site: Site) -> None:
    at_us = site.now_us()
    site.send(7, Level.FAILED, at_us=at_us)
    (event,) = site.events()
    assert (event.was, event.level, event.at_us) == (Level.UNKNOWN, Level.FAILED, at_us)
    assert (str(event.poll), event.phase, event.message) == ("mail@lab#7", Phase.SEND, "452 no space")
    assert (site.state().since_us, site.state().why) == (at_us, "452 no space")


def test_a_level_that_the_send_makes_is_told_in_its_words_when_the_read_brings_it_about(site: Site) -> None:
    site.send(1, Level.MARGINAL)
    assert site.level() is Level.UNKNOWN
    site.read(1)
    (event,) = site.events()
    assert (event.level, event.phase, event.message) == (Level.MARGINAL, Phase.SEND, "send 1 went well")
    assert (site.state().why, site.state().level) == ("send 1 went well", Level.MARGINAL)


def test_where_the_mailbox_recovers_what_is_still_wrong_is_told(site: Site) -> None:
    for slot, level in ((1, Level.FAILED), (2, Level.GOOD)):
        site.send(slot, Level.MARGINAL)
        site.read(slot, level)
    told = [(event.level, event.phase, event.message) for event in site.events()]
    assert told == [
        (Level.FAILED, Phase.READ, "452 no space"),
        (Level.MARGINAL, Phase.SEND, "send 2 went well"),
    ]


def test_where_the_server_recovers_the_fault_of_the_mailbox_is_told(site: Site) -> None:
    site.send(1)
    lost = Fault(Side.REMOTE, FaultCode.REPLY, "not there", "login")
    with site.reader() as desk:
        read = replace(result(1, Phase.READ, Level.FAILED, site.now_us()), message=lost.message, fault=lost)
        site.run(desk.record(read))
    site.send(2, Level.FAILED)
    assert site.state().why == "452 no space"
    site.send(3)
    (short,) = site.view.overview()
    assert (short.level, short.why, short.phase) == (Level.FAILED, "not there", Phase.READ)
    assert (short.stage, short.code, short.side) == (lost.stage, lost.code, lost.side)


def test_what_became_of_a_message_is_told_though_the_level_is_the_send_s(site: Site) -> None:
    site.send(1, Level.MARGINAL)
    site.read(1, outcome=Outcome.SPAM)
    (event,) = site.events()
    assert (event.level, event.outcome) == (Level.MARGINAL, Outcome.SPAM)
    assert (event.phase, event.message) == (Phase.READ, "read 1 went well")


def test_what_is_unknown_from_the_start_is_so_since_its_first_result(site: Site) -> None:
    first_us = site.now_us()
    for slot in range(3):
        site.send(slot, Level.UNKNOWN, at_us=first_us + slot)
    assert site.events() == []
    assert site.verdict_events() == []
    assert (site.state().since_us, site.view.verdicts()[0].since_us) == (first_us, first_us)


def test_a_level_that_stays_keeps_its_time_and_gives_no_event(site: Site) -> None:
    first_us = site.now_us()
    for slot in range(3):
        site.send(slot, Level.FAILED, at_us=first_us + slot)
    assert len(site.events()) == 1
    assert site.state().since_us == first_us


def test_a_poll_that_was_overtaken_counts_and_does_not_speak_for_the_present(site: Site) -> None:
    nothing_read = replace(MAIL, read=None)
    site.send(9, element=nothing_read)
    site.send(8, Level.FAILED, element=nothing_read)
    state = site.state()
    assert state.level is Level.GOOD
    assert state.counts[Phase.SEND] == {Level.GOOD: 1, Level.FAILED: 1}
    assert state.round_trip.send is not None
    assert state.round_trip.send.poll.slot == 9


@pytest.mark.parametrize(("before_s", "after_s"), [(10, 300), (300, 10)])
def test_a_pair_whose_interval_changes_goes_on(site: Site, before_s: int, after_s: int) -> None:
    # Slots are counted in intervals: with another interval they start anew, far below or above.
    now_s = site.now_us() // 1_000_000
    before, after = (replace(MAIL, poll=poll) for poll in (before_s, after_s))
    site.send(now_s // before_s, element=before)
    site.read(now_s // before_s)
    site.send(now_s // after_s, Level.FAILED, element=after)
    assert site.level() is Level.FAILED
    site.send(now_s // after_s + 1, element=after)
    site.read(now_s // after_s + 1)
    assert site.level() is Level.GOOD


@pytest.mark.parametrize(("before_s", "after_s"), [(10, 300), (300, 10)])
def test_a_read_of_the_interval_before_does_not_speak_for_the_present(
    site: Site, before_s: int, after_s: int
) -> None:
    now_s = site.now_us() // 1_000_000
    before, after = (replace(MAIL, poll=poll) for poll in (before_s, after_s))
    site.send(now_s // before_s, element=before)
    site.send(now_s // after_s, element=after)
    site.read(now_s // after_s)
    assert site.read(now_s // before_s, Level.FAILED)
    assert site.level() is Level.GOOD
    site.send(now_s // after_s + 1, element=after)
    site.read(now_s // after_s + 1, Level.FAILED)
    assert site.level() is Level.FAILED
