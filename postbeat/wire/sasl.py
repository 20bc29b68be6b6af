"""SASL mechanisms as a client speaks them (RFC 4422), the same for SMTP, IMAP4 and POP3.

A mechanism has a name, perhaps an initial response, and an answer to each challenge; the protocol's client
carries both in base64. A new one is a class and a line in MECHANISMS.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from typing import ClassVar, Protocol

from postbeat.model import FaultCode, LocalFault, RemoteFault
from postbeat.wire.line import argument, malformed

# Bytes of a challenge. RFC 4422 sets none; it protects the HMAC from a server that sends megabytes.
CHALLENGE_LIMIT = 8192


class Credentials(Protocol):
    """What a mechanism may draw on."""

    @property
    def username(self) -> str:
        """The name of the account."""
        ...

    @property
    def password(self) -> str:
        """The password, or empty."""
        ...

    @property
    def sharedsecret(self) -> str:
        """The secret of challenge-response mechanisms, or empty where that is the password."""
        ...


class Mechanism(Protocol):
    """One exchange. An instance is good for one login."""

    name: ClassVar[str]

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


def secret_of(login: Credentials) -> bytes:
    """The secret of challenge-response methods: the shared one, or else the password.

    Raises:
        LocalFault: it holds a line break or a NUL.
    """
    return argument(login.sharedsecret or login.password, "the shared secret")


class _SingleAnswer:
    """A mechanism with one answer: a server that asks again only collects answers."""

    name: ClassVar[str] = ""

    def __init__(self) -> None:
        self._answered = False

    def _answer_once(self) -> None:
        if self._answered:
            raise RemoteFault(FaultCode.PROTOCOL, f"the server sent a second {self.name} challenge")
        self._answered = True


class Plain(_SingleAnswer):
    """PLAIN (RFC 4616): the user name and the password in one message."""

    name: ClassVar[str] = "PLAIN"

    def __init__(self, login: Credentials) -> None:
        super().__init__()
        username = argument(login.username, "the user name")
        password = argument(login.password, "the password")
        self._message = b"\0" + username + b"\0" + password

    @property
    def initial(self) -> bytes | None:
        """The whole message."""
        return self._message

    def respond(self, challenge: bytes) -> bytes:
        """The whole message, for a server that takes no initial response; its challenge is empty.

        Raises:
            RemoteFault: the server asks a second time.
        """
        self._answer_once()
        return self._message


class CramMd5(_SingleAnswer):
    """CRAM-MD5 (RFC 2195): the user name and a keyed digest of the challenge."""

    name: ClassVar[str] = "CRAM-MD5"
    initial: bytes | None = None

    def __init__(self, login: Credentials) -> None:
        super().__init__()
        self._username = argument(login.username, "the user name")
        self._secret = secret_of(login)

    def respond(self, challenge: bytes) -> bytes:
        """The answer of RFC 2195 section 2.

        Raises:
            RemoteFault: the server asks a second time.
        """
        self._answer_once()
        digest = hmac.new(self._secret, challenge, "md5").hexdigest()
        return self._username + b" " + digest.encode("ascii")


MECHANISMS: Mapping[str, Callable[[Credentials], Mechanism]] = {
    Plain.name: Plain,
    CramMd5.name: CramMd5,
}


def mechanism(name: str, login: Credentials) -> Mechanism:
    """The mechanism of that name, ready for one login.

    Raises:
        LocalFault: it is not in MECHANISMS, or the credentials do not fit it.
    """
    make = MECHANISMS.get(name)
    if make is None:
        raise LocalFault(FaultCode.NO_MECHANISM, f"this monitor does not speak {name}")
    return make(login)


def encoded(response: bytes) -> bytes:
    """A response in base64, for a line of its own."""
    return base64.b64encode(response)


def encoded_initial(response: bytes) -> bytes:
    """An initial response in base64; an empty one is ``=`` (RFC 4959 section 3, RFC 5034 section 4)."""
    return base64.b64encode(response) or b"="


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
