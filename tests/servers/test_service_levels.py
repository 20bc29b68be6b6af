"""Service levels in polls of a server: what is retested, and what the result says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from postbeat.classification import Classification
from postbeat.lag import LagMeter
from postbeat.model import FaultCode, Level, Pair, Poll
from postbeat.plain import result_as_data
from postbeat.results import Result
from postbeat.servicelevels import Standing
from tests.servers.conftest import Run
from tests.servers.conversations import element, sender, up_to, whole
from tests.servers.scripted import ScriptedServer, Send, scripted

REFUSING = up_to("rcpt", Send(b"550 5.7.1 go away\r\n"))


async def poll(server: ScriptedServer, rule: str, standing: Standing | None = None, **fields: Any) -> Result:
    """A poll by one rule; fails where it asks how the pair stands and is not meant to."""

    async def ask(pair: Pair) -> Standing:
        assert standing is not None
        assert pair == Pair("mail", "eu")
        return standing

    polled = element(server.port, servicelevels=(Classification.parse(rule),), retestinterval=0, **fields)
    return await replace(sender(LagMeter()), standing=ask).poll(polled, Poll("mail", "eu", 7))


def test_a_test_that_is_too_slow_fails_and_is_retested(run: Run) -> None:
    async def test() -> None:
        async with scripted(whole(), whole()) as server:
            result = await poll(server, "responseTime > 0.0000001 -> FAILED", failureretests=1)
        assert (result.level, len(result.attempts), result.fault) == (Level.FAILED, 2, None)
        assert result.message.startswith("Message sent (attempt 2 of 2); responseTime 0.")
        assert result.message.endswith(" > 1e-07: FAILED")
        shown = result_as_data(result)
        assert shown["classification"] == "responseTime > 1e-07 -> FAILED"
        assert (shown["consecutiveFailures"], shown["failureRetests"], shown["serviceLevel"]) == (2, 1, 3)
        assert result.attempts[-1].accepted_at_us is not None  # its message is on its way all the same

    run(test())


def test_a_refusal_that_is_called_good_is_good_and_not_retested(run: Run) -> None:
    async def test() -> None:
        async with scripted(REFUSING) as server:
            result = await poll(server, "status = 550 -> GOOD", failureretests=3)
        assert (result.level, len(result.attempts)) == (Level.GOOD, 1)
        assert result.message == (
            "The server refused the recipient: 550 5.7.1 go away (attempt 1 of 4); status = 550: GOOD"
        )
        assert result.fault is not None  # what happened is not hidden
        assert result.fault.code is FaultCode.REPLY

    run(test())


def test_how_the_pair_stands_is_asked_for_where_a_rule_needs_it(run: Run) -> None:
    async def test() -> None:
        async with scripted(REFUSING) as server:
            rule = "lastServiceLevel = 1 and status = 550 -> MARGINAL"
            result = await poll(server, rule, Standing(Level.GOOD))
        assert (result.level, result_as_data(result)["lastServiceLevel"]) == (Level.MARGINAL, 1)

    run(test())
