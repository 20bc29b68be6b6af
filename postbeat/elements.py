"""The elements of a profile as types: the service tests, their fields and their defaults.

Configured times are seconds, as on the ISM's pages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import AfterValidator, BeforeValidator, ConfigDict, PlainValidator, StringConstraints

from postbeat.classification import Classification
from postbeat.model import (
    AddressFamily,
    AuthenticationType,
    Kind,
    Level,
    LoginType,
    Secret,
    SecurityType,
    TlsVersion,
)
from postbeat.results import Service
from postbeat.windows import Window

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


PAYLOAD_LIMIT = 50 << 20  # bytes that pad a message: an upload that takes seconds, not minutes


ITEM_LIMIT = 32  # service levels, and windows, of an element: each of its results may ask all of them


REGION_PATTERN = r"^[a-z0-9][a-z0-9-]{0,31}$"


_PRINTABLE_PATTERN = r"^[^\x00-\x20\x7f]+$"


HOST_PATTERN = (  # a name, or an address literal such as [192.0.2.1] (RFC 5321 section 4.1.3)
    r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){0,62}|\[(?:[0-9.]{7,15}|IPv6:[0-9A-Fa-f:.]{2,45})\]"
)


EMAIL_PATTERN = r"^[^\x00-\x20\x7f<>@\"(),:;\\\[\]]+@[^\x00-\x20\x7f<>@\"(),:;\\\[\]]+$"


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


def _not_unknown(level: Level) -> Level:
    if level is Level.UNKNOWN:
        raise ValueError("UNKNOWN is for what could not be seen")
    return level


def _not_apop(method: LoginType) -> LoginType:
    if method is LoginType.APOP:
        raise ValueError("APOP is for POP3 only")
    return method


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
ServerName = Annotated[str, StringConstraints(pattern=_PRINTABLE_PATTERN, max_length=253)]
FolderName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=200)]


Region = Annotated[str, StringConstraints(pattern=REGION_PATTERN)]


Names = Annotated[tuple[ServerName, ...], BeforeValidator(_one_or_many)]
Folders = Annotated[tuple[FolderName, ...], BeforeValidator(_one_or_many)]
Regions = Annotated[tuple[Region, ...], BeforeValidator(_one_or_many), MinLen(1), AfterValidator(_different)]


Server = Annotated[str, StringConstraints(pattern=_PRINTABLE_PATTERN, max_length=253)]
GradeLevel = Annotated[Level, AfterValidator(_not_unknown)]


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
LongTimeout = Annotated[float, Gt(0), Le(604800)]


TokenUrl = Annotated[
    str, StringConstraints(pattern=_PRINTABLE_PATTERN, max_length=1000), AfterValidator(_token_url)
]


SecretField = Annotated[Secret, BeforeValidator(Secret.parse)]


GroupName = Annotated[str, StringConstraints(pattern=rf"{NAME_PATTERN}|^$")]


ServiceLevels = Annotated[
    tuple[Annotated[Classification, PlainValidator(Classification.parse)], ...],
    BeforeValidator(_one_or_many),
    MaxLen(ITEM_LIMIT),
]


QuorumField = Literal["any", "majority", "all"] | Annotated[int, Ge(1), Le(99)]


Windows = Annotated[
    tuple[Annotated[Window, PlainValidator(Window.parse)], ...],
    BeforeValidator(_one_or_many),
    MaxLen(ITEM_LIMIT),
]


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
    group: GroupName = ""
    servicelevels: ServiceLevels = ()
    quorum: QuorumField = "majority"
    confirmpolls: Annotated[int, Ge(1), Le(20)] = 1
    availabilitytarget: Annotated[float, Ge(50), Lt(100)] = 99.9
    maintenance: Windows = ()

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

    @property
    def longest_s(self) -> float:
        """The longest that one poll may run, in seconds: every attempt to its deadline."""
        attempts = 1 + self.failureretests
        return attempts * self.timeout + self.failureretests * self.retestinterval

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
    losttimeout: LongTimeout = 3600
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


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxElement(Element):
    """What the elements of the IMAP4 and POP3 monitors have in common.

    A mailbox is read for the smtp elements that name it. With ``poll`` it is tested as a service of its own,
    too; a profile gives 300 seconds, as the ISM does, to a mailbox that no smtp element reads.
    """

    authenticationtype: LoginType = LoginType.STANDARD
    poll: Interval | None = None
    regions: Regions = ("default",)
    usebody: Switch | None = None
    authservids: Names = ()
    alteredlevel: GradeLevel = Level.MARGINAL
    duplicatelevel: GradeLevel = Level.MARGINAL

    @property
    def mailbox(self) -> str:
        """The identity of the mailbox: elements with the same one share its reader and its lease."""
        return f"{self.kind}:{self.username}@{self.server}:{self.port}"

    @property
    def main_folder(self) -> str:
        """The folder in which messages should arrive; "" where there is only one."""
        return ""

    @property
    def service(self) -> Service:
        """What goes into the results of its checks."""
        return Service(self.port, self.securitytype, self.authenticationtype, self.username)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imap4Element(MailboxElement):
    """An element of the IMAP4 monitor.

    ``folder`` is where messages should arrive. They are looked for in ``folders`` and in the spam folder too:
    ``spamfolder`` is its name, ``auto`` finds it (RFC 6154, or by its name), an empty text is for none.
    """

    kind: ClassVar[Kind] = Kind.IMAP4

    port: Port = 143
    authenticationtype: Annotated[LoginType, AfterValidator(_not_apop)] = LoginType.STANDARD
    folder: FolderName = "INBOX"
    folders: Folders = ()
    spamfolder: Line = "auto"
    spamlevel: GradeLevel = Level.MARGINAL
    movetofolder: Line = ""

    @property
    def main_folder(self) -> str:
        """The folder in which messages should arrive."""
        return self.folder

    @property
    def mailbox(self) -> str:
        """The identity of the mailbox, folder included."""
        return f"{self.kind}:{self.username}@{self.server}:{self.port}/{self.folder}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pop3Element(MailboxElement):
    """An element of the POP3 monitor.

    ``logininterval`` is how many seconds must lie between two logins; a server's LOGIN-DELAY (RFC 2449
    section 6.5) is kept where it is longer.
    """

    kind: ClassVar[Kind] = Kind.POP3

    port: Port = 110
    logininterval: Annotated[float, Ge(0), Le(3600)] = 0


ELEMENT_TYPES: dict[Kind, type[SmtpElement] | type[Imap4Element] | type[Pop3Element]] = {
    Kind.SMTP: SmtpElement,
    Kind.IMAP4: Imap4Element,
    Kind.POP3: Pop3Element,
}


AnyElement = SmtpElement | Imap4Element | Pop3Element
