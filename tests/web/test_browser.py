"""The page in a real Chromium: live, by keyboard, on a phone, in both schemes, and for screen readers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from postbeat.model import Level
from tests.web.conftest import PASSWORD, PHONE, assert_accessible, opened
from tests.web.filling import Filling
from tests.web.serving import Client

PLACES = {
    "overview": "/",
    "element": "/elements/mail",
    "events": "/events",
    "mailboxes": "/mailboxes",
    "regions": "/regions",
    "maintenance": "/maintenance",
    "status": "/status/office",
    "login": "/login",
}
# Axe takes a second for each; all levels and colours are on the first two, and those are judged in both.
FOR_AXE = {
    "light": ("overview", "element", "regions", "maintenance", "login"),
    "dark": ("overview", "element", "events", "mailboxes", "status"),
}


@pytest.fixture(scope="module")
def session(browser: Browser, server: Client) -> str:
    """The cookie of an operator who has logged in."""
    client = Client(server.port)
    assert client.log_in("otto", PASSWORD).status == 303
    return client.cookie


@pytest.fixture
def page(browser: Browser, server: Client, session: str) -> Iterator[Page]:
    """A page of somebody who has logged in; it must cause no error in the browser's console."""
    errors: list[str] = []
    context = opened(browser, server, session)
    page = context.new_page()
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def troubled(browser: Browser, server: Client, session: str) -> Iterator[Page]:
    """The same where what goes wrong on purpose shows in the console."""
    context = opened(browser, server, session)
    yield context.new_page()
    context.close()


def test_from_the_overview_to_what_the_server_said(page: Page, screenshots: Path) -> None:
    page.goto("/")
    page.screenshot(path=screenshots / "overview.png", full_page=True)
    page.get_by_role("link", name="mail", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("mail")
    expect(page.get_by_text("535 5.7.8 authentication failed").first).to_be_visible()
    page.locator("#poll-eu > summary").click()
    expect(page.locator("#poll-eu").get_by_text("250 2.0.0 queued as 4711")).to_be_visible()
    page.screenshot(path=screenshots / "element.png", full_page=True)


def test_a_change_is_shown_and_told_without_a_reload(page: Page, filled: Filling, screenshots: Path) -> None:
    page.goto("/")
    expect(page.locator("#live[data-live=yes]")).to_be_attached()
    page.evaluate("window.stays = true")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="mail", exact=True))
    expect(row).to_contain_text("DEGRADED")
    filled.send("us", 21, Level.FAILED)
    expect(row.get_by_role("cell").first).to_contain_text("FAILED")
    expect(page.get_by_role("status")).to_contain_text("mail")
    assert page.evaluate("window.stays") is True
    page.screenshot(path=screenshots / "changed.png", full_page=True)
    filled.round_trip("us", 22)
    expect(row.get_by_role("cell").first).to_contain_text("DEGRADED")


def test_a_new_result_is_shown_on_its_elements_page_and_what_was_open_stays_open(
    page: Page, filled: Filling
) -> None:
    page.goto("/elements/mail")
    expect(page.locator("#live[data-live=yes]")).to_be_attached()
    page.locator("#poll-eu > summary").click()
    page.locator("#poll-eu > summary").focus()
    filled.send("eu", 31, Level.UNKNOWN, message="no file of ours")
    expect(page.locator("#poll-eu")).to_contain_text("no file of ours")
    expect(page.locator("#poll-eu")).to_have_attribute("open", "")
    expect(page.locator("#poll-eu > summary")).to_be_focused()
    filled.round_trip("eu", 32)


def test_the_table_is_filtered_as_one_types_and_the_address_can_be_shared(page: Page) -> None:
    page.goto("/")
    page.get_by_role("searchbox", name="Search").press_sequentially("pop")
    links = page.locator("tbody th a")
    expect(links).to_have_text(["pop"])
    expect(page.get_by_role("status")).to_contain_text("1 of 2 elements")
    expect(page).to_have_url(re.compile(r"/\?q=pop$"))
    page.get_by_label("Region").select_option("asia")
    expect(links).to_have_count(0)
    shared = page.url
    page.get_by_role("searchbox", name="Search").fill("")
    expect(links).to_have_text(["mail"])
    page.goto(shared)
    expect(page.get_by_role("searchbox", name="Search")).to_have_value("pop")
    expect(links).to_have_count(0)


def test_what_is_typed_is_added_to_what_the_address_asks_for(page: Page) -> None:
    page.goto("/?kind=pop3&limit=1")
    page.get_by_role("searchbox", name="Search").press_sequentially("eu")
    expect(page).to_have_url(re.compile(r"q=eu.*&kind=pop3&limit=1$"))
    expect(page.locator("tbody th a")).to_have_text(["pop"])


def test_what_is_typed_that_no_name_has_shows_nothing_and_says_so(page: Page) -> None:
    page.goto("/events")
    expect(page.locator("#live tbody tr").first).to_be_visible()
    page.get_by_label("Element").fill("mail x")
    expect(page.locator("#live")).to_contain_text("Nothing fits.")
    expect(page.locator("#live tbody tr")).to_have_count(0)
    page.reload()
    expect(page.get_by_label("Element")).to_have_value("mail x")


