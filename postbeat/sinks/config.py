"""The sinks as types: their keys and their defaults, as docs/events.md describes them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
)

from postbeat.elements import Line, Name, Port, SecretField, Server
from postbeat.model import LocalFault, Secret, SecurityType
from postbeat.secrets import resolve
from postbeat.sinks.addresses import Target, header_value, target_of, web_address
from postbeat.sinks.notice import OF_RESULTS, EventKind
from postbeat.sinks.retry import Retry
from postbeat.sinks.rules import LEVELS, Filters
from postbeat.sinks.template import BODY, SLACK_TEXT, SUBJECT, TEMPLATE_LIMIT, check

_MAILBOX = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}$"


def _listed(raw: object) -> object:
    return (raw,) if isinstance(raw, str) else raw


def _levels(raw: tuple[str, ...]) -> tuple[str, ...]:
    if not set(raw) <= set(LEVELS):
        raise ValueError("not a level")
    return raw


def _upper(raw: object) -> object:
    listed = _listed(raw)
    if not isinstance(listed, list | tuple):
        return raw
    return tuple(item.upper() if isinstance(item, str) else item for item in listed)


def _literal_address(secret: Secret) -> Secret:
    if secret.source == "literal":
        web_address(secret.value)
    return secret


def _literal_header(secret: Secret) -> Secret:
    if secret.source == "literal":
        header_value(secret.value)
    return secret


def _target(raw: str) -> str:
    target_of(raw)
    return raw


Glob = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x20\x7f]{1,100}$")]
Globs = Annotated[tuple[Glob, ...], BeforeValidator(_listed), MinLen(1), MaxLen(1000)]
GroupNames = Annotated[tuple[Name, ...], BeforeValidator(_listed), MaxLen(1000)]
Levels = Annotated[tuple[str, ...], BeforeValidator(_upper), MinLen(1), AfterValidator(_levels)]
Kinds = Annotated[tuple[EventKind, ...], BeforeValidator(_listed), MinLen(1)]
Alerted = Annotated[
    tuple[Literal[EventKind.LEVEL, EventKind.VERDICT, EventKind.ALERT], ...],
    BeforeValidator(_listed),
    MinLen(1),
]
Address = Annotated[SecretField, AfterValidator(_literal_address)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")]
Headers = Annotated[dict[HeaderName, Annotated[SecretField, AfterValidator(_literal_header)]], MaxLen(50)]
LabelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
MailAddress = Annotated[str, StringConstraints(pattern=_MAILBOX)]
TemplateText = Annotated[
    str, StringConstraints(min_length=1, max_length=TEMPLATE_LIMIT), AfterValidator(check)
]
TargetText = Annotated[str, StringConstraints(max_length=1000), AfterValidator(_target)]
Argument = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=1000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sink:
    """What all sinks have in common. Times are seconds."""

    __pydantic_config__ = ConfigDict(extra="forbid")
    type: ClassVar[str]

    name: Name
    active: bool = True
    elements: Globs = ("*",)
    regions: Globs = ("*",)
    groups: GroupNames = ()
    levels: Levels = LEVELS
    kinds: Kinds = OF_RESULTS
    repeats: bool = False
    timeout: Annotated[float, Gt(0), Le(300)] = 10.0
    retryfirst: Annotated[float, Gt(0), Le(3600)] = 1.0
    retrylongest: Annotated[float, Gt(0), Le(3600)] = 300.0
    giveup: Annotated[float, Gt(0), Le(604800)] = 86400.0

    @property
    def filters(self) -> Filters:
        """What the sink wants to be told."""
        return Filters(
            self.elements,
            self.regions,
            self.groups,
            frozenset(self.levels),
            frozenset(self.kinds),
            self.repeats,
        )

    @property
    def retry(self) -> Retry:
        """When it is tried again."""
        return Retry(self.retryfirst, max(self.retryfirst, self.retrylongest), self.giveup)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSink(Sink):
    """A JSON document by HTTP POST, signed where there is a secret."""

    type: ClassVar[str] = "webhook"

    url: Address
    secret: SecretField | None = None
    headers: Headers | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertmanagerSink(Sink):
    """Alerts for Alertmanager's API v2; ``url`` is where Alertmanager itself is."""

    type: ClassVar[str] = "alertmanager"

    url: Address
    headers: Headers | None = None
    labels: Annotated[dict[LabelName, Line], MaxLen(20)] | None = None
    resend: Annotated[float, Ge(1), Le(3600)] = 60.0
    levels: Levels = LEVELS[1:]
    kinds: Alerted = (EventKind.VERDICT,)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackSink(Sink):
    """A message to an incoming webhook as Slack has them."""

    type: ClassVar[str] = "slack"

    url: Address
    text: TemplateText = SLACK_TEXT
    levels: Levels = LEVELS[1:]
    kinds: Kinds = (EventKind.VERDICT,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """A mail server that takes our mail."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    server: Server
    port: Port = 25
    securitytype: SecurityType = SecurityType.NONE
    username: Line = ""
    password: SecretField | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailSink(Sink):
    """A mail to ``to`` through the first of ``relays`` that is not the server which the event is about."""

    type: ClassVar[str] = "email"

    to: Annotated[tuple[MailAddress, ...], BeforeValidator(_listed), MinLen(1), MaxLen(50)]
    sender: MailAddress
    relays: Annotated[tuple[Relay, ...], MinLen(1), MaxLen(10)]
    subject: TemplateText = SUBJECT
    body: TemplateText = BODY
    levels: Levels = LEVELS[1:]
    kinds: Kinds = (EventKind.VERDICT,)
    timeout: Annotated[float, Gt(0), Le(300)] = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSink(Sink):
    """A program that gets the event on its standard input."""

    type: ClassVar[str] = "command"

    command: Annotated[tuple[Argument, ...], MinLen(1), MaxLen(100)]


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonLinesSink(Sink):
    """A JSON document in a line of its own, at the end of a file or by a socket."""

    type: ClassVar[str] = "jsonlines"

    to: TargetText

    @property
    def target(self) -> Target:
        """Where the lines go."""
        return target_of(self.to)


AnySink = WebhookSink | AlertmanagerSink | EmailSink | SlackSink | CommandSink | JsonLinesSink
SINK_TYPES: Mapping[str, type[AnySink]] = {
    it.type: it for it in (WebhookSink, AlertmanagerSink, EmailSink, SlackSink, CommandSink, JsonLinesSink)
}


def warnings_of(sink: AnySink) -> list[str]:
    """What is allowed and may still not be meant, or cannot be had here by this user: secrets and files."""
    found = []
    if isinstance(sink, EmailSink) and len({relay.server for relay in sink.relays}) == 1:
        found.append(f"{sink.name}: all relays are one server; when it fails, no mail tells of it")
    if isinstance(sink, JsonLinesSink) and (path := sink.target.path) and (trouble := _trouble_with(path)):
        found.append(f"{sink.name}: to: {trouble}")
    for where, secret in _secrets_of(sink):
        try:
            resolve(secret, None)
        except LocalFault as fault:
            found.append(f"{sink.name}: {where}: {fault.message}")
    return found


def _trouble_with(path: Path) -> str:
    """Why lines cannot be added to a file, or "" where they can. Nothing is written."""
    try:
        if not stat.S_ISDIR(path.parent.stat().st_mode):
            return f"{path.parent} is not a folder"
    except PermissionError:
        return f"this user may not enter {path.parent}"
    except OSError:
        return f"there is no folder {path.parent}"
    exists = os.path.exists(path)
    if exists and not os.path.isfile(path):  # a folder, a pipe, a terminal: the sink refuses these
        return f"{path} is not a file"
    place, needed = (path, os.R_OK | os.W_OK) if exists else (path.parent, os.W_OK | os.X_OK)
    return "" if os.access(place, needed) else f"this user may not write to {place}"


def _secrets_of(sink: AnySink) -> Iterator[tuple[str, Secret]]:
    if isinstance(sink, WebhookSink | AlertmanagerSink | SlackSink):
        yield "url", sink.url
    if isinstance(sink, WebhookSink | AlertmanagerSink):
        yield from ((f"headers.{name}", secret) for name, secret in (sink.headers or {}).items())
    if isinstance(sink, WebhookSink) and sink.secret is not None:
        yield "secret", sink.secret
    if isinstance(sink, EmailSink):
        for index, relay in enumerate(sink.relays):
            if relay.password is not None:
                yield f"relays[{index}].password", relay.password
