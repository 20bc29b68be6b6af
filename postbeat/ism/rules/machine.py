"""What a run of the rules works on: elements, fields, properties, and what it has used of its limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import thread_time_ns
from typing import NoReturn

from postbeat.ism.rules.errors import Limits, RulesFaultError
from postbeat.ism.values import Value

__all__ = ["Machine", "RulesFaultError"]

_STEPS_PER_LOOK = 128  # from one look at the clock to the next, as that costs as much as several statements
PARSED_PER_STEP = 64  # characters of a text that is taken apart
CHARS_PER_STEP = 512  # a text of so many counts as one step: this bounds what a run holds, too


class Machine:
    """The state of one run. Functions read and change it; all that they make goes through :meth:`text`.

    ``arrays`` live longer than a run: they are the program's. ``now_s`` is the time in seconds
    since the epoch.
    """

    __slots__ = (
        "arrays",
        "assigned",
        "changed",
        "cpu_until_ns",
        "default_target",
        "details",
        "discarded",
        "elements",
        "entries",
        "entries_chars",
        "environ",
        "events",
        "fields",
        "hostname",
        "limits",
        "lines",
        "look_at",
        "loops",
        "most_chars",
        "now_s",
        "path",
        "properties",
        "services",
        "steps_left",
        "target",
    )

    def __init__(
        self,
        *,
        environ: Mapping[str, str],
        now_s: Callable[[], float],
        hostname: str,
        limits: Limits = Limits(),  # noqa: B008  it is frozen
    ) -> None:
        self.limits = limits
        self.most_chars = limits.text_chars
        self.environ = environ
        self.now_s = now_s
        self.hostname = hostname
        self.arrays: dict[str, dict[str, Value]] = {}
        self.entries = self.entries_chars = 0  # of all arrays
        self.default_target = ""
        self.loops = [""] * (limits.nesting + 1)  # what foreach is at, by how deep it is nested
        self.begin({}, {}, {})

    def begin(
        self,
        elements: Mapping[str, Value],
        properties: Mapping[str, Value],
        fields: Mapping[str, Value],
    ) -> None:
        """Forgets the run before, and begins one."""
        self.steps_left = self.limits.steps
        self.look_at = max(self.steps_left - _STEPS_PER_LOOK, 0)  # with less left, :meth:`look` is due
        self.cpu_until_ns = 0
        self.elements: dict[str, Value] = dict(elements)
        self.properties: dict[str, Value] = dict(properties)
        self.fields: dict[str, Value] = dict(fields)
        self.assigned: dict[str, Value] = {}  # properties
        self.details: dict[str, Value] = {}
        self.changed: dict[str, bool] = {}  # fields that update() named, and whether they are to be updated
        self.lines: list[tuple[str, str]] = []
        self.services: list[tuple[str, str]] = []
        self.events: list[tuple[str, dict[str, Value]]] = []
        self.path: list[tuple[str, int, str]] = []
        self.target = self.default_target
        self.discarded = False

    def log(self, level: str, text: str) -> None:
        """Adds a line to the log: level DEBUG, INFO, WARNING, ERROR or FATAL.

        Raises:
            RulesFaultError: there are too many.
        """
        if len(self.lines) >= self.limits.log_lines:
            self.fault(f"more than {self.limits.log_lines:,} lines for the log")
        self.lines.append((level, self.text(text)))

    def text(self, value: str) -> str:
        """``value``, where it is not too long.

        Raises:
            RulesFaultError: it is, or the run has used up its steps.
        """
        if len(value) > CHARS_PER_STEP or len(value) > self.most_chars:
            self.hold(len(value))
        return value

    def hold(self, chars: int) -> None:
        """Counts what it costs to make a text of so many characters.

        Raises:
            RulesFaultError: that is too long, or the run has used up its steps.
        """
        if chars > self.most_chars:
            self.fault(f"a text of more than {self.most_chars:,} characters")
        self.spend(chars // CHARS_PER_STEP)

    def spend(self, steps: int) -> None:
        """Counts work that costs as much as so many statements.

        Raises:
            RulesFaultError: the run has used up its steps, or its time on the processor.
        """
        self.steps_left -= steps
        if self.steps_left < self.look_at:
            self.look()

    def look(self) -> None:
        """Looks at what the run has used, some time after the look before. The first begins its time.

        Raises:
            RulesFaultError: it has used up its steps, or its time on the processor.
        """
        if self.steps_left < 0:
            self.fault(f"stopped after {self.limits.steps:,} steps")
        self.look_at = max(self.steps_left - _STEPS_PER_LOOK, 0)
        now_ns = thread_time_ns()
        if not self.cpu_until_ns:
            self.cpu_until_ns = now_ns + self.limits.cpu_ms * 1_000_000
        elif now_ns > self.cpu_until_ns:
            self.fault(f"stopped after {self.limits.cpu_ms} ms of computing")

    def set_property(self, name: str, value: Value) -> None:
        """Assigns to a property.

        Raises:
            RulesFaultError: there are too many.
        """
        if name not in self.properties and len(self.properties) >= self.limits.properties:
            self.fault(f"more than {self.limits.properties:,} properties")
        self.properties[name] = self.assigned[name] = value

    def set_entry(self, name: str, key: str, value: Value) -> None:
        """Sets an entry of an array.

        Raises:
            RulesFaultError: the array, or all together, would be too large.
        """
        array = self.arrays[name]
        old = array.get(key)
        limits = self.limits
        if old is None:
            if len(array) >= limits.array_entries:
                self.fault(f"array {name} has more than {limits.array_entries:,} entries")
            if self.entries >= limits.all_entries:
                self.fault(f"the arrays have more than {limits.all_entries:,} entries")
        size = _size(value) + (len(key) if old is None else -_size(old))
        if size > 0 and self.entries_chars + size > limits.array_chars:
            self.fault(f"the arrays have more than {limits.array_chars:,} characters")
        self.entries += old is None
        self.entries_chars += size
        array[key] = value

    def remove_entry(self, name: str, key: str) -> None:
        """Removes an entry of an array, where there is one."""
        old = self.arrays[name].pop(key, None)
        if old is not None:
            self.entries -= 1
            self.entries_chars -= _size(old) + len(key)

    def clear_array(self, name: str) -> None:
        """Removes all entries of an array."""
        for key in tuple(self.arrays[name]):
            self.remove_entry(name, key)

    def fault(self, message: str) -> NoReturn:
        """Ends the run.

        Raises:
            RulesFaultError: always.
        """
        raise RulesFaultError(message)


def _size(value: Value) -> int:
    return len(value) if isinstance(value, str) else 1
