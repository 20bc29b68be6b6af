"""Silence in maintenance and what follows its end; what leaves the profile; filters by group."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from postbeat.elements import AnyElement, SmtpElement
from postbeat.model import Level, Pair, Phase
from postbeat.profile import Profile
from postbeat.publicfacts import public_facts
from postbeat.sinks import service, surroundings
from postbeat.sinks.notice import Notice, samples
from postbeat.sinks.surroundings import StoredSurroundings
from postbeat.store import keys
from postbeat.store.beat import BeatStore
from postbeat.store.fold import HOUR_US
from postbeat.store.maintenance import Calendar, MaintenanceStore
from postbeat.store.summary import ElementFacts
from postbeat.store.view import ViewStore
from postbeat.store.worker import WorkerStore
from postbeat.windows import Window
from tests.redis.site import BOX, answered_bytes, result
from tests.sinks.rig import Receiver, Rig
from tests.sinks.test_delivery import hook


def publish(rig: Rig, *elements: AnyElement) -> None:
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
            window = store.add("*", from_us=now_us - 1, to_us=now_us + HOUR_US, why="new disks")
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


STAGES = {"a": "login", "b": "connect"}  # where the checks of a region go wrong


async def record(rig: Rig, store: WorkerStore, slot: int, region: str, level: Level) -> None:
    """A check of the element ``box``; where it is not GOOD, its message is the region's stage."""
    box = replace(BOX, regions=tuple("abcde"))
    found = result(slot, Phase.CHECK, level, rig.clock.now_us(), Pair("box", region))
    if level is not Level.GOOD:
        found = replace(found, message=STAGES[region])
    if found.fault is not None:
        found = replace(found, fault=replace(found.fault, stage=STAGES[region], message=STAGES[region]))
    await store.record_check(box, found)


def reasons(document: Mapping[str, Any]) -> dict[str, tuple[str, str | None, str]]:
    """Level, stage and message of the reasons of a document."""
    return {region: (it["level"], it["stage"], it["message"]) for region, it in document["reasons"].items()}


@pytest.mark.parametrize(
    ("level", "stage"), [(Level.FAILED, "connect"), (Level.MARGINAL, None)], ids=["failed", "marginal"]
)
def test_a_region_that_is_not_good_outside_of_maintenance_brings_a_silenced_verdict_out_with_its_reason(
    rig: Rig, level: Level, stage: str | None
) -> None:
    async def run(maintenance: MaintenanceStore) -> None:
        workers, now_us = WorkerStore(rig.redis_url), maintenance.now_us()
        maintenance.add("box", "a", from_us=now_us - 1, to_us=now_us + HOUR_US, why="a new rack")
        async with (
            Receiver().up() as receiver,
            rig.serving(hook(receiver, kinds="verdict", levels="DEGRADED")),
        ):
            for region in "abcde":
                await record(rig, workers, 1, region, Level.GOOD)
            await record(rig, workers, 2, "a", Level.FAILED)
            await rig.settled("hook")
            assert not receiver.taken
            await record(rig, workers, 2, "b", level)
            await rig.until(lambda: receiver.taken)
            (document,) = receiver.taken
            assert (document["state"], document["level"]) == ("problem", "DEGRADED")
            assert document["regions"] == {"a": "FAILED", "b": level} | dict.fromkeys("cde", "GOOD")
            assert reasons(document) == {"a": ("FAILED", "login", "login"), "b": (level, stage, "connect")}
            assert document["message"] == "connect"
            assert (document["fault"] or {"stage": None})["stage"] == stage
            for region in "ab":
                await record(rig, workers, 3, region, Level.GOOD)
            await rig.until(lambda: len(receiver.taken) == 2)
            assert told(receiver)[1][1:] == ("recovery", "GOOD")
        await workers.close()

    with closing(MaintenanceStore(rig.redis_url)) as maintenance:
        asyncio.run(run(maintenance))


