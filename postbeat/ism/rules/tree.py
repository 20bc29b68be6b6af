"""The statements and expressions of a rules file, as they were read. Pure.

Every node has the line and column at which it begins, counted from 1. Statements also have the end of their
head, which is all of an assignment, and an ``if`` up to its brace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from postbeat.ism.values import Value


@dataclass(frozen=True, slots=True)
class Literal:
    """A text or a number."""

    value: Value
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Variable:
    """``$name``, ``@Name`` or ``%Name``; ``$*`` has the name ``*``."""

    sign: str
    name: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.sign}{self.name}"


@dataclass(frozen=True, slots=True)
class Name:
    """A bare word: a loop's name, a table, an array, a target, a level, or a function without brackets."""

    name: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Index:
    """``array[key]``."""

    array: str
    key: Expression
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Call:
    """``function(arguments)``."""

    name: str
    arguments: tuple[Expression, ...]
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Unary:
    """``!x``, ``not x`` or ``-x``; ``operator`` is ``!`` or ``-``."""

    operator: str
    operand: Expression
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Operation:
    """One operator of a chain and what stands right of it; the place is the operator's."""

    operator: str
    operand: Expression
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Operators of one rank in a row, from left to right: ``a + b - c``."""

    first: Expression
    rest: tuple[Operation, ...]
    line: int
    column: int


Expression: TypeAlias = Literal | Variable | Name | Index | Call | Unary | Chain
Target: TypeAlias = Variable | Index


@dataclass(frozen=True, slots=True)
class Statement:
    """What all statements have: where they begin, and at which offset of the text their head ends."""

    line: int
    column: int
    stop: int


@dataclass(frozen=True, slots=True)
class Assign(Statement):
    """``target = value``."""

    target: Target
    value: Expression


@dataclass(frozen=True, slots=True)
class AssignName(Statement):
    """``Name = registertarget(...)``."""

    name: str
    value: Expression


@dataclass(frozen=True, slots=True)
class AssignList(Statement):
    """``[target, target] = value``."""

    targets: tuple[Target, ...]
    value: Expression


@dataclass(frozen=True, slots=True)
class Do(Statement):
    """A call that stands alone. ``discard`` and ``recover`` are calls without arguments."""

    call: Call


@dataclass(frozen=True, slots=True)
class Break(Statement):
    """``break``."""


@dataclass(frozen=True, slots=True)
class If(Statement):
    """``if`` and its ``else if`` in their order, each with its block; ``otherwise`` is that of ``else``."""

    branches: tuple[tuple[Expression, tuple[Statement, ...]], ...]
    otherwise: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Case(Statement):
    """``case "a" | "b":`` and what follows; without labels it is ``default:``."""

    labels: tuple[Literal, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Switch(Statement):
    """``switch (subject) { ... }``. ``before`` stands before the first case: includes of files with cases."""

    subject: Expression
    before: tuple[Statement, ...]
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Foreach(Statement):
    """``foreach (name in sources) { ... }``."""

    name: str
    sources: tuple[Expression, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Include(Statement):
    """``include "path"``."""

    path: Literal


@dataclass(frozen=True, slots=True)
class Array(Statement):
    """``array name``."""

    name: str


@dataclass(frozen=True, slots=True)
class Table(Statement):
    """``table name = rows`` or ``= "path"``, then ``default = ...``; a row is a tuple of literals."""

    name: str
    rows: tuple[tuple[Literal, ...], ...]
    path: Literal | None
    default: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A file: its name as messages give it, its text, its statements, and the cases after them, if any.

    A file with cases is for an ``include`` inside a ``switch``.
    """

    name: str
    text: str
    statements: tuple[Statement, ...]
    cases: tuple[Case, ...]
