"""YAML -> Profile: every fault of a file at once, each with file, line, key path and what was expected.

The grammar is in docs/profile.md. A profile is one file or a folder of them; all names share one space.
"""

from __future__ import annotations

import difflib
import gc
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

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
from postbeat.fieldtexts import EXPECTED, EXPECTED_ITEM, expected
from postbeat.model import Kind, Pair, Secret
from postbeat.secrets import Keys

_TOP_KEYS = ("regions", "elements")
_SUFFIXES = (".yaml", ".yml")
_POLL_S = 300.0  # the ISM's default; a mailbox that smtp elements read is tested by their messages
_TEXTS = ("a text", "a name", "the ")  # how the words for what YAML may take for a number begin
_BOOLEANS = ("active", "lmtp", "mx", "plaintextlogin", "tlslegacy", "tlsverify")
_EITHER = ("ssldisabletls",)  # a truth value or 0 and 1, as on the page
_ALL_FIELDS = {field.name for element_type in ELEMENT_TYPES.values() for field in fields(element_type)}
# What is checked where no type is known. What a service level may name depends on the type.
_SHARED_FIELDS = {field.name for field in fields(Element)} - {"servicelevels"}

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

    def active(self) -> Iterator[tuple[Pair, AnyElement]]:
        """Every pair that is polled, with its element, whose ``poll`` is never None."""
        for element in self.elements.values():
            if element.active and element.poll is not None:
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
        loading.settle_mailboxes()
        loading.check_settled()
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


def fingerprint(path: Path) -> tuple[tuple[str | int, ...], ...]:
    """Changes when a file of the profile changes: the names, inodes, sizes and times of change.

    Of what cannot be looked at there is nothing in it.
    """
    marks = []
    for file in _files(path, _Loading()):
        try:
            stat = file.stat()
        except OSError:
            continue
        marks.append((str(file), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return tuple(marks)


def _files(path: Path, loading: _Loading) -> list[Path]:
    try:
        if not path.is_dir():
            return [path]
        found = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES and file.is_file())
    except OSError as error:
        loading.fault(path, 1, "", f"cannot read it: {error.strerror}")
        return []
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
        self._homeless: dict[str, Regions | None] = {}  # mailboxes without regions -> those of their files
        self._half_read: set[str] = set()  # the names of mailboxes that elements with faults read
        self._faulty: set[str] = set()  # the names of elements with faults: what reads them has none itself
        self._reads: list[tuple[str, Path, yamllines.Lines, yamllines.Path]] = []  # what is read from where
        # Of smtp elements with faults what is sound, where that tells of their quorum.
        self._sound_parts: list[tuple[Path, yamllines.Lines, yamllines.Path, AnyElement]] = []

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
                self.fault(file, lines.line((key,)), key, yamllines.unknown(key, _TOP_KEYS))
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
        where = yamllines.dotted(at)
        if not isinstance(raw, dict):
            self.fault(file, lines.line(at), where, "expected a mapping with name, type and server")
            return
        faults: dict[yamllines.Path, str] = {}  # by their paths within the element
        kind = self._kind(raw, faults)
        name = self._name(file, lines, at, raw, faults)
        values = {key: value for key, value in raw.items() if key != "type"}
        if kind in (Kind.IMAP4, Kind.POP3) and "regions" not in values:
            if not faults:
                self._homeless.setdefault(name, regions)
        elif regions is not None:
            values.setdefault("regions", regions)
        if kind in (Kind.SMTP, None) and values.get("mx") is True:
            # Where mail for the mailbox goes is its domain's affair.
            domain = str(values.get("email") or "").rpartition("@")[2]
            if domain:
                values.setdefault("server", domain)
        element = self._validated(file, lines, at, kind, values, faults)
        if element is None:
            self._faulty.add(name)
            self._half_read.add(str(raw.get("read")))
        else:
            self._places[name] = (file, lines, at)
            self.elements[name] = element

    def _kind(self, raw: Mapping[str, object], faults: dict[yamllines.Path, str]) -> Kind | None:
        """The type of an element; where that is wrong, the one that was meant, if any."""
        named = raw.get("type")
        if named in tuple(Kind):
            return Kind(str(named))
        close = difflib.get_close_matches(named.lower(), [*Kind], 1) if isinstance(named, str) else []
        hint = f"; did you mean {close[0]}?" if close else ""
        faults["type",] = _wrong(EXPECTED["type"], raw, "type") + hint
        return Kind(close[0]) if close else None

    def _name(
        self,
        file: Path,
        lines: yamllines.Lines,
        at: yamllines.Path,
        raw: Mapping[str, object],
        faults: dict[yamllines.Path, str],
    ) -> str:
        """The name of an element, which is its own from now on."""
        name = raw.get("name")
        if isinstance(name, str):
            if name in self._names:
                first, line = self._names[name]
                faults["name",] = f"the name {name!r} is taken by the element at {first}:{line}"
            else:
                self._names[name] = (file, lines.line((*at, "name")))
        return str(name)

    def _validated(
        self,
        file: Path,
        lines: yamllines.Lines,
        at: yamllines.Path,
        kind: Kind | None,
        values: dict[str, Any],
        faults: dict[yamllines.Path, str],
    ) -> AnyElement | None:
        """The element of these values; None where it has faults, some of which may be known before."""
        is_known = kind is not None
        if kind is None:
            kind, values = Kind.SMTP, _of_any_kind(values)
        element = _made(kind, values, faults)
        faulty = {str(path[0]) for path in faults}
        sound = element or _sound_part(kind, values, faulty)
        for key, message in contradictions.of(sound).items():
            if faulty.isdisjoint(contradictions.INVOLVED[key]):
                faults[key,] = message
                faulty.add(key)
        for path, message in faults.items():
            self.fault(file, lines.line((*at, *path)), yamllines.dotted((*at, *path)), message)
        if is_known and isinstance(sound, SmtpElement):
            if sound.read and "read" not in faulty:
                self._reads.append((sound.read, file, lines, at))
            if faults and faulty.isdisjoint({"quorum", "regions"}):
                self._sound_parts.append((file, lines, at, sound))
        return None if faults else element

    def check_reads(self) -> None:
        """Every ``read`` leads to a mailbox; checked last, as it may stand in another file."""
        mailboxes = {name: it for name, it in self.elements.items() if isinstance(it, MailboxElement)}
        for name, file, lines, at in self._reads:
            if name in mailboxes or name in self._faulty:
                continue
            what = "an smtp element" if name in self.elements else "not the name of an element"
            message = f"{name!r} is {what}; expected {EXPECTED['read']}"
            close = difflib.get_close_matches(name, sorted(mailboxes), 1)
            hint = f", perhaps {close[0]!r}" if close else ""
            self.fault(file, lines.line((*at, "read")), f"{yamllines.dotted(at)}.read", message + hint)

    def settle_mailboxes(self) -> None:
        """Fills in what follows for a mailbox from the smtp elements that read it."""
        senders = defaultdict[str, list[SmtpElement]](list)
        for element in self.elements.values():
            if isinstance(element, SmtpElement) and element.read:
                senders[element.read].append(element)
        mailboxes = [it for it in self.elements.values() if not isinstance(it, SmtpElement)]
        # A reader looks into bodies where an smtp element writes its tracking there.
        in_bodies = {it.mailbox for it in mailboxes if any(sender.usebody for sender in senders[it.name])}
        for box in mailboxes:
            usebody = 1 if box.usebody is None and box.mailbox in in_bodies else box.usebody
            self.elements[box.name] = replace(self._polled(box, senders[box.name]), usebody=usebody)

    def check_settled(self) -> None:
        """What depends on poll and regions; not where the regions may be others than are meant."""
        unplaced = {fault.file for fault in self.faults if fault.path == "regions"}
        whole = ((*self._places[element.name], element) for element in self.elements.values())
        for file, lines, at, element in (*whole, *self._sound_parts):
            if str(file) in unplaced or element.name in self._half_read:
                continue
            for key, message in contradictions.of_settled(element).items():
                self.fault(file, lines.line((*at, key)), yamllines.dotted((*at, key)), message)

    def _polled(
        self, box: Imap4Element | Pop3Element, senders: Sequence[SmtpElement]
    ) -> Imap4Element | Pop3Element:
        """A mailbox with its poll and regions: it is tested for itself where nothing else tests it."""
        if box.poll is None:
            if senders:
                return box
            apart_s = box.logininterval if isinstance(box, Pop3Element) else 0
            box = replace(box, poll=max(_POLL_S, apart_s))
        if box.name not in self._homeless:
            return box
        theirs = tuple(dict.fromkeys(region for sender in senders for region in sender.regions))
        return replace(box, regions=self._homeless[box.name] or theirs or box.regions)


def _made(kind: Kind, values: Mapping[str, object], faults: dict[yamllines.Path, str]) -> AnyElement | None:
    """The element of these values, whose faults come to those that are known; None where it has some."""
    known = [field.name for field in fields(ELEMENT_TYPES[kind])]
    for key, value in values.items():
        if key not in known:
            faults[key,] = yamllines.unknown(key, known)
        elif key not in _EITHER and isinstance(value, bool) is not (key in _BOOLEANS):
            faults[key,] = _wrong(expected(kind, key), values, key)
    try:
        return adapter(kind).validate_python({key: values[key] for key in values if key in known})
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_context=False):
            path, message = _problem(problem, kind, values)
            faults.setdefault(path, message)
    return None


