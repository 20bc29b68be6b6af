from __future__ import annotations

from contextlib import suppress

import pytest

from postbeat.results import Stage
from postbeat.timeline import REPLY_LIMIT, Timeline


class HandClock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.ns = 5_000_000_000

    def __call__(self) -> int:
        return self.ns

    def pass_us(self, time_us: int) -> None:
        self.ns += time_us * 1000


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def timeline(clock: HandClock) -> Timeline:
    return Timeline(clock)


def test_stages_have_their_place_and_their_time(clock: HandClock, timeline: Timeline) -> None:
    clock.pass_us(7)
    with timeline.stage("lookup"):
        clock.pass_us(100)
    clock.pass_us(3)
    with timeline.stage("connect"):
        clock.pass_us(2000)
        timeline.reply("220 ready")
    assert timeline.stages() == (Stage("lookup", 7, 100), Stage("connect", 110, 2000, "220 ready"))
    assert timeline.now_us() == 2110


def test_a_stage_that_is_broken_off_is_the_open_one(clock: HandClock, timeline: Timeline) -> None:
    with timeline.stage("connect"):
        clock.pass_us(10)
    with suppress(TimeoutError), timeline.stage("greeting"):
        clock.pass_us(500)
        raise TimeoutError
    assert timeline.open_stage == "greeting"
    clock.pass_us(5)
    assert timeline.stages()[-1] == Stage("greeting", 10, 505, ended=False)


def test_switching_leaves_no_gap(clock: HandClock, timeline: Timeline) -> None:
    for name in ("envelope", "upload", "quit", ""):
        timeline.switch(name)
        clock.pass_us(40)
    assert [(stage.name, stage.at_us) for stage in timeline.stages()] == [
        ("envelope", 0),
        ("upload", 40),
        ("quit", 80),
    ]
    assert all(stage.took_us == 40 and stage.ended for stage in timeline.stages())


def test_between_stages_the_last_one_counts_as_open(timeline: Timeline) -> None:
    assert timeline.open_stage == ""
    with timeline.stage("connect"):
        pass
    assert timeline.open_stage == "connect"


def test_the_time_of_a_stage_is_that_of_its_last_run(clock: HandClock, timeline: Timeline) -> None:
    for took_us in (10, 20):
        with timeline.stage("search"):
            clock.pass_us(took_us)
    assert timeline.took_us("search") == 20
    assert timeline.took_us("upload") is None


def test_ending_without_an_open_stage_changes_nothing(timeline: Timeline) -> None:
    timeline.end()
    assert timeline.stages() == ()


def test_a_reply_is_cut_and_belongs_to_its_stage_alone(timeline: Timeline) -> None:
    with timeline.stage("greeting"):
        timeline.reply("x" * 1000)
    with timeline.stage("ehlo"):
        pass
    assert [stage.reply for stage in timeline.stages()] == ["x" * REPLY_LIMIT, ""]
