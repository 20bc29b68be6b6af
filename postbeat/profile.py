"""YAML -> Profile: every fault of a file at once, each with file, line, key path and what was expected.

The grammar is in docs/profile.md. A profile is one file or a folder of them; all names share one space.
"""

from __future__ import annotations

import difflib
import gc
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from postbeat import contradictions, yamllines
from postbeat.codec import adapter
from postbeat.elements import (
    ELEMENT_TYPES,
    AnyElement,
    Element,
    Imap4Element,
    MailboxElement,
    Pop3Element,
    Regions,
    SmtpElement,
)
from postbeat.model import Kind, Pair, Secret
from postbeat.secrets import Keys

_TOP_KEYS = ("regions", "elements")
_SUFFIXES = (".yaml", ".yml")
_BOOLEANS = ("active", "lmtp", "mx", "plaintextlogin", "tlslegacy", "tlsverify")
_EITHER = ("ssldisabletls",)  # a truth value or 0 and 1, as on the page

_SECRET_TEXT = "a text, {env: NAME} or {file: PATH}"  # noqa: S105
_TLS_TEXT = "TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3"
_LINE_TEXT = "a text of at most 200 characters in one line"
_REGION_TEXT = "a region or a list of different regions, each of at most 32 small letters, digits and -"
_SASL_TEXT = "PLAIN, LOGIN, CRAM-MD5, SCRAM-SHA-1, SCRAM-SHA-256, XOAUTH2"
_EXPECT_TEXT = (
    "{stage: STAGE, status: CODE}, with greeting, ehlo, starttls, tls, auth, mail, rcpt, data or upload,"
    " and a code such as 550 or 5xx, or a list of them"
)
_TEXTS = ("a text", "a name", "the ")  # how the words for what YAML may take for a number begin
_NAME_TEXT = "a name of at most 64 letters, digits, '.', '_' and '-'"

# What each field takes; the same words stand in docs/profile.md.
EXPECTED: Mapping[str, str] = {
    "type": "smtp, imap4 or pop3",
    "name": _NAME_TEXT,
    "server": "a host name or an IP address",
    "description": _LINE_TEXT,
    "port": "a whole number from 1 to 65535",
    "address": "an IP address",
    "addressfamily": "ANY, IPv4 or IPv6",
    "sourceaddress": "an IP address",
    "active": "true or false",
    "securitytype": "NONE, SSL or STARTTLS",
    "username": _LINE_TEXT,
    "password": _SECRET_TEXT,
    "sharedsecret": _SECRET_TEXT,
    "token": _SECRET_TEXT,
    "tokenurl": "an address that begins with https://",
    "clientid": _LINE_TEXT,
    "clientsecret": _SECRET_TEXT,
    "refreshtoken": _SECRET_TEXT,
    "scope": _LINE_TEXT,
    "timeout": "seconds, more than 0 and at most 3600",
    "failureretests": "a whole number from 0 to 20",
    "retestinterval": "seconds from 0 to 3600",
    "tlsverify": "true or false",
    "tlscafile": "the path of a file in PEM",
    "tlsservername": "a host name or an IP address",
    "tlsminversion": _TLS_TEXT,
    "tlsmaxversion": _TLS_TEXT,
    "tlslegacy": "true or false",
    "ssldisabletls": "0 or 1, or false or true",
    "sslciphersuite": "ciphers as OpenSSL writes them, in at most 200 characters",
    "sslcertificatefile": "the path of a file in PEM",
    "sslkeyfile": "the path of a file in PEM",
    "sslkeypassword": _SECRET_TEXT,
    "certificatewarndays": "a whole number from 0 to 3650",
    "authenticationtype": f"NONE, {_SASL_TEXT} or OAUTHBEARER",
    "plaintextlogin": "true or false",
    "email": "a mailbox address such as probe@example.com",
    "poll": "seconds from 1 to 86400",
    "regions": _REGION_TEXT,
    "expect": _EXPECT_TEXT,
    "mx": "true or false",
    "lmtp": "true or false",
    "proxyprotocol": "0, 1 or 2",
    "read": "the name of an imap4 or pop3 element",
    "delivertimeout": "seconds, more than 0 and at most 3600",
    "sender": "a mailbox address, or an empty text for the null sender",
    "heloname": "a host name or an address in brackets",
    "originator": "a text of at most 64 characters in one line",
    "mailmessage": "the path of a text or a whole message of at most 1 MiB",
    "usebody": "0 or 1",
    "payload": "a whole number from 0 to 52428800",
    "dkimdomain": "a domain name in ASCII",
    "dkimselector": "the name of a selector",
    "dkimkeyfile": "the path of a private key in PEM",
    "folder": "the name of a folder",
}
_EXPECTED_OF_KIND: Mapping[tuple[Kind, str], str] = {
    (Kind.IMAP4, "authenticationtype"): f"STANDARD, {_SASL_TEXT} or OAUTHBEARER",
    (Kind.POP3, "authenticationtype"): f"STANDARD, {_SASL_TEXT}, OAUTHBEARER or APOP",
}

