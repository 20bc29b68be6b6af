"""A rules file that has been compiled, and what a run of it gives."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from postbeat.ism.rules.compiling import Ended
from postbeat.ism.rules.errors import Place, RulesError, RulesFault, RulesFaultError
from postbeat.ism.rules.machine import Machine
from postbeat.ism.rules.scope import Act
from postbeat.ism.values import Value

_NOTHING: Mapping[str, Value] = {}


@dataclass(frozen=True, slots=True)
class RuleEvent:
    """An event: the fields of an alert and its details, and the target that it is for (empty: none is named).

    ``update_on_dedup`` are the fields that a repetition of the alert brings up to date.
    """

    fields: Mapping[str, Value]
    details: Mapping[str, Value]
    target: str
    update_on_dedup: frozenset[str]


@dataclass(frozen=True, slots=True)
class LogLine:
    """What ``log`` was given: level DEBUG, INFO, WARNING, ERROR or FATAL."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What ``service`` was given: level good, marginal or bad."""

    service: str
    level: str


@dataclass(frozen=True, slots=True)
class Step:
    """A statement that was run."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave.

    ``events`` has the alert first, unless it was discarded, and then those of genevent. ``properties`` are
    those that were assigned. ``path`` is empty where the run was not traced. After a ``fault`` there are no
    events: a run that was stopped says nothing for certain.
    """

    events: tuple[RuleEvent, ...]
    discarded: bool
    log: tuple[LogLine, ...]
    services: tuple[ServiceState, ...]
    properties: Mapping[str, Value]
    path: tuple[Step, ...]
    fault: RulesFault | None


class Program:
    """A compiled file with all that it includes.

    Its arrays, its loads and its default target persist from run to run. It is not thread-safe: one run at a
    time. ``files`` are all that were read, the main file first; ``warnings`` say what in them does nothing.
    """

    def __init__(
        self,
        run: Act,
        traced: Callable[[], Act],
        machine: Machine,
        files: Sequence[Path],
        warnings: Sequence[RulesError],
    ) -> None:
        self.files, self.warnings = tuple(files), tuple(warnings)
        self._run = run
        self._traced = traced
        self._tracing: Act | None = None
        self._machine = machine
        self._start = Place(str(self.files[0]), 1, 1)

    def run(
        self,
        elements: Mapping[str, Value],
        properties: Mapping[str, Value] = _NOTHING,
        *,
        fields: Mapping[str, Value] = _NOTHING,
        trace: bool = False,
    ) -> Outcome:
        """Runs the rules for one result. Never raises: what stops it is the outcome's ``fault``.

        ``fields`` are those that the alert has before the rules see it.
        """
        machine = self._machine
        machine.begin(elements, properties, fields)
        fault: RulesFault | None = None
        collects = gc.isenabled()
        gc.disable()  # what it collects is not of these rules, and takes their time
        try:
            self._code(trace)(machine)
        except Ended:
            pass
        except RulesFaultError as error:
            place = error.place or self._start
            fault = RulesFault(place.file, place.line, place.column, error.message)
        finally:
            if collects:
                gc.enable()
        return Outcome(
            events=() if fault else _events(machine),
            discarded=machine.discarded,
            log=tuple([LogLine(level, text) for level, text in machine.lines]),
            services=tuple([ServiceState(service, level) for service, level in machine.services]),
            properties=machine.assigned,
            path=tuple([Step(*step) for step in machine.path]),
            fault=fault,
        )

    def _code(self, trace: bool) -> Act:
        if not trace:
            return self._run
        if self._tracing is None:
            self._tracing = self._traced()
        return self._tracing


def _events(machine: Machine) -> tuple[RuleEvent, ...]:
    update = frozenset([name for name, wanted in machine.changed.items() if wanted])
    events = [] if machine.discarded else [RuleEvent(machine.fields, machine.details, machine.target, update)]
    events += [
        RuleEvent(fields, {}, target or machine.target, update.intersection(fields))
        for target, fields in machine.events
    ]
    return tuple(events)
