"""Access tokens from a token endpoint (RFC 6749), fetched in the worker and kept almost until they expire.

Whatever goes wrong here is a fault of ours: the mail service has not been asked yet. No message repeats what
the endpoint said but its error code.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from postbeat.model import FaultCode, LocalFault

FETCH_S = 60.0  # nobody waits so long: it ends a fetch whose waiters have all gone
ANSWER_LIMIT = 64 * 1024  # bytes of an endpoint's answer; protects the worker's memory
GRANTS_LIMIT = 10_000  # grants that are remembered, each with its token
MARGIN_S = 60.0  # a token is not used in the last minute of its life, nor in the last tenth of a short one
LIFETIME_S = 300.0  # of a token whose endpoint does not say (RFC 6749 section 5.1 only recommends it)
LONGEST_S = 86_400.0

_ERROR = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token is fetched with: a refresh token where there is one, else the client's credentials."""

    url: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    scope: str = ""

    @property
    def host(self) -> str:
        """The endpoint's host and port, for messages."""
        return urlsplit(self.url).netloc

    def form(self, refresh_token: str) -> dict[str, str]:
        """The parameters of the request (RFC 6749 sections 2.3.1, 4.4.2 and 6)."""
        form = {
            "grant_type": "refresh_token" if refresh_token else "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "refresh_token": refresh_token,
            "scope": self.scope,
        }
        return {name: value for name, value in form.items() if value}


@dataclass(slots=True)
class _Entry:
    """What is known of a grant; the refresh token changes where the endpoint rotates it."""

    refresh_token: str
    token: str = ""
    expires_s: float = -math.inf


class Tokens:
    """The tokens of a worker. One fetch at a time for each grant, however many polls wait for it."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._entries: OrderedDict[Grant, _Entry] = OrderedDict()
        self._fetches: dict[Grant, asyncio.Task[str]] = {}

    def held(self, grant: Grant) -> str:
        """The token of a grant, or "" where one has to be fetched."""
        entry = self._entries.get(grant)
        return entry.token if entry is not None and self._clock_s() < entry.expires_s else ""

    async def fetched(self, grant: Grant, timeout_s: float) -> str:
        """A new token, or the one that another poll is already fetching.

        Raises:
            LocalFault: SECRET: there is none within ``timeout_s`` seconds, or the endpoint refuses.
        """
        fetch = self._fetches.get(grant)
        if fetch is None:
            fetch = self._fetches[grant] = asyncio.ensure_future(self._fetch(grant))
            fetch.add_done_callback(lambda done: self._ended(grant, done))
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(fetch)
        except TimeoutError:
            raise _failure(grant, f"no answer within {timeout_s:g} s") from None

    def refused(self, grant: Grant, token: str) -> None:
        """A server has refused this token: it is not used again."""
        entry = self._entries.get(grant)
        if entry is not None and entry.token == token:
            entry.token, entry.expires_s = "", -math.inf

    def _ended(self, grant: Grant, fetch: asyncio.Task[str]) -> None:
        del self._fetches[grant]
        if not fetch.cancelled():
            fetch.exception()  # seen, also where every waiter has gone

    async def _fetch(self, grant: Grant) -> str:
        entry = self._entries.setdefault(grant, _Entry(grant.refresh_token))
        self._entries.move_to_end(grant)
        while len(self._entries) > GRANTS_LIMIT:
            self._entries.popitem(last=False)
        answer = await _ask(grant, entry.refresh_token)
        entry.token = answer["access_token"]
        lifetime_s = _lifetime_s(answer.get("expires_in"))
        entry.expires_s = self._clock_s() + lifetime_s - min(MARGIN_S, lifetime_s / 10)
        rotated = answer.get("refresh_token")
        if entry.refresh_token and isinstance(rotated, str) and rotated:
            entry.refresh_token = rotated
        return entry.token


async def _ask(grant: Grant, refresh_token: str) -> dict[str, Any]:
    """The endpoint's answer, with a token of type Bearer in it."""
    # Imported where it is first needed, and off the loop: it takes 0.1 s that most workers never need.
    http = await asyncio.to_thread(importlib.import_module, "aiohttp")
    try:
        async with (
            http.ClientSession(
                timeout=http.ClientTimeout(total=FETCH_S),
                cookie_jar=http.DummyCookieJar(),
                auto_decompress=False,
            ) as session,
            session.post(
                grant.url,
                data=grant.form(refresh_token),
                allow_redirects=False,
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            ) as response,
        ):
            status: int = response.status
            body = await _bounded(response.content)
    except TimeoutError:
        raise _failure(grant, f"no answer within {FETCH_S:g} s") from None
    except http.ClientError as error:
        raise _failure(grant, _trouble(error)) from None
    if body is None:
        raise _failure(grant, f"its answer has more than {ANSWER_LIMIT} bytes")
    return _token_in(grant, refresh_token, status, body)


async def _bounded(content: Any) -> bytes | None:  # noqa: ANN401  aiohttp is not imported here
    try:
        await content.readexactly(ANSWER_LIMIT + 1)
    except asyncio.IncompleteReadError as error:
        return error.partial
    return None


def _trouble(error: Exception) -> str:
    """What an error of aiohttp stands for. Its own text may hold the address, and is not shown."""
    cause = getattr(error, "os_error", None) or error.__cause__
    reason = getattr(cause, "verify_message", None) or getattr(cause, "strerror", None)
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__


def _token_in(grant: Grant, refresh_token: str, status: int, body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if status != 200:
        raise _failure(grant, f"{status} {_error_code(grant, refresh_token, answer)}".rstrip())
    if not isinstance(answer, dict):
        raise _failure(grant, "its answer is not a JSON object")
    token, kind = answer.get("access_token"), answer.get("token_type", "Bearer")
    if not isinstance(token, str) or not token:
        raise _failure(grant, "its answer holds no access_token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise _failure(grant, "its token is not of the type Bearer")
    return answer


def _error_code(grant: Grant, refresh_token: str, answer: object) -> str:
    """The ``error`` of a refusal (RFC 6749 section 5.2), if it is a code and not one of our secrets."""
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, str) or not _ERROR.fullmatch(error):
        return ""
    secrets = (grant.client_secret, grant.refresh_token, refresh_token)
    return "" if any(secret and secret in error for secret in secrets) else error


def _lifetime_s(expires_in: object) -> float:
    """The seconds that a token lives; some endpoints send them as a text."""
    if isinstance(expires_in, bool) or not isinstance(expires_in, str | int | float):
        return LIFETIME_S
    try:
        seconds = float(expires_in)
    except (ValueError, OverflowError):
        return LIFETIME_S
    return min(max(seconds, 0.0), LONGEST_S) if math.isfinite(seconds) else LIFETIME_S


def _failure(grant: Grant, what: str) -> LocalFault:
    return LocalFault(FaultCode.SECRET, f"no token from {grant.host}: {what}")
