"""Results as they come: a live table on a terminal, lines elsewhere, JSON where it is asked for."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from postbeat.cli.common import EXIT_CODES, print_json
from postbeat.cli.fitted import FittedTable
from postbeat.cli.render import age, console, plural, round_trip_line, state_table
from postbeat.embedded.processes import EmbeddedError
from postbeat.model import Level, Pair
from postbeat.profile import Profile
from postbeat.roundtrip import RoundTrip, RoundTrips
from postbeat.store import keys
from postbeat.store.maintenance import Calendar, MaintenanceStore
from postbeat.store.view import ViewStore

REFRESH_S = 0.5
ONCE_S = 60.0  # one round trip of everything takes a few seconds; beyond this something is wrong with us
_SEVERITY = (Level.GOOD, Level.MARGINAL, Level.UNKNOWN, Level.FAILED)


class Screen(Protocol):
    """Where results are shown."""

    def __enter__(self) -> Self:
        """Begins."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends."""
        ...

    def show(self, trip: RoundTrip) -> None:
        """Shows a completed round trip, a check of a mailbox, or what became of a message later."""
        ...

    def tick(self) -> None:
        """Called a few times in a second."""
        ...


def screen(
    states: Callable[[], RenderableType], headline: str, wanted: int | None, *, as_json: bool
) -> Screen:
    """The screen for this output, on a terminal with where every pair stands at the moment.

    ``wanted`` is the number of round trips after which it ends, if it does.
    """
    if as_json:
        return _Json(once=wanted is not None)
    if sys.stdout.isatty():
        return _Table(states, headline, wanted)
    return _Lines()


class _Lines:
    """One line for each round trip."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.stdout.flush()

    def show(self, trip: RoundTrip) -> None:
        console().print(round_trip_line(trip, trip.at_us or 0), soft_wrap=True)
        sys.stdout.flush()

    def tick(self) -> None:
        pass


class _Json(_Lines):
    """One document per line as they come, or one document of all at the end."""

    def __init__(self, *, once: bool) -> None:
        self._once = once
        self._all: list[object] = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._once and kind is None:
            print_json(self._all)
        sys.stdout.flush()

    def show(self, trip: RoundTrip) -> None:
        if self._once:
            self._all.append(trip.as_data())
        else:
            print_json(trip.as_data(), indent=None)
            sys.stdout.flush()


class _Table:
    """Where every pair stands, and a progress line, drawn anew twice a second."""

    def __init__(self, states: Callable[[], RenderableType], headline: str, wanted: int | None) -> None:
        self._states = states
        self._headline = headline
        self._wanted = wanted
        self._counts = dict.fromkeys(Level, 0)
        self._started_s = time.monotonic()
        self._drawn_s = 0.0
        self._live = Live(console=console(), auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or kind is KeyboardInterrupt:
            self._draw()
        self._live.__exit__(kind, error, trace)

    def show(self, trip: RoundTrip) -> None:
        if trip.is_poll:
            self._counts[trip.level] += 1
        self.tick()

    def tick(self) -> None:
        if time.monotonic() - self._drawn_s >= REFRESH_S:
            self._draw()

    def _draw(self) -> None:
        self._drawn_s = time.monotonic()
        headline = Text(self._headline, style="bold")
        self._live.update(Group(headline, self._states(), self._progress()), refresh=True)

    def _progress(self) -> Text:
        total = sum(self._counts.values())
        done = (
            plural(total, "round trip") if self._wanted is None else f"{total} of {self._wanted} round trips"
        )
        others = ", ".join(
            f"{count} {level}" for level, count in self._counts.items() if count and level is not Level.GOOD
        )
        running = age(int((self._drawn_s - self._started_s) * 1e6))
        hint = "" if self._wanted is not None else "  ·  Ctrl-C ends it"
        return Text(f"{done}{f' ({others})' if others else ''}  ·  {running}{hint}", style="dim")


@dataclass
class Watch:
    """Shows round trips as they are completed."""

    view: ViewStore
    maintenance: MaintenanceStore
    profile: Callable[[], Profile]
    check: Callable[[], None]

    def forever(self, headline: str, *, as_json: bool) -> None:
        """Until Ctrl-C."""
        with (
            contextlib.suppress(KeyboardInterrupt),
            screen(self._states, headline, None, as_json=as_json) as out,
        ):
            for trip in self._completed():
                if trip is None:
                    out.tick()
                else:
                    out.show(trip)

    def once(self, headline: str, *, as_json: bool) -> int:
        """Until there is one round trip of every pair. Returns the exit code."""
        missing = {pair for pair, _ in self.profile().active()}
        worst = Level.GOOD
        deadline_s = time.monotonic() + ONCE_S
        with screen(self._states, headline, len(missing), as_json=as_json) as out:
            for trip in self._completed():
                if trip is None:
                    out.tick()
                elif trip.is_poll and trip.pair in missing:
                    missing.remove(trip.pair)
                    worst = max(worst, trip.level, key=_SEVERITY.index)
                    out.show(trip)
                if not missing:
                    break
                if time.monotonic() > deadline_s:
                    raise EmbeddedError(_still_missing(missing))
        return EXIT_CODES[worst]

    def _states(self) -> FittedTable:
        windows = {name: element.maintenance for name, element in self.profile().elements.items()}
        calendar = Calendar(windows, self.maintenance.listing())
        in_maintenance = calendar.covering(self.maintenance.now_us())
        return state_table(self.view.states(), time.time_ns() // 1000, None, in_maintenance)

    def _completed(self) -> Iterator[RoundTrip | None]:
        trips = RoundTrips()
        for result in self.view.follow_results(self.view.last_entry(keys.RESULTS)):
            self.check()
            yield None if result is None else trips.add(result, self.profile())


def _still_missing(missing: set[Pair]) -> str:
    names = ", ".join(sorted(map(str, missing)))
    return f"after {ONCE_S:.0f} s there is no round trip of {plural(len(missing), 'pair')}: {names}"
