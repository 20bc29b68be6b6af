"""What beat and the workers count of their own work."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisConnectionError

from beat_schedule.grid import Due, Grid
from beat_schedule.metering import Meter as BeatMeter
from beat_schedule.metering import missed
from postbeat import histogram, slots
from postbeat.clock import Clock
from postbeat.elements import SmtpElement
from postbeat.lag import LagMeter
from postbeat.model import Pair, Poll
from postbeat.store.beat import Stretch
from postbeat.store.facts import BeatFactsStore, Waits, WorkerFacts, WorkerFactsStore
from workers.metering import Meter

SECOND_US = 1_000_000
START_US = 1_800_000_000 * SECOND_US


def element(name: str, poll: float) -> SmtpElement:
    return SmtpElement(name=name, server="127.0.0.1", poll=poll, timeout=1, regions=("lab",))


MAIL = element("mail", 10)
PAIR = Pair("mail", "lab")

POLLS = st.lists(st.sampled_from([1, 2.5, 7, 10, 60]), min_size=1, max_size=5)
STEPS = st.lists(st.integers(1, 90 * SECOND_US), min_size=1, max_size=12)


@given(POLLS, STEPS, st.integers(0, 20 * SECOND_US))
def test_every_poll_that_falls_due_is_fired_or_missed(
    polls: list[float], steps: list[int], absent_us: int
) -> None:
    """``absent_us`` before the grid began nothing was fired."""
    pairs = [(Pair(f"e{number}", "lab"), element(f"e{number}", poll)) for number, poll in enumerate(polls)]
    grid = Grid(pairs, START_US)
    from_us = began_us = START_US - absent_us
    fired = counted = 0
    for step_us in steps:
        stretch = Stretch(from_us, max(from_us, START_US) + step_us)
        due = [one for one in grid.due(stretch.to_us) if one.due_us > from_us]
        counted += missed(pairs, stretch, due, START_US)
        fired += len(due)
        from_us = stretch.to_us
    fell_due = sum(
        slots.slot_at(pair, slots.poll_s(one), from_us) - slots.slot_at(pair, slots.poll_s(one), began_us)
        for pair, one in pairs
    )
    assert fired + counted == fell_due


def test_nothing_is_missed_at_the_very_first_start() -> None:
    assert missed([(PAIR, MAIL)], Stretch(None, START_US), [], START_US) == 0


class Written(BeatFactsStore):
    """Takes what a beat writes, unless Redis is away."""

    def __init__(self) -> None:
        self.written: list[tuple[dict[str, Any], Waits, dict[str, int]]] = []
        self.away = False

    def write(self, stands: Mapping[str, str | int], lateness: Waits, **counts: int) -> None:
        if self.away:
            raise RedisConnectionError
        self.written.append((dict(stands), Waits(dict(lateness.counts), lateness.sum_us), counts))


def due(slot: int, due_us: int) -> Due:
    return Due(Poll("mail", "lab", slot), MAIL, due_us, due_us + 10 * SECOND_US)


def test_lateness_runs_from_when_a_poll_was_due_until_it_is_out() -> None:
    meter, store = BeatMeter("p.yaml"), Written()
    meter.fired([due(1, START_US - 20_000)], Stretch(START_US - SECOND_US, START_US), 0.030)
    meter.write(store, START_US, 1)
    assert store.written[0][1] == Waits({histogram.index(50_000): 1}, 50_000)


def test_nothing_is_late_at_the_very_first_start() -> None:
    meter, store = BeatMeter("p.yaml"), Written()
    meter.fired([due(1, START_US - 9 * SECOND_US)], Stretch(None, START_US), 0.030)
    meter.write(store, START_US, 1)
    assert store.written == [({"at_us": START_US, "pairs": 1}, Waits(), {"published": 1, "missed": 0})]


def test_what_beat_counted_while_redis_was_away_is_written_later() -> None:
    now_s = 0.0
    meter, store = BeatMeter("p.yaml", lambda: now_s), Written()
    meter.reloaded("p.yaml:3: elements[0].username: expected a text, got 'hunter2'")
    meter.fired([due(1, START_US)], Stretch(START_US - SECOND_US, START_US), 0)
    meter.missed(3)
    store.away = True
    with pytest.raises(RedisConnectionError):
        meter.write(store, START_US, 1)
    store.away = False
    meter.write(store, START_US, 1)
    assert store.written == []  # not twice in a second
    now_s = 1.5
    meter.write(store, START_US, 1)
    ((stands, late, counts),) = store.written
    assert (late.sum_us, counts) == (0, {"published": 1, "missed": 3})
    assert late.counts == {histogram.index(0): 1}
    assert stands["reload_ok"] == 0
    assert stands["reload_error"] == "p.yaml:3: elements[0].username: expected a text"


def test_whether_the_profile_is_used_is_written_again_where_it_may_be_lost() -> None:
    now_s = 0.0
    meter, store = BeatMeter("p.yaml", lambda: now_s), Written()
    meter.reloaded("p.yaml:3: not valid")
    meter.write(store, START_US, 1)
    for now_s in (2.0, 4.0):
        meter.write(store, START_US + round(now_s * SECOND_US), 1)
        meter.forgotten()
    now_s = 6.0
    meter.write(store, START_US + 6 * SECOND_US, 1)
    told = [stands.get("reload_at_us") for stands, _, _ in store.written]
    assert told == [START_US, None, START_US, START_US]
    assert store.written[-1][0]["reload_error"] == "p.yaml:3: not valid"


class Worker:
    """The meter of a worker with clocks that stand still, and what it wrote."""

    def __init__(self) -> None:
        self.now_us = self.steady_ns = 0
        self.away = False
        self.written: list[tuple[WorkerFacts, dict[int, int], dict[int, int], int]] = []
        self.lag = LagMeter(lambda: self.steady_ns)
        clock = Clock(lambda: self.now_us)
        self.meter = Meter("host/1", "lab", clock, self.lag, "1.0", lambda: self.steady_ns)
        outer = self

        class Store(WorkerFactsStore):
            def __init__(self) -> None:
                pass

            async def write(self, facts: WorkerFacts, wait: Waits, lag: Waits, expired: int) -> None:
                if outer.away:
                    raise RedisConnectionError
                outer.written.append((facts, dict(wait.counts), dict(lag.counts), expired))

        self.store = Store()

    def write(self) -> None:
        asyncio.run(self.meter.write(self.store, 7))


def test_a_poll_waits_from_when_it_was_due() -> None:
    worker = Worker()
    slot = slots.slot_at(PAIR, 10, START_US)
    due_us = slots.due_us(PAIR, 10, slot)
    worker.now_us = due_us + 40_000
    worker.meter.begins(MAIL, Poll("mail", "lab", slot), due_us + 10 * SECOND_US)
    worker.now_us = due_us - 5  # our clock is slow by so little
    worker.meter.begins(MAIL, Poll("mail", "lab", slot), due_us + 10 * SECOND_US)
    worker.write()
    assert worker.written[0][1] == {histogram.index(40_000): 1, histogram.index(0): 1}


def test_polls_of_the_very_first_start_have_no_wait() -> None:
    worker = Worker()
    slot = slots.slot_at(PAIR, 10, START_US)
    worker.now_us = START_US
    worker.meter.begins(MAIL, Poll("mail", "lab", slot), slots.due_us(PAIR, 10, slot) + 20 * SECOND_US)
    worker.write()
    assert worker.written[0][1] == {}


def test_the_worst_lag_since_the_writing_before_is_told() -> None:
    worker = Worker()
    worker.steady_ns = 1_000_000_000
    worker.lag.note(worker.steady_ns, 300_000)
    worker.steady_ns = 2_000_000_000
    worker.write()
    worker.steady_ns = 7_000_000_000
    worker.write()
    assert [facts.loop_lag_us for facts, *_ in worker.written] == [300_000, 0]
    assert [lag for _, _, lag, _ in worker.written] == [
        {histogram.index(300_000): 1},
        {histogram.index(0): 1},
    ]
    assert {facts.in_flight for facts, *_ in worker.written} == {7}


def test_what_a_worker_counted_while_redis_was_away_is_written_later() -> None:
    worker = Worker()
    slot = slots.slot_at(PAIR, 10, START_US)
    worker.now_us = slots.due_us(PAIR, 10, slot)
    worker.meter.begins(MAIL, Poll("mail", "lab", slot), worker.now_us + 10 * SECOND_US)
    worker.meter.expired += 2
    worker.away = True
    with pytest.raises(RedisConnectionError):
        worker.write()
    worker.away = False
    worker.write()
    worker.write()
    assert [(wait, expired) for _, wait, _, expired in worker.written] == [
        ({histogram.index(0): 1}, 2),
        ({}, 0),
    ]
