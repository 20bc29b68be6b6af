"""HTTP POST to a receiver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import metadata

import aiohttp
from multidict import CIMultiDict

from postbeat.model import Secret
from postbeat.sinks.addresses import header_value, shown, web_address
from postbeat.sinks.channel import NotDeliveredError, revealed

AGENT = f"postbeat/{metadata.version('postbeat')}"
_TRY_AGAIN = (408, 425, 429)  # refusals that are not meant for good (RFC 9110, RFC 8470, RFC 6585)


class Poster:
    """Posts to the address of a sink; ``path`` is added to it."""

    def __init__(
        self, url: Secret, headers: Mapping[str, Secret] | None, timeout_s: float, path: str = ""
    ) -> None:
        self._url = url
        self._headers = headers or {}
        self._path = path
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Posts a JSON document.

        Raises:
            NotDeliveredError: no answer, or one that is not 2xx.
        """
        url = self._checked(self._url, web_address)
        sent = CIMultiDict({name: self._checked(it, header_value) for name, it in self._headers.items()})
        sent.update({"Content-Type": "application/json", "User-Agent": AGENT, **headers})
        address = url.rstrip("/") + self._path if self._path else url
        try:
            async with self._opened().post(
                address, data=body, headers=sent, allow_redirects=False
            ) as response:
                status, retry_after = response.status, response.headers.get("Retry-After", "")
        except TimeoutError:
            raise NotDeliveredError(f"{shown(url)} did not answer in time") from None
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise NotDeliveredError(f"{shown(url)}: {_trouble(error)}") from None
        if not 200 <= status < 300:
            raise NotDeliveredError(
                f"{shown(url)} answered {status}",
                permanent=400 <= status < 500 and status not in _TRY_AGAIN,
                retry_after_s=float(retry_after) if retry_after.isdecimal() and len(retry_after) < 9 else 0.0,
            )

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # A connection for each event: on a kept one it is not known whether the receiver closed it
                # before or after it took the event.
                connector=aiohttp.TCPConnector(force_close=True),
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session

    @staticmethod
    def _checked(secret: Secret, check: Callable[[str], str]) -> str:
        try:
            return check(revealed(secret))
        except ValueError as error:
            raise NotDeliveredError(f"a secret of this sink is {error}") from None


def _trouble(error: Exception) -> str:
    """What an error stands for. Its own text may hold the address, and is not shown."""
    cause = getattr(error, "os_error", None) or error.__cause__ or error
    reason = getattr(cause, "verify_message", None) or getattr(cause, "strerror", None)
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__
