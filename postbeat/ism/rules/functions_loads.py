"""Functions of loads: how often something happens. Pure.

A load is a value that is kept where it outlives a run, in an array: ``load["x"] = updateload(load["x"])``.
It begins as ``"2.50"``: the last 2 seconds count, and of those at most 50 samples. Once it has samples it is
like ``2.50:1700000000000000,150000,20000``: when the newest was (in microseconds since 1970), then how long
before each the next older one was.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import sub

from postbeat.ism.rules.functions_form import Function
from postbeat.ism.rules.machine import Machine
from postbeat.ism.values import Value, as_text

WINDOW_MOST_S = 86_400
SAMPLES_MOST = 1_000
_DEFAULT = "1.50"
_LOAD = re.compile(r"([0-9]{1,5})\.([0-9]{1,4})(?::([0-9]{1,17}(?:,[0-9]{1,12}){0,999}))?")


@dataclass(frozen=True, slots=True)
class Load:
    """When samples were taken, the newest first, in microseconds since 1970."""

    window_s: int
    most: int
    times_us: tuple[int, ...]

    def within(self, now_us: int) -> tuple[int, ...]:
        """The samples that are not older than the window."""
        return tuple(time_us for time_us in self.times_us if now_us - time_us < self.window_s * 1_000_000)

    def per_second(self, now_us: int) -> float:
        """Samples a second. Where as many as are kept came in less than the window, in the time they took."""
        times_us = self.within(now_us)
        if not times_us:
            return 0.0
        span_us = self.window_s * 1_000_000
        if len(times_us) == self.most:
            span_us = max(now_us - times_us[-1], 1)
        return len(times_us) * 1_000_000 / span_us

    def with_sample(self, now_us: int) -> Load:
        """The load with a sample taken now. One that is newer than now was taken before the clock was set."""
        times_us = (now_us, *(min(time_us, now_us) for time_us in self.within(now_us)))
        return Load(self.window_s, self.most, times_us[: self.most])

    def __str__(self) -> str:
        gaps = (after - before for after, before in pairwise(self.times_us))
        return f"{self.window_s}.{self.most}:{','.join(map(str, (*self.times_us[:1], *gaps)))}"


def _updateload(machine: Machine, values: list[Value]) -> Value:
    return machine.text(str(_load(machine, "updateload", values[0]).with_sample(_now_us(machine))))


def _getload(machine: Machine, values: list[Value]) -> Value:
    return _load(machine, "getload", values[0]).per_second(_now_us(machine))


def _geteventcount(machine: Machine, values: list[Value]) -> Value:
    return len(_load(machine, "geteventcount", values[0]).within(_now_us(machine)))


def _now_us(machine: Machine) -> int:
    return max(0, round(machine.now_s() * 1_000_000))


def _load(machine: Machine, name: str, value: Value) -> Load:
    text = as_text(value) or _DEFAULT
    machine.spend(len(text) // 16)
    found = _LOAD.fullmatch(text)
    window_s, most = (int(found[1]), int(found[2])) if found else (0, 0)
    if found is None or not 1 <= window_s <= WINDOW_MOST_S or not 1 <= most <= SAMPLES_MOST:
        machine.fault(
            f'{name}: "{text[:40]}" is no load; it begins as "seconds.samples", such as "2.50", '
            f"with up to {WINDOW_MOST_S:,} seconds and {SAMPLES_MOST:,} samples"
        )
    newest_and_gaps = map(int, found[3].split(",")) if found[3] else ()
    return Load(window_s, most, tuple(accumulate(newest_and_gaps, sub)))


LOADS = (
    Function("updateload", 1, 1, _updateload, "the load with one more event, now"),
    Function("getload", 1, 1, _getload, "events a second"),
    Function("geteventcount", 1, 1, _geteventcount, "events within the load's time"),
)