_REGIONS: TypeAdapter[Regions] = TypeAdapter(Regions)


@dataclass(frozen=True, slots=True)
class ProfileFault:
    """One fault of a profile."""

    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: "
        return f"{place}{self.path}: {self.message}" if self.path else f"{place}{self.message}"


class ProfileError(Exception):
    """A profile is not valid; ``faults`` has all that is wrong, in the order of files and lines."""

    def __init__(self, faults: Sequence[ProfileFault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.file, fault.line, fault.path)))
        super().__init__("\n".join(str(fault) for fault in self.faults))


@dataclass(frozen=True, slots=True)
class Profile:
    """The elements that should be monitored, by name."""

    elements: Mapping[str, AnyElement]

    @property
    def smtp(self) -> Iterator[SmtpElement]:
        """The smtp elements, inactive ones included."""
        return (element for element in self.elements.values() if isinstance(element, SmtpElement))

    def active(self) -> Iterator[tuple[Pair, SmtpElement]]:
        """Every pair that is polled, with its element."""
        for element in self.smtp:
            if element.active:
                for region in element.regions:
                    yield Pair(element.name, region), element

    def reader_of(self, element: SmtpElement) -> Imap4Element | Pop3Element | None:
        """The imap4 or pop3 element that an smtp element is paired with."""
        reader = self.elements.get(element.read) if element.read else None
        return reader if isinstance(reader, Imap4Element | Pop3Element) else None

    def sealed(self, keys: Keys) -> Profile:
        """The same profile with its literal secrets sealed, fit to travel."""
        return Profile({name: _sealed(element, keys) for name, element in self.elements.items()})

    def has_literal_secrets(self) -> bool:
        """Whether a secret stands in the profile as it is."""
        return any(
            secret.source == "literal"
            for element in self.elements.values()
            for _, secret in secrets_of(element)
        )


def secrets_of(element: Element) -> Iterator[tuple[str, Secret]]:
    """The secrets that an element has, with their field names."""
    for name in element.SECRETS:
        secret = getattr(element, name)
        if secret is not None:
            yield name, secret


def _sealed(element: AnyElement, keys: Keys) -> AnyElement:
    return element.with_secrets({name: keys.seal(secret) for name, secret in secrets_of(element)})


def load(path: Path) -> Profile:
    """The profile of a file, or of all ``.yaml`` and ``.yml`` files of a folder.

    Raises:
        ProfileError: with every fault of every file.
    """
    loading = _Loading()
    with _no_collections():
        for file in _files(path, loading):
            loading.read(file)
        loading.check_reads()
    if loading.faults:
        raise ProfileError(loading.faults)
    return Profile(loading.elements)


@contextmanager
def _no_collections() -> Iterator[None]:
    """Python looks for no cycles meanwhile: among millions of new objects that takes most of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def fingerprint(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Changes when a file of the profile changes: its names, times of change and sizes."""
    marks = []
    for file in _files(path, _Loading()):
        try:
            stat = file.stat()
        except OSError:
            continue
        marks.append((str(file), stat.st_mtime_ns, stat.st_size))
    return tuple(marks)


