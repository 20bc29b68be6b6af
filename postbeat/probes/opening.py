"""How a session on a mailbox is opened, whatever the protocol: connect, secure, log in, once and in order."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from typing import Protocol, TypeVar

from postbeat import dial
from postbeat.dial import Stream
from postbeat.elements import MailboxElement
from postbeat.model import FaultCode, LocalFault, LoginType, RemoteFault, SecurityType
from postbeat.probes.login import Login
from postbeat.timeline import Timeline

# What servers say when our own sessions are too many or hold the mailbox, where they have no code for it.
_OUR_DOING = re.compile(
    r"too many (?:simultaneous |concurrent |open )*(?:connections|sessions)"
    r"|too many (?:simultaneous |concurrent |open )+logins|simultaneous connections"
    r"|maximum number of connections|(?:maildrop|mailbox|lock) (?:is |already )*(?:locked|busy|in use)"
    r"|lock (?:the )?(?:maildrop|mailbox)|already locked|another session",
    re.IGNORECASE,
)
# What they say when our logins come too often. A bare "try again later" is no such thing: it is said of every
# trouble that a server hopes to be over soon. Nor are failed logins: they come of a wrong password.
_THROTTLED = re.compile(
    r"too many (?:(?!failed|bad|invalid|unsuccessful|wrong)[a-z]+ ){0,3}(?:attempts|logins|requests)"
    r"|(?:rate|login|request|bandwidth|command)s?[ -]*limit|throttl"
    r"|(?:log(?:ged|ging)? ?in|connect(?:ed|ing)?) too (?:often|frequently|fast)|login[ -]delay"
    r"|(?:time|wait)[^.;]{0,40} (?:between|before) (?:[a-z]+ ){0,3}log(?:ging )?[ -]?in",
    re.IGNORECASE,
)

R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S", bound="Opening")


class Wire(Protocol[R_co]):
    """A protocol without I/O."""

    def receive(self, data: bytes) -> None:
        """Takes bytes in."""
        ...

    def next_reply(self) -> R_co | None:
        """The next complete reply, or None while more bytes are needed."""
        ...


class Opening(Protocol):
    """What a protocol contributes to its opening; texts returned are what the server said."""

    async def greet(self) -> str:
        """Waits for the greeting."""
        ...

    @property
    def knows_capabilities(self) -> bool:
        """Whether the server has told its capabilities since they could last change."""
        ...

    async def ask_capabilities(self) -> str:
        """Asks for them."""
        ...

    async def starttls(self) -> str:
        """Has the server agree to TLS; raises RemoteFault NO_STARTTLS where it is not offered."""
        ...

    def secured(self) -> None:
        """Forgets what was said in the clear, and refuses what came after the agreement."""
        ...

    async def log_in(self, method: LoginType, login: Login) -> str:
        """Makes one attempt to log in."""
        ...

    def abort(self) -> None:
        """Closes the connection at once."""
        ...


async def open_mailbox(
    make: Callable[[Stream], S],
    element: MailboxElement,
    login: Login,
    timeline: Timeline,
    tls: ssl.SSLContext | None,
) -> S:
    """A session that is logged in; the caller owns the deadline.

    Stages: lookup, connect, tls, greeting, capability, starttls, login, each where it happens. ``capability``
    is there only where the server did not tell its capabilities unasked.

    Raises:
        RemoteFault, LocalFault: it could not be opened; the connection is closed.
    """
    stream = await _connect(element, timeline, tls)
    session = make(stream)
    try:
        with timeline.stage("greeting"):
            timeline.reply(await session.greet())
        await _learn(session, timeline)
        if element.securitytype is SecurityType.STARTTLS:
            with timeline.stage("starttls"):
                timeline.reply(await session.starttls())
                session.secured()
            await stream.start_tls(_given(tls), _name(element), timeline)
            await _learn(session, timeline)
        with timeline.stage("login"), login.hiding():
            timeline.reply(login.hidden_in(await session.log_in(element.authenticationtype, login)))
    except BaseException:
        session.abort()
        raise
    return session


async def _connect(element: MailboxElement, timeline: Timeline, tls: ssl.SSLContext | None) -> Stream:
    if element.securitytype is not SecurityType.NONE:
        _given(tls)
    sock, _ = await dial.reach(element, timeline)
    try:
        if element.securitytype is SecurityType.SSL:
            return await Stream.open(sock, timeline, tls, _name(element))
        return await Stream.open(sock, timeline)
    except BaseException:
        sock.close()
        raise


def _given(tls: ssl.SSLContext | None) -> ssl.SSLContext:
    if tls is None:
        # Going on without would send the credentials in the clear.
        raise LocalFault(FaultCode.INTERNAL, "the element asks for TLS and no TLS context was given")
    return tls


def _name(element: MailboxElement) -> str:
    return element.tls_name


async def _learn(session: Opening, timeline: Timeline) -> None:
    if not session.knows_capabilities:
        with timeline.stage("capability"):
            timeline.reply(await session.ask_capabilities())


async def next_reply(stream: Stream, wire: Wire[R_co]) -> R_co:
    """The next reply of a protocol, read from the stream as far as needed.

    Raises:
        RemoteFault: the reply is malformed, or the server closed the connection.
    """
    while (reply := wire.next_reply()) is None:
        wire.receive(await stream.read())
    return reply


def our_doing(text: str) -> bool:
    """Whether a refusal says that our own sessions are too many, or hold the mailbox."""
    return _OUR_DOING.search(text) is not None


def throttled(text: str) -> bool:
    """Whether a refusal says that our logins come too often, and not that our sessions are too many."""
    return _THROTTLED.search(text) is not None and not our_doing(text)


def refuse_unread(unread: int) -> None:
    """Refuses bytes that came with the agreement to TLS (RFC 2595 section 2.4: they could be injected).

    Raises:
        RemoteFault: there are such bytes.
    """
    if unread:
        raise RemoteFault(FaultCode.PROTOCOL, "the server sent data between STARTTLS and the handshake")
