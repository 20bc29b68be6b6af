from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import uvloop

from postbeat import attempts
from postbeat.attempts import Body
from postbeat.clock import Clock
from postbeat.elements import SmtpElement
from postbeat.grade import level_of
from postbeat.lag import LagMeter
from postbeat.model import Fault, FaultCode, Level, LocalFault, RemoteFault, SecurityType, Side
from postbeat.probes.readings import Readings
from postbeat.results import Attempt

NOW_US = 1_700_000_000_000_000
TIMEOUT_S = 0.02


def run(body: Body, lag: LagMeter | None = None, **fields: Any) -> tuple[Attempt, ...]:
    """Runs a body with the clock stopped and, unless told otherwise, without a pause between the attempts."""
    element = SmtpElement(name="mail", server="h", **{"retestinterval": 0, **fields})
    clock = Clock(lambda: NOW_US)
    return uvloop.run(attempts.run(element, body, clock, lag or LagMeter()))


def failing(times: int) -> tuple[Body, list[int]]:
    """A body that fails so many times, and the numbers of the attempts it was called for."""
    called: list[int] = []

    async def body(readings: Readings, number: int) -> None:
        called.append(number)
        with readings.timeline.stage("greeting"):
            if len(called) <= times:
                raise RemoteFault(FaultCode.REPLY, "the server says 421", status=421)

    return body, called


def raising(error: Exception) -> Body:
    async def body(readings: Readings, number: int) -> None:
        with readings.timeline.stage("auth"):
            raise error

    return body


def hanging(stage: str, before: Callable[[], None] = lambda: None) -> Body:
    """A body that hangs in a stage until its deadline."""

    async def body(readings: Readings, number: int) -> None:
        with readings.timeline.stage("connect"):
            pass
        before()
        with readings.timeline.stage(stage):
            await asyncio.Event().wait()

    return body


def fault_of(made: tuple[Attempt, ...]) -> Fault:
    fault = made[-1].fault
    assert fault is not None
    return fault


def test_a_first_attempt_without_a_fault_is_the_only_one() -> None:
    body, called = failing(0)
    made = run(body, failureretests=5)
    assert called == [1]
    assert made[0].fault is None
    assert made[0].started_at_us == NOW_US


@pytest.mark.parametrize("retests", [0, 1, 3])
def test_a_service_that_stays_down_is_retested_so_many_times(retests: int) -> None:
    body, called = failing(100)
    made = run(body, failureretests=retests)
    assert called == [attempt.number for attempt in made] == list(range(1, retests + 2))
    assert [attempt.fault for attempt in made] == [fault_of(made)] * (retests + 1)


def test_the_first_attempt_without_a_fault_ends_it() -> None:
    body, called = failing(2)
    made = run(body, failureretests=5)
    assert called == [1, 2, 3]
    assert [attempt.fault is None for attempt in made] == [False, False, True]


def test_an_attempt_that_fails_by_its_service_level_is_retested_and_one_that_does_not_is_not() -> None:
    async def judged(body: Body, failing: list[bool]) -> tuple[int, list[int]]:
        asked: list[int] = []

        def fails(made: tuple[Attempt, ...]) -> bool:
            asked.append(len(made))
            return failing[len(made) - 1]

        element = SmtpElement(name="mail", server="h", failureretests=3, retestinterval=0)
        return len(await attempts.run(element, body, Clock(lambda: NOW_US), LagMeter(), fails)), asked

    assert asyncio.run(judged(failing(0)[0], [True, True, False])) == (3, [1, 2, 3])
    assert asyncio.run(judged(failing(9)[0], [False])) == (1, [1])
    assert asyncio.run(judged(failing(0)[0], [True] * 4)) == (4, [1, 2, 3, 4])


def test_retests_are_their_interval_apart() -> None:
    starts_s: list[float] = []

    async def body(readings: Readings, number: int) -> None:
        starts_s.append(time.perf_counter())
        raise RemoteFault(FaultCode.REFUSED, "refused")

    run(body, failureretests=2, retestinterval=0.03)
    assert len(starts_s) == 3
    assert all(later - earlier >= 0.03 for earlier, later in pairwise(starts_s))


def test_a_fault_stands_in_its_attempt_with_its_stage_and_status() -> None:
    body, _ = failing(1)
    (attempt,) = run(body)
    assert attempt.fault == Fault(Side.REMOTE, FaultCode.REPLY, "the server says 421", "greeting")
    assert attempt.status == 421
    assert [(stage.name, stage.ended) for stage in attempt.stages] == [("greeting", False)]


def test_a_fault_of_ours_stays_ours() -> None:
    fault = fault_of(run(raising(LocalFault(FaultCode.SECRET, "the environment variable X is not set"))))
    assert fault == Fault(Side.LOCAL, FaultCode.SECRET, "the environment variable X is not set", "auth")