def _files(path: Path, loading: _Loading) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES and file.is_file())
    if not found:
        loading.fault(path, 1, "", "the folder holds no .yaml file")
    return found


class _Loading:
    """Reads files one after the other and gathers elements and faults."""

    def __init__(self) -> None:
        self.elements: dict[str, AnyElement] = {}
        self.faults: list[ProfileFault] = []
        self._places: dict[str, tuple[Path, yamllines.Lines, yamllines.Path]] = {}
        self._names: dict[str, tuple[Path, int]] = {}
        self._faulty: set[str] = set()  # the names of elements with faults: what reads them has none itself

    def fault(self, file: Path, line: int, path: str, message: str) -> None:
        self.faults.append(ProfileFault(str(file), line, path, message))

    def read(self, file: Path) -> None:
        try:
            data, lines = yamllines.load(file.read_text(encoding="utf-8"))
        except OSError as error:
            self.fault(file, 1, "", f"cannot read it: {error.strerror}")
            return
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            self.fault(file, line, "", "not text in UTF-8")
            return
        except yamllines.YamlError as error:
            self.fault(file, error.line, "", error.message)
            return
        if not isinstance(data, dict):
            self.fault(file, 1, "", "expected a mapping with the key elements")
            return
        for key in data:
            if key not in _TOP_KEYS:
                self.fault(file, lines.line((key,)), key, _unknown(key, _TOP_KEYS))
        items = data.get("elements")
        if not isinstance(items, list) or not items:
            self.fault(file, lines.line(("elements",)), "elements", "expected a list of elements")
            return
        regions = self._regions(file, lines, data.get("regions"))
        for index, raw in enumerate(items):
            self._element(file, lines, ("elements", index), raw, regions)

    def _regions(self, file: Path, lines: yamllines.Lines, raw: object) -> Regions | None:
        """The regions of a file's elements that name none themselves."""
        if raw is None:
            return None
        try:
            return _REGIONS.validate_python(raw)
        except ValidationError:
            message = _wrong(EXPECTED["regions"], {"regions": raw}, "regions")
            self.fault(file, lines.line(("regions",)), "regions", message)
            return None

    def _element(
        self, file: Path, lines: yamllines.Lines, at: yamllines.Path, raw: object, regions: Regions | None
    ) -> None:
        where = _dotted(at)
        if not isinstance(raw, dict):
            self.fault(file, lines.line(at), where, "expected a mapping with name, type and server")
            return
        kind = raw.get("type")
        if kind not in tuple(Kind):
            self._faulty.add(str(raw.get("name")))
            line = lines.line((*at, "type"))
            self.fault(file, line, f"{where}.type", _wrong(EXPECTED["type"], raw, "type"))
            return
        values = {key: value for key, value in raw.items() if key != "type"}
        if kind == Kind.SMTP and regions is not None:
            values.setdefault("regions", regions)
        if kind == Kind.SMTP and values.get("mx") is True:
            # Where mail for the mailbox goes is its domain's affair.
            domain = str(values.get("email") or "").rpartition("@")[2]
            if domain:
                values.setdefault("server", domain)
        element = self._validated(file, lines, at, Kind(kind), values)
        if element is not None:
            self._keep(file, lines, at, element)

    def _validated(
        self, file: Path, lines: yamllines.Lines, at: yamllines.Path, kind: Kind, values: dict[str, Any]
    ) -> AnyElement | None:
        faults: dict[str, str] = {}
        known = [field.name for field in fields(ELEMENT_TYPES[kind])]
        for key, value in values.items():
            if key not in known:
                faults[key] = _unknown(key, known)
            elif key not in _EITHER and isinstance(value, bool) is not (key in _BOOLEANS):
                faults[key] = _wrong(expected(kind, key), values, key)
        element: AnyElement | None = None
        try:
            element = adapter(kind).validate_python({key: values[key] for key in values if key in known})
        except ValidationError as error:
            for problem in error.errors(include_url=False, include_context=False):
                key = str(problem["loc"][0])
                faults.setdefault(key, _wrong(expected(kind, key), values, key))
        for key, message in contradictions.of(element or _sound_part(kind, values, faults)).items():
            if faults.keys().isdisjoint(contradictions.INVOLVED[key]):
                faults[key] = message
        for key, message in faults.items():
            self.fault(file, lines.line((*at, key)), _dotted((*at, key)), message)
        if faults:
            self._faulty.add(str(values.get("name")))
            return None
        return element

    def _keep(self, file: Path, lines: yamllines.Lines, at: yamllines.Path, element: AnyElement) -> None:
        line = lines.line((*at, "name"))
        if element.name in self._names:
            first, first_line = self._names[element.name]
            message = f"the name {element.name!r} is taken by the element at {first}:{first_line}"
            self.fault(file, line, f"{_dotted(at)}.name", message)
            return
        self._names[element.name] = (file, line)
        self._places[element.name] = (file, lines, at)
        self.elements[element.name] = element

    def check_reads(self) -> None:
        """Every ``read`` leads to a mailbox; checked last, as it may stand in another file."""
        mailboxes = {name: it for name, it in self.elements.items() if isinstance(it, MailboxElement)}
        for element in self.elements.values():
            if not isinstance(element, SmtpElement) or not element.read:
                continue
            if element.read in mailboxes or element.read in self._faulty:
                continue
            file, lines, at = self._places[element.name]
            target = self.elements.get(element.read)
            what = "an smtp element" if target else "not the name of an element"
            message = f"{element.read!r} is {what}; expected {EXPECTED['read']}"
            close = difflib.get_close_matches(element.read, sorted(mailboxes), 1)
            hint = f", perhaps {close[0]!r}" if close else ""
            self.fault(file, lines.line((*at, "read")), f"{_dotted(at)}.read", message + hint)
        self._tell_readers(mailboxes)

    def _tell_readers(self, mailboxes: Mapping[str, MailboxElement]) -> None:
        """Has the readers of a mailbox look into bodies where an smtp element writes its tracking there."""
        senders = (it for it in self.elements.values() if isinstance(it, SmtpElement) and it.usebody)
        read = {it.read for it in senders}
        shared = {it.mailbox for name, it in mailboxes.items() if name in read}
        for name, reader in mailboxes.items():
            if reader.usebody is None and reader.mailbox in shared:
                self.elements[name] = cast(AnyElement, replace(reader, usebody=1))