def test_what_has_recovered_in_maintenance_is_not_told_of_a_verdict_that_stands(rig: Rig) -> None:
    async def run(maintenance: MaintenanceStore) -> None:
        workers, now_us = WorkerStore(rig.redis_url), maintenance.now_us()
        maintenance.add("box", "a", from_us=now_us - 1, to_us=now_us + HOUR_US, why="a new rack")
        async with Receiver().up() as receiver:
            async with rig.serving(hook(receiver, kinds="verdict", levels="DEGRADED")):
                for region in "abcde":
                    await record(rig, workers, 1, region, Level.GOOD)
                await record(rig, workers, 2, "a", Level.FAILED)
                await rig.settled("hook")
            await record(rig, workers, 2, "b", Level.FAILED)
            await record(rig, workers, 3, "a", Level.GOOD)
            async with rig.serving(hook(receiver, kinds="verdict", levels="DEGRADED")):
                await rig.until(lambda: receiver.taken)
            (document,) = receiver.taken
            assert document["regions"] == {"b": "FAILED"} | dict.fromkeys("acde", "GOOD")
            assert (document["message"], document["fault"]["stage"]) == ("connect", "connect")
            assert reasons(document) == {"b": ("FAILED", "connect", "connect")}
        await workers.close()

    with closing(MaintenanceStore(rig.redis_url)) as maintenance:
        asyncio.run(run(maintenance))


def test_maintenance_is_by_the_one_clock_and_not_by_that_of_the_host(rig: Rig) -> None:
    rig.clock.host_us = HOUR_US

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
    rig.clock.ahead_us = HOUR_US

    async def run() -> None:
        async with Receiver().up() as receiver, rig.serving(hook(receiver)):
            rig.flip()
            await rig.settled("hook")
            rig.clock.ahead_us = 0
            publish(rig, element("other"))
            await rig.until(lambda: len(receiver.taken) == 2)
            assert receiver.taken[1]["message"] == "It is monitored no more"

    asyncio.run(run())


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether what a notice is of had left the profile, one for each time that it was looked for."""
    found: list[bool] = []
    has_left = StoredSurroundings.has_left

    async def noted(self: StoredSurroundings, notice: Notice) -> bool:
        found.append(await has_left(self, notice))
        return found[-1]

    monkeypatch.setattr(StoredSurroundings, "has_left", noted)
    return found


def test_a_profile_that_redis_lost_ends_nothing_and_its_maintenance_goes_on(
    rig: Rig, looks: list[bool]
) -> None:
    publish(rig, element(), element("other", maintenance=("daily 00:00-24:00",)))

    async def run() -> None:
        async with Receiver().up() as receiver, rig.serving(hook(receiver)):
            failed = rig.flip()
            await rig.until(lambda: receiver.taken)
            rig.redis.delete(keys.PROFILE)
            rig.level("GOOD", "FAILED", element="other")
            await rig.settled("hook")
            looks.clear()
            await rig.until(lambda: len(looks) > 1)
            good = rig.flip()
            await rig.until(lambda: len(receiver.taken) > 1)
            assert not any(looks)
            assert told(receiver) == [(failed, "problem", "FAILED"), (good, "recovery", "GOOD")]

    asyncio.run(run())


def test_a_silenced_problem_whose_end_was_lost_is_not_told(rig: Rig) -> None:
    publish(rig, element(), element("other"))

    async def run(store: MaintenanceStore) -> None:
        now_us = store.now_us()
        window = store.add("*", from_us=now_us - 1, to_us=now_us + HOUR_US, why="new disks")
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


@pytest.fixture
def rarely(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Sinks that read the profile and maintenance as they begin, and again only where they must."""
    monkeypatch.setattr(service, "LOOK_S", 3600.0)
    monkeypatch.setattr(surroundings, "FACTS_S", 3600.0)
    return rig


AROUND_THE_CLOCK = ("daily 00:00-24:00",)


def in_the_profile(rig: Rig) -> None:
    publish(rig, element("other"), element("mail", maintenance=AROUND_THE_CLOCK))


def announced_by_hand(rig: Rig) -> None:
    with closing(MaintenanceStore(rig.redis_url)) as store:
        now_us = store.now_us()
        store.add("mail", from_us=now_us - HOUR_US, to_us=now_us + HOUR_US, why="new disks")


@pytest.mark.parametrize(
    ("known", "begins"),
    [
        pytest.param(["other"], in_the_profile, id="with its element"),
        pytest.param(["other", "mail"], in_the_profile, id="in the profile"),
        pytest.param(["other", "mail"], announced_by_hand, id="by hand"),
    ],
)
def test_maintenance_that_begins_a_moment_before_a_problem_silences_it(
    rarely: Rig, known: list[str], begins: Callable[[Rig], None]
) -> None:
    publish(rarely, *map(element, known))

    async def run() -> None:
        async with Receiver().up() as receiver, rarely.serving(hook(receiver)):
            begins(rarely)
            rarely.level("GOOD", "FAILED")
            rarely.verdict("GOOD", "FAILED")
            rarely.level("GOOD", "GOOD", outcome="duplicated")
            other = rarely.level("GOOD", "FAILED", element="other")
            await rarely.until(lambda: receiver.taken)
            assert receiver.ids() == [other]

    asyncio.run(run())


