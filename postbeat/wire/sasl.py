"""SASL as a client speaks it (RFC 4422), the same for SMTP, IMAP4 and POP3: mechanisms, and one exchange.

A mechanism has a name, perhaps an initial response, and an answer to each challenge; :class:`Exchange`
carries both in base64. A new mechanism is a class and a line in MECHANISMS. Each of them takes a fixed number
of challenges, so no server can keep an exchange going.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Collection, Mapping
from typing import ClassVar, Protocol

from postbeat.model import FaultCode, LocalFault, RemoteFault
from postbeat.wire.bearer import OAuthBearer, XOAuth2
from postbeat.wire.credentials import Credentials, secret_of
from postbeat.wire.line import argument, malformed
from postbeat.wire.scram import ScramSha1, ScramSha256

# Bytes of a challenge. RFC 4422 sets none; it protects the HMAC from a server that sends megabytes.
CHALLENGE_LIMIT = 8192


class Mechanism(Protocol):
    """One exchange. An instance is good for one login."""

    @property
    def name(self) -> str:
        """What servers call it."""
        ...

    @property
    def heavy(self) -> bool:
        """Whether the next answer takes milliseconds of computing, or whatever else the server asks for."""
        ...

    @property
    def refusal(self) -> str:
        """Why the server will refuse, where it said so in a challenge; or empty."""
        ...

    @property
    def initial(self) -> bytes | None:
        """The initial response, or None where the server speaks first."""
        ...

    def respond(self, challenge: bytes) -> bytes:
        """The answer to a challenge.

        Raises:
            RemoteFault: the mechanism has no such challenge.
        """
        ...

    def finish(self) -> None:
        """To be called once the server has granted the login.

        Raises:
            RemoteFault: it must not have, as the mechanism was not at its end.
        """
        ...


class _Answers:
    """A mechanism that gives these answers, one for each challenge, and no more."""

    name: ClassVar[str] = ""
    heavy: ClassVar[bool] = False
    refusal: ClassVar[str] = ""
    initial: bytes | None = None

    def __init__(self, *answers: Callable[[bytes], bytes]) -> None:
        self._answers = list(answers)

    def respond(self, challenge: bytes) -> bytes:
        """The next answer.

        Raises:
            RemoteFault: the server has had them all: it only collects answers.
        """
        if not self._answers:
            raise RemoteFault(FaultCode.PROTOCOL, f"the server sent one {self.name} challenge too many")
        return self._answers.pop(0)(challenge)

    def finish(self) -> None:
        """Nothing, if all answers were asked for.

        Raises:
            RemoteFault: the server granted the login before it had what it needs to know us.
        """
        if self._answers:
            raise RemoteFault(
                FaultCode.PROTOCOL, f"the server granted the login in the middle of {self.name}"
            )


class Plain(_Answers):
    """PLAIN (RFC 4616): the user name and the password in one message."""

    name = "PLAIN"

    def __init__(self, login: Credentials) -> None:
        super().__init__()
        username = argument(login.username, "the user name")
        self.initial = b"\0" + username + b"\0" + argument(login.password, "the password")


class LoginMechanism(_Answers):
    """LOGIN (draft-murchison-sasl-login): the name, then the password.

    Servers ask in words of their own, so the order alone counts.
    """

    name = "LOGIN"

    def __init__(self, login: Credentials) -> None:
        username = argument(login.username, "the user name")
        password = argument(login.password, "the password")
        super().__init__(lambda _: username, lambda _: password)


class CramMd5(_Answers):
    """CRAM-MD5 (RFC 2195): the user name and a keyed digest of the challenge."""

    name = "CRAM-MD5"

    def __init__(self, login: Credentials) -> None:
        username, secret = argument(login.username, "the user name"), secret_of(login)
        super().__init__(
            lambda challenge: username + b" " + hmac.new(secret, challenge, "md5").hexdigest().encode("ascii")
        )


MECHANISMS: Mapping[str, Callable[[Credentials], Mechanism]] = {
    "PLAIN": Plain,
    "LOGIN": LoginMechanism,
    "CRAM-MD5": CramMd5,
    "SCRAM-SHA-1": ScramSha1,
    "SCRAM-SHA-256": ScramSha256,
    "XOAUTH2": XOAuth2,
    "OAUTHBEARER": OAuthBearer,
}
_SCRAM: Mapping[str, Callable[..., Mechanism]] = {"SCRAM-SHA-1": ScramSha1, "SCRAM-SHA-256": ScramSha256}


def mechanism(name: str, login: Credentials) -> Mechanism:
    """The mechanism of that name, ready for one login.

    Raises:
        LocalFault: it is not in MECHANISMS, or the credentials do not fit it.
    """
    make = MECHANISMS.get(name)
    if make is None:
        raise LocalFault(FaultCode.NO_MECHANISM, f"this monitor does not speak {name}")
    return make(login)


def offered_mechanism(
    name: str, offered: Collection[str], login: Credentials, binding: Callable[[], bytes]
) -> Mechanism:
    """The mechanism of that name, if the server offers it; SCRAM with channel binding where that is offered.

    Args:
        name: the configured mechanism. Another one is never taken in its place.
        offered: what the server offers, in capitals.
        login: the credentials.
        binding: gives the data of ``tls-server-end-point`` (RFC 5929 section 4), or nothing without TLS.

    Raises:
        RemoteFault: NO_MECHANISM: the server does not offer it.
        LocalFault: it is not in MECHANISMS, or the credentials do not fit it.
    """
    bound = f"{name}-PLUS" in offered and name in _SCRAM
    data = binding() if name in _SCRAM else b""
    if name not in offered and not (bound and data):
        names = ", ".join(sorted(offered))[:100] or "none"
        raise RemoteFault(FaultCode.NO_MECHANISM, f"the server does not offer AUTH {name}; it offers {names}")
    if data:
        return _SCRAM[name](login, binding=data, plus=bound)
    return mechanism(name, login)


class Exchange:
    """One mechanism on its way over a connection, in base64."""

    def __init__(self, mechanism: Mechanism) -> None:
        self.mechanism = mechanism
        self._unsaid = mechanism.initial
        self._spoke = False

    def opening(self, room: int) -> bytes | None:
        """The initial response, or None where there is none or it has more than ``room`` bytes.

        One that does not fit is the answer to the server's first challenge, which is then empty (RFC 4954
        section 4, RFC 5034 section 4). An empty response is ``=`` (RFC 4959 section 3).
        """
        if self._unsaid is None:
            return None
        text = encoded(self._unsaid) or b"="
        if len(text) > room:
            return None
        self._unsaid = None
        self._spoke = True
        return text

    def respond(self, challenge: bytes) -> bytes:
        """The answer to a challenge, for a line of its own.

        Raises:
            RemoteFault: the challenge is not base64, or the mechanism has no such challenge.
        """
        data = decoded(challenge)
        self._spoke = True
        if self._unsaid is None:
            return encoded(self.mechanism.respond(data))
        initial, self._unsaid = self._unsaid, None
        return encoded(initial)

    def finish(self) -> None:
        """To be called once the server has granted the login.

        Raises:
            RemoteFault: it cannot know who we are, or has not proved what the mechanism asks of it.
        """
        if not self._spoke:
            raise RemoteFault(FaultCode.PROTOCOL, "the server granted the login before it was asked for")
        self.mechanism.finish()


def encoded(response: bytes) -> bytes:
    """A response in base64, for a line of its own."""
    return base64.b64encode(response)


def decoded(challenge: bytes) -> bytes:
    """A challenge out of base64.

    Raises:
        RemoteFault: it is not base64, or longer than CHALLENGE_LIMIT bytes.
    """
    if len(challenge) > CHALLENGE_LIMIT:
        raise malformed(f"the server sent a challenge of more than {CHALLENGE_LIMIT} bytes", challenge)
    try:
        return base64.b64decode(challenge, validate=True)
    except binascii.Error:
        raise malformed("the server sent a challenge that is not base64", challenge) from None