def _sound_part(kind: Kind, values: Mapping[str, object], faults: Mapping[str, str]) -> AnyElement:
    """An element of the values that are right, so that all that is wrong with it is said at once."""
    filled = {"name": "name", "server": "server"}
    known = {field.name for field in fields(ELEMENT_TYPES[kind])}
    sound = {key: value for key, value in values.items() if key in known and key not in faults}
    return adapter(kind).validate_python(filled | sound)


def expected(kind: Kind, key: str) -> str:
    """What a field of a kind takes, in words."""
    return _EXPECTED_OF_KIND.get((kind, key)) or EXPECTED[key]


def _wrong(takes: str, values: Mapping[str, object], key: str) -> str:
    """What was expected and what came; a value that may be a secret is never shown."""
    if key not in values:
        return f"required: {takes}"
    value = values[key]
    hint = "; put it in quotes" if isinstance(value, int | float) and takes.startswith(_TEXTS) else ""
    if key in Element.SECRETS or key == "tokenurl":  # an address may hold a password
        return f"expected {takes}{hint}"
    shown = "nothing" if value is None else json.dumps(value) if isinstance(value, bool) else repr(value)
    return f"expected {takes}, got {shown[:80]}{hint}"


def _unknown(key: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known, 1)
    return f"unknown key; did you mean {close[0]}?" if close else f"unknown key; known are {', '.join(known)}"


def _dotted(path: yamllines.Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
