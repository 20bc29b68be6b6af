"""A session on a POP3 mailbox (RFC 1939): what came, and the deletion of what is ours."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from postbeat.dial import Stream
from postbeat.elements import Pop3Element
from postbeat.model import FaultCode, FaultError, LocalFault, LoginType, RemoteFault
from postbeat.probes.exchange import answered, exchange_for
from postbeat.probes.login import Login
from postbeat.probes.opening import next_reply, open_mailbox, our_doing, refuse_unread
from postbeat.probes.session import BODY_LIMIT, HEADER_LIMIT, SCAN_LIMIT, Found, Memory
from postbeat.timeline import Timeline
from postbeat.wire import pop3
from postbeat.wire.credentials import secret_of
from postbeat.wire.line import TEXT_LIMIT
from postbeat.wire.pop3 import Command, Pop3Client, Reply, State

# Commands sent at a time where the server offers PIPELINING (RFC 2449 section 6.6). A window this small fits
# the socket buffers on both ends, so neither side can wait for the other to read.
WINDOW = 50

# Lines of a body in which a reader looks for the tracking information: what a gateway puts before it, too.
BODY_LINES = 8

# Response codes (RFC 2449 section 8, RFC 3206): our own sessions; and the server's own troubles.
_OURS = ("IN-USE", "LOGIN-DELAY")
_TROUBLES = ("SYS/TEMP", "SYS/PERM")


async def open_session(
    element: Pop3Element,
    login: Login,
    timeline: Timeline,
    fields: Sequence[str],
    tls: ssl.SSLContext | None = None,
) -> Pop3Session:
    """A session that holds the lock on its mailbox (RFC 1939 section 4).

    ``fields`` are the header fields that a scan shows; ``tls`` is needed for SSL and STARTTLS. One attempt to
    log in is made. The caller owns the deadline.

    Raises:
        RemoteFault, LocalFault: it could not be opened; the connection is closed.
    """
    lines = BODY_LINES if element.usebody else 0
    return await open_mailbox(
        lambda stream: Pop3Session(stream, fields, lines), element, login, timeline, tls
    )


class Pop3Session:
    """One logged-in session; see :class:`postbeat.probes.session.MailboxSession`.

    The mailbox is locked and does not change while the session lasts, so it is listed once. Another scan
    shows what the one before left.
    """

    live: ClassVar[bool] = False

    def __init__(self, stream: Stream, fields: Sequence[str], body_lines: int = 0) -> None:
        self.stream = stream
        self._client = Pop3Client(HEADER_LIMIT)
        self._fields = tuple(name.lower().encode("ascii") for name in fields)
        self._body_lines = body_lines
        self._capabilities: dict[str, tuple[str, ...]] | None = None
        self._timestamp: bytes | None = None
        self._numbers: dict[str, list[int]] | None = None

    async def greet(self) -> str:
        """Waits for the greeting (RFC 1939 section 4).

        Raises:
            RemoteFault: it is none, or -ERR.
            LocalFault: IN_USE where the server has too many sessions of ours.
        """
        greeting = await next_reply(self.stream, self._client)
        if not greeting.ok:
            raise _refused("the server refused the session", greeting)
        self._timestamp = pop3.timestamp(greeting)
        return greeting.text

    @property
    def knows_capabilities(self) -> bool:
        """Whether the server was asked for its capabilities since they could last change."""
        return self._capabilities is not None

    async def ask_capabilities(self) -> str:
        """Asks for the capabilities (RFC 2449 section 5); a server without CAPA has none to tell."""
        reply = await self._run(pop3.CAPA)
        self._capabilities = pop3.capabilities(reply.lines)
        return " ".join(self._capabilities) or _said(reply)

    async def starttls(self) -> str:
        """Has the server agree to TLS (RFC 2595 section 4).

        Raises:
            RemoteFault: it does not offer it, or refuses.
        """
        if not self._offers("STLS"):
            raise RemoteFault(FaultCode.NO_STARTTLS, "the server does not offer STLS")
        return (await self._succeed("the server refused STLS", pop3.STLS)).text

    def secured(self) -> None:
        """Forgets what was said in the clear, and refuses what came after the agreement.

        Raises:
            RemoteFault: bytes came after the agreement.
        """
        refuse_unread(self._client.unread)
        self._capabilities = None

    async def log_in(self, method: LoginType, login: Login) -> str:
        """USER and PASS, APOP (RFC 1939 section 7) or AUTH (RFC 5034), once.

        Raises:
            RemoteFault: AUTH, or NO_MECHANISM where the method is not offered.
            LocalFault: IN_USE where the mailbox is locked, or was opened too recently, by our own kind.
        """
        if method is LoginType.STANDARD:
            reply = await self._user_and_pass(login)
        elif method is LoginType.APOP:
            reply = await self._apop(login)
        else:
            reply = await self._auth(method, login)
        if not reply.ok:
            raise _refused_login(reply)
        return reply.text

    async def _user_and_pass(self, login: Login) -> Reply:
        # A server that tells its capabilities and not this one does not want a password in the clear.
        if self._capabilities and not self._offers("USER"):
            raise RemoteFault(FaultCode.NO_MECHANISM, "the server does not offer USER on this connection")
        password = pop3.password(login.password)
        reply = await self._run(pop3.user(login.username))
        return await self._run(password) if reply.ok else reply

    async def _apop(self, login: Login) -> Reply:
        if self._timestamp is None:
            raise RemoteFault(
                FaultCode.NO_MECHANISM, "the server does not offer APOP: its greeting has no timestamp"
            )
        return await self._run(pop3.apop(login.username, self._timestamp, secret_of(login)))

    async def _auth(self, method: LoginType, login: Login) -> Reply:
        offered = (self._capabilities or {}).get("SASL", ())
        exchange = exchange_for(method, offered, login, self.stream.transport)
        name = exchange.mechanism.name
        reply = await self._run(pop3.auth(name, exchange.opening(pop3.initial_room(name))), challenged=True)
        while reply.state is State.CHALLENGE:
            try:
                response = await answered(exchange, reply.challenge)
            except FaultError:
                self.stream.write(b"*\r\n")  # cancels the command (RFC 5034 section 4)
                raise
            reply = await self._run(pop3.answer(response), challenged=True)
        if reply.ok:
            exchange.finish()
        elif exchange.mechanism.refusal:
            raise RemoteFault(
                FaultCode.AUTH, f"the login was refused: {_said(reply)} ({exchange.mechanism.refusal})"
            )
        return reply

    async def scan(self, memory: Memory) -> tuple[Sequence[Found], Memory]:
        """The messages whose unique-ids the memory does not have, oldest first, SCAN_LIMIT at most.

        The memory returned has no unique-ids that are no longer in the mailbox. A message that has no header
        (yet), or cannot be shown, is neither found nor remembered.

        Raises:
            RemoteFault: the server has no UIDL or TOP, or answers out of the protocol.
        """
        numbers = await self._listed()
        news = [uid for uid in numbers if uid not in memory.uidls][:SCAN_LIMIT]
        window = WINDOW if self._offers("PIPELINING") else 1
        found: list[Found] = []
        for start in range(0, len(news), window):
            found += await self._shown(news[start : start + window])
        known = (memory.uidls & numbers.keys()) | {message.uid for message in found}
        return found, replace(memory, uidls=frozenset(known))

    async def _listed(self) -> dict[str, list[int]]:
        if self._numbers is None:
            listing = await self._succeed("the server gives no unique-ids (UIDL)", pop3.UIDL)
            self._numbers = {}
            for number, uid in pop3.unique_ids(listing.lines):
                # Identical copies of a message may share a unique-id (RFC 1939 section 7).
                self._numbers.setdefault(uid, []).append(number)
        return self._numbers

    async def _shown(self, uids: Sequence[str]) -> list[Found]:
        numbers = await self._listed()
        replies = await self._run_all([pop3.top(numbers[uid][0], self._body_lines) for uid in uids])
        for reply in replies:
            if not reply.ok and not self._offers("TOP"):
                raise _refused("the server does not show headers (TOP)", reply)
        return [
            Found(uid, _fields_of(reply.lines, self._fields))
            for uid, reply in zip(uids, replies, strict=True)
            if reply.ok and any(reply.lines)
        ]

    async def delete(self, uids: Sequence[str]) -> None:
        """Marks these messages; they go when :meth:`finish` returns (RFC 1939 sections 5 and 6).

        Raises:
            RemoteFault: the server refuses.
        """
        numbers = await self._listed()
        marks = [pop3.dele(number) for uid in uids for number in numbers.get(uid, ())]
        window = WINDOW if self._offers("PIPELINING") else 1
        for start in range(0, len(marks), window):
            for reply in await self._run_all(marks[start : start + window]):
                if not reply.ok:
                    raise _refused("the server refused to delete our message", reply)

    async def finish(self) -> None:
        """Quits, which is what deletes, and closes the connection.

        Raises:
            RemoteFault: QUIT was not confirmed; the messages are still there (RFC 1939 section 6).
        """
        try:
            await self._succeed("the server did not carry out the deletions", pop3.QUIT)
        finally:
            self.abort()

    def abort(self) -> None:
        """Closes the connection at once."""
        self.stream.close()

    def _offers(self, capability: str) -> bool:
        return capability in (self._capabilities or ())

    async def _succeed(self, failure: str, command: Command) -> Reply:
        reply = await self._run(command)
        if not reply.ok:
            raise _refused(failure, reply)
        return reply

    async def _run(self, command: Command, *, challenged: bool = False) -> Reply:
        (reply,) = await self._run_all([command], challenged=challenged)
        return reply

    async def _run_all(self, commands: Sequence[Command], *, challenged: bool = False) -> list[Reply]:
        self.stream.write(self._client.send(*commands))
        replies = [await next_reply(self.stream, self._client) for _ in commands]
        if not challenged and any(reply.state is State.CHALLENGE for reply in replies):
            raise RemoteFault(FaultCode.PROTOCOL, "the server sent a challenge where none belongs")
        return replies


def _said(reply: Reply) -> str:
    code = f"[{reply.code}] " if reply.code else ""
    return f"{code}{reply.text}"[:TEXT_LIMIT]


def _refused(failure: str, reply: Reply) -> RemoteFault | LocalFault:
    if reply.code in _OURS or our_doing(reply.text):
        return LocalFault(FaultCode.IN_USE, f"the mailbox is in use: {_said(reply)}")
    return RemoteFault(FaultCode.REPLY, f"{failure}: {_said(reply)}")


def _refused_login(reply: Reply) -> RemoteFault | LocalFault:
    fault = _refused("the server could not log us in", reply)
    if isinstance(fault, LocalFault) or reply.code in _TROUBLES:
        return fault
    return RemoteFault(FaultCode.AUTH, f"the login was refused: {_said(reply)}")


def _fields_of(lines: Sequence[bytes], names: Sequence[bytes]) -> bytes:
    """The lines of the named fields, continuations included, and the empty line that ends a header.

    What follows it is the beginning of the body, which is kept within its limit.
    """
    kept = []
    wanted = False
    end = lines.index(b"") if b"" in lines else len(lines)
    for line in lines[:end]:
        if line[:1] not in (b" ", b"\t"):
            wanted = line.partition(b":")[0].rstrip().lower() in names
        if wanted:
            kept.append(line)
    header = b"".join(line + b"\r\n" for line in [*kept, b""])
    return header + b"".join(line + b"\r\n" for line in lines[end + 1 :])[:BODY_LIMIT]
