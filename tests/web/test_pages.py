"""The pages, as a browser without JavaScript gets them."""

from __future__ import annotations

import re
from html import unescape
from http.client import HTTPConnection
from urllib.parse import parse_qs, unquote_plus

import pytest

from postbeat.model import Level
from tests.web.conftest import PASSWORD
from tests.web.filling import CANARY, HOSTILE, Filling
from tests.web.serving import Client

PAGES = [
    "/",
    "/?q=mail",
    "/elements/mail",
    "/elements/mail/asia",
    "/elements/mail?range=7d",
    "/elements/mail?range=30d",
    "/elements/pop",
    "/elements/box",
    "/events",
    "/mailboxes",
    "/regions",
    "/maintenance",
    "/status/office",
    "/login",
]
API = [
    "/api/v1/overview",
    "/api/v1/elements",
    "/api/v1/elements/mail",
    "/api/v1/elements/mail/regions/asia",
    "/api/v1/elements/mail/rollups?from=1790000000&to=1792000000",
    "/api/v1/results",
    "/api/v1/events",
    "/api/v1/mailboxes",
    "/api/v1/regions",
    "/api/v1/report?month=2026-11",
    "/api/v1/maintenance",
    "/api/v1/openapi.json",
    "/metrics",
]


def rows(text: str) -> list[str]:
    """The elements of the overview, in their order."""
    return re.findall(r'<th scope="row"><a href="/elements/([^"]+)">', text)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_whole_and_has_no_script_or_style_of_its_own(viewer: Client, page: str) -> None:
    answer = viewer.get(page)
    assert answer.status == 200
    assert answer.text.rstrip().endswith("</html>")
    assert answer.text.count("<h1>") == 1
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?! src=)", answer.text)
    assert set(re.findall(r'(?:src|href)="(https?:)?//', answer.text)) == set()


@pytest.mark.parametrize("place", [*PAGES, *API])
def test_no_secret_is_in_any_page_or_answer(operator: Client, place: str) -> None:
    answer = operator.get(place)
    assert answer.status == 200
    assert CANARY not in answer.text
    assert CANARY not in str(answer.headers)


def test_the_worst_element_comes_first_and_says_which_region_and_stage(viewer: Client) -> None:
    text = viewer.get("/").text
    assert rows(text) == ["mail", "pop"]
    assert "DEGRADED" in text
    assert re.search(r'l-failed" href="/elements/mail/asia"', text)
    assert "<b>auth</b>: 535 5.7.8 authentication failed" in text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=MAIL", ["mail"]),
        ("q=authentication+535", ["mail"]),
        ("q=nothing+like+it", []),
        ("level=GOOD", ["mail", "pop"]),  # a region of mail is GOOD
        ("level=DEGRADED", ["mail"]),
        ("level=FAILED", ["mail"]),
        ("level=FAILED&region=eu", []),
        ("region=asia", ["mail"]),
        ("group=office", ["mail", "pop"]),
        ("group=other", []),
        ("kind=pop3", ["pop"]),
        ("limit=1", ["mail"]),
        ("limit=1&page=2", ["pop"]),
        ("limit=1&page=99", ["pop"]),
    ],
)
def test_the_overview_is_filtered_and_paged_by_its_address(
    viewer: Client, query: str, expected: list[str]
) -> None:
    assert rows(viewer.get(f"/?{query}").text) == expected


def test_a_fragment_is_the_part_of_the_page_that_changes(viewer: Client) -> None:
    part = viewer.get("/?fragment=1").text
    assert rows(part) == ["mail", "pop"]
    assert "<html" not in part


def test_an_element_shows_what_its_servers_said_and_how_the_message_travelled(viewer: Client) -> None:
    text = viewer.get("/elements/mail").text
    for said in (
        "220 smtp.example.com ready",
        "535 5.7.8 authentication failed",
        "250 2.0.0 queued as 4711",
        "OK logged in",
        "store.example.com",
        "TLS_AES_256_GCM_SHA384",
        "2033-05-18",
        "spf pass",
        "Error budget left",
    ):
        assert said in text, said
    assert 'class="p99" d="M' in text
    assert text.count('class="d-') == 30


def test_a_region_of_an_element_has_a_page_of_its_own(viewer: Client) -> None:
    text = viewer.get("/elements/mail/asia").text
    assert "535 5.7.8" in text
    assert "queued as 4711" not in text
    assert viewer.get("/elements/mail/nowhere").status == 404


@pytest.mark.parametrize(
    ("page", "status"),
    [("/elements/none", 404), ("/nothing", 404), ("/?page=0", 400), ("/elements/mail?range=1y", 400)],
)
def test_what_is_not_there_is_said_on_a_page(viewer: Client, page: str, status: int) -> None:
    answer = viewer.get(page)
    assert answer.status == status
    assert answer.headers["content-type"].startswith("text/html")
    assert "<h1>" in answer.text


def test_the_status_page_is_for_everybody_and_tells_no_host_and_no_reply(stranger: Client) -> None:
    answer = stranger.get("/status/office")
    assert answer.status == 200
    assert "set-cookie" not in answer.headers
    assert "Outgoing mail" in answer.text
    assert "DEGRADED" in answer.text
    for hidden in ("example.com", "535", "192.0.2.1", "asia", "/elements/", "authentication"):
        assert hidden not in answer.text, hidden


def test_only_groups_that_are_public_have_a_status_page(stranger: Client, viewer: Client) -> None:
    assert stranger.get("/status/other").status == 404
    assert viewer.get("/status/other").status == 404


