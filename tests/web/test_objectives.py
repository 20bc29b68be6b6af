"""The page and the metrics tell the same of an element's objective."""

from __future__ import annotations

from dataclasses import replace

from postbeat.metrics import Exposition
from postbeat.model import Level
from postbeat.web.site import Site
from tests.web.filling import DAY_US, MAIL, Filling, now_us

RELAY = replace(MAIL, name="relay", regions=("eu",), read=None)
MINUTE_US = 60_000_000


def metric(body: bytes, series: str) -> float:
    (value,) = [
        line.rpartition(" ")[2] for line in body.decode().splitlines() if line.startswith(series + " ")
    ]
    return float(value)


def test_the_page_and_the_metrics_tell_the_same_of_30_days_and_of_each_window(redis_url: str) -> None:
    at_us = now_us()
    long_ago_us = at_us - 30 * DAY_US + 60 * MINUTE_US
    with Filling.open(redis_url, RELAY) as filling:
        filling.send("eu", 1, Level.FAILED, element=RELAY, at_us=long_ago_us)
        filling.send("eu", 2, Level.FAILED, element=RELAY, at_us=at_us - 62 * MINUTE_US)
        for slot in range(3, 9):
            filling.send("eu", slot, element=RELAY, at_us=at_us)
    site, exposition = Site(redis_url), Exposition(redis_url)
    standing = site.standing("relay")
    assert standing is not None
    past = site.past(standing, DAY_US, "hour")
    body, _ = exposition.render()
    site.close()
    exposition.close()
    assert past.slo.availability == metric(body, 'postbeat_availability_ratio{element="relay"}') == 6 / 8
    for name, rate in past.burns.items():
        window = f'element="relay",window="{name.replace(" ", "")}"'
        assert rate == metric(body, f"postbeat_error_budget_burn_rate{{{window}}}"), name
    assert past.burns["1 h"] == 0
