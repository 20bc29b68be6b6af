"""What readers note of a mailbox, when the sweep sends for one, and when a mailbox is forgotten."""

from __future__ import annotations

import pytest

from postbeat.delivery import MailboxFacts, Outcome
from postbeat.model import Fault, FaultCode, Level, Phase, Side
from postbeat.probes.session import Memory
from postbeat.profile import Profile
from postbeat.store import keys
from postbeat.store.desk import LEASE_MS, Desk, Lease
from postbeat.store.records import Noted
from postbeat.store.worker import LeaseLostError, WorkerStore
from tests.redis.site import BOX, BOX_PAIR, PROFILE, WAKE, Site, awaited, result

FACTS = MailboxFacts(3, 4096, folders={"": 3})
HOUR_US = 3_600_000_000


def stale(site: Site) -> Desk:
    desk = site.desk()
    site.lose_lease()
    site.desk()
    return desk


def test_counters_add_up_and_those_since_the_last_check_start_anew(site: Site) -> None:
    site.send(1)
    with site.reader() as desk:
        site.run(desk.note({"found": 2, "looks": 1}, Noted(5)))
        site.run(desk.note({"found": 1, "foreign": 0}, Noted(6)))
        assert site.run(desk.take_tally()) == {"found": 3, "looks": 1}
        assert site.run(desk.take_tally()) == {}
        site.run(desk.note({"found": 4}, Noted(7)))
        assert site.run(desk.take_tally()) == {"found": 4}
    assert site.mailbox().totals == {"found": 7, "looks": 1}


def test_views_tell_what_readers_noted(site: Site, redis_server: str) -> None:
    site.send(1)
    site.send(2)
    site.read(1, Level.FAILED, Outcome.OVERDUE, following=awaited(1))
    worker = WorkerStore(redis_server, "host/7")
    desk = site.run(worker.desk(BOX.mailbox))
    assert desk is not None
    site.run(desk.note({}, Noted(5), FACTS))
    site.run(desk.note({}, Noted(6, 9)))
    state = site.mailbox()
    site.run(worker.close())
    assert (state.mailbox, state.element, state.region) == (BOX.mailbox, "box", "lab")
    assert (state.pending, state.awaited, state.waiting, state.is_read) == (1, 1, 0, True)
    assert (state.worker, state.looked_at_us, state.not_before_us, state.facts) == ("host/7", 6, 9, FACTS)
    site.lose_lease()
    assert not site.mailbox().is_read


def test_a_mailbox_that_is_only_checked_is_shown(site: Site) -> None:
    assert [site.check(1), site.check(1), site.check(2, Level.FAILED)] == [True, False, True]
    assert (site.mailbox().element, site.mailbox().looked_at_us) == ("box", None)
    state = site.state(BOX_PAIR)
    assert (state.level, state.counts[Phase.CHECK]) == (Level.FAILED, {Level.GOOD: 1, Level.FAILED: 1})


def test_why_the_last_look_failed_is_told_until_one_does_not(site: Site) -> None:
    site.send(1)
    fault = Fault(Side.REMOTE, FaultCode.REFUSED, "The connection was refused", "connect")
    with site.reader() as desk:
        site.run(desk.note({"looks": 1}, Noted(0, 0, fault)))
    state = site.mailbox()
    assert (state.looked_at_us, state.fault) == (None, fault)
    assert (state.as_data()["lastLook"], state.as_data()["fault"]) == (
        None,
        {"side": "REMOTE", "code": "refused", "stage": "connect", "message": "The connection was refused"},
    )
    with site.reader() as desk:
        assert site.run(desk.noted()) == Noted(0, 0, fault)
        site.run(desk.note({"looks": 1}, Noted(7)))
    state = site.mailbox()
    assert (state.looked_at_us, state.fault, state.totals) == (7, None, {"looks": 2})


def test_a_back_off_is_known_to_the_next_reader(site: Site) -> None:
    with site.reader() as desk:
        assert site.run(desk.noted()) == Noted(0, 0)
        site.run(desk.note({}, Noted(5, 99)))
    with site.reader() as desk:
        assert site.run(desk.noted()) == Noted(5, 99)


