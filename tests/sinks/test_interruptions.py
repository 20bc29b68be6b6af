"""However receivers fail and processes end, each event comes once; at most its own repeat follows it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from itertools import groupby

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postbeat.model import Secret
from postbeat.sinks.channel import Channel, NotDeliveredError
from postbeat.sinks.config import WebhookSink
from postbeat.sinks.notice import Notice
from postbeat.sinks.runner import Runner
from postbeat.sinks.surroundings import StoredSurroundings
from postbeat.store.outbox import Outbox, connect
from tests.sinks.rig import Rig

TAKEN, REFUSED, DIES_BEFORE, DIES_AFTER = "taken", "refused", "dies before", "dies after"
SINK = WebhookSink(name="hook", url=Secret("literal", "http://127.0.0.1/"))


class Planned(Channel):
    """A receiver to which things happen as planned, one at each delivery; after that it takes everything."""

    def __init__(self, plan: Sequence[str]) -> None:
        self.received: list[str] = []
        self._plan = list(plan)

    async def deliver(self, notice: Notice) -> None:
        happens = self._plan.pop(0) if self._plan else TAKEN
        if happens in (TAKEN, DIES_AFTER):
            self.received.append(notice.id)
        if happens == REFUSED:
            raise NotDeliveredError("not now")
        if happens != TAKEN:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(1)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from((TAKEN, REFUSED, DIES_BEFORE, DIES_AFTER)), max_size=10),
    st.integers(1, 8),
)
def test_nothing_is_lost_and_nothing_comes_twice_but_the_last(rig: Rig, plan: list[str], count: int) -> None:
    channel = Planned(plan)

    async def run() -> list[str]:
        redis = connect(rig.redis_url)
        surroundings = StoredSurroundings(redis, rig.redis_url, lambda: 0, rig.clock)
        sent: list[str] = []
        while not sent or rig.cursor("hook") != sent[-1]:
            runner = Runner(SINK, Outbox(redis, "hook"), channel, surroundings, rig.clock.world())
            task = asyncio.create_task(runner.run())
            await rig.until(lambda: rig.cursor("hook"))
            if not sent:
                sent = [rig.flip() for _ in range(count)]
            await rig.until(lambda: task.done() or rig.cursor("hook") == sent[-1])  # noqa: B023
            runner.stop()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        surroundings.close()
        await redis.aclose()
        return sent

    rig.redis.flushall()
    sent = asyncio.run(run())
    assert [event for event, _ in groupby(channel.received)] == sent
    assert len(channel.received) - len(sent) <= plan.count(DIES_AFTER)
