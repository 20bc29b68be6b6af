"""Sends at a steady rate, as a worker does: ``python -m benchmarks.polling JSON``, a :class:`Plan`.

It prints what each poll measured as one JSON list, in the order in which the polls were due.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

import uvloop

from postbeat.clock import Clock
from postbeat.elements import SmtpElement
from postbeat.lag import LagMeter
from postbeat.model import AuthenticationType, Level, Poll, Secret, SecurityType
from postbeat.secrets import Keys
from postbeat.sending import Sender
from postbeat.settings import Settings

HELO = "sink.test"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent: the elements take turns, so that polls of one are far apart."""

    elements: Sequence[Mapping[str, Any]]
    rate: float
    polls: int
    ahead: bool  # of all other processes


@dataclass(frozen=True, slots=True)
class Measured:
    """What one poll says of itself."""

    element: str
    good: bool
    message: str
    times_us: Mapping[str, int]
    lag_us: int


def element(fields: Mapping[str, Any]) -> SmtpElement:
    """An element from the plain fields of a plan."""
    return SmtpElement(
        **{
            **fields,
            "securitytype": SecurityType(fields["securitytype"]),
            "authenticationtype": AuthenticationType(fields["authenticationtype"]),
            "password": Secret("literal", fields["password"]),
        }
    )


async def _run(plan: Plan) -> list[Measured]:
    loop = asyncio.get_running_loop()
    lag = LagMeter()
    lag.start(loop)
    sender = Sender.of(Settings(helo_name=HELO), Keys.new(), Clock(), lag, "bench")
    elements = [element(fields) for fields in plan.elements]
    slots = count(1)

    async def poll(about: SmtpElement) -> Measured:
        result = await sender.poll(about, Poll(about.name, "bench", next(slots)))
        last = result.attempts[-1]
        good = result.level is Level.GOOD
        return Measured(about.name, good, result.message, dict(last.times_us), last.loop_lag_us)

    begin_s = loop.time()
    tasks = []
    for number in range(plan.polls):
        await asyncio.sleep(begin_s + number / plan.rate - loop.time())
        tasks.append(asyncio.ensure_future(poll(elements[number % len(elements)])))
    return await asyncio.gather(*tasks)


def _measured(plan: Plan) -> list[Measured]:
    if plan.ahead:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    return uvloop.run(_run(plan))


if __name__ == "__main__":
    measured = _measured(Plan(**json.loads(sys.argv[1])))
    print(json.dumps([asdict(one) for one in measured]))
