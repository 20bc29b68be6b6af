"""The verdict on an element over its regions: its changes are events, whatever comes in what order."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postbeat import histogram
from postbeat.delivery import Delivery, Outcome
from postbeat.figures import TIMINGS
from postbeat.grade import merged
from postbeat.model import FaultCode, Kind, Level, Pair, Phase, Poll, Side
from postbeat.profile import Profile
from postbeat.results import Attempt, TlsFacts
from postbeat.store import keys
from postbeat.store.records import Pending
from postbeat.verdict import Quorum, Verdict, verdict_of
from tests.redis.site import BOX, BOX_PAIR, MAIL, PAIR, PROFILE, SILENCE_US, WAKE, Site, result

REGIONS = ("lab", "east", "west")
QUORUMS = ("any", "majority", "all", 1, 2, 3)
GONE_OUT = (Level.GOOD, Level.MARGINAL)
KEPT = (keys.pair, keys.raw, keys.timing, keys.notable)
AFTERS = {Level.MARGINAL: Outcome.LATE, Level.FAILED: Outcome.LOST}


@dataclass
class PairModel:
    """What the store should say of one pair, in Python; ``polls`` are the levels of those that count."""

    confirmpolls: int
    level: Level = Level.UNKNOWN
    confirmed: Level = Level.UNKNOWN
    known: Level | None = None  # the last confirmed one that was not UNKNOWN
    silent: int = 0  # polls that were UNKNOWN since there was news
    polls: list[Level] = field(default_factory=list)
    failures: int = 0
    newest: dict[Phase, int] = field(default_factory=dict)
    halves: dict[Phase, Level] = field(default_factory=dict)
    counted: int = -1
    sent: set[int] = field(default_factory=set)
    pending: set[int] = field(default_factory=set)
    awaited: set[int] = field(default_factory=set)

    def take(self, phase: Phase, slot: int, level: Level) -> bool:
        """Whether the result is new."""
        if not self._is_new(phase, slot, level):
            return False
        before = self.level
        if phase is Phase.AFTER:
            if self.newest.get(Phase.READ) == slot:
                self._stand(Phase.READ, level, alone=False)
                if self.level is not before and self.counted == slot and self.level is not self.polls[-1]:
                    self.silent -= self.polls.pop() is Level.UNKNOWN
                    self._count(self.level)
            return True
        if slot >= self.newest.get(phase, -1):
            self.newest[phase] = slot
            is_end = phase is Phase.READ or level not in GONE_OUT
            self._stand(phase, level, alone=is_end and phase is Phase.SEND and Phase.READ not in self.halves)
            if is_end and slot > self.counted:
                self.counted = slot
                self._count(self.level)
        return True

    def _is_new(self, phase: Phase, slot: int, level: Level) -> bool:
        if phase is Phase.SEND:
            if slot in self.sent:
                return False
            self.sent.add(slot)
            if level in GONE_OUT:
                self.pending.add(slot)
            return True
        waiting = self.pending if phase is Phase.READ else self.awaited
        if slot not in waiting:
            return False
        waiting.remove(slot)
        if phase is Phase.READ and level not in GONE_OUT:
            self.awaited.add(slot)
        return True

    def _stand(self, half: Phase, level: Level, *, alone: bool) -> None:
        self.halves[half] = level
        send, read = (self.halves.get(phase, Level.UNKNOWN) for phase in (Phase.SEND, Phase.READ))
        self.level = level if alone else merged(send, read)

    def _count(self, level: Level) -> None:
        self.polls.append(level)
        if level is Level.FAILED:
            self.failures += 1
        elif level is not Level.UNKNOWN:
            self.failures = 0
        if level is Level.UNKNOWN:
            self.silent = self.silent + 1 if self.confirmed is Level.UNKNOWN else 1
            self.confirmed = level
            return
        told = [one for one in self.polls if one is not Level.UNKNOWN]
        is_first = self.confirmed is Level.UNKNOWN and self.silent >= self.confirmpolls
        if self.known is None or is_first or told[-self.confirmpolls :] == [level] * self.confirmpolls:
            self.known = level
        self.confirmed = self.known


# Parts of a poll that come at a stretch: mostly whole polls in their order, and parts of earlier ones.
STRETCHES = st.sampled_from(
    [
        (Phase.SEND, Phase.READ, Phase.AFTER),
        (Phase.SEND, Phase.READ),
        (Phase.SEND,),
        (Phase.READ, Phase.AFTER),
        (Phase.AFTER,),
    ]
)
OFTEN_SENT = st.sampled_from([Level.GOOD, Level.GOOD, Level.GOOD, *Level])
STEPS = st.lists(
    st.tuples(st.sampled_from(REGIONS), STRETCHES, st.integers(-2, 1), OFTEN_SENT, st.sampled_from(Level)),
    max_size=20,
)


def parts(
    steps: list[tuple[str, tuple[Phase, ...], int, Level, Level]],
) -> Iterator[tuple[str, Phase, int, Level]]:
    """The results of some steps: region, phase, slot and level."""
    for place, (region, phases, offset, sent, found) in enumerate(steps):
        after = Level.FAILED if found is Level.UNKNOWN else Level.MARGINAL
        levels = {Phase.SEND: sent, Phase.READ: found, Phase.AFTER: after}
        for phase in phases:
            yield region, phase, max(0, place // 2 + offset), levels[phase]


class Regions:
    """One element in several regions, as workers record its results."""

    def __init__(self, site: Site, quorum: Quorum = "majority", confirmpolls: int = 1) -> None:
        self.site = site
        fields: dict[str, Any] = {"quorum": quorum, "confirmpolls": confirmpolls}
        self.element = replace(MAIL, regions=REGIONS, **fields)

    def record(self, region: str, phase: Phase, slot: int, level: Level) -> bool:
        """Whether it was new."""
        site, at_us = self.site, self.site.now_us()
        before = site.redis.xlen(keys.RESULTS)
        outcome = AFTERS.get(level) if phase is Phase.AFTER else None
        found = result(slot, phase, level, at_us, Pair("mail", region), outcome=outcome)
        if phase is Phase.SEND:
            site.run(site.worker.record_send(self.element, found, BOX.mailbox, WAKE))
            return site.redis.xlen(keys.RESULTS) > before
        with site.reader() as desk:
            if phase is Phase.AFTER:
                return site.run(desk.record_after(found))
            following = None if level in GONE_OUT else Pending(found.poll, 1, 0, 0, 0)
            return site.run(desk.record(found, following))

    def poll(self, region: str, slot: int, level: Level) -> None:
        """A poll from end to end."""
        self.record(region, Phase.SEND, slot, Level.GOOD if level in GONE_OUT else level)
        if level in GONE_OUT:
            self.record(region, Phase.READ, slot, level)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, quorum=st.sampled_from(QUORUMS), confirmpolls=st.integers(1, 3))
def test_verdict_events_are_exactly_the_changes_of_the_verdict(
    site: Site,
    steps: list[tuple[str, tuple[Phase, ...], int, Level, Level]],
    quorum: Quorum,
    confirmpolls: int,
) -> None:
    site.redis.flushall()
    regions = Regions(site, quorum, confirmpolls)
    models = {region: PairModel(confirmpolls) for region in REGIONS}
    changes = [Verdict.UNKNOWN]
    taken: Counter[str] = Counter()
    for region, phase, slot, level in parts(steps):
        is_new = models[region].take(phase, slot, level)
        before = recorded(site)
        assert regions.record(region, phase, slot, level) is is_new
        assert is_new or recorded(site) == before
        taken[region] += is_new
        verdict = verdict_of({name: model.confirmed for name, model in models.items()}, quorum)
        if verdict is not changes[-1]:
            changes.append(verdict)
    events = site.verdict_events()
    assert [(event.was, event.verdict) for event in events] == list(pairwise(changes))
    for summary in site.view.overview():
        model = models[summary.pair.region]
        assert (summary.level, summary.confirmed) == (model.level, model.confirmed)
        assert (summary.failures, summary.failed_since_us is not None) == (model.failures, model.failures > 0)
        assert summary.polls == len(model.sent)
    assert {region: len(site.figures(Pair("mail", region))) for region in REGIONS} == {
        region: taken[region] for region in REGIONS
    }
    if events:
        (told,) = site.view.verdicts()
        assert (told.verdict, told.since_us) == (changes[-1], events[-1].at_us)
        assert told.regions == {name: model.confirmed for name, model in models.items() if model.polls}


def recorded(site: Site) -> list[bytes | None]:
    """What recording writes of an element, for comparing."""
    by_region = [key(f"mail@{region}") for key in KEPT for region in REGIONS]
    with site.redis.pipeline(transaction=False) as pipe:
        for name in (keys.STATES, keys.VERDICTS, keys.EVENTS, keys.RESULTS, keys.EXPECTED, *by_region):
            pipe.dump(name)
        return list(pipe.execute())


def test_the_rule_of_the_store_is_that_of_the_rest(site: Site) -> None:
    script = f"{keys.script('verdict')}\nreturn verdict_of(cjson.decode(ARGV[1]), ARGV[2])"
    for number in range(1, 4):
        for levels in product(Level, repeat=number):
            regions = dict(zip(REGIONS, levels, strict=False))
            for quorum in QUORUMS:
                told = site.redis.eval(script, 0, json.dumps(regions), str(quorum))
                assert told == verdict_of(regions, quorum), (regions, quorum)


def test_a_poll_whose_end_comes_after_that_of_a_later_one_does_not_count_in_the_row(site: Site) -> None:
    regions = Regions(site, confirmpolls=2)
    regions.record("lab", Phase.SEND, 1, Level.GOOD)
    regions.record("lab", Phase.SEND, 2, Level.FAILED)
    regions.record("lab", Phase.READ, 1, Level.FAILED)
    (found,) = site.view.overview()
    assert (found.level, found.failures) == (Level.FAILED, 1)


def test_each_poll_has_one_last_result_in_the_log(site: Site) -> None:
    regions = Regions(site)
    for slot, level in enumerate(Level):
        regions.poll("lab", slot, level)
    regions.record("lab", Phase.SEND, 9, Level.GOOD)
    regions.record("lab", Phase.READ, 9, Level.FAILED)
    regions.record("lab", Phase.AFTER, 9, Level.MARGINAL)
    ends = Counter(figures.slot for figures in site.figures() if figures.terminal)
    assert ends == dict.fromkeys([*range(len(Level)), 9], 1)


def test_a_level_counts_for_the_verdict_after_so_many_polls(site: Site) -> None:
    regions = Regions(site, confirmpolls=3)
    for slot, level in enumerate([Level.GOOD, Level.FAILED, Level.FAILED, Level.GOOD, Level.FAILED]):
        regions.poll("lab", slot, level)
    assert [event.verdict for event in site.verdict_events()] == [Verdict.GOOD]
    regions.poll("lab", 5, Level.FAILED)
    regions.poll("lab", 6, Level.FAILED)
    assert [event.verdict for event in site.verdict_events()] == [Verdict.GOOD, Verdict.FAILED]


@pytest.mark.parametrize(("before", "after"), [(Level.GOOD, Level.FAILED), (Level.FAILED, Level.GOOD)])
def test_silence_takes_the_vote_away_at_once_and_the_first_news_gives_it_back(
    site: Site, before: Level, after: Level
) -> None:
    regions = Regions(site, confirmpolls=3)
    votes = []
    levels = [before, Level.UNKNOWN, after, Level.UNKNOWN, after, before, after, Level.UNKNOWN, after, after]
    for slot, level in enumerate(levels):
        regions.poll("lab", slot, level)
        votes.append(site.view.overview()[0].confirmed)
    silent = Level.UNKNOWN
    assert votes == [before, silent, before, silent, before, before, before, silent, before, after]


def test_after_a_silence_as_long_as_a_row_the_first_news_counts_at_once(site: Site) -> None:
    regions = Regions(site, confirmpolls=3)
    regions.poll("lab", 1, Level.FAILED)
    for slot in (2, 3, 4):
        regions.poll("lab", slot, Level.UNKNOWN)
    regions.poll("lab", 5, Level.GOOD)
    assert [event.verdict for event in site.verdict_events()][-2:] == [Verdict.UNKNOWN, Verdict.GOOD]


def test_what_came_late_corrects_no_poll_that_was_counted_since(site: Site) -> None:
    regions = Regions(site, confirmpolls=1)
    regions.poll("lab", 1, Level.GOOD)
    regions.record("lab", Phase.SEND, 2, Level.GOOD)
    regions.record("lab", Phase.READ, 2, Level.FAILED)
    regions.poll("lab", 3, Level.UNKNOWN)
    regions.record("lab", Phase.SEND, 4, Level.GOOD)
    regions.record("lab", Phase.AFTER, 2, Level.MARGINAL)
    assert [event.verdict for event in site.verdict_events()][-2:] == [Verdict.FAILED, Verdict.UNKNOWN]


def test_the_first_news_of_all_counts_at_once(site: Site) -> None:
    regions = Regions(site, confirmpolls=3)
    regions.poll("lab", 1, Level.UNKNOWN)
    regions.poll("lab", 2, Level.FAILED)
    assert [event.verdict for event in site.verdict_events()] == [Verdict.FAILED]


def test_a_message_that_came_late_corrects_a_poll_that_was_unknown(site: Site) -> None:
    regions = Regions(site, confirmpolls=2)
    regions.poll("lab", 1, Level.GOOD)
    for slot in (2, 3):
        regions.record("lab", Phase.SEND, slot, Level.GOOD)
        regions.record("lab", Phase.READ, slot, Level.UNKNOWN)
        regions.record("lab", Phase.AFTER, slot, Level.FAILED)
    assert [event.verdict for event in site.verdict_events()] == [
        Verdict.GOOD,
        *(Verdict.UNKNOWN, Verdict.GOOD),
        *(Verdict.UNKNOWN, Verdict.FAILED),
    ]


@pytest.mark.parametrize("vote", [Level.GOOD, Level.UNKNOWN])
def test_a_vote_that_was_stored_before_silence_hid_any_goes_on(site: Site, vote: Level) -> None:
    regions = Regions(site, confirmpolls=3)
    regions.poll("lab", 1, vote)
    # As it was written when polls that are UNKNOWN made a row of their own.
    row = ["streak_level", str(vote), "streak", "1", "streak_before", "UNKNOWN 0"]
    site.redis.hset(keys.pair("mail@lab"), items=row)
    for slot in (2, 4):
        regions.poll("lab", slot, Level.UNKNOWN)
        regions.poll("lab", slot + 1, Level.FAILED)
    voted = Level.GOOD if vote is Level.GOOD else Level.FAILED
    assert site.view.overview()[0].confirmed is voted


def test_a_message_that_came_late_corrects_the_poll_and_no_other(site: Site) -> None:
    regions = Regions(site, confirmpolls=2)
    regions.poll("lab", 1, Level.GOOD)
    for slot in (2, 3):
        regions.record("lab", Phase.SEND, slot, Level.GOOD)
        regions.record("lab", Phase.READ, slot, Level.FAILED)
        if slot == 2:
            assert site.view.overview()[0].failures == 1
        regions.record("lab", Phase.AFTER, slot, Level.MARGINAL)
        assert site.view.overview()[0].failures == 0
    assert [event.verdict for event in site.verdict_events()] == [Verdict.GOOD, Verdict.DEGRADED]


def test_an_event_tells_the_verdict_of_all_regions_and_what_brought_it_about(site: Site) -> None:
    regions = Regions(site, quorum=2)
    regions.poll("lab", 1, Level.FAILED)
    regions.poll("east", 1, Level.FAILED)
    first, second = site.verdict_events()
    assert (first.was, first.verdict, first.regions) == (
        Verdict.UNKNOWN,
        Verdict.DEGRADED,
        {"lab": Level.FAILED},
    )
    assert (second.element, second.verdict) == ("mail", Verdict.FAILED)
    assert second.regions == {"lab": Level.FAILED, "east": Level.FAILED}
    assert (str(second.poll), second.message) == ("mail@east#1", "452 no space")
    assert first.id < second.id


def test_a_quorum_counts_from_the_first_poll_of_a_round_trip_on(site: Site) -> None:
    regions = Regions(site, quorum=2)
    regions.record("lab", Phase.SEND, 1, Level.GOOD)
    regions.record("lab", Phase.READ, 1, Level.FAILED)
    assert [event.verdict for event in site.verdict_events()] == [Verdict.DEGRADED]


def test_a_changed_quorum_is_in_force_with_the_next_result(site: Site) -> None:
    Regions(site, "all").poll("lab", 1, Level.GOOD)
    Regions(site, "all").poll("east", 1, Level.FAILED)
    Regions(site, "any").poll("east", 2, Level.FAILED)
    assert [event.verdict for event in site.verdict_events()] == [
        Verdict.GOOD,
        Verdict.DEGRADED,
        Verdict.FAILED,
    ]
    (told,) = site.view.verdicts()
    assert (told.quorum, told.verdict) == ("any", Verdict.FAILED)


def test_a_region_that_leaves_the_profile_has_no_vote_and_an_element_without_any_no_verdict(
    site: Site,
) -> None:
    regions = Regions(site)
    regions.poll("lab", 1, Level.GOOD)
    regions.poll("east", 1, Level.FAILED)
    long_ago = {f"mail@{region}": site.now_us() - SILENCE_US for region in ("lab", "east")}
    site.redis.zadd(keys.EXPECTED, long_ago, xx=True)
    site.beat.sweep(Profile({"mail": replace(regions.element, regions=("lab",)), "box": BOX}))
    # "lab" was silent by the same sweep, so that nobody has a vote any more.
    (told,) = site.view.verdicts()
    assert told.regions == {"lab": Level.UNKNOWN}
    assert [event.verdict for event in site.verdict_events()][-1] is Verdict.UNKNOWN
    site.redis.zadd(keys.EXPECTED, {"mail@lab": 1}, xx=True)
    site.beat.sweep(Profile({}))
    assert site.view.verdicts() == []
    assert site.view.overview() == []


def test_the_verdict_is_recomputed_when_a_region_leaves(site: Site) -> None:
    regions = Regions(site, "any")
    regions.poll("lab", 1, Level.GOOD)
    regions.poll("east", 7, Level.FAILED)
    site.redis.zadd(keys.EXPECTED, {"mail@east": 1}, xx=True)
    site.beat.sweep(Profile({"mail": replace(regions.element, regions=("lab",)), "box": BOX}))
    last = site.verdict_events()[-1]
    assert (last.was, last.verdict, last.regions) == (Verdict.FAILED, Verdict.GOOD, {"lab": Level.GOOD})
    assert (str(last.poll), last.message) == ("mail@east#7", "mail@east has left the profile")


def measured(slot: int, at_us: int, phase: Phase = Phase.SEND) -> Attempt:
    times_us = (
        {"lookupTime": 1_000, "responseTime": 20_000, "uploadTime": 300_000} if phase is Phase.SEND else {}
    )
    tls = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", True, expires_at_us=1_900_000_000_000_000)
    return Attempt(1, at_us, 400_000, times_us=times_us, accepted_at_us=at_us, tls=tls)


def test_the_short_state_has_the_newest_figures_of_both_halves(site: Site) -> None:
    at_us = site.now_us()
    sent = replace(result(7, Phase.SEND, Level.GOOD, at_us), attempts=(measured(7, at_us),))
    site.run(site.worker.record_send(MAIL, sent, BOX.mailbox, WAKE))
    read = result(7, Phase.READ, Level.GOOD, at_us + 5, outcome=Outcome.DELIVERED)
    read = replace(read, delivery=Delivery(4_000_000, 25_000, 3))
    with site.reader() as desk:
        site.run(desk.record(read))
    (found,) = site.view.overview()
    assert (found.pair, found.kind, found.level, found.confirmed) == (PAIR, Kind.SMTP, Level.GOOD, Level.GOOD)
    assert (found.since_us, found.at_us, found.polls) == (at_us + 5, at_us + 5, 1)
    assert (found.why, found.phase, found.outcome) == ("read 7 went well", Phase.READ, Outcome.DELIVERED)
    assert (found.response_us, found.upload_us, found.deliver_us, found.total_us) == (
        20_000,
        300_000,
        4_000_000,
        400_000,
    )
    assert (found.code, found.side, found.stage, found.failures) == ("", "", "", 0)
    assert (found.failed_since_us, found.expires_at_us) == (None, 1_900_000_000_000_000)


def test_the_short_state_and_the_event_tell_the_fault(site: Site) -> None:
    at_us = site.now_us()
    for slot in (1, 2):
        site.send(slot, Level.FAILED, at_us=at_us + slot)
    (found,) = site.view.overview()
    assert (found.code, found.side, found.why) == (FaultCode.REPLY, Side.REMOTE, "452 no space")
    assert (found.failures, found.failed_since_us, found.response_us) == (2, at_us + 1, None)
    (event,) = site.events()
    assert event.fault == result(1, Phase.SEND, Level.FAILED, 1).fault


def test_what_is_expected_is_in_the_overview_before_anything_came(site: Site) -> None:
    site.beat.expect(PROFILE, site.now_us())
    site.beat.publish_profile(PROFILE)
    found = {summary.pair: summary for summary in site.view.overview()}
    assert set(found) == set(site.view.pairs()) == {PAIR, BOX_PAIR}
    assert (found[PAIR].level, found[PAIR].why, found[PAIR].polls) == (Level.UNKNOWN, "No result yet", 0)
    assert found[BOX_PAIR].kind is Kind.POP3
    assert {told.element: told.regions for told in site.view.verdicts()} == {
        "mail": {"lab": Level.UNKNOWN},
        "box": {"lab": Level.UNKNOWN},
    }
    site.send(1, Level.FAILED)
    site.beat.expect(PROFILE, site.now_us())
    site.beat.publish_profile(PROFILE)
    assert {told.element: told.verdict for told in site.view.verdicts()}["mail"] is Verdict.FAILED


def test_the_facts_of_a_profile_are_those_of_the_one_in_force(site: Site) -> None:
    element = replace(MAIL, group="shop", username="user-canary", description="Orders")
    site.beat.publish_profile(Profile({"mail": element, "box": BOX}))
    facts = site.view.profile()["mail"]
    assert (facts.name, facts.type, facts.regions, facts.group) == ("mail", Kind.SMTP, ("lab",), "shop")
    assert (facts.poll, facts.read, facts.quorum) == (10, "box", "majority")
    site.beat.publish_profile(Profile({"box": BOX}))
    assert list(site.view.profile()) == ["box"]
    assert b"canary" not in b"".join(site.dump().values())


def test_what_was_not_good_or_changed_the_level_is_kept_whole_the_last_four(site: Site) -> None:
    site.send(0)
    site.read(0)
    for slot in range(1, 12):
        site.send(slot, Level.FAILED)
    kept = site.view.notable(PAIR)
    assert [one.poll.slot for one in kept] == list(range(8, 12))
    assert kept[-1] == site.results()[-1]
    assert [one.poll.slot for one in site.view.notable(PAIR, 2)] == [10, 11]


def test_times_are_counted_for_good(site: Site) -> None:
    for slot in range(3):
        at_us = site.now_us()
        sent = replace(result(slot, Phase.SEND, Level.GOOD, at_us), attempts=(measured(slot, at_us),))
        site.run(site.worker.record_send(MAIL, sent, BOX.mailbox, WAKE))
        site.run(site.worker.record_send(MAIL, sent, BOX.mailbox, WAKE))
    stored = cast("dict[str, str]", site.redis.hgetall(keys.timing(str(PAIR))))
    place = TIMINGS.index("uploadTime")
    assert stored[f"{place}:{histogram.index(300_000)}"] == "3"
    assert stored[f"{place}:sum"] == "900000"
    assert {name.partition(":")[0] for name in stored} == {
        str(TIMINGS.index(name)) for name in ("lookupTime", "responseTime", "uploadTime", "totalTime")
    }


def test_a_pair_that_has_left_the_profile_counts_nothing_new(site: Site) -> None:
    site.send(7)
    site.redis.zadd(keys.EXPECTED, {str(PAIR): 1}, xx=True)
    site.beat.sweep(Profile({"box": BOX}))
    assert site.read(7)
    assert [figures.phase for figures in site.figures()] == [Phase.SEND]
    assert site.view.overview() == []
    assert site.view.state(PAIR) is None


def test_the_log_of_a_pair_that_comes_back_has_no_end_any_more(site: Site) -> None:
    site.send(7)
    site.redis.zadd(keys.EXPECTED, {str(PAIR): 1}, xx=True)
    site.beat.sweep(Profile({"box": BOX}))
    assert site.redis.ttl(keys.raw(str(PAIR))) > 0
    site.send(8)
    assert site.redis.ttl(keys.raw(str(PAIR))) == -1
    assert [figures.slot for figures in site.figures()] == [7, 8]


@pytest.mark.parametrize("level", Level)
def test_one_pair_is_told_as_it_is_among_all(site: Site, level: Level) -> None:
    site.send(1, level)
    site.check(3)
    assert [site.view.state(state.pair) for state in site.view.states()] == site.view.states()
    assert site.view.state(Pair("nobody", "lab")) is None


def test_a_check_has_a_verdict_too(site: Site) -> None:
    site.check(1, Level.FAILED)
    (event,) = site.verdict_events()
    assert (event.element, event.verdict, event.poll) == ("box", Verdict.FAILED, Poll("box", "lab", 1))
