"""A file of the ISM's elements -> a profile, with a report that accounts for every line."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from postbeat import profile as profiles
from postbeat.ism.transfer import csvform, servicelevels, xmlform
from postbeat.ism.transfer.drafts import Draft, draft_of
from postbeat.ism.transfer.fields import FIELDS
from postbeat.ism.transfer.naming import Taken, is_valid, name_from
from postbeat.ism.transfer.pairing import pair
from postbeat.ism.transfer.references import References
from postbeat.ism.transfer.report import Effect, Fault, Mapped, Report, TransferError
from postbeat.ism.transfer.rows import SIZE_LIMIT, Reading, tame
from postbeat.ism.transfer.values import Plain
from postbeat.ism.transfer.yamlform import profile_text
from postbeat.profile import Profile, ProfileError, ProfileFault

_ELEMENT_PATH = re.compile(r"elements\[([0-9]+)\](?:\.([a-z0-9]+))?")


@dataclass(frozen=True, slots=True)
class Options:
    """What may be chosen of an import.

    ``regions`` are for elements that name none; ``literal`` writes passwords into the profile;
    ``legacy`` accepts servers of the ISM's time.
    """

    regions: tuple[str, ...] = ()
    literal: bool = False
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class Import:
    """A profile as YAML, what it is when it is loaded, and the report."""

    text: str
    profile: Profile
    report: Report
    has_literals: bool


def read(data: bytes, file: str, options: Options = Options()) -> Import:
    """The profile of a CSV or XML file; XML begins with ``<``.

    Raises:
        TransferError: with all that is wrong with it.
    """
    if len(data) > SIZE_LIMIT:
        raise TransferError([Fault(file, 1, "", f"expected at most {SIZE_LIMIT} bytes")])
    reading = xmlform.read(data, file) if _is_xml(data) else csvform.read(data, file)
    drafts = [draft_of(row, reading, legacy=options.legacy) for row in reading.rows]
    if not drafts:
        if not reading.faults:
            reading.fault(1, "", "there is no element of smtp, imap4 or pop3 in it")
        raise TransferError(reading.faults)
    _name(drafts)
    pair(drafts)
    servicelevels.settle(drafts)
    _group(drafts)
    references = References(options.literal)
    references.settle(drafts)
    return _made(drafts, reading, references, options)


def _is_xml(data: bytes) -> bool:
    begin = data[:1000].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    return begin.startswith(b"<")


def _name(drafts: Sequence[Draft]) -> None:
    """Names all elements."""
    asked = [draft.text("name") for draft in drafts]
    taken = Taken()
    kept: set[str] = set()
    for draft, wanted in zip(drafts, asked, strict=True):
        if is_valid(wanted) and wanted not in kept:  # what has a good name keeps it
            kept.add(wanted)
            draft.name = taken.unique(wanted)
    for draft, wanted in zip(drafts, asked, strict=True):
        if draft.name:
            continue
        fallback = f"{draft.kind}-{name_from(draft.text('server'))}"
        like = (
            name_from(wanted)
            or name_from(draft.text("description"))
            or name_from(fallback)
            or str(draft.kind)
        )
        draft.name = taken.unique(like)
        if wanted:
            why = "the name is taken" if is_valid(wanted) else "no name that an element can have"
            draft.note(Effect.CHANGES, "name", f"{why}: it is {draft.name}")


def _group(drafts: Sequence[Draft]) -> None:
    """Where a file holds several profiles, elements are grouped by theirs; one is the file itself."""
    named = dict.fromkeys(draft.row.profile for draft in drafts)
    if len(named) == 1:
        if name := drafts[0].row.profile:
            drafts[0].note(Effect.REMARK, "profile", f"{name}: a profile is a file here")
        return
    taken = Taken()
    groups = {name: taken.unique(name_from(name) or "profile") for name in named if name}
    for draft in drafts:
        profile = draft.row.profile
        if profile and "group" not in draft.row.given:
            draft.values["group"] = group = groups[profile]
            draft.note(
                Effect.CHANGES, "profile", f"elements of several profiles: {profile} is the group {group}"
            )


def _made(drafts: Sequence[Draft], reading: Reading, references: References, options: Options) -> Import:
    elements = [_values(draft) for draft in drafts]
    comments = [f"Made by postbeat ism import from {ascii(Path(reading.file).name)[1:-1]}"]
    text = profile_text(elements, options.regions, comments)
    loaded = _loaded(text, drafts, reading)
    if reading.faults or loaded is None:
        raise TransferError(reading.faults)
    for draft in drafts:
        reading.span(draft.row.line, draft.row.last, f"element {draft.name}")
    report = Report(
        reading.file,
        tuple(_mapped(draft) for draft in drafts),
        tuple(reading.notes),
        tuple(references.variables),
        tuple(sorted(reading.spans, key=lambda span: span.first)),
    )
    return Import(text, loaded, report, loaded.has_literal_secrets())


def _values(draft: Draft) -> dict[str, Plain]:
    """The mapping of an element, in the order of the tables of its fields."""
    ordered = {name: draft.values[name] for name in FIELDS[draft.kind] if name in draft.values}
    return {"name": draft.name, "type": str(draft.kind)} | ordered


def _mapped(draft: Draft) -> Mapped:
    labels = {name: tame(cell.label) for name, cell in draft.row.given.items()}
    return Mapped(draft.name, str(draft.kind), draft.row.line, labels)


def _loaded(text: str, drafts: Sequence[Draft], reading: Reading) -> Profile | None:
    """The profile as the loader has it; what the loader finds is told of the lines of the input."""
    with tempfile.TemporaryDirectory(prefix="postbeat-") as folder:
        file = Path(folder) / "profile.yaml"
        file.write_text(text, encoding="utf-8")
        try:
            return profiles.load(file)
        except ProfileError as error:
            for fault in error.faults:
                _told(fault, drafts, reading)
            return None


def _told(fault: ProfileFault, drafts: Sequence[Draft], reading: Reading) -> None:
    place = _ELEMENT_PATH.match(fault.path)
    if place is None:
        reading.fault(1, fault.path, fault.message)
        return
    draft, name = drafts[int(place[1])], place[2] or "name"
    said = reading.faults and any(
        (it.line, it.path) == (draft.line(name), tame(draft.label(name))) for it in reading.faults
    )
    if not said:
        draft.fault(name, fault.message)