def test_mailboxes_and_events_are_listed(viewer: Client) -> None:
    assert "imap4:probe@imap.example.com:143/INBOX" in viewer.get("/mailboxes").text
    events = viewer.get("/events?element=mail&region=asia&level=FAILED").text
    assert "535 5.7.8" in events
    assert "Nothing fits" in viewer.get("/events?element=pop&level=FAILED").text
    assert "535 5.7.8" not in viewer.get("/events?element=mail&region=asia&level=FAILED&kind=verdict").text


def test_a_verdict_says_which_regions_disagree_at_which_stage_and_why(viewer: Client) -> None:
    events = viewer.get("/events?element=mail&level=DEGRADED&kind=verdict").text
    assert "(stage auth)" in events
    assert "<li>asia: FAILED (auth) 535 5.7.8" in events
    assert "<li>eu: GOOD</li>" in events


@pytest.mark.parametrize("blank", ["", "+"])
def test_an_empty_filter_is_no_filter(viewer: Client, blank: str) -> None:
    emptied = viewer.get(f"/events?element={blank}&region={blank}&level=&kind=")
    assert emptied.status == 200
    assert rows(emptied.text) == rows(viewer.get("/events").text)


def test_a_script_of_ours_is_told_what_is_wrong_by_a_text(viewer: Client) -> None:
    answer = viewer.get("/events?level=BAD&fragment=1")
    assert (answer.status, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert answer.text.startswith("Query level: ")


@pytest.mark.parametrize("typed", ["mail+x", "m%C3%A4il", "mail,", "%5B"])
def test_what_no_name_has_fits_no_event_and_the_form_stays(viewer: Client, typed: str) -> None:
    answer = viewer.get(f"/events?element={typed}")
    assert answer.status == 200
    assert "Nothing fits" in answer.text
    assert f'name="element" value="{unquote_plus(typed)}"' in answer.text
    assert viewer.get(f"/api/v1/events?element={typed}").data == {"items": []}


TALLY = re.compile(r'<a href="(/\?[^"]*verdict=[^"]*)"[^>]*>.*?<b>(\d+)</b></a>')


@pytest.mark.parametrize(
    ("page", "counts"),
    [
        ("/", {"DEGRADED": 1, "GOOD": 1}),
        ("/?level=UNKNOWN", {"GOOD": 1}),  # of pop, a region gives no news
        ("/?region=asia", {"DEGRADED": 1}),
        ("/?q=pop&limit=1", {"GOOD": 1}),
        ("/?verdict=GOOD", {"DEGRADED": 1, "GOOD": 1}),
    ],
)
def test_a_number_of_the_tally_leads_to_as_many_elements(
    viewer: Client, page: str, counts: dict[str, int]
) -> None:
    links = [(unescape(place), int(count)) for place, count in TALLY.findall(viewer.get(page).text)]
    assert {parse_qs(place[2:])["verdict"][0]: count for place, count in links} == counts
    for place, count in links:
        assert f"{count} of 2 elements" in viewer.get(place).text, place


def test_links_and_forms_keep_all_that_was_asked_for(viewer: Client) -> None:
    text = viewer.get("/?group=office&limit=1&q=o").text
    assert 'rel="next" href="/?q=o&amp;group=office&amp;limit=1&amp;page=2"' in text
    text = viewer.get("/?kind=smtp&limit=3").text
    assert (
        '<input type="hidden" name="kind" value="smtp"><input type="hidden" name="limit" value="3">' in text
    )
    assert '<input type="hidden" name="since" value="5.0">' in viewer.get("/events?since=5").text


def test_what_a_form_expects_is_said_in_words(server: Client) -> None:
    client = Client(server.port)
    assert client.log_in("otto", PASSWORD).status == 303
    form = {
        "csrf": client.csrf("/maintenance"),
        "element": "mail x",
        "region": "*",
        "seconds": "1800",
        "why": "x",
    }
    answer = client.post_form("/maintenance", form)
    assert answer.status == 400
    assert "Form element: expected letters, digits and . _ -, with * and ? for any others." in answer.text


def test_what_a_filter_expects_is_said_in_words_that_can_be_typed(viewer: Client) -> None:
    for place in ("/", "/api/v1/overview"):
        answer = viewer.get(f"{place}?verdict=BAD")
        assert answer.status == 400
        expected = "'', 'FAILED', 'DEGRADED', 'UNKNOWN', 'MAINTENANCE' or 'GOOD'"
        assert expected in unescape(answer.text)


def test_a_filter_by_what_nothing_has_can_be_seen_in_its_form(viewer: Client) -> None:
    for name, known in (("region", "eu"), ("group", "office")):
        text = viewer.get(f"/?{name}=nowhere").text
        assert rows(text) == []
        assert "<option selected>nowhere</option>" in text
        assert text.count(f"<option>{known}</option>") == 1
        assert viewer.get(f"/?{name}={known}").text.count(f"<option selected>{known}</option>") == 1


def test_what_a_server_says_is_text_and_never_markup(viewer: Client, filled: Filling) -> None:
    filled.send("us", 3, Level.FAILED, message=HOSTILE)
    for page in ("/elements/mail", "/elements/mail/us", "/events", "/?q=%3Cscript%3E"):
        text = viewer.get(page).text
        assert "<script>alert" not in text
        assert "&lt;script&gt;" in text, page


@pytest.mark.parametrize(
    ("path", "encoding"),
    [("/static/postbeat.css", "gzip"), ("/static/plotly.min.js", "gzip"), ("/login", None)],
)
def test_files_are_compressed_and_pages_with_their_tokens_are_not(
    stranger: Client, path: str, encoding: str | None
) -> None:
    connection = HTTPConnection("127.0.0.1", stranger.port, timeout=30)
    try:
        connection.request("GET", path, headers={"accept-encoding": "gzip"})
        answer = connection.getresponse()
        assert (answer.status, answer.headers.get("content-encoding")) == (200, encoding)
    finally:
        connection.close()
