"""The JSON API."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from postbeat import settings
from tests.web.filling import Filling
from tests.web.serving import Client

API = "/api/v1"


def test_the_overview_has_every_region_of_every_element_worst_first(viewer: Client) -> None:
    data = viewer.get(f"{API}/overview").data
    assert data["counts"] == {"FAILED": 0, "DEGRADED": 1, "UNKNOWN": 0, "GOOD": 1}
    assert (data["total"], data["page"], data["pages"]) == (2, 1, 1)
    mail, pop = data["elements"]
    assert (mail["element"], mail["verdict"], mail["group"], mail["kind"]) == (
        "mail",
        "DEGRADED",
        "office",
        "smtp",
    )
    asia, eu, _us = mail["regions"]
    assert (asia["region"], asia["level"], asia["stage"], asia["side"]) == (
        "asia",
        "FAILED",
        "auth",
        "REMOTE",
    )
    assert asia["failures"] == 2
    assert eu["responseTime"] == pytest.approx(0.041)
    assert eu["timeToDeliver"] == pytest.approx(1.5)
    assert [one["level"] for one in pop["regions"]] == ["UNKNOWN", "GOOD"]


def test_elements_are_public_facts_only(viewer: Client) -> None:
    data = viewer.get(f"{API}/elements").data
    assert [one["element"] for one in data["elements"]] == ["box", "mail", "pop"]
    assert not {"password", "username"} & data["elements"][0].keys()
    assert viewer.get(f"{API}/elements?kind=smtp").data["total"] == 1


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("kind=imap4", ["box"]),
        ("q=imap.EXAMPLE", ["box"]),
        ("q=imap.example+eu&region=eu", ["box"]),
        ("region=eu", ["box", "mail", "pop"]),
        ("region=us", ["mail", "pop"]),
        ("group=office", ["mail", "pop"]),
        ("level=UNKNOWN", ["pop"]),  # what is not polled has no level, and no verdict
        ("verdict=GOOD", ["pop"]),
    ],
)
def test_elements_that_nobody_polls_are_found_by_what_the_profile_says(
    viewer: Client, query: str, expected: list[str]
) -> None:
    found = viewer.get(f"{API}/elements?{query}").data
    assert [one["element"] for one in found["elements"]] == expected
    assert found["total"] == len(expected)


def test_an_element_has_its_objective_and_its_latest_round_trips(viewer: Client) -> None:
    data = viewer.get(f"{API}/elements/mail").data
    assert data["objective"]["polls"] == 6
    assert data["objective"]["availability"] == pytest.approx(4 / 6)
    assert {trip["region"] for trip in data["latest"]} == {"asia", "eu", "us"}
    one = viewer.get(f"{API}/elements/mail/regions/asia").data
    assert one["standing"]["level"] == "FAILED"
    assert one["notable"][0]["fault"]["code"] == "auth"


def test_rollups_are_counts_and_percentiles_by_step(viewer: Client) -> None:
    to = int(time.time()) | 1  # never the end of an hour, which would begin no further period
    place = f"{API}/elements/mail/rollups?from={to - 7200}&to={to}&step=hour&timing=uploadTime"
    data = viewer.get(place).data
    assert len(data["periods"]) == 3
    assert data["whole"]["counts"]["poll:FAILED"] == 2
    assert set(data["whole"]["timings"]) == {"uploadTime"}
    assert data["whole"]["timings"]["uploadTime"]["p95"] == pytest.approx(0.025, rel=0.02)
    assert viewer.get(place + "&region=asia").data["whole"]["timings"] == {}


@pytest.mark.parametrize(("step", "days"), [("hour", 35), ("day", settings.KEEP_DAYS_LIMIT)])
def test_a_question_is_of_so_many_days_however_long_ago_they_are(
    viewer: Client, step: str, days: int
) -> None:
    to = int(time.time()) | 1  # never the end of an hour
    place = f"{API}/elements/mail/rollups?to={to}&step={step}&timing=uploadTime"
    whole = viewer.get(f"{place}&from={to - days * 86_400}")
    assert whole.status == 200
    assert whole.data["whole"]["counts"]["poll:FAILED"] == 2
    former = place.replace(f"to={to}", f"to={to - days * 86_400}")
    assert viewer.get(f"{former}&from={to - 2 * days * 86_400}").status == 200
    longer = viewer.get(f"{place}&from={to - days * 86_400 - 1}")
    assert longer.status == 400
    assert f"at most {days} days for steps of {'an' if step == 'hour' else 'a'} {step}" in json.dumps(
        longer.data
    )
    operation: Any = viewer.get(f"{API}/openapi.json").data["paths"][f"{API}/elements/{{name}}/rollups"][
        "get"
    ]
    (told,) = [one["description"] for one in operation["parameters"] if one["name"] == "to"]
    assert f"{days} " in told


def test_results_and_events_are_filtered(viewer: Client) -> None:
    found = viewer.get(f"{API}/results?element=ma*&region=asia&limit=1").data["items"]
    assert [one["poll"] for one in found] == ["mail@asia#2"]
    assert viewer.get(f"{API}/results?since={time.time() + 100}").data["items"] == []
    events = viewer.get(f"{API}/events?element=mail&level=DEGRADED").data["items"]
    assert [one["kind"] for one in events] == ["verdict"]
    (reason,) = [one["reasons"]["asia"] for one in events]
    assert (reason["level"], reason["stage"]) == ("FAILED", "auth")
    assert events[0]["fault"].items() <= reason.items()
    assert events[0]["message"] == reason["message"]
    for kind in ("level", "verdict"):
        kinds = {one["kind"] for one in viewer.get(f"{API}/events?kind={kind}").data["items"]}
        assert kinds == {kind}


def test_the_report_of_a_month_counts_each_element(viewer: Client) -> None:
    month = time.strftime("%Y-%m", time.gmtime())
    data = viewer.get(f"{API}/report?month={month}").data
    mail = next(one for one in data["elements"] if one["element"] == "mail")
    assert mail["objective"]["failed"] == 2
    assert mail["timings"]["timeToDeliver"]["count"] == 4


def test_mailboxes_and_regions_are_told(viewer: Client) -> None:
    boxes = viewer.get(f"{API}/mailboxes").data["items"]
    assert [box["element"] for box in boxes] == ["box", "pop"]
    regions = viewer.get(f"{API}/regions").data["regions"]
    assert [one["region"] for one in regions] == ["asia", "eu", "us"]


@pytest.mark.parametrize(
    ("place", "status", "said"),
    [
        ("overview?limit=0", 400, "limit"),
        ("overview?levle=FAILED", 400, "levle"),
        ("overview?q=a&q=b", 400, "once"),
        ("elements/none", 404, "no such element"),
        ("elements/mail/rollups", 400, "from"),
        ("elements/mail/rollups?from=nan&to=1", 400, "from"),
        ("elements/mail/rollups?from=0&to=1790000000", 400, "expected from before to"),
        ("elements/mail/rollups?from=1&to=2&timing=lunchTime", 400, "timing"),
        ("report?month=2026-13", 400, "month"),
        ("nothing", 404, "nothing here"),
    ],
)
def test_what_is_wrong_with_a_request_is_said_as_a_problem(
    viewer: Client, place: str, status: int, said: str
) -> None:
    answer = viewer.get(f"{API}/{place}")
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in json.dumps(answer.data)
    assert answer.data["status"] == status


def test_maintenance_is_announced_shown_and_ended(operator: Client, viewer: Client) -> None:
    body = {"element": "mail", "seconds": 3600, "why": "a new certificate"}
    made = operator.post_json(f"{API}/maintenance", body)
    assert made.status == 201
    assert made.data["by"] == "otto"
    assert viewer.get(f"{API}/maintenance").data["windows"] == [made.data]
    assert viewer.get(f"{API}/elements/mail").data["maintenance"] is True
    assert operator.ask("DELETE", f"{API}/maintenance/{made.data['id']}").status == 200
    assert viewer.get(f"{API}/elements/mail").data["maintenance"] is False
    assert operator.ask("DELETE", f"{API}/maintenance/none").status == 404


def test_maintenance_begins_now_by_the_clock_of_the_site_and_not_by_that_of_this_host(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    this_host_ns = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: this_host_ns() - 3600 * 10**9)
    body = {"element": "other", "seconds": 3600, "why": "a clock that is slow"}
    made = operator.post_json(f"{API}/maintenance", body).data
    assert made["from"] == pytest.approx(time.time(), abs=600)
    windows = operator.ask("DELETE", f"{API}/maintenance/{made['id']}").data["windows"]
    ended = next((one for one in windows if one["id"] == made["id"]), made)
    assert made["from"] <= ended["to"] <= time.time() + 600


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "text",
        {"element": "mail", "seconds": 1, "why": "x"},
        {"element": "a b", "seconds": 60, "why": "x"},
    ],
)
def test_a_body_that_is_not_what_was_expected_is_refused(operator: Client, body: object) -> None:
    answer = operator.post_json(f"{API}/maintenance", body)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")


def test_a_body_that_is_too_large_or_no_json_is_refused(operator: Client) -> None:
    kind = {"content-type": "application/json"}
    assert operator.ask("POST", f"{API}/probe", b"[" * 100_000, kind).status == 413
    assert operator.ask("POST", f"{API}/probe", b"[" * 60_000, kind).status == 400
    assert operator.ask("POST", f"{API}/probe", b"{}", {"content-type": "text/plain"}).status == 415


def test_metrics_are_served_in_the_format_that_is_asked_for(viewer: Client) -> None:
    plain = viewer.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain")
    assert 'postbeat_level{element="mail",region="asia",level="FAILED"} 1' in plain.text
    accept = {"accept": "application/openmetrics-text"}
    assert viewer.get("/metrics", accept).text.endswith("# EOF\n")


def test_the_document_describes_every_operation(viewer: Client) -> None:
    document: Any = viewer.get(f"{API}/openapi.json").data
    assert document["openapi"] == "3.1.0"
    assert {f"{API}/overview", f"{API}/probe", f"{API}/elements/{{name}}/rollups"} <= document["paths"].keys()
    references = {part.partition('"')[0] for part in json.dumps(document).split('"#/components/schemas/')[1:]}
    assert references <= document["components"]["schemas"].keys()


def test_an_overview_of_seconds_ago_is_not_told_for_long(viewer: Client, filled: Filling) -> None:
    filled.check("us", 7)
    over_s = time.monotonic() + 20
    while viewer.get(f"{API}/overview?q=pop").data["elements"][0]["regions"][0]["level"] != "GOOD":
        assert time.monotonic() < over_s
