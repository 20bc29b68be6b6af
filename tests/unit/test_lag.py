from __future__ import annotations

import asyncio
import time

from hypothesis import given
from hypothesis import strategies as st

from postbeat.lag import KEPT_S, TICK_S, LagMeter

SECOND_NS = 1_000_000_000


def test_without_samples_there_is_no_lag() -> None:
    assert LagMeter().since_us(0) == 0


@given(st.lists(st.integers(0, 1000), max_size=60), st.integers(0, 60))
def test_the_largest_lag_since_any_moment_is_found(lags_us: list[int], since_s: int) -> None:
    meter = LagMeter()
    for at_s, lag_us in enumerate(lags_us):
        meter.note(at_s * SECOND_NS, lag_us)
    assert meter.since_us(since_s * SECOND_NS) == max(lags_us[since_s:], default=0)


def test_what_is_older_than_any_attempt_is_forgotten() -> None:
    meter = LagMeter()
    meter.note(0, 900)
    meter.note(int(KEPT_S * SECOND_NS), 5)
    assert meter.since_us(0) == 900
    meter.note(int(KEPT_S * SECOND_NS) + 1, 5)
    assert meter.since_us(0) == 5


def test_a_loop_that_stands_still_is_measured() -> None:
    async def stand_still() -> int:
        meter = LagMeter()
        meter.start(asyncio.get_running_loop())
        started_ns = time.perf_counter_ns()
        time.sleep(3 * TICK_S)  # noqa: ASYNC251  standing still is what is measured
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        meter.stop()
        return meter.since_us(started_ns)

    assert asyncio.run(stand_still()) >= 2 * TICK_S * 1e6 * 0.95


def test_a_meter_that_is_stopped_leaves_nothing_behind() -> None:
    async def start_and_stop() -> bool:
        loop = asyncio.get_running_loop()
        meter = LagMeter()
        meter.start(loop)
        meter.stop()
        await asyncio.sleep(2 * TICK_S)
        return meter.since_us(0) == 0

    assert asyncio.run(start_and_stop())
