"""What can be wrong with a rules file, and with a run of one; and how far a run may go. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a rules file, and one run of it, may use. A run that needs more is stopped."""

    steps: int = 100_000  # a step is a statement; long expressions and long texts count for more than one
    cpu_ms: int = 150  # of the processor
    text_chars: int = 65_536
    array_entries: int = 10_000
    all_entries: int = 100_000  # of all arrays of a program together
    array_chars: int = 10_000_000  # of all arrays of a program together, keys and values
    properties: int = 200  # those that were given, and those that were assigned
    events: int = 100  # the alert itself, and those of genevent
    log_lines: int = 1_000
    include_depth: int = 10
    files: int = 1_000  # included, counted as often as they are
    file_bytes: int = 4_000_000  # of one file, and of all that are included, as often as they are
    table_rows: int = 100_000
    patterns: int = 2_000  # different regular expressions and formats that are constants
    nesting: int = 100  # of blocks and of parentheses


@dataclass(frozen=True, slots=True)
class RulesError:
    """What is wrong with a file. Lines and columns count from 1; a file that cannot be read has 0 and 0."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}" if self.line else self.says_file

    @property
    def says_file(self) -> str:
        """What is wrong with the file as a whole."""
        return f"{self.file}: {self.message}"


class RulesErrors(Exception):
    """Everything that is wrong with a rules file and those it includes, in the order of the files."""

    def __init__(self, errors: Iterable[RulesError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(map(str, self.errors)))


@dataclass(frozen=True, slots=True)
class RulesFault:
    """Why a run was stopped, and at what place of which file."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a rules file. Lines and columns count from 1."""

    file: str
    line: int
    column: int

    def error(self, message: str) -> RulesError:
        """What is wrong here with the file."""
        return RulesError(self.file, self.line, self.column, message)


class RulesFaultError(Exception):
    """A run cannot go on. ``place`` is where; whoever raises it leaves that to the statement around."""

    def __init__(self, message: str) -> None:
        self.message = message
        self.place: Place | None = None
        super().__init__(message)

    def at(self, place: Place) -> RulesFaultError:
        """The same fault; the innermost place that is told stays."""
        if self.place is None:
            self.place = place
        return self
