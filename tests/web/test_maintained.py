"""What fails in maintenance needs nobody: it is told apart from what does not work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from postbeat.elements import SmtpElement
from postbeat.model import Level
from postbeat.profile import Profile
from postbeat.store.maintenance import MaintenanceStore
from postbeat.web.settings import WebSettings
from postbeat.windows import Window
from tests.web.conftest import PASSWORD, People
from tests.web.filling import DAY_US, MAIL, Filling, now_us
from tests.web.serving import Client, served
from tests.web.test_pages import rows

WELL = replace(MAIL, name="well", description="Well", read=None)
SICK = replace(WELL, name="sick", description="Sick", group="other")
PLANNED = replace(
    WELL, name="planned", description="Planned", maintenance=(Window.parse("daily 00:00-24:00"),)
)


@pytest.fixture
def filling(redis_url: str) -> Iterator[Filling]:
    """Of well all regions are GOOD; of sick two fail, and so of planned, whose maintenance never ends."""
    with Filling.open(redis_url, WELL, SICK, PLANNED) as filling:
        for element in (WELL, SICK, PLANNED):
            filling.send("eu", 1, element=element)
            for region in ("us", "asia"):
                level = Level.GOOD if element is WELL else Level.FAILED
                filling.send(region, 1, level, element=element)
        yield filling


@contextmanager
def page(redis_url: str) -> Iterator[Client]:
    with served(WebSettings(redis_url=redis_url, public_groups=("office", "other"))) as client:
        yield client


def announce(redis_url: str, element: str, region: str) -> None:
    store = MaintenanceStore(redis_url)
    store.add(element, region, from_us=now_us() - DAY_US, to_us=now_us() + DAY_US, why="new disks")
    store.close()


@pytest.mark.usefixtures("filling")
def test_what_is_in_maintenance_is_counted_and_sorted_apart(redis_url: str) -> None:
    with page(redis_url) as client:
        assert rows(client.get("/").text) == ["sick", "planned", "well"]
        assert rows(client.get("/?verdict=FAILED").text) == ["sick"]
        assert rows(client.get("/?verdict=MAINTENANCE").text) == ["planned"]
        assert rows(client.get("/?level=FAILED").text) == ["sick", "planned"]
        assert "In maintenance <b>1</b>" in " ".join(client.get("/").text.replace("</span>", "").split())
        data = client.get("/api/v1/overview").data
        assert data["counts"] == {"FAILED": 1, "DEGRADED": 0, "UNKNOWN": 0, "GOOD": 1}
        assert data["inMaintenance"] == 1
        assert [(one["verdict"], one["inMaintenance"]) for one in data["elements"]] == [
            ("FAILED", False),
            ("FAILED", True),
            ("GOOD", False),
        ]
        found = client.get("/api/v1/overview?verdict=MAINTENANCE").data
        assert [one["element"] for one in found["elements"]] == ["planned"]


@pytest.mark.usefixtures("filling")
def test_a_status_page_does_not_call_maintenance_an_outage(redis_url: str) -> None:
    with page(redis_url) as client:
        text = client.get("/status/office").text
        assert "All that is not in maintenance works." in text
        assert "FAILED" not in text
        assert text.count("In maintenance") == 1
        assert "Something does not work." in client.get("/status/other").text
    announce(redis_url, "well", "*")
    with page(redis_url) as client:
        assert "All that is not in maintenance works." in client.get("/status/office").text  # well is GOOD
    announce(redis_url, "sick", "*")
    with page(redis_url) as client:
        assert "All of it is in maintenance." in client.get("/status/other").text


@pytest.mark.usefixtures("filling")
@pytest.mark.parametrize("way", ["page", "API"])
def test_maintenance_announced_or_ended_here_shows_at_once_wherever_one_looks(
    redis_url: str, people: People, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr("postbeat.web.site.BOARD_S", 3600.0)  # who looks again sees what was seen before
    monkeypatch.setattr("postbeat.web.site.PUBLIC_S", 3600.0)
    wanted = {"element": "sick", "region": "*", "seconds": "3600", "why": "new disks"}
    with served(WebSettings(redis_url=redis_url, users=str(people.file), public_groups=("other",))) as server:
        client = Client(server.port, people.operator_token if way == "API" else "")
        if way == "page":
            assert client.log_in("otto", PASSWORD).status == 303
            wanted["csrf"] = client.csrf("/maintenance")
        assert "Something does not work." in client.get("/status/other").text
        assert rows(client.get("/?verdict=FAILED").text) == ["sick"]
        if way == "API":
            assert client.post_json("/api/v1/maintenance", wanted | {"seconds": 3600}).status == 201
        else:
            assert client.post_form("/maintenance", wanted).status == 303
        assert rows(client.get("/?verdict=FAILED").text) == []
        assert rows(client.get("/?verdict=MAINTENANCE").text) == ["planned", "sick"]
        assert "All of it is in maintenance." in client.get("/status/other").text
        (window,) = client.get("/api/v1/maintenance").data["windows"]
        if way == "API":
            assert client.ask("DELETE", f"/api/v1/maintenance/{window['id']}").status == 200
        else:
            assert client.post_form(f"/maintenance/{window['id']}/end", wanted).status == 303
        assert rows(client.get("/?verdict=FAILED").text) == ["sick"]
        assert "Something does not work." in client.get("/status/other").text


@pytest.mark.usefixtures("filling")
def test_a_failure_in_another_region_than_that_in_maintenance_still_counts(redis_url: str) -> None:
    announce(redis_url, "sick", "us")
    with page(redis_url) as client:
        assert rows(client.get("/?verdict=FAILED").text) == ["sick"]
    announce(redis_url, "sick", "asia")
    with page(redis_url) as client:
        assert rows(client.get("/?verdict=FAILED").text) == []
        assert rows(client.get("/?verdict=MAINTENANCE").text) == ["planned", "sick"]


def test_a_group_that_is_slow_everywhere_is_not_said_to_fail_somewhere(
    redis_url: str, filling: Filling
) -> None:
    for region in WELL.regions:
        filling.send(region, 2, Level.MARGINAL, element=WELL)
    with page(redis_url) as client:
        said = "Some of it is slower than it should be, or does not work everywhere."
        assert said in client.get("/status/office").text


@pytest.mark.parametrize(
    "elements",
    [(WELL, SICK, replace(PLANNED, maintenance=())), (WELL, SICK)],
    ids=["the window", "the element"],
)
def test_what_failed_in_a_window_is_no_outage_once_this_has_left_the_profile(
    redis_url: str, filling: Filling, elements: tuple[SmtpElement, ...]
) -> None:
    filling.beat.publish_profile(Profile({one.name: one for one in elements}))
    month = time.strftime("%Y-%m", time.gmtime())
    with page(redis_url) as client:
        for element, polls, excused in (("planned", 0, 3), ("sick", 3, 0)):
            assert client.get(f"/api/v1/elements/{element}").data["objective"]["polls"] == polls
            (row,) = client.get(f"/api/v1/report?month={month}&element={element}").data["elements"]
            assert (row["objective"]["polls"], row["maintenance"]) == (polls, excused)


@pytest.mark.parametrize(
    ("element", "region", "is_idle"), [("nosuch-*", "*", True), ("sick", "mars", True), ("s*", "*", False)]
)
@pytest.mark.usefixtures("filling")
def test_a_window_that_no_element_fits_says_so(
    redis_url: str, element: str, region: str, is_idle: bool
) -> None:
    announce(redis_url, element, region)
    with page(redis_url) as client:
        assert ("fits no element" in client.get("/maintenance").text) is is_idle
