"""The words of Postbeat as types: elements, polls, results, faults and levels.

Everything here is immutable and knows nothing of files, sockets or Redis. Durations are integer
microseconds (``_us``), instants are integer microseconds since the epoch (``_us`` with ``at``), and
configured times are seconds, as on the ISM's pages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Self


class Kind(StrEnum):
    """The monitor that an element belongs to."""

    SMTP = "smtp"
    IMAP4 = "imap4"
    POP3 = "pop3"


class SecurityType(StrEnum):
    """How a connection is secured (the page's Table 2, ``securitytype``)."""

    NONE = "NONE"
    SSL = "SSL"
    STARTTLS = "STARTTLS"


class TlsVersion(StrEnum):
    """A version of TLS, in rising order."""

    V1 = "TLSv1"
    V1_1 = "TLSv1.1"
    V1_2 = "TLSv1.2"
    V1_3 = "TLSv1.3"

    @property
    def rank(self) -> int:
        """Grows with the version."""
        return list(TlsVersion).index(self)


class AuthenticationType(StrEnum):
    """How the monitor logs in at the SMTP server (the page's Table 2, ``authenticationtype``).

    NONE, PLAIN and CRAM-MD5 are the page's; the others are SASL mechanisms that servers have had since.
    """

    NONE = "NONE"
    PLAIN = "PLAIN"
    LOGIN = "LOGIN"
    CRAM_MD5 = "CRAM-MD5"
    SCRAM_SHA_1 = "SCRAM-SHA-1"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    XOAUTH2 = "XOAUTH2"
    OAUTHBEARER = "OAUTHBEARER"


class LoginType(StrEnum):
    """How a reader logs in at its mailbox.

    STANDARD is the protocol's own command: LOGIN (RFC 3501 section 6.2.3) or USER and PASS (RFC 1939
    section 7). APOP exists for POP3 only (RFC 1939 section 7).
    """

    STANDARD = "STANDARD"
    PLAIN = "PLAIN"
    LOGIN = "LOGIN"
    CRAM_MD5 = "CRAM-MD5"
    SCRAM_SHA_1 = "SCRAM-SHA-1"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    XOAUTH2 = "XOAUTH2"
    OAUTHBEARER = "OAUTHBEARER"
    APOP = "APOP"


# Methods that log in with an access token (RFC 6750).
TOKEN_METHODS = frozenset({"XOAUTH2", "OAUTHBEARER"})


# Methods that send the password or the token itself: whoever sees the connection can use it.
REVEALING_METHODS = TOKEN_METHODS | {"PLAIN", "LOGIN"}


class AddressFamily(StrEnum):
    """Which of a server's addresses are tried."""

    ANY = "ANY"
    IPV4 = "IPv4"
    IPV6 = "IPv6"

    def includes(self, address: str) -> bool:
        """Whether an IP address is of this family."""
        return self is AddressFamily.ANY or (":" in address) is (self is AddressFamily.IPV6)


class Level(StrEnum):
    """The level of a service. No news is UNKNOWN, never GOOD and never FAILED."""

    GOOD = "GOOD"
    MARGINAL = "MARGINAL"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


class Phase(StrEnum):
    """The part of a poll that a result belongs to."""

    SEND = "send"
    READ = "read"
    AFTER = "after"  # what became of the message after its read was recorded
    CHECK = "check"  # the service test of a mailbox


class Side(StrEnum):
    """Whose fault it was. Only a REMOTE fault can make a service FAILED."""

    REMOTE = "REMOTE"
    LOCAL = "LOCAL"


class FaultCode(StrEnum):
    """What went wrong, in one word that does not change when the message is reworded."""

    LOOKUP = "lookup"  # the name has no address
    RESOLVER = "resolver"  # our resolver did not answer
    REFUSED = "refused"  # the connection was refused
    UNREACHABLE = "unreachable"  # no way to the host
    DISCONNECTED = "disconnected"  # the peer closed or reset the connection
    TIMEOUT = "timeout"  # the attempt's deadline passed
    CERTIFICATE = "certificate"  # the certificate does not verify
    TLS = "tls"  # the handshake failed otherwise
    NO_STARTTLS = "no-starttls"  # STARTTLS is not offered
    AUTH = "auth"  # the credentials were refused
    NULL_MX = "null-mx"  # the domain says that it takes no mail
    POLICY = "policy"  # a policy of the domain (MTA-STS, DANE) forbids to deliver
    NO_MECHANISM = "no-mechanism"  # the authentication method is not offered
    NO_SMTPUTF8 = "no-smtputf8"  # SMTPUTF8 is needed for an address and not offered
    NO_8BITMIME = "no-8bitmime"  # 8BITMIME is needed for the message and not offered
    TOO_LARGE = "too-large"  # our message is larger than the server says it takes
    REPLY = "reply"  # the server answered with an error status
    GREYLISTED = "greylisted"  # the server puts off whom it does not know yet (RFC 6647)
    TEMPORARY = "temporary"  # the server refused the mail for now
    ACCEPTED = "accepted"  # the server accepted what the element expects it to refuse
    UNEXPECTED = "unexpected"  # the server refused elsewhere, or with another status, than expected
    PROTOCOL = "protocol"  # the server's answer is not in the protocol
    NOT_ARRIVED = "not-arrived"  # the message was not in the mailbox in time
    SPAM = "spam"  # the message lies in the spam folder
    ALTERED = "altered"  # the message was changed on the way
    DUPLICATED = "duplicated"  # the message arrived more than once
    BOUNCED = "bounced"  # a notification says that the message was not delivered
    IN_USE = "in-use"  # the mailbox is locked, or has too many sessions, by our own kind
    THROTTLED = "throttled"  # the server wants fewer or slower logins of ours
    FILE = "file"  # a file of ours cannot be used
    OPTION = "option"  # what the element asks for cannot be done here
    SECRET = "secret"  # noqa: S105  a secret of ours cannot be resolved
    RESOURCES = "resources"  # we are out of sockets, memory or network
    OVERLOADED = "overloaded"  # our own event loop was too late to trust the result
    SILENT = "silent"  # no result came at all
    INTERNAL = "internal"  # a defect of ours


# Our own sessions or logins are too many: one more would make it worse, and tells nothing of the service.
CONFLICTS = frozenset({FaultCode.IN_USE, FaultCode.THROTTLED})


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a test went wrong, and on whose side."""

    side: Side
    code: FaultCode
    message: str
    stage: str = ""


class FaultError(Exception):
    """Raised where a test goes wrong; becomes a :class:`Fault` in the result."""

    side: ClassVar[Side]

    def __init__(self, code: FaultCode, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

    def fault(self, stage: str) -> Fault:
        """The fault as it stands in a result, with the stage it happened in."""
        return Fault(self.side, self.code, self.message, stage)


class RemoteFault(FaultError):
    """The service did wrong."""

    side = Side.REMOTE


class LocalFault(FaultError):
    """We did wrong, or could not look."""

    side = Side.LOCAL


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret by reference (``env``, ``file``), sealed, or ``literal`` as it stood in the profile.

    Its value is shown by neither ``repr`` nor ``str``; :mod:`postbeat.secrets` resolves it.
    """

    source: str
    value: str = field(repr=False)

    SOURCES: ClassVar[tuple[str, ...]] = ("literal", "env", "file", "sealed")

    @classmethod
    def parse(cls, raw: object) -> Self:
        """A secret from a profile's text or from a mapping with one of SOURCES as its only key.

        Raises:
            ValueError: neither of the two.
        """
        if isinstance(raw, cls):
            return raw
        if isinstance(raw, str) and raw:
            return cls("literal", raw)
        if isinstance(raw, Mapping) and len(raw) == 1:
            ((source, value),) = raw.items()
            if source in cls.SOURCES and isinstance(value, str) and value:
                return cls(source, value)
        raise ValueError("expected a text, {env: NAME} or {file: PATH}")

    def plain(self) -> dict[str, str]:
        """The form that :meth:`parse` reads back."""
        return {self.source: self.value}


@dataclass(frozen=True, slots=True)
class Pair:
    """An element in a region: what is scheduled, and what has a level."""

    element: str
    region: str

    def __str__(self) -> str:
        return f"{self.element}@{self.region}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The pair of ``element@region``."""
        element, _, region = text.rpartition("@")
        return cls(element, region)


_POLL_ID = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})@([a-z0-9][a-z0-9-]{0,31})#([0-9]{1,15})")


@dataclass(frozen=True, slots=True)
class Poll:
    """One firing of an element in a region.

    ``slot`` is a whole number of intervals since the epoch, shifted by the pair's phase, so that a second
    beat gives the same poll the same id.
    """

    element: str
    region: str
    slot: int

    def __str__(self) -> str:
        return f"{self.element}@{self.region}#{self.slot}"

    @property
    def pair(self) -> Pair:
        """The element and region of this poll."""
        return Pair(self.element, self.region)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The poll of an id ``element@region#slot``.

        Raises:
            ValueError: the text is no poll id.
        """
        match = _POLL_ID.fullmatch(text)
        if match is None:
            raise ValueError(f"not a poll id: {text!r}")
        return cls(match[1], match[2], int(match[3]))
