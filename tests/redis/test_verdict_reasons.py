"""What a verdict tells of its regions: why they are not GOOD, and a message that is true."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from postbeat.model import Fault, FaultCode, Level, Pair, Phase, Side
from postbeat.profile import Profile
from postbeat.results import VerdictEvent
from postbeat.store import keys
from postbeat.verdict import Verdict
from tests.redis.site import BOX, MAIL, WAKE, Site, result

FULL = Fault(Side.REMOTE, FaultCode.REPLY, "452 no space", "data")
SLOW = Fault(Side.REMOTE, FaultCode.TIMEOUT, "No answer within 30 s", "connect")
OURS = Fault(Side.LOCAL, FaultCode.RESOURCES, "too many open files", "connect")


@dataclass
class Shop:
    """An element that only sends, in several regions."""

    site: Site
    regions: tuple[str, ...] = ("a", "b", "c")
    confirmpolls: int = 1
    _slot: int = field(default=100, init=False)

    def element(self) -> Any:
        return replace(MAIL, name="shop", regions=self.regions, confirmpolls=self.confirmpolls, read="")

    def polled(self, region: str, fault: Fault | None = None, level: Level | None = None) -> None:
        """A poll of a region: GOOD, or what its fault makes it."""
        self._slot += 1
        if level is None:
            by_side = {Side.REMOTE: Level.FAILED, Side.LOCAL: Level.UNKNOWN}
            level = Level.GOOD if fault is None else by_side[fault.side]
        plain = result(self._slot, Phase.SEND, Level.GOOD, self.site.now_us(), Pair("shop", region))
        message = plain.message if fault is None else fault.message
        sent = replace(plain, level=level, message=message, fault=fault)
        self.site.run(self.site.worker.record_send(self.element(), sent, "", WAKE))

    def told(self) -> VerdictEvent:
        """The newest verdict."""
        return self.site.verdict_events()[-1]


@pytest.fixture
def shop(site: Site) -> Shop:
    shop = Shop(site)
    for region in shop.regions:
        shop.polled(region)
    return shop


def test_a_failure_is_told_by_a_region_that_failed_and_not_by_one_that_could_not_look(shop: Shop) -> None:
    shop.polled("a", FULL)
    shop.polled("b", OURS)
    shop.polled("c", OURS)
    told = shop.told()
    assert (told.verdict, told.poll.region, told.message, told.fault) == (
        Verdict.FAILED,
        "c",
        "452 no space",
        FULL,
    )
    assert told.region_texts == [
        "a: FAILED (data) 452 no space",
        "b: UNKNOWN (connect) too many open files",
        "c: UNKNOWN (connect) too many open files",
    ]
    assert (told.reasons["b"].code, told.reasons["b"].side, told.reasons["b"].phase) == (
        "resources",
        "LOCAL",
        Phase.SEND,
    )


def test_where_nobody_could_look_it_is_told_why(shop: Shop) -> None:
    for region in shop.regions:
        shop.polled(region, OURS)
    told = shop.told()
    assert (told.verdict, told.message, told.fault) == (Verdict.UNKNOWN, "too many open files", OURS)


def test_of_regions_that_failed_the_newest_is_told(shop: Shop) -> None:
    shop.polled("a", FULL)
    shop.polled("b", SLOW)
    told = shop.told()
    assert (told.verdict, told.message, told.fault) == (Verdict.FAILED, SLOW.message, SLOW)
    assert told.region_texts[0] == "a: FAILED (data) 452 no space"


def test_where_some_regions_recover_those_that_still_fail_are_told(shop: Shop) -> None:
    shop.polled("a", FULL)
    shop.polled("b", SLOW)
    shop.polled("b")
    told = shop.told()
    assert (told.was, told.verdict, told.poll.region) == (Verdict.FAILED, Verdict.DEGRADED, "b")
    assert (told.message, told.fault) == ("452 no space", FULL)
    assert told.region_texts == ["a: FAILED (data) 452 no space", "b: GOOD", "c: GOOD"]


def test_a_region_that_is_marginal_is_told_without_a_fault(shop: Shop) -> None:
    shop.polled("a", level=Level.MARGINAL)
    shop.polled("b", OURS)
    told = shop.told()
    assert (told.verdict, told.fault) == (Verdict.DEGRADED, None)
    assert told.message == "send 104 went well"


def test_a_recovery_says_where_it_is_good_and_nothing_that_was_said_of_a_fault(shop: Shop) -> None:
    shop.polled("c", FULL)
    shop.polled("c", OURS)
    told = shop.told()
    assert (told.was, told.verdict, told.fault) == (Verdict.DEGRADED, Verdict.GOOD, None)
    assert told.message == "GOOD in a, b; UNKNOWN in c"
    assert told.region_texts == ["c: UNKNOWN (connect) too many open files", "a: GOOD", "b: GOOD"]


@pytest.mark.parametrize(("leaves", "message"), [("a", "shop@a has left the profile"), ("c", FULL.message)])
def test_what_leaves_the_profile_is_told_where_nothing_else_is_wrong(
    shop: Shop, leaves: str, message: str
) -> None:
    shop.polled("a", FULL)
    if leaves == "c":
        shop.polled("b", OURS)
    site = shop.site
    site.redis.zadd(keys.EXPECTED, {f"shop@{leaves}": 1}, xx=True)
    shop.regions = tuple(region for region in shop.regions if region != leaves)
    site.beat.sweep(Profile({"shop": shop.element()}))
    told = shop.told()
    assert (told.poll.region, told.message) == (leaves, message)


def test_a_level_keeps_its_reason_while_newer_results_do_not_count_yet(site: Site) -> None:
    shop = Shop(site, confirmpolls=2)
    for region in ("a", "b", "c"):
        shop.polled(region)
    for region in ("a", "a", "b", "b"):
        shop.polled(region, FULL)
    shop.polled("a")  # one poll, where two count
    shop.polled("b")
    shop.polled("b")
    told = shop.told()
    assert (told.was, told.verdict) == (Verdict.FAILED, Verdict.DEGRADED)
    assert (told.message, told.fault) == ("452 no space", FULL)
    assert told.region_texts[0] == "a: FAILED (data) 452 no space"


def test_what_a_region_said_of_another_level_is_no_reason(site: Site) -> None:
    shop = Shop(site, confirmpolls=3)
    shop.polled("a")
    shop.polled("b", FULL)
    shop.polled("b", OURS)
    shop.polled("b")  # its vote is FAILED again, which silence had hidden; nobody knows the words any more
    told = shop.told()
    assert (told.verdict, told.regions["b"]) == (Verdict.DEGRADED, Level.FAILED)
    assert (told.message, told.reasons) == ("FAILED in b; GOOD in a", {})


def test_a_long_message_of_the_poll_that_changed_the_verdict_is_told_whole(shop: Shop) -> None:
    shop.polled("a", replace(FULL, message="550 " + "ü" * 300))
    told = shop.told()
    assert told.message == "550 " + "ü" * 300
    assert len(told.reasons["a"].message) < 200
    shop.polled("b", OURS)
    shop.polled("c", OURS)
    told = shop.told()
    assert (told.message, told.fault and told.fault.stage) == (told.reasons["a"].message, "data")


@pytest.mark.parametrize(
    ("level", "verdict"), [(Level.FAILED, Verdict.FAILED), (Level.MARGINAL, Verdict.DEGRADED)]
)
def test_a_send_that_a_service_level_judges_is_told_in_its_words_when_its_message_is_read(
    site: Site, level: Level, verdict: Verdict
) -> None:
    judged = f"it took {'very ' * 60}long: {level}"
    sent = replace(result(1, Phase.SEND, Level.GOOD, site.now_us()), level=level, message=judged)
    site.run(site.worker.record_send(MAIL, sent, BOX.mailbox, WAKE))
    assert site.verdict_events() == []  # the poll is not over
    site.read(1)
    (told,) = site.verdict_events()
    assert (told.verdict, told.message, told.fault) == (verdict, judged, None)
    assert told.reasons["lab"].phase is Phase.SEND


def test_an_event_stays_small_however_many_regions_say_however_much(site: Site) -> None:
    regions = tuple(f"r{number:02}" for number in range(30))
    shop = Shop(site, regions)
    for region in regions[:-1]:
        shop.polled(region, replace(OURS, message="ü" * 5000))
    shop.polled(regions[-1], replace(FULL, message="x" + "ü" * 5000))
    told = shop.told()
    assert (told.verdict, len(told.regions), len(told.reasons)) == (Verdict.FAILED, 30, 10)
    messages = {region: reason.message for region, reason in told.reasons.items()}
    assert set(messages.pop(regions[-1])) == {"x", "ü", "…"}
    assert {frozenset(message) for message in messages.values()} == {frozenset("ü…")}
    assert all(len(reason.message.encode()) <= 200 for reason in told.reasons.values())
    stored: Any = site.redis.xrevrange(keys.EVENTS, count=1)
    assert len(stored[0][1]["reasons"].encode()) < 3000
    assert len(str(site.redis.hget(keys.VERDICTS, "shop")).encode()) < 4000


def test_a_region_whose_state_cannot_be_read_keeps_no_other_from_being_recorded(shop: Shop) -> None:
    shop.polled("b", OURS)
    for damage in ("garbage", "[]", '["smtp","UNKNOWN",null,null,null]'):
        shop.site.redis.hset(keys.STATES, "shop@b", damage)
        shop.polled("a", FULL)
        assert shop.told().region_texts[0] == "a: FAILED (data) 452 no space"
        shop.polled("a")
        assert shop.told().verdict is Verdict.GOOD


def test_an_event_from_before_there_were_reasons_is_read_as_it_was_told(shop: Shop) -> None:
    shop.polled("a", FULL)
    stored: Any = shop.site.redis.xrevrange(keys.EVENTS, count=1)
    fields = {name: value for name, value in stored[0][1].items() if name != "reasons"}
    shop.site.redis.xadd(keys.EVENTS, fields | {"message": "as it was"})
    told = shop.told()
    assert (told.message, told.fault, told.reasons) == ("as it was", None, {})
    assert told.region_texts == ["a: FAILED", "b: GOOD", "c: GOOD"]


def test_a_verdict_that_was_stored_before_there_were_reasons_gets_them_with_the_next_vote(shop: Shop) -> None:
    shop.polled("a", FULL)
    before = '{"verdict":"DEGRADED","since_us":1,"quorum":"majority","regions":{"a":"FAILED","b":"GOOD"}}'
    shop.site.redis.hset(keys.VERDICTS, "shop", before)
    shop.site.redis.hset(keys.STATES, "shop@a", "garbage")
    shop.polled("b", SLOW)
    assert shop.told().region_texts == ["a: FAILED", "b: FAILED (connect) No answer within 30 s"]