def _of_any_kind(values: Mapping[str, object]) -> dict[str, object]:
    """What can be judged where the type is not known: what all types have, and what none has."""
    return {key: it for key, it in values.items() if key in _SHARED_FIELDS or key not in _ALL_FIELDS}


def _sound_part(kind: Kind, values: Mapping[str, object], faulty: Collection[str]) -> AnyElement:
    """An element of the values that are right, so that all that is wrong with it is said at once."""
    filled = {"name": "name", "server": "server"}
    known = {field.name for field in fields(ELEMENT_TYPES[kind])}
    sound = {key: value for key, value in values.items() if key in known and key not in faulty}
    return adapter(kind).validate_python(filled | sound)


def _problem(problem: ErrorDetails, kind: Kind, values: Mapping[str, object]) -> tuple[yamllines.Path, str]:
    """Where a field is wrong, and why; an item of a list has a path of its own."""
    key, *place = problem["loc"]
    key = str(key)
    takes = expected(kind, key)
    if key not in EXPECTED_ITEM or problem["type"] != "value_error":
        return (key,), _wrong(takes, values, key)
    reason = problem["msg"].removeprefix("Value error, ")
    value = values[key]
    if not isinstance(value, list):
        return (key,), f"{_wrong(takes, values, key)}: {reason}"
    index = int(place[0])
    return (key, index), f"{_wrong(EXPECTED_ITEM[key], {key: value[index]}, key)}: {reason}"


def _wrong(takes: str, values: Mapping[str, object], key: str) -> str:
    """What was expected and what came; a value that may be a secret is never shown."""
    if key not in values:
        return f"required: {takes}"
    value = values[key]
    hint = "; put it in quotes" if isinstance(value, int | float) and takes.startswith(_TEXTS) else ""
    if key in Element.SECRETS or key == "tokenurl":  # an address may hold a password
        return f"expected {takes}{hint}"
    return f"expected {takes}, got {yamllines.shown(value)}{hint}"
