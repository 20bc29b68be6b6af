"""Silence in maintenance and what follows its end; what leaves the profile; filters by group."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from postbeat.elements import SmtpElement
from postbeat.model import Level, Pair, Phase
from postbeat.publicfacts import public_facts
from postbeat.sinks.notice import Notice
from postbeat.sinks.surroundings import StoredSurroundings
from postbeat.store import keys
from postbeat.store.maintenance import MaintenanceStore
from postbeat.store.worker import WorkerStore
from tests.redis.site import BOX, result
from tests.sinks.rig import Receiver, Rig
from tests.sinks.test_delivery import hook


def publish(rig: Rig, *elements: SmtpElement) -> None:
    """What beat does when a profile comes into force."""
    rig.redis.delete(keys.PROFILE)
    for element in elements:
        rig.redis.hset(keys.PROFILE, element.name, json.dumps(public_facts(element)))


def element(name: str = "mail", **more: Any) -> SmtpElement:
    return SmtpElement(name=name, server="mx.example.test", regions=("lab",), poll=60, **more)


def told(receiver: Receiver) -> list[tuple[str, str, str]]:
    return [(it["id"], it["state"], it["level"]) for it in receiver.taken]


def test_maintenance_silences_problems_and_what_is_still_wrong_after_it_is_told(rig: Rig) -> None:
    async def run() -> None:
        store = MaintenanceStore(rig.redis_url)
        async with Receiver().up() as receiver:
            async with rig.serving(hook(receiver)):
                before = rig.level("GOOD", "FAILED", element="before")
                await rig.settled("hook")
            now_us = rig.clock.now_us()
            window = store.add("*", from_us=now_us - 1, to_us=now_us + 3_600_000_000, why="new disks")
            async with rig.serving(hook(receiver)):
                rig.level("GOOD", "FAILED", element="silent")
                rig.level("FAILED", "GOOD", element="silent")
                still = rig.level("GOOD", "FAILED", element="still")
                over = rig.level("FAILED", "GOOD", element="before")
                await rig.settled("hook")
                assert told(receiver) == [(before, "problem", "FAILED"), (over, "recovery", "GOOD")]
                store.end(window.id, rig.clock.now_us())
                await rig.until(lambda: len(receiver.taken) == 3)
            assert told(receiver)[2:] == [(still, "problem", "FAILED")]
            assert receiver.taken[1]["ends"] == before
        store.close()

    asyncio.run(run())


def test_a_problem_of_what_leaves_the_profile_is_ended(rig: Rig) -> None:
    async def run() -> None:
        publish(rig, element(), element("other"))
        async with Receiver().up() as receiver, rig.serving(hook(receiver)):
            failed = rig.verdict("GOOD", "FAILED")
            await rig.settled("hook")
            publish(rig, element("other"))
            await rig.until(lambda: len(receiver.taken) == 2)
            assert told(receiver)[1] == (f"{failed}-ended", "recovery", "UNKNOWN")
            await rig.until(lambda: rig.redis.hlen(keys.sink_open("hook")) == 0)

    asyncio.run(run())


def test_a_group_is_known_as_soon_as_its_element_is(rig: Rig) -> None:
    async def run() -> None:
        publish(rig, element("other"))
        async with Receiver().up() as receiver, rig.serving(hook(receiver, groups=["office"])):
            rig.level("GOOD", "FAILED", element="other")
            await rig.settled("hook")
            publish(rig, element("other"), element("mail", group="office"))
            mail = rig.level("GOOD", "FAILED")
            await rig.settled("hook")
            assert told(receiver) == [(mail, "problem", "FAILED")]

    asyncio.run(run())


def test_a_region_that_fails_outside_of_maintenance_brings_a_silenced_verdict_out(rig: Rig) -> None:
    box = replace(BOX, regions=tuple("abcde"))

    async def record(store: WorkerStore, slot: int, region: str, level: Level) -> None:
        pair = Pair("box", region)
        await store.record_check(box, result(slot, Phase.CHECK, level, rig.clock.now_us(), pair))

    async def run(maintenance: MaintenanceStore) -> None:
        workers, now_us = WorkerStore(rig.redis_url), maintenance.now_us()
        maintenance.add("box", "a", from_us=now_us - 1, to_us=now_us + 3_600_000_000, why="a new rack")
        async with (
            Receiver().up() as receiver,
            rig.serving(hook(receiver, kinds="verdict", levels="DEGRADED")),
        ):
            for region in box.regions:
                await record(workers, 1, region, Level.GOOD)
            await record(workers, 2, "a", Level.FAILED)
            await rig.settled("hook")
            assert not receiver.taken
            await record(workers, 2, "b", Level.FAILED)
            await rig.until(lambda: receiver.taken)
            (document,) = receiver.taken
            assert (document["state"], document["level"]) == ("problem", "DEGRADED")
            assert [region for region, level in document["regions"].items() if level == "FAILED"] == [
                "a",
                "b",
            ]
            for region in "ab":
                await record(workers, 3, region, Level.GOOD)
            await rig.until(lambda: len(receiver.taken) == 2)
            assert told(receiver)[1][1:] == ("recovery", "GOOD")
        await workers.close()

    with closing(MaintenanceStore(rig.redis_url)) as maintenance:
        asyncio.run(run(maintenance))


def test_maintenance_is_by_the_one_clock_and_not_by_that_of_the_host(rig: Rig) -> None:
    rig.clock.host_us = 3_600_000_000

    async def run(store: MaintenanceStore) -> None:
        now_us = store.now_us()
        window = store.add("*", from_us=now_us - 1, to_us=now_us + 1_800_000_000, why="new disks")
        async with Receiver().up() as receiver, rig.serving(hook(receiver)):
            assert abs(rig.clock.now_us() - store.now_us()) < 20_000_000
            failed = rig.flip()
            await rig.settled("hook")
            assert not receiver.taken
            store.end(window.id, store.now_us())
            await rig.until(lambda: receiver.taken)
            assert told(receiver) == [(failed, "problem", "FAILED")]

    with closing(MaintenanceStore(rig.redis_url)) as store:
        asyncio.run(run(store))


def test_a_clock_that_is_set_back_does_not_keep_a_sink_from_looking(rig: Rig) -> None:
    publish(rig, element(), element("other"))
    rig.clock.ahead_us = 3_600_000_000

    async def run() -> None:
        async with Receiver().up() as receiver, rig.serving(hook(receiver)):
            rig.flip()
            await rig.settled("hook")
            rig.clock.ahead_us = 0
            publish(rig, element("other"))
            await rig.until(lambda: len(receiver.taken) == 2)
            assert receiver.taken[1]["message"] == "It is monitored no more"

    asyncio.run(run())


def test_a_profile_that_redis_lost_ends_nothing_and_its_maintenance_goes_on(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    has_left = StoredSurroundings.has_left

    async def told_too(self: StoredSurroundings, notice: Notice) -> bool:
        asked.append(await has_left(self, notice))
        return asked[-1]

    monkeypatch.setattr(StoredSurroundings, "has_left", told_too)
    publish(rig, element(), element("other", maintenance=("daily 00:00-24:00",)))

    async def run() -> None:
        async with Receiver().up() as receiver, rig.serving(hook(receiver)):
            failed = rig.flip()
            await rig.until(lambda: receiver.taken)
            rig.redis.delete(keys.PROFILE)
            rig.level("GOOD", "FAILED", element="other")
            await rig.settled("hook")
            asked.clear()
            await rig.until(lambda: len(asked) > 1)
            good = rig.flip()
            await rig.until(lambda: len(receiver.taken) > 1)
            assert not any(asked)
            assert told(receiver) == [(failed, "problem", "FAILED"), (good, "recovery", "GOOD")]

    asyncio.run(run())


def test_a_silenced_problem_whose_end_was_lost_is_not_told(rig: Rig) -> None:
    publish(rig, element(), element("other"))

    async def run(store: MaintenanceStore) -> None:
        now_us = store.now_us()
        window = store.add("*", from_us=now_us - 1, to_us=now_us + 3_600_000_000, why="new disks")
        async with Receiver().up() as receiver:
            async with rig.serving(hook(receiver)):
                rig.flip()
                await rig.settled("hook")
            rig.flip()
            store.end(window.id, store.now_us())
            rig.redis.hset(keys.pair("mail@lab"), "level", "GOOD")
            later = rig.level("GOOD", "MARGINAL", element="other")
            rig.redis.xtrim(keys.EVENTS, maxlen=1, approximate=False)
            async with rig.serving(hook(receiver)):
                await rig.until(lambda: rig.redis.hkeys(keys.sink_open("hook")) == ["level:other@lab"])
            assert told(receiver) == [(later, "problem", "MARGINAL")]

    with closing(MaintenanceStore(rig.redis_url)) as store:
        asyncio.run(run(store))
