"""All that Postbeat shows or tells of a site, gathered as text: pages, the API, metrics, commands, sinks."""

from __future__ import annotations

import email
import email.policy
import html
import http.client
import json
import re
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar, cast
from urllib.parse import urlencode

from click.testing import CliRunner

from postbeat.cli import main
from postbeat.web.users import Role, User, hashed, new_token, write
from tests.e2e.running import Running
from tests.listening import HttpServer, serving
from tests.ports import free_port
from tests.web.serving import Client

PAGES = 80  # that are looked at by one person
WAIT_S = 20.0
SIZE = 4 << 20  # bytes of an answer that are read
METRICS = (
    "text/plain",
    "application/openmetrics-text;version=1.0.0",
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
)


@dataclass(frozen=True)
class Page:
    """``postbeat web``: where it is, who may log in by this password, and the operator's API token."""

    port: int
    password: str
    token: str

    def fetch(self, method: str, path: str, body: object = None, **headers: str) -> str:
        """An answer to a program with a token: its headers and text, whatever its type."""
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"} | headers
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            response = connection.getresponse()
            text = response.read(SIZE).decode(errors="replace")
            assert response.status < 500, (path, text)
            return f"{method} {path} {response.status} {response.getheaders()}\n{text}"
        finally:
            connection.close()

    def stream(self, element: str = "", *, until: str) -> str:
        """What the stream of events tells up to such an event: what was missed, and what comes."""
        over, told = time.monotonic() + WAIT_S, b""
        headers = {"Authorization": f"Bearer {self.token}", "Last-Event-ID": "0-0"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        try:
            connection.request("GET", f"/events/stream?element={element}", headers=headers)
            response = connection.getresponse()
            while until.encode() not in told:
                assert time.monotonic() < over, f"no {until}"
                assert len(told) < SIZE
                told += response.readline(SIZE)
            told += b"".join(iter(response.readline, b"\n"))
        finally:
            connection.close()
        return told.decode()


@contextmanager
def web(running: Running, password: str, secret: str) -> Iterator[Page]:
    """Serves the page of a site; its profile may be probed now."""
    folder, port = running.site.folder, free_port()
    token, digest = new_token()
    right = hashed(password)
    users = [User("otto", Role.OPERATOR, right, (digest,)), User("vera", Role.VIEWER, right)]
    write(folder / "users.yaml", {user.name: user for user in users})
    settings = {
        "POSTBEAT_WEB_SECRET": secret,
        "POSTBEAT_WEB_USERS": str(folder / "users.yaml"),
        "POSTBEAT_PROFILE": str(folder / "profile.yaml"),
        "POSTBEAT_PUBLIC_GROUPS": "office",
    }
    _start(running, "web", ["web", "--port", str(port)], settings)
    running.until(lambda: _answers(port), "answer of the page")
    yield Page(port, password, token)


def _answers(port: int) -> bool:
    try:
        return Client(port).get("/login").status == 200
    except OSError:
        return False


def _start(running: Running, name: str, arguments: list[str], settings: dict[str, str]) -> None:
    running.site.processes.start(
        name,
        [sys.executable, "-P", "-m", "postbeat", *arguments],
        env=running.site.environment() | settings,
        log=running.site.folder / f"{name}.log",
        grace_s=10.0,
    )


def pages(page: Page, name: str) -> str:
    """All pages that links lead to, each once, as somebody sees them who logs in, and what probes show."""
    client = Client(page.port)
    refused = client.post_form("/login", {"name": name, "password": page.password})
    entered = client.log_in(name, page.password)
    assert (refused.status, entered.status) == (403, 303)
    seen = [refused.text, *client.cookies_seen]
    known, left = {"/", "/status/office"}, deque(["/", "/status/office"])
    while left and len(seen) < PAGES:
        answer = client.get(place := left.popleft())
        assert answer.status < 500, place
        seen.append(f"{place} {dict(answer.headers)}\n{answer.text}")
        for link in re.findall(r'(?:href|src)="(/[^"#]*)', answer.text):
            following = html.unescape(link)
            if following not in known and _is_worth_a_look(following):
                known.add(following)
                left.append(following)
    assert not left, f"more than {PAGES} pages: {left}"
    return "\n".join(seen)


def _is_worth_a_look(link: str) -> bool:
    """Scripts are those of every installation, Plotly's is large; and one element shows what charts hold."""
    return not link.startswith("/static/") and ("range=" not in link or link.startswith("/elements/plain?"))


def probes(page: Page, elements: list[str]) -> str:
    """What an operator is shown who probes elements now."""
    client = Client(page.port)
    client.log_in("otto", page.password)
    shown = []
    for element in elements:
        form = {"csrf": client.csrf("/maintenance"), "region": "lab"}
        answer = client.post_form(f"/elements/{element}/probe", form)
        assert answer.status == 200
        shown += [answer.text, page.fetch("POST", "/api/v1/probe", {"element": element, "read": True})]
    return "\n".join(shown)


def api(page: Page, elements: list[str]) -> str:
    """Every answer of the API, with its description, the metrics in every format, and the streams."""
    described = page.fetch("GET", "/api/v1/openapi.json")
    places = json.loads(described.partition("\n")[2])["paths"]
    now = time.time()
    given = {"from": f"{now - 7200:.0f}", "to": f"{now:.0f}", "month": time.strftime("%Y-%m", time.gmtime())}
    shown = [described, page.fetch("GET", "/api/v1/overview", Authorization="Bearer pb_wrong")]
    for path, methods in places.items():
        if "get" not in methods:
            continue
        required = [one["name"] for one in methods["get"]["parameters"] if one.get("required")]
        query = urlencode({name: given[name] for name in required if name in given})
        for element in elements if "{name}" in path else [""]:
            place = path.replace("{name}", element).replace("{region}", "lab")
            shown.append(page.fetch("GET", f"{place}?{query}"))
    window = {"element": "mail", "seconds": 60, "why": "tests"}
    made = page.fetch("POST", "/api/v1/maintenance", window)
    name = json.loads(made.partition("\n")[2])["id"]
    shown += [made, page.fetch("DELETE", f"/api/v1/maintenance/{name}")]
    shown += [page.fetch("GET", "/metrics", Accept=accept) for accept in METRICS]
    newest = json.loads(page.fetch("GET", "/api/v1/events?limit=1").partition("\n")[2])
    streams = [page.stream(until=newest["items"][0]["id"]), page.stream(elements[0], until="event: result")]
    return "\n".join([*shown, *streams])


def commands(running: Running) -> str:
    """What the commands print that look at a site, for people and for programs."""
    profile, month = str(running.site.folder / "profile.yaml"), time.strftime("%Y-%m", time.gmtime())
    both = [["status"], ["status", "--verdicts"], ["results"], ["events"], ["mailboxes"]]
    both += [["notify", "dead", "refused"], ["maintenance", "list"]]
    arguments = [*both, *([*one, "--json"] for one in both), ["metrics", "--once"]]
    arguments += [["report", "--month", month, "--format", kind] for kind in ("html", "csv", "json")]
    arguments = [[*one, "--redis", running.site.redis_url] for one in arguments]
    arguments += [["check", profile], ["check", profile, "--json"], ["schedule", profile]]
    return "\n".join(map(_printed, arguments))


def _printed(arguments: list[str]) -> str:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, (arguments, done.output)
    return f"{arguments[0]}\n{done.output}"


class Receiver(HttpServer):
    """Takes webhooks, but for those to a path with ``refused``; and gives access tokens."""

    def __init__(self, access_token: str) -> None:
        super().__init__(("127.0.0.1", 0), _Hook)
        self.access_token = access_token
        self.bodies: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    @classmethod
    @contextmanager
    def open(cls, access_token: str) -> Iterator[Receiver]:
        with serving(cls(access_token)) as receiver:
            yield receiver


class _Hook(BaseHTTPRequestHandler):
    timeout: ClassVar[float] = 10.0

    def do_POST(self) -> None:
        receiver = cast("Receiver", self.server)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        answer = b""
        if self.path == "/token":
            answer = json.dumps({"access_token": receiver.access_token, "token_type": "Bearer"}).encode()
        else:
            receiver.bodies.append(body)
        self.send_response(404 if "refused" in self.path else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def notify(running: Running, sinks: list[dict[str, Any]], authority: Path) -> None:
    """Serves sinks of a site; returns once they are ready for events."""
    path = running.site.folder / "sinks.yaml"
    path.write_text(json.dumps({"sinks": sinks}))
    _start(running, "notify", ["notify", str(path)], {"SSL_CERT_FILE": str(authority)})
    ready = [f"Sink {sink['name']}: served from" for sink in sinks]
    running.until(lambda: all(text in running.logs() for text in ready), "sinks that are served")


def readable(message: bytes) -> str:
    """A mail as it came, and its text."""
    parsed = email.message_from_bytes(message, policy=email.policy.default)
    return f"{message.decode(errors='replace')}\n{parsed.get_content()}"
