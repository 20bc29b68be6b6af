"""What every request passes: who asks, how large it is, and the headers that keep browsers safe."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from postbeat.web.auth import Gate
from postbeat.web.problems import ProblemError
from postbeat.web.users import NAMES

log = logging.getLogger(__name__)

BODY_LIMIT = 64 << 10  # bytes: no form and no document that we take is near it
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# Plotly sets styles of its own; this is for the page alone that may load it.
CHART_CSP = CSP.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}
_OPEN = ("/login", "/static/", "/status/")
_FOR_PROGRAMS = ("/api/", "/metrics", "/events/stream")


def is_for_programs(path: str) -> bool:
    """Whether a path answers programs, and refuses by ``application/problem+json``."""
    return path.startswith(_FOR_PROGRAMS)


class Guard:
    """ASGI middleware. Puts the :class:`postbeat.web.auth.Identity` into the request's state."""

    def __init__(
        self, app: ASGIApp, gate: Gate, refuse: Callable[[Request, Exception], Awaitable[Response]]
    ) -> None:
        self._app = app
        self._gate = gate
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or lets the request pass."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        sender = _Sender(send, is_https=self._gate.is_https(request))
        try:
            refusal = self._refusal(request)
            if refusal is not None:
                await refusal(scope, receive, sender)
            else:
                await self._app(scope, _Bounded(receive), sender)
        except Exception as error:
            if sender.has_begun:
                raise
            if not isinstance(error, ProblemError):
                log.exception("%s %s", request.method, request.url.path)
            answer = await self._refuse(request, error)
            await answer(scope, receive, sender)

    def _refusal(self, request: Request) -> Response | None:
        path = request.url.path
        if not self._gate.host_is_ours(request):
            return ProblemError(
                421, "without a login the page is for this machine only: localhost"
            ).response()
        identity = self._gate.identity(request)
        request.state.identity = identity
        if identity is not None or path.startswith(_OPEN):
            return None
        if misnamed := self._gate.misnamed(request):
            log.warning("the proxy names a user %r, which is no name", misnamed[:200])
            raise ProblemError(403, f"what the proxy names you by is no name here: expected {NAMES}")
        if is_for_programs(path):
            challenge = {"WWW-Authenticate": 'Bearer realm="postbeat"'}
            return ProblemError(401, "log in, or send an API token", headers=challenge).response()
        query = f"?{request.url.query}" if request.url.query else ""
        wanted = path + query if request.method == "GET" else "/"
        return RedirectResponse(f"/login?{urlencode({'next': wanted})}", 303)


class _Sender:
    """Adds the headers that every answer has, unless it brings its own."""

    def __init__(self, send: Send, *, is_https: bool) -> None:
        self._send = send
        self._is_https = is_https
        self.has_begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if self._is_https:
                headers.setdefault("strict-transport-security", "max-age=31536000")
        await self._send(message)


class _Bounded:
    """Ends a request whose body is too large, whatever its headers say."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = BODY_LIMIT

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise ProblemError(413, f"expected a body of at most {BODY_LIMIT} bytes")
        return message
