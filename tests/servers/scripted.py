"""A server on a real socket that plays a script: what it expects, what it says, and how it misbehaves.

A script is a list of steps for one connection. The server's own complaint (a command that it did not expect)
is kept and raised when the server is closed, so that a test fails where the client said something wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import trustme

from postbeat.tls.context import tls_context
from postbeat.tls.options import TlsOptions


@dataclass(frozen=True, slots=True)
class Send:
    """Says these bytes; ``one_by_one`` splits them into single bytes, each in a packet of its own.

    ``{tag}`` stands for the first word of the line that was expected last (an IMAP4 tag).
    """

    data: bytes
    one_by_one: bool = False


@dataclass(frozen=True, slots=True)
class Expect:
    """Waits for a line that this regular expression matches as a whole, without its CRLF."""

    pattern: bytes


@dataclass(frozen=True, slots=True)
class ExpectBytes:
    """Waits for exactly these bytes: a literal."""

    data: bytes


@dataclass(frozen=True, slots=True)
class ExpectUntil:
    """Takes in whatever comes up to these bytes, and them: a message."""

    end: bytes


@dataclass(frozen=True, slots=True)
class StartTls:
    """Makes the TLS handshake as a server."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """Says these bytes over and over until the client has gone."""

    data: bytes
    every_s: float = 0


@dataclass(frozen=True, slots=True)
class Hang:
    """Says nothing until the client has gone."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Closes the connection at once; with a reset (RST) where ``reset`` is true."""

    reset: bool = False


Step: TypeAlias = Send | Expect | ExpectBytes | ExpectUntil | StartTls | Repeat | Hang | Cut


def dialogue(text: str) -> list[Step]:
    """The steps of a transcript: lines ``S: text`` are said (CRLF is added), lines ``C: text`` are expected.

    In both ``{tag}`` is an IMAP4 tag, and in what is expected ``...`` is anything. Empty lines and
    indentation do not count.
    """
    steps: list[Step] = []
    for line in filter(str.strip, text.splitlines()):
        match = re.fullmatch(r"\s*([SC]):(?: (.*))?", line)
        if match is None:
            raise ValueError(f"neither S: nor C: in {line!r}")
        what = match[2] or ""
        if match[1] == "S":
            steps.append(Send(what.encode() + b"\r\n"))
        else:
            pattern = re.escape(what).replace(r"\{tag\}", "[A-Za-z0-9]+").replace(r"\.\.\.", ".*")
            steps.append(Expect(pattern.encode()))
    return steps


@dataclass(slots=True)
class ScriptedServer:
    """A running server: where it listens, what its clients said, and how many came."""

    port: int = 0
    lines: list[bytes] = field(default_factory=list)
    connections: int = 0
    complaints: list[AssertionError] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def gone(self) -> None:
        """Returns when every client has closed its connection."""
        await asyncio.gather(*self.tasks)


class _Player:
    def __init__(
        self,
        server: ScriptedServer,
        tls: ssl.SSLContext | None,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._server = server
        self._tls = tls
        self._reader = reader
        self._writer = writer
        self._tag = b""

    async def play(self, steps: Sequence[Step]) -> None:
        try:
            for step in steps:
                await self._step(step)
                if isinstance(step, Cut | Repeat):
                    return  # whatever the client has said meanwhile
            if more := await self._reader.read(200):
                raise AssertionError(f"expected nothing more, and the client said {more!r}")
        except AssertionError as error:
            self._server.complaints.append(error)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client went away, as it may
        finally:
            self._writer.transport.abort()

    async def _step(self, step: Step) -> None:
        if isinstance(step, Send):
            data = step.data.replace(b"{tag}", self._tag)
            for part in [bytes([byte]) for byte in data] if step.one_by_one else [data]:
                self._writer.write(part)
                await self._writer.drain()
                await asyncio.sleep(0)
        elif isinstance(step, Expect | ExpectBytes | ExpectUntil):
            await self._expect(step)
        elif isinstance(step, StartTls):
            assert self._tls is not None, "the script needs tls="
            await self._writer.start_tls(self._tls)
        elif isinstance(step, Repeat):
            while not self._writer.transport.is_closing():
                self._writer.write(step.data)
                await self._writer.drain()
                await asyncio.sleep(step.every_s)
        elif isinstance(step, Hang):
            while await self._reader.read(65536):
                pass
        else:
            self._cut(reset=step.reset)

    async def _expect(self, step: Expect | ExpectBytes | ExpectUntil) -> None:
        if isinstance(step, Expect):
            line = (await self._reader.readuntil(b"\n")).rstrip(b"\r\n")
            self._server.lines.append(line)
            self._tag = line.partition(b" ")[0]
            if not re.fullmatch(step.pattern, line):
                raise AssertionError(f"expected {step.pattern!r}, and the client said {line!r}")
        elif isinstance(step, ExpectBytes):
            data = await self._reader.readexactly(len(step.data))
            if data != step.data:
                raise AssertionError(f"expected {step.data!r}, and the client said {data!r}")
        else:
            await self._reader.readuntil(step.end)

    def _cut(self, *, reset: bool) -> None:
        if reset:
            linger = struct.pack("ii", 1, 0)
            self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()


@contextlib.asynccontextmanager
async def scripted(
    *scripts: Sequence[Step], tls: ssl.SSLContext | None = None, implicit: bool = False
) -> AsyncIterator[ScriptedServer]:
    """A server on 127.0.0.1 that plays the first script for the first connection, and so on.

    The last script serves all further connections. ``tls`` is for StartTls, or for ``implicit`` TLS.

    Raises:
        AssertionError: at the end, if a client said what no script expected.
    """
    server = ScriptedServer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        steps = scripts[min(server.connections, len(scripts) - 1)]
        server.connections += 1
        task = asyncio.ensure_future(_Player(server, tls, reader, writer).play(steps))
        server.tasks.add(task)
        await asyncio.wait([task])

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls if implicit else None)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in server.tasks:
            task.cancel()
        await asyncio.gather(*server.tasks, return_exceptions=True)
    if server.complaints:
        raise server.complaints[0]


@dataclass(frozen=True, slots=True)
class Certificates:
    """An authority of the test's own, with a server context for ``localhost`` and 127.0.0.1."""

    authority_file: Path
    server: ssl.SSLContext

    @classmethod
    def issue(cls, folder: Path) -> Certificates:
        """Makes both; the authority's certificate is written to the folder."""
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
        authority_file = folder / "authority.pem"
        authority.cert_pem.write_to_path(str(authority_file))
        return cls(authority_file, context)

    def client(self) -> ssl.SSLContext:
        """The product's own context for an element that trusts the authority."""
        return tls_context(TlsOptions(ca_file=str(self.authority_file)))