def test_an_open_page_says_that_it_is_not_of_now_until_it_is_again(troubled: Page) -> None:
    troubled.goto("/events")
    live, news = troubled.locator("#live"), troubled.get_by_role("status")
    troubled.route(
        "**/*fragment=1*",
        lambda route: route.fulfill(status=503, content_type="text/plain", body="It is away."),
    )
    troubled.get_by_label("Element").fill("mail")
    expect(news).to_have_text("It is away. What is shown is from before.")
    expect(live).to_have_attribute("data-outdated", "yes")
    troubled.unroute("**/*fragment=1*")
    troubled.get_by_label("Element").evaluate("field => field.removeAttribute('maxlength')")
    troubled.get_by_label("Element").fill(65 * "a")
    expect(news).to_contain_text("Query element: ")
    troubled.get_by_label("Element").fill("pop")
    expect(troubled.locator("#live[data-outdated]")).to_have_count(0)
    expect(news).to_have_text("")


def test_an_open_page_says_so_where_each_try_fails_later_than_the_next_one_begins(troubled: Page) -> None:
    troubled.goto("/events")
    tries: list[Route] = []
    troubled.route("**/*fragment=1*", lambda route: tries.append(route))  # noqa: PLW0108  it wants no method
    for number, name in enumerate(("mail", "pop"), 1):
        troubled.get_by_label("Element").fill(name)
        while len(tries) < number:
            troubled.wait_for_timeout(20)
    tries[0].abort("timedout")
    expect(troubled.get_by_role("status")).to_have_text(
        "The server does not answer. What is shown is from before."
    )
    troubled.unroute_all(behavior="ignoreErrors")


def test_a_stream_that_was_refused_is_asked_for_again(troubled: Page) -> None:
    troubled.clock.install()
    troubled.route("**/events/stream*", lambda route: route.fulfill(status=503))
    troubled.goto("/")
    expect(troubled.locator("#live[data-live=no]")).to_be_attached()
    troubled.unroute("**/events/stream*")
    troubled.clock.fast_forward(5_000)
    expect(troubled.locator("#live[data-live=yes]")).to_be_attached()


def test_only_a_page_that_is_seen_holds_a_connection(page: Page, filled: Filling) -> None:
    page.goto("/")
    expect(page.locator("#live[data-live=yes]")).to_be_attached()
    for is_hidden, live in ((True, "no"), (False, "yes")):
        page.evaluate(
            "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
            " document.dispatchEvent(new Event('visibilitychange')); }",
            is_hidden,
        )
        expect(page.locator(f"#live[data-live={live}]")).to_be_attached()
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="pop", exact=True))
    expect(row.get_by_role("cell").first).to_contain_text("GOOD")
    filled.check("eu", 41, Level.UNKNOWN)
    expect(row.get_by_role("cell").first).to_contain_text("UNKNOWN")
    filled.check("eu", 42)


def test_a_keyboard_is_enough(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('href')") == "/elements/mail":
            break
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("mail")


def test_charts_to_explore_come_on_demand_from_our_own_origin(page: Page, server: Client) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/elements/mail")
    assert not any("plotly" in url for url in asked)
    page.get_by_role("button", name="Load interactive charts").click()
    expect(page.locator(".chart .main-svg").first).to_be_visible()
    assert any("plotly" in url for url in asked)
    assert all(url.startswith(server.url) for url in asked if not url.startswith("data:"))


def test_logging_in_and_being_refused(browser: Browser, server: Client, screenshots: Path) -> None:
    context = opened(browser, server, "")
    page = context.new_page()
    page.goto("/elements/mail")
    assert re.search(r"/login\?next=", page.url)
    page.get_by_label("Name").fill("vera")
    page.get_by_label("Password").fill("mistaken")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("Name or password is wrong.")
    page.screenshot(path=screenshots / "refused.png")
    page.get_by_label("Name").fill("vera")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("mail")
    expect(page.get_by_role("button", name="Announce maintenance")).to_have_count(0)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    page.goto("/")
    assert "/login" in page.url
    context.close()


def test_an_operator_announces_maintenance_and_ends_it(page: Page) -> None:
    page.goto("/elements/mail")
    page.get_by_label("Why").fill("a new certificate")
    page.get_by_role("button", name="Announce maintenance").click()
    row = page.get_by_role("row").filter(has_text="a new certificate")
    expect(row).to_contain_text("otto")
    row.get_by_role("button", name="End now").click()
    expect(page.get_by_role("row").filter(has_text="a new certificate")).to_contain_text("over")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", PHONE)])
def test_every_page_fits_and_axe_finds_nothing_serious(
    browser: Browser, server: Client, session: str, screenshots: Path, scheme: str, width: int
) -> None:
    context = opened(browser, server, session, width, scheme)
    page = context.new_page()
    backgrounds = set()
    for name, place in PLACES.items():
        page.goto(place)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        page.screenshot(path=screenshots / f"{name}-{scheme}-{width}.png", full_page=True)
        backgrounds.add(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
        if name in FOR_AXE[scheme]:
            assert_accessible(page, name)
    assert backgrounds == {"rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 23, 26)"}
    context.close()


def test_without_javascript_the_basics_work(browser: Browser, server: Client, session: str) -> None:
    context = browser.new_context(base_url=server.url, java_script_enabled=False)
    context.add_cookies([{"name": "postbeat_session", "value": session, "url": server.url}])
    page = context.new_page()
    page.goto("/")
    page.get_by_role("searchbox").fill("pop")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tbody th a")).to_have_text(["pop"])
    page.locator("tbody th a").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("pop")
    context.close()
