"""Stage marks of one attempt, in integer microseconds of the monotonic clock.

A timeline survives a timeout: the stage that was open when the deadline passed is the one that hung.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from postbeat.results import Stage

REPLY_LIMIT = 200  # characters kept of a reply: enough to act on, too few to fill a Redis


class Timeline:
    """Collects the stages of an attempt; offsets count from its construction."""

    __slots__ = ("_clock_ns", "_name", "_opened_ns", "_reply", "_stages", "_start_ns")

    def __init__(self, clock_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock_ns = clock_ns
        self._start_ns = clock_ns()
        self._stages: list[Stage] = []
        self._name = ""
        self._opened_ns = 0
        self._reply = ""

    def now_us(self) -> int:
        """Microseconds since the attempt began."""
        return (self._clock_ns() - self._start_ns) // 1000

    def stage(self, name: str) -> _OpenStage:
        """A context manager: the stage lasts as long as its body and stays open if the body raises."""
        return _OpenStage(self, name)

    def begin(self, name: str) -> None:
        """Opens a stage; at most one is open."""
        self._name = name
        self._reply = ""
        self._opened_ns = self._clock_ns()

    def end(self) -> None:
        """Closes the open stage, if there is one."""
        self.switch("")

    def reply(self, text: str) -> None:
        """What the server said in the open stage, cut to REPLY_LIMIT characters."""
        self._reply = text[:REPLY_LIMIT]

    def switch(self, name: str) -> None:
        """Closes the open stage, if there is one, and opens the named one, if a name is given."""
        if self._name:
            self._close(ended=True)
        if name:
            self.begin(name)

    @property
    def open_stage(self) -> str:
        """The stage that is open now, or the last one that was."""
        return self._name or (self._stages[-1].name if self._stages else "")

    def stages(self) -> tuple[Stage, ...]:
        """All stages in order; one still open is closed here, as not ended."""
        if self._name:
            self._close(ended=False)
        return tuple(self._stages)

    def took_us(self, name: str) -> int | None:
        """The time of the last stage of that name, or None."""
        for stage in reversed(self._stages):
            if stage.name == name:
                return stage.took_us
        return None

    def ended_us(self, name: str) -> int | None:
        """When the last stage of that name ended, counted from the beginning, or None."""
        for stage in reversed(self._stages):
            if stage.name == name:
                return stage.at_us + stage.took_us
        return None

    def _close(self, *, ended: bool) -> None:
        now_ns = self._clock_ns()
        at_us = (self._opened_ns - self._start_ns) // 1000
        took_us = (now_ns - self._opened_ns) // 1000
        self._stages.append(Stage(self._name, at_us, took_us, self._reply, ended))
        self._name = ""


class _OpenStage:
    __slots__ = ("_name", "_timeline")

    def __init__(self, timeline: Timeline, name: str) -> None:
        self._timeline = timeline
        self._name = name

    def __enter__(self) -> None:
        self._timeline.begin(self._name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._timeline.end()
