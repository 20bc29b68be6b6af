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
from postbeat.ism.transfer.rows import Said
from postbeat.ism.transfer.values import NO_VALUE, secret_text, text_of
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
    """The file of a profile. ``name`` is that of the ISM's profile."""
    exporting = _Exporting(profile)
    elements = [exporting.said(element) for element in profile.elements.values()]
    notes = [
        Note(Effect.REMARK, what, text, elements=tuple(names))
        for (what, text), names in exporting.notes.items()
    ]
    written = (xmlform if form is FileForm.XML else csvform).write(name, elements)
    return Export(written, tuple(notes), tuple(exporting.variables))


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
        for name in ISM_FIELDS:
            value = getattr(element, name, None)
            if value not in (None, "", ()) and _is_known(element, name):
                said.given[ism_name(name)] = self._cell(element, name, value)
        for name, default in _DEFAULTS[element.kind].items():
            value = getattr(element, name)
            is_said = name in ISM_FIELDS and _is_known(element, name)
            if value != default and name != "regions" and not is_said:
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
