"""A message that went out is found by a reader: none is forgotten, whatever the order of things."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postbeat.model import Level, Phase
from postbeat.store.worker import Desk
from tests.redis.site import BOX, MAIL, WAKE, Site, result


class Play:
    """Sends and the readers of one mailbox, step by step; ``called`` readers were sent for."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.called = 0
        self._slots = 0
        self._readers: list[Desk] = []

    @property
    def somebody_comes(self) -> bool:
        return bool(self.called or self._readers)

    def message_goes_out(self) -> None:
        self._slots += 1
        self.called += self.site.send(self._slots)

    def reader_starts(self) -> None:
        if self.called:
            self.called -= 1
            desk = self.site.run(self.site.worker.desk(BOX.mailbox))
            self._readers += [desk] if desk else []

    def reader_looks(self) -> None:
        for desk in self._readers:
            for pending in list(self.site.run(desk.expected()).pending.values()):
                found = result(pending.poll.slot, Phase.READ, Level.GOOD, self.site.now_us())
                self.site.run(desk.record(found))

    def reader_leaves(self) -> None:
        self._readers = [desk for desk in self._readers if not self.site.run(desk.release())]

    def mark_of_waking_expires(self) -> None:
        self.site.forget_waking()

    def task_is_lost(self) -> None:
        self.called = max(0, self.called - 1)

    def reader_is_killed(self) -> None:
        self._readers = []
        self.site.lose_lease()

    def reader_fails(self) -> None:
        for desk in self._readers:
            self.site.run(desk.release(force=True))
        self._readers = []

    def sweep(self) -> None:
        self.called += len(list(self.site.beat.readers_to_wake()))


Step = Callable[[Play], None]
SMOOTH: list[Step] = [
    Play.message_goes_out,
    Play.reader_starts,
    Play.reader_looks,
    Play.reader_leaves,
    Play.mark_of_waking_expires,
]
ROUGH: list[Step] = [*SMOOTH, Play.task_is_lost, Play.reader_is_killed, Play.reader_fails]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(SMOOTH), max_size=25))
def test_where_nothing_is_lost_a_reader_is_always_on_its_way(site: Site, steps: list[Step]) -> None:
    site.redis.flushall()
    play = Play(site)
    for step in steps:
        step(play)
        assert play.somebody_comes or not site.pending()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(ROUGH), max_size=25))
def test_whatever_is_lost_the_sweep_brings_a_reader_to_every_message(site: Site, steps: list[Step]) -> None:
    site.redis.flushall()
    play = Play(site)
    for step in steps:
        step(play)
    play.mark_of_waking_expires()
    play.sweep()
    while play.called:
        play.reader_starts()
    play.reader_looks()
    play.reader_leaves()
    assert site.pending() == set()
    reads = [str(found.poll) for found in site.results() if found.phase is Phase.READ]
    assert sorted(reads) == sorted(str(found.poll) for found in site.results() if found.phase is Phase.SEND)


def test_many_senders_and_readers_at_once_leave_nothing_behind(site: Site) -> None:
    readers: set[asyncio.Task[None]] = set()
    per_sender = 40

    async def reader() -> None:
        desk = await site.worker.desk(BOX.mailbox)
        while desk is not None and not await desk.release():
            for pending in list((await desk.expected()).pending.values()):
                await desk.record(result(pending.poll.slot, Phase.READ, Level.GOOD, 1))

    async def sender(first: int) -> None:
        for slot in range(first, first + per_sender):
            sent = result(slot, Phase.SEND, Level.GOOD, 1)
            if await site.worker.record_send(MAIL, sent, BOX.mailbox, WAKE):
                readers.add(asyncio.create_task(reader()))

    async def play() -> None:
        await asyncio.gather(*(sender(number * per_sender) for number in range(5)))
        await asyncio.gather(*readers)

    site.run(play())
    assert site.pending() == set()
    assert site.state().counts[Phase.READ] == {Level.GOOD: 5 * per_sender}


def test_the_first_message_sends_for_a_reader_and_those_after_it_do_not(site: Site) -> None:
    assert [site.send(slot) for slot in range(3)] == [True, False, False]


def test_a_message_that_comes_while_a_reader_is_there_is_that_readers(site: Site) -> None:
    site.send(1)
    desk = site.desk()
    site.run(desk.record(result(1, Phase.READ, Level.GOOD, 1)))
    assert not site.send(2)
    assert not site.run(desk.release())
    assert set(site.run(desk.expected()).pending) == {"mail@lab#2"}


def test_the_sweep_wakes_the_reader_that_a_mailbox_lacks_and_once(site: Site) -> None:
    site.send(1)
    assert list(site.beat.readers_to_wake()) == []  # the sender has sent for one
    site.forget_waking()
    assert list(site.beat.readers_to_wake()) == [WAKE]
    assert list(site.beat.readers_to_wake()) == []


def test_the_sweep_wakes_nobody_where_a_reader_is_or_nothing_is_pending(site: Site) -> None:
    site.send(1)
    desk = site.desk()
    assert list(site.beat.readers_to_wake()) == []
    site.run(desk.record(result(1, Phase.READ, Level.GOOD, 1)))
    site.run(desk.release())
    assert list(site.beat.readers_to_wake()) == []


@pytest.mark.parametrize("level", [Level.GOOD, Level.FAILED, Level.UNKNOWN])
def test_a_message_whose_read_is_recorded_is_pending_no_more(site: Site, level: Level) -> None:
    site.send(1)
    site.send(2)
    site.read(1, level)
    assert site.pending() == {"mail@lab#2"}
