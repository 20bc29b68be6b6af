"""What both forms are read into: one row for each element, with its values as texts and their places."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from postbeat.ism.transfer import fields
from postbeat.ism.transfer.fields import MONITOR, PROFILE, REPEATABLE
from postbeat.ism.transfer.report import Effect, Fault, Note, Span, TransferError
from postbeat.ism.transfer.values import decoded, is_said
from postbeat.model import Kind
from postbeat.yamllines import shown

ELEMENT_LIMIT = 50_000
SIZE_LIMIT = 50_000_000  # bytes of a file: a thousand for each element
VALUE_LIMIT = 100_000  # characters of one value
_SHOWN_LENGTH = 200  # of a text of the input, in notes and faults
_FAULT_LIMIT = 1000  # then the file is another one than was meant


@dataclass(frozen=True, slots=True)
class Given:
    """A value of the input: the text, where it stands, and how the input calls its field."""

    label: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Said:
    """An element to be written: its fields by the ISM's names, and the rest by ours; the values are cells."""

    kind: Kind
    given: dict[str, str] = field(default_factory=dict)
    extension: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Row:
    """An element of the input. ``given`` is by our field names; ``last`` is its last line."""

    line: int
    last: int
    kind: Kind
    profile: str
    given: dict[str, Given]


@dataclass(slots=True)
class Reading:
    """What a file holds, gathered while it is read."""

    file: str
    rows: list[Row] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    _notes: dict[tuple[Effect, str, str], list[int]] = field(default_factory=dict)

    def fault(self, line: int, label: str, message: str) -> None:
        """Something that is wrong.

        Raises:
            TransferError: too much is.
        """
        self.faults.append(Fault(self.file, line, tame(label), message))
        if len(self.faults) >= _FAULT_LIMIT:
            self.faults.append(Fault(self.file, line, "", f"the first {_FAULT_LIMIT} faults are shown"))
            raise TransferError(self.faults)

    def note(self, effect: Effect, line: int, label: str, text: str) -> None:
        """Something to be known; the same of several lines is one note."""
        self._notes.setdefault((effect, tame(label), tame(text)), []).append(line)

    def span(self, first: int, last: int, what: str) -> None:
        """What lines are; those that follow on ones of the same kind are one span with them."""
        before = self.spans[-1] if self.spans else None
        if before is not None and before.what == what and before.last + 1 >= first:
            self.spans[-1] = Span(before.first, max(last, before.last), what)
        else:
            self.spans.append(Span(first, last, what))

    @property
    def notes(self) -> list[Note]:
        """All notes with their lines, in the order of these."""
        found = [
            Note(effect, label, text, tuple(sorted(set(lines))))
            for (effect, label, text), lines in self._notes.items()
        ]
        return sorted(found, key=lambda note: note.lines[:1])

    def element(self, first: int, last: int, cells: Sequence[Given], monitor: str, profile: str) -> None:
        """Takes up an element with its values. A monitor or profile among them wins over the one given.

        Raises:
            TransferError: there are too many elements, or faults.
        """
        given = self._by_field(cells)
        if MONITOR in given:
            monitor = given.pop(MONITOR).text
        if PROFILE in given:
            profile = given.pop(PROFILE).text
        kind = fields.kind_of(monitor)
        if kind is None:
            self._no_kind(first, last, monitor)
            return
        if len(self.rows) == ELEMENT_LIMIT:
            self.fault(first, "", f"expected at most {ELEMENT_LIMIT} elements in a file")
            raise TransferError(self.faults)
        for name in [name for name in given if name not in fields.FIELDS[kind] and name != "email"]:
            cell = given.pop(name)
            self.note(Effect.LEFT_OUT, cell.line, cell.label, f"elements of the {kind} monitor have none")
        self.rows.append(Row(first, last, kind, decoded(profile), given))

    def _no_kind(self, first: int, last: int, monitor: str) -> None:
        word = monitor.strip()
        if fields.is_other_monitor(word):
            text = f"the {word} monitor has no counterpart here"
            self.note(Effect.LEFT_OUT, first, MONITOR, text)
            self.span(first, last, "left out")
            return
        expected = "smtp, imap4 or pop3"
        self.fault(
            first, MONITOR, f"expected {expected}, got {shown(word)}" if word else f"required: {expected}"
        )

    def _by_field(self, cells: Sequence[Given]) -> dict[str, Given]:
        found: dict[str, Given] = {}
        for cell in cells:
            name = fields.field_of(cell.label)
            if not is_said(cell.text):
                continue
            if name is None:
                self.note(Effect.LEFT_OUT, cell.line, cell.label, f"no field has this name{hint(cell.label)}")
            elif len(cell.text) > VALUE_LIMIT:
                self.fault(cell.line, cell.label, f"expected at most {VALUE_LIMIT} characters")
            elif name not in found:
                found[name] = cell
            elif fields.form_of(name) in REPEATABLE:
                before = found[name]
                found[name] = Given(before.label, f"{before.text}\n{cell.text}", before.line)
            elif found[name].text != cell.text:
                self.fault(cell.line, cell.label, f"{name} is given a second time, with another value")
        return found


def tame(text: str) -> str:
    """A text of the input as it is shown: not too long, and nothing that a terminal would obey."""
    short = text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}..."
    return short if short.isprintable() else json.dumps(short)[1:-1]


@functools.lru_cache(maxsize=4096)
def hint(label: str) -> str:
    """Which field a label that is none may mean; "" for no idea."""
    close = get_close_matches(fields.normalised(label), fields.SPELLINGS, 1, 0.75)
    return f"; did you mean {fields.field_of(close[0])}?" if close else ""
