"""Silence in maintenance and what follows its end; what leaves the profile; filters by group."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from postbeat.elements import SmtpElement
from postbeat.publicfacts import public_facts
from postbeat.sinks import runner, surroundings
from postbeat.store import keys
from postbeat.store.maintenance import MaintenanceStore
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


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LOOK_S", 0.0)
    monkeypatch.setattr(surroundings, "FACTS_S", 0.0)


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
