"""The conversation below an IMAP4 session: commands and their answers, and the way in (RFC 3501)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from postbeat.dial import Stream
from postbeat.model import FaultCode, FaultError, LocalFault, LoginType, RemoteFault
from postbeat.probes.exchange import answered, exchange_for
from postbeat.probes.login import Login
from postbeat.probes.opening import next_reply, our_doing, refuse_unread
from postbeat.wire import imap4
from postbeat.wire.imap4 import Argument, Imap4Client
from postbeat.wire.imap4reply import Continuation, Data, Fetch, Reply, Status
from postbeat.wire.line import TEXT_LIMIT

# Memory that the answer to one command may take, roughly, in bytes. Protects the worker from a server that
# answers for ever; a window of messages with the largest headers stays below half of it.
ANSWER_LIMIT = 16 << 20
_OBJECT_SIZE = 64  # what Python adds to each small object, roughly

# Response codes of a refusal (RFC 5530 section 3): our own sessions; and the server's own troubles.
_OURS = ("INUSE", "LIMIT")
_TROUBLES = ("UNAVAILABLE", "SERVERBUG")


class Imap4Conversation:
    """A connection on which one command at a time is under way.

    Every method that waits raises RemoteFault DISCONNECTED where the server says BYE or closes.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.client = Imap4Client()
        self._preauthenticated = False

    async def greet(self) -> str:
        """Waits for the greeting (RFC 3501 section 7.1).

        Raises:
            RemoteFault: it is none.
        """
        reply = await self._reply()
        if not isinstance(reply, Status):
            raise RemoteFault(FaultCode.PROTOCOL, "the server did not greet as IMAP4 does")
        if reply.status not in ("OK", "PREAUTH"):
            raise RemoteFault(FaultCode.REPLY, f"the server greeted with {reply.status}: {reply.text}")
        self._preauthenticated = reply.status == "PREAUTH"
        return f"{reply.status} {reply.text}"

    @property
    def knows_capabilities(self) -> bool:
        """Whether the server has told its capabilities since they could last change."""
        return self.client.capabilities is not None

    async def ask_capabilities(self) -> str:
        """Asks for the capabilities (RFC 3501 section 6.1.1).

        Raises:
            RemoteFault: it does not tell them.
        """
        answer, _ = await self.run(b"CAPABILITY")
        if self.client.capabilities is None:
            raise RemoteFault(FaultCode.REPLY, f"the server does not tell its capabilities: {answer.text}")
        return " ".join(sorted(self.client.capabilities))

    def offers(self, capability: str) -> bool:
        """Whether the server has told this capability, given in capitals."""
        return capability in (self.client.capabilities or ())

    async def starttls(self) -> str:
        """Has the server agree to TLS (RFC 3501 section 6.2.1).

        Raises:
            RemoteFault: it does not offer it (as after PREAUTH), or refuses.
        """
        if self._preauthenticated or not self.offers("STARTTLS"):
            raise RemoteFault(FaultCode.NO_STARTTLS, "the server does not offer STARTTLS")
        return (await self.succeed("the server refused STARTTLS", b"STARTTLS")).text

    def secured(self) -> None:
        """Forgets what was said in the clear, and refuses what came after the agreement.

        Raises:
            RemoteFault: bytes came after the agreement.
        """
        refuse_unread(self.client.unread)
        self.client.forget_capabilities()

    async def log_in(self, method: LoginType, login: Login) -> str:
        """LOGIN or AUTHENTICATE (RFC 3501 sections 6.2.2 and 6.2.3), once; nothing after PREAUTH.

        Raises:
            RemoteFault: AUTH, or NO_MECHANISM where the method is not offered.
            LocalFault: IN_USE where our own sessions are too many.
        """
        if self._preauthenticated:
            return "PREAUTH"
        if method is LoginType.STANDARD:
            answer = await self._log_in_plainly(login)
        else:
            answer = await self._authenticate(method, login)
        if not answer.ok:
            raise _refused_login(answer)
        return answer.text

    async def _log_in_plainly(self, login: Login) -> Status:
        if self.offers("LOGINDISABLED"):
            raise RemoteFault(
                FaultCode.NO_MECHANISM, "the server offers no LOGIN on this connection (LOGINDISABLED)"
            )
        username = imap4.astring(login.username, "the user name")
        password = imap4.astring(login.password, "the password")
        self.client.forget_capabilities()
        answer, _ = await self.run(b"LOGIN", username, password)
        return answer

    async def _authenticate(self, method: LoginType, login: Login) -> Status:
        exchange = exchange_for(method, self._mechanisms(), login, self.stream.transport)
        words = [b"AUTHENTICATE", exchange.mechanism.name.encode("ascii")]
        initial = exchange.opening(imap4.LINE_LIMIT) if self.offers("SASL-IR") else None
        if initial is not None:
            words.append(initial)
        self.client.forget_capabilities()
        answer, _ = await self.run(*words, respond=lambda challenge: answered(exchange, challenge))
        if answer.ok:
            exchange.finish()
        elif exchange.mechanism.refusal:
            raise RemoteFault(
                FaultCode.AUTH, f"the login was refused: {said(answer)} ({exchange.mechanism.refusal})"
            )
        return answer

    def _mechanisms(self) -> set[str]:
        offered = self.client.capabilities or ()
        return {capability.removeprefix("AUTH=") for capability in offered if capability.startswith("AUTH=")}

    async def succeed(self, failure: str, *words: Argument) -> Status:
        """Runs a command that has to succeed.

        Raises:
            RemoteFault: REPLY, with ``failure`` and what the server said.
        """
        answer, _ = await self.run(*words)
        if not answer.ok:
            raise RemoteFault(FaultCode.REPLY, f"{failure}: {said(answer)}")
        return answer

    async def run(
        self, *words: Argument, respond: Callable[[bytes], Awaitable[bytes]] | None = None
    ) -> tuple[Status, list[Fetch | Data]]:
        """Runs a command: its answer, and what the server told of messages (FETCH and SEARCH) before it.

        ``respond`` answers challenges, in base64. Where it cannot, the command is cancelled with ``*`` (RFC
        3501 section 6.2.2).

        Raises:
            RemoteFault: the server answers out of the protocol, or without end.
        """
        told: list[Fetch | Data] = []
        size = 0
        self.stream.write(self.client.send(*words))
        while True:
            reply = await self._reply()
            if isinstance(reply, Continuation):
                await self._proceed(reply, respond)
            elif isinstance(reply, Status) and reply.tag:
                return reply, told
            elif isinstance(reply, Fetch) or (isinstance(reply, Data) and reply.word == "SEARCH"):
                size += _size(reply)
                told.append(reply)
                if size > ANSWER_LIMIT:
                    raise RemoteFault(FaultCode.PROTOCOL, "the server's answer does not end")

    async def _proceed(
        self, reply: Continuation, respond: Callable[[bytes], Awaitable[bytes]] | None
    ) -> None:
        literal = self.client.proceed()
        if literal is not None:
            self.stream.write(literal)
        elif respond is not None:
            try:
                self.stream.write(await respond(reply.text) + b"\r\n")
            except FaultError:
                self.stream.write(b"*\r\n")
                raise
        else:
            raise RemoteFault(FaultCode.PROTOCOL, "the server wants more of a command that is complete")

    async def _reply(self) -> Reply:
        reply: Reply = await next_reply(self.stream, self.client)
        goodbye = imap4.goodbye(reply)
        if goodbye is not None:
            raise goodbye
        return reply

    def abort(self) -> None:
        """Closes the connection at once."""
        self.stream.close()


def in_use(answer: Status) -> bool:
    """Whether a refusal is the doing of our own sessions."""
    return answer.code in _OURS or our_doing(answer.text)


def said(answer: Status) -> str:
    """What a server said, with its response code, bounded."""
    code = f"[{answer.code}] " if answer.code else ""
    return f"{code}{answer.text}"[:TEXT_LIMIT]


def _refused_login(answer: Status) -> RemoteFault | LocalFault:
    if in_use(answer):
        return LocalFault(FaultCode.IN_USE, f"the server has too many sessions of ours: {said(answer)}")
    if answer.code == "PRIVACYREQUIRED":
        return RemoteFault(FaultCode.NO_MECHANISM, f"the server wants TLS before the login: {said(answer)}")
    if answer.status == "BAD" or answer.code in _TROUBLES:
        return RemoteFault(FaultCode.REPLY, f"the server could not log us in: {said(answer)}")
    return RemoteFault(FaultCode.AUTH, f"the login was refused: {said(answer)}")


def _size(reply: Fetch | Data) -> int:
    if isinstance(reply, Fetch):
        return _OBJECT_SIZE + len(reply.header or b"")
    return _OBJECT_SIZE * (1 + len(reply.words))
