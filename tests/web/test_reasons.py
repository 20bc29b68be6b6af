"""What counts is told with its reason, though a newer poll, which does not count yet, says something else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from postbeat.model import Level
from postbeat.web.settings import WebSettings
from tests.web.filling import MAIL, Filling
from tests.web.serving import Client, served
from tests.web.test_pages import rows

DAMPED = replace(MAIL, read=None, confirmpolls=3, description="Outgoing mail")


@pytest.fixture
def recovering(redis_url: str) -> Iterator[Client]:
    """The page of an element that failed in eu, where one poll was GOOD since; us is slow, asia is GOOD."""
    with Filling.open(redis_url, DAMPED) as filling:
        for slot in (1, 2, 3):
            filling.send("eu", slot, Level.FAILED, element=DAMPED, message="554 eu is broken")
            filling.send("us", slot, Level.MARGINAL, element=DAMPED, message="us is slow")
            filling.send("asia", slot, element=DAMPED)
        filling.send("eu", 4, element=DAMPED)
    with served(WebSettings(redis_url=redis_url)) as client:
        yield client


def test_the_overview_says_why_while_the_worst_region_recovers(recovering: Client) -> None:
    text = recovering.get("/").text
    assert "<b>auth</b>: 554 eu is broken" in text
    assert DAMPED.description not in text  # which stands there where all is well
    assert rows(recovering.get("/?q=eu+is+broken").text) == ["mail"]


def test_an_element_says_why_a_region_counts_as_another_level_than_it_has(recovering: Client) -> None:
    text = recovering.get("/elements/mail").text
    assert "counts as FAILED: 554 eu is broken" in text
    (eu,) = re.findall(r'<tr><th scope="row"><a href="/elements/mail/eu">.*?</tr>', text, re.DOTALL)
    assert "Message sent" in eu


def test_the_api_says_why_each_region_counts_as_it_does(recovering: Client) -> None:
    (found,) = recovering.get("/api/v1/overview").data["elements"]
    (eu,) = [one for one in found["regions"] if one["region"] == "eu"]
    assert (eu["level"], eu["confirmed"], eu["message"]) == ("GOOD", "FAILED", "Message sent")
    assert {region: reason["message"] for region, reason in found["reasons"].items()} == {
        "eu": "554 eu is broken",
        "us": "us is slow",
    }
    assert (found["reasons"]["eu"]["level"], found["reasons"]["eu"]["stage"]) == ("FAILED", "auth")
