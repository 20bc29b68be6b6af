"""What became of the input of an import: every line is accounted for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from postbeat.profile import ProfileFault

Fault = ProfileFault  # in a file to import, its path is what that file calls the field

_SHOWN_PLACES = 8  # lines, or elements, that a note for people names


class Effect(StrEnum):
    """What happened to something of the input."""

    CHANGES = "changes"
    REMARK = "remark"
    LEFT_OUT = "left out"


class TransferError(Exception):
    """A file cannot be imported; ``faults`` has all that is wrong, in the order of lines."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: fault.line))
        super().__init__("\n".join(map(str, self.faults)))


@dataclass(frozen=True, slots=True)
class Note:
    """Something to be known of a field, in one or more lines of the input (or elements of a profile)."""

    effect: Effect
    field: str
    text: str
    lines: tuple[int, ...] = ()
    elements: tuple[str, ...] = ()

    def __str__(self) -> str:
        what = f"{self.field}: {self.text}" if self.field else self.text
        places = _some([str(line) for line in self.lines])
        if places:
            return f"{'lines' if len(self.lines) > 1 else 'line'} {places}: {what}"
        return f"{what} ({_some(self.elements)})" if self.elements else what

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "effect": self.effect.value,
            "field": self.field,
            "text": self.text,
            "lines": list(self.lines),
            "elements": list(self.elements),
        }


def _some(places: Sequence[str]) -> str:
    """The first few of many places."""
    more = len(places) - _SHOWN_PLACES
    return ", ".join(places[:_SHOWN_PLACES]) + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True, slots=True)
class Span:
    """What lines of the input are, from the first to the last: an element, a comment, left out, ..."""

    first: int
    last: int
    what: str


@dataclass(frozen=True, slots=True)
class Mapped:
    """An element that was made: its lines, and which label of the input each of its fields is from."""

    name: str
    kind: str
    line: int
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable that must be set for the workers: a secret of an element."""

    name: str
    element: str
    field: str


@dataclass(frozen=True, slots=True)
class Report:
    """All that is to be said of an import."""

    file: str
    elements: tuple[Mapped, ...]
    notes: tuple[Note, ...]
    variables: tuple[Variable, ...]
    spans: tuple[Span, ...]

    def of(self, effect: Effect) -> list[Note]:
        """The notes of one effect."""
        return [note for note in self.notes if note.effect is effect]

    @property
    def left_out(self) -> bool:
        """Whether something of the input is not in the profile."""
        return bool(self.of(Effect.LEFT_OUT))

    def lines(self) -> Iterator[str]:
        """The report for people."""
        kinds = [element.kind for element in self.elements]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
        yield f"{self.file}: {counts}"
        labels: dict[str, int] = {}
        for element in self.elements:
            for field, label in element.fields.items():
                mapping = field if label == field else f"{label} as {field}"
                labels[mapping] = labels.get(mapping, 0) + 1
        yield f"maps: {', '.join(f'{label} ({count})' for label, count in labels.items())}"
        for effect in Effect:
            notes = self.of(effect)
            if notes:
                yield f"{effect}:"
                yield from (f"  {note}" for note in notes)
        if self.variables:
            yield "to be set for the workers:"
            for variable in self.variables:
                yield f"  {variable.name}: {variable.field} of {variable.element}"
        yield f"lines: {', '.join(self._counts())}"

    def _counts(self) -> Iterator[str]:
        counts: dict[str, int] = {}
        for span in self.spans:
            what = "element" if span.what.startswith("element ") else span.what
            counts[what] = counts.get(what, 0) + span.last - span.first + 1
        return (f"{what} {count}" for what, count in counts.items())

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "file": self.file,
            "elements": [
                {"name": it.name, "type": it.kind, "line": it.line, "fields": dict(it.fields)}
                for it in self.elements
            ],
            "notes": [note.as_data() for note in self.notes],
            "variables": [
                {"name": it.name, "element": it.element, "field": it.field} for it in self.variables
            ],
            "lines": [{"first": span.first, "last": span.last, "what": span.what} for span in self.spans],
        }
