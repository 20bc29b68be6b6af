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
from ipaddress import ip_address
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import urlsplit

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import AfterValidator, BeforeValidator, ConfigDict, StringConstraints

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
PAYLOAD_LIMIT = 50 << 20  # bytes that pad a message: an upload that takes seconds, not minutes
REGION_PATTERN = r"^[a-z0-9][a-z0-9-]{0,31}$"
_PRINTABLE_PATTERN = r"^[^\x00-\x20\x7f]+$"
HOST_PATTERN = (  # a name, or an address literal such as [192.0.2.1] (RFC 5321 section 4.1.3)
    r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){0,62}|\[(?:[0-9.]{7,15}|IPv6:[0-9A-Fa-f:.]{2,45})\]"
)
EMAIL_PATTERN = r"^[^\x00-\x20\x7f<>@\"(),:;\\\[\]]+@[^\x00-\x20\x7f<>@\"(),:;\\\[\]]+$"


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
    IN_USE = "in-use"  # the mailbox is locked, or has too many sessions, by our own kind
    FILE = "file"  # a file of ours cannot be used
    OPTION = "option"  # what the element asks for cannot be done here
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


@dataclass(frozen=True, slots=True)
class Expectation:
    """The refusal that makes an element GOOD: its stage, and its statuses as codes or classes (``5xx``).

    A refused TLS handshake has no status.
    """

    stage: str
    statuses: tuple[str, ...] = ()

    STAGES: ClassVar[tuple[str, ...]] = (
        "greeting",
        "ehlo",
        "starttls",
        "tls",
        "auth",
        "mail",
        "rcpt",
        "data",
        "upload",
    )

    @classmethod
    def parse(cls, raw: object) -> Self:
        """An expectation from the mapping of a profile; without a status any ``5xx`` is meant.

        Raises:
            ValueError: it is none.
        """
        if isinstance(raw, cls):
            return raw
        if not isinstance(raw, Mapping) or not {"stage"} <= set(raw) <= {"stage", "status"}:
            raise ValueError("expected a mapping with stage and status")
        stage, given = raw["stage"], raw.get("status", () if raw["stage"] == "tls" else "5xx")
        statuses = tuple(str(status) for status in (given if isinstance(given, list | tuple) else (given,)))
        if stage not in cls.STAGES or not all(map(_STATUS.fullmatch, statuses)):
            raise ValueError("not a stage, or not the status of a refusal")
        if bool(statuses) is (stage == "tls"):
            raise ValueError("a refused handshake has no status, and every other refusal has one")
        return cls(stage, statuses)

    def plain(self) -> dict[str, Any]:
        """The form that :meth:`parse` reads back."""
        return {"stage": self.stage} | ({"status": list(self.statuses)} if self.statuses else {})

    def allows(self, status: int) -> bool:
        """Whether a status is one of those that are expected."""
        return not {str(status), f"{status // 100}xx"}.isdisjoint(self.statuses)

    def __str__(self) -> str:
        return f"{' or '.join(self.statuses) or 'a refusal'} in stage {self.stage}"


_STATUS = re.compile(r"[45](?:xx|[0-9]{2})")


def _one_or_many(raw: object) -> object:
    return (raw,) if isinstance(raw, str) else raw


_LOOPBACK = re.compile(r"localhost|127\.[0-9.]+|::1")