def test_a_problem_stays_silent_where_other_maintenance_follows_that_which_silenced_it(
    rarely: Rig, looks: list[bool]
) -> None:
    publish(rarely, element())

    async def run(store: MaintenanceStore) -> None:
        now_us = store.now_us()
        store.add("mail", from_us=now_us - 1, to_us=now_us + HOUR_US, why="new disks")
        async with Receiver().up() as receiver, rarely.serving(hook(receiver)):
            failed = rarely.flip()
            await rarely.settled("hook")
            following = store.add(
                "mail", from_us=now_us + HOUR_US, to_us=now_us + 10 * HOUR_US, why="and a new rack"
            )
            rarely.clock.ahead_us = 2 * HOUR_US
            looks.clear()
            await rarely.until(lambda: len(looks) > 2)
            assert not receiver.taken
            store.end(following.id, now_us + HOUR_US)
            rarely.clock.ahead_us = 11 * HOUR_US
            await rarely.until(lambda: receiver.taken)
            assert told(receiver) == [(failed, "problem", "FAILED")]

    with closing(MaintenanceStore(rarely.redis_url)) as store:
        asyncio.run(run(store))


def test_a_problem_waits_until_redis_can_say_whether_it_is_in_maintenance(
    rarely: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    publish(rarely, element())

    async def run() -> None:
        async with Receiver().up() as receiver, rarely.serving(hook(receiver)):
            rarely.redis.set(keys.MAINTENANCE, "Redis refuses to read this as windows")
            failed = rarely.flip()
            await rarely.until(lambda: "Sink hook: Redis refuses" in caplog.text)
            assert not receiver.taken
            rarely.redis.delete(keys.MAINTENANCE)
            good = rarely.flip()
            await rarely.settled("hook")
            assert told(receiver) == [(failed, "problem", "FAILED"), (good, "recovery", "GOOD")]

    asyncio.run(run())


def test_a_profile_that_was_read_before_does_not_replace_what_was_read_after_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(rig, element())
    is_read, go_on = threading.Event(), threading.Event()
    profile = ViewStore.profile

    def slow(self: ViewStore) -> Mapping[str, ElementFacts]:
        found = profile(self)
        is_read.set()
        assert go_on.wait(20)
        return found

    monkeypatch.setattr(ViewStore, "profile", slow)

    async def run() -> None:
        async with rig.surroundings() as known:
            refreshing = asyncio.create_task(known.refresh())
            await rig.until(is_read.is_set)
            in_the_profile(rig)
            renewing = asyncio.create_task(known.renew(["mail"]))
            # It ends at once where it does not wait for the other.
            await asyncio.wait({renewing}, timeout=0.3)
            go_on.set()
            await asyncio.gather(refreshing, renewing)
            assert known.calendar.covers(Pair("mail", "lab"), rig.clock.now_us())

    asyncio.run(run())


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Calendar]:
    """What was read of maintenance, one for each time."""
    found: list[Calendar] = []
    calendar = MaintenanceStore.calendar

    def noted(self: MaintenanceStore, profile: Mapping[str, Sequence[Window]] | None = None) -> Calendar:
        found.append(calendar(self, profile))
        return found[-1]

    monkeypatch.setattr(MaintenanceStore, "calendar", noted)
    return found


def test_sinks_that_ask_at_one_moment_share_what_is_read_and_each_gets_its_elements(
    rig: Rig, reads: list[Calendar]
) -> None:
    names = [f"mail{number}" for number in range(20)]

    async def run() -> None:
        async with rig.surroundings() as known:
            publish(rig, *(element(name, group=name, maintenance=AROUND_THE_CLOCK) for name in names))
            await asyncio.gather(*(known.renew([name]) for name in names))
            assert len(reads) == 1
            assert [known.facts(name).group for name in names] == names
            for name in names:
                assert known.calendar.covers(Pair(name, "lab"), rig.clock.now_us())
            publish(rig, element("mail0"))
            await known.renew(["mail0"])
            assert not known.calendar.covers(Pair("mail0", "lab"), rig.clock.now_us())

    asyncio.run(run())


