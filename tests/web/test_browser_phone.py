"""What a phone shows of a site whose regions have names of their own, and some of which is in maintenance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from postbeat.model import Level
from postbeat.web.settings import WebSettings
from postbeat.windows import Window
from tests.web.conftest import PHONE, assert_accessible, opened
from tests.web.filling import MAIL, Filling
from tests.web.serving import served

REGIONS = ("ap-south", "eu-west", "us-east")
FAR = replace(MAIL, name="far", regions=REGIONS)
PLANNED = replace(
    FAR, name="planned", read=None, group="other", maintenance=(Window.parse("daily 00:00-24:00"),)
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_names_of_regions_stand_on_one_line_and_maintenance_is_legible(
    browser: Browser, redis_url: str, screenshots: Path, scheme: str
) -> None:
    with Filling.open(redis_url, FAR, PLANNED) as filling:
        for region in REGIONS:
            filling.send(region, 1, element=FAR)
            filling.read(region, 1, element=FAR)
            filling.send(region, 1, Level.FAILED, element=PLANNED)
    with served(WebSettings(redis_url=redis_url, public_groups=("other",))) as server:
        context = opened(browser, server, "", PHONE, scheme)
        page = context.new_page()
        page.goto("/elements/far")
        table = page.get_by_role("table", name="Time to deliver by region")
        for region in REGIONS:
            name = table.get_by_role("rowheader", name=region)
            high = name.evaluate("one => one.clientHeight / parseFloat(getComputedStyle(one).lineHeight)")
            assert high < 2, region
        for place in ("/elements/far", "/", "/elements/planned", "/status/other"):
            page.goto(place)
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE, place
            shot = screenshots / f"phone{place.replace('/', '-')}-{scheme}.png"
            page.screenshot(path=shot, full_page=True)
            assert_accessible(page, place)
        context.close()
