"""Without beat there is no news, and no news is never GOOD."""

from __future__ import annotations

import pytest

from postbeat.store.facts import BEAT_SILENT_US, BeatFactsStore, Waits
from postbeat.web.settings import WebSettings
from tests.web.filling import DAY_US, POP, Filling, now_us
from tests.web.serving import Client, served

PLACES = ("/", "/elements/pop", "/elements/pop/eu", "/events", "/mailboxes", "/regions", "/maintenance")
API = ("overview", "elements/pop", "elements/pop/regions/eu", "regions")
SAID = "Beat was last seen"


@pytest.fixture
def site(redis_url: str) -> WebSettings:
    """Of two regions, both GOOD."""
    with Filling.open(redis_url, POP) as filling:
        filling.check("eu", 1)
        filling.check("us", 1)
    return WebSettings(redis_url=redis_url, public_groups=("office",))


def beat_was_seen(settings: WebSettings, at_us: int) -> None:
    store = BeatFactsStore(settings.redis_url)
    store.write({"at_us": at_us, "pairs": 2}, Waits(), published=2)
    store.close()


def silent_since(client: Client) -> set[float | None]:
    return {client.get(f"/api/v1/{place}").data["beatSilentSince"] for place in API}


def test_where_beat_was_last_seen_long_ago_every_page_says_so_and_nothing_is_good_to_the_public(
    site: WebSettings,
) -> None:
    at_us = now_us() - 2 * DAY_US
    beat_was_seen(site, at_us)
    with served(site) as client:
        for place in PLACES:
            for part in ("", "?fragment=1"):
                assert SAID in client.get(place + part).text, place
        status = client.get("/status/office").text
        assert SAID in status
        assert "UNKNOWN" in status
        assert "GOOD" not in status
        assert "FAILED" in client.get("/regions").text.partition("</h2>")[0].partition('id="beat"')[2]
        assert silent_since(client) == {at_us / 1e6}


@pytest.mark.parametrize("ago_us", [None, 0, BEAT_SILENT_US // 2])
def test_where_beat_was_seen_a_moment_ago_or_never_ran_levels_are_those_that_were_told(
    site: WebSettings, ago_us: int | None
) -> None:
    if ago_us is not None:
        beat_was_seen(site, now_us() - ago_us)
    with served(site) as client:
        for place in PLACES:
            assert SAID not in client.get(place).text, place
        assert "Everything works." in client.get("/status/office").text
        beat = client.get("/regions").text.partition("</h2>")[0].partition('id="beat"')[2]
        assert ("UNKNOWN" if ago_us is None else "GOOD") in beat
        assert silent_since(client) == {None}
