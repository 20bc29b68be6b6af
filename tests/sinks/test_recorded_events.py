"""The events that recording writes are those that sinks tell."""

from __future__ import annotations

import asyncio

from postbeat.model import Level
from tests.redis.site import Site
from tests.sinks.rig import Receiver, Rig
from tests.sinks.test_delivery import hook


def test_what_is_recorded_reaches_a_receiver(rig: Rig) -> None:
    receiver = Receiver()

    async def served(*, until: int) -> None:
        async with receiver.up(), rig.serving(hook(receiver)):
            await rig.until(lambda: len(receiver.taken) >= until)

    asyncio.run(served(until=0))
    with Site.open(rig.redis_url) as site:
        site.send(1)
        site.read(1)
        site.send(2, Level.FAILED)
        site.send(3)
        site.read(3)
        written = rig.events()
    asyncio.run(served(until=len(written)))
    assert receiver.ids() == written
    levels = [(it["kind"], it["was"], it["level"]) for it in receiver.taken]
    assert {kind for kind, *_ in levels} == {"level", "verdict"}
    for kind in ("level", "verdict"):
        changes = [change for kept, *change in levels if kept == kind]
        assert changes[:3] == [["UNKNOWN", "GOOD"], ["GOOD", "FAILED"], ["FAILED", "GOOD"]], kind
    failed = next(it for it in receiver.taken if it["level"] == "FAILED" and it["kind"] == "level")
    assert failed["message"] == "452 no space"
    assert failed["fault"]["code"] == "reply"
    verdict = next(it for it in receiver.taken if it["level"] == "FAILED" and it["kind"] == "verdict")
    assert (verdict["message"], verdict["fault"]) == (failed["message"], failed["fault"])
    assert verdict["reasons"] == {
        "lab": {
            "level": "FAILED",
            "phase": "send",
            "stage": None,
            "code": "reply",
            "side": "REMOTE",
            "message": "452 no space",
        }
    }
