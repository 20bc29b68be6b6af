"""A figure that was taken while our own loop stood still says so in its attempt."""

from __future__ import annotations

import asyncio
import time

import pytest

from postbeat.lag import TICK_S, LagMeter
from postbeat.model import SecurityType
from tests.servers.scripted import Certificates
from tests.truth.conftest import Send
from tests.truth.delaying import slow_in

STANDSTILL_S = 0.2
TICK_US = TICK_S * 1e6


@pytest.mark.parametrize("security", list(SecurityType))
def test_a_figure_that_our_standstill_spoiled_is_marked(
    send: Send, certificates: Certificates, security: SecurityType
) -> None:
    """The server is at once: all that a stage takes too long is ours, and no more than the mark says."""
    with slow_in("", security, certificates.server) as port:
        made = send(port, security, stand_still=(0.0, STANDSTILL_S))
    assert max(stage.took_us for stage in made.stages) > STANDSTILL_S * 1e6 - TICK_US
    assert made.loop_lag_us >= STANDSTILL_S * 1e6 - TICK_US


def test_a_slow_service_is_no_lag_of_ours(send: Send, certificates: Certificates) -> None:
    lags_us = []
    for _ in range(3):  # a busy machine may hold us up, but not each time
        with slow_in("data", SecurityType.NONE, certificates.server) as port:
            lags_us.append(send(port, SecurityType.NONE).loop_lag_us)
    assert min(lags_us) < 3 * TICK_US


def test_what_ends_before_the_sample_that_is_due_is_marked_all_the_same() -> None:
    async def stand_still() -> int:
        meter = LagMeter()
        meter.start(asyncio.get_running_loop())
        started_ns = time.perf_counter_ns()
        time.sleep(STANDSTILL_S)  # noqa: ASYNC251  standing still is what is measured
        lag_us = meter.since_us(started_ns)
        meter.stop()
        return lag_us

    assert asyncio.run(stand_still()) >= STANDSTILL_S * 1e6 - TICK_US
