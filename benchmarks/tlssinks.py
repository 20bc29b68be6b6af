"""An SMTP sink with TLS and logins: ``python -m benchmarks.tlssinks FOLDER``.

It listens on two ports of 127.0.0.1, which it prints: for STARTTLS, and for TLS from the first byte. It takes
every login. The certificate of its authority is FOLDER/authority.pem.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import sys
from pathlib import Path
from typing import cast

import trustme
import uvloop

from benchmarks.sinks import HOST, SmtpSink


class TlsSink(SmtpSink):
    """Offers STARTTLS (RFC 3207) and AUTH (RFC 4954)."""

    def __init__(self, context: ssl.SSLContext, *, implicit: bool) -> None:
        self._context = context
        self._secure = implicit
        self._answers = 0  # lines of a login that are still to come
        self._upgrade: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greets; after STARTTLS nothing is said."""
        if self._upgrade is None:
            super().connection_made(transport)

    def _command(self, line: bytes) -> bytes:
        if self._answers:
            self._answers -= 1
            return b"334 UGFzc3dvcmQ6\r\n" if self._answers else b"235 2.7.0 in\r\n"
        words = line.upper().split()
        if words[:1] == [b"EHLO"]:
            more = b"250-AUTH PLAIN LOGIN CRAM-MD5\r\n" if self._secure else b"250-STARTTLS\r\n"
            return b"250-sink\r\n" + more + b"250 SIZE 1000000\r\n"
        if words == [b"STARTTLS"]:
            self._transport.write(b"220 2.0.0 go\r\n")
            self._upgrade = asyncio.ensure_future(self._start_tls())
            return b""
        return self._auth(words[1:]) if words[:1] == [b"AUTH"] else super()._command(line)

    def _auth(self, words: list[bytes]) -> bytes:
        if words[0] == b"CRAM-MD5":
            self._answers = 1
            return b"334 " + base64.b64encode(b"<1.2@sink.test>") + b"\r\n"
        if words[0] == b"LOGIN":
            self._answers = 2 if len(words) == 1 else 1
            return b"334 VXNlcm5hbWU6\r\n"
        return b"235 2.7.0 in\r\n"

    async def _start_tls(self) -> None:
        loop = asyncio.get_running_loop()
        secured = await loop.start_tls(self._transport, self, self._context, server_side=True)
        self._transport = cast(asyncio.Transport, secured)
        self._secure = True


async def _serve(folder: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST, "localhost").configure_cert(context)
    loop = asyncio.get_running_loop()
    starttls = await loop.create_server(lambda: TlsSink(context, implicit=False), HOST, 0, backlog=1024)
    implicit = await loop.create_server(
        lambda: TlsSink(context, implicit=True), HOST, 0, backlog=1024, ssl=context
    )
    ports = {
        "starttls": starttls.sockets[0].getsockname()[1],
        "ssl": implicit.sockets[0].getsockname()[1],
    }
    print(json.dumps(ports), flush=True)
    await asyncio.gather(starttls.serve_forever(), implicit.serve_forever())


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1])))