async def read_whole(known: StoredSurroundings) -> None:
    await known.refresh()


async def looked_for(known: StoredSurroundings) -> None:
    elsewhere = replace(next(samples()), region="eu")  # where it is not: so Redis is asked
    assert await known.has_left(elsewhere)
    await known.renew([])


@pytest.mark.parametrize("found_out", [read_whole, looked_for])
def test_windows_go_with_an_element_that_leaves_the_profile(
    rig: Rig, found_out: Callable[[StoredSurroundings], Awaitable[None]]
) -> None:
    async def run() -> None:
        async with rig.surroundings() as known:
            in_the_profile(rig)
            await known.refresh()
            assert known.calendar.covers(Pair("mail", "lab"), rig.clock.now_us())
            publish(rig, element("other"))
            await found_out(known)
            assert not known.calendar.covers(Pair("mail", "lab"), rig.clock.now_us())

    asyncio.run(run())


def test_a_read_that_has_begun_does_not_answer_for_what_was_announced_since(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_read, go_on = threading.Event(), threading.Event()
    calendar = MaintenanceStore.calendar

    def slow(self: MaintenanceStore, profile: Mapping[str, Sequence[Window]] | None = None) -> Calendar:
        found = calendar(self, profile)
        is_read.set()
        assert go_on.wait(20)
        return found

    monkeypatch.setattr(MaintenanceStore, "calendar", slow)

    async def run() -> None:
        async with rig.surroundings() as known:
            first = asyncio.create_task(known.renew(["mail"]))
            await rig.until(is_read.is_set)
            announced_by_hand(rig)
            second = asyncio.create_task(known.renew(["mail"]))
            await asyncio.sleep(0)  # it has asked
            go_on.set()
            await first
            assert not known.calendar.covers(Pair("mail", "lab"), rig.clock.now_us())
            await second
            assert known.calendar.covers(Pair("mail", "lab"), rig.clock.now_us())

    asyncio.run(run())


@pytest.mark.parametrize(
    "left_out",
    [{"elements": "mail*"}, {"kinds": "verdict"}, {"regions": "eu-*"}],
    ids=lambda it: next(iter(it)),
)
def test_nothing_is_read_of_maintenance_for_events_that_no_sink_wants(
    rarely: Rig, reads: list[Calendar], left_out: dict[str, str]
) -> None:
    publish(rarely, element(), element("other"))

    async def run() -> None:
        async with Receiver().up() as receiver, rarely.serving(hook(receiver, **left_out)):
            before = len(reads)
            rarely.level("GOOD", "FAILED", element="other")
            await rarely.settled("hook")
            assert len(reads) == before
            wanted = rarely.verdict("GOOD", "FAILED", regions={"eu-west": "FAILED"})
            await rarely.settled("hook")
            assert len(reads) == before + 1
            assert receiver.ids() == [wanted]

    asyncio.run(run())


def test_an_event_costs_the_windows_of_its_element_and_those_that_it_had_before(rig: Rig) -> None:
    crowd = {one.name: one for one in (element(f"mail-{number}") for number in range(2000))}
    always = (Window.parse(AROUND_THE_CLOCK[0]),)
    maintained = {name: replace(one, maintenance=always) for name, one in crowd.items()}
    early, late = Pair("mail-1", "lab"), Pair("mail-2", "lab")

    async def run(beat: BeatStore) -> None:
        async with rig.surroundings() as known:
            beat.publish_profile(Profile(maintained))
            await known.refresh()
            before_us = beat.now_us() - 1
            del crowd[early.element]  # it leaves the profile; the others lose their windows
            beat.publish_profile(Profile(crowd))
            begin = answered_bytes(rig.redis)
            for pair in (early, late):
                await known.renew([pair.element])
            assert answered_bytes(rig.redis) - begin < 20_000  # its statistics are some thousands of them
            assert not known.calendar.covers(late, beat.now_us())
            await known.refresh()
            assert all(known.calendar.covers(pair, before_us) for pair in (early, late))
            assert not known.calendar.covers(late, beat.now_us())

    with closing(BeatStore(rig.redis_url)) as beat:
        asyncio.run(run(beat))
