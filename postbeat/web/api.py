"""The operations of the JSON API. Each takes what was checked and gives one of :mod:`postbeat.web.models`."""

from __future__ import annotations

import calendar as months
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from postbeat import plain
from postbeat.plain import seconds
from postbeat.results import AnyEvent, Event, Result
from postbeat.rollup import Rollup
from postbeat.slo import slo_of
from postbeat.verdict import WORST_FIRST
from postbeat.web import conversions, models
from postbeat.web.auth import Identity
from postbeat.web.nowprobe import NowProber
from postbeat.web.params import (
    EventParams,
    ListParams,
    MaintenanceBody,
    Params,
    ProbeBody,
    ReportParams,
    RollupParams,
    SearchParams,
)
from postbeat.web.problems import ProblemError
from postbeat.web.rows import IN_MAINTENANCE, Page
from postbeat.web.site import BAR_DAYS, DAY_US, Site, Standing, element_of, regions_of


@dataclass(frozen=True, slots=True)
class Ask:
    """A request whose parts were checked: ``params`` and ``body`` are of the operation's models."""

    site: Site
    prober: NowProber
    identity: Identity
    path: Mapping[str, str]
    params: Any = None
    body: Any = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: where it is, what it takes and gives. Only operators may do what ``changes``.

    What ``asks_stores`` is refused at once where Redis did not answer a moment ago.
    """

    method: str
    path: str
    summary: str
    run: Callable[[Ask], object]
    answer: type
    params: type[Params] | None = None
    body: type[Params] | None = None
    changes: bool = False
    asks_stores: bool = True
    status: int = 200


def overview(ask: Ask) -> models.Overview:
    """Elements, worst first."""
    params: SearchParams = ask.params
    board = ask.site.board()
    page = Page.of(board.find(params.wanted), params.page, params.limit)
    rows = [conversions.element_standing(row) for row in page.rows]
    return models.Overview(
        board.at_us / 1e6,
        seconds(board.silent_since_us),
        {verdict: board.tally[verdict] for verdict in WORST_FIRST},
        board.tally[IN_MAINTENANCE],
        page.total,
        page.number,
        page.pages,
        rows,
    )


def elements(ask: Ask) -> models.Elements:
    """The elements of the profile, by name."""
    params: SearchParams = ask.params
    board = ask.site.board()
    names = board.find_elements(params.wanted)
    pages = max(1, -(-len(names) // params.limit))
    number = min(params.page, pages)
    shown = names[(number - 1) * params.limit : number * params.limit]
    facts = [conversions.element_public(board.facts[name]) for name in shown]
    return models.Elements(len(names), number, pages, facts)


def element(ask: Ask) -> models.ElementDetail:
    """All of one element."""
    found = _standing(ask)
    at_us = ask.site.now_us()
    whole = ask.site.rollup(found.pairs, at_us - BAR_DAYS * DAY_US, at_us, found.calendar)
    return models.ElementDetail(
        found.name,
        conversions.element_public(found.facts) if found.facts else None,
        conversions.element_standing(found.row) if found.row else None,
        [state.round_trip.as_data() for state in found.states],
        conversions.objective(slo_of(whole.counts, found.target)),
        any(found.calendar.covers(pair, at_us) for pair in found.pairs),
        seconds(ask.site.board().silent_since_us),
    )


def pair(ask: Ask) -> models.PairDetail:
    """One element in one region."""
    found = _standing(ask, ask.path["region"])
    row = found.row
    if row is None or not found.states:
        raise ProblemError(404, f"there is no element {found.name} in this region")
    state = found.states[0]
    short = next(one for one in row.pairs if one.pair == state.pair)
    return models.PairDetail(
        found.name,
        state.pair.region,
        conversions.region_standing(short),
        state.round_trip.as_data(),
        [plain.result_as_data(result) for result in found.notable],
        found.calendar.covers(state.pair, ask.site.now_us()),
        seconds(ask.site.board().silent_since_us),
    )


def rollups(ask: Ask) -> models.Rollups:
    """The figures of one element over time."""
    params: RollupParams = ask.params
    found = _standing(ask)
    pairs = [one for one in found.pairs if fnmatchcase(one.region, params.region)]
    series = ask.site.series(
        pairs,
        int(params.start * 1e6),
        int(params.end * 1e6),
        params.step,
        found.calendar,
        params.timing or None,
    )
    whole = Rollup()
    for _, rollup in series:
        whole.merge(rollup)
    return models.Rollups(
        found.name,
        [one.region for one in pairs],
        params.step,
        [conversions.period(at_us, rollup) for at_us, rollup in series],
        conversions.period(int(params.start * 1e6), whole),
    )


def results(ask: Ask) -> models.Listing:
    """The newest results."""
    params: ListParams = ask.params

    def wanted(result: Result) -> bool:
        return (
            result.at_us >= params.since * 1e6
            and params.level in ("", result.level)
            and _matches(params, result.poll.element, (result.poll.region,))
        )

    found = ask.site.view.results(params.limit, wanted)
    return models.Listing([plain.result_as_data(result) for result in found])


def events(ask: Ask) -> models.Listing:
    """The newest changes."""
    params: EventParams = ask.params
    found = ask.site.view.events(params.limit, lambda event: wanted_event(event, params))
    return models.Listing([plain.event_as_data(event) for event in found])


def wanted_event(event: AnyEvent, params: EventParams) -> bool:
    """Whether an event is one of those that are asked for."""
    level = event.level if isinstance(event, Event) else event.verdict
    return (
        event.at_us >= params.since * 1e6
        and params.level in ("", str(level))
        and params.kind in ("", plain.event_kind(event))
        and _matches(params, element_of(event), regions_of(event))
    )


def mailboxes(ask: Ask) -> models.Listing:
    """Every mailbox."""
    return models.Listing([conversions.mailbox(state) for state in ask.site.view.mailboxes()])


def regions(ask: Ask) -> models.Regions:
    """Every region, its workers and queues, and beat."""
    found = [conversions.region(one) for one in ask.site.regions()]
    beat = ask.site.facts.beat()
    silent_since_us = beat.silent_since_us(ask.site.now_us()) if beat else None
    return models.Regions(found, asdict(beat) if beat else None, seconds(silent_since_us))


def report(ask: Ask) -> models.Report:
    """A month in figures, by name."""
    params: ReportParams = ask.params
    board = ask.site.board()
    wanted = [
        row
        for row in board.rows
        if fnmatchcase(row.element, params.element) and params.group in ("", row.group)
    ]
    page = Page.of(sorted(wanted, key=lambda row: row.element), params.page, params.limit)
    year, month = map(int, params.month.split("-"))
    first_us = int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * 1_000_000
    over_us = first_us + months.monthrange(year, month)[1] * DAY_US
    calendar = ask.site.calendar({row.element: row.facts for row in page.rows})
    rows = []
    for row in page.rows:
        pairs = [one.pair for one in row.pairs]
        whole = ask.site.rollup(pairs, first_us, over_us, calendar, ("responseTime", "timeToDeliver"))
        target = row.facts.availabilitytarget if row.facts else 99.9
        rows.append(
            models.ReportRow(
                row.element,
                row.group,
                conversions.objective(slo_of(whole.counts, target)),
                whole.counts.get("poll:UNKNOWN", 0),
                whole.counts.get("maintenance", 0),
                conversions.timings(whole),
            )
        )
    return models.Report(params.month, page.total, page.number, page.pages, rows)


def maintenance(ask: Ask) -> models.Windows:
    """The windows that were announced by hand."""
    return models.Windows([conversions.window(one) for one in ask.site.maintenance.listing()])


def announce(ask: Ask) -> models.Window:
    """Announces a window."""
    body: MaintenanceBody = ask.body
    from_us = None if body.start is None else int(body.start * 1e6)
    by = ask.identity.name
    made = ask.site.announce(body.element, body.region, from_us, body.seconds, why=body.why, by=by)
    return conversions.window(made)


def end(ask: Ask) -> models.Windows:
    """Ends a window now."""
    if ask.site.end(ask.path["id"]) is None:
        raise ProblemError(404, "there is no such window of maintenance")
    return maintenance(ask)


def probe(ask: Ask) -> models.Probed:
    """Probes now."""
    body: ProbeBody = ask.body
    trip = ask.prober.probe(body.element, body.region, read=body.read)
    return models.Probed(trip.level, trip.as_data())


def _standing(ask: Ask, region: str | None = None) -> Standing:
    found = ask.site.standing(ask.path["name"], region)
    if found is None:
        raise ProblemError(404, "there is no such element" + (" in this region" if region else ""))
    return found


def _matches(params: ListParams, element: str, regions: Sequence[str]) -> bool:
    return fnmatchcase(element, params.element) and any(fnmatchcase(one, params.region) for one in regions)


_NAME = "/elements/{name}"
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET",
        "/overview",
        "Where everything stands, worst first",
        overview,
        models.Overview,
        SearchParams,
    ),
    Operation("GET", "/elements", "The elements of the profile", elements, models.Elements, SearchParams),
    Operation("GET", _NAME, "One element", element, models.ElementDetail),
    Operation("GET", _NAME + "/regions/{region}", "One element in one region", pair, models.PairDetail),
    Operation(
        "GET",
        _NAME + "/rollups",
        "Counts and percentiles over time",
        rollups,
        models.Rollups,
        RollupParams,
    ),
    Operation("GET", "/results", "The newest results", results, models.Listing, ListParams),
    Operation("GET", "/events", "The newest changes", events, models.Listing, EventParams),
    Operation("GET", "/mailboxes", "Every mailbox", mailboxes, models.Listing),
    Operation("GET", "/regions", "Regions, workers, queues, and beat", regions, models.Regions),
    Operation("GET", "/report", "A month in figures", report, models.Report, ReportParams),
    Operation("GET", "/maintenance", "Maintenance that was announced", maintenance, models.Windows),
    Operation(
        "POST",
        "/maintenance",
        "Announce maintenance",
        announce,
        models.Window,
        body=MaintenanceBody,
        changes=True,
        status=201,
    ),
    Operation("DELETE", "/maintenance/{id}", "End maintenance now", end, models.Windows, changes=True),
    Operation(
        "POST",
        "/probe",
        "Probe now, without recording",
        probe,
        models.Probed,
        body=ProbeBody,
        changes=True,
        asks_stores=False,
    ),
)
