"""Checks wait for a mailbox in the order they came; its reader hears of it; a dead waiter holds up nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from postbeat.model import Level, Phase
from postbeat.store import keys
from postbeat.store.worker import Desk, WorkerStore
from tests.redis.site import BOX, MAIL, WAKE, Site, result

TRIES = (1, 2, 3)  # a busy machine may hold up one of them


@pytest.fixture
def other(site: Site, redis_server: str) -> Iterator[WorkerStore]:
    """Another worker process of the same site."""
    store = WorkerStore(redis_server, "elsewhere/1")
    yield store
    site.run(store.close())


def turn(store: WorkerStore, longest_s: float = 10) -> asyncio.Task[Desk | None]:
    return asyncio.create_task(store.turn(BOX.mailbox, longest_s))


async def until_waiting(site: Site, count: int) -> None:
    while site.redis.zcard(keys.turns(BOX.mailbox)) < count:  # noqa: ASYNC110  it is Redis that changes
        await asyncio.sleep(0.005)


async def rung(desk: Desk) -> None:
    """Waits until the bell is set, as it is for the beginning of its subscription, and clears it."""
    await desk.bell.wait()
    desk.bell.clear()


def test_a_free_mailbox_is_had_at_once(site: Site) -> None:
    assert site.run(site.worker.turn(BOX.mailbox, 0)) is not None


def test_waiters_come_in_the_order_in_which_they_asked(site: Site, other: WorkerStore) -> None:
    async def play() -> list[int]:
        reader = await site.worker.desk(BOX.mailbox)
        assert reader is not None
        order: list[int] = []

        async def wait(number: int) -> None:
            desk = await (other if number % 2 else site.worker).turn(BOX.mailbox, 10)
            assert desk is not None
            order.append(number)
            assert await desk.release()

        waiters = []
        for number in range(5):
            waiters.append(asyncio.create_task(wait(number)))
            await until_waiting(site, number + 1)
        assert await reader.release()
        await asyncio.gather(*waiters)
        return order

    assert site.run(play()) == [0, 1, 2, 3, 4]


def test_a_reader_sees_that_its_mailbox_is_wanted_and_gives_it_away(site: Site, other: WorkerStore) -> None:
    async def play() -> None:
        reader = await site.worker.desk(BOX.mailbox)
        assert reader is not None
        assert not (await reader.expected()).wanted
        waiter = turn(other)
        await until_waiting(site, 1)
        assert (await reader.expected()).wanted
        assert await reader.release(force=True)
        assert await site.worker.desk(BOX.mailbox) is None  # the one who waits comes first
        desk = await waiter
        assert desk is not None
        assert not (await desk.expected()).wanted

    site.run(play())


def test_who_waits_long_enough_in_vain_leaves_the_queue(site: Site, other: WorkerStore) -> None:
    reader = site.desk()
    assert site.run(other.turn(BOX.mailbox, 0.2)) is None
    assert not site.redis.exists(keys.turns(BOX.mailbox))
    assert not site.run(reader.expected()).wanted


def test_who_is_cancelled_leaves_the_queue(site: Site, other: WorkerStore) -> None:
    async def play() -> None:
        waiter = turn(other)
        await until_waiting(site, 1)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter

    site.desk()
    site.run(play())
    assert not site.redis.exists(keys.turns(BOX.mailbox))


def test_a_waiter_that_died_holds_up_nobody_for_long(site: Site, other: WorkerStore) -> None:
    async def play() -> float:
        reader = await site.worker.desk(BOX.mailbox)
        assert reader is not None
        # What a process leaves that is killed while it waits: it asked just now.
        soon_us = site.now_us() + 1_500_000
        site.redis.zadd(keys.turns(BOX.mailbox), {f"{1:016d}:dead.1": soon_us})
        assert await reader.release()
        began_s = time.monotonic()
        assert await other.turn(BOX.mailbox, 10) is not None
        return time.monotonic() - began_s

    assert site.run(play()) < 6  # it would be 10 else


def test_no_reader_is_sent_for_while_a_check_waits(site: Site, other: WorkerStore) -> None:
    async def play() -> None:
        waiter = turn(other)
        await until_waiting(site, 1)
        site.lose_lease()
        assert not await site.worker.should_wake(BOX.mailbox)
        await waiter

    site.desk()
    site.send(1)
    site.forget_waking()
    site.run(play())


def test_the_bell_rings_within_50_ms_when_something_becomes_pending(site: Site, other: WorkerStore) -> None:
    async def play() -> list[float]:
        desk = await site.worker.desk(BOX.mailbox)
        assert desk is not None
        await rung(desk)
        took_s = []
        for number in TRIES:
            began_s = time.monotonic()
            await other.record_send(MAIL, result(number, Phase.SEND, Level.GOOD, 1), BOX.mailbox, WAKE)
            await rung(desk)
            took_s.append(time.monotonic() - began_s)
        return took_s

    assert min(site.run(play())) < 0.05
    assert site.pending() == {f"mail@lab#{number}" for number in TRIES}


def test_the_bell_rings_within_50_ms_when_a_check_wants_the_mailbox(site: Site, other: WorkerStore) -> None:
    async def play() -> list[float]:
        desk = await site.worker.desk(BOX.mailbox)
        assert desk is not None
        await rung(desk)
        assert await other.turn("another mailbox", 1) is not None  # the connection is there
        took_s = []
        for _ in TRIES:
            began_s = time.monotonic()
            waiter = turn(other)
            await rung(desk)
            took_s.append(time.monotonic() - began_s)
            waiter.cancel()
            await asyncio.wait((waiter,))
        return took_s

    assert min(site.run(play())) < 0.05


def test_all_bells_ring_when_the_subscription_was_lost(site: Site) -> None:
    async def play(desk: Desk) -> None:
        await rung(desk)
        site.redis.client_kill_filter(_type="pubsub")
        await desk.bell.wait()

    site.run(play(site.desk()))
