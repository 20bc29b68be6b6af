"""What is known while a file is compiled: where one is, what was declared, and what was wrong so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Protocol

from postbeat.alerts import OURS
from postbeat.ism.rules.errors import Limits, Place, RulesError
from postbeat.ism.rules.machine import Machine
from postbeat.ism.rules.tables import LookupTable
from postbeat.ism.values import Value

Run = Callable[[Machine], Value]
Act = Callable[[Machine], None]

_STEP_NODES = 8  # parts of expressions that cost about as much as a statement


class Node(Protocol):
    """What has a place in a file."""

    @property
    def line(self) -> int:
        """From 1."""

    @property
    def column(self) -> int:
        """From 1."""


@dataclass(frozen=True, slots=True)
class Code:
    """An expression, ready to be run.

    ``nodes`` is how many parts it has, ``constant`` its value, if it has one, and ``plain`` the sign and the
    name, where it is nothing but ``$name`` or ``@Name``: for whoever can do with less than a call.
    """

    run: Run
    nodes: int
    constant: Value | None = None
    plain: tuple[str, str] = ("", "")

    @property
    def steps(self) -> int:
        """What running it counts for."""
        return self.nodes // _STEP_NODES


@dataclass(frozen=True, slots=True)
class Loop:
    """A ``foreach`` around: its name, and where the machine keeps what it is at."""

    name: str
    slot: int
    over_elements: bool


def constant(value: Value) -> Code:
    """Code that gives a value."""
    return Code(lambda _machine: value, 1, value)


NOTHING = constant("")  # stands for what was wrong


class Scope:
    """Where the compiler is.

    ``main`` is the file that includes all others. ``incomplete`` says that statements were passed over, so
    that what is not declared may have been.
    """

    def __init__(self, limits: Limits, main: str, *, incomplete: bool) -> None:
        self.limits = limits
        self.main = main
        self.machine = Machine(environ={}, now_s=lambda: 0.0, hostname="", limits=limits)  # of constants
        self.incomplete = incomplete
        self.file = main
        self.errors: list[RulesError] = []
        self.warnings: list[RulesError] = []  # what is valid, but does nothing
        self.arrays: dict[str, Place] = {}
        self.tables: dict[str, LookupTable] = {}
        self.targets: dict[str, Place] = {}
        self.assigned: set[str] = set()  # fields of the alert
        self.made: dict[tuple[object, str], Any] = {}  # of constants, by what made it
        self.loops: list[Loop] = []
        self.leaves = 0  # foreach and switch around
        self.begun = False  # whether a statement was seen before which tables must stand
        self.depth = 0

    def place(self, node: Node) -> Place:
        """Where a node stands."""
        return Place(self.file, node.line, node.column)

    def error(self, node: Node, message: str) -> None:
        """Notes what is wrong with a node."""
        self.errors.append(self.place(node).error(message))

    def undeclared(self, node: Node, message: str) -> None:
        """Notes a name that is not declared, where that is sure."""
        if not self.incomplete:
            self.error(node, message)

    def declare_hint(self, name: str, known: Iterable[str], advice: str) -> str:
        """What may help where a name is not declared, as the end of a message."""
        near = hint(name, known)
        if near:
            return near
        wrapper = "; if another file includes this one, check that one" if self.file == self.main else ""
        return f": {advice}{wrapper}"

    def assigns_field(self, node: Node, name: str) -> None:
        """Notes a field that the alert gets."""
        self.assigned.add(name)
        self.sets_field(node, name)

    def sets_field(self, node: Node, name: str) -> None:
        """Notes a field that rules cannot set, where they do."""
        if name in OURS:
            self.warnings.append(
                self.place(node).error(f"@{name} is set by Postbeat: what rules give it is not taken")
            )

    def has_array(self, node: Node, name: str) -> bool:
        """Whether there is an array of this name; notes where there is not."""
        if name in self.arrays:
            return True
        advice = f"declare it with array {name} before the first statement"
        self.undeclared(node, f"there is no array {name}{self.declare_hint(name, self.arrays, advice)}")
        return False

    def loop(self, name: str) -> Loop | None:
        """The innermost ``foreach`` of this name."""
        return next((loop for loop in reversed(self.loops) if loop.name == name), None)

    @contextmanager
    def deeper(self, node: Node) -> Iterator[bool]:
        """Inside it everything is nested one deeper; gives whether that is still allowed."""
        self.depth += 1
        if self.depth == self.limits.nesting + 1:
            self.error(node, f"nested deeper than {self.limits.nesting}")
        try:
            yield self.depth <= self.limits.nesting
        finally:
            self.depth -= 1


def hint(name: str, known: Iterable[str]) -> str:
    """What may have been meant, as the end of a message; empty where nothing is near."""
    found = get_close_matches(name, list(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""
