"""Service levels of what becomes of a message, and of a mailbox."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from postbeat import mailbox
from postbeat.classification import Classification
from postbeat.delivery import Outcome
from postbeat.elements import SmtpElement
from postbeat.lag import LagMeter
from postbeat.mailbox import Tools
from postbeat.model import Level, Pair, Phase, Poll
from postbeat.plain import result_as_data
from postbeat.probing import Prober
from postbeat.results import Result
from postbeat.servicelevels import Standing, for_reads
from postbeat.settings import Settings
from tests.embedded.conftest import Box
from tests.embedded.reading import KEYS, Reading


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def rules(*texts: str) -> tuple[Classification, ...]:
    return tuple(map(Classification.parse, texts))


def test_the_read_of_a_message_is_judged_by_the_rules_of_the_element_that_sent_it(box: Box) -> None:
    async def test() -> None:
        element = SmtpElement(
            name="mail",
            server=box.server.host,
            port=box.server.smtp,
            email=box.address,
            read="box",
            servicelevels=rules("uploadTime > 100 -> FAILED", "timeToDeliver > 0 -> MARGINAL"),
        )
        # What the mailbox's own element says is for its checks.
        reader = Reading(box, "imap4", servicelevels=rules("fault = refused -> GOOD")).element
        trip = await Prober(Settings()).round_trip(element, reader, "north")
        assert trip.send is not None
        assert trip.read is not None
        assert (trip.send.level, trip.read.level, trip.level) == (Level.GOOD, Level.MARGINAL, Level.MARGINAL)
        assert trip.read.message.startswith("Message Successfully Downloaded; timeToDeliver 0.")
        assert trip.read.message.endswith(" > 0: MARGINAL")
        shown = trip.as_data()
        assert shown["classification"] == "timeToDeliver > 0 -> MARGINAL"
        assert (shown["serviceLevel"], shown["identifier"], shown["host"]) == (2, "mail", box.server.host)
        assert shown["send"]["classification"] is None

    run(test())


def test_the_rules_outlive_the_read_of_a_message_that_was_not_there_in_time(box: Box) -> None:
    async def test() -> None:
        reading = Reading(box, "imap4")
        reading.expect(1, within_s=60)
        kept = for_reads(rules("outcome = overdue -> MARGINAL", "outcome = late -> GOOD"))
        reading.desk.pending = {
            poll: replace(known, servicelevels=kept) for poll, known in reading.desk.pending.items()
        }
        reading.clock.ahead_us += 61_000_000
        await reading.read()
        box.send(reading.sent(1))
        await reading.read()
        overdue, late = reading.desk.results
        assert (overdue.outcome, overdue.level) == (Outcome.OVERDUE, Level.MARGINAL)
        assert overdue.message == "The message did not arrive within 60 s; outcome = overdue: MARGINAL"
        assert (late.phase, late.outcome, late.level) == (Phase.AFTER, Outcome.LATE, Level.GOOD)

    run(test())


def test_the_check_of_a_mailbox_is_retested_and_judged_by_its_own_rules(box: Box) -> None:
    async def test() -> None:
        asked: list[Pair] = []

        async def standing(pair: Pair) -> Standing:
            asked.append(pair)
            return Standing(Level.GOOD)

        reading = Reading(
            box,
            "imap4",
            failureretests=1,
            retestinterval=0,
            servicelevels=rules("lastServiceLevel = 1 and messages < 5 -> FAILED"),
        )
        recorded: list[Result] = []

        async def record(result: Result) -> None:
            recorded.append(result)

        tools = Tools(KEYS, reading.clock, LagMeter(), "host.example/7", standing=standing)
        await mailbox.check(reading.element, Poll("box", "north", 1), reading.desk, tools, record)
        (checked,) = recorded
        assert (checked.level, len(checked.attempts), checked.fault) == (Level.FAILED, 2, None)
        assert (
            checked.message
            == "0 messages downloaded; 0 in the mailbox; lastServiceLevel = 1 and messages 0 < 5: FAILED"
        )
        assert asked == [Pair("box", "north")]
        shown = result_as_data(checked)
        assert (shown["consecutiveFailures"], shown["lastServiceLevel"]) == (2, 1)
        assert (shown["host"], shown["monitorHost"]) == (box.server.host, "host.example")

    run(test())


def test_a_mailbox_that_is_probed_by_hand_is_judged_in_the_same_way(box: Box) -> None:
    async def test() -> None:
        element = Reading(
            box, "pop3", failureretests=1, retestinterval=0, servicelevels=rules("totalTime > 0 -> FAILED")
        ).element
        trip = await Prober(Settings()).check(element, "north")
        assert trip.check is not None
        assert (trip.level, len(trip.check.attempts)) == (Level.FAILED, 2)

    run(test())
