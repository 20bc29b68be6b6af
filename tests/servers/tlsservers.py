"""What tests of TLS need: an authority with certificates of every kind, and attempts of the SMTP test."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme
from cryptography.hazmat.primitives import serialization

from postbeat import attempts
from postbeat.clock import Clock
from postbeat.elements import SmtpElement
from postbeat.lag import LagMeter
from postbeat.model import SecurityType
from postbeat.probes import smtp
from postbeat.probes.credentials import access
from postbeat.probes.readings import Readings
from postbeat.results import Attempt
from postbeat.tls.options import TlsDefaults
from tests.servers.scripted import ScriptedServer, StartTls, Step, dialogue

GREETING = "S: 220 mx.test ready"
PLAIN_EHLO = """
    C: EHLO probe.test
    S: 250-mx.test
    S: 250-SIZE 1000
    S: 250 STARTTLS
"""
AGREED = """
    C: STARTTLS
    S: 220 go ahead
"""
SECURED = """
    C: EHLO probe.test
    S: 250 mx.test
    C: QUIT
    S: 221 bye
"""
TO_STARTTLS = GREETING + PLAIN_EHLO
WITH_SSL: list[Step] = dialogue(GREETING + SECURED)
WITH_STARTTLS: list[Step] = [*dialogue(TO_STARTTLS + AGREED), StartTls(), *dialogue(SECURED)]
SCRIPTS: dict[SecurityType, list[Step]] = {
    SecurityType.SSL: WITH_SSL,
    SecurityType.STARTTLS: WITH_STARTTLS,
}
_CLEAR: dict[SecurityType, list[bytes]] = {
    SecurityType.SSL: [],
    SecurityType.STARTTLS: [
        b"220 mx.test ready\r\n",
        b"250-mx.test\r\n250 STARTTLS\r\n",
        b"220 go ahead\r\n",
    ],
}
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority whose certificate lies in a file."""

    ca: trustme.CA
    file: Path

    @classmethod
    def new(cls, folder: Path, name: str = "authority") -> Authority:
        authority = trustme.CA(organization_name=name)
        file = folder / f"{name}.pem"
        authority.cert_pem.write_to_path(str(file))
        return cls(authority, file)

    def server(self, *names: str, lives_days: float = 365, age_days: float = 1) -> ssl.SSLContext:
        """A server's context, with a certificate that is valid for so many days more."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.issued(*names, lives_days=lives_days, age_days=age_days).configure_cert(context)
        return context

    def issued(self, *names: str, lives_days: float = 365, age_days: float = 1) -> trustme.LeafCert:
        now = datetime.now(UTC)
        return self.ca.issue_cert(
            *(names or ("localhost", "127.0.0.1")),
            not_before=now - age_days * DAY,
            not_after=now + lives_days * DAY,
        )

    def client_files(self, folder: Path, password: str = "", traditional: bool = False) -> dict[str, str]:
        """The fields of an element with a client certificate; a password encrypts its key."""
        leaf = self.issued("probe@mail.test")
        (folder / "client.pem").write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        encrypted = serialization.BestAvailableEncryption(password.encode()) if password else None
        style = serialization.PrivateFormat
        key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None).private_bytes(
            serialization.Encoding.PEM,
            style.TraditionalOpenSSL if traditional else style.PKCS8,
            encrypted or serialization.NoEncryption(),
        )
        (folder / "client.key").write_bytes(key)
        return {
            "sslcertificatefile": str(folder / "client.pem"),
            "sslkeyfile": str(folder / "client.key"),
        }

    def asks(self, context: ssl.SSLContext, *, requires: bool = True) -> ssl.SSLContext:
        """The context, asking for client certificates of this authority."""
        context.load_verify_locations(cafile=self.file)
        context.verify_mode = ssl.CERT_REQUIRED if requires else ssl.CERT_OPTIONAL
        return context


def between(
    context: ssl.SSLContext, lowest: ssl.TLSVersion, highest: ssl.TLSVersion, ciphers: str = ""
) -> ssl.SSLContext:
    """The context, held to these versions; old ones as an old server would do them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.maximum_version, context.minimum_version = highest, lowest
    if ciphers or lowest < ssl.TLSVersion.TLSv1_2:
        context.set_ciphers(ciphers or "ALL:@SECLEVEL=0")
    return context


@contextlib.contextmanager
def alerting(context: ssl.SSLContext, security: SecurityType, says: bytes = b"") -> Iterator[ScriptedServer]:
    """A server that sends its alerts, which those of asyncio keep to themselves; for one connection.

    After the handshake it says what it is given to say.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=_serve, args=(listener, context, _CLEAR[security], says))
        thread.start()
        yield ScriptedServer(port=listener.getsockname()[1])
        thread.join()


def _serve(listener: socket.socket, context: ssl.SSLContext, before: Sequence[bytes], says: bytes) -> None:
    sock, _ = listener.accept()
    sock.settimeout(10)
    with sock, contextlib.suppress(OSError):
        for number, reply in enumerate(before):
            if number:
                sock.recv(1000)
            sock.sendall(reply)
        with context.wrap_socket(sock, server_side=True) as tls:
            tls.sendall(says)
            while tls.recv(1000):
                pass


async def attempt(
    server: ScriptedServer,
    security: SecurityType = SecurityType.SSL,
    defaults: TlsDefaults | None = None,
    **fields: Any,
) -> Attempt:
    """One attempt of the SMTP test, which only checks the connection."""
    element = SmtpElement(
        name="out", port=server.port, securitytype=security, **{"server": "127.0.0.1", "timeout": 5, **fields}
    )

    async def body(readings: Readings, _number: int) -> None:
        way = await access(element, None, readings.timeline, defaults or TlsDefaults())
        await smtp.send(element, way, None, "probe.test", readings)

    (made,) = await attempts.run(element, body, Clock(), LagMeter())
    await asyncio.sleep(0)  # the loop closes what the attempt has dropped
    return made


def stages(made: Attempt) -> Sequence[str]:
    return [stage.name for stage in made.stages]
