"""A result is recorded once, and with it the count, the latest result and the stream."""

from __future__ import annotations

import asyncio

import pytest

from postbeat.model import Level, Phase
from tests.redis.site import BOX, MAIL, PAIR, WAKE, Site, result


def test_a_send_is_recorded_once_whatever_the_number_of_calls(site: Site) -> None:
    for _ in range(3):
        site.send(7)
    assert [(str(found.poll), found.phase) for found in site.results()] == [("mail@lab#7", Phase.SEND)]
    assert site.state().counts[Phase.SEND] == {Level.GOOD: 1}


def test_a_read_is_recorded_once_whatever_the_number_of_calls(site: Site) -> None:
    site.send(7)
    assert [site.read(7), site.read(7), site.read(7)] == [True, False, False]
    assert site.state().counts[Phase.READ] == {Level.GOOD: 1}


def test_a_send_that_is_recorded_by_many_at_once_is_recorded_once(site: Site) -> None:
    sent = result(7, Phase.SEND, Level.FAILED, site.now_us())

    async def together() -> None:
        await asyncio.gather(*(site.worker.record_send(MAIL, sent, BOX.mailbox, WAKE) for _ in range(20)))

    site.run(together())
    assert len(site.results()) == len(site.events()) == 1
    assert site.state().counts[Phase.SEND] == {Level.FAILED: 1}


def test_hundreds_that_end_at_once_are_all_recorded(site: Site) -> None:
    async def together() -> None:
        results = (result(slot, Phase.SEND, Level.FAILED, site.now_us()) for slot in range(500))
        await asyncio.gather(*(site.worker.record_send(MAIL, sent, BOX.mailbox, WAKE) for sent in results))

    site.run(together())
    assert len(site.results()) == 500
    assert site.state().counts[Phase.SEND] == {Level.FAILED: 500}


def test_a_read_of_a_message_that_nobody_waits_for_is_not_recorded(site: Site) -> None:
    site.send(7)
    assert not site.read(6)
    assert [found.phase for found in site.results()] == [Phase.SEND]


def test_every_result_counts_in_its_phase_and_level(site: Site) -> None:
    for slot, level in enumerate([Level.GOOD, Level.GOOD, Level.MARGINAL, Level.FAILED, Level.UNKNOWN]):
        site.send(slot, level)
    site.read(0, Level.FAILED)
    site.read(1)
    assert site.state().counts == {
        Phase.SEND: {Level.GOOD: 2, Level.MARGINAL: 1, Level.FAILED: 1, Level.UNKNOWN: 1},
        Phase.READ: {Level.GOOD: 1, Level.FAILED: 1},
        Phase.AFTER: {},
        Phase.CHECK: {},
    }


def test_the_latest_results_of_both_halves_are_kept_whole(site: Site) -> None:
    sent = result(7, Phase.SEND, Level.GOOD, site.now_us())
    site.run(site.worker.record_send(MAIL, sent, BOX.mailbox, WAKE))
    site.read(7)
    trip = site.state().round_trip
    assert trip.send == sent
    assert trip.read is not None
    assert trip.read.message == "read 7 went well"


def test_counts_and_levels_of_pairs_are_apart(site: Site) -> None:
    other = result(7, Phase.SEND, Level.FAILED, site.now_us(), type(PAIR)("mail", "elsewhere"))
    site.send(7)
    site.run(site.worker.record_send(MAIL, other))
    assert {str(state.pair): state.counts[Phase.SEND] for state in site.view.states()} == {
        "mail@elsewhere": {Level.FAILED: 1},
        "mail@lab": {Level.GOOD: 1},
    }


@pytest.mark.parametrize("level", [Level.FAILED, Level.UNKNOWN])
def test_nothing_is_pending_where_no_message_went_out(site: Site, level: Level) -> None:
    assert not site.send(7, level)
    assert site.pending() == set()
