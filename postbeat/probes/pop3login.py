"""A conversation with a POP3 server up to its login, and what all its commands have in common."""

from __future__ import annotations

from collections.abc import Sequence

from postbeat.dial import Stream
from postbeat.model import FaultCode, FaultError, LocalFault, LoginType, RemoteFault
from postbeat.probes.exchange import answered, exchange_for
from postbeat.probes.login import Login
from postbeat.probes.opening import next_reply, our_doing, refuse_unread, throttled
from postbeat.wire import pop3
from postbeat.wire.credentials import secret_of
from postbeat.wire.line import TEXT_LIMIT
from postbeat.wire.pop3 import Command, Pop3Client, Reply, State

# Commands sent at a time where the server offers PIPELINING (RFC 2449 section 6.6). A window this small fits
# the socket buffers on both ends, so neither side can wait for the other to read.
WINDOW = 50

# Response codes (RFC 2449 section 8, RFC 3206): our own sessions; the credentials; the server's own troubles.
_IN_USE = "IN-USE"
_LOGIN_DELAY = "LOGIN-DELAY"
_AUTH = "AUTH"
_TROUBLES = ("SYS/TEMP", "SYS/PERM")


class Pop3Conversation:
    """A connection to a POP3 server. ``login_delay_s`` is the longest delay that it has told."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.login_delay_s = 0.0
        self._client = Pop3Client()
        self._capabilities: dict[str, tuple[str, ...]] | None = None
        self._timestamp: bytes | None = None

    async def greet(self) -> str:
        """Waits for the greeting (RFC 1939 section 4).

        Raises:
            RemoteFault: it is none, or -ERR.
            LocalFault: IN_USE where the server has too many sessions of ours, THROTTLED where they come too
                often.
        """
        greeting = await next_reply(self.stream, self._client)
        if not greeting.ok:
            raise refused("the server refused the session", greeting)
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
        self.login_delay_s = max(self.login_delay_s, pop3.login_delay_s(self._capabilities))
        told = (" ".join((name, *arguments)) for name, arguments in self._capabilities.items())
        return ", ".join(told)[:TEXT_LIMIT] or said(reply)

    async def starttls(self) -> str:
        """Has the server agree to TLS (RFC 2595 section 4).

        Raises:
            RemoteFault: it does not offer it, or refuses.
        """
        if not self.offers("STLS"):
            raise RemoteFault(FaultCode.NO_STARTTLS, "the server does not offer STLS")
        return (await self.succeed("the server refused STLS", pop3.STLS)).text

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
            LocalFault: IN_USE where the mailbox is locked by our own kind, THROTTLED where it was opened too
                recently.
        """
        if method is LoginType.STANDARD:
            reply = await self._user_and_pass(login)
        elif method is LoginType.APOP:
            reply = await self._apop(login)
        else:
            reply = await self._auth(method, login)
        if not reply.ok:
            raise _refused_login(reply, tells_reason=self.offers("AUTH-RESP-CODE") and not reply.code)
        return reply.text

    @property
    def tells_more_after_login(self) -> bool:
        """Whether the server has to be asked again for what is this user's (RFC 2449 section 6.5)."""
        return pop3.varies_by_user(self._capabilities or {})

    async def _announce_utf8(self, login: Login) -> None:
        """UTF8 (RFC 6856 section 2), where the credentials need it and the server knows it."""
        if not (login.username + login.password + login.sharedsecret).isascii() and self.offers("UTF8"):
            await self.succeed("the server offers UTF8 and refused it", pop3.UTF8)

    async def _user_and_pass(self, login: Login) -> Reply:
        # A server that tells its capabilities and not this one does not want a password in the clear.
        if self._capabilities and not self.offers("USER"):
            raise RemoteFault(FaultCode.NO_MECHANISM, "the server does not offer USER on this connection")
        password = pop3.password(login.password)
        await self._announce_utf8(login)
        reply = await self._run(pop3.user(login.username))
        return await self._run(password) if reply.ok else reply

    async def _apop(self, login: Login) -> Reply:
        if self._timestamp is None:
            raise RemoteFault(
                FaultCode.NO_MECHANISM, "the server does not offer APOP: its greeting has no timestamp"
            )
        command = pop3.apop(login.username, self._timestamp, secret_of(login))
        await self._announce_utf8(login)
        return await self._run(command)

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
                FaultCode.AUTH, f"the login was refused: {said(reply)} ({exchange.mechanism.refusal})"
            )
        return reply

    @property
    def window(self) -> int:
        """How many commands may be sent at a time."""
        return WINDOW if self.offers("PIPELINING") else 1

    def offers(self, capability: str) -> bool:
        """Whether the server has told this capability."""
        return capability in (self._capabilities or ())

    async def succeed(self, failure: str, command: Command) -> Reply:
        """The positive reply to a command.

        Raises:
            RemoteFault, LocalFault: it was refused; ``failure`` says what that means.
        """
        reply = await self._run(command)
        if not reply.ok:
            raise refused(failure, reply)
        return reply

    async def run(self, commands: Sequence[Command]) -> list[Reply]:
        """The replies to commands, of which no more are under way than the server takes."""
        replies: list[Reply] = []
        for start in range(0, len(commands), self.window):
            replies += await self._exchange(commands[start : start + self.window])
        return replies

    def abort(self) -> None:
        """Closes the connection at once."""
        self.stream.close()

    async def _run(self, command: Command, *, challenged: bool = False) -> Reply:
        (reply,) = await self._exchange([command], challenged=challenged)
        return reply

    async def _exchange(self, commands: Sequence[Command], *, challenged: bool = False) -> list[Reply]:
        self.stream.write(self._client.send(*commands))
        replies = [await next_reply(self.stream, self._client) for _ in commands]
        if not challenged and any(reply.state is State.CHALLENGE for reply in replies):
            raise RemoteFault(FaultCode.PROTOCOL, "the server sent a challenge where none belongs")
        return replies


def said(reply: Reply) -> str:
    """What a reply says to people, bounded."""
    code = f"[{reply.code}] " if reply.code else ""
    return f"{code}{reply.text}"[:TEXT_LIMIT]


def refused(failure: str, reply: Reply) -> RemoteFault | LocalFault:
    """The fault of a refusal: IN_USE and THROTTLED are of our own doing, all else is the server's."""
    if reply.code == _IN_USE or our_doing(reply.text):
        return LocalFault(FaultCode.IN_USE, f"the mailbox is in use: {said(reply)}")
    if reply.code == _LOGIN_DELAY or throttled(reply.text):
        return LocalFault(FaultCode.THROTTLED, f"the server wants fewer logins: {said(reply)}")
    return RemoteFault(FaultCode.REPLY, f"{failure}: {said(reply)}")


def _refused_login(reply: Reply, *, tells_reason: bool) -> RemoteFault | LocalFault:
    """The fault of a refused login.

    A server that ``tells_reason`` names the credentials where they are it (RFC 3206 section 4).
    """
    credentials = RemoteFault(FaultCode.AUTH, f"the login was refused: {said(reply)}")
    if reply.code == _AUTH:
        return credentials
    fault = refused("the server could not log us in", reply)
    if isinstance(fault, LocalFault) or reply.code in _TROUBLES or tells_reason:
        return fault
    return credentials
