"""The way into an IMAP4 mailbox: greeting, capabilities, STARTTLS and the login (RFC 3501)."""

from __future__ import annotations

from postbeat.model import FaultCode, LocalFault, LoginType, RemoteFault
from postbeat.probes.exchange import answered, exchange_for
from postbeat.probes.imap4talk import Imap4Conversation, in_use, said
from postbeat.probes.login import Login
from postbeat.probes.opening import next_reply, refuse_unread, throttled
from postbeat.wire import imap4
from postbeat.wire.imap4args import astring
from postbeat.wire.imap4reply import Reply, Status

# Response codes of a refusal (RFC 5530 section 3): our own rate, and the server's own troubles.
_LIMIT = "LIMIT"
_TROUBLES = ("UNAVAILABLE", "SERVERBUG")


class Imap4Login(Imap4Conversation):
    """A conversation, and how it begins."""

    _preauthenticated = False

    async def greet(self) -> str:
        """Waits for the greeting (RFC 3501 section 7.1).

        Raises:
            RemoteFault: it is none.
            LocalFault: IN_USE or THROTTLED where the server wants no more connections of ours.
        """
        reply: Reply = await next_reply(self.stream, self.client)
        if not isinstance(reply, Status):
            raise RemoteFault(FaultCode.PROTOCOL, "the server did not greet as IMAP4 does")
        if reply.status == "BYE":
            raise _our_doing(reply) or imap4.ended(reply)
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
            LocalFault: IN_USE where our own sessions are too many, THROTTLED where our logins are.
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
        username = astring(login.username, "the user name")
        password = astring(login.password, "the password")
        answer, _ = await self.run(b"LOGIN", username, password)
        return answer

    async def _authenticate(self, method: LoginType, login: Login) -> Status:
        exchange = exchange_for(method, self._mechanisms(), login, self.stream.transport)
        words = [b"AUTHENTICATE", exchange.mechanism.name.encode("ascii")]
        initial = exchange.opening(imap4.LINE_LIMIT) if self.offers("SASL-IR") else None
        if initial is not None:
            words.append(initial)
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

    @property
    def can_enable(self) -> bool:
        """Whether the server has IMAP4rev2 beside IMAP4rev1."""
        return {"ENABLE", "IMAP4REV1", "IMAP4REV2"} <= (self.client.capabilities or frozenset())

    async def enable(self) -> None:
        """Switches to IMAP4rev2 (RFC 9051 section 6.3.1); a server that refuses goes on as it is."""
        await self.run(b"ENABLE", b"IMAP4rev2")


def _refused_login(answer: Status) -> RemoteFault | LocalFault:
    ours = _our_doing(answer)
    if ours is not None:
        return ours
    if answer.code == "PRIVACYREQUIRED":
        return RemoteFault(FaultCode.NO_MECHANISM, f"the server wants TLS before the login: {said(answer)}")
    if answer.status == "BAD" or answer.code in _TROUBLES:
        return RemoteFault(FaultCode.REPLY, f"the server could not log us in: {said(answer)}")
    return RemoteFault(FaultCode.AUTH, f"the login was refused: {said(answer)}")


def _our_doing(answer: Status) -> LocalFault | None:
    """The fault of a refusal that is for the number of our sessions or logins; None for any other."""
    if in_use(answer):
        return LocalFault(FaultCode.IN_USE, f"the server has too many sessions of ours: {said(answer)}")
    if answer.code == _LIMIT or throttled(answer.text):
        return LocalFault(FaultCode.THROTTLED, f"the server wants fewer logins of ours: {said(answer)}")
    return None