def _token_url(url: str) -> str:
    """A place that may be sent a secret: over TLS, or not over the network at all."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or parts.username is not None or parts.fragment or parts.port == 0:
        raise ValueError("not the address of a token endpoint")
    if parts.scheme != "https" and not (parts.scheme == "http" and _LOOPBACK.fullmatch(host)):
        raise ValueError("not over TLS")
    return url


def _ip(raw: str) -> str:
    if raw:
        ip_address(raw)
    return raw


def _different(regions: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(regions)) < len(regions):
        raise ValueError("a region stands here a second time")
    return regions


def _not_apop(method: LoginType) -> LoginType:
    if method is LoginType.APOP:
        raise ValueError("APOP is for POP3 only")
    return method


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Region = Annotated[str, StringConstraints(pattern=REGION_PATTERN)]
Regions = Annotated[tuple[Region, ...], BeforeValidator(_one_or_many), MinLen(1), AfterValidator(_different)]
Server = Annotated[str, StringConstraints(pattern=_PRINTABLE_PATTERN, max_length=253)]
IpAddress = Annotated[str, AfterValidator(_ip)]
Email = Annotated[str, StringConstraints(pattern=EMAIL_PATTERN, max_length=254)]
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=200)]
OriginatorName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=64)]
HeloName = Annotated[str, StringConstraints(pattern=rf"^(?:{HOST_PATTERN})?$", max_length=253)]
DkimName = Annotated[
    str, StringConstraints(pattern=r"^(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)?$", max_length=253)
]
Switch = Annotated[int, Ge(0), Le(1)]
TlsName = Annotated[
    str, StringConstraints(pattern=r"^(?:[^.\x00-\x20\x7f][^\x00-\x20\x7f]*)?$", max_length=253)
]
Port = Annotated[int, Ge(1), Le(65535)]
Interval = Annotated[float, Ge(1), Le(86400)]
Timeout = Annotated[float, Gt(0), Le(3600)]
TokenUrl = Annotated[
    str, StringConstraints(pattern=_PRINTABLE_PATTERN, max_length=1000), AfterValidator(_token_url)
]
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
    address: IpAddress = ""
    addressfamily: AddressFamily = AddressFamily.ANY
    sourceaddress: IpAddress = ""
    active: bool = True
    securitytype: SecurityType = SecurityType.NONE
    username: Line = ""
    password: SecretField | None = None
    sharedsecret: SecretField | None = None
    token: SecretField | None = None
    tokenurl: TokenUrl | None = None
    clientid: Line = ""
    clientsecret: SecretField | None = None
    refreshtoken: SecretField | None = None
    scope: Line = ""
    timeout: Timeout = 30
    failureretests: Annotated[int, Ge(0), Le(20)] = 0
    retestinterval: Annotated[float, Ge(0), Le(3600)] = 10
    tlsverify: bool = True
    tlscafile: Line = ""
    tlsservername: TlsName = ""
    tlsminversion: TlsVersion | None = None
    tlsmaxversion: TlsVersion = TlsVersion.V1_3
    tlslegacy: bool = False
    ssldisabletls: Switch = 0
    sslciphersuite: Line = ""
    sslcertificatefile: Line = ""
    sslkeyfile: Line = ""
    sslkeypassword: SecretField | None = None
    certificatewarndays: Annotated[int, Ge(0), Le(3650)] = 14

    SECRETS: ClassVar[tuple[str, ...]] = (
        "password",
        "sharedsecret",
        "token",
        "clientsecret",
        "refreshtoken",
        "sslkeypassword",
    )

    @property
    def tls_name(self) -> str:
        """What is asked for in SNI, and what the certificate must be for: a name or an IP address."""
        return (self.tlsservername or self.server).strip("[]").rstrip(".")

    @property
    def tls_lowest(self) -> TlsVersion:
        """The lowest version of TLS that is accepted."""
        lowest = self.tlsminversion or (TlsVersion.V1 if self.tlslegacy else TlsVersion.V1_2)
        return TlsVersion.V1_1 if self.ssldisabletls and lowest is TlsVersion.V1 else lowest

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
    plaintextlogin: bool = False
    email: Email | None = None
    poll: Interval = 300
    regions: Regions = ("default",)
    expect: Annotated[Expectation, BeforeValidator(Expectation.parse)] | None = None
    mx: bool = False
    lmtp: bool = False
    proxyprotocol: Annotated[int, Ge(0), Le(2)] = 0
    read: Name | None = None
    delivertimeout: Timeout = 300
    sender: Annotated[str, StringConstraints(pattern=rf"{EMAIL_PATTERN}|^$", max_length=254)] | None = None
    heloname: HeloName = ""
    originator: OriginatorName = ""
    mailmessage: Line = ""
    usebody: Switch | None = None
    payload: Annotated[int, Ge(0), Le(PAYLOAD_LIMIT)] = 0
    dkimdomain: DkimName = ""
    dkimselector: DkimName = ""
    dkimkeyfile: Line = ""

    @property
    def service(self) -> Service:
        """What goes into its results."""
        return Service(self.port, self.securitytype, self.authenticationtype, self.username, self.email or "")

    @property
    def longest_s(self) -> float:
        """The longest that one poll may run, in seconds: every attempt to its deadline."""
        attempts = 1 + self.failureretests
        return attempts * self.timeout + self.failureretests * self.retestinterval


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxElement(Element):
    """What the elements of the IMAP4 and POP3 monitors have in common."""

    authenticationtype: LoginType = LoginType.STANDARD
    usebody: Switch | None = None

    @property
    def mailbox(self) -> str:
        """The identity of the mailbox: elements with the same one share its reader and its lease."""
        return f"{self.kind}:{self.username}@{self.server}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imap4Element(MailboxElement):
    """An element of the IMAP4 monitor."""

    kind: ClassVar[Kind] = Kind.IMAP4

    port: Port = 143
    authenticationtype: Annotated[LoginType, AfterValidator(_not_apop)] = LoginType.STANDARD
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
    """What was negotiated, and what the server's certificate says.

    ``verified`` is false where tlsverify is off. ``names`` are the first of the certificate's names.
    ``expires_at_us`` is the earliest end in the chain, ``expiring`` the subject of the certificate that it is
    of; where ``whole_chain`` is false, only the server's own certificate was seen. ``certificate_asked`` is
    whether the server asked for a client certificate, None where that cannot be seen.
    """

    version: str
    cipher: str
    verified: bool
    subject: str = ""
    issuer: str = ""
    names: tuple[str, ...] = ()
    expires_at_us: int | None = None
    expiring: str = ""
    whole_chain: bool = False
    certificate_asked: bool | None = None


class PolicyVerdict(StrEnum):
    """What a policy of a mail domain says of the delivery that was tried."""

    NONE = "none"  # the domain has no such policy
    UNTRIED = "untried"  # the delivery ended before it was of account
    PASSED = "passed"
    FAILED = "failed"  # senders that honour the policy do not deliver
    TESTING = "testing"  # the policy is not met, and only asks for reports
    UNUSABLE = "unusable"  # the policy cannot be used: senders deliver as if there were none, or wait


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """A policy of a mail domain, ``MTA-STS`` (RFC 8461) or ``DANE`` (RFC 7672), and how it was met.

    ``mode`` is that of the MTA-STS policy. ``secure`` is whether our name server has validated what DANE
    rests on.
    """

    kind: str
    verdict: PolicyVerdict
    reason: str
    mode: str = ""
    secure: bool = False


_ENHANCED = re.compile(r"([245])[0-9]{2}[ -](\1\.[0-9]{1,3}\.[0-9]{1,3})(?: |$)")


def enhanced_code(reply: str) -> str:
    """The enhanced status code of a reply (RFC 2034 section 4), or "": its class is that of the status."""
    match = _ENHANCED.match(reply)
    return match[2] if match is not None else ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a poll: its stages, and the figures of design decision "what a timing means".

    ``warnings`` are what is wrong with a service that works all the same: they make it MARGINAL. ``host`` is
    the mail exchanger that was probed, where the domain's MX records named it.
    """

    number: int
    started_at_us: int
    total_us: int
    stages: tuple[Stage, ...] = ()
    times_us: Mapping[str, int] = field(default_factory=dict)
    bytes_transferred: int = 0
    status: int | None = None
    reply: str = ""
    address: str = ""
    host: str = ""
    policies: tuple[PolicyFacts, ...] = ()
    tls: TlsFacts | None = None
    fault: Fault | None = None
    warnings: tuple[str, ...] = ()
    accepted_at_us: int | None = None
    loop_lag_us: int = 0

    @property
    def enhanced(self) -> str:
        """The enhanced status code of the last reply, such as ``5.7.1`` (RFC 2034, RFC 3463), or ""."""
        return enhanced_code(self.reply)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a message travelled: from its acceptance by the server until it was seen in the mailbox.

    ``resolution_us`` is the time between the look that found it and the look before.
    """

    to_deliver_us: int
    resolution_us: int
    hop_count: int


@dataclass(frozen=True, slots=True)
class Service:
    """What an smtp element asked for when it was polled: what no poll measures of the page's Table 3."""

    port: int
    security: SecurityType
    authentication: AuthenticationType
    user: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What one phase of a poll measured. There is at most one for each poll and phase.

    ``service`` stands in the results of sends.
    """

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
    service: Service | None = None

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
