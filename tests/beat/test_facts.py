"""What beat tells of itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from beat_schedule.scheduler import GridScheduler
from postbeat.store import keys
from postbeat.store.facts import BeatFacts, FactsView
from tests.beat.beats import Beats, profile

DEADLINE_S = 20.0


@pytest.fixture
def view(redis_url: str) -> Iterator[FactsView]:
    view = FactsView(redis_url)
    yield view
    view.close()


def told(view: FactsView, condition: Callable[[BeatFacts], bool], beat: GridScheduler) -> BeatFacts:
    """What beat has told, once it is so; it writes once a second."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        beat.tick()
        facts = view.beat()
        if facts is not None and condition(facts):
            return facts
        assert time.monotonic() < deadline, facts
        time.sleep(0.02)


def test_beat_tells_of_a_profile_that_it_does_not_use(beats: Beats, view: FactsView) -> None:
    beats.write(profile(3))
    beat = beats.start()
    assert told(view, lambda facts: facts.reload_ok and facts.pairs == 3, beat).reload_error == ""
    beats.write("elements: [{name: m, type: smtp, server: 127.0.0.1, pasword: hunter2, poll: hunter3}]")
    facts = told(view, lambda facts: not facts.reload_ok, beat)
    assert "elements[0].poll: expected" in facts.reload_error
    assert "hunter" not in facts.reload_error
    assert facts.pairs == 3
    beats.write(profile(2))
    assert told(view, lambda facts: facts.reload_ok, beat).pairs == 2


def test_beat_tells_of_polls_that_fell_due_while_none_ran(beats: Beats, view: FactsView) -> None:
    beats.write(profile(2, poll=1))
    minute_ago_us = beats.now_us() - 60_000_000
    beats.redis.set(keys.CURSOR, minute_ago_us)
    facts = told(view, lambda facts: facts.missed > 0, beats.start())
    assert facts.published + facts.missed == pytest.approx(120, abs=20)
    assert facts.missed >= 100
