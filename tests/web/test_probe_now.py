"""Probe now: a poll from where the page runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from postbeat.web.settings import WebSettings
from tests.ports import free_port
from tests.web.conftest import PASSWORD, People
from tests.web.filling import CANARY, Filling
from tests.web.serving import Client, served


@pytest.fixture(scope="module")
def site(
    filled: Filling, redis_server: str, people: People, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    profile = tmp_path_factory.mktemp("profile") / "profile.yaml"
    profile.write_text(
        f"""
elements:
  - {{name: mail, type: smtp, server: 127.0.0.1, port: {free_port()}, timeout: 5, regions: [eu, us],
     username: probe, password: {CANARY}-probe}}
"""
    )
    settings = WebSettings(redis_url=redis_server, users=str(people.file), profile=str(profile))
    with served(settings) as client:
        yield client


def test_an_operator_gets_the_result_and_nothing_is_recorded(
    site: Client, people: People, redis_server: str
) -> None:
    operator = Client(site.port, people.operator_token)
    with redis.Redis.from_url(redis_server) as client:
        before = client.xlen("postbeat:results")
        answer = operator.post_json("/api/v1/probe", {"element": "mail", "region": "us"})
        assert client.xlen("postbeat:results") == before
    assert answer.status == 200
    assert answer.data["level"] == "FAILED"
    assert answer.data["trip"]["region"] == "us"
    assert answer.data["trip"]["send"]["fault"]["code"] == "refused"
    assert CANARY not in answer.text


@pytest.mark.parametrize("body", [{"element": "none"}, {"element": "mail", "region": "mars"}])
def test_only_what_is_in_the_profile_is_probed(site: Client, people: People, body: dict[str, str]) -> None:
    assert Client(site.port, people.operator_token).post_json("/api/v1/probe", body).status == 404


def test_the_button_of_a_page_shows_the_conversation(site: Client) -> None:
    client = Client(site.port)
    assert client.log_in("otto", PASSWORD).status == 303
    page = client.get("/elements/mail")
    assert page.status == 200, page.text
    assert 'action="/elements/mail/probe"' in page.text, page.text
    token = client.csrf("/elements/mail")
    shown = client.post_form("/elements/mail/probe", {"csrf": token, "region": "eu"})
    assert shown.status == 200
    assert "connect" in shown.text
    assert "It is not recorded" in shown.text
    assert CANARY not in shown.text
    assert client.post_form("/elements/mail/probe", {"csrf": "x", "region": "eu"}).status == 403


def test_the_address_of_a_probe_loaded_anew_leads_to_its_element(site: Client, people: People) -> None:
    viewer = Client(site.port, people.viewer_token)
    answer = viewer.get("/elements/mail/probe")
    assert (answer.status, answer.headers["location"]) == (303, "/elements/mail")
    assert viewer.get("/elements/none/probe").status == 404


def test_without_a_profile_there_is_nothing_to_probe(server: Client, operator: Client) -> None:
    answer = operator.post_json("/api/v1/probe", {"element": "mail"})
    assert (answer.status, "--profile" in answer.data["detail"]) == (409, True)
