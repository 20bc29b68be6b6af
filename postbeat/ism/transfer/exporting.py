"""A profile -> a file of the ISM's fields; what these cannot say is kept beside them, and listed. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum

from postbeat.elements import ELEMENT_TYPES, AnyElement, SmtpElement
from postbeat.ism.transfer import csvform, xmlform
from postbeat.ism.transfer.fields import ISM_FIELDS, ISM_LOGINS, form_of, ism_name
from postbeat.ism.transfer.naming import Taken, variable_from
from postbeat.ism.transfer.report import Effect, Note, Variable
from postbeat.ism.transfer.rows import ELEMENT_LIMIT, SIZE_LIMIT, Said
from postbeat.ism.transfer.values import NO_VALUE, secret_text, text_of
from postbeat.ism.transfer.xmltree import NODE_LIMIT
from postbeat.model import Secret
from postbeat.profile import Profile, secrets_of

_DEFAULTS = {
    kind: {it.name: None if it.default is MISSING else it.default for it in fields(type_)}
    for kind, type_ in ELEMENT_TYPES.items()
}


class FileForm(StrEnum):
    """The form of a file."""

    CSV = "csv"
    XML = "xml"


@dataclass(frozen=True, slots=True)
class Export:
    """A file, what its reader should know, and the variables that stand for literal secrets."""

    text: str
    notes: tuple[Note, ...]
    variables: tuple[Variable, ...]


def write(profile: Profile, name: str, form: FileForm) -> Export:
    """The file of a profile. ``name`` is that of the ISM's profile.

    Raises:
        TooLarge: it is more than an import takes.
    """
    exporting = _Exporting(profile)
    elements = [exporting.said(element) for element in profile.elements.values()]
    notes = [
        Note(Effect.REMARK, what, text, elements=tuple(names))
        for (what, text), names in exporting.notes.items()
    ]
    written = (xmlform if form is FileForm.XML else csvform).write(name, elements)
    values = sum(len(it.given) + len(it.extension) for it in elements)
    if (
        len(elements) > ELEMENT_LIMIT
        or 2 * len(elements) + values > NODE_LIMIT
        or len(written.encode()) > SIZE_LIMIT
    ):
        limits = f"{ELEMENT_LIMIT} elements, {NODE_LIMIT} values and {SIZE_LIMIT} bytes"
        raise TooLarge(f"a file has at most {limits}: export the profile in parts")
    return Export(written, tuple(notes), tuple(exporting.variables))


class TooLarge(Exception):
    """A profile does not go into one file; the message has the limits."""


class _Exporting:
    """Goes through a profile once."""

    def __init__(self, profile: Profile) -> None:
        self.notes: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.variables: list[Variable] = []
        named = [secret for element in profile.elements.values() for _, secret in secrets_of(element)]
        self._taken = Taken(secret.value for secret in named if secret.source == "env")
        self._regions: dict[str, dict[str, None]] = defaultdict(dict)  # of the senders, by mailbox, in order
        for element in profile.smtp:
            self._regions[element.read or ""].update(dict.fromkeys(element.regions))

    def said(self, element: AnyElement) -> Said:
        """An element in cells."""
        said = Said(element.kind)
        defaults = _DEFAULTS[element.kind]
        for name in dict.fromkeys((*ISM_FIELDS, *defaults)):
            value = getattr(element, name, None)
            if value == defaults.get(name) or name == "regions":
                continue
            if name in ISM_FIELDS and _is_known(element, name):
                said.given[ism_name(name)] = self._cell(element, name, value)
            else:
                self._extend(said, element, name, value)
        self._unsettle(said, element)
        return said

    def _unsettle(self, said: Said, element: AnyElement) -> None:
        """What an import, or the loader, would fill in by itself, where it is something else."""
        theirs: tuple[str, ...] = ()
        if isinstance(element, SmtpElement):
            if element.email and not element.read:
                said.extension["read"] = NO_VALUE
        elif element.poll is None:
            said.extension["poll"] = NO_VALUE
        else:  # only a mailbox that is polled goes with those that read it
            theirs = tuple(self._regions.get(element.name, ()))
        if element.regions != (theirs or ("default",)):
            self._extend(said, element, "regions", element.regions)

    def _extend(self, said: Said, element: AnyElement, name: str, value: object) -> None:
        said.extension[name] = self._cell(element, name, value)
        text = f"the ISM has no {value}" if name in ISM_FIELDS else "the ISM has no such field"
        self.notes[name, text].append(element.name)

    def _cell(self, element: AnyElement, name: str, value: object) -> str:
        if not isinstance(value, Secret):
            return text_of(form_of(name), value)
        if value.source in ("env", "file"):
            return secret_text(value)
        variable = self._taken.unique(variable_from(element.name, name), "_")
        self.variables.append(Variable(variable, element.name, name))
        return secret_text(Secret("env", variable))


def _is_known(element: AnyElement, name: str) -> bool:
    """Whether the ISM knows the value of a field of its own."""
    return name != "authenticationtype" or element.authenticationtype in ISM_LOGINS[element.kind]