def test_without_the_lease_nothing_can_be_written(site: Site) -> None:
    site.send(1)
    desk = stale(site)
    before = site.dump()
    for attempt in (
        desk.record(result(1, Phase.READ, Level.GOOD, 1)),
        desk.record_after(result(1, Phase.AFTER, Level.GOOD, 1, outcome=Outcome.LATE)),
        desk.note({"found": 1}, Noted(5)),
        desk.remember(Memory(count=1)),
        desk.take_tally(),
    ):
        with pytest.raises(LeaseLostError):
            site.run(attempt)
    assert site.run(desk.release(force=True))
    assert site.dump() == before


def test_a_process_that_was_stopped_knows_that_its_lease_is_over() -> None:
    now_us = 0
    lease = Lease(BOX.mailbox, "token", now_us, lambda: now_us)
    now_us = LEASE_MS * 1000 - 1_000_001
    assert lease.left_s() > 0
    now_us += 1
    assert lease.left_s() == 0
    lease.renewed(now_us)
    assert lease.left_s() == LEASE_MS / 1000 - 1


def test_a_desk_that_was_given_back_is_held_no_more(site: Site) -> None:
    desk = site.desk()
    assert desk.holds()
    assert site.run(desk.release())
    assert not desk.holds()


def only_awaited(site: Site, *, lost_at_us: int, looked_at_us: int, not_before_us: int = 0) -> list[str]:
    """Whom the sweep sends for where messages are only awaited."""
    site.send(1)
    site.read(1, Level.FAILED, Outcome.OVERDUE, following=awaited(1, lost_at_us))
    with site.reader() as desk:
        site.run(desk.note({}, Noted(looked_at_us, not_before_us)))
    site.forget_waking()
    return list(site.beat.readers_to_wake())


def test_awaited_messages_are_looked_for_once_a_minute(site: Site) -> None:
    now_us = site.now_us()
    later_us = now_us + HOUR_US
    assert only_awaited(site, lost_at_us=later_us, looked_at_us=now_us - 50_000_000) == []
    site.redis.flushall()
    assert only_awaited(site, lost_at_us=later_us, looked_at_us=now_us - 60_000_000) == [WAKE]


def test_a_message_that_counts_as_lost_is_looked_for_at_once(site: Site) -> None:
    now_us = site.now_us()
    assert only_awaited(site, lost_at_us=now_us, looked_at_us=now_us) == [WAKE]


def test_a_server_that_wants_no_login_is_left_in_peace(site: Site) -> None:
    now_us = site.now_us()
    busy_us = now_us + HOUR_US
    assert only_awaited(site, lost_at_us=now_us, looked_at_us=1, not_before_us=busy_us) == []


def test_awaited_messages_do_not_hold_a_reader(site: Site) -> None:
    site.send(1)
    site.read(1, Level.FAILED, Outcome.OVERDUE, following=awaited(1))
    assert site.run(site.desk().release())


def test_what_nobody_asked_for_a_day_after_it_was_lost_is_dropped(site: Site) -> None:
    now_us = site.now_us()
    for slot, lost_at_us in enumerate([now_us - 25 * HOUR_US, now_us - 23 * HOUR_US]):
        site.send(slot)
        site.read(slot, Level.FAILED, Outcome.OVERDUE, following=awaited(slot, lost_at_us))
    assert site.beat.tidy(PROFILE) == 0
    assert site.awaited() == {"mail@lab#1"}
    assert site.redis.zrange(keys.lost_at(BOX.mailbox), 0, -1) == ["mail@lab#1"]


def test_a_mailbox_that_left_the_profile_is_forgotten_once_it_is_empty(site: Site) -> None:
    site.send(1)
    with site.reader() as desk:
        site.run(desk.remember(Memory(count=1)))
        site.run(desk.note({"found": 1}, Noted(5)))
    assert [site.beat.tidy(PROFILE), site.beat.tidy(Profile({}))] == [0, 0]
    site.read(1)
    assert [site.beat.tidy(PROFILE), site.beat.tidy(Profile({}))] == [0, 1]
    assert site.view.mailboxes() == []
    assert not [key for key in site.redis.scan_iter() if BOX.mailbox in key]


def test_a_message_that_no_reader_will_come_for_does_not_keep_a_mailbox_for_ever(site: Site) -> None:
    site.send(1, at_us=site.now_us() - 26 * HOUR_US)
    assert site.beat.tidy(Profile({})) == 1
    assert site.pending() == set()
