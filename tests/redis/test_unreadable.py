"""What is damaged in Redis, or was written by a later version, hides nothing but itself."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import pytest

from postbeat import codec
from postbeat.delivery import Outcome
from postbeat.model import Level
from postbeat.publicfacts import public_facts
from postbeat.results import VerdictEvent
from postbeat.store import keys
from postbeat.store.measures import MeasuresView
from postbeat.verdict import Verdict
from tests.redis.site import BOX, MAIL, PAIR, PROFILE, Site

VERDICT: dict[Any, Any] = {
    "kind": "verdict",
    "element": "mail",
    "was": "GOOD",
    "verdict": "FAILED",
    "at_us": "1",
    "poll": "mail@lab#1",
    "regions": '{"lab": "FAILED"}',
    "message": "x",
}


@pytest.mark.parametrize(
    "damage",
    [
        {"verdict": "SOMEWHAT"},
        {"regions": "{"},
        {"regions": "[]"},
        {"poll": "?"},
        {"kind": "of another sort"},
    ],
)
def test_an_event_that_cannot_be_read_is_left_out(
    site: Site, damage: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    before = site.view.last_entry(keys.EVENTS)
    site.redis.xadd(keys.EVENTS, VERDICT)
    site.redis.xadd(keys.EVENTS, VERDICT | damage)
    bad = site.view.last_entry(keys.EVENTS)
    site.redis.xadd(keys.EVENTS, VERDICT)
    listed = site.view.events(10, lambda _: True)
    assert [event.verdict for event in listed if isinstance(event, VerdictEvent)] == 2 * [Verdict.FAILED]
    assert list(islice(site.view.follow_events(before), 2)) == listed
    assert f"entry {bad} of {keys.EVENTS} cannot be read" in caplog.text


def test_a_result_that_cannot_be_read_is_left_out(site: Site) -> None:
    site.send(1)
    (whole,) = site.results()
    site.binary.xadd(keys.RESULTS, {"r": codec.pack(whole)[:-5]})
    site.binary.xadd(keys.RESULTS, {"another": "field"})
    site.send(2, Level.FAILED)
    assert [result.poll.slot for result in site.results()] == [1, 2]
    assert [result.poll.slot for result in islice(site.view.follow_results("0-0"), 2) if result] == [1, 2]


def test_a_latest_or_notable_result_that_cannot_be_read_counts_as_none(site: Site) -> None:
    site.send(1)
    site.send(2, Level.FAILED)
    site.redis.hset(keys.latest(site.results()[0].phase), str(PAIR), "garbage")
    site.redis.lpush(keys.notable(str(PAIR)), "garbage")
    for state in (site.state(), site.view.state(PAIR)):
        assert state is not None
        assert (state.round_trip.send, state.level) == (None, Level.FAILED)
    assert [result.poll.slot for result in site.view.notable(PAIR)] == [2]


def test_an_outcome_that_only_a_later_version_knows_counts_as_none(site: Site, redis_url: str) -> None:
    site.send(1)
    site.read(1, outcome=Outcome.DELIVERED)
    site.redis.hset(keys.pair(str(PAIR)), "outcome", "teleported")
    short = str(site.redis.hget(keys.STATES, str(PAIR)))
    site.redis.hset(keys.STATES, str(PAIR), short.replace('"delivered"', '"teleported"'))
    (summary,) = site.view.overview()
    view = MeasuresView(redis_url)
    assert (summary.outcome, site.state().outcome, view.of([PAIR])[0].outcome) == (None, None, None)
    view.close()


@pytest.mark.parametrize(
    "damage",
    [
        "garbage",
        "[]",
        pytest.param('{"name": "mail"}', id="an earlier version's"),
        '{"maintenance": 5}',
        '{"maintenance": ["never"]}',
    ],
)
def test_facts_that_cannot_be_read_are_replaced_when_a_profile_is_published(site: Site, damage: str) -> None:
    site.beat.publish_profile(PROFILE)
    before = site.redis.hgetall(keys.PROFILE)
    site.redis.hset(keys.PROFILE, "mail", damage)
    site.redis.hset(keys.PROFILE, "gone", damage)
    site.beat.publish_profile(PROFILE)
    assert site.redis.hgetall(keys.PROFILE) == before
    assert not site.redis.exists(keys.FORMER_MAINTENANCE)


def test_facts_that_a_later_version_has_more_of_are_read_as_far_as_they_are_known(site: Site) -> None:
    site.beat.publish_profile(PROFILE)
    later = public_facts(MAIL) | {"mood": "fine"}
    site.redis.hset(keys.PROFILE, "mail", json.dumps(later))
    assert site.view.profile()["mail"].server == MAIL.server
    site.send(1)
    site.redis.hset(keys.mailbox(BOX.mailbox), "facts", '{"mood": "fine"}')
    assert site.mailbox().facts is None
