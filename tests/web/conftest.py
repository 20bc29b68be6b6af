from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from postbeat.web.settings import WebSettings
from postbeat.web.users import Role, User, hashed, new_token, write
from tests.conftest import not_installed
from tests.web.filling import CANARY, Filling
from tests.web.serving import Client, served

PASSWORD = f"{CANARY}-login"
CHROMIUM = "/usr/bin/chromium"
WAIT_MS = 20_000
PHONE = 360  # pixels wide


@dataclass(frozen=True)
class People:
    """The users of a site: otto may change things, vera may look. Both have the same password."""

    file: Path
    operator_token: str
    viewer_token: str


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        not_installed("Chromium", "chromium")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get("POSTBEAT_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def opened(
    browser: Browser, server: Client, session: str, width: int = 1200, scheme: str = "light"
) -> BrowserContext:
    context = browser.new_context(
        base_url=server.url,
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(WAIT_MS)
    if session:
        context.add_cookies([{"name": "postbeat_session", "value": session, "url": server.url}])
    return context


def assert_accessible(page: Page, place: str) -> None:
    """Asserts that axe finds nothing serious."""
    violations = Axe().run(page).response["violations"]
    serious = [one["id"] for one in violations if one["impact"] in ("serious", "critical")]
    assert serious == [], (place, violations)


@pytest.fixture(scope="session")
def password_hash() -> str:
    return hashed(PASSWORD)  # takes a while, by design


@pytest.fixture(scope="module")
def people(password_hash: str, tmp_path_factory: pytest.TempPathFactory) -> People:
    file = tmp_path_factory.mktemp("users") / "users.yaml"
    (operator, operator_digest), (viewer, viewer_digest) = new_token(), new_token()
    users = [
        User("otto", Role.OPERATOR, password_hash, (operator_digest,)),
        User("vera", Role.VIEWER, password_hash, (viewer_digest,)),
    ]
    write(file, {user.name: user for user in users})
    return People(file, operator, viewer)


@pytest.fixture(scope="module")
def filled(redis_server: str) -> Iterator[Filling]:
    """A site with results, for all tests of a module."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    with Filling.open(redis_server) as filling:
        filling.usual()
        yield filling


@pytest.fixture(scope="module")
def server(filled: Filling, redis_server: str, people: People) -> Iterator[Client]:
    """The site's page, with a login. Its client has not logged in."""
    settings = WebSettings(redis_url=redis_server, users=str(people.file), public_groups=("office",))
    with served(settings) as client:
        yield client


@pytest.fixture
def stranger(server: Client) -> Client:
    return Client(server.port)


@pytest.fixture
def viewer(server: Client, people: People) -> Client:
    return Client(server.port, people.viewer_token)


@pytest.fixture
def operator(server: Client, people: People) -> Client:
    return Client(server.port, people.operator_token)
