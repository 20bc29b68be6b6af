"""The reader in a mailbox: what it says of each message, and what it leaves alone."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from postbeat.delivery import Outcome, Tally
from postbeat.message import FIELD
from postbeat.model import FaultCode, Level, Phase, Side
from tests.embedded.conftest import Box
from tests.embedded.reading import Reading, cutting, locked
from tests.ports import free_port

KINDS = pytest.mark.parametrize("kind", ["imap4", "pop3"])
FOREIGN = b"From: someone@example.test\r\nSubject: keep me\r\nMessage-ID: <1@example.test>\r\n\r\nhello\r\n"
BOUNCE = b"""\
Return-Path: <>
From: Mail Delivery System <MAILER-DAEMON@example.test>
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

Sorry.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.test

Final-Recipient: rfc822; user@example.test
Action: failed
Status: 5.1.1
Remote-MTA: dns; store.example.test
Diagnostic-Code: smtp; 550 5.1.1 no such user

--b
Content-Type: text/rfc822-headers

%b
--b--
""".replace(b"\n", b"\r\n")


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def left_in(box: Box) -> list[bytes]:
    """Every message that lies in the mailbox."""
    with box.pop3() as client:
        count, _ = client.stat()
        return [b"\r\n".join(client.retr(number + 1)[1]) for number in range(count)]


@KINDS
def test_what_was_sent_is_found_once_and_removed_and_the_rest_stays(box: Box, kind: str) -> None:
    async def test() -> None:
        reading = Reading(box, kind)
        for slot in (1, 2):
            reading.expect(slot)
            box.send(reading.sent(slot))
        box.send(FOREIGN)
        await reading.read()
        assert [(r.outcome, r.level) for r in reading.desk.results] == [(Outcome.DELIVERED, Level.GOOD)] * 2
        assert reading.desk.tally[Tally.FOUND] == 2
        assert reading.desk.tally[Tally.FOREIGN] == 1
        delivery = reading.desk.results[0].delivery
        assert delivery is not None
        assert delivery.hop_count == 1
        (left,) = left_in(box)
        assert b"keep me" in left

    run(test())


@pytest.mark.parametrize(("kind", "step"), [("imap4", 61), ("pop3", 37)])
def test_a_session_that_breaks_at_any_point_costs_neither_a_message_nor_a_second_result(
    box: Box, kind: str, step: int
) -> None:
    async def broken_after(reading: Reading, size: int) -> bool:
        async with cutting(box.server.host, reading.element.port, size) as port:
            await reading.read(port)
        return reading.desk.tally[Tally.LOGINS] > 1

    async def test() -> None:
        size, broke = 1, True
        while broke:
            reading = Reading(box, kind, failureretests=1, retestinterval=0)
            reading.expect(size)
            box.send(reading.sent(size))
            broke = await broken_after(reading, size) or size < 10 * step
            assert [r.outcome for r in reading.desk.results] == [Outcome.DELIVERED], f"after {size} bytes"
            await Reading.read(reading)  # what could not be removed is removed by the next reader
            reading.expect(0)
            box.send(reading.sent(0))
            await reading.read()
            assert left_in(box) == [], f"after {size} bytes"
            assert not reading.desk.of_phase(Phase.AFTER), f"after {size} bytes"
            size += step

    run(test())


@KINDS
def test_a_message_that_comes_too_late_corrects_what_was_said_and_does_not_rewrite_it(
    box: Box, kind: str
) -> None:
    async def test() -> None:
        reading = Reading(box, kind)
        reading.expect(1, within_s=60)
        reading.clock.ahead_us += 61_000_000
        await reading.read()
        (overdue,) = reading.desk.results
        assert (overdue.outcome, overdue.level) == (Outcome.OVERDUE, Level.FAILED)
        assert overdue.message == "The message did not arrive within 60 s"
        box.send(reading.sent(1))
        await reading.read()
        late = reading.desk.results[1]
        assert (late.phase, late.outcome, late.level) == (Phase.AFTER, Outcome.LATE, Level.MARGINAL)
        assert reading.desk.results[0] is overdue
        assert left_in(box) == []

    run(test())


@KINDS
def test_copies_that_come_late_together_are_one_result(box: Box, kind: str) -> None:
    async def test() -> None:
        reading = Reading(box, kind)
        reading.expect(1, within_s=60)
        reading.clock.ahead_us += 61_000_000
        await reading.read()
        for _ in range(2):
            box.send(reading.sent(1))
        await reading.read()
        assert [r.outcome for r in reading.desk.results] == [Outcome.OVERDUE, Outcome.LATE]
        delivery = reading.desk.results[1].delivery
        assert delivery is not None
        assert delivery.copies == 2
        assert reading.desk.tally[Tally.DUPLICATES] == 1
        assert left_in(box) == []

    run(test())


@KINDS
def test_a_message_that_never_comes_is_lost_at_the_end_of_the_long_wait(box: Box, kind: str) -> None:
    async def test() -> None:
        reading = Reading(box, kind)
        reading.expect(1, within_s=60, lost_s=600)
        for seconds in (61, 500, 100):
            reading.clock.ahead_us += seconds * 1_000_000
            await reading.read()
        assert [result.outcome for result in reading.desk.results] == [Outcome.OVERDUE, Outcome.LOST]
        assert reading.desk.results[1].message == "The message is lost: it did not arrive within 600 s"

    run(test())


@KINDS
def test_further_copies_are_counted_and_removed(box: Box, kind: str) -> None:
    async def test() -> None:
        reading = Reading(box, kind)
        reading.expect(1)
        text = reading.sent(1)
        box.send(text)
        box.send(text)
        await reading.read()
        (together,) = reading.desk.results
        assert (together.outcome, together.level) == (Outcome.DUPLICATED, Level.MARGINAL)
        box.send(text)
        reading.expect(2)
        box.send(reading.sent(2))
        await reading.read()
        (after,) = reading.desk.of_phase(Phase.AFTER)
        assert (after.outcome, after.poll.slot) == (Outcome.DUPLICATED, 1)
        assert reading.desk.tally[Tally.DUPLICATES] == 2
        assert left_in(box) == []

    run(test())


@KINDS
def test_a_message_that_was_overtaken_is_out_of_order(box: Box, kind: str) -> None:
    async def test() -> None:
        reading = Reading(box, kind)
        for slot in (4, 5):
            reading.expect(slot)
            reading.clock.ahead_us += 1_000_000
        for slot in (5, 4):
            box.send(reading.sent(slot))
        await reading.read()
        assert [(r.poll.slot, r.outcome) for r in reading.desk.results] == [
            (5, Outcome.DELIVERED),
            (4, Outcome.OUT_OF_ORDER),
        ]

    run(test())


@KINDS
def test_a_message_whose_sender_was_slow_to_tell_of_it_was_not_overtaken(box: Box, kind: str) -> None:
    async def test() -> None:
        reading = Reading(box, kind)
        reading.expect(4)
        told_late = reading.desk.pending.popitem()
        reading.clock.ahead_us += 1_000_000
        reading.expect(5)
        for slot in (4, 5):
            box.send(reading.sent(slot))
        reader = asyncio.ensure_future(reading.read())
        while not reading.desk.results:
            reading.expect(6)  # keeps the reader there
            await asyncio.sleep(0.01)
        reading.desk.pending.update([told_late])
        box.send(reading.sent(6))
        await reader
        assert reading.desk.results[0].poll.slot == 5
        assert {r.poll.slot: r.outcome for r in reading.desk.results} == dict.fromkeys(
            (4, 5, 6), Outcome.DELIVERED
        )

    run(test())


@KINDS
def test_a_bounce_fails_its_message_at_once_and_is_removed(box: Box, kind: str) -> None:
    async def test() -> None:
        reading = Reading(box, kind)
        reading.expect(1)
        header = reading.sent(1).partition(b"\r\n\r\n")[0]
        box.send(BOUNCE % header)
        await reading.read()
        (result,) = reading.desk.results
        assert (result.outcome, result.level) == (Outcome.BOUNCED, Level.FAILED)
        assert result.fault is not None
        assert result.fault.code is FaultCode.BOUNCED
        assert result.message == "The message bounced: 550 5.1.1 no such user"
        assert result.bounce is not None
        assert result.bounce.status == "5.1.1"
        assert left_in(box) == []

    run(test())


@KINDS
def test_forged_damaged_and_replayed_tokens_are_counted_and_left_alone(box: Box, kind: str) -> None:
    async def test() -> None:
        reading = Reading(box, kind)
        reading.expect(1)
        ours = reading.sent(1)
        field = next(line for line in ours.split(b"\r\n") if line.startswith(FIELD.encode()))
        box.send(ours)
        forged = field.replace(b"#1;", b"#9;")
        for tampered in (forged, FIELD.encode() + b": v=2; nonsense", field):
            box.send(tampered + b"\r\n" + FOREIGN)
        await reading.read()
        reading.expect(2)
        box.send(reading.sent(2))
        await reading.read()
        assert [result.outcome for result in reading.desk.results] == [Outcome.DELIVERED] * 2
        tally = reading.desk.tally
        assert (tally[Tally.FORGED], tally[Tally.DAMAGED], tally[Tally.REPLAYED]) == (1, 1, 1)
        assert len(left_in(box)) == 3

    run(test())


@KINDS
def test_what_a_crashed_run_left_behind_is_removed_once_it_is_old(box: Box, kind: str) -> None:
    async def test() -> None:
        reading = Reading(box, kind)
        box.send(reading.sent(7, ago_s=240))
        box.send(reading.sent(8, ago_s=301))
        reading.expect(1)
        box.send(reading.sent(1))
        await reading.read()
        assert reading.desk.tally[Tally.ORPHANS] == 1
        (left,) = left_in(box)
        assert b"mail@north#7" in left
        reading.clock.ahead_us += 70_000_000
        reading.expect(2)
        box.send(reading.sent(2))
        await reading.read()
        assert reading.desk.tally[Tally.ORPHANS] == 2
        assert left_in(box) == []

    run(test())


def test_why_the_last_look_failed_is_noted_until_one_does_not(box: Box) -> None:
    async def test() -> None:
        reading = Reading(box, "imap4", timeout=5, retestinterval=0)
        reading.expect(1, within_s=-1, lost_s=-1)
        await reading.read(port=free_port())
        fault = reading.desk.notes.fault
        assert fault is not None
        assert (fault.side, fault.code, fault.stage) == (Side.REMOTE, FaultCode.REFUSED, "connect")
        reading.desk.awaited.clear()
        await reading.read()  # nothing is awaited: it does not look
        assert reading.desk.notes.fault == fault
        reading.expect(2, within_s=-1, lost_s=-1)
        await reading.read()
        assert reading.desk.notes.fault is None

    run(test())


def test_a_mailbox_that_somebody_else_has_open_is_our_fault_and_not_an_outage(box: Box) -> None:
    async def test() -> None:
        reading = Reading(box, "pop3")
        reading.expect(1, within_s=2)
        box.send(reading.sent(1))
        async with locked() as port:
            await reading.read(port)
        (unread,) = reading.desk.results
        assert (unread.outcome, unread.level) == (Outcome.UNREADABLE, Level.UNKNOWN)
        assert unread.fault is not None
        assert (unread.fault.side, unread.fault.code) == (Side.LOCAL, FaultCode.IN_USE)
        assert reading.desk.tally[Tally.CONFLICTS] > 1
        assert reading.desk.notes.not_before_us > reading.clock.now_us()
        reading.clock.ahead_us += 60_000_000
        await reading.read()
        assert reading.desk.results[1].phase is Phase.AFTER
        assert left_in(box) == []

    run(test())


@KINDS
def test_a_reader_whose_lease_is_over_deletes_nothing(box: Box, kind: str) -> None:
    async def test() -> None:
        reading = Reading(box, kind)
        reading.desk.held = False
        reading.expect(1)
        box.send(reading.sent(1))
        await reading.read()
        assert len(left_in(box)) == 1
        reading.desk.held = True
        reading.expect(2)
        box.send(reading.sent(2))
        await reading.read()
        assert left_in(box) == []
        assert not reading.desk.of_phase(Phase.AFTER)

    run(test())


@KINDS
def test_a_wrong_password_makes_the_mailbox_unreadable_and_what_lies_in_it_is_found_later(
    box: Box, kind: str
) -> None:
    async def test() -> None:
        wrong = Reading(box, kind)
        right = Reading(box, kind)
        object.__setattr__(wrong.element, "username", "nobody")
        wrong.expect(1)
        box.send(wrong.sent(1))
        await wrong.read()
        (failed,) = wrong.desk.results
        assert (failed.outcome, failed.level) == (Outcome.UNREADABLE, Level.FAILED)
        right.desk = wrong.desk
        await right.read()
        after = right.desk.results[1]
        assert (after.phase, after.outcome, after.level) == (Phase.AFTER, Outcome.DELIVERED, Level.GOOD)

    run(test())


def test_name_servers_that_do_not_answer_are_not_the_mailboxs_fault(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(_name: str) -> bytes | None:
        await asyncio.sleep(3600)
        return None

    async def test() -> None:
        monkeypatch.setattr("postbeat.mailbox.sightings.DKIM_S", 0.3)
        reading = Reading(box, "imap4", timeout=5)
        reading.txt = silent
        signature = b"DKIM-Signature: v=1; a=rsa-sha256; d=example.test; s=a; h=from; bh=AAAA; b=AAAA\r\n"
        for slot in range(20):
            reading.expect(slot)
            box.send(signature + reading.sent(slot))
        await reading.read()
        assert [r.level for r in reading.desk.results] == [Level.GOOD] * 20
        verdicts = [verdict for r in reading.desk.results if r.delivery for verdict in r.delivery.verdicts]
        assert [(one.method, one.result) for one in verdicts] == [("dkim", "temperror")] * 20

    run(test())
