"""The attempts of a poll: one deadline for each, retests in between, every fault on its side."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from postbeat.clock import Clock
from postbeat.elements import Element
from postbeat.lag import UNTRUSTED_SHARE, LagMeter
from postbeat.model import CONFLICTS, Fault, FaultCode, FaultError, SecurityType, Side
from postbeat.probes.readings import Readings
from postbeat.results import Attempt

log = logging.getLogger(__name__)

TLS_PORTS = (465, 993, 995)  # where a server waits for TLS to begin (RFC 8314 section 7)
LOOKUPS = ("lookup", "mx", "mta-sts", "dane")  # the stages in which we wait for our own name servers
TICK_S = 0.002  # uvloop's timers count in whole milliseconds: they may end 1.5 ms before their time

Body = Callable[[Readings, int], Awaitable[None]]
Fails = Callable[[tuple[Attempt, ...]], bool]


def has_fault(made: tuple[Attempt, ...]) -> bool:
    """Whether the last attempt has a fault: how a test fails where no service level says otherwise."""
    return made[-1].fault is not None


async def run(
    element: Element, body: Body, clock: Clock, lag: LagMeter, fails: Fails = has_fault
) -> tuple[Attempt, ...]:
    """Runs ``body(readings, number)`` until one attempt does not fail, at most 1 + failureretests times.

    ``fails`` is called after each attempt, with all that were made. Attempts are ``retestinterval`` seconds
    apart (the page's Table 2); a mailbox that our own sessions keep from us is not tried again. Never raises
    for a fault of the service or of ours: each stands in its attempt.
    """
    made: tuple[Attempt, ...] = ()
    for number in range(1, 2 + element.failureretests):
        if made:
            await asyncio.sleep(element.retestinterval and element.retestinterval + TICK_S)
        made = (*made, await _attempt(element, number, body, clock, lag))
        fault = made[-1].fault
        if not fails(made) or (fault is not None and fault.code in CONFLICTS):
            break
    return made


async def _attempt(element: Element, number: int, body: Body, clock: Clock, lag: LagMeter) -> Attempt:
    timeout_s = element.timeout
    readings = Readings(clock)
    timeline = readings.timeline
    started_ns = time.perf_counter_ns()
    fault: Fault | None = None
    try:
        async with asyncio.timeout(timeout_s + TICK_S):
            await body(readings, number)
    except TimeoutError:
        fault = _timeout(element, timeline.open_stage, timeout_s, lag.since_us(started_ns))
    except FaultError as error:
        fault = error.fault(timeline.open_stage)
        if error.code is FaultCode.TIMEOUT and lag.since_us(started_ns) > timeout_s * 1e6 * UNTRUSTED_SHARE:
            fault = _timeout(element, timeline.open_stage, timeout_s, lag.since_us(started_ns))
        readings.status = error.status if error.status is not None else readings.status
    except Exception as error:
        log.exception("a probe failed by a defect of ours")
        fault = Fault(
            Side.LOCAL, FaultCode.INTERNAL, f"a defect of ours: {type(error).__name__}", timeline.open_stage
        )
    if timeline.open_stage == "quit":
        fault = None  # the test itself was over
    total_us = timeline.now_us()
    return Attempt(
        number=number,
        started_at_us=readings.started_at_us,
        total_us=total_us,
        times_us=readings.times_us(),
        stages=timeline.stages(),
        bytes_transferred=readings.bytes_transferred,
        status=readings.status,
        reply=readings.reply,
        address=readings.address,
        host=readings.host,
        policies=readings.policies,
        tls=readings.tls,
        fault=fault,
        warnings=tuple(readings.warnings),
        accepted_at_us=readings.accepted_at_us,
        loop_lag_us=lag.since_us(started_ns),
    )


def _timeout(element: Element, stage: str, timeout_s: float, lag_us: int) -> Fault:
    """A deadline that passed is the service's fault, unless our own loop or our name servers held us up."""
    if lag_us > timeout_s * 1e6 * UNTRUSTED_SHARE:
        text = f"this worker stood still for {lag_us / 1e6:.1f} s; the timeout in stage {stage} means nothing"
        return Fault(Side.LOCAL, FaultCode.OVERLOADED, text, stage)
    if stage in LOOKUPS:
        text = f"our name servers did not answer within {timeout_s:g} s"
        return Fault(Side.LOCAL, FaultCode.RESOLVER, text, stage)
    text = f"no answer within {timeout_s:g} s in stage {stage}"
    if stage == "greeting" and element.port in TLS_PORTS and element.securitytype is not SecurityType.SSL:
        text += f"; port {element.port} usually wants securitytype SSL"
    return Fault(Side.REMOTE, FaultCode.TIMEOUT, text, stage)