def test_a_defect_of_ours_is_logged_and_blames_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    fault = fault_of(run(raising(KeyError("hunter2"))))
    assert fault == Fault(Side.LOCAL, FaultCode.INTERNAL, "a defect of ours: KeyError", "auth")
    assert level_of(fault) is Level.UNKNOWN
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_deadline_names_the_stage_that_hung() -> None:
    (attempt,) = made = run(hanging("greeting"), timeout=TIMEOUT_S)
    text = "no answer within 0.02 s in stage greeting"
    assert fault_of(made) == Fault(Side.REMOTE, FaultCode.TIMEOUT, text, "greeting")
    assert [(stage.name, stage.ended) for stage in attempt.stages] == [("connect", True), ("greeting", False)]
    assert attempt.stages[-1].took_us > 0


@pytest.mark.parametrize("timeout_s", [0.02, 0.0204, 0.0214])
def test_nobody_is_given_up_before_the_timeout(timeout_s: float) -> None:
    """uvloop, on which workers run, counts in whole milliseconds: a timer of its may end a little early."""
    made = run(hanging("greeting"), timeout=timeout_s, failureretests=30)
    assert min(attempt.total_us for attempt in made) >= timeout_s * 1e6


@pytest.mark.parametrize(
    ("port", "security", "hint"),
    [
        (465, SecurityType.NONE, "; port 465 usually wants securitytype SSL"),
        (465, SecurityType.SSL, ""),
        (587, SecurityType.STARTTLS, ""),
    ],
)
def test_a_port_that_waits_for_tls_is_a_likely_reason_for_silence(
    port: int, security: SecurityType, hint: str
) -> None:
    fault = fault_of(run(hanging("greeting"), port=port, securitytype=security, timeout=TIMEOUT_S))
    assert fault.message == f"no answer within 0.02 s in stage greeting{hint}"


def test_a_deadline_covers_all_stages_together() -> None:
    async def body(readings: Readings, number: int) -> None:
        for _ in range(1000):
            with readings.timeline.stage("search"):
                await asyncio.sleep(TIMEOUT_S / 10)

    made = run(body, timeout=TIMEOUT_S)
    assert fault_of(made).code is FaultCode.TIMEOUT
    assert len(made[0].stages) < 20


def test_every_attempt_has_a_deadline_of_its_own() -> None:
    made = run(hanging("greeting"), timeout=TIMEOUT_S, failureretests=2)
    assert [attempt.fault for attempt in made] == [fault_of(made)] * 3


def test_a_deadline_that_passed_while_we_stood_still_is_our_own_fault() -> None:
    lag = LagMeter()
    body = hanging("greeting", before=lambda: lag.note(time.perf_counter_ns(), 3_000_000))
    (attempt,) = made = run(body, lag, timeout=TIMEOUT_S)
    text = "this worker stood still for 3.0 s; the timeout in stage greeting means nothing"
    assert fault_of(made) == Fault(Side.LOCAL, FaultCode.OVERLOADED, text, "greeting")
    assert level_of(fault_of(made)) is Level.UNKNOWN
    assert attempt.loop_lag_us == 3_000_000


def test_a_little_lag_does_not_excuse_the_service() -> None:
    lag = LagMeter()
    body = hanging("greeting", before=lambda: lag.note(time.perf_counter_ns(), int(TIMEOUT_S * 1e5)))
    fault = fault_of(run(body, lag, timeout=TIMEOUT_S))
    assert (fault.side, fault.code) == (Side.REMOTE, FaultCode.TIMEOUT)


def test_lag_from_before_the_attempt_does_not_count() -> None:
    lag = LagMeter()
    lag.note(time.perf_counter_ns(), 3_000_000)
    assert fault_of(run(hanging("greeting"), lag, timeout=TIMEOUT_S)).side is Side.REMOTE


def test_a_loop_that_really_stands_still_is_noticed_in_time() -> None:
    """The meter's tick comes before the deadline that passed with it, so that the lag is known by then."""
    lag = LagMeter()

    async def body(readings: Readings, number: int) -> None:
        lag.start(asyncio.get_running_loop())
        with readings.timeline.stage("greeting"):
            time.sleep(0.1)  # noqa: ASYNC251  standing still is what is tested
            await asyncio.Event().wait()

    made = run(body, lag, timeout=0.05)
    lag.stop()
    assert fault_of(made).code is FaultCode.OVERLOADED


@pytest.mark.parametrize("error", [TimeoutError(), RemoteFault(FaultCode.DISCONNECTED, "closed")])
def test_what_goes_wrong_after_the_test_is_over_is_no_fault(error: Exception) -> None:
    async def body(readings: Readings, number: int) -> None:
        with readings.timeline.stage("quit"):
            raise error

    (attempt,) = run(body, failureretests=3)
    assert attempt.fault is None
    assert [stage.name for stage in attempt.stages] == ["quit"]


def test_a_cancelled_poll_ends_at_once() -> None:
    async def cancel() -> bool:
        element = SmtpElement(name="mail", server="h", failureretests=3)
        task = asyncio.ensure_future(attempts.run(element, hanging("greeting"), Clock(), LagMeter()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(cancel())
