"""What the page shows, gathered from the stores. Not asyncio; safe for threads."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from redis.exceptions import RedisError

from postbeat import queues
from postbeat.metrics.objectives import Objective, objective
from postbeat.model import Pair
from postbeat.publicfacts import mailbox_digest
from postbeat.results import AnyEvent, Event, Result
from postbeat.rollup import Rollup
from postbeat.slo import Slo, slo_of
from postbeat.store.facts import FactsView, RegionFacts, WorkerFacts
from postbeat.store.history import History
from postbeat.store.maintenance import AdHoc, Calendar, MaintenanceStore
from postbeat.store.summary import ElementFacts
from postbeat.store.view import MailboxState, PairState, ViewStore
from postbeat.web.rows import Board, Row, board
from postbeat.web.waiting import Shared

log = logging.getLogger(__name__)

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
DEFAULT_TARGET = 99.9
BOARD_S = 1.0  # how old the overview may be: many who look cost one who asks
STALE_S = 3.0  # the same where making it takes longer than QUICK_S
QUICK_S = 0.1
PROFILE_S = 5.0  # and what the profile says, which changes seldom
PUBLIC_S = 10.0  # and a page that anybody may ask for
MOST_PUBLIC = 100  # elements of such a page
BAR_DAYS = 30
EVENTS_SHOWN = 50
BURNS = {"1 h": 3_600, "6 h": 21_600, "3 d": 259_200}  # the long windows of the alerts, in seconds

Step = Literal["hour", "day"]
Series = Sequence[tuple[int, Rollup]]  # the moment at which each step begins, and what it came to
# What a chart may cover: its length and the width of its steps.
RANGES: dict[str, tuple[int, Step]] = {
    "24h": (24 * HOUR_US, "hour"),
    "7d": (7 * DAY_US, "hour"),
    "30d": (30 * DAY_US, "day"),
}


def element_of(event: AnyEvent) -> str:
    """The name of the element that an event is of."""
    return event.pair.element if isinstance(event, Event) else event.element


def regions_of(event: AnyEvent) -> Sequence[str]:
    """The regions that an event is of: one, or all those that a verdict was made of."""
    return (event.pair.region,) if isinstance(event, Event) else tuple(event.regions)


@dataclass(frozen=True, slots=True)
class Standing:
    """An element's page but for its charts. ``row`` is None where it is in the profile and not polled.

    Of an element that is a mailbox, ``mailbox`` is what is known of that, and ``readers`` names the elements
    whose messages are read from it.
    """

    name: str
    row: Row | None
    facts: ElementFacts | None
    states: Sequence[PairState]
    notable: Sequence[Result]
    events: Sequence[AnyEvent]
    calendar: Calendar
    mailbox: MailboxState | None = None
    readers: Sequence[str] = ()

    @property
    def target(self) -> float:
        """The availability target in percent."""
        return self.facts.availabilitytarget if self.facts else DEFAULT_TARGET

    @property
    def pairs(self) -> list[Pair]:
        """The pairs that give results, the worst first."""
        return [state.pair for state in self.states]


@dataclass(frozen=True, slots=True)
class Past:
    """What an element's charts are drawn from: 30 days, the chosen range, and the range by region.

    ``days`` are whole ones and today; ``slo`` is of exactly 30 days, as everywhere.
    """

    days: Series
    series: Series
    by_region: Mapping[str, Rollup]
    slo: Slo
    burns: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class RegionNow:
    """A region: what its workers counted, those that are there, and how much waits in its queues."""

    name: str
    facts: RegionFacts
    workers: Sequence[WorkerFacts]
    queued: int
    queued_reads: int


@dataclass(frozen=True, slots=True)
class Public:
    """An element of a status page: its row, its days, and whether all of it is in maintenance."""

    row: Row
    days: Series
    in_maintenance: bool

    @property
    def name(self) -> str:
        """What it is called where hosts must not be told: by its description, or its name."""
        return (self.row.facts.description if self.row.facts else "") or self.row.element

    @property
    def target(self) -> float:
        """The availability target in percent."""
        return self.row.facts.availabilitytarget if self.row.facts else DEFAULT_TARGET


@dataclass(frozen=True, slots=True)
class PublicGroup:
    """A status page as of ``at_us``; where beat is silent, since when, and nothing is known."""

    elements: Sequence[Public]
    at_us: int
    silent_since_us: int | None


class Site:
    """The stores of one Redis. Every method may raise ``redis.exceptions.RedisError``."""

    def __init__(self, redis_url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.view = ViewStore(redis_url)
        self.history = History(redis_url)
        self.facts = FactsView(redis_url)
        self.maintenance = MaintenanceStore(redis_url)
        self._clock = clock
        self._shared = Shared()
        self._took_s = 0.0
        self._refreshing = threading.Lock()
        self._pool = ThreadPoolExecutor(1)
        self._changes = 0
        self._board: tuple[float, Board] | None = None
        self._public: dict[str, tuple[float, PublicGroup]] = {}
        self._profile: tuple[float, Mapping[str, ElementFacts]] | None = None

    def close(self) -> None:
        """Closes the connections."""
        self._pool.shutdown()
        for store in (self.view, self.history, self.facts, self.maintenance):
            store.close()

    def now_us(self) -> int:
        """The one clock, in microseconds since the epoch; that of this host may be off."""
        return self.facts.now_us()

    def silent_since_us(self, at_us: int) -> int | None:
        """Since when beat is silent at a moment; None while it is not, and where none ever was."""
        beat = self.facts.beat()
        return beat.silent_since_us(at_us) if beat else None

    def board(self) -> Board:
        """Everything that is monitored, at most BOARD_S old.

        Where there is so much that it takes a while, it may be STALE_S old, and the next one is made
        meanwhile: nobody waits for it while somebody looks.
        """
        known = self._board
        oldest_s = STALE_S if self._took_s > QUICK_S else BOARD_S
        age_s = oldest_s if known is None else self._clock() - known[0]
        if known is None or age_s >= oldest_s:
            return self._shared.get(f"board {self._changes}", self._newer_board)
        if age_s >= BOARD_S and self._refreshing.acquire(blocking=False):
            try:
                self._pool.submit(self._refresh)
            except RuntimeError:  # we are closing
                self._refreshing.release()
        return known[1]

    def _refresh(self) -> None:
        try:
            self._shared.get(f"board {self._changes}", self._newer_board)
        except RedisError:
            return  # whoever asks when it is too old is told
        finally:
            self._refreshing.release()

    def _newer_board(self) -> Board:
        now_s, known, changes = self._clock(), self._board, self._changes
        if known is not None and now_s - known[0] < BOARD_S:  # another made it a moment ago
            return known[1]
        if self._profile is None or now_s - self._profile[0] >= PROFILE_S:
            self._profile = now_s, self.view.profile()
        at_us = self.now_us()
        silent_since_us = self.silent_since_us(at_us)
        rows, verdicts = self.view.overview_by_element(), self.view.verdicts()
        made = board(rows, verdicts, self._profile[1], at_us, silent_since_us, self.calendar)
        if changes == self._changes:
            self._board = now_s, made
        self._took_s = self._clock() - now_s
        return made

    def calendar(self, facts: Mapping[str, ElementFacts | None]) -> Calendar:
        """The maintenance of these elements, announced by hand or in the profile; None has left that."""
        windows = {name: one.maintenance if one else () for name, one in facts.items()}
        return self.maintenance.calendar(windows)

    def announce(
        self, element: str, region: str, from_us: int | None, seconds: int, why: str, by: str
    ) -> AdHoc:
        """Announces maintenance, from now on where there is no ``from_us``. Whoever looks next sees it.

        Raises:
            ValueError: as ``MaintenanceStore.add`` does.
        """
        begin_us = self.now_us() if from_us is None else from_us
        end_us = begin_us + seconds * 1_000_000
        made = self.maintenance.add(element, region, from_us=begin_us, to_us=end_us, why=why, by=by)
        self._changed()
        return made

    def end(self, window: str) -> AdHoc | None:
        """Ends announced maintenance now; None where there is no window of this id."""
        ended = self.maintenance.end(window, self.now_us())
        if ended is not None:
            self._changed()
        return ended

    def _changed(self) -> None:
        """Has what is kept for a while made anew, also what is just being made."""
        self._changes += 1
        self._board = None
        self._public.clear()

    def standing(self, name: str, region: str | None = None) -> Standing | None:
        """What is known of an element (in one region); None where there is no such element."""
        found = self.board()
        row, facts = found.by_name.get(name), found.facts.get(name)
        regions = [pair.pair.region for pair in row.pairs] if row else []
        if (row is None and facts is None) or (region is not None and region not in regions):
            return None
        chosen = [Pair(name, one) for one in regions if region in (None, one)]
        states = [state for pair in chosen if (state := self.view.state(pair)) is not None]
        notable = sorted(
            (result for pair in chosen for result in self.view.notable(pair)),
            key=lambda result: result.at_us,
            reverse=True,
        )

        def wanted(event: AnyEvent) -> bool:
            return element_of(event) == name and (region is None or region in regions_of(event))

        events = self.view.events(EVENTS_SHOWN, wanted)[::-1]
        calendar = self.calendar({name: facts})
        mailbox, readers = self._mailbox(facts) if facts and facts.mailbox else (None, ())
        return Standing(name, row, facts, states, notable[:8], events, calendar, mailbox, readers)

    def _mailbox(self, facts: ElementFacts) -> tuple[MailboxState | None, Sequence[str]]:
        """What is known of the mailbox of an element, and the active elements whose mail is read from it."""
        found = self.view.mailboxes(lambda name: mailbox_digest(name) == facts.mailbox)
        others = self.board().facts.values()
        readers = [other.name for other in others if other.read == facts.name and other.active]
        return found[0] if found else None, readers

    def past(self, standing: Standing, length_us: int, step: Step) -> Past:
        """What the charts of an element are drawn from."""
        to_us = self.now_us()
        pairs, calendar = standing.pairs, standing.calendar
        days = self._days(pairs, calendar, to_us)
        series = self.series(pairs, to_us - length_us, to_us, step, calendar)
        timings = ("timeToDeliver", "responseTime")
        by_region = {
            pair.region: self.rollup([pair], to_us - length_us, to_us, calendar, timings) for pair in pairs
        }
        found = self._objective(standing, to_us)
        burns = {name: found.windows[seconds].burn_rate for name, seconds in BURNS.items()}
        return Past(days, series, by_region, found.month, burns)

    def regions(self) -> list[RegionNow]:
        """The regions of the profile and those that have workers, by name."""
        board, workers = self.board(), self.facts.workers()
        polled = (one for one in board.facts.values() if one.active and one.poll is not None)
        planned = {region for one in polled for region in one.regions}
        names = sorted({*board.regions, *planned, *(worker.region for worker in workers)} - {""})
        lengths = self.facts.queue_lengths(names)
        return [
            RegionNow(
                one.region,
                one,
                [worker for worker in workers if worker.region == one.region],
                lengths[queues.probe(one.region)],
                lengths[queues.read(one.region)],
            )
            for one in self.facts.regions(names)
        ]

    def public(self, group: str) -> PublicGroup:
        """A group for everybody; at most PUBLIC_S old, whoever asks how often."""
        known = self._public.get(group)
        if known is None or self._clock() - known[0] >= PUBLIC_S:
            return self._shared.get(f"group {group} {self._changes}", lambda: self._made_public(group))
        return known[1]

    def rollup(
        self,
        pairs: Sequence[Pair],
        from_us: int,
        to_us: int,
        calendar: Calendar,
        timings: Collection[str] | None = (),
    ) -> Rollup:
        """What a stretch of time came to over all the pairs; nothing where what is stored cannot be read."""
        try:
            return self.history.rollup(pairs, from_us, to_us, timings=timings, calendar=calendar)
        except ValueError as error:
            _unreadable(pairs, error)
            return Rollup()

    def series(
        self,
        pairs: Sequence[Pair],
        from_us: int,
        to_us: int,
        step: Step,
        calendar: Calendar,
        timings: Collection[str] | None = None,
    ) -> Series:
        """The same by the hour or day."""
        try:
            return self.history.series(pairs, from_us, to_us, step=step, timings=timings, calendar=calendar)
        except ValueError as error:
            _unreadable(pairs, error)
            return self.history.series([], from_us, to_us, step=step)

    def _made_public(self, group: str) -> PublicGroup:
        changes, now_s, everything = self._changes, self._clock(), self.board()
        rows = [row for row in everything.rows if row.group == group][:MOST_PUBLIC]
        calendar, at_us = self.calendar({row.element: row.facts for row in rows}), self.now_us()
        made = []
        for row in rows:
            pairs = [pair.pair for pair in row.pairs]
            announced = all(calendar.covers(pair, at_us) for pair in pairs)
            made.append(Public(row, self._days(pairs, calendar, at_us), announced))
        found = PublicGroup(made, at_us, everything.silent_since_us)
        if changes == self._changes:
            self._public[group] = now_s, found
        return found

    def _days(self, pairs: Sequence[Pair], calendar: Calendar, to_us: int) -> Series:
        first_us = (to_us // DAY_US - BAR_DAYS + 1) * DAY_US
        return self.series(pairs, first_us, to_us, "day", calendar, timings=())

    def _objective(self, standing: Standing, at_us: int) -> Objective:
        pairs, calendar, target = standing.pairs, standing.calendar, standing.target
        poll_s = standing.facts.poll if standing.facts else None
        try:
            return objective(self.history, pairs, calendar, at_us, target_percent=target, poll_s=poll_s)
        except ValueError as error:
            _unreadable(pairs, error)
            nothing = slo_of({}, target)
            return Objective(nothing, dict.fromkeys(BURNS.values(), nothing))


def _unreadable(pairs: Sequence[Pair], error: ValueError) -> None:
    log.error("what was counted of %s cannot be read: %s", ", ".join(map(str, pairs)), error)
