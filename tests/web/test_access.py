"""Who may see what, and what a foreign page cannot make a browser do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from postbeat.settings import SettingsError
from postbeat.web import settings
from postbeat.web.app import make_app
from postbeat.web.settings import WebSettings
from postbeat.web.users import Role, User, hashed, read, write
from tests.web.conftest import PASSWORD, People
from tests.web.serving import Client, served

MAINTENANCE = {"element": "mail", "seconds": "3600", "why": "tests"}


def test_a_stranger_is_sent_to_the_login_and_back_to_where_they_wanted(stranger: Client) -> None:
    sent = stranger.get("/elements/mail?range=7d")
    assert sent.status == 303
    assert sent.headers["location"] == "/login?next=%2Felements%2Fmail%3Frange%3D7d"
    entered = stranger.log_in("vera", PASSWORD, "/elements/mail?range=7d")
    assert (entered.status, entered.headers["location"]) == (303, "/elements/mail?range=7d")
    page = stranger.get("/elements/mail")
    assert page.status == 200
    assert "vera (viewer)" in page.text


@pytest.mark.parametrize(
    "wanted", ["//evil.example/", "/\\evil.example", "https://evil.example/", "evil", "/a\nb"]
)
def test_the_login_leads_to_no_foreign_place(stranger: Client, wanted: str) -> None:
    assert stranger.log_in("vera", PASSWORD, wanted).headers["location"] == "/"


@pytest.mark.parametrize("place", ["/api/v1/overview", "/api/v1/openapi.json", "/metrics", "/events/stream"])
def test_programs_are_refused_by_a_problem(stranger: Client, place: str) -> None:
    answer = stranger.get(place)
    assert (answer.status, answer.headers["content-type"]) == (401, "application/problem+json")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    stranger.token = "pb_wrong"
    assert stranger.get(place).status == 401


@pytest.mark.parametrize(
    ("name", "password"), [("vera", "mistaken"), ("nobody", PASSWORD), ("vera", "x" * 100_0)]
)
def test_a_wrong_login_is_refused_and_does_not_say_what_was_wrong(
    stranger: Client, name: str, password: str
) -> None:
    answer = stranger.log_in(name, password)
    assert answer.status == 401
    assert "Name or password is wrong" in answer.text
    assert password not in answer.text
    assert stranger.get("/").status == 303


def test_the_cookie_is_kept_from_scripts_and_foreign_pages(stranger: Client) -> None:
    stranger.log_in("vera", PASSWORD)
    for cookie in stranger.cookies_seen:
        assert "httponly" in cookie.lower()
        assert "samesite=lax" in cookie.lower()


def test_a_changed_cookie_is_nobodys(stranger: Client) -> None:
    stranger.log_in("vera", PASSWORD)
    assert stranger.get("/").status == 200
    for cookie in (stranger.cookie[:-1], "x", "a.b.c", stranger.cookie.swapcase()):
        stranger.cookie = cookie
        assert stranger.get("/").status == 303


def test_logging_out_ends_the_session_in_this_browser(stranger: Client) -> None:
    stranger.log_in("vera", PASSWORD)
    assert stranger.post_form("/logout", {"csrf": stranger.csrf("/")}).status == 303
    assert stranger.get("/").status == 303


def test_a_form_without_the_token_of_the_session_is_refused(stranger: Client) -> None:
    stranger.log_in("otto", PASSWORD)
    token = stranger.csrf("/maintenance")
    for wrong in ("", token[:-1], token.swapcase()):
        assert stranger.post_form("/maintenance", MAINTENANCE | {"csrf": wrong}).status == 403
    assert stranger.post_form("/logout", {}).status == 403
    assert stranger.post_json("/api/v1/maintenance", MAINTENANCE).status == 403
    assert stranger.post_form("/maintenance", MAINTENANCE | {"csrf": token}).status == 303
    window = stranger.get("/api/v1/maintenance").data["windows"][0]["id"]
    assert stranger.ask("DELETE", f"/api/v1/maintenance/{window}").status == 403
    assert stranger.post_form(f"/maintenance/{window}/end", {"csrf": token}).status == 303


def test_the_token_of_one_session_is_of_no_use_in_another(server: Client) -> None:
    one, other = Client(server.port), Client(server.port)
    one.log_in("otto", PASSWORD)
    other.log_in("otto", PASSWORD)
    assert one.post_form("/maintenance", MAINTENANCE | {"csrf": other.csrf("/maintenance")}).status == 403


def test_the_login_itself_wants_a_token(stranger: Client) -> None:
    stranger.csrf()
    answer = stranger.post_form("/login", {"name": "vera", "password": PASSWORD})
    assert answer.status == 403


@pytest.mark.parametrize(
    ("method", "place"),
    [("POST", "/api/v1/maintenance"), ("POST", "/api/v1/probe"), ("DELETE", "/api/v1/maintenance/1")],
)
def test_viewers_change_nothing(viewer: Client, method: str, place: str) -> None:
    body = b'{"element": "mail", "seconds": 3600, "why": "x"}'
    answer = viewer.ask(method, place, body, {"content-type": "application/json"})
    assert answer.status == 403
    assert "operators" in answer.data["detail"]


def test_viewers_see_no_forms_for_what_they_may_not_do(stranger: Client) -> None:
    stranger.log_in("vera", PASSWORD)
    assert "Announce maintenance" not in stranger.get("/elements/mail").text
    token = stranger.csrf("/")
    assert stranger.post_form("/maintenance", MAINTENANCE | {"csrf": token}).status == 403


def test_every_answer_has_the_headers_that_keep_browsers_safe(server: Client, viewer: Client) -> None:
    places = ["/", "/login", "/nothing", "/api/v1/overview", "/static/live.js", "/status/office", "/?page=0"]
    for client, place in [(client, place) for client in (server, viewer) for place in places]:
        headers = client.get(place).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
        assert "strict-transport-security" not in headers


def test_only_the_page_with_charts_allows_styles_of_a_script(viewer: Client) -> None:
    policy = viewer.get("/elements/mail").headers["content-security-policy"]
    assert "style-src 'self' 'unsafe-inline'" in policy
    assert "script-src 'self';" in policy


def test_too_many_failures_have_a_name_wait_and_no_other(redis_server: str, people: People) -> None:
    with served(WebSettings(redis_url=redis_server, users=str(people.file))) as client:
        statuses = [client.log_in("vera", "wrong").status for _ in range(6)]
        assert statuses == [401] * 5 + [429]
        refused = client.log_in("vera", PASSWORD)
        assert refused.status == 429
        assert 0 < int(refused.headers["retry-after"]) <= 300
        assert "Too many tries" in refused.text
        assert client.log_in("otto", PASSWORD).status == 303


def test_a_change_of_the_file_counts_at_once(redis_server: str, people: People, tmp_path: Path) -> None:
    file = tmp_path / "users.yaml"
    users = read(people.file)
    write(file, users)
    with served(WebSettings(redis_url=redis_server, users=str(file))) as client:
        client.log_in("vera", PASSWORD)
        assert client.get("/").status == 200
        users["vera"] = User("vera", Role.VIEWER, hashed("another password"))
        write(file, users)
        assert client.get("/").status == 303
        file.write_text("this is no file of users")
        client.token = people.operator_token
        assert client.get("/").status == 200


def test_without_users_this_machine_may_look_and_nobody_change_anything(redis_server: str) -> None:
    with served(WebSettings(redis_url=redis_server)) as client:
        assert client.get("/").status == 200
        assert client.post_json("/api/v1/maintenance", {}).status == 403
        assert client.get("/", {"host": "evil.example"}).status == 421
        assert client.get("/", {"host": f"localhost:{client.port}"}).status == 200


def test_without_users_it_does_not_listen_to_others() -> None:
    with pytest.raises(SettingsError, match=r"does not listen on 0\.0\.0\.0: make a file of users"):
        make_app(WebSettings(redis_url="redis://127.0.0.1/", host="0.0.0.0"))


def test_a_proxy_is_believed_where_it_is_trusted(redis_server: str, people: People) -> None:
    believed = settings.load(
        {}, redis_url=redis_server, users=str(people.file), proxy_header="X-User", trusted_proxies="127.0.0.1"
    )
    with served(believed) as client:
        assert "vera (viewer)" in client.get("/", {"x-user": "vera"}).text
        assert "otto (operator)" in client.get("/", {"x-user": "otto"}).text
        assert "guest (viewer)" in client.get("/", {"x-user": "guest"}).text
        assert client.get("/").status == 303
        client.cookie = ""
        secure = client.get("/", {"x-user": "vera", "x-forwarded-proto": "https"}).headers
        assert "secure" in secure["set-cookie"].lower()
        assert "strict-transport-security" in secure
    doubted = settings.load({}, redis_url=redis_server, proxy_header="X-User", trusted_proxies="192.0.2.0/24")
    with served(doubted) as client:
        assert client.get("/", {"x-user": "otto", "x-forwarded-proto": "https"}).status == 303


@pytest.mark.parametrize("name", ["ACME\\vera", "vera+ops@example.com"])
def test_a_proxy_names_users_of_domains_and_by_addresses(redis_server: str, name: str) -> None:
    believed = settings.load({}, redis_url=redis_server, proxy_header="X-User", trusted_proxies="127.0.0.1")
    with served(believed) as client:
        assert f"{name} (viewer)" in client.get("/", {"x-user": name}).text


def test_a_name_that_is_none_is_refused_by_a_text_and_logged(
    redis_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    believed = settings.load({}, redis_url=redis_server, proxy_header="X-User", trusted_proxies="127.0.0.1")
    with served(believed) as client:
        page = client.get("/", {"x-user": "Vera Jones"})
        assert (page.status, page.headers["content-type"]) == (403, "text/html; charset=utf-8")
        assert "no name here" in page.text
        assert client.get("/api/v1/overview", {"x-user": "Vera Jones"}).status == 403
        assert client.get("/static/postbeat.css", {"x-user": "Vera Jones"}).status == 200
    assert "the proxy names a user 'Vera Jones', which is no name" in caplog.text


def test_a_token_that_the_proxy_passes_on_is_not_taken_for_one_of_ours(
    redis_server: str, people: People
) -> None:
    believed = settings.load(
        {}, redis_url=redis_server, users=str(people.file), proxy_header="X-User", trusted_proxies="127.0.0.1"
    )
    with served(believed) as client:
        foreign = {"authorization": "Bearer eyJ.a.b"}
        assert "vera (viewer)" in client.get("/", foreign | {"x-user": "vera"}).text
        assert client.get("/api/v1/overview", foreign).status == 401
        ours = {"authorization": f"Bearer {people.operator_token}", "x-user": "vera"}
        assert "otto (operator)" in client.get("/", ours).text
        assert client.get("/api/v1/overview", ours | {"authorization": "Bearer pb_wrong"}).status == 401


def test_a_proxy_header_needs_the_addresses_of_the_proxy() -> None:
    with pytest.raises(SettingsError, match="POSTBEAT_WEB_TRUSTED_PROXIES"):
        make_app(WebSettings(redis_url="redis://127.0.0.1/", proxy_header="X-User"))


def test_redis_away_is_said_on_pages_and_to_programs(people: People) -> None:
    with served(WebSettings(redis_url="redis://127.0.0.1:1/", users=str(people.file))) as client:
        client.token = people.viewer_token
        page = client.get("/")
        assert page.status == 503
        assert re.search("Redis does not answer", page.text)
        assert client.get("/api/v1/overview").data["detail"] == "Redis does not answer"
