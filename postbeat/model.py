"""The words of Postbeat as types: elements, polls, results, faults and levels.

Everything here is immutable and knows nothing of files, sockets or Redis. Durations are integer
microseconds (``_us``), instants are integer microseconds since the epoch (``_us`` with ``at``), and
configured times are seconds, as on the ISM's pages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import AfterValidator, BeforeValidator, ConfigDict, StringConstraints

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
REGION_PATTERN = r"^[a-z0-9][a-z0-9-]{0,31}$"
_PRINTABLE_PATTERN = r"^[^\x00-\x20\x7f]+$"
_EMAIL_PATTERN = r"^[^\x00-\x20\x7f<>@\"(),:;\\\[\]]+@[^\x00-\x20\x7f<>@\"(),:;\\\[\]]+$"


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


class AuthenticationType(StrEnum):
    """How the monitor logs in at the SMTP server (the page's Table 2, ``authenticationtype``)."""

    NONE = "NONE"
    PLAIN = "PLAIN"
    CRAM_MD5 = "CRAM-MD5"


class LoginType(StrEnum):
    """How a reader logs in at its mailbox.

    STANDARD is the protocol's own command: LOGIN (RFC 3501 section 6.2.3) or USER and PASS (RFC 1939
    section 7). APOP exists for POP3 only (RFC 1939 section 7).
    """

    STANDARD = "STANDARD"
    PLAIN = "PLAIN"
    CRAM_MD5 = "CRAM-MD5"
    APOP = "APOP"


class Level(StrEnum):
    """The level of a service. No news is UNKNOWN, never GOOD and never FAILED."""

    GOOD = "GOOD"
    MARGINAL = "MARGINAL"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


class Phase(StrEnum):
    """The half of a round trip that a result belongs to."""

    SEND = "send"
    READ = "read"


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
    NO_MECHANISM = "no-mechanism"  # the authentication method is not offered
    REPLY = "reply"  # the server answered with an error status
    PROTOCOL = "protocol"  # the server's answer is not in the protocol
    NOT_ARRIVED = "not-arrived"  # the message was not in the mailbox in time
    IN_USE = "in-use"  # the mailbox is locked, or has too many sessions, by our own kind
    FILE = "file"  # a file of ours cannot be used
    SECRET = "secret"  # noqa: S105  a secret of ours cannot be resolved
    RESOURCES = "resources"  # we are out of sockets, memory or network
    OVERLOADED = "overloaded"  # our own event loop was too late to trust the result
    SILENT = "silent"  # no result came at all
    INTERNAL = "internal"  # a defect of ours


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


def _one_or_many(raw: object) -> object:
    return (raw,) if isinstance(raw, str) else raw


def _different(regions: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(regions)) < len(regions):
        raise ValueError("a region stands here a second time")
    return regions


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Region = Annotated[str, StringConstraints(pattern=REGION_PATTERN)]
Regions = Annotated[tuple[Region, ...], BeforeValidator(_one_or_many), MinLen(1), AfterValidator(_different)]
Server = Annotated[str, StringConstraints(pattern=_PRINTABLE_PATTERN, max_length=253)]
Email = Annotated[str, StringConstraints(pattern=_EMAIL_PATTERN, max_length=254)]
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=200)]
Port = Annotated[int, Ge(1), Le(65535)]
Interval = Annotated[float, Ge(1), Le(86400)]
Timeout = Annotated[float, Gt(0), Le(3600)]
SecretField = Annotated[Secret, BeforeValidator(Secret.parse)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """What the elements of all monitors have in common."""

    __pydantic_config__ = ConfigDict(extra="forbid")
    kind: ClassVar[Kind]

    name: Name
    server: Server
    description: Line = ""
    port: Port
    active: bool = True
    securitytype: SecurityType = SecurityType.NONE
    username: Line = ""
    password: SecretField | None = None
    sharedsecret: SecretField | None = None
    timeout: Timeout = 30
    failureretests: Annotated[int, Ge(0), Le(20)] = 0
    retestinterval: Annotated[float, Ge(0), Le(3600)] = 10
    tlsverify: bool = True
    tlscafile: Line = ""
    sslcertificatefile: Line = ""
    sslkeyfile: Line = ""
    sslkeypassword: SecretField | None = None

    SECRETS: ClassVar[tuple[str, ...]] = ("password", "sharedsecret", "sslkeypassword")

    @property
    def title(self) -> str:
        """The description, or the ISM's default for one: monitor, server, element."""
        return self.description or f"{self.kind} {self.server} {self.name}"

    def with_secrets(self, change: Mapping[str, Secret]) -> Self:
        """This element with some of its secrets replaced."""
        values: dict[str, Any] = dict(change)
        return replace(self, **values) if change else self


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpElement(Element):
    """An element of the SMTP monitor: fields and defaults of the page's Table 2, and ours.

    Without ``email`` the test only checks that the service accepts connections.
    """

    kind: ClassVar[Kind] = Kind.SMTP

    port: Port = 25
    authenticationtype: AuthenticationType = AuthenticationType.NONE
    email: Email | None = None
    poll: Interval = 300
    regions: Regions = ("default",)
    read: Name | None = None
    delivertimeout: Timeout = 300

    @property
    def longest_s(self) -> float:
        """The longest that one poll may run, in seconds: every attempt to its deadline."""
        attempts = 1 + self.failureretests
        return attempts * self.timeout + self.failureretests * self.retestinterval


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxElement(Element):
    """What the elements of the IMAP4 and POP3 monitors have in common."""

    authenticationtype: LoginType = LoginType.STANDARD

    @property
    def mailbox(self) -> str:
        """The identity of the mailbox: elements with the same one share its reader and its lease."""
        return f"{self.kind}:{self.username}@{self.server}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imap4Element(MailboxElement):
    """An element of the IMAP4 monitor."""

    kind: ClassVar[Kind] = Kind.IMAP4

    port: Port = 143
    folder: Annotated[Line, MinLen(1)] = "INBOX"

    @property
    def mailbox(self) -> str:
        """The identity of the mailbox, folder included."""
        return f"{self.kind}:{self.username}@{self.server}:{self.port}/{self.folder}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pop3Element(MailboxElement):
    """An element of the POP3 monitor."""

    kind: ClassVar[Kind] = Kind.POP3

    port: Port = 110


ELEMENT_TYPES: dict[Kind, type[SmtpElement] | type[Imap4Element] | type[Pop3Element]] = {
    Kind.SMTP: SmtpElement,
    Kind.IMAP4: Imap4Element,
    Kind.POP3: Pop3Element,
}


AnyElement = SmtpElement | Imap4Element | Pop3Element


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


@dataclass(frozen=True, slots=True)
class Stage:
    """A timed part of a probe. ``took_us`` runs to the deadline or the fault where ``ended`` is false."""

    name: str
    at_us: int
    took_us: int
    reply: str = ""
    ended: bool = True


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What was negotiated, and whether the certificate was verified (it is not where tlsverify is off)."""

    version: str
    cipher: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a poll: its stages, and the figures of design decision "what a timing means"."""

    number: int
    started_at_us: int
    total_us: int
    stages: tuple[Stage, ...] = ()
    times_us: Mapping[str, int] = field(default_factory=dict)
    bytes_transferred: int = 0
    status: int | None = None
    reply: str = ""
    address: str = ""
    tls: TlsFacts | None = None
    fault: Fault | None = None
    accepted_at_us: int | None = None
    loop_lag_us: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a message travelled: from its acceptance by the server until it was seen in the mailbox.

    ``resolution_us`` is the time between the look that found it and the look before.
    """

    to_deliver_us: int
    resolution_us: int
    hop_count: int


@dataclass(frozen=True, slots=True)
class Result:
    """What one phase of a poll measured. There is at most one for each poll and phase."""

    poll: Poll
    phase: Phase
    kind: Kind
    level: Level
    message: str
    at_us: int
    attempts: tuple[Attempt, ...] = ()
    fault: Fault | None = None
    delivery: Delivery | None = None
    worker: str = ""

    @property
    def decisive(self) -> Attempt | None:
        """The attempt that the result speaks of: the last."""
        return self.attempts[-1] if self.attempts else None


@dataclass(frozen=True, slots=True)
class Event:
    """A change of a pair's level, with the result that brought it about."""

    pair: Pair
    was: Level
    level: Level
    at_us: int
    poll: Poll
    phase: Phase
    message: str
