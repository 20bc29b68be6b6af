"""MTA-STS: a mail domain's policy, found over DNS and fetched over HTTPS (RFC 8461)."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import h11

from postbeat import dial, resolve
from postbeat.dane import matches
from postbeat.dial import Stream
from postbeat.model import FaultError, RemoteFault, Side
from postbeat.timeline import Timeline
from postbeat.tls.context import tls_context
from postbeat.tls.options import TlsOptions

PATH = "/.well-known/mta-sts.txt"
POLICY_BYTES = 64 * 1024  # of a policy (RFC 8461 section 3.3 suggests this bound)
FETCH_S = 10.0  # for the whole of a fetch: the mail must still go out
AGAIN_S = 3600.0  # a policy that is kept is fetched anew after so long, so that a broken host is seen
MAX_AGE_S = 31_557_600  # section 3.2
KEPT = 1000  # domains

_RECORD = re.compile(r"v=STSv1\s*;(?:.*;)?\s*id=([A-Za-z0-9]{1,32})\s*(?:;.*)?", re.DOTALL)


class PolicyError(Exception):
    """A domain announces a policy, and it cannot be had or read; ``ours`` where we could not look.

    ``kept`` is an earlier policy, which then stays in force (RFC 8461 section 5.1).
    """

    def __init__(self, message: str, *, ours: bool = False) -> None:
        super().__init__(message)
        self.ours = ours
        self.kept: StsPolicy | None = None


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """A policy: ``mode`` is enforce, testing or none; ``patterns`` are those of the mail exchangers."""

    mode: str
    max_age_s: int
    patterns: tuple[str, ...] = ()

    def allows(self, host: str) -> bool:
        """Whether mail for the domain may go to this mail exchanger (section 4.1)."""
        return any(matches(pattern, host) for pattern in self.patterns)


def parse(data: bytes) -> StsPolicy:
    """The policy of a policy file (section 3.2).

    Raises:
        PolicyError: it is none.
    """
    values: dict[str, str] = {}
    patterns: list[str] = []
    for line in data.decode("utf-8", "replace").splitlines():
        key, colon, value = (part.strip() for part in line.partition(":"))
        if colon and key == "mx":
            patterns.append(value)
        elif colon:
            values.setdefault(key, value)
    mode, age = values.get("mode", ""), values.get("max_age", "")
    if values.get("version") != "STSv1":
        raise PolicyError("the policy does not begin with version: STSv1")
    if mode not in ("enforce", "testing", "none"):
        raise PolicyError(f"the policy has no valid mode: {mode[:40]!r}")
    if not re.fullmatch(r"[0-9]{1,10}", age):
        raise PolicyError(f"the policy has no valid max_age: {age[:40]!r}")
    if not patterns and mode != "none":
        raise PolicyError("the policy names no mx")
    return StsPolicy(mode, min(int(age), MAX_AGE_S), tuple(patterns))


@dataclass(frozen=True, slots=True)
class _Kept:
    id: str
    policy: StsPolicy
    fetched_s: float


class PolicyStore:
    """The policies of mail domains, each kept until its id changes or its ``max_age`` is over.

    ``port`` and ``ca_file`` are those of the policy hosts; empty means the system's authorities.
    """

    def __init__(
        self, port: int = 443, ca_file: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._port = port
        self._ca_file = ca_file
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    async def of(self, domain: str, timeout_s: float = FETCH_S) -> StsPolicy | None:
        """The policy that is in force for a domain, or None where it has none.

        Raises:
            PolicyError: it has one that cannot be had.
        """
        now_s = self._clock()
        kept = self._kept.get(domain)
        if kept is not None and now_s >= kept.fetched_s + kept.policy.max_age_s:
            del self._kept[domain]
            kept = None
        try:
            announced = await _announced(domain)
            if not announced or (kept and kept.id == announced and now_s < kept.fetched_s + AGAIN_S):
                # A policy that was fetched outlives its record (section 3.1).
                return kept.policy if kept else None
            policy = parse(await self._fetch(f"mta-sts.{domain}", min(timeout_s, FETCH_S)))
        except PolicyError as error:
            error.kept = kept.policy if kept else None
            raise
        self._keep(domain, _Kept(announced, policy, now_s))
        return policy

    def _keep(self, domain: str, kept: _Kept) -> None:
        if len(self._kept) >= KEPT and domain not in self._kept:
            del self._kept[next(iter(self._kept))]
        self._kept[domain] = kept

    async def _fetch(self, host: str, timeout_s: float) -> bytes:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._get(host, timeout_s)
        except TimeoutError as error:
            raise PolicyError(f"{host} did not give the policy within {timeout_s:g} s") from error
        except FaultError as error:
            ours = error.side is Side.LOCAL
            raise PolicyError(
                f"the policy cannot be fetched from {host}: {error.message}", ours=ours
            ) from error
        except h11.RemoteProtocolError as error:
            raise PolicyError(f"the answer of {host} is not HTTP") from error

    async def _get(self, host: str, timeout_s: float) -> bytes:
        timeline = Timeline()  # the probe's own has the fetch as one stage
        addresses = await dial.lookup(host, self._port, timeline)
        sock, _ = await dial.connect(addresses, timeline, timeout_s=timeout_s)
        stream = await Stream.open(sock, timeline, tls_context(TlsOptions(ca_file=self._ca_file)), host)
        try:
            connection = h11.Connection(h11.CLIENT)
            headers = [("Host", host), ("User-Agent", "Postbeat"), ("Connection", "close")]
            request = connection.send(h11.Request(method="GET", target=PATH, headers=headers)) or b""
            stream.write(request + (connection.send(h11.EndOfMessage()) or b""))
            return await _body(connection, stream)
        finally:
            stream.close()


async def _announced(domain: str) -> str:
    """The id of the domain's policy, or "" where there is not exactly one record (section 3.1)."""
    try:
        texts = await resolve.shared().texts(f"_mta-sts.{domain}")
    except FaultError as error:
        raise PolicyError(error.message, ours=error.side is Side.LOCAL) from error
    records = [text.decode("utf-8", "replace") for text in texts if text.startswith(b"v=STSv1")]
    if len(records) != 1:
        return ""
    match = _RECORD.fullmatch(records[0])
    return match[1] if match else ""


async def _body(connection: h11.Connection, stream: Stream) -> bytes:
    """The body of an answer that is 200: redirections are not followed (section 3.3)."""
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            try:
                connection.receive_data(await stream.read())
            except RemoteFault:
                connection.receive_data(b"")  # the end; where it is too early h11 says so
        elif isinstance(event, h11.Response) and event.status_code != 200:
            raise PolicyError(f"the policy host answers {event.status_code}")
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > POLICY_BYTES:
                raise PolicyError(f"the policy is larger than {POLICY_BYTES} bytes")
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return bytes(body)


class _Shared:
    store = PolicyStore()


def use(store: PolicyStore) -> None:
    """Makes this the store of the process."""
    _Shared.store = store


def shared() -> PolicyStore:
    """The store of the process."""
    return _Shared.store
