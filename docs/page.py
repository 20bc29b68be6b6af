"""Makes the picture of the page: ``python -m docs.page``, of a site that runs for half a minute.

It needs what the tests of the page need, Playwright and Debian's Chromium.
"""

from __future__ import annotations

import os
import secrets
import string
import tempfile
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import ViewportSize, sync_playwright

from postbeat.embedded.mail import mail_server
from postbeat.embedded.processes import Processes
from postbeat.embedded.redis import free_port, private_redis
from postbeat.embedded.site import HOST, Site
from postbeat.secrets import new_key

PICTURE = Path(__file__).parent / "images" / "page.png"
CHROMIUM = "/usr/bin/chromium"
REGIONS = ("ap-south", "eu-west", "us-east")
VIEWPORT: ViewportSize = {"width": 1200, "height": 640}
WAIT_S = 120.0
SEEN_S = 25.0  # until all of it has been polled a few times

# One that works, one that is slow by its own rule, one whose server is away, and one that we cannot test.
PROFILE = string.Template("""
regions: [ap-south, eu-west, us-east]

elements:
  - &send
    name: submission
    type: smtp
    server: 127.0.0.1
    port: $smtp
    email: probe@example.com
    poll: 3
    timeout: 5
    delivertimeout: 20
    read: inbox
    group: office
    description: Mail of the head office
  - {<<: *send, name: newsletters, group: marketing, servicelevels: totalTime > 0.001 -> MARGINAL}
  - {<<: *send, name: invoices, group: shop, port: 1, description: The relay of the shop}
  - <<: *send
    name: partners
    plaintextlogin: true
    authenticationtype: PLAIN
    username: probe
    password: {env: PARTNERS_PASSWORD}
  - name: inbox
    type: imap4
    server: 127.0.0.1
    port: $imap4
    username: probe
    password: {env: INBOX_PASSWORD}
    poll: 5
    timeout: 5
    group: office
""")


def write() -> None:
    """Writes the picture."""
    password = os.environ["INBOX_PASSWORD"] = secrets.token_urlsafe(16)
    os.environ.pop("PARTNERS_PASSWORD", None)
    with tempfile.TemporaryDirectory() as name, Processes() as processes:
        folder = Path(name)
        server = mail_server(processes, folder / "mail", {"probe": password})
        profile = folder / "profile.yaml"
        text = PROFILE.substitute({"smtp": server.smtp, "imap4": server.imap4})
        profile.write_text(text, encoding="utf-8")
        site = Site(
            processes, folder, private_redis(processes, folder / "redis", persistent=False), new_key()
        )
        for region in REGIONS:
            site.worker(region)
        site.beat(profile)
        port = free_port()
        site.web(port, profile)
        _photograph(f"http://{HOST}:{port}/")


def _photograph(page_url: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while b"partners" not in _text(page_url):
        if time.monotonic() > deadline:
            raise TimeoutError("the page does not come up")
        time.sleep(0.5)
    time.sleep(SEEN_S)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport=VIEWPORT, reduced_motion="reduce")
        page.goto(page_url)
        page.screenshot(path=PICTURE)
        browser.close()


def _text(url: str) -> bytes:
    try:
        with urlopen(url, timeout=20) as answer:  # noqa: S310  our own page
            text: bytes = answer.read()
            return text
    except URLError:
        return b""


if __name__ == "__main__":
    write()
