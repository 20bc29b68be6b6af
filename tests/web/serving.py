"""The page on a port of its own, and a client that does no more than it is told."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import uvicorn

from postbeat.web.app import make_app
from postbeat.web.auth import COOKIE
from postbeat.web.settings import WebSettings


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def data(self) -> Any:
        return json.loads(self.text)


@dataclass
class Client:
    """One who looks. Keeps the session's cookie as a browser does; follows no redirection."""

    port: int
    token: str = ""
    cookie: str = ""
    cookies_seen: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.ask("GET", path, headers=headers)

    def post_json(self, path: str, data: object, headers: Mapping[str, str] | None = None) -> Answer:
        kind = {"content-type": "application/json"}
        return self.ask("POST", path, json.dumps(data).encode(), kind | dict(headers or {}))

    def post_form(
        self, path: str, data: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> Answer:
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return self.ask("POST", path, urlencode(data).encode(), kind | dict(headers or {}))

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        sent = dict(headers or {})
        if self.token:
            sent["authorization"] = f"Bearer {self.token}"
        if self.cookie:
            sent.setdefault("cookie", f"{COOKIE}={self.cookie}")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            if cookie := found.get("set-cookie"):
                self.cookies_seen.append(cookie)
                self.cookie = cookie.partition(";")[0].partition("=")[2]
            return Answer(response.status, found, response.read().decode())
        finally:
            connection.close()

    def csrf(self, path: str = "/login") -> str:
        """The token of a form on a page."""
        match = re.search(r'name="csrf" value="([^"]+)"', self.get(path).text)
        assert match is not None
        return match[1]

    def log_in(self, name: str, password: str, wanted: str = "/") -> Answer:
        form = {"csrf": self.csrf(), "name": name, "password": password, "next": wanted}
        return self.post_form("/login", form)


@contextmanager
def served(settings: WebSettings) -> Iterator[Client]:
    """A server of these settings until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        config = uvicorn.Config(
            make_app(settings), log_level="warning", timeout_graceful_shutdown=1, proxy_headers=False
        )
        server = uvicorn.Server(config)
        # Whoever connects before it is ready waits in the socket's backlog.
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield Client(port)
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()
